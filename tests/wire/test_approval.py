"""Requests that wait for other people (docs/approval.md; EDGES J)."""

from __future__ import annotations

import pytest

from tests.wire.approval_world import Office, stage, users
from tests.wire.house import House


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


def test_a_port_with_an_approval_opens_by_the_last_yes_and_not_before(office: Office) -> None:
    office.put(stage(users(office.bob)), stage({"role": True}))
    request = office.waiting()
    assert (office.leases(), office.grants(request)) == ([], [])
    assert office.approve(request, office.bob).status_code == 200
    assert (office.state(request), office.leases()) == ("waiting", [])
    answer = office.approve(request, office.carol)
    assert answer.status_code == 200, answer.text
    assert answer.json()["properties"]["state"] == "opening"
    (grant,) = office.grants(request)
    (lease,) = office.leases()
    assert lease["grantId"] == grant.id
