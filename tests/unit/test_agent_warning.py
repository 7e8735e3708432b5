"""EDGES J13: when warnings are due, what they say, and that nothing else is taken for one."""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Mapping
from dataclasses import replace
from ipaddress import ip_address, ip_network
from pathlib import Path

import pytest

from bascule.agent import warning
from bascule.agent.notice import Notice, parse_notice
from bascule.agent.terminals import connections, read_notices
from bascule.agent.warn_units import VARIABLE
from bascule.agent.warning import Timing, Warner, warner_from_environment
from bascule.domain.held import Held, HeldBehind, HeldLease
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import InvalidInput
from tests.unit.services_world import SetClock

SSH = PortKey(TransportProtocol.TCP, 22)
ANN, BOB = "192.0.2.1", "192.0.2.2"


def lease(deadline: float, *sources: str, ports: tuple[PortKey, ...] = (SSH,)) -> HeldLease:
    return HeldLease(ports, tuple(map(AddressPrefix.parse, sources or (ANN,))), deadline)


def held(**leases: HeldLease) -> Held:
    return Held(leases=leases)


def told(timing: Timing, leases: Mapping[str, HeldLease], begin: int, end: int) -> list[int]:
    """Seconds at which something is due, looked for each second."""
    state = Held(leases=leases)
    return [now for now in range(begin, end + 1) if timing.due(state, float(now))]


def started() -> Timing:
    """Of an agent that found nothing in its memory."""
    timing = Timing()
    assert timing.due(Held(), 0.0) == []
    return timing


# -- nobody is told what is not so ------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"22 5\n\n",  # nobody
        b"22 5\n192.0.2.1/32",
        b"22 5\n192.0.2.1/32\n\n",
        b"22 5 \n192.0.2.1/32\n",
        b" 22 5\n192.0.2.1/32\n",
        b"22 05\n192.0.2.1/32\n",
        b"+22 5\n192.0.2.1/32\n",
        b"2_2 5\n192.0.2.1/32\n",
        b"0 5\n192.0.2.1/32\n",
        b"65536 5\n192.0.2.1/32\n",
        b"22 -1\n192.0.2.1/32\n",
        b"22 6\n192.0.2.1/32\n",
        b"22 5\n192.0.2.1\n",
        b"22 5\n192.0.2.1/24\n",
        b"22 5\n192.0.2.1/32 \x1b[2J\n",
        b"22 5\n192.0.2.1/32\nroot",
        b"\xd9\xa2\xd9\xa2 5\n192.0.2.1/32\n",  # digits that int() takes
        b"22 5\n192.0.2.1/32\n\0",
        b"9" * 5000 + b" 5\n192.0.2.1/32\n",
    ],
)
def test_what_is_no_notice_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        parse_notice(data)


@pytest.mark.parametrize(
    ("minutes", "words"),
    [(5, b"5 minutes"), (2, b"2 minutes"), (1, b"1 minute"), (0, b"less than a minute")],
)
def test_the_text_is_fixed_but_for_port_and_minutes(minutes: int, words: bytes) -> None:
    notice = Notice(2222, minutes, (ip_network("192.0.2.0/24"), ip_network("fd00::/8")))
    assert parse_notice(notice.encode()) == notice
    assert notice.text == (
        b"\r\nBascule: access to port 2222 ends in " + words + b". To extend: bascule extend\r\n"
    )


def test_who_is_admitted_for_longer_is_told_nothing() -> None:
    """Two people behind one address: nothing ends for that address yet."""
    timing = started()
    both = {"a": lease(1000.0, ANN, BOB), "b": lease(9000.0, ANN)}
    assert timing.due(Held(leases=both), 1.0) == []
    (notice,) = timing.due(Held(leases=both), 901.0)
    assert not notice.is_for(ip_address(ANN))
    assert notice.is_for(ip_address(BOB))
    assert not notice.is_for(ip_address("192.0.2.3"))
    assert parse_notice(notice.encode()) == notice


def test_of_two_that_end_together_one_tells() -> None:
    timing = started()
    both = held(a=lease(1000.0, ANN), b=lease(1000.0, ANN))
    timing.due(both, 0.0)
    notices = timing.due(both, 900.0)
    assert [each.is_for(ip_address(ANN)) for each in notices] == [False, True]


def test_another_port_s_longer_lease_spares_nobody() -> None:
    timing = started()
    other = PortKey(TransportProtocol.TCP, 2222)
    state = held(a=lease(1000.0, ANN), b=lease(90000.0, ANN, ports=(other,)))
    timing.due(state, 0.0)
    (notice,) = timing.due(state, 900.0)
    assert (notice.port, notice.minutes, notice.spared) == (22, 2, ())


def test_sources_of_everywhere_are_both_families() -> None:
    timing = started()
    state = Held(leases={"a": HeldLease((SSH,), (AddressPrefix(None),), 1000.0)})
    timing.due(state, 0.0)
    (notice,) = timing.due(state, 900.0)
    assert notice.is_for(ip_address(ANN))
    assert notice.is_for(ip_address("2001:db8::1"))


@pytest.mark.parametrize(
    "of",
    [
        {"a": replace(lease(1000.0), is_local=True)},
        {"a": lease(1000.0, ports=(PortKey(TransportProtocol.UDP, 22),))},
    ],
)
def test_root_s_openings_and_udp_warn_nobody(of: Mapping[str, HeldLease]) -> None:
    assert told(started(), of, 0, 1000) == []


def test_a_machine_behind_this_host_has_its_terminals_elsewhere() -> None:
    timing = started()
    state = Held(behind={"web": HeldBehind(held(a=lease(1000.0)))})
    assert not any(timing.due(state, float(now)) for now in range(1001))


# -- when --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("length", "expected"),
    [
        (3 * 3600, [3 * 3600 - 300, 3 * 3600 - 60]),
        (3000, [2700, 2940]),
        (1800, [1620, 1740]),
        (600, [540]),  # a tenth; a second one would follow at once
        (60, [54]),
    ],
)
def test_five_minutes_before_of_a_short_grant_a_tenth(length: int, expected: list[int]) -> None:
    assert told(started(), {"a": lease(float(length))}, 0, length + 10) == expected


def test_the_minutes_are_those_that_are_left() -> None:
    timing = started()
    state = held(a=lease(3600.0))
    timing.due(state, 0.0)
    assert [each.minutes for each in timing.due(state, 3301.9)] == [5]
    assert [each.minutes for each in timing.due(state, 3575.0)] == [0]
    assert timing.due(state, 3600.0) == []


def test_an_extension_in_time_cancels_it_and_starts_it_anew() -> None:
    timing = started()
    assert told(timing, {"a": lease(3600.0)}, 0, 3299) == []
    assert told(timing, {"a": lease(7200.0)}, 3300, 7200) == [6900, 7140]


def test_an_extension_after_it_is_followed_by_another() -> None:
    timing = started()
    assert told(timing, {"a": lease(3600.0)}, 0, 3400) == [3300]
    assert told(timing, {"a": lease(7200.0)}, 3401, 7200) == [6900, 7140]


def test_an_end_that_is_told_again_a_little_earlier_warns_once() -> None:
    """Each state counts from when it was asked for."""
    timing = started()
    seen = [
        now
        for now in range(3601)
        if timing.due(held(a=lease(3600.0 - now / 10_000 + (now % 2) / 100)), float(now))
    ]
    assert seen == [3300, 3540]


def test_an_end_that_is_brought_forward_is_told_at_once() -> None:
    timing = started()
    assert told(timing, {"a": lease(36_000.0)}, 0, 100) == []
    (notice,) = timing.due(held(a=lease(280.0)), 101.0)
    assert notice.minutes == 3


def test_what_is_revoked_warns_nobody() -> None:
    timing = started()
    assert told(timing, {"a": lease(3600.0)}, 0, 3299) == []
    assert told(timing, {}, 3300, 3600) == []


def test_a_restarted_agent_repeats_nothing_and_goes_on() -> None:
    assert told(Timing(), {"a": lease(3600.0)}, 3310, 3600) == [3540]
    assert told(Timing(), {"a": lease(3600.0)}, 3000, 3600) == [3300, 3540]


# -- sending ------------------------------------------------------------------------------------------


def test_the_agent_sends_one_datagram_and_waits_for_nobody(tmp_path: Path) -> None:
    path = tmp_path / "warn"
    clock = SetClock()
    state = held(a=lease(clock.boottime() + 100.0))
    warner = Warner(path, lambda: state, clock)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        service.bind(str(path))
        warner.tell()
        clock.boot += 45.0
        warner.tell()  # it was found at the start, and the minute is to come
        warner.tell()
        (notice,) = read_notices(service)
        assert (notice.port, notice.minutes) == (22, 1)
        assert read_notices(service) == []
        assert not select.select([service], [], [], 0)[0]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_service_that_is_away_or_busy_holds_nothing_up(tmp_path: Path, *, is_there: bool) -> None:
    path = tmp_path / "warn"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as service:
        if is_there:
            service.bind(str(path))
        for _ in range(1000):  # more than a queue takes
            try:
                warning._send(path, Notice(22, 5, (ip_network("192.0.2.1/32"),)).encode())
            except OSError:
                break
        else:
            pytest.fail("it took them all")
        clock = SetClock()
        state = [held()]
        warner = Warner(path, lambda: state[0], clock)
        warner.tell()
        state[0] = held(a=lease(clock.boottime() + 10.0))
        warner.tell()
        clock.boot += 9.5
        warner.tell()


def test_too_many_sources_are_no_endless_datagram(tmp_path: Path) -> None:
    many = tuple(ip_network(f"10.{n >> 8}.{n & 255}.1/32") for n in range(6000))
    with pytest.raises(OSError, match="too many sources"):
        warning._send(tmp_path / "warn", Notice(22, 5, many).encode())


def test_who_sends_nonsense_is_said_and_the_rest_is_read(capfd: pytest.CaptureFixture[str]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with ours, theirs:
        good = Notice(22, 5, (ip_network("192.0.2.1/32"),))
        for data in (b"\x1b[2J", b"22 5\n" + b"192.0.2.1/32 " * 9000, good.encode()):
            theirs.send(data)
        assert read_notices(ours) == [good]
    said = capfd.readouterr().err
    assert said.count("refused") == 2
    assert "\x1b" not in said


def test_without_the_unit_s_word_nobody_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert warner_from_environment(Held, SetClock()) is None
    monkeypatch.setenv(VARIABLE, os.devnull)
    assert warner_from_environment(Held, SetClock()) is not None


# -- what the kernel prints ---------------------------------------------------------------------------

_HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"


def test_established_connections_are_read_and_others_left_out() -> None:
    tail = "00000000:00000000 00:00000000 00000000     0        0 77 1 0 20 4 30 10 -1"
    four = f"   0: 01004D0A:0016 02004D0A:D431 01 {tail}\n"
    waits = f"   1: 01004D0A:0016 02004D0A:D432 06 {tail}\n"
    broken = "   2: 01004D0A:zz 02004D0A\n   3:\n\n"
    (found,) = connections(_HEAD + four + waits + broken)
    assert (found.port, str(found.peer), found.inode) == (22, "10.77.0.2", 77)
    mapped = f"   0: {'0' * 32}:0016 0000000000000000FFFF000002004D0A:D431 01 {tail}\n"
    six = f"   1: {'0' * 32}:0016 B80D0120000000000000000001000000:D431 01 {tail}\n"
    assert [str(each.peer) for each in connections(_HEAD + mapped + six)] == [
        "10.77.0.2",
        "2001:db8::1",
    ]
