"""The tables on the terminal and the files under ``bench/results``.

Ratios are to Bascule: 2.0x beside a peer says that it takes twice as long.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).resolve().parent / "results"
OURS = "bascule"
BY_COMMAND = "bascule request"
THROUGH_GATEWAY = "bascule, at a gateway"

Row = Sequence[str]


def machine() -> dict[str, Any]:
    """What the numbers depend on, and nothing that names the machine."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_mb": _memory_mb(),
        "kernel": platform.release(),
        "system": _system(),
        "python": platform.python_version(),
        "nft": _nft(),
        "load_before": round(os.getloadavg()[0], 2),
    }


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def _system() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return platform.system()


def _nft() -> str:
    try:
        done = subprocess.run(["nft", "--version"], capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return done.stdout.partition("nftables v")[2].split(" ")[0].strip()


def write(name: str, content: Mapping[str, Any]) -> Path:
    """Write one file of results, whole."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / name
    draft = path.with_suffix(".new")
    draft.write_text(json.dumps(content, indent=2) + "\n")
    draft.replace(path)
    return path


def ask_to_open_table(
    results: Mapping[str, Mapping[str, Any]], skipped: Mapping[str, str]
) -> list[Row]:
    """One line a candidate, ours first; a skipped one with its reason."""
    ours = results.get(OURS, {}).get("p50_ms")
    rows: list[Row] = [
        ("ask to open", "p50 ms", "p95 ms", "n", "p50 ratio", "closes late by ms (p50, max)")
    ]
    for name, found in results.items():
        if "p50_ms" not in found:
            rows.append((name, "-", "-", str(found["n"]), "-", ", ".join(found["failures"])))
            continue
        late = found.get("close_late_ms")
        rows.append(
            (
                f"{name} {found['version']}".strip(),
                f"{found['p50_ms']:.1f}",
                f"{found['p95_ms']:.1f}",
                str(found["n"]),
                f"{found['p50_ms'] / ours:.1f}x" if ours else "-",
                f"{late['p50']:.0f}, {late['max']:.0f}" if late else "-",
            )
        )
    rows += [(name, "-", "-", "0", "-", f"skipped: {why}") for name, why in skipped.items()]
    return rows


def footprint_table(found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One line a quantity, with what we aim at."""
    rows: list[Row] = [("weight", "measured", "aim", "ratio")]
    for name, each in found.items():
        aim = each.get("aim")
        ratio = each.get("ratio", round(each["value"] / aim, 2) if aim else None)
        rows.append(
            (
                name.replace("_", " "),
                f"{each['value']:g} {each['unit']}",
                f"{aim:g} {each['unit']}" if aim else "-",
                f"{ratio:.2f}x {each.get('ratio_to', 'of the aim')}" if ratio else "-",
            )
        )
    return rows


def render(rows: Sequence[Row]) -> str:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)
    return "\n".join(lines)
