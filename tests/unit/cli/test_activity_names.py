"""``bascule activity`` says names: of whom something was told, and what was given to whom."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bascule.cli.activity import _actor, _detail, _named
from bascule.client.audit import AuditEvent
from bascule.domain.event import SYSTEM, Event
from bascule.domain.facts.fact import fact_data
from bascule.domain.facts.kinds import FACTS
from bascule.spreadsheet import Told, csv_event
from tests.contracts.store.samples import a_fact

ANNA, ROLE, GIVEN, CI = (f"8c18bf89-21f0-4198-9344-b4f1e3a0c37{each}" for each in range(4))
NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("last", "data", "name", "detail"),
    [
        (ANNA, {"user_id": ANNA, "user": "anna"}, "anna", "user: anna"),
        (
            GIVEN,
            {
                "assignment_id": GIVEN,
                "role_id": ROLE,
                "role": "Reader",
                "principal_id": ANNA,
                "principal": "anna",
            },
            "anna",
            "role: Reader, principal: anna",
        ),
        (
            CI,
            {"principal_id": CI, "service_principal": "ci"},
            "ci",
            "service principal: ci",
        ),
        (ANNA, {"user_id": ANNA, "user": ""}, ANNA, f"user id: {ANNA}"),  # no name: the id
        ("web-1", {"user_id": ANNA, "user": "anna"}, "web-1", "user: anna"),
    ],
)
def test_an_id_is_left_out_where_its_name_is_told(
    last: str, data: dict[str, object], name: str, detail: str
) -> None:
    assert _named(data, last) == name
    assert _detail("RoleAssigned", data, NOW, {}) == detail


def test_an_instant_within_a_reason_is_told_in_local_time() -> None:
    told = {"why": "The agent of web-1 has been away since 2029-12-31T23:00:00.0000000Z."}
    said = _detail("GrantFailed", told, NOW, {})
    assert "away since 2029-12-31 23:00:00 +00:00." in said


@pytest.mark.parametrize("kind", sorted(FACTS))
def test_no_event_shows_the_uid_of_a_machine_or_gateway(kind: str) -> None:
    """Of both their names are told; of a gateway that is gone only its uid is known."""
    fact = a_fact(FACTS[kind])
    data = {
        name: ANNA if name.endswith("uid") else given for name, given in fact_data(fact).items()
    }
    said = _detail(kind, data, NOW, {ANNA: "gw-1"})
    assert ANNA not in said
    if "point_uid" in data:
        assert "gateway: gw-1" in said
        assert f"gateway: {ANNA}" in _detail(kind, data, NOW, {})
        assert "gateway: gw-1" in csv_event(_record(kind, data), told=Told(gateways={ANNA: "gw-1"}))


def _record(kind: str, data: dict[str, object]) -> dict[str, object]:
    record = Event("e", NOW, SYSTEM, "/r", a_fact(FACTS[kind]), "c").record()
    return {**record, "data": data}


@pytest.mark.parametrize(
    ("name", "kind", "shown"),
    [
        ("anna", "User", "anna"),
        ("web-1", "Agent", "web-1 (agent)"),
        ("", "Agent", "(not signed in)"),  # it enrols by a token, and has no name yet
        ("", "", "(not signed in)"),
    ],
)
def test_who_did_it(name: str, kind: str, shown: str) -> None:
    event = AuditEvent(1, "id", NOW, "AgentEnrolled", name, "", "", kind, "", "", {})
    assert _actor(event) == shown
