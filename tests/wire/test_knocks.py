"""Blocked attempts on the wire: told by agents, shown to who may read the machine (EDGES C2)."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.actions import MACHINE_READ, POLICY_READ
from bascule.protocol.report import MOST_KNOCKS
from tests.wire.house import House
from tests.wire.somebody import somebody

ATTEMPTS = "providers/Bascule.Access/blockedAttempts/default"
STRANGER, SIX = "198.51.100.66", "2001:db8::66"
SSH = {"protocol": "TCP", "number": 22}


def told(source: str, attempts: int = 1, **more: Any) -> dict[str, Any]:
    return {"source": source, **SSH, "attempts": attempts, **more}


def of(house: House, name: str, **params: Any) -> dict[str, Any]:
    answer = house.call("GET", f"{house.machine(name)}/{ATTEMPTS}", params=params)
    assert answer.status_code == 200, answer.text
    return dict(answer.json()["properties"])


def sources(shown: dict[str, Any]) -> dict[str, int]:
    return {each["address"]: each["attempts"] for each in shown["sources"]}


@pytest.fixture
def town(house: House) -> House:
    """web-1 has been knocked at from two sources, db-1 from one."""
    for name, knocks in (
        ("web-1", [told(STRANGER, 3), told(SIX, 2, ageMs=1_800_000), {"attempts": 4, "ageMs": 0}]),
        ("db-1", [told("203.0.113.9", 9, number=3389)]),
    ):
        uid = house.add_machine(name)
        house.report(house.enrol(name), uid, knocks=knocks)
    return house


def test_what_an_agent_told_is_shown_by_hour_and_source(town: House) -> None:
    answer = town.call("GET", f"{town.machine('web-1')}/{ATTEMPTS}", params={"hours": 2}).json()
    assert answer["id"] == f"{town.machine('web-1')}/{ATTEMPTS}"
    assert answer["type"] == "Bascule.Access/blockedAttempts"
    assert answer["properties"] == {
        "machineId": town.machine("web-1"),
        "since": "2030-01-01T11:00:00.0000000Z",
        "until": "2030-01-01T12:00:00.0000000Z",
        "attempts": 9,
        "hours": [
            {
                "since": "2030-01-01T11:00:00.0000000Z",
                "until": "2030-01-01T12:00:00.0000000Z",
                "attempts": 2,
            },
            {
                "since": "2030-01-01T12:00:00.0000000Z",
                "until": "2030-01-01T13:00:00.0000000Z",
                "attempts": 7,
            },
        ],
        "sources": [
            {
                "address": STRANGER,
                "attempts": 3,
                "lastAt": "2030-01-01T12:00:00.0000000Z",
                "ports": [{"number": 22, "protocol": "TCP"}],
            },
            {
                "address": SIX,
                "attempts": 2,
                "lastAt": "2030-01-01T11:30:00.0000000Z",
                "ports": [{"number": 22, "protocol": "TCP"}],
            },
        ],
    }


def test_as_many_hours_and_sources_as_are_asked_for(town: House) -> None:
    assert len(of(town, "web-1")["hours"]) == 24
    assert sources(of(town, "web-1", hours=1)) == {STRANGER: 3}
    assert sources(of(town, "web-1", top=1)) == {STRANGER: 3}
    narrowed = of(town, "web-1", source=SIX)
    assert (narrowed["attempts"], sources(narrowed)) == (2, {SIX: 2})


@pytest.mark.parametrize(
    ("params", "where"),
    [
        ({"hours": 0}, "hours"),
        ({"hours": 721}, "hours"),
        ({"top": 0}, "top"),
        ({"top": 1001}, "top"),
        ({"source": "fe80::1%eth0"}, "source"),
        ({"source": "somebody"}, "source"),
    ],
)
def test_bad_bounds_are_refused(town: House, params: dict[str, Any], where: str) -> None:
    answer = town.call("GET", f"{town.machine('web-1')}/{ATTEMPTS}", params=params)
    assert answer.status_code == 400
    assert where in answer.text
    if where != "source":
        assert town.call("GET", f"/{ATTEMPTS}", params={"hours": 169}).status_code == 400


def test_an_unknown_machine_has_none(town: House) -> None:
    assert town.call("GET", f"{town.machine('nobody')}/{ATTEMPTS}").status_code == 404


def test_of_all_machines(town: House) -> None:
    shown = town.call("GET", f"/{ATTEMPTS}").json()["properties"]
    assert (shown["attempts"], sources(shown)) == (18, {"203.0.113.9": 9, STRANGER: 3, SIX: 2})
    assert "machineId" not in shown


def test_who_may_read_one_machine_sees_its_attempts_and_no_others(town: House) -> None:
    reader = somebody(town, town.machine("web-1"), MACHINE_READ)
    own = reader.get(f"{town.machine('web-1')}/{ATTEMPTS}")
    assert sources(own.json()["properties"]) == {STRANGER: 3, SIX: 2}
    assert reader.get(f"{town.machine('db-1')}/{ATTEMPTS}").status_code == 403
    all_of_them = reader.get(f"{town.subscription}/{ATTEMPTS}").json()["properties"]
    assert (all_of_them["attempts"], sources(all_of_them)) == (9, {STRANGER: 3, SIX: 2})


def test_who_may_not_read_machines_sees_none(town: House) -> None:
    other = somebody(town, town.machine("web-1"), POLICY_READ)
    assert other.get(f"{town.machine('web-1')}/{ATTEMPTS}").status_code == 403
    shown = other.get(f"{town.subscription}/{ATTEMPTS}")
    assert shown.status_code == 200
    assert (shown.json()["properties"]["attempts"], shown.json()["properties"]["sources"]) == (
        0,
        [],
    )
    agent = town.enrol("web-1")
    for path in (f"{town.machine('web-1')}/{ATTEMPTS}", f"{town.subscription}/{ATTEMPTS}"):
        assert agent.get(path, params={"api-version": "2026-11-01"}).status_code == 403


@pytest.mark.parametrize(
    "nonsense",
    [
        {"source": "nobody", **SSH, "attempts": 5},
        {"source": "192.0.2.7; drop table", **SSH, "attempts": 5},
        {"source": "fe80::1%eth0", **SSH, "attempts": 5},
        {"source": "192.0.2.0/24", **SSH, "attempts": 5},
        {"source": STRANGER, "attempts": 5},
        {"source": STRANGER, "protocol": "*", "number": 22, "attempts": 5},
        {"source": STRANGER, "protocol": "TCP", "number": 0, "attempts": 5},
        {"source": "", "protocol": None, "number": None, "attempts": 5},
    ],
)
def test_a_source_that_is_no_address_is_counted_without_a_name(
    house: House, nonsense: dict[str, Any]
) -> None:
    uid = house.add_machine("web-1")
    house.report(house.enrol("web-1"), uid, knocks=[nonsense])
    shown = of(house, "web-1")
    assert (shown["attempts"], shown["sources"]) == (5, [])


def test_an_address_has_one_spelling(house: House) -> None:
    uid = house.add_machine("web-1")
    knocks = [told("2001:0DB8:0::0066"), told(SIX), told("::ffff:192.0.2.7")]
    house.report(house.enrol("web-1"), uid, knocks=knocks)
    assert sources(of(house, "web-1")) == {SIX: 2, "192.0.2.7": 1}


def test_a_report_is_bounded(house: House) -> None:
    """What is over the bound is cut off: a report that is refused settles nothing."""
    uid = house.add_machine("web-1")
    knocks = [told(STRANGER) for _ in range(MOST_KNOCKS + 50)]
    house.report(house.enrol("web-1"), uid, knocks=knocks)
    assert of(house, "web-1")["attempts"] == MOST_KNOCKS


def test_the_path_may_be_written_in_any_case(town: House) -> None:
    path = f"{town.machine('web-1')}/{ATTEMPTS}".replace("blockedAttempts", "blockedattempts")
    assert town.call("GET", path).status_code == 200
