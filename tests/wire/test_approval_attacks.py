"""Attacks on approvals, starts and tickets: each is tried, and opens nothing (docs/approval.md)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bascule.client.approval import read_approval
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import ACCESS_APPROVER, EMERGENCY_ACCESS
from bascule.domain.request import MAXIMUM_JUSTIFICATION
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.makers import Made
from tests.wire.approval_world import Human, Office, code_of, stage, users
from tests.wire.house import COMPUTE, JIT, House
from tests.wire.people import give, make_role
from tests.wire.ticket_world import System, TicketOffice


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


@pytest.fixture
def tickets(data_dir: Path) -> Iterator[TicketOffice]:
    house = House(data_dir, tickets=System())
    yield TicketOffice(house)
    house.close()


def ask_with(office: Office, own: object, **port: Any) -> Any:
    """With this ``bascule`` object."""
    asked = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.9", **port}
    body = {
        "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [asked]}],
        "justification": "fire",
        "bascule": own,
    }
    return office.alice.call("POST", f"{office.house.policy()}/initiate", body, JIT)


# -- what is misspelt narrows nothing, so it is refused --------------------------------------------


def test_a_misspelt_end_of_a_yes_opens_nothing(office: Office) -> None:
    """It would open for all that was asked for."""
    office.put(stage(users(office.bob)))
    request = office.waiting(duration="PT2H")
    answer = office.approve(request, office.bob, durration="PT30M")
    assert (answer.status_code, office.grants(request)) == (400, [])
    assert office.approve(request, office.bob, duration="PT30M").status_code == 200


@pytest.mark.parametrize("name", ["startTimeUTC", "starttimeutc", "start", "Emergency", "runs"])
def test_a_misspelt_start_does_not_open_now(office: Office, name: str) -> None:
    office.put()
    answer = ask_with(office, {name: "2030-01-02T00:00:00Z"})
    assert (answer.status_code, office.leases()) == (400, [])
    assert name in answer.text


@pytest.mark.parametrize("emergency", ["true", "false", 1, 0, [], {}])
def test_an_emergency_is_true_or_false(office: Office, emergency: object) -> None:
    office.put(stage(users(office.bob)))
    give(office.house, office.alice.id, EMERGENCY_ACCESS.id, office.house.subscription, "User")
    office.alice.show_factor()
    assert ask_with(office, {"emergency": emergency}).status_code == 400
    assert office.leases() == []


@pytest.mark.parametrize(
    "source",
    [
        {"allowedSourceAddressPrefix": None},
        {"allowedSourceAddressPrefix": ""},
        {"allowedSourceAddressPrefix": None, "allowedSourceAddressPrefixes": []},
    ],
)
def test_a_start_with_a_source_that_is_none(office: Office, source: Any) -> None:
    office.put()
    answer = ask_with(office, {"startTimeUtc": "2030-01-01T13:00:00Z"}, **source)
    assert answer.status_code == 400, answer.text


@pytest.mark.parametrize(
    "end",
    [
        {"duration": "P99999999D"},
        {"duration": "P366D"},
        {"duration": "PT0S"},
        {"duration": "-PT1H"},
        {"endTimeUtc": "0001-01-01T00:00:00Z"},
        {"endTimeUtc": "9999-12-31T23:59:59Z"},
    ],
)
def test_an_odd_end_of_a_yes_is_refused(office: Office, end: dict[str, str]) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting(duration="PT2H")
    answer = office.approve(request, office.bob, **end)
    assert (answer.status_code, office.grants(request)) == (400, [])


@pytest.mark.parametrize("up_to", ["P366D", "P999999D", "PT0S", "-PT1H", "PT59M"])
def test_an_odd_up_to_is_refused(office: Office, up_to: str) -> None:
    office.put(stage(users(office.bob)))
    assert office.ask(duration="PT1H", upTo=up_to).status_code == 400


# -- nobody's yes stands for that of another -------------------------------------------------------


def test_an_own_yes_does_not_shorten_into_a_policy_that_takes_none(office: Office) -> None:
    """EDGES J5: of the shorter time another policy asks for the same people, without selfApproval."""
    both = stage(users(office.alice, office.bob))
    longer = {"name": "long", "effect": "allow", "conditions": {"longerThan": "PT30M"}}
    office.put(both, rules=[longer])
    ask = {"name": "ask", "effect": "approve", "conditions": {}, "stages": [both]}
    office.put(rules=[ask], selfApproval=True, name="other")
    request = office.waiting()
    assert office.approve(request, office.alice, duration="PT10M").status_code == 200
    assert office.grants(request) == []
    assert office.state(request) == "denied"
    assert office.see(request)["reasons"][0]["code"] == "ShorterNeedsOthers"
    other = office.waiting(why="the neighbour")
    assert office.approve(other, office.bob, duration="PT10M").status_code == 200
    assert office.state(other) == "opening"


def test_a_shortened_time_needs_whom_it_concerns(office: Office) -> None:
    """As asked for it needs nobody any more; as Bob shortened it, Carol, who said nothing yet."""
    stages = [stage(users(office.bob)), stage(users(office.carol))]
    office.put(rules=[{"name": "all", "effect": "approve", "stages": stages}])
    request = office.waiting(duration="PT2H")
    assert office.approve(request, office.bob, duration="PT30M").status_code == 200
    assert office.state(request) == "waiting"
    short = {"conditions": {"atMost": "PT1H"}, "stages": stages[1:]}
    office.put(rules=[{"name": "short", "effect": "approve", **short}])
    office.house.sweep()
    assert (office.state(request), office.grants(request)) == ("denied", [])
    (reason,) = office.see(request)["reasons"]
    assert reason["code"] == "ShorterNeedsOthers"


def test_who_approves_at_one_machine_has_not_approved_at_another(office: Office) -> None:
    """Dave approves a request with extensions at web-1. Then db-1 needs an approver of its own."""
    house, role = office.house, stage({"role": True})
    give(house, office.dave.id, ACCESS_APPROVER.id, house.machine("web-1"), "User")
    tagged = {"location": "local", "tags": {"tier": "web"}}
    assert house.call("PUT", house.machine("web-1"), tagged, COMPUTE).status_code == 200
    rule = {"name": "role", "effect": "approve", "stages": [role]}
    machines = ("web-1", "db-1")
    office.put(machines=machines, rules=[{**rule, "conditions": {"tags": {"tier": "web"}}}])
    request = office.waiting(machines=machines, duration="PT30M", upTo="PT2H")
    assert office.approve(request, office.dave).status_code == 200
    web = [each.id for each in office.grants(request) if each.machine_id.name == "web-1"]
    extend = f"{office.path(request)}/extend"
    assert office.alice.call("POST", extend, {"duration": "PT40M"}).status_code == 200
    office.put(machines=machines, rules=[rule])
    revoke = f"{office.path(request)}/revoke"
    assert office.alice.call("POST", revoke, {"grantIds": web}).status_code == 200
    assert "ApprovalRequired" in office.alice.call("POST", extend, {"duration": "PT1H"}).text


def set_passwords(office: Office, *pairs: tuple[str, Human], days_ago: float = 0.0) -> None:
    """Each the maker, and whose password they set."""

    def note(tx: Transaction, act: Act) -> None:
        for maker, whose in pairs:
            tx.note_maker(Made.PASSWORD, whose.id, maker, act.now, is_first=False)

    office.house.do(note)
    if days_ago:
        office.pass_time(days_ago * 86_400)


def test_who_set_a_password_of_who_set_a_password_is_no_other(office: Office) -> None:
    """Alice sets Dave's password, signs in as him, sets Bob's, and says yes as Bob."""
    office.put(stage(users(office.bob, office.carol)))
    set_passwords(office, (office.alice.id, office.dave), (office.dave.id, office.bob))
    request = office.waiting()
    assert code_of(office.approve(request, office.bob)) == "NotIndependent"
    assert office.approve(request, office.carol).status_code == 200, "nobody else is concerned"


def test_nor_is_who_could_sign_in_as_who_asks(office: Office) -> None:
    """Bob sets Dave's password, signs in as him, sets Alice's, and asks as Alice."""
    office.put(stage(users(office.bob)))
    set_passwords(office, (office.bob.id, office.dave), (office.dave.id, office.alice))
    assert code_of(office.approve(office.waiting(), office.bob)) == "NotIndependent"


def test_nor_who_could_sign_in_as_another_approver(office: Office) -> None:
    office.put(stage(users(office.bob, office.carol), needed=2))
    set_passwords(office, (office.bob.id, office.dave), (office.dave.id, office.carol))
    request = office.waiting()
    assert office.approve(request, office.carol).status_code == 200
    assert code_of(office.approve(request, office.bob)) == "NotIndependent"


def test_a_circle_of_passwords_of_long_ago_concerns_nobody(office: Office) -> None:
    office.put(stage(users(office.bob)))
    circle = (office.alice, office.dave, office.bob, office.alice)
    pairs = [(maker.id, whose) for maker, whose in pairwise(circle)]
    set_passwords(office, *pairs, days_ago=1.01)
    assert office.approve(office.waiting(), office.bob).status_code == 200


def test_who_made_the_asking_program_does_not_say_yes_as_somebody_else(office: Office) -> None:
    """Bob makes a program, asks as it, sets Carol's password and says yes as Carol."""
    house = office.house
    boss = make_role(house, "Boss", "*")
    give(house, office.bob.id, boss, house.subscription, "User")
    path = "/providers/Bascule.Identity/servicePrincipals"
    made = office.bob.call("POST", path, {"properties": {"displayName": "deployer"}})
    program = str(made.json()["name"])
    give(house, program, boss, house.subscription)
    office.put(stage(users(office.carol, office.dave)))
    (known,) = house.see(lambda reader: reader.credentials_of(program))
    request = ask_as(office, program, known.proof)
    set_passwords(office, (office.bob.id, office.carol))
    seen = house.call("GET", office.path(request)).json()["properties"]["approval"]
    assert code_of(office.approve(request, office.carol, digest=seen["digest"])) == "NotIndependent"
    assert office.approve(request, office.dave, digest=seen["digest"]).status_code == 200


def ask_as(office: Office, program: str, proof: str) -> str:
    house = office.house
    client = house.client_of(house.token(program, PrincipalKind.SERVICE, proof))
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.9"}
    answer = client.post(
        f"{house.policy()}/initiate",
        params={"api-version": JIT},
        json={"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]},
    )
    assert answer.status_code == 202, answer.text
    return str(answer.json()["bascule"]["requestId"])


# -- what is approved is what opens ----------------------------------------------------------------


@pytest.mark.parametrize("protocol", ["*", "UDP"])
def test_another_protocol_was_not_approved(office: Office, protocol: str) -> None:
    """Whoever may write the policy, and no rules, makes it another one while the request waits."""
    office.put(stage(users(office.bob)))
    request = office.waiting()
    digest = office.digest(request)
    house = office.house
    properties = house.call("GET", house.policy(), version=JIT).json()["properties"]
    properties["virtualMachines"][0]["ports"][0]["protocol"] = protocol
    assert house.call("PUT", house.policy(), {"properties": properties}, JIT).status_code == 200
    answer = office.approve(request, office.bob, digest=digest)
    assert (code_of(answer), office.grants(request)) == ("OtherDigest", [])
    house.sweep()
    # Whoever approves is told what is opened beyond TCP, in the page and by the command.
    (told,) = read_approval(office.see(request)["approval"]).protocols
    assert (told.machine.name, told.port, told.protocols) == ("web-1", 22, (protocol,))
    assert office.approve(request, office.bob).status_code == 200


def test_who_is_disabled_gets_nothing_at_the_start(office: Office) -> None:
    office.put()
    office.house.sweep()
    answer = ask_with(office, {"startTimeUtc": "2030-01-01T13:00:00Z"})
    request = answer.json()["bascule"]["requestId"]

    def disable(tx: Transaction, _: Act) -> None:
        user = tx.user(office.alice.id)
        assert user is not None
        tx.put_user(replace(user, is_enabled=False))

    office.house.do(disable)
    office.pass_time(3600)
    office.house.sweep()
    assert office.grants(request) == []
    shown = office.house.call("GET", office.path(request)).json()["properties"]
    assert shown["state"] == "denied"


# -- tickets ---------------------------------------------------------------------------------------


def test_an_extension_by_a_length_is_one_question(tickets: TicketOffice) -> None:
    """While the system is asked the clock goes on, and so would an end that is counted from now."""
    answer = tickets.ask(why="CHG0001 x", duration="PT30M")
    request = answer.json()["bascule"]["requestId"]
    tickets.system.during = lambda: tickets.house.clock.pass_time(0.2)
    extend = f"{tickets.path(request)}/extend"
    answer = tickets.alice.call("POST", extend, {"duration": "PT1H"})
    assert answer.status_code == 200, answer.text
    assert len(tickets.system.asked) == 2


def test_no_system_is_sent_a_reason_that_is_refused(tickets: TicketOffice) -> None:
    """It would be sent, and go on record, at any length."""
    why = "CHG0001 ".ljust(MAXIMUM_JUSTIFICATION + 1, "x")
    answer = tickets.ask(why=why)
    assert "JustificationTooLong" in answer.text
    assert (tickets.system.asked, tickets.house.events("TicketChecked")) == ([], [])
    assert tickets.ask(why=why[:-1]).status_code == 202
