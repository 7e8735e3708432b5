"""``python -m bench.gateway``: new connections a second through a gateway, beside linear DNAT rules.

Three namespaces: a client, a gateway, a server behind it. A public port of the gateway leads the client to the
server's port. Beside the client's own there are 0, 1,000 or 60,000 openings for other sources: as grants of
Bascule's nftables driver (maps and sets), as one rule a source in nft, and as one rule a source in iptables-nft.
The client's own rule is the last one. The candidates take turns in each round; each is measured after the rules
of the one before are gone. It needs root.

Examples:
  python -m bench.gateway
  python -m bench.gateway --others 0 5000 --rounds 5 --dry

"""

from __future__ import annotations

import argparse
import contextlib
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from bench import report
from bench.gateway_programs import PROGRAM
from bench.listener import PROGRAM as LISTENER
from bench.netns import fresh, inside, run
from bench.series import quantile
from bench.standing import Lines, program

PORT = 9022
CLIENT, OUTSIDE = "10.205.0.10", "10.205.0.1"  # the second is the gateway's public address
INSIDE, SERVER = "10.206.0.1", "10.206.0.20"
SECONDS = 2.0
LOADING_SECONDS = 300.0
_SPACES = {each: f"bench-gateway-{each}" for each in ("client", "gw", "server")}

Placing = Callable[[int], contextlib.AbstractContextManager[None]]


def main() -> int:
    what, _, examples = (__doc__ or "").partition("\n\nExamples:\n")
    parser = argparse.ArgumentParser(
        prog="python -m bench.gateway",
        description=what,
        epilog=f"examples:\n{examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--others", type=int, nargs="+", default=[0, 1000, 60_000])
    parser.add_argument("--rounds", type=int, default=3, help="of each candidate (3)")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # its network ends with it
        signal.signal(number, signal.default_int_handler)
    machine = report.machine()
    with network(), ExitStack() as stack:
        listener = stack.enter_context(program("server", _at("server"), LISTENER, str(PORT)))
        listener.hear()
        client = stack.enter_context(
            program("client", _at("client"), PROGRAM, "connect", OUTSIDE, str(PORT), str(SECONDS))
        )
        found = measure(client, arguments.others, arguments.rounds)
    print(report.render(_table(found, arguments.others)), flush=True)
    if not arguments.dry:
        settings = {"rounds": arguments.rounds, "seconds": SECONDS}
        report.write(
            "gateway.json", {"per_second": found, "settings": settings, "machine": machine}
        )
    return 0


def measure(
    client: Lines, others: Sequence[int], rounds: int
) -> Mapping[str, Mapping[str, Mapping[str, Any]]]:
    """By candidate, and number of other openings: new connections a second, and what loading took."""
    series: dict[tuple[str, int], list[float]] = {}
    loading: dict[tuple[str, int], list[float]] = {}
    for number in range(rounds):
        for count in others:
            order = list(CANDIDATES.items())
            for name, placing in (*order[number % len(order) :], *order[: number % len(order)]):
                began = time.monotonic()
                with placing(count):
                    loading.setdefault((name, count), []).append(time.monotonic() - began)
                    client.turn("warm")
                    rate = client.turn("measure")["per_second"]
                series.setdefault((name, count), []).append(rate)
                print(f"{name}, {count} others: {rate:.0f}/s", file=sys.stderr, flush=True)
    return {
        name: {
            str(count): {
                "p50": round(quantile(series[name, count], 0.5)),
                "all": [round(each) for each in series[name, count]],
                "loading_seconds": round(quantile(loading[name, count], 0.5), 2),
            }
            for count in others
        }
        for name in CANDIDATES
    }


def _table(
    found: Mapping[str, Mapping[str, Mapping[str, Any]]], others: Sequence[int]
) -> list[report.Row]:
    rows: list[report.Row] = [
        ("connections/s", *(f"{count} others" for count in others), "last to first")
    ]
    for name, by_count in found.items():
        rates = [by_count[str(count)]["p50"] for count in others]
        ratio = f"{rates[-1] / rates[0]:.3f}" if rates[0] else "-"
        rows.append((name, *map(str, rates), ratio))
    return rows


# -- the network -------------------------------------------------------------------------------


def _at(name: str) -> Sequence[str]:
    return inside(_SPACES[name])


@contextlib.contextmanager
def network() -> Iterator[None]:
    with fresh(*_SPACES.values()):
        for space, own, gateway in (("client", CLIENT, OUTSIDE), ("server", SERVER, INSIDE)):
            _cable(space, own, gateway)
        run(*_at("gw"), "sysctl", "-q", "-w", "net.ipv4.ip_forward=1")
        yield


def _cable(space: str, own: str, gateway: str) -> None:
    name, gw, end = _SPACES[space], _SPACES["gw"], f"to-{space}"
    run("ip", "link", "add", end, "netns", gw, "type", "veth", "peer", "name", "e0", "netns", name)
    run("ip", "-n", gw, "address", "add", f"{gateway}/24", "dev", end)
    run("ip", "-n", name, "address", "add", f"{own}/24", "dev", "e0")
    for where, link in ((gw, end), (name, "e0"), (name, "lo")):
        run("ip", "-n", where, "link", "set", link, "up")
    run("ip", "-n", name, "route", "add", "default", "via", gateway)


# -- the candidates ----------------------------------------------------------------------------


def sources(count: int) -> list[str]:
    """Those of others, then the client's own."""
    return [*(f"10.{64 + n // 65536}.{n // 256 % 256}.{n % 256}" for n in range(count)), CLIENT]


@contextlib.contextmanager
def _grants(count: int) -> Iterator[None]:
    with program("grants", _at("gw"), PROGRAM, "grants", SERVER, OUTSIDE, str(PORT)) as holder:
        holder.tell({"sources": sources(count)})
        holder.outcome(LOADING_SECONDS)
        yield
        holder.turn("remove")


@contextlib.contextmanager
def _nft(count: int) -> Iterator[None]:
    rules = "".join(
        f"ip saddr {each} ip daddr {OUTSIDE} tcp dport {PORT} dnat to {SERVER}:{PORT}\n"
        for each in sources(count)
    )
    head = "table ip linear {\nchain pre {\ntype nat hook prerouting priority dstnat\n"
    _feed([*_at("gw"), "nft", "-f", "-"], f"{head}{rules}}}\n}}\n")
    try:
        yield
    finally:
        run(*_at("gw"), "nft", "delete", "table", "ip", "linear")


@contextlib.contextmanager
def _iptables(count: int) -> Iterator[None]:
    rules = "".join(
        f"-A PREROUTING -s {each}/32 -d {OUTSIDE}/32 -p tcp --dport {PORT} -j DNAT "
        f"--to-destination {SERVER}:{PORT}\n"
        for each in sources(count)
    )
    _feed([*_at("gw"), "iptables-nft-restore"], f"*nat\n{rules}COMMIT\n")
    try:
        yield
    finally:
        run(*_at("gw"), "nft", "flush", "ruleset")  # of a namespace that is ours


def _feed(argv: Sequence[str], text: str) -> None:
    done = subprocess.run(argv, input=text, capture_output=True, text=True, check=False)
    if done.returncode:
        raise OSError(f"{argv[-1]}: {done.stderr.strip()[-500:]}")


CANDIDATES: Mapping[str, Placing] = {
    "bascule": _grants,
    "nft, a rule each": _nft,
    "iptables-nft, a rule each": _iptables,
}


if __name__ == "__main__":
    sys.exit(main())
