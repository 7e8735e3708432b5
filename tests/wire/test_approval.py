"""Requests that wait for other people (docs/approval.md; EDGES J)."""

from __future__ import annotations

import uuid
from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind
from bascule.identity.authenticate import name_of_proof
from bascule.interfaces.approvals import AskedBy, AskedOne
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from bascule.services.approvers import void_unvouched
from tests.wire.approval_world import Human, Office, code_of, stage, users
from tests.wire.house import BASCULE, BASE, House
from tests.wire.people import give, make_role


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


def test_a_length_counts_from_the_opening(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting(duration="PT30M")
    office.pass_time(3600)
    assert office.approve(request, office.bob).status_code == 200
    (grant,) = office.grants(request)
    assert (grant.ends_at - office.house.clock.now()).total_seconds() == 1800


def test_an_end_stays_and_a_passed_one_lapses(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting(endTimeUtc="2030-01-01T13:00:00Z")
    office.pass_time(1200)
    assert office.approve(request, office.bob).status_code == 200
    (grant,) = office.grants(request)
    assert grant.ends_at_text == "2030-01-01T13:00:00Z"
    other = office.waiting(endTimeUtc="2030-01-01T13:10:00Z", why="again")
    digest = office.digest(other)
    office.pass_time(3600)
    assert code_of(office.approve(other, office.bob, digest=digest)) == "NotWaiting"
    office.house.sweep()
    assert office.state(other) == "lapsed"
    assert office.grants(other) == []


def test_azures_words_for_what_waits_and_for_what_did_not_open(office: Office) -> None:
    office.put(stage(users(office.bob)))
    answer = office.ask().json()
    ((port,),) = [machine["ports"] for machine in answer["virtualMachines"]]
    assert (port["status"], port["statusReason"]) == ("Initiating", "UserRequested")
    request = answer["bascule"]["requestId"]
    assert office.deny(request, office.bob).status_code == 200
    shown = office.see(request)
    ((port,),) = [machine["ports"] for machine in shown["virtualMachines"]]
    assert (port["status"], port["bascule"]["state"]) == ("Revoked", "denied")
    assert shown["reasons"] == [{"code": "DeniedByApprover", "message": "not today"}]
    assert shown["approval"]["denial"]["displayName"].startswith("bob")
    lapsed = office.waiting(why="another")
    office.pass_time(86_401)
    office.house.sweep()
    ((port,),) = [machine["ports"] for machine in office.see(lapsed)["virtualMachines"]]
    assert (port["status"], port["statusReason"]) == ("Revoked", "Expired")
    kinds = ("AccessWaiting", "AccessNotApproved", "AccessLapsed")
    assert sorted(office.house.events(*kinds)) == sorted([*kinds, "AccessWaiting"])


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("bob", None),
        ("alice", "OwnRequest"),
        ("carol", "ResourceNotFound"),  # is asked for later stages alone: may not know of it yet
        ("dave", "ResourceNotFound"),
    ],
)
def test_persons_by_deeds(office: Office, who: str, code: str | None) -> None:
    """Each yes that counts beside those that do not."""
    office.put(stage(users(office.bob, office.alice)), stage({"role": True}))
    request = office.waiting()
    digest = office.digest(request)
    person = getattr(office, who)
    for verb, more in (("approve", {}), ("deny", {"reason": "no"})):
        if who == "alice" and verb == "deny":
            continue
        answer = person.call("POST", f"{office.path(request)}/{verb}", {"digest": digest, **more})
        if code is None:
            assert answer.status_code == 200, answer.text
            return
        assert code_of(answer) == code
    assert office.state(request) == "waiting"


@pytest.mark.parametrize(
    "name", ["b\N{CYRILLIC SMALL LETTER O}b", "bob.", "bob\N{ZERO WIDTH SPACE}"]
)
def test_a_lookalike_of_an_approver_is_a_stranger(office: Office, name: str) -> None:
    """Approvers are named by id: what an account is called counts for nothing."""
    office.put(stage(users(office.bob)))
    request = office.waiting()
    like = Human(office.house, name)
    assert code_of(office.approve(request, like)) == "ResourceNotFound"
    assert code_of(office.deny(request, like)) == "ResourceNotFound"
    assert office.approve(request, office.bob).status_code == 200
    (vote,) = office.see(request)["approval"]["stages"][0]["votes"]
    assert vote["principalId"] == office.bob.id


def test_a_token_of_another_tenant_approves_nothing(office: Office) -> None:
    """Signed by the same key, for the same person, of a tenant that this one is not."""
    office.put(stage(users(office.bob)))
    request = office.waiting()
    house, other = office.house, str(uuid.uuid4())
    tenant = house.installation.tenant_id
    token = house.state.tokens.issue(
        office.bob.id,
        PrincipalKind.USER,
        name_of_proof(f"{office.bob.id}/0"),
        other,
        house.state.realm.issuer(BASE).replace(tenant, other),
        BASE,
        str(uuid.uuid4()),
        house.clock.now(),
    )
    path = f"{house.subscription}{office.path(request)}/approve"
    body = {"digest": office.digest(request)}
    answer = house.client_of(token).post(path, json=body, params={"api-version": BASCULE})
    assert answer.status_code == 401
    assert office.state(request) == "waiting"


def test_a_service_principal_is_never_an_approver(office: Office) -> None:
    """It may read all, and holds the role; only people approve (EDGES J5)."""
    office.put(stage({"role": True}))
    request = office.waiting()
    path = f"{office.path(request)}/approve"
    answer = office.house.call("POST", path, {"digest": office.digest(request)})
    assert (answer.status_code, code_of(answer)) == (403, "OnlyPeopleApprove")


def test_a_person_counts_once_and_two_at_once_are_one(office: Office) -> None:
    office.put(stage(users(office.bob, office.carol), needed=2))
    request = office.waiting()
    digest = office.digest(request)
    assert office.approve(request, office.bob, digest=digest).status_code == 200
    again = office.approve(request, office.bob, digest=digest)
    assert (again.status_code, code_of(again)) == (409, "AlreadyApproved")
    assert office.state(request) == "waiting"
    assert office.approve(request, office.carol, digest=digest).status_code == 200
    assert office.state(request) == "opening"


@pytest.mark.parametrize("lost", ["disabled", "deleted", "taken", "left"])
def test_whose_right_is_taken_does_not_count_any_more(office: Office, lost: str) -> None:
    """EDGES J7, with the right that is left as its neighbour."""
    house = office.house
    office.put(stage({"role": True, "groups": [office.group]}, needed=2))
    request = office.waiting()
    digest = office.digest(request)
    assert office.approve(request, office.carol, digest=digest).status_code == 200
    user = f"/providers/Bascule.Identity/users/{office.carol.id}"
    if lost == "disabled":
        answer = house.call("PATCH", user, {"properties": {"accountEnabled": False}})
        assert answer.status_code == 200, answer.text
    elif lost == "deleted":
        assert house.call("DELETE", user).status_code == 200
    elif lost == "taken":
        path = f"/providers/Microsoft.Authorization/roleAssignments/{office.assigned}"
        assert house.call("DELETE", path, version="2022-04-01").status_code == 200
    assert office.approve(request, office.bob, digest=digest).status_code == 200
    assert office.state(request) == ("opening" if lost == "left" else "waiting")
    assert bool(office.grants(request)) is (lost == "left")


def test_whose_void_yes_is_missing_is_asked_again(office: Office) -> None:
    """Also by the list and the count: the page would let her approve, and she has to find it."""
    house, user = office.house, f"/providers/Bascule.Identity/users/{office.carol.id}"
    office.put(stage({"role": True, "groups": [office.group]}, needed=2))
    request = office.waiting()

    def waiting() -> int:
        counts = "/providers/Bascule.Access/approvalCounts/default"
        return int(office.carol.call("GET", counts).json()["properties"]["waitingForMe"])

    assert waiting() == 1
    assert office.approve(request, office.carol).status_code == 200
    assert waiting() == 0
    for is_enabled in (False, True):
        body = {"properties": {"accountEnabled": is_enabled}}
        assert house.call("PATCH", user, body).status_code == 200
    assert office.see(request, office.carol)["approval"]["mayApprove"] is True
    assert waiting() == 1
    assert office.approve(request, office.carol).status_code == 200
    assert waiting() == 0


def approved_on_duty(office: Office, minutes: int | None) -> tuple[str, str]:
    """Dave approves as a member of a group, for so long. The request, which waits for Bob now, and the
    path of Dave's membership.
    """
    ends = None if minutes is None else office.house.clock.now() + timedelta(minutes=minutes)
    duty = office.make_group("duty", office.dave, ends=ends)
    office.put(stage({"groups": [duty]}), stage(users(office.bob)))
    request = office.waiting()
    assert office.approve(request, office.dave).status_code == 200
    return request, membership_path(office, duty)


def membership_path(office: Office, group: str) -> str:
    return f"/providers/Bascule.Identity/groups/{group}/members/{office.dave.id}"


@pytest.mark.parametrize("minutes", [120, None])
def test_an_end_that_was_brought_forward_is_the_memberships_own(
    office: Office, minutes: int | None
) -> None:
    """EDGES J7: the yes counts without a break, whether the end was set before it or after."""
    request, path = approved_on_duty(office, minutes)
    body = {"properties": {"expiresAt": "2030-01-01T12:20:00Z"}}  # it is noon
    assert office.house.call("PUT", path, body).status_code == 200
    for _ in range(4):
        assert office.see(request)["approval"]["stages"][0]["given"] == 1
        office.pass_time(45 * 60)
        office.house.sweep()
    assert office.approve(request, office.bob).status_code == 200
    assert office.state(request) == "opening"


def test_what_ran_out_by_itself_is_not_taken_with_another_group(office: Office) -> None:
    """EDGES J7, with its neighbour: who was put in again, and taken out, does not count."""
    house = office.house
    other = membership_path(office, office.make_group("other", office.dave))
    request, path = approved_on_duty(office, 10)
    office.pass_time(20 * 60)
    house.sweep()
    assert house.call("DELETE", other).status_code == 200
    assert office.see(request)["approval"]["stages"][0]["given"] == 1
    assert house.call("PUT", path, {"properties": {}}).status_code in (200, 201)
    assert office.see(request)["approval"]["stages"][0]["given"] == 1
    assert house.call("DELETE", path).status_code == 200
    assert office.see(request)["approval"]["stages"][0]["given"] == 0


def test_an_end_that_was_put_off_is_the_one_before_which_it_is_taken(office: Office) -> None:
    request, path = approved_on_duty(office, 20)
    body = {"properties": {"expiresAt": "2030-01-01T16:00:00Z"}}  # it is noon
    assert office.house.call("PUT", path, body).status_code == 200
    office.pass_time(30 * 60)
    assert office.house.call("DELETE", path).status_code == 200
    assert office.see(request)["approval"]["stages"][0]["given"] == 0


def test_whose_membership_ran_out_by_itself_still_counts(office: Office) -> None:
    """EDGES J7: the on-call list moves on; its yes of yesterday stays."""
    request, _ = approved_on_duty(office, 10)
    office.pass_time(1200)
    office.house.sweep()
    assert office.approve(request, office.bob).status_code == 200
    assert office.state(request) == "opening"


def test_a_membership_that_is_over_asks_nobody(office: Office) -> None:
    ends = office.house.clock.now() + timedelta(minutes=10)
    duty = office.make_group("duty", office.dave, ends=ends)
    office.put(stage({"groups": [duty]}))
    request = office.waiting()
    digest = office.digest(request)
    office.pass_time(1200)
    assert code_of(office.approve(request, office.dave, digest=digest)) == "ResourceNotFound"


def test_another_digest_decides_nothing(office: Office) -> None:
    office.put(stage(users(office.bob)))
    one, other = office.waiting(), office.waiting(why="other")
    for verb, more in (("approve", {}), ("deny", {"reason": "no"})):
        body = {"digest": office.digest(other), **more}
        answer = office.bob.call("POST", f"{office.path(one)}/{verb}", body)
        assert (answer.status_code, code_of(answer)) == (409, "OtherDigest")
    assert (office.state(one), office.state(other)) == ("waiting", "waiting")


def test_reading_decides_nothing_and_crafted_stages_are_refused(office: Office) -> None:
    """A mail scanner follows links; a form names another stage."""
    office.put(stage(users(office.carol)), stage(users(office.bob)))
    request = office.waiting()
    digest = office.digest(request)
    for verb in ("approve", "deny", "revoke"):
        answer = office.bob.call("GET", f"{office.path(request)}/{verb}")
        assert answer.status_code in (404, 405)
    body = {"digest": digest, "stage": 2, "number": 2, "stages": []}
    answer = office.bob.call("POST", f"{office.path(request)}/approve", body)
    assert answer.status_code == 400
    answer = office.bob.call("POST", f"{office.path(request)}/approve", {"digest": digest})
    assert answer.status_code in (403, 404)
    assert office.state(request) == "waiting"


def test_approvers_shorten_and_never_lengthen(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting(duration="PT1H")
    for more in ({"duration": "PT2H"}, {"endTimeUtc": "2030-01-01T13:00:01Z"}):
        assert code_of(office.approve(request, office.bob, **more)) == "WouldLengthen"
    assert office.approve(request, office.bob, duration="PT20M").status_code == 200
    (grant,) = office.grants(request)
    assert (grant.ends_at - office.house.clock.now()).total_seconds() == 1200


def test_withdrawn_by_its_requestor_and_by_nobody_else(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting()
    digest = office.digest(request)
    assert office.dave.call("POST", f"{office.path(request)}/revoke").status_code == 403
    assert office.alice.call("POST", f"{office.path(request)}/revoke").status_code == 200
    assert office.state(request) == "withdrawn"
    assert code_of(office.approve(request, office.bob, digest=digest)) == "NotWaiting"
    assert office.grants(request) == []


def test_who_is_asked_may_read_that_request_and_nobody_else_new(office: Office) -> None:
    """EDGES J8."""
    office.put(stage(users(office.bob)), stage(users(office.carol)))
    request = office.waiting()
    assert office.see(request, office.bob)["approval"]["mayApprove"] is True
    for stranger in (office.carol, office.dave):
        assert stranger.call("GET", office.path(request)).status_code == 403
    assert office.approve(request, office.bob).status_code == 200
    assert office.see(request, office.carol)["approval"]["mayApprove"] is True
    shown = office.see(request, office.bob)["approval"]
    assert (shown["mayApprove"], shown["mayNot"]) == (False, "AlreadyApproved")
    assert office.deny(request, office.carol).status_code == 200
    assert office.dave.call("GET", office.path(request)).status_code == 403


def test_lists_and_counts_of_what_waits(office: Office) -> None:
    office.put(stage(users(office.bob, office.alice)))
    office.put(stage({"role": True}), name="roles", machines=("db-1",))
    one = office.waiting()
    other = office.waiting(machines=("db-1",), policy="roles")

    def found(who: Human, text: str) -> list[str]:
        path = "/providers/Bascule.Access/accessRequests"
        answer = who.client.get(
            office.house.subscription + path,
            params={"api-version": "2026-11-01", "$filter": text},
        )
        assert answer.status_code == 200, answer.text
        return sorted(each["name"] for each in answer.json()["value"])

    def counted(who: Human) -> tuple[int, int]:
        answer = who.call("GET", "/providers/Bascule.Access/approvalCounts/default")
        counts = answer.json()["properties"]
        return counts["waitingForMe"], counts["mineWaiting"]

    assert found(office.bob, "waitingFor eq 'me'") == [one]
    assert found(office.carol, "waitingFor eq 'me'") == [other]
    assert found(office.alice, "waitingFor eq 'me'") == []  # one's own
    assert found(office.dave, "waitingFor eq 'me'") == []
    assert found(office.alice, "state eq 'waiting'") == sorted([one, other])
    assert found(office.dave, "state eq 'waiting'") == []
    assert [counted(each) for each in (office.bob, office.carol, office.alice)] == [
        (1, 0),
        (1, 0),
        (0, 2),
    ]
    assert office.approve(one, office.bob).status_code == 200
    assert found(office.bob, "waitingFor eq 'me'") == []
    assert found(office.bob, "decidedBy eq 'me'") == [one]
    assert counted(office.bob) == (0, 0)


def test_the_same_again_finds_what_waits_also_as_the_twentieth(office: Office) -> None:
    office.put(stage(users(office.bob)))
    known = [office.waiting(why=f"reason {n}") for n in range(20)]
    assert len(set(known)) == 20
    assert office.waiting(why="reason 19") == known[19]
    answer = office.ask(why="one more")
    assert code_of(answer) == "TooManyWaiting"
    assert office.alice.call("POST", f"{office.path(known[0])}/revoke").status_code == 200
    assert office.waiting(why="one more") not in known


def test_a_machine_made_again_inherits_no_approval(office: Office) -> None:
    office.put(stage(users(office.bob)), stage(users(office.carol)))
    request = office.waiting()
    digest = office.digest(request)
    assert office.approve(request, office.bob).status_code == 200
    house = office.house
    assert house.call("DELETE", house.machine("web-1"), version="2024-07-01").status_code == 200
    house.add_machine("web-1")
    office.put(stage(users(office.bob)), stage(users(office.carol)))
    answer = office.approve(request, office.carol, digest=digest)
    assert code_of(answer) == "NotWaiting"
    house.sweep()
    assert office.state(request) == "denied"
    assert office.grants(request) == []


def test_the_requestors_rights_are_asked_again_at_the_opening(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting()
    digest = office.digest(request)
    assignments = office.house.see(lambda r: r.role_assignments_of([office.alice.id]))
    path = f"/providers/Microsoft.Authorization/roleAssignments/{assignments[0].id}"
    assert office.house.call("DELETE", path, version="2022-04-01").status_code == 200
    assert code_of(office.approve(request, office.bob, digest=digest)) == "NotWaiting"
    office.house.sweep()
    assert office.state(request) == "denied"


def test_self_approval_counts_for_people_and_is_an_event_of_its_own(office: Office) -> None:
    office.put(stage(users(office.alice)), selfApproval=True)
    request = office.waiting()
    assert office.approve(request, office.alice).status_code == 200
    assert office.state(request) == "opening"
    assert office.house.events("AccessSelfApproved", "AccessApproved") == ["AccessSelfApproved"]


def test_who_set_the_requestors_password_today_is_not_another(office: Office) -> None:
    """EDGES J5."""
    house = office.house
    writer = make_role(house, "Helpdesk", "*")
    give(house, office.bob.id, writer, house.subscription, "User")
    path = f"/providers/Bascule.Identity/users/{office.alice.id}/password"
    answer = office.bob.call("PUT", path, {"password": "four words of mine"})
    assert answer.status_code == 204, answer.text
    office.put(stage(users(office.bob)))
    request = office.waiting()
    assert code_of(office.approve(request, office.bob)) == "NotIndependent"
    assert office.alice.call("POST", f"{office.path(request)}/revoke").status_code == 200
    office.pass_time(86_401)
    assert office.approve(office.waiting(), office.bob).status_code == 200


def test_whose_password_the_requestor_set_today_is_not_another(office: Office) -> None:
    """The requestor could sign in as them."""
    house = office.house
    give(house, office.alice.id, make_role(house, "Helpdesk", "*"), house.subscription, "User")
    path = f"/providers/Bascule.Identity/users/{office.bob.id}/password"
    answer = office.alice.call("PUT", path, {"password": "four words of mine"})
    assert answer.status_code == 204, answer.text
    office.put(stage(users(office.bob, office.dave)))
    request = office.waiting()
    assert code_of(office.approve(request, office.bob)) == "NotIndependent"
    assert office.approve(request, office.dave).status_code == 200, "nobody else is concerned"


def test_escalation_asks_others_after_its_time(office: Office) -> None:
    office.put(
        stage(users(office.bob), escalateAfterMinutes=15, escalateTo=users(office.dave)),
    )
    request = office.waiting()
    digest = office.digest(request)
    office.pass_time(14 * 60)
    assert code_of(office.approve(request, office.dave, digest=digest)) == "ResourceNotFound"
    office.pass_time(61)
    assert office.approve(request, office.dave, digest=digest).status_code == 200
    assert office.state(request) == "opening"


def test_whose_membership_was_taken_does_not_count_when_its_end_has_come(office: Office) -> None:
    """EDGES J7: taken before its end is taken, however late it is looked at."""
    ends = office.house.clock.now() + timedelta(minutes=10)
    duty = office.make_group("duty", office.dave, ends=ends)
    office.put(stage({"groups": [duty]}), stage(users(office.bob)))
    request = office.waiting()
    assert office.approve(request, office.dave).status_code == 200
    path = f"/providers/Bascule.Identity/groups/{duty}/members/{office.dave.id}"
    assert office.house.call("DELETE", path).status_code == 200
    digest = office.digest(request)
    office.pass_time(1200)
    office.house.sweep()
    assert office.approve(request, office.bob, digest=digest).status_code in (403, 404)
    assert (office.state(request), office.grants(request)) == ("waiting", [])


def test_who_made_the_asking_program_is_not_another(office: Office) -> None:
    """EDGES J5, with somebody who did not as its neighbour; and a program approves nothing."""
    house = office.house
    boss = make_role(house, "Boss", "*")
    give(house, office.bob.id, boss, house.subscription, "User")
    body = {"properties": {"displayName": "deployer"}}
    made = office.bob.call("POST", "/providers/Bascule.Identity/servicePrincipals", body)
    assert made.status_code in (200, 201), made.text
    program = str(made.json()["name"])
    give(house, program, boss, house.subscription)
    office.put(stage(users(office.bob, office.carol)))
    proof = house.see(lambda reader: reader.credentials_of(program))[0].proof
    client = house.client_of(house.token(program, PrincipalKind.SERVICE, proof))
    machine = {
        "id": house.machine("web-1"),
        "ports": [{"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.9"}],
    }
    answer = client.post(
        f"{house.policy()}/initiate",
        params={"api-version": "2020-01-01"},
        json={"virtualMachines": [machine]},
    )
    assert answer.status_code == 202, answer.text
    request = answer.json()["bascule"]["requestId"]
    seen = house.call("GET", office.path(request)).json()["properties"]["approval"]
    for person, code in ((office.bob, "NotIndependent"), (office.carol, None)):
        body = {"digest": seen["digest"]}
        answer = person.call("POST", f"{office.path(request)}/approve", body)
        assert (answer.status_code == 200) is (code is None), answer.text
        assert code is None or code_of(answer) == code


def test_who_wrote_a_credential_and_removed_it_is_not_another(office: Office) -> None:
    """EDGES J5: Bob's credential of a program is valid when the program asks, and is removed then. Somebody
    whose credential was removed before it asked is its neighbour. (It asks by a third one: without
    that by which it asked, it would be denied; J9.)
    """
    house = office.house
    boss = make_role(house, "Boss", "*")
    for each in (office.bob, office.carol):
        give(house, each.id, boss, house.subscription, "User")
    path = "/providers/Bascule.Identity/servicePrincipals"
    made = house.call("POST", path, {"properties": {"displayName": "deployer"}})
    assert made.status_code in (200, 201), made.text
    program = str(made.json()["name"])
    give(house, program, boss, house.subscription)
    office.put(stage(users(office.bob, office.carol)))

    def write(who: Human | House) -> str:
        answer = who.call("POST", f"{path}/{program}/credentials", {"properties": {}})
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["name"])

    def remove(key: str) -> None:
        answer = house.call("DELETE", f"{path}/{program}/credentials/{key}")
        assert answer.status_code in (200, 204), answer.text

    remove(write(office.carol))
    key = write(office.bob)
    third = write(house)
    held = house.see(lambda reader: reader.credentials_of(program))
    proof = next(each.proof for each in held if each.key_id == third)
    client = house.client_of(house.token(program, PrincipalKind.SERVICE, proof))
    port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "203.0.113.9"}
    answer = client.post(
        f"{house.policy()}/initiate",
        params={"api-version": "2020-01-01"},
        json={"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]},
    )
    assert answer.status_code == 202, answer.text
    request = answer.json()["bascule"]["requestId"]
    remove(key)
    house.sweep()
    seen = house.call("GET", office.path(request)).json()["properties"]["approval"]
    body = {"digest": seen["digest"]}
    refused = office.bob.call("POST", f"{office.path(request)}/approve", body)
    assert (refused.status_code, code_of(refused)) == (403, "NotIndependent")
    assert office.carol.call("POST", f"{office.path(request)}/approve", body).status_code == 200


def test_thousands_that_wait_are_counted_and_judged_a_bounded_number_at_a_time(
    office: Office,
) -> None:
    """A policy that changes holds up nobody; nothing opens meanwhile."""
    office.put(stage(users(office.bob)))
    first = office.waiting()
    house = office.house

    def copy(tx: Transaction, act: Act) -> None:
        request = tx.request(first)
        pending = tx.pendings_of([first])[first]
        assert request is not None
        for n in range(1, 1500):
            new = f"00000000-0000-4000-8000-{n:012}"
            tx.add_request(replace(request, id=new, requestor_id=f"person {n}"))
            tx.put_pending(
                f"person {n}",
                replace(pending, request_id=new, same=new),
                [AskedOne(AskedBy.USER, office.bob.id, act.now)],
            )

    house.do(copy)
    counts = office.bob.call("GET", "/providers/Bascule.Access/approvalCounts/default").json()
    assert counts["properties"]["waitingForMe"] == 100
    office.put(stage(users(office.carol)))
    assert len(house.see(lambda reader: reader.due_approvals(2000))) == 1500
    house.sweep()
    assert len(house.see(lambda reader: reader.due_approvals(2000))) == 1400
    assert house.see(lambda reader: reader.live_grants()) == []


@pytest.mark.parametrize("signs_in", ["corp", "other", ""])
def test_a_providers_word_that_ran_out_counts_until_it_names_the_group_no_more(
    office: Office, signs_in: str
) -> None:
    """EDGES J7: a later sign-in there without the group takes it; one elsewhere does not."""
    ends = office.house.clock.now() + timedelta(minutes=10)
    duty = office.make_group("duty", office.dave, ends=ends, provider="corp")
    office.put(stage({"groups": [duty]}), stage(users(office.bob)))
    request = office.waiting()
    assert office.approve(request, office.dave).status_code == 200
    digest = office.digest(request)
    office.pass_time(1200)
    office.house.sweep()
    if signs_in:
        office.house.do(lambda tx, act: void_unvouched(tx, office.dave.id, signs_in, act.now))
    answer = office.approve(request, office.bob, digest=digest)
    assert (answer.status_code == 200) is (signs_in != "corp")
    assert bool(office.grants(request)) is (signs_in != "corp")
