"""Requests with a start: they open at it, once, or never (docs/approval.md; EDGES J9)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.times import format_utc
from bascule.interfaces.store import Transaction
from bascule.services import watch
from bascule.services.act import Act, Services
from bascule.services.recovery import RESTORED
from bascule.services.starts import LEAPT, start_scheduled
from bascule.services.waiting import LATE, find_waiting, lapse
from tests.wire.approval_world import Human, Office, code_of, stage, users
from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.people import give

DAY = {"timeZone": "UTC", "from": "08:00", "to": "18:00"}


class Diary(Office):
    """An office whose people ask for later. It is noon."""

    def at(self, minutes: float) -> str:
        return format_utc(self.house.clock.now() + timedelta(minutes=minutes))

    def ask_at(self, start: str | None, who: Human | None = None, **port: Any) -> Any:
        source = port.pop("source", "203.0.113.9")
        asked = {"number": 22, **(port or {"duration": "PT30M"})}
        if source:
            asked["allowedSourceAddressPrefix"] = source
        body: dict[str, Any] = {
            "virtualMachines": [{"id": self.house.machine("web-1"), "ports": [asked]}]
        }
        if start is not None:
            body["bascule"] = {"startTimeUtc": start}
        path = f"{self.house.policy('default')}/initiate"
        return (who or self.alice).call("POST", path, body, JIT)

    def scheduled(self, minutes: float = 60, **port: Any) -> str:
        answer = self.ask_at(self.at(minutes), **port)
        assert answer.status_code == 202, answer.text
        assert answer.json()["bascule"]["state"] == "scheduled"
        return str(answer.json()["bascule"]["requestId"])

    def reasons(self, request: str) -> list[str]:
        return [each["message"] for each in self.see(request).get("reasons", [])]

    def leap(self, seconds: float) -> None:
        self.house.clock.wall += timedelta(seconds=seconds)

    def leases(self, name: str = "web-1") -> list[Any]:
        uid = self.uids[name]
        agent = self.house.client_of(self.house.agent_token(uid))  # of now
        answer = agent.get(f"/bascule/points/{uid}/state")
        assert answer.status_code == 200, answer.text
        return list(answer.json()["leases"])

    def nothing_came_of(self, request: str) -> bool:
        return self.grants(request) == [] and self.leases() == []


@pytest.fixture
def office(house: House) -> Diary:
    made = Diary(house)
    made.put()
    made.house.sweep()  # a server looks at its clock all the time
    return made


def test_it_opens_at_its_start_and_not_before(office: Diary) -> None:
    request = office.scheduled(60)
    assert office.nothing_came_of(request)
    office.pass_time(3599)
    office.house.sweep()
    assert (office.state(request), office.nothing_came_of(request)) == ("scheduled", True)
    office.pass_time(1)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert grant.started_at == office.house.clock.now()
    assert grant.ends_at - grant.started_at == timedelta(minutes=30)  # a duration from the start
    assert office.state(request) == "opening"
    assert [lease["grantId"] for lease in office.leases()] == [grant.id]
    told = office.house.events("AccessScheduled", "AccessStarted", "GrantCreated")
    assert told[::-1] == ["AccessScheduled", "AccessStarted", "GrantCreated"]


def test_an_end_stays(office: Diary) -> None:
    request = office.scheduled(60, endTimeUtc=office.at(100))
    ends_at = office.house.clock.now() + timedelta(minutes=100)
    office.pass_time(3700)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert grant.ends_at == ends_at


def test_azures_clients_see_initiating(office: Diary) -> None:
    answer = office.ask_at(office.at(60)).json()
    ((port,),) = [machine["ports"] for machine in answer["virtualMachines"]]
    assert (port["status"], port["statusReason"]) == ("Initiating", "UserRequested")
    assert answer["bascule"]["startTimeUtc"] == office.at(60)
    assert port["endTimeUtc"] == "2030-01-01T13:30:00.0000000Z"


def test_without_a_start_the_answer_is_as_before(office: Diary) -> None:
    answer = office.ask_at(None).json()
    assert set(answer["bascule"]) == {"requestId", "resourceId"}
    assert office.leases() != []


@pytest.mark.parametrize(
    ("minutes", "port", "code"),
    [
        (-1, {}, "StartPassed"),
        (0, {}, "StartPassed"),
        (30 * 24 * 60 + 1, {}, "StartTooFar"),
        (60, {"endTimeUtc": "2030-01-01T13:00:00Z"}, "EndBeforeStart"),
        (60, {"duration": "PT30M", "source": ""}, "SourceRequired"),
        (60, {"duration": "PT4H"}, "DurationTooLong"),
    ],
)
def test_what_is_refused_when_it_is_asked(
    office: Diary, minutes: float, port: dict[str, Any], code: str
) -> None:
    answer = office.ask_at(office.at(minutes), **port)
    assert answer.status_code == 400, answer.text
    codes = [code_of(answer), *(each["code"] for each in answer.json()["error"].get("details", []))]
    assert code in codes
    assert office.leases() == []


def test_thirty_days_ahead_are_allowed(office: Diary) -> None:
    assert office.scheduled(30 * 24 * 60)


def test_it_is_judged_for_the_time_of_its_lease_and_not_for_now(office: Diary) -> None:
    """It is noon: what is denied at night is denied now for the night, and only what holds then."""
    office.put(
        rules=[
            {
                "name": "nights",
                "effect": "deny",
                "conditions": {"times": {**DAY, "from": "22:00", "to": "06:00"}},
            }
        ]
    )
    night = office.ask_at("2030-01-01T23:00:00Z")
    assert "DeniedByRule" in night.text
    reaching_in = office.ask_at("2030-01-01T21:45:00Z")
    assert "DeniedByRule" in reaching_in.text
    assert office.ask_at("2030-01-01T21:15:00Z").status_code == 202
    office.put(
        rules=[
            {
                "name": "noon",
                "effect": "deny",
                "conditions": {"times": {**DAY, "from": "11:00", "to": "13:00"}},
            }
        ]
    )
    assert office.ask_at("2030-01-01T13:00:00Z").status_code == 202


def test_try_rules_agrees(office: Diary) -> None:
    office.put(
        rules=[
            {
                "name": "nights",
                "effect": "deny",
                "conditions": {"times": {**DAY, "from": "22:00", "to": "06:00"}},
            }
        ]
    )
    for at, outcome in (("2030-01-01T23:00:00Z", "denied"), ("2030-01-01T20:00:00Z", "allowed")):
        port = {"number": 22, "allowedSourceAddressPrefix": "203.0.113.9", "duration": "PT30M"}
        body = {
            "principalId": office.alice.id,
            "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [port]}],
            "at": at,
        }
        answer = office.house.call(
            "POST", f"{office.house.policy('default')}/tryRules", body, BASCULE
        )
        assert answer.json()["outcome"] == outcome, answer.text
        asked = office.ask_at(at).status_code
        assert (asked == 202) == (outcome == "allowed")


def test_more_than_five_minutes_late_it_never_opens(office: Diary) -> None:
    request = office.scheduled(60)
    office.pass_time(3600 + 300)
    office.house.sweep()
    assert (office.state(request), office.reasons(request)) == ("lapsed", [LATE.message])
    assert office.nothing_came_of(request)
    assert office.house.events("AccessStartMissed") == ["AccessStartMissed"]
    office.pass_time(60)
    office.house.sweep()
    assert office.nothing_came_of(request)


def test_a_little_late_it_opens_for_all_of_its_duration(office: Diary) -> None:
    request = office.scheduled(60)
    office.pass_time(3600 + 299)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert grant.ends_at - office.house.clock.now() == timedelta(minutes=30)


@pytest.mark.parametrize("seconds", [61, 3600, 7200, -61, -7200])
def test_after_a_leap_of_the_clock_nothing_opens(office: Diary, seconds: float) -> None:
    """Also where the clock has just reached the start, and the sweep comes first."""
    request = office.scheduled(60)
    office.leap(seconds)
    office.house.do(start_scheduled)
    assert office.nothing_came_of(request)
    assert office.see(request)["state"] == "lapsed"
    assert office.reasons(request) == [LEAPT.message]
    office.leap(-seconds)
    office.pass_time(3600)
    office.house.sweep()
    assert office.nothing_came_of(request)


def test_a_clock_that_is_set_right_by_seconds_lapses_nothing(office: Diary) -> None:
    request = office.scheduled(60)
    office.leap(50)
    office.house.sweep()
    office.leap(-50)
    office.pass_time(3600)
    office.house.sweep()
    assert len(office.grants(request)) == 1


def _server(office: Diary, boot: str) -> Services:
    """On a host of its own, whose clock it has looked at."""
    made = replace(office.house.services, this_boot=boot)
    asyncio.run(made.perform(start_scheduled))
    return made


def _round_of(server: Services) -> None:
    asyncio.run(watch._round(server))


def test_a_server_that_was_not_there_finds_no_leap_that_another_found(office: Diary) -> None:
    """What was asked for since the leap opens."""
    a, b = _server(office, "a"), _server(office, "b")
    before = office.scheduled(60)
    office.leap(600)
    _round_of(a)
    assert office.state(before) == "lapsed"
    since = office.scheduled(60)
    office.pass_time(600)
    for each in (a, b, a):
        _round_of(each)
    assert office.state(since) == "scheduled"
    office.leap(600)
    _round_of(b)
    assert office.state(since) == "lapsed", "it finds the next one"


def test_a_clock_of_the_database_that_drifts_for_weeks_lapses_nothing(office: Diary) -> None:
    """Two hosts' clocks, 46 millionths apart: four seconds a day."""
    server = _server(office, "a")
    request = office.scheduled(60 * 24 * 30)
    for _ in range(29):
        office.leap(4)
        office.pass_time(86_396)
        _round_of(server)
    assert office.state(request) == "scheduled"


def test_whoever_asks_after_a_leap_hides_it_from_nobody(office: Diary) -> None:
    before = office.scheduled(60)
    office.leap(600)
    office.scheduled(120)
    office.house.do(start_scheduled)
    assert office.state(before) == "lapsed"


def test_a_leap_lapses_what_waits_for_people_too(office: Diary) -> None:
    office.put(stage(users(office.bob)))
    answer = office.ask_at(office.at(60))
    request = answer.json()["bascule"]["requestId"]
    office.leap(600)
    office.house.do(start_scheduled)
    assert (office.state(request), office.reasons(request)) == ("lapsed", [LEAPT.message])


def test_a_restore_lapses_it(office: Diary) -> None:
    request = office.scheduled(60)

    def restored(tx: Transaction, act: Act) -> None:
        found = find_waiting(tx, request)
        assert found is not None
        lapse(tx, act, *found, RESTORED)

    office.house.do(restored)
    office.pass_time(3600)
    office.house.sweep()
    assert (office.reasons(request), office.nothing_came_of(request)) == ([RESTORED.message], True)


def test_two_servers_open_it_once(office: Diary) -> None:
    """The second finds it opened, whoever came first."""
    request = office.scheduled(60)
    office.pass_time(3600)

    async def both() -> list[int]:
        services = office.house.services
        return list(
            await asyncio.gather(
                services.perform(start_scheduled), services.perform(start_scheduled)
            )
        )

    assert sorted(asyncio.run(both())) == [0, 1]
    assert len(office.grants(request)) == 1


def test_who_lost_the_right_gets_nothing(office: Diary) -> None:
    request = office.scheduled(60)
    given = office.house.see(lambda reader: reader.role_assignments_of([office.alice.id]))
    office.house.do(lambda tx, _: [tx.delete_role_assignment(each.id) for each in given])
    office.pass_time(3600)
    office.house.sweep()
    shown = office.house.see(lambda reader: reader.request(request))
    assert shown is not None
    assert str(shown.state) == "denied"
    assert office.nothing_came_of(request)


def test_a_policy_that_changed_decides(office: Diary) -> None:
    request = office.scheduled(60)
    other = {"virtualMachines": [{"id": office.house.machine("web-1"), "ports": [port_rule(2222)]}]}
    answer = office.house.call("PUT", office.house.policy("default"), {"properties": other}, JIT)
    assert answer.status_code == 200, answer.text
    office.pass_time(3600)
    office.house.sweep()
    assert (office.state(request), office.nothing_came_of(request)) == ("denied", True)


def test_a_machine_that_was_made_again_is_another(office: Diary) -> None:
    request = office.scheduled(60)
    path = office.house.machine("web-1")
    assert office.house.call("DELETE", path, version="2024-07-01").status_code in (200, 204)
    office.uids["web-1"] = office.house.add_machine("web-1")
    office.agents["web-1"] = office.house.enrol("web-1")
    office.put()
    office.pass_time(3600)
    office.house.sweep()
    assert (office.state(request), office.grants(request)) == ("denied", [])


def test_it_is_withdrawn_by_its_requestor_and_by_an_operator(office: Diary) -> None:
    for who in (office.alice.client, office.house.client):
        request = office.scheduled(60)
        path = f"{office.house.subscription}{office.path(request)}/revoke"
        answer = who.post(path, params={"api-version": BASCULE})
        assert answer.status_code == 200, answer.text
        assert office.state(request) == "withdrawn"
    dave = office.dave.call("POST", f"{office.path(office.scheduled(60))}/revoke")
    assert dave.status_code in (403, 404)
    office.pass_time(3600)
    office.house.sweep()
    assert len(office.leases()) == 1  # of the one that nobody withdrew


def test_it_waits_for_people_first_and_then_for_its_start(office: Diary) -> None:
    office.put(stage(users(office.bob)))
    request = office.ask_at(office.at(60)).json()["bascule"]["requestId"]
    assert office.state(request) == "waiting"
    assert office.see(request)["approval"]["pendingUntil"] == office.at(60)
    assert office.approve(request, office.bob).status_code == 200
    assert (office.state(request), office.nothing_came_of(request)) == ("scheduled", True)
    assert code_of(office.approve(request, office.bob)) == "NotWaiting"
    office.pass_time(3600)
    office.house.sweep()
    assert len(office.grants(request)) == 1


def test_what_is_not_approved_by_its_start_lapses(office: Diary) -> None:
    office.put(stage(users(office.bob)))
    request = office.ask_at(office.at(60)).json()["bascule"]["requestId"]
    digest = office.digest(request)
    office.pass_time(3600)
    assert code_of(office.approve(request, office.bob, digest=digest)) == "NotWaiting"
    office.house.sweep()
    assert (office.state(request), office.nothing_came_of(request)) == ("lapsed", True)


def test_approval_that_is_needed_only_now_is_asked_for(office: Diary) -> None:
    request = office.scheduled(60)
    office.put(stage(users(office.bob)))
    office.house.sweep()
    assert office.state(request) == "waiting"
    assert office.approve(request, office.bob).status_code == 200
    assert office.state(request) == "scheduled"
    office.put(stage(users(office.carol)))
    office.pass_time(3600)
    office.house.do(start_scheduled)  # before anything else could judge it
    assert (office.state(request), office.nothing_came_of(request)) == ("lapsed", True)


def test_the_start_is_part_of_what_is_approved(office: Diary) -> None:
    office.put(stage(users(office.bob)))
    one, other = (
        office.ask_at(office.at(minutes)).json()["bascule"]["requestId"] for minutes in (60, 90)
    )
    assert one != other
    assert office.digest(one) != office.digest(other)
    assert code_of(office.approve(one, office.bob, digest=office.digest(other))) == "OtherDigest"
    again = office.ask_at("2030-01-01T13:00:00Z").json()["bascule"]["requestId"]
    assert again == one


def test_it_takes_no_place_before_it_opens(office: Diary) -> None:
    office.ask_at(None, duration="PT2H")
    request = office.scheduled(60)
    (lease,) = office.leases()
    office.pass_time(3600)
    office.house.sweep()
    (grant,) = office.grants(request)
    told = {each["grantId"] for each in office.leases()}
    assert grant.id in told
    assert lease["grantId"] not in told


def test_at_most_twenty_wait(office: Diary) -> None:
    for minute in range(20):
        office.scheduled(60 + minute)
    assert "TooManyWaiting" in office.ask_at(office.at(100)).text


def test_lists_know_it(office: Diary) -> None:
    request = office.scheduled(60)
    for wanted, found in (
        ("state eq 'scheduled'", [request]),
        ("live eq true", [request]),
        ("state eq 'waiting'", []),
    ):
        path = f"{office.house.subscription}/providers/Bascule.Access/accessRequests"
        answer = office.alice.client.get(path, params={"api-version": BASCULE, "$filter": wanted})
        assert [each["name"] for each in answer.json()["value"]] == found


def test_a_right_that_ends_before_the_start_is_no_right(office: Diary) -> None:
    """The stated end of a membership is known in advance (EDGES J9)."""
    given = office.house.see(lambda reader: reader.role_assignments_of([office.alice.id]))
    role = given[0].role_id
    office.house.do(lambda tx, _: [tx.delete_role_assignment(each.id) for each in given])
    soon = office.house.clock.now() + timedelta(minutes=80)
    group = office.make_group("guests", office.alice, ends=soon)
    give(office.house, group, role, office.house.subscription, "Group")
    assert "RightEndsBeforeStart" in office.ask_at(office.at(80)).text
    request = office.scheduled(60)
    office.pass_time(3600)
    office.house.sweep()
    (grant,) = office.grants(request)
    assert grant.ends_at == soon
