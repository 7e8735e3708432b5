"""The guard file: what it admits, and that a bad one admits nothing rather than everything."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from bascule.agent.guard_file import closed_guard, guard_of_host, load_guard
from bascule.domain.bounds import Guard, Objection
from bascule.domain.desired import DesiredState, Lease
from bascule.domain.guard import bound
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import ConfigurationError

TCP, UDP = TransportProtocol.TCP, TransportProtocol.UDP


def guard_of(tmp_path: Path, text: str) -> Guard:
    path = tmp_path / "guard.toml"
    path.write_text(text)
    return load_guard(path)


def test_an_absent_file_bounds_nothing(tmp_path: Path) -> None:
    assert load_guard(tmp_path / "none.toml") == Guard()


@pytest.mark.parametrize("linked", ["guard.toml", "etc"])
def test_a_link_that_leads_to_nothing_is_no_absent_file(tmp_path: Path, linked: str) -> None:
    """Somebody meant a guard to be there (guarantee 21)."""
    path = tmp_path / "guard.toml" if linked == "guard.toml" else tmp_path / "etc" / "guard.toml"
    (tmp_path / linked).symlink_to(tmp_path / "nothing")
    with pytest.raises(ConfigurationError, match=r"guard\.toml"):
        load_guard(path)
    guard = guard_of_host(path)
    assert guard == closed_guard(guard.problem)
    assert "it is a dangling link" in guard.problem
    (tmp_path / "nothing").mkdir()
    if linked == "etc":
        assert load_guard(path) == Guard(), "a link that leads somewhere, and no file there"


def test_a_whole_file(tmp_path: Path) -> None:
    text = 'ports = ["22/tcp", "53"]\nsources = ["10.0.0.0/8"]\nmax_duration = "PT2H"\n'
    assert guard_of(tmp_path, text) == Guard(
        (PortKey(TCP, 22), PortKey(TCP, 53), PortKey(UDP, 53)),
        (AddressPrefix.parse("10.0.0.0/8"),),
        timedelta(hours=2),
        may_release=False,
    )
    assert guard_of(tmp_path, text + "release = true\n").may_release
    assert not guard_of(tmp_path, "release = false\n").may_release


def test_an_absent_key_bounds_nothing_and_an_empty_list_admits_nothing(tmp_path: Path) -> None:
    assert guard_of(tmp_path, "ports = []\n") == Guard(ports=(), may_release=False)
    assert guard_of(tmp_path, "") == Guard()


@pytest.mark.parametrize(
    "text",
    [
        "ports = [",
        'port = ["22"]\n',
        'ports = ["ssh"]\n',
        'ports = ["22/sctp"]\n',
        "ports = [0]\n",
        'ports = ["70000"]\n',
        "ports = 22\n",
        'ports = "22"\n',
        'sources = "10.0.0.0/8"\n',
        "sources = [10]\n",
        'sources = ["10.0.0.1/8"]\n',
        'sources = ["everywhere"]\n',
        'max_duration = "2h"\n',
        'max_duration = "PT0S"\n',
        "max_duration = 7200\n",
        'release = "no"\n',
        "\xff",
    ],
)
def test_what_is_not_right_is_an_error_that_names_the_file(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"guard\.toml"):
        guard_of(tmp_path, text)


def test_a_file_that_cannot_be_read_admits_nothing() -> None:
    """What the agent goes by then: every lease is refused, each with its sentence."""
    lease = Lease(
        "g-1", (PortKey(TCP, 22),), (AddressPrefix.parse("192.0.2.1"),), timedelta(minutes=5)
    )
    released = {PortKey(TCP, 22): 3}
    state = DesiredState("uid-1", 3, frozenset(), released, (lease,))
    bounded = bound(state, closed_guard("it is no TOML"))
    assert bounded.state.leases == ()
    assert bounded.state.released == {}
    assert bounded.refused == {"g-1": Objection.UNREADABLE}
    assert "g-1" in bounded.notes[0]
