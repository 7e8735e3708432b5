"""Emergency access: who may use it, how it might open too much, and how it is told (EDGES J10, J3)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from bascule.domain.actions import INITIATE, POLICY_READ, RULES_WRITE
from bascule.domain.builtin_roles import ACCESS_APPROVER, CONTRIBUTOR, EMERGENCY_ACCESS, OWNER
from bascule.domain.delivery import Form, Sink, parse_target
from bascule.domain.facts.grants import EmergencyAccess
from bascule.domain.facts.kind import Severity
from bascule.domain.mail import MailChoice
from bascule.domain.times import format_utc
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.mail import mail_parcel
from bascule.services.makers import Made
from tests.unit.test_services_chat import link_of
from tests.wire.approval_world import Human, Office, code_of, stage, users
from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.people import give, make_role

WHY = "the database is on fire"


@pytest.fixture
def office(house: House) -> Office:
    """Erin has the role for emergencies and nothing else; her factor is fresh."""
    office = Office(house)
    office.erin = Human(house, "erin").show_factor()  # type: ignore[attr-defined]  # reason: one more
    office.assignment = give(  # type: ignore[attr-defined]  # reason: as above
        house, erin(office).id, EMERGENCY_ACCESS.id, house.subscription, "User"
    )
    return office


def erin(office: Office) -> Human:
    return office.erin  # type: ignore[attr-defined, no-any-return]  # reason: one more


def emergency(office: Office, who: Any = None, **more: Any) -> Any:
    more = {"why": WHY, "emergency": True, **more}
    return office.ask(who or erin(office), **more)


def opened(office: Office, **more: Any) -> str:
    answer = emergency(office, **more)
    assert answer.status_code == 202, answer.text
    assert answer.json()["bascule"]["emergency"] is True
    return str(answer.json()["bascule"]["requestId"])


def test_it_opens_without_approval_and_only_so(office: Office) -> None:
    """The neighbour: the same person without *emergency* may not even ask."""
    office.put(stage(users(office.bob)))
    plain = office.ask(erin(office), why=WHY)
    assert (plain.status_code, office.leases()) == (403, [])
    request = opened(office)
    (lease,) = office.leases()
    (grant,) = office.grants(request)
    assert lease["grantId"] == grant.id
    assert grant.is_emergency
    shown = office.see(request, erin(office))
    assert (shown["emergency"], shown["needsReview"], shown["review"]) == (True, True, None)
    assert "approval" not in shown


@pytest.mark.parametrize(
    "roles",
    [
        [OWNER.id],
        [CONTRIBUTOR.id],
        [ACCESS_APPROVER.id, OWNER.id],
        [("*",)],
        [("Bascule.Access/*", POLICY_READ, INITIATE)],
        [("Bascule.Access/accessRequests/emergency/action", POLICY_READ, INITIATE)],
    ],
)
def test_no_wildcard_of_actions_gives_it(office: Office, roles: list[Any]) -> None:
    office.put(stage(users(office.bob)))
    dave = office.dave.show_factor()
    for each in roles:
        role = each if isinstance(each, str) else make_role(office.house, "r", *each)
        give(office.house, dave.id, role, office.house.subscription, "User")
    answer = emergency(office, dave)
    assert (answer.status_code, office.leases()) == (403, []), answer.text
    assert "emergency/action" in answer.text


def test_at_another_machine_it_is_not_held(office: Office) -> None:
    office.put(machines=("web-1", "db-1"))
    dave = office.dave.show_factor()
    give(office.house, dave.id, EMERGENCY_ACCESS.id, office.house.machine("web-1"), "User")
    assert emergency(office, dave).status_code == 202
    for machines in (("db-1",), ("web-1", "db-1")):
        assert emergency(office, dave, machines=machines).status_code == 403
    assert office.leases("db-1") == []


def test_a_program_never_uses_it(office: Office) -> None:
    house = office.house
    office.put()
    give(house, house.administrator, EMERGENCY_ACCESS.id, house.subscription)
    body = {
        "virtualMachines": [
            {
                "id": house.machine("web-1"),
                "ports": [
                    {"number": 22, "allowedSourceAddressPrefix": "203.0.113.9", "duration": "PT1H"}
                ],
            }
        ],
        "justification": WHY,
        "bascule": {"emergency": True},
    }
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert (answer.status_code, code_of(answer)) == (403, "OnlyPeopleInEmergency")
    assert office.leases() == []


@pytest.mark.parametrize(
    ("ago", "status"), [(0, 202), (900, 202), (901, 403), (86_400, 403), (None, 403), (-1, 403)]
)
def test_the_second_factor_is_fresh(office: Office, ago: float | None, status: int) -> None:
    """None: only a password. Of a clock that was set back nothing is known."""
    office.put()
    answer = emergency(office, erin(office).show_factor(ago))
    assert answer.status_code == status, answer.text
    if status == 403:
        assert code_of(answer) == "SecondFactorTooOld"
        assert "bascule login --again" in answer.text
        assert office.leases() == []


def test_the_factor_grows_old_while_a_token_is_used(office: Office) -> None:
    office.put(numbers=(22, 80))
    opened(office)
    office.house.clock.pass_time(901)
    answer = emergency(office, numbers=(80,))
    assert (answer.status_code, code_of(answer)) == (403, "SecondFactorTooOld")


@pytest.mark.parametrize("why", [None, "", "  "])
def test_it_needs_a_reason_whatever_the_policy_says(office: Office, why: str | None) -> None:
    office.put()
    answer = emergency(office, why=why)
    assert (answer.status_code, code_of(answer)) == (400, "JustificationRequired")
    assert office.leases() == []


def test_it_lasts_at_most_an_hour(office: Office) -> None:
    """Clocks may differ by a minute; what is granted may not."""
    office.put()
    for end in ({"duration": "PT2H"}, {"duration": "PT1H2M"}):
        answer = emergency(office, **end)
        assert (answer.status_code, code_of(answer)) == (400, "EmergencyTooLong"), answer.text
    request = opened(office, duration="PT1H1M")
    (grant,) = office.grants(request)
    assert (grant.ends_at - office.house.clock.now()).total_seconds() == 3600


def test_the_policys_own_maximum_holds_too(office: Office) -> None:
    house = office.house
    rule = port_rule(22, maxRequestAccessDuration="PT30M")
    body = {"properties": {"virtualMachines": [{"id": house.machine("web-1"), "ports": [rule]}]}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    assert code_of(emergency(office)) == "DurationTooLong"
    assert emergency(office, duration="PT30M").status_code == 202


def test_it_is_not_extended_in_any_way(office: Office) -> None:
    """Nor by asking again, also from another address; after its end it may be asked for again."""
    give(office.house, erin(office).id, CONTRIBUTOR.id, office.house.subscription, "User")
    office.put(numbers=(22, 80))
    request = opened(office)
    (before,) = office.grants(request)
    extend = erin(office).call("POST", f"{office.path(request)}/extend", {"duration": "PT1H"})
    assert (extend.status_code, code_of(extend)) == (409, "EmergencyNotExtended")
    office.house.clock.pass_time(60)
    for more in ({}, {"source": "203.0.113.10"}, {"numbers": (80, 22)}):
        answer = emergency(office, **more)
        assert (answer.status_code, code_of(answer)) == (400, "EmergencyNotExtended")
    assert emergency(office, numbers=(80,)).status_code == 202  # another port
    (after,) = office.grants(request)
    assert after.ends_at == before.ends_at
    office.house.clock.pass_time(3600)
    office.house.sweep()
    erin(office).show_factor()
    assert emergency(office).status_code == 202


@pytest.mark.parametrize(
    ("numbers", "machines", "code"),
    [((80,), ("web-1",), "PortNotInPolicy"), ((22,), ("db-1",), "MachineNotInPolicy")],
)
def test_the_policy_must_name_it(
    office: Office, numbers: tuple[int, ...], machines: tuple[str, ...], code: str
) -> None:
    office.put()
    answer = emergency(office, numbers=numbers, machines=machines)
    assert (answer.status_code, code_of(answer)) == (400, code)


def test_the_hosts_guard_holds(office: Office) -> None:
    office.put()
    office.house.report(
        office.agents["web-1"],
        office.uids["web-1"],
        guard={"ports": [{"number": 80, "protocol": "TCP"}]},
    )
    answer = emergency(office)
    assert (answer.status_code, code_of(answer)) == (400, "PortNotAdmittedByHost"), answer.text


def test_a_deny_that_was_judged_holds_and_one_that_could_not_be_does_not(office: Office) -> None:
    never = {"name": "never", "effect": "deny", "conditions": {"ports": [22]}}
    office.put(rules=[never])
    answer = emergency(office)
    assert (answer.status_code, code_of(answer)) == (400, "DeniedByRule")
    assert office.leases() == []
    approve = {
        "name": "two",
        "effect": "approve",
        "stages": [stage({"role": True}, needed=2)],
    }
    office.put(rules=[approve])
    assert emergency(office).status_code == 202


def test_a_deny_of_another_policy_holds(office: Office) -> None:
    never = {"name": "never", "effect": "deny", "conditions": {"users": [erin(office).id]}}
    office.put()
    office.put(name="other", rules=[never])
    assert code_of(emergency(office)) == "DeniedByRule"
    assert office.leases() == []


def test_the_role_lost_ends_it(office: Office) -> None:
    """Also where the person may still ask as everybody does; the neighbour keeps it."""
    house = office.house
    give(
        house,
        erin(office).id,
        make_role(house, "a", INITIATE, POLICY_READ),
        house.subscription,
        "User",
    )
    office.put()
    request = opened(office)
    path = f"{house.subscription}/providers/Microsoft.Authorization/roleAssignments"
    assert len(office.leases()) == 1
    gone = house.call("DELETE", f"{path}/{office.assignment}", None, "2022-04-01")  # type: ignore[attr-defined]  # reason: one more
    assert gone.status_code == 200, gone.text
    (grant,) = office.grants(request)
    assert (grant.is_live, office.leases()) == (False, [])
    assert emergency(office).status_code == 403


def test_the_role_that_everybody_has_lost_does_not_end_it(office: Office) -> None:
    house = office.house
    asks = make_role(house, "a", INITIATE, POLICY_READ)
    held = give(house, erin(office).id, asks, house.subscription, "User")
    office.put()
    request = opened(office)
    path = f"{house.subscription}/providers/Microsoft.Authorization/roleAssignments/{held}"
    assert house.call("DELETE", path, None, "2022-04-01").status_code == 200
    (grant,) = office.grants(request)
    assert grant.is_live


def test_it_is_critical_on_record(office: Office) -> None:
    office.put()
    request = opened(office)
    kinds = ("AccessRequested", "EmergencyAccess", "GrantCreated")
    assert sorted(office.house.events(*kinds)) == sorted(kinds)
    assert EmergencyAccess.described.severity is Severity.CRITICAL
    refused = emergency(office, office.dave)
    assert refused.status_code == 403
    assert office.house.events("EmergencyAccess") == ["EmergencyAccess"]
    assert request


def test_owners_hear_by_mail_at_once_whatever_they_chose(office: Office) -> None:
    """Each event in a message of its own; who is no owner hears nothing; no sink is limited to less."""
    house = office.house
    office.put(numbers=(22, 80))
    request = opened(office)
    olga, contributor = Human(house, "olga"), Human(house, "con")
    give(house, olga.id, OWNER.id, house.subscription, "User")
    give(house, contributor.id, CONTRIBUTOR.id, house.subscription, "User")
    for who in (olga, contributor, office.carol):
        choice = MailChoice(who.id, f"{who.name}@corp.example", "en", asked=False, own=False)
        house.do(lambda tx, _, choice=choice: tx.put_mail_choice(choice))
    link = link_of("EmergencyAccess", {"request_id": request, "justification": WHY})
    made = house.see(
        lambda reader: mail_parcel(
            reader,
            parse_target("mail:people"),
            [link] * 7,
            "bascule@corp.example",
            "https://bascule.corp.example",
            house.clock.now(),
        )
    )
    assert len(made.messages) == 7
    assert all(b"To: olga@corp.example" in each for each in made.messages)
    assert all(b"Emergency access used" in each for each in made.messages)
    chat = parse_target("https://chat.corp.example/x")
    muted = Sink("s", "s", chat, Form.SLACK, house.clock.now(), ("GrantOpened",), level=5)
    assert muted.wants("EmergencyAccess", 1)
    assert not muted.wants("AccessWaiting", 5)


def test_azures_clients_see_no_difference(office: Office) -> None:
    """A request without the field is as before, and so is one that says false."""
    office.put()
    give(office.house, office.alice.id, EMERGENCY_ACCESS.id, office.house.subscription, "User")
    for emergency_field in (None, False):
        answer = office.ask(emergency=emergency_field)
        assert answer.status_code == 202
        assert "emergency" not in answer.json()["bascule"]
        assert "emergency" not in office.see(answer.json()["bascule"]["requestId"])
    assert office.house.events("EmergencyAccess") == []


# -- reviewed by somebody else, once, with a note ---------------------------------------------


def review(office: Office, request: str, who: Human, note: Any = "it was needed") -> Any:
    return who.call("POST", f"{office.path(request)}/review", {"note": note})


def listed(who: Human) -> list[str]:
    path = f"{who.house.subscription}/providers/Bascule.Access/accessRequests"
    query = {"api-version": BASCULE, "$filter": "needsReview eq true"}
    answer = who.client.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["value"]]


def counted(who: Human) -> int:
    answer = who.call("GET", "/providers/Bascule.Access/approvalCounts/default")
    return int(answer.json()["properties"]["needsReview"])


def test_a_review_by_who_approves_there(office: Office) -> None:
    office.put()
    request = opened(office)
    assert (listed(office.carol), counted(office.carol)) == ([request], 1)
    assert (listed(office.dave), counted(office.dave)) == ([], 0)
    answer = review(office, request, office.carol)
    assert answer.status_code == 200, answer.text
    shown = office.see(request, erin(office))
    assert shown["needsReview"] is False
    assert shown["review"]["note"] == "it was needed"
    assert shown["review"]["principalId"] == office.carol.id
    assert (listed(office.carol), counted(office.carol)) == ([], 0)
    assert office.house.events("EmergencyReviewed") == ["EmergencyReviewed"]


def test_a_review_by_who_writes_rules(office: Office) -> None:
    office.put()
    request = opened(office)
    role = make_role(office.house, "w", RULES_WRITE)
    give(office.house, office.dave.id, role, office.house.machine("web-1"), "User")
    assert review(office, request, office.dave).status_code == 200


def test_a_review_needs_the_right_at_each_machine(office: Office) -> None:
    office.put(machines=("web-1", "db-1"))
    request = opened(office, machines=("web-1", "db-1"))
    role = make_role(office.house, "w", RULES_WRITE, POLICY_READ)
    give(office.house, office.dave.id, role, office.house.machine("web-1"), "User")
    assert code_of(review(office, request, office.dave)) == "ResourceNotFound"
    give(office.house, office.dave.id, ACCESS_APPROVER.id, office.house.machine("db-1"), "User")
    assert code_of(review(office, request, office.dave)) == "ResourceNotFound"
    assert listed(office.dave) == []


def test_nobody_reviews_their_own(office: Office) -> None:
    give(office.house, erin(office).id, OWNER.id, office.house.subscription, "User")
    give(office.house, erin(office).id, ACCESS_APPROVER.id, office.house.subscription, "User")
    office.put()
    request = opened(office)
    answer = review(office, request, erin(office))
    assert (answer.status_code, code_of(answer)) == (403, "OwnEmergency")
    assert counted(erin(office)) == 0
    assert office.see(request, erin(office))["needsReview"] is True


def test_nor_as_somebody_whose_password_they_set(office: Office) -> None:
    """For a day; others may."""
    office.put()
    request = opened(office)

    def note(tx: Transaction, act: Act) -> None:
        tx.note_maker(Made.PASSWORD, office.carol.id, erin(office).id, act.now)

    assert office.see(request, office.carol)["mayReview"] is True
    office.house.do(note)
    answer = review(office, request, office.carol)
    assert (answer.status_code, code_of(answer)) == (403, "NotIndependent")
    assert office.see(request, office.carol)["mayReview"] is False
    assert counted(office.carol) == 0
    assert office.see(request, erin(office))["needsReview"] is True
    office.pass_time(86_401)
    assert office.see(request, office.carol)["mayReview"] is True
    assert review(office, request, office.carol).status_code == 200


def test_a_program_reviews_nothing(office: Office) -> None:
    office.put()
    request = opened(office)
    answer = office.house.call("POST", f"{office.path(request)}/review", {"note": "fine"})
    assert (answer.status_code, code_of(answer)) == (403, "OnlyPeopleReview")


def test_a_review_is_given_once_and_says_something(office: Office) -> None:
    office.put()
    request = opened(office)
    for note, code in (("", "NoteRequired"), ("  ", "NoteRequired"), ("x" * 501, "TextTooLong")):
        assert code_of(review(office, request, office.carol, note)) == code
    assert review(office, request, office.carol).status_code == 200
    again = review(office, request, office.carol)
    assert (again.status_code, code_of(again)) == (409, "AlreadyReviewed")
    assert office.house.events("EmergencyReviewed") == ["EmergencyReviewed"]


def test_what_is_no_emergency_needs_none(office: Office) -> None:
    office.put()
    plain = str(office.ask().json()["bascule"]["requestId"])
    answer = review(office, plain, office.carol)
    assert (answer.status_code, code_of(answer)) == (409, "NoEmergency")
    assert emergency(office, duration="PT5H").status_code == 400  # refused: opened nothing
    assert listed(office.carol) == []


def test_a_strangers_review_tells_nothing(office: Office) -> None:
    office.put()
    request = opened(office)
    answer = review(office, request, office.dave)
    assert (answer.status_code, code_of(answer)) == (404, "ResourceNotFound")
    readers = make_role(office.house, "reads", POLICY_READ)
    give(office.house, office.dave.id, readers, office.house.subscription, "User")
    answer = review(office, request, office.dave)
    assert answer.status_code == 403
    assert listed(office.dave) == [request]  # may read it
    assert counted(office.dave) == 0


def test_it_is_not_scheduled(office: Office) -> None:
    """An hour without approval, put off to a time that suits (EDGES J10)."""
    house = office.house
    office.put(stage(users(office.bob)))
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.9"}
    start = format_utc(house.clock.now() + timedelta(hours=1))
    body = {
        "virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}],
        "justification": WHY,
        "bascule": {"emergency": True, "startTimeUtc": start},
    }
    answer = erin(office).call("POST", f"{house.policy()}/initiate", body, JIT)
    assert (answer.status_code, code_of(answer)) == (400, "MutuallyExclusiveFields")
    assert office.leases() == []
