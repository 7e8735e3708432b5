"""The agent's memory: what survives its death, a reboot, a torn or tampered file (EDGES A6)."""

from __future__ import annotations

import errno
import hashlib
import json
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from bascule.agent.commands import _begin_anew
from bascule.agent.memory import FALLBACK, NEWEST, PREVIOUS, HeldFile
from bascule.clocks import SystemClock
from bascule.domain.held import Held, HeldBehind, HeldLease
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import AddressPrefix, PortKey, PublicPort, TransportProtocol
from bascule.errors import ConfigurationError


class Clock:
    """A wall and a boot clock that a test sets."""

    def __init__(self) -> None:
        self.wall = datetime(2030, 1, 1, tzinfo=UTC)
        self.boot = 1000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.boot

    def boottime(self) -> float:
        return self.boot


SSH = PortKey(TransportProtocol.TCP, 22)
CLOSED = frozenset({ClosedPort(SSH, OnExpiry.KILL)})
LEASE = HeldLease((SSH,), (AddressPrefix.parse("192.0.2.7"),), 1100.0, 2, is_local=True)
HELD = Held(7, CLOSED, {"g-1": LEASE}, {"g-0": LEASE}, {"g-9": LEASE}, is_refused=True)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def memory(directory: Path, clock: Clock, boot: str = "boot-1") -> HeldFile:
    return HeldFile(directory, clock, boot)


def test_an_agent_that_never_saved_holds_nothing(tmp_path: Path, clock: Clock) -> None:
    """A first start must not close ports that nobody asked to be closed."""
    assert memory(tmp_path, clock).load() == Held()


def test_what_was_saved_is_loaded_whole(tmp_path: Path, clock: Clock) -> None:
    """A restart in the same boot keeps every lease at its very end."""
    memory(tmp_path, clock).save(HELD)
    clock.boot = 1050.0
    assert memory(tmp_path, clock).load() == HELD


def test_a_reboot_takes_the_passed_time_off(tmp_path: Path, clock: Clock) -> None:
    """100 s were left; 40 s of wall clock passed; the new boot is 5 s old: it ends at 65."""
    memory(tmp_path, clock).save(HELD)
    clock.wall += timedelta(seconds=40)
    clock.boot = 5.0
    loaded = memory(tmp_path, clock, "boot-2").load()
    assert loaded.closed == CLOSED
    assert loaded.leases["g-1"].deadline == pytest.approx(65.0)


def test_a_reboot_shifts_cuts_and_what_left_as_it_shifts_leases(
    tmp_path: Path, clock: Clock
) -> None:
    """After nine days of uptime a cut of two minutes would last for as long again."""
    clock.boot = 9 * 86_400.0
    cut = replace(LEASE, deadline=clock.boot + 120.0)
    memory(tmp_path, clock).save(replace(HELD, leases={}, cuts={"g-0": cut}, ended={"g-9": cut}))
    clock.wall += timedelta(seconds=40)
    clock.boot = 5.0
    loaded = memory(tmp_path, clock, "boot-2").load()
    assert loaded.cuts["g-0"].deadline == pytest.approx(85.0)
    assert loaded.ended["g-9"].deadline == pytest.approx(85.0)


def test_a_clock_behind_keeps_what_left_known_in_terms_of_this_boot(
    tmp_path: Path, clock: Clock
) -> None:
    """By the clock of the boot before it would be far in the future, and said to be impossible."""
    clock.boot = 10 * 86_400.0
    left = replace(LEASE, deadline=clock.boot + 100.0)
    memory(tmp_path, clock).save(replace(HELD, ended={"g-9": left}))
    clock.wall -= timedelta(seconds=1)
    clock.boot = 5.0
    behind = memory(tmp_path, clock, "boot-2").load()
    assert {key: each.deadline for key, each in behind.ended.items()} == {"g-9": 105.0}
    memory(tmp_path, clock, "boot-2").save(behind)
    again = memory(tmp_path, clock, "boot-2")
    assert again.load() == behind
    assert again.notes == []


def test_a_clock_behind_the_saved_one_restores_no_grant(tmp_path: Path, clock: Clock) -> None:
    """With a lying clock nobody knows what is left, so nothing is opened."""
    memory(tmp_path, clock).save(HELD)
    clock.wall -= timedelta(seconds=1)
    file = memory(tmp_path, clock, "boot-2")
    loaded = file.load()
    assert (loaded.closed, dict(loaded.leases)) == (CLOSED, {})
    assert "behind" in file.notes[0]


def test_a_damaged_newest_file_closes_what_the_one_before_closed(
    tmp_path: Path, clock: Clock
) -> None:
    """Two generations: the older one's ports are shut, none of its grants is opened."""
    file = memory(tmp_path, clock)
    file.save(HELD)
    file.save(Held(8, CLOSED, {}))
    (tmp_path / NEWEST).write_text((tmp_path / NEWEST).read_text()[:-20])
    loaded = memory(tmp_path, clock).load()
    assert (loaded.closed, dict(loaded.leases), loaded.generation) == (CLOSED, {}, 7)


def test_a_tampered_file_is_a_damaged_file(tmp_path: Path, clock: Clock) -> None:
    """A longer deadline written by hand does not pass the checksum."""
    file = memory(tmp_path, clock)
    file.save(HELD)
    path = tmp_path / NEWEST
    path.write_text(path.read_text().replace("1100.0", "9900.0"))
    assert memory(tmp_path, clock).load() == Held(generation=HELD.generation, closed=CLOSED)


def test_what_is_shut_is_in_both_files_as_soon_as_it_is_saved(tmp_path: Path, clock: Clock) -> None:
    """A death before the next save, and damage to the newest, open nothing."""
    file = memory(tmp_path, clock)
    file.save(Held(generation=6))
    file.save(Held(generation=7, closed=CLOSED))
    (tmp_path / NEWEST).write_text("torn")
    assert memory(tmp_path, clock).load().closed == CLOSED


def test_with_neither_readable_the_management_ports_are_shut(tmp_path: Path, clock: Clock) -> None:
    """Nobody can say what was closed, so what everybody attacks is."""
    (tmp_path / NEWEST).write_text("")
    (tmp_path / PREVIOUS).write_text("{}")
    file = memory(tmp_path, clock)
    assert file.load() == Held(closed=FALLBACK)
    assert {closed.port.number for closed in FALLBACK} == {22, 3389, 5985, 5986}
    assert file.notes


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"a": ' * 100_000, '{"checksum": "", "body": null}', "[]", "null", ""]
)
def test_whatever_a_file_contains_it_is_a_damaged_file(
    tmp_path: Path, clock: Clock, text: str
) -> None:
    """An agent that stopped at it would close nothing after a boot."""
    (tmp_path / NEWEST).write_text(text)
    assert memory(tmp_path, clock).load() == Held(closed=FALLBACK)
    memory(tmp_path, clock).save(HELD)
    assert memory(tmp_path, clock).load() == HELD


def test_a_damaged_file_never_becomes_the_previous_one(tmp_path: Path, clock: Clock) -> None:
    """Saving over a damaged newest keeps the good older generation."""
    file = memory(tmp_path, clock)
    file.save(HELD)
    file.save(Held(8, CLOSED, {}))
    good_previous = (tmp_path / PREVIOUS).read_text()
    (tmp_path / NEWEST).write_text("torn")
    file.save(Held(9, CLOSED, {}))
    assert (tmp_path / PREVIOUS).read_text() == good_previous
    assert memory(tmp_path, clock).load().generation == 9


def test_files_are_the_owners_alone(tmp_path: Path, clock: Clock) -> None:
    memory(tmp_path, clock).save(HELD)
    assert (tmp_path / NEWEST).stat().st_mode & 0o777 == 0o600


def test_a_save_that_is_cut_short_leaves_two_generations(
    tmp_path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until the new file is whole on disk, the two of before are two files."""
    first, second = HeldFile(tmp_path, clock, "a"), Held(generation=2)
    first.save(Held(generation=1))
    first.save(second)

    def cut(_: int) -> None:
        raise OSError(errno.EIO, "cut short")

    with monkeypatch.context() as dying:
        dying.setattr(os, "fsync", cut)
        with pytest.raises(ConfigurationError):
            first.save(Held(generation=3))
    newest, previous = tmp_path / NEWEST, tmp_path / PREVIOUS
    assert newest.stat().st_ino != previous.stat().st_ino
    assert HeldFile(tmp_path, clock, "a").load() == second


def test_what_no_firewall_holds_is_dropped_at_a_load(tmp_path: Path, clock: Clock) -> None:
    """It would be refused at every boot with all that is beside it, and the ports stay open."""
    wrong = PortKey(TransportProtocol.TCP, 70_000)
    day = 86_400.0
    good = {"good": LEASE, "longest": replace(LEASE, deadline=clock.boot + day)}
    bad = {
        "port": replace(LEASE, ports=(SSH, wrong)),
        "late": replace(LEASE, deadline=clock.boot + day + 1),
        "endless": replace(LEASE, deadline=float("inf")),
        "nan": replace(LEASE, deadline=float("nan")),
    }
    every = {**good, **bad}
    memory(tmp_path, clock).save(Held(7, CLOSED | {ClosedPort(wrong)}, every, every, every))
    file = memory(tmp_path, clock)
    assert file.load() == Held(7, CLOSED, good, good, good)
    (note,) = file.notes
    assert "13 invalid entries of the saved state" in note
    assert "70000/tcp" in note
    (tmp_path / NEWEST).write_text("torn")
    assert memory(tmp_path, clock).load().closed == CLOSED


def test_more_leases_than_a_machine_may_have_are_dropped(tmp_path: Path, clock: Clock) -> None:
    """All of the server's, which tells them anew; root's own stay."""
    told = replace(LEASE, is_local=False, sources=LEASE.sources * 1000)
    leases = {f"g-{n}": told for n in range(30)}
    memory(tmp_path, clock).save(Held(7, CLOSED, {"local-1": LEASE, **leases}))
    assert len(memory(tmp_path, clock).load().leases) == 31
    memory(tmp_path, clock).save(Held(8, CLOSED, {"local-1": LEASE, **leases, "more": told}))
    file = memory(tmp_path, clock)
    assert set(file.load().leases) == {"local-1"}
    assert file.notes


# -- machines behind a gateway -----------------------------------------------------------------

ADDRESSES = ip_address("10.1.0.10"), ip_address("fd01::10")
FORMER = frozenset({ip_address("10.1.0.11")})
MAPPED = {
    PortKey(TransportProtocol.TCP, 22): tuple(
        PublicPort(ip_address(address), 2222) for address in ("198.51.100.7", "2001:db8::7")
    ),
    PortKey(TransportProtocol.UDP, 53): (PublicPort(ip_address("198.51.100.7"), 2222),),
}
GATEWAY = replace(HELD, behind={"app": HeldBehind(HELD, ADDRESSES, FORMER, MAPPED)})


def test_what_is_held_for_machines_behind_is_restored_as_for_the_host(
    tmp_path: Path, clock: Clock
) -> None:
    """A reboot takes the time that passed off their leases too."""
    memory(tmp_path, clock).save(GATEWAY)
    assert memory(tmp_path, clock).load() == GATEWAY
    clock.wall += timedelta(seconds=30)
    clock.boot = 5.0
    restored = memory(tmp_path, clock, "boot-2").load()
    app = restored.behind["app"]
    assert (app.addresses, app.former, app.mapped) == (ADDRESSES, FORMER, MAPPED)
    for held in (restored, app.held):
        for leases in (held.leases, held.cuts, held.ended):
            assert [each.deadline for each in leases.values()] == [5.0 + 70.0]
    assert app.held.closed == CLOSED


def test_with_a_clock_behind_machines_are_closed_and_none_is_opened(
    tmp_path: Path, clock: Clock
) -> None:
    memory(tmp_path, clock).save(GATEWAY)
    clock.wall -= timedelta(seconds=1)
    app = memory(tmp_path, clock, "boot-2").load().behind["app"]
    assert (app.held.closed, app.held.leases, app.held.cuts) == (CLOSED, {}, {})
    assert (app.addresses, app.former) == (ADDRESSES, FORMER)


@pytest.mark.parametrize(
    "before",
    [
        replace(GATEWAY, behind={}),
        replace(GATEWAY, behind={"app": HeldBehind(HELD, ADDRESSES[:1], FORMER)}),
        replace(GATEWAY, behind={"app": HeldBehind(HELD, ADDRESSES, FORMER)}),
        replace(GATEWAY, behind={"app": HeldBehind(replace(HELD, closed=frozenset()), ADDRESSES)}),
    ],
    ids=["another machine", "another address", "no public port", "another port"],
)
@pytest.mark.parametrize("damaged", [NEWEST, PREVIOUS])
def test_whichever_file_is_damaged_the_other_knows_what_is_closed_behind(
    tmp_path: Path, clock: Clock, before: Held, damaged: str
) -> None:
    memory(tmp_path, clock).save(before)
    memory(tmp_path, clock).save(GATEWAY)
    (tmp_path / damaged).write_text("torn")
    app = memory(tmp_path, clock).load().behind["app"]
    assert (app.held.closed, app.addresses, app.former) == (CLOSED, ADDRESSES, FORMER)
    assert app.mapped == MAPPED
    assert (app.held.leases == {}) is (damaged == NEWEST), "none of the grants of before"


def test_of_machines_behind_too_what_no_firewall_holds_is_dropped(
    tmp_path: Path, clock: Clock
) -> None:
    endless = {"g-1": LEASE, "endless": replace(LEASE, deadline=float("inf"))}
    app = HeldBehind(replace(HELD, leases=endless), ADDRESSES)
    memory(tmp_path, clock).save(replace(GATEWAY, behind={"app": app}))
    file = memory(tmp_path, clock)
    assert file.load().behind["app"].held == HELD
    assert "lease endless" in file.notes[0]


def test_a_file_of_before_there_were_gateways_is_read(tmp_path: Path, clock: Clock) -> None:
    memory(tmp_path, clock).save(HELD)
    outer = json.loads((tmp_path / NEWEST).read_text())
    body = json.loads(outer["body"])
    del body["held"]["behind"]
    text = json.dumps(body)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    (tmp_path / NEWEST).write_text(json.dumps({"checksum": checksum, "body": text}))
    assert memory(tmp_path, clock).load() == HELD


def test_the_number_of_the_installation_is_in_both_files(tmp_path: Path, clock: Clock) -> None:
    """A server that is retired is not believed after a reboot, or with one file damaged."""
    file = HeldFile(tmp_path, clock, "boot")
    file.save(Held(generation=3, installation=1))
    file.save(Held(generation=3, installation=2))
    assert file.load().installation == 2
    (tmp_path / NEWEST).write_text("torn")
    assert HeldFile(tmp_path, clock, "boot").load().installation == 2


def test_a_new_identity_inherits_what_is_closed_behind(tmp_path: Path) -> None:
    """``agent install`` on a gateway that is enrolled already (EDGES A12)."""
    clock = SystemClock()
    local = replace(LEASE, deadline=clock.boottime() + 60)
    granted = replace(local, is_local=False)
    app = HeldBehind(Held(3, CLOSED, {"g": granted, "root": local}), (ip_address("10.1.0.5"),))
    HeldFile(tmp_path, clock).save(Held(7, CLOSED, {"g": granted}, behind={"app": app}))
    _begin_anew(tmp_path, None)
    loaded = HeldFile(tmp_path, clock).load()
    assert loaded == Held(
        closed=CLOSED, behind={"app": replace(app, held=Held(0, CLOSED, {"root": local}))}
    )
