"""What a run found, as numbers, as lines and as the file of results. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

Run = dict[str, Any]

# Where a figure is in a run, what it is called, how it is written, and whether less is better
# (None: it is no measure).
LINES: Mapping[str, tuple[str, str, bool | None]] = {
    "agents": ("agents", "{:,.0f}", None),
    "replicas": ("servers over PostgreSQL (0: one over SQLite)", "{:,.0f}", None),
    "speaks": ("protocol", "{}", None),
    "load": ("load of this machine before", "{:.1f}", None),
    "flush_ms": ("flushing 4 KiB to disk, p50", "{:.2f} ms", None),
    "filled_s": ("database filled, server started", "{:.1f} s", None),
    "connected": ("connected", "{:,.0f}", None),
    "connected_s": ("all connected", "{:.1f} s", True),
    "connected_cpu_ms": ("connecting, CPU an agent", "{:.1f} ms", True),
    "idle_cpu_pct": ("idle, CPU of a core", "{:.1f} %", True),
    "idle_database_cpu_pct": ("idle, CPU of PostgreSQL", "{:.1f} %", None),
    "idle_reports_s": ("idle, reports a second and agent", "{:.3f}", None),
    "idle_states_s": ("idle, states a second and agent", "{:.3f}", None),
    "idle_beats_s": ("idle, beats a second and agent", "{:.3f}", None),
    "idle_client_cpu_pct": ("idle, CPU of the simulation itself", "{:.1f} %", None),
    "mb": ("memory of the server", "{:.0f} MB", True),
    "mb_per_agent": ("memory an agent", "{:.3f} MB", True),
    "initiate_p50_ms": ("one asker, initiate p50", "{:.1f} ms", True),
    "initiate_p99_ms": ("one asker, initiate p99", "{:.1f} ms", True),
    "open_seen_p50_ms": ("one asker, open seen after it p50", "{:.1f} ms", True),
    "open_seen_p99_ms": ("one asker, open seen after it p99", "{:.1f} ms", True),
    "at_agent_p50_ms": ("one asker, asked until its agent has it p50", "{:.1f} ms", True),
    "at_agent_p99_ms": ("one asker, asked until its agent has it p99", "{:.1f} ms", True),
    "eight_askers.per_s": ("eight askers, whole cycles", "{:.1f} /s", False),
    "eight_askers.p50_ms": ("eight askers, a cycle p50", "{:.0f} ms", True),
    "eight_askers.p99_ms": ("eight askers, a cycle p99", "{:.0f} ms", True),
    "eight_askers.cpu_pct": ("eight askers, CPU of a core", "{:.1f} %", None),
    "eight_askers.cpu_ms": ("eight askers, CPU a cycle", "{:.1f} ms", True),
    "eight_askers.database_cpu_ms": ("eight askers, CPU of PostgreSQL a cycle", "{:.1f} ms", None),
    "eight_askers.at_agent_p50_ms": ("eight askers, until its agent has it p50", "{:.0f} ms", True),
    "eight_askers.at_agent_p99_ms": ("eight askers, until its agent has it p99", "{:.0f} ms", True),
    "scanned.cpu_pct": ("all scanned, CPU of a core", "{:.1f} %", True),
    "scanned.client_cpu_pct": ("all scanned, CPU of the simulation", "{:.1f} %", None),
    "scanned.per_s": ("all scanned, eight askers, whole cycles", "{:.1f} /s", False),
    "scanned.p50_ms": ("all scanned, eight askers, a cycle p50", "{:.0f} ms", True),
    "scanned.p99_ms": ("all scanned, eight askers, a cycle p99", "{:.0f} ms", True),
    "listening_s": ("killed and started, listening after", "{:.1f} s", True),
    "started_cpu_s": ("killed and started, CPU until it listens", "{:.2f} s", True),
    "leased": ("killed and started, agents with leases", "{:,.0f}", None),
    "leased_back_s": ("killed and started, those with leases are back", "{:.1f} s", True),
    "back": ("killed and started, back", "{:,.0f}", None),
    "flood_begun": ("killed and started, strangers' handshakes begun", "{:,.0f}", None),
    "back_s": ("killed and started, all are back", "{:.1f} s", True),
    "back_cpu_ms": ("coming back, CPU an agent", "{:.1f} ms", True),
    "failed_askings": ("askings that failed", "{:.0f}", None),
    "failed_calls": ("calls and connections of agents that failed", "{:,.0f}", None),
    "failed_why": ("of these", "{}", None),
    "client_lag_p99_ms": ("how late the simulation itself was, p99", "{:.1f} ms", None),
}
_WIDTH = max(len(label) for label, _, _ in LINES.values())


def put(run: Run, place: str, value: object) -> None:
    """Set a figure; a dot in its place leads into the object that holds it."""
    *outer, name = place.split(".")
    for each in outer:
        run = run.setdefault(each, {})
    run[name] = round(value, 3) if isinstance(value, float) else value


def found(run: Run, place: str) -> object:
    """A figure of a run; None where it was not measured."""
    value: Any = run
    for each in place.split("."):
        value = value.get(each) if isinstance(value, dict) else None
    return value


def line(run: Run, place: str, before: Run | None = None, name: str = "") -> str:
    """A figure as a line; with that of ``before``, another run, and how often one is the other."""
    label, form, is_less_better = LINES[place]
    here, there = found(run, place), found(before, place) if before is not None else None
    told = f"{label:<{_WIDTH}}  {_written(form, here):>12}"
    if before is None:
        return told
    told += f"  {name} {_written(form, there):>12}"
    if is_less_better is None or not _is_measure(here) or not _is_measure(there):
        return told.rstrip()
    better = (there / here) if is_less_better else (here / there)  # type: ignore[operator]  # reason: both are numbers
    return f"{told}  {better:.2f} times as good"


def _is_measure(value: object) -> bool:
    return isinstance(value, int | float) and value > 0


def _written(form: str, value: object) -> str:
    return "-" if value is None else form.format(value)


def all_after(moments: Sequence[float | None], since: float) -> float | None:
    """Seconds from ``since`` until the last of them; None while one has not come, or is older.

    A moment is when an agent became whole, None for one that is not: after a server was killed
    at ``since``, one from before that has not noticed yet and is not back.
    """
    if not moments or any(each is None or each <= since for each in moments):
        return None
    return max(each for each in moments if each is not None) - since


def count_after(moments: Sequence[float | None], since: float) -> int:
    return sum(each is not None and each > since for each in moments)


def share_of_core(cpu_seconds: float, seconds: float) -> float:
    """Percent of one core."""
    return 100 * cpu_seconds / seconds
