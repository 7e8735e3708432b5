"""What ends when: listed, and told once for each number of days."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeVar

import pytest
from structlog.testing import capture_logs

from bascule.domain.delivery import Form, Sink, parse_target
from bascule.domain.endings import Ending, Ends
from bascule.domain.facts.installation import EndingNear
from bascule.domain.principals import Credential, CredentialKind
from bascule.identity import x509 as certificates
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.services.endings import list_endings, near_endings, tell_endings
from tests.unit.services_world import ANNA, BERT, World

T = TypeVar("T")
DAY = timedelta(days=1)


@pytest.fixture
def world() -> World:
    return World()


def read(world: World, work: Callable[[Reader], T]) -> T:
    return asyncio.run(world.services.read(work))


def end_of(_: str) -> Sequence[datetime]:
    return ()


def secret(world: World, key_id: str, ends_in: timedelta | None, **how: object) -> Credential:
    now = world.clock.wall
    ends_at = None if ends_in is None else now + ends_in
    made = Credential(
        key_id, ANNA.principal_id, CredentialKind.SECRET, "0" * 64, "backup", now - DAY, ends_at
    )
    made = replace(made, **how)  # type: ignore[arg-type]  # reason: names of its fields
    world.do(lambda tx, _: tx.put_credential(made), None)
    return made


def ids(found: Sequence[Ending]) -> list[str]:
    return [each.id for each in found]


def told(world: World) -> list[EndingNear]:
    events = read(world, lambda reader: reader.events(EventFilter(), limit=1000))
    return [each.fact for _, each in events if isinstance(each.fact, EndingNear)]


def tell(world: World, *certificates: Ending) -> int:
    """How many lines of the log it made."""
    with capture_logs() as lines:
        asyncio.run(tell_endings(world.services, certificates, end_of))
    return len(lines)


def test_what_ends_within_sixty_days_is_listed_with_certificates_first_to_last(
    world: World,
) -> None:
    now = world.clock.wall
    for key_id, left in [("late", 61), ("soon", 3), ("month", 30), ("past", -2), ("old", -31)]:
        secret(world, key_id, left * DAY)
    secret(world, "never", None)
    secret(world, "other", 5 * DAY, kind=CredentialKind.CERTIFICATE, principal_id=BERT.principal_id)
    ca = Ending(Ends.CA, "ca", "installation", now + 3000 * DAY)
    found = read(world, lambda reader: list_endings(reader, [ca], end_of, now))
    assert ids(found) == ["past", "soon", "other", "month", "ca"]
    assert [each.what for each in found][1:3] == [Ends.CLIENT_SECRET, Ends.CLIENT_CERTIFICATE]
    assert found[1].name == "anna (backup)"
    near = read(world, lambda reader: near_endings(reader, [ca], end_of, now))
    assert ids(near) == ["past", "soon", "other", "month"]


def test_secrets_of_a_disabled_program_are_not_listed(world: World) -> None:
    secret(world, "soon", DAY)
    anna = read(world, lambda reader: reader.service_principal(ANNA.principal_id))
    assert anna is not None
    world.do(lambda tx, _: tx.put_service_principal(replace(anna, is_enabled=False)), None)
    assert read(world, lambda reader: list_endings(reader, [], end_of, world.clock.wall)) == []


def test_a_ca_that_is_over_hides_no_other_of_the_same_file(world: World) -> None:
    """People add the new CA of a receiver below the old one."""
    now, files = world.clock.wall, []
    for ended in (40, 10, -5, -70):  # days ago
        made_at = now - certificates.CA_LIFETIME - ended * DAY
        made = certificates.make_ca(certificates.new_key(), made_at)
        files.append(certificates.certificate_pem(made).decode())
    target = parse_target("https://siem.example/hook")
    sink = Sink("id", "siem", target, Form.RECORD, now, ca_certificates="".join(files))
    world.do(lambda tx, _: tx.put_sink(sink), None)
    found = read(world, lambda reader: list_endings(reader, [], certificates.ends_of, now))
    assert [each.days_left(now) for each in found] == [-10, 5]
    asyncio.run(tell_endings(world.services, [], certificates.ends_of))
    assert [(fact.what, fact.name, fact.days) for fact in told(world)] == [("sinkCa", "siem", 7)]


def test_an_end_is_told_once_for_each_threshold(world: World) -> None:
    ending = Ending(Ends.OWN, "own", "bascule.example", world.clock.wall + 61 * DAY)
    days: list[int] = []
    for _ in range(64):
        tell(world, ending)
        assert tell(world, ending) == 0
        days = [fact.days for fact in told(world)]
        world.clock.pass_time(DAY.total_seconds())
    assert sorted(days, reverse=True) == [60, 30, 14, 7, 1]
    assert {fact.what for fact in told(world)} == {"own"}


def test_what_is_found_late_is_told_once_and_its_renewal_anew(world: World) -> None:
    now = world.clock.wall
    ending = Ending(Ends.OWN, "own", "bascule.example", now + 5 * DAY)
    assert tell(world, ending) == 1
    assert [fact.days for fact in told(world)] == [7]
    renewed = replace(ending, ends_at=now + 20 * DAY)
    assert tell(world, renewed) == 1
    assert tell(world, ending, renewed) == 0


def test_what_is_over_is_not_told_as_news(world: World) -> None:
    secret(world, "past", -DAY)
    assert tell(world) == 0


def test_what_was_told_is_forgotten_after_its_end(world: World) -> None:
    ending = Ending(Ends.OWN, "own", "bascule.example", world.clock.wall + DAY)
    tell(world, ending)
    world.clock.pass_time(40 * DAY.total_seconds())
    tell(world, replace(ending, ends_at=world.clock.wall + DAY))
    assert len(read(world, lambda reader: reader.told_endings())) == 1
