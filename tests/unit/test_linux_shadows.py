"""What is read of rules and programs that lead past closed ports, without a kernel (EDGES G7)."""

from __future__ import annotations

import socket
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.shadows import past_us
from bascule.domain.weaknesses import BLOCKED_ELSEWHERE, PROXIED_PAST, SECOND_PORT, Shadow, Weakness
from bascule.drivers.linux import bridges, proxies
from bascule.drivers.linux.links import Bridge
from bascule.drivers.linux.rewriting import written
from bascule.drivers.linux.routes import Hop
from bascule.drivers.linux.ruleset import INET, NETDEV
from bascule.drivers.linux.shadows import MOST_OF_A_KIND, bounded

SSH = PortKey(TransportProtocol.TCP, 22)
APP, APP6 = ip_address("10.1.0.10"), ip_address("fd01::10")
AT_APP = SSH.behind(APP)


# -- no more than some of each kind ---------------------------------------------------------


def seconds(number: int) -> list[Weakness]:
    return [
        SECOND_PORT(port=SSH, other=f"{3000 + each}/tcp", program="x", rule="r")
        for each in range(number)
    ]


def blocks(number: int) -> list[Weakness]:
    return [
        BLOCKED_ELSEWHERE(port=f"{3000 + each}/tcp", where="ufw", rule="r", how="h")
        for each in range(number)
    ]


@pytest.mark.parametrize(
    ("found", "more"),
    [
        ([], []),
        (seconds(MOST_OF_A_KIND), []),
        (seconds(MOST_OF_A_KIND) + seconds(MOST_OF_A_KIND), []),  # each is one
        (seconds(MOST_OF_A_KIND + 1), [("MoreFound", "1", "SecondPort")]),
        (blocks(MOST_OF_A_KIND + 3), [("MoreBlocked", "3", "BlockedElsewhere")]),
        (
            [*seconds(20), PROXIED_PAST(port=SSH, other="1/tcp", rule="r"), *blocks(20)],
            [("MoreFound", "12", "SecondPort"), ("MoreBlocked", "12", "BlockedElsewhere")],
        ),
    ],
)
def test_how_many_more_there_are_is_told_before_them(
    found: list[Weakness], more: list[tuple[str, str, str]]
) -> None:
    told = list(bounded(found))
    said = [(e.code, e.arguments["number"], e.arguments["codes"]) for e in told[: len(more)]]
    assert said == more
    rest = told[len(more) :]
    assert all(
        sum(e.code == code for e in rest) <= MOST_OF_A_KIND for code in {e.code for e in rest}
    )
    assert not any(each.code.startswith("More") for each in rest)


def test_a_port_that_may_be_among_those_left_out_is_not_called_closed() -> None:
    """What only blocks leaves it closed."""
    other = PortKey(TransportProtocol.TCP, 5432)
    assert past_us(list(bounded(seconds(9))), other) is Shadow.UNREAD
    assert past_us(list(bounded(blocks(9))), other) is None


# -- what a rule writes ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("family", "offset", "size", "what"),
    [
        (socket.AF_INET, 12, 4, "source"),
        (socket.AF_INET, 14, 2, "source"),
        (socket.AF_INET, 16, 4, "destination"),
        (socket.AF_INET, 8, 2, ""),  # TTL
        (socket.AF_INET, 0, 2, ""),  # DSCP
        (socket.AF_INET6, 8, 16, "source"),
        (socket.AF_INET6, 24, 16, "destination"),
        (socket.AF_INET6, 6, 2, ""),  # hop limit
        *(
            (family, *rest)
            for family in (INET, NETDEV)
            for rest in (
                (12, 4, "source"),
                (16, 4, "destination"),
                (8, 2, ""),
                (8, 16, "source"),
                (24, 16, "destination"),
                (20, 4, "source"),  # beyond IPv4's header
            )
        ),
    ],
)
def test_which_address_some_bytes_are_of(family: int, offset: int, size: int, what: str) -> None:
    assert written(family, offset, offset + size) == what


# -- what a program's words name ------------------------------------------------------------

DOORS = {(APP, 22): AT_APP, (APP6, 22): SSH.behind(APP6)}
NAMES = {"10.1.0.10": APP, "fd01::10": APP6, "app-1": APP}


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("socat TCP-LISTEN:8022,fork TCP:10.1.0.10:22", APP),
        ("proxy_pass 10.1.0.10:22;", APP),
        ("server one app-1:22 check", APP),
        ("server one APP-1:22", APP),
        ("redir 0.0.0.0 8022 10.1.0.10 22", APP),
        ("TCP6:[fd01::10]:22", APP6),
        ("TCP6:[fd01:0:0:0:0:0:0:10]:22", APP6),
        ("0.0.0.0 8022 fd01::10 22", APP6),
        ("TCP:10.1.0.10:2222", None),
        ("TCP:110.1.0.10:22", None),
        ("TCP:10.1.0.10:22.5", None),
        ("my-app-1:22", None),
        ("app-1.example:22", None),
        ("10.1.0.11:22", None),
    ],
)
def test_a_machine_s_port_is_known_by_its_address_or_name(line: str, address: object) -> None:
    found = {port.at for port, _ in proxies.in_line(line, DOORS, NAMES)}
    assert found == ({address} if address else set())


def test_names_are_those_of_the_hosts_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = tmp_path / "hosts"
    hosts.write_text("10.1.0.10 App-1 app-1.example # web-1\n#10.1.0.10 old\n10.1.0.11 app-2\n")
    monkeypatch.setattr(proxies, "_HOSTS", hosts)
    assert proxies.names_of({APP}) == {"10.1.0.10": APP, "app-1": APP, "app-1.example": APP}
    monkeypatch.setattr(proxies, "_HOSTS", tmp_path / "none")
    assert proxies.names_of({APP}) == {"10.1.0.10": APP}


# -- bridges --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "judged", "interface", "is_found"),
    [
        ("0", (), 3, True),
        (None, (), 3, True),  # no br_netfilter
        (None, (4,), 3, True),
        ("1", (), 3, False),
        ("0", (4,), 3, False),
        ("0", (6,), 3, True),
        ("0", (), 4, False),  # the machine is on another link
    ],
)
def test_a_bridge_to_the_machine_and_the_world_is_found_unless_rules_judge_it(
    setting: str | None,
    judged: tuple[int, ...],
    interface: int,
    is_found: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if setting is not None:
        (tmp_path / "bridge-nf-call-iptables").write_text(f"{setting}\n")
    monkeypatch.setattr(bridges, "_FOLDER", tmp_path)
    made = {4: [Bridge(3, "br0", frozenset(judged))], 6: []}
    monkeypatch.setattr(bridges, "default_bridges", lambda version: made[version])
    monkeypatch.setattr(bridges, "hop_to", lambda _: Hop(interface, None, None))
    found = list(bridges.bridged([SSH, AT_APP]))
    assert [(each.code, each.arguments["port"], each.rule) for each in found] == (
        [("Bridged", str(AT_APP), "br0")] if is_found else []
    )
    assert all(each.manager == "bridge br0" for each in found)
