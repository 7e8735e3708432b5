"""EDGES J14: runs of ``bascule ssh --close`` over HTTP: who closes what, when, and never more."""

from __future__ import annotations

import asyncio
import uuid
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.facts.grants import GrantEnded
from bascule.domain.runs import BOUND, MOST_RUNS
from bascule.domain.times import format_utc
from bascule.interfaces.record import EventFilter
from bascule.services import runs
from bascule.services.sweep import next_due
from tests.wire.approval_world import Office, code_of, stage, users
from tests.wire.browsing import add_user
from tests.wire.house import BASCULE, JIT, House, port_rule

BEYOND = BOUND.total_seconds() + 1
ID = "7b0a4a3c-0d6e-4b7e-9a57-5a8f3d1c2e90"


class Ssh:
    """Runs on one machine, of the administrator."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.uid = house.add_machine("web-1")
        self.agent = house.enrol("web-1")
        self.put_rule()

    def put_rule(self) -> None:
        machine = {"id": self.house.machine("web-1"), "ports": [port_rule()]}
        body = {"kind": "Basic", "properties": {"virtualMachines": [machine]}}
        assert self.house.call("PUT", self.house.policy(), body, JIT).status_code == 200

    def ask(self, run: str | None) -> str:
        port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        body: dict[str, Any] = {
            "virtualMachines": [{"id": self.house.machine("web-1"), "ports": [port]}]
        }
        if run is not None:
            body["bascule"] = {"run": run}
        made = self.house.call("POST", f"{self.house.policy()}/initiate", body, JIT)
        assert made.status_code == 202, made.text
        request = str(made.json()["bascule"]["requestId"])
        self.report(request)
        return request

    def grants(self, request: str) -> Any:
        return self.house.see(lambda reader: reader.grants_of([request]))

    def report(self, *requests: str) -> None:
        live = [g.id for each in requests for g in self.grants(each) if g.is_live]
        self.house.report(self.agent, self.uid, *live)

    def path(self, request: str, rest: str) -> str:
        return f"/providers/Bascule.Access/accessRequests/{request}{rest}"

    def beat(self, request: str, run: str) -> Any:
        return self.house.call("PUT", self.path(request, f"/runs/{run}"))

    def end(self, request: str, run: str) -> Any:
        return self.house.call("DELETE", self.path(request, f"/runs/{run}"))

    def keep(self, request: str) -> Any:
        return self.house.call("POST", self.path(request, "/keep"))

    def is_live(self, request: str) -> bool:
        return all(each.is_live for each in self.grants(request))

    def is_said(self, request: str) -> bool:
        """In the list of one's own requests, by which ``bascule ssh`` finds what it may use."""
        listed = self.house.call("GET", "/providers/Bascule.Access/accessRequests").json()["value"]
        (shown,) = [each["properties"] for each in listed if each["name"] == request]
        return shown.get("closesUnused") is True

    def pass_time(self, seconds: float, *beating: tuple[str, str]) -> None:
        """In steps of a heartbeat; sweeps after each, as a server does."""
        while seconds > 0:
            step = min(seconds, 30)
            seconds -= step
            self.house.clock.pass_time(step)
            self.house.client = self.house.client_of(self.house.service_token())
            for request, run in beating:
                assert self.beat(request, run).status_code == 200
            for state in self.house.states:
                asyncio.run(state.services.store_heartbeats())
            self.house.sweep()

    def causes(self) -> list[tuple[str, str]]:
        found = self.house.see(
            lambda reader: reader.events(EventFilter(kinds=("GrantEnded",)), limit=100)
        )
        facts = [event.fact for _, event in found]
        return [(each.reason, each.cause) for each in facts if isinstance(each, GrantEnded)]


@pytest.fixture
def ssh(house: House) -> Ssh:
    return Ssh(house)


def new() -> str:
    return str(uuid.uuid4())


def test_the_end_of_the_only_run_closes(ssh: Ssh) -> None:
    run = new()
    request = ssh.ask(run)
    assert ssh.is_live(request)
    assert ssh.end(request, run).status_code == 204
    assert not ssh.is_live(request)
    assert ssh.causes() == [("Expired", runs.ENDED)]
    ssh.report(request)
    (grant,) = ssh.grants(request)
    assert (grant.state, grant.cut_at) == ("closed", None)


def test_missed_heartbeats_close_and_cut_nothing(ssh: Ssh) -> None:
    run = new()
    request = ssh.ask(run)
    ssh.pass_time(BOUND.total_seconds() - 1)
    assert ssh.is_live(request)
    ssh.pass_time(1)
    assert not ssh.is_live(request)
    assert ssh.causes() == [("Expired", runs.UNHEARD)]
    (grant,) = ssh.grants(request)
    assert grant.cut_at is None
    assert code_of(ssh.beat(request, run)) == "GrantNotLive"
    assert not ssh.is_live(request)


def test_heartbeats_hold_it_open_to_its_own_end_and_no_longer(ssh: Ssh) -> None:
    run = new()
    request = ssh.ask(run)
    (before,) = ssh.grants(request)
    ssh.pass_time(3570, (request, run))
    assert ssh.is_live(request)
    (grant,) = ssh.grants(request)
    assert (grant.ends_at, grant.extension) == (before.ends_at, before.extension)
    ssh.pass_time(30)
    assert not ssh.is_live(request)


def test_the_last_of_two_runs_closes(ssh: Ssh) -> None:
    one, two = new(), new()
    request = ssh.ask(one)
    assert ssh.beat(request, two).status_code == 200
    ssh.end(request, one)
    assert ssh.is_live(request)
    ssh.pass_time(BEYOND, (request, two))
    assert ssh.is_live(request)
    ssh.end(request, two)
    assert not ssh.is_live(request)


def test_one_of_two_that_is_not_heard_closes_nothing(ssh: Ssh) -> None:
    one, two = new(), new()
    request = ssh.ask(one)
    ssh.beat(request, two)
    ssh.pass_time(2 * BEYOND, (request, one))
    assert ssh.is_live(request)
    ssh.pass_time(BEYOND)
    assert not ssh.is_live(request)


def test_a_use_without_close_keeps_it(ssh: Ssh) -> None:
    """Neither the end of a run nor its silence closes it, and no later run does."""
    one, two = new(), new()
    request = ssh.ask(one)
    assert ssh.keep(request).status_code == 204
    assert code_of(ssh.beat(request, one)) == "NotClosedByRuns"
    assert code_of(ssh.beat(request, two)) == "NotClosedByRuns"
    assert ssh.end(request, one).status_code == 204
    ssh.pass_time(2 * BEYOND)
    assert ssh.is_live(request)


def test_no_run_closes_what_it_did_not_open(ssh: Ssh) -> None:
    request = ssh.ask(None)
    run = new()
    assert code_of(ssh.beat(request, run)) == "NotClosedByRuns"
    assert ssh.end(request, run).status_code == 204
    ssh.pass_time(BEYOND)
    assert ssh.is_live(request)
    assert not ssh.is_said(request)


def test_it_is_said_that_runs_close_it(ssh: Ssh) -> None:
    """By this a use without ``--close`` knows that it must keep it."""
    request = ssh.ask(new())
    assert ssh.is_said(request)
    ssh.keep(request)
    assert not ssh.is_said(request)


def test_a_newer_request_is_not_closed_by_the_run_of_an_older_one(ssh: Ssh) -> None:
    run = new()
    older = ssh.ask(run)
    newer = ssh.ask(None)
    ssh.end(older, run)
    ssh.pass_time(BEYOND)
    assert ssh.is_live(newer)
    assert not ssh.is_live(older)


def test_only_the_requestor(ssh: Ssh) -> None:
    """Others, owners too, learn not even that there is such a request; and an owner may revoke."""
    run = new()
    request = ssh.ask(run)
    other = add_user(ssh.house, "eve@example.com").id
    token = ssh.house.token(other, PrincipalKind.USER, f"{other}/0")
    stranger = ssh.house.client_of(token)
    for method, rest in (("PUT", f"/runs/{run}"), ("DELETE", f"/runs/{run}"), ("POST", "/keep")):
        path = ssh.house.subscription + ssh.path(request, rest)
        answer = stranger.request(method, path, params={"api-version": BASCULE})
        assert answer.status_code in (401, 404), answer.text
    assert ssh.is_live(request)
    ssh.pass_time(BEYOND)
    assert not ssh.is_live(request), "somebody else's heartbeat held it open, or kept it"


@pytest.mark.parametrize(("request_id", "run"), [("x", ID), (ID, "x'"), (ID, ID)])
def test_what_is_not_there(ssh: Ssh, request_id: str, run: str) -> None:
    assert ssh.beat(request_id, run).status_code in (400, 404)
    assert ssh.end(request_id, run).status_code in (400, 404)


def test_runs_of_one_request_are_bounded(ssh: Ssh) -> None:
    request = ssh.ask(new())
    answers = [ssh.beat(request, new()).status_code for _ in range(MOST_RUNS)]
    assert answers == [200] * (MOST_RUNS - 1) + [409]
    assert ssh.is_live(request)


def test_a_restart_gives_a_grace_and_no_more(ssh: Ssh) -> None:
    """What was to count as ended while no server was there does so BOUND after the start."""
    request = ssh.ask(new())
    house = ssh.house
    house.clock.pass_time(600)
    house.services = replace(house.services, serving_since=house.clock.now())
    house.sweep()
    assert ssh.is_live(request)
    house.clock.pass_time(BOUND.total_seconds() - 1)
    house.sweep()
    assert ssh.is_live(request)
    house.clock.pass_time(1)
    house.sweep()
    assert not ssh.is_live(request)


def test_a_clock_that_went_back_does_not_hold_it_open(ssh: Ssh) -> None:
    request = ssh.ask(new())
    house = ssh.house
    house.clock.wall -= timedelta(hours=5)
    assert house.see(lambda reader: next_due(reader, house.clock.now())) == house.clock.now()
    house.sweep()
    house.clock.wall += BOUND
    house.sweep()
    assert not ssh.is_live(request)


def test_what_nobody_waits_for_is_due_never_again(ssh: Ssh) -> None:
    """Rows of requests that ended otherwise go, so that the sweep does not find them for ever."""
    request = ssh.ask(new())
    ssh.house.call("POST", ssh.path(request, "/revoke"), {})
    ssh.pass_time(BEYOND)
    assert ssh.house.see(lambda reader: reader.runs_of(request)) == []
    assert [cause for _, cause in ssh.causes()] != [runs.UNHEARD]


# -- requests that wait for approval ------------------------------------------------------


@pytest.fixture
def office(house: House) -> Office:
    made = Office(house)
    made.put(stage(users(made.bob)))
    return made


def waiting(office: Office, run: str, **own: str) -> str:
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
    body: dict[str, Any] = {
        "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [port]}],
        "justification": "ticket",
    }
    if run:
        body["bascule"] = {"run": run, **own}
    made = office.alice.call("POST", f"{office.house.policy()}/initiate", body, JIT)
    assert made.status_code == 202, made.text
    return str(made.json()["bascule"]["requestId"])


def test_what_waits_is_not_closed_and_what_opens_with_nobody_there_is(office: Office) -> None:
    request = waiting(office, new())
    office.pass_time(3600)
    office.house.sweep()
    assert office.state(request) == "waiting"
    assert office.approve(request, office.bob).status_code == 200
    office.pass_time(BOUND.total_seconds() - 1)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert grant.failure or grant.is_live
    office.pass_time(1)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert not grant.is_live


def test_another_who_waits_for_the_same_without_close_keeps_it(office: Office) -> None:
    """In either order."""
    request = waiting(office, new())
    assert waiting(office, "") == request
    assert office.house.see(lambda reader: reader.runs_of(request)) == []
    assert waiting(office, new()) == request
    assert office.house.see(lambda reader: reader.runs_of(request)) == []


def test_two_that_wait_for_the_same_both_use_it(office: Office) -> None:
    """The end of one closes nothing that the other is about to use."""
    first, second = new(), new()
    request = waiting(office, first)
    assert waiting(office, second) == request
    held = office.house.see(lambda reader: reader.runs_of(request))
    assert {(each.id, each.until) for each in held} == {(first, None), (second, None)}
    assert office.approve(request, office.bob).status_code == 200
    run = f"{office.path(request)}/runs"
    assert office.alice.call("DELETE", f"{run}/{first}").status_code == 204
    (grant,) = office.grants(request)
    assert grant.is_live
    assert office.alice.call("DELETE", f"{run}/{second}").status_code == 204
    (grant,) = office.grants(request)
    assert not grant.is_live


def test_what_opens_at_its_start_with_nobody_there_is_closed(house: House) -> None:
    """Its run may have ended long before, and was not heard since."""
    office = Office(house)
    office.put()
    house.sweep()  # it notes the clock
    start = format_utc(house.clock.now() + timedelta(hours=1))
    request = waiting(office, new(), startTimeUtc=start)
    assert office.state(request) == "scheduled"
    office.pass_time(3599)
    house.sweep()
    assert len(house.see(lambda reader: reader.runs_of(request))) == 1
    office.pass_time(1)
    house.sweep()
    (grant,) = office.grants(request)
    assert grant.is_live
    office.pass_time(BEYOND)
    house.sweep()
    (grant,) = office.grants(request)
    assert not grant.is_live
