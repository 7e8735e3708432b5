"""Rules of policies: what they do, and who may write them (docs/approval.md; EDGES J1, J2, J4)."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bascule.domain.actions import MACHINE_DELETE, MACHINE_WRITE, POLICY_DELETE, POLICY_WRITE
from bascule.domain.pending import MOST_WAITING
from bascule.domain.providers import MOST_GROUP_VALUES, IdentityProvider
from bascule.domain.rules import MOST_RULES
from bascule.interfaces.store import Transaction
from bascule.services import external_sign_in, identities
from bascule.services.act import Act
from bascule.services.external_sign_in import Returned
from bascule.services.sign_in import Visit
from tests.wire.approval_world import SOURCE, Human, Office, code_of, stage, users
from tests.wire.house import JIT, House
from tests.wire.people import give, make_role


@pytest.fixture
def office(house: House) -> Office:
    return Office(house)


def rule(name: str, effect: str, *stages: dict[str, Any], **conditions: Any) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "effect": effect, "conditions": conditions}
    return {**made, "stages": list(stages)} if stages else made


def outcome(answer: Any) -> str:
    if answer.status_code != 202:
        return code_of(answer)
    state = answer.json()["bascule"].get("state", "opening")
    return str(state)


def writer(office: Office, *more: str) -> Human:
    """May write policies and machines, and no rules."""
    eve = Human(office.house, "eve")
    role = make_role(
        office.house, "Writer", POLICY_WRITE, MACHINE_WRITE, POLICY_DELETE, MACHINE_DELETE, *more
    )
    give(office.house, eve.id, role, office.house.subscription, "User")
    return eve


def test_deny_first_then_stages_then_allow_then_the_ports_own(office: Office) -> None:
    """EDGES J1, each step beside the one before."""
    own, bob = stage({"role": True}), users(office.bob)
    allow = rule("free", "allow", users=[office.alice.id])
    approve = rule("two", "approve", stage(bob), users=[office.alice.id])
    deny = rule("never", "deny", users=[office.alice.id])
    for rules, expected in (
        ([], ["waiting", 1]),
        ([allow], ["opening", 0]),
        ([allow, approve], ["waiting", 1]),
        ([approve], ["waiting", 2]),
        ([allow, approve, deny], ["DeniedByRule", 0]),
    ):
        office.put(own, rules=rules)
        answer = office.ask(why=f"{len(rules)} {expected}")
        state, stages = expected
        assert outcome(answer) == state
        if state == "waiting":
            shown = office.see(answer.json()["bascule"]["requestId"])["approval"]
            assert len(shown["stages"]) == stages


def test_rules_of_another_policy_count_and_its_allow_does_not(office: Office) -> None:
    """EDGES J1: whichever policy the request names."""
    office.put(name="plain")
    office.put(rules=[rule("never", "deny")], name="other")
    assert outcome(office.ask(policy="plain")) == "DeniedByRule"
    office.put(stage(users(office.bob)), rules=[], name="other")
    assert outcome(office.ask(policy="plain")) == "waiting"
    office.put(stage(users(office.bob)), rules=[rule("free", "allow")], name="other")
    assert outcome(office.ask(policy="other", why="own")) == "opening"
    office.put(stage(users(office.bob)), name="plain")
    assert outcome(office.ask(policy="plain", why="not lifted")) == "waiting"
    office.put(numbers=(3389,), rules=[rule("never", "deny")], name="other")
    office.put(name="plain")
    assert outcome(office.ask(policy="plain", why="another port")) == "waiting"  # not loosened


def test_a_group_asks_differently(office: Office) -> None:
    contractors = office.make_group("contractors")
    office.put(rules=[rule("never", "deny", groups=[contractors])])
    assert outcome(office.ask(why="before")) == "opening"
    office.join(contractors, office.alice)
    assert outcome(office.ask(why="after")) == "DeniedByRule"


def vouched(office: Office, group: str) -> Callable[..., None]:
    """Alice's identity provider, of which one claim means this group: says what it says now of her."""
    house, now = office.house, office.house.clock.now()
    corp = replace(
        IdentityProvider(str(uuid.uuid4()), "corp", "Corp", "https://corp.example", "b", now),
        groups_claim="groups",
        groups=(("con", group),),
    )

    def link(tx: Transaction, act: Act) -> None:
        user = tx.user(office.alice.id)
        assert user is not None
        tx.put_identity_provider(corp)
        identities.join(tx, act, corp, user, "alice-there", identities.BY_HAND)

    house.do(link)

    def says(*groups: str, **more: object) -> None:
        claims = {"sub": "alice-there", "groups": list(groups), **more}
        said = Returned(corp.id, corp.issuer, claims)
        visit = Visit("192.0.2.1", "a browser")
        answer = house.do(lambda tx, act: external_sign_in.let_in(tx, act, said, visit))
        assert isinstance(answer, external_sign_in.LetIn)

    return says


def test_a_providers_word_on_a_group_that_is_too_old_frees_nobody(office: Office) -> None:
    """EDGES J4: whether she is in it still cannot be judged, until the provider speaks again."""
    contractors = office.make_group("contractors")
    says = vouched(office, contractors)
    says("con")
    office.put(rules=[rule("ask", "approve", stage(users(office.bob)), groups=[contractors])])
    request = office.waiting()
    office.pass_time(3601)
    office.house.sweep()
    assert office.state(request) == "waiting"
    assert outcome(office.ask(why="an hour later")) == "waiting"
    says()
    assert outcome(office.ask(why="it names the group no more")) == "opening"
    assert office.approve(request, office.bob).status_code == 409
    assert office.state(request) == "opening"  # nobody has to approve it any more


def test_nor_does_it_allow_anything(office: Office) -> None:
    """EDGES J4, the neighbour: what cannot be judged does not allow."""
    staff = office.make_group("staff")
    says = vouched(office, staff)
    says("con")
    office.put(stage(users(office.bob)), rules=[rule("free", "allow", groups=[staff])])
    assert outcome(office.ask()) == "opening"
    office.pass_time(7200)
    office.house.sweep()
    assert outcome(office.ask()) == "waiting"


@pytest.mark.parametrize(
    "said",
    [
        {"_claim_names": {"groups": "src1"}},
        {"hasgroups": True},
        {"groups": ["x"] * MOST_GROUP_VALUES + ["con"]},
    ],
)
def test_too_many_groups_to_name_free_nobody(office: Office, said: dict[str, Any]) -> None:
    """EDGES J4: each group that the provider may have meant cannot be judged."""
    contractors, staff = office.make_group("contractors"), office.make_group("staff")
    says = vouched(office, contractors)
    office.put(rules=[rule("never", "deny", groups=[contractors])])
    says()
    assert outcome(office.ask(why="in no group")) == "opening"
    says(**said)
    assert outcome(office.ask(why="in too many")) == "DeniedByRule"
    office.put(rules=[rule("never", "deny", groups=[staff])])
    assert outcome(office.ask(why="that group is not the provider's")) == "opening"
    office.put(stage(users(office.bob)), rules=[rule("free", "allow", groups=[contractors])])
    assert outcome(office.ask(why="and allowed by none")) == "waiting"


def test_a_start_after_a_providers_word_has_run_out_is_judged_by_it(office: Office) -> None:
    contractors = office.make_group("contractors")
    says = vouched(office, contractors)
    says("con")
    hours = {"timeZone": "UTC", "from": "14:00", "to": "20:00"}  # it is noon
    office.put(rules=[rule("late", "deny", groups=[contractors], times=hours)])
    port = {"number": 22, "duration": "PT30M", "allowedSourceAddressPrefix": SOURCE}
    body = {
        "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [port]}],
        "bascule": {"startTimeUtc": "2030-01-01T15:00:00Z"},
    }
    path = f"{office.house.policy()}/initiate"
    assert code_of(office.alice.call("POST", path, body, JIT)) == "DeniedByRule"
    says()
    assert office.alice.call("POST", path, body, JIT).status_code == 202


def tried(office: Office, who: str, **more: Any) -> dict[str, Any]:
    port = {"number": 22, "allowedSourceAddressPrefix": SOURCE, "duration": "PT1H"}
    machines = [{"id": office.house.machine("web-1"), "ports": [port]}]
    body = {"virtualMachines": machines, "principalId": who, **more}
    answer = office.house.call("POST", f"{office.house.policy()}/tryRules", body)
    return dict(answer.json())


def test_what_is_tried_is_what_would_come_of_it(office: Office) -> None:
    """The neighbours at which a trial and a real request could differ."""
    office.put()
    office.put(numbers=(3389,), rules=[rule("never", "deny")], name="other")
    answer = tried(office, office.alice.id)
    assert answer["outcome"] == "allowed"
    assert [each["holds"] for each in answer["rules"]] == [False]  # it is about another port
    assert tried(office, office.group)["error"]["code"] == "PrincipalNotFound"
    (first, *_) = tried(office, office.dave.id)["reasons"]
    assert "'dave@corp.example'" in first["message"]
    office.put(stage(users(office.bob)))
    for number in range(MOST_WAITING):
        office.waiting(why=str(number))
    full = tried(office, office.alice.id, justification="more")
    assert (full["outcome"], full["reasons"][0]["code"]) == ("denied", "TooManyWaiting")
    assert code_of(office.ask(why="more")) == "TooManyWaiting"
    assert tried(office, office.alice.id, justification="1")["outcome"] == "needsApproval"
    assert outcome(office.ask(why="1")) == "waiting"


def test_short_ones_are_free_and_do_not_add_up(office: Office) -> None:
    """EDGES J4: the sum with what was held there without a gap of an hour."""
    office.put(stage(users(office.bob)), rules=[rule("short", "allow", atMost="PT30M")])
    assert outcome(office.ask(duration="PT31M")) == "waiting"
    assert outcome(office.ask(duration="PT20M")) == "opening"
    office.pass_time(15 * 60)
    assert outcome(office.ask(duration="PT16M", why="more")) == "waiting"
    office.pass_time(80 * 60)
    office.house.sweep()
    assert outcome(office.ask(duration="PT20M", why="later")) == "opening"


def test_an_extension_past_the_approval_is_asked_for_anew(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting(duration="PT30M")
    assert office.approve(request, office.bob).status_code == 200
    body = {"duration": "PT2H"}
    answer = office.alice.call("POST", f"{office.path(request)}/extend", body)
    assert code_of(answer) == "ApprovalRequired"


def test_a_request_over_several_waits_whole(office: Office) -> None:
    office.put(stage(users(office.bob)), machines=("web-1", "db-1"), numbers=(22, 3389))
    request = office.waiting(machines=("web-1", "db-1"), numbers=(22, 3389))
    (only,) = office.see(request)["approval"]["stages"]
    assert len(only["because"]) == 4
    assert (office.leases("web-1"), office.leases("db-1")) == ([], [])
    assert office.approve(request, office.bob).status_code == 200
    assert len(office.grants(request)) == 4


def test_a_change_of_the_policy_voids_what_was_approved(office: Office) -> None:
    """EDGES J6, J7: another stage is another digest."""
    office.put(stage(users(office.bob)), stage(users(office.carol)))
    request = office.waiting()
    before = office.digest(request)
    assert office.approve(request, office.bob).status_code == 200
    office.put(stage(users(office.bob)), stage(users(office.dave)))
    assert code_of(office.approve(request, office.dave, digest=before)) in (
        "OtherDigest",
        "ResourceNotFound",
    )
    office.house.sweep()
    shown = office.see(request)["approval"]
    assert shown["digest"] != before
    assert [each["state"] for each in shown["stages"]] == ["asked", "later"]
    assert office.grants(request) == []


def test_a_loosened_policy_judges_anew_and_says_so(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting()
    office.put(rules=[], client=None)
    answer = office.house.call("GET", office.house.policy(), version=JIT).json()
    (machine,) = answer["properties"]["virtualMachines"]
    machine["ports"][0]["bascule"]["approval"] = None
    body = {"properties": {"virtualMachines": [machine]}}
    assert office.house.call("PUT", office.house.policy(), body, JIT).status_code == 200
    assert "RulesLoosened" in office.house.events("RulesLoosened")
    office.house.sweep()
    assert office.state(request) == "opening"


@pytest.mark.parametrize(
    ("effect", "code", "state"),
    [
        ("deny", "NotWaiting", "denied"),
        ("allow", "NotWaiting", "opening"),
        ("approve", "OtherDigest", "waiting"),
    ],
)
def test_a_yes_after_the_hours_of_a_rule_began_is_refused_and_the_request_goes_on(
    office: Office, effect: str, code: str, state: str
) -> None:
    """EDGES J6, J7: what it became when it was judged anew is kept, so that nobody is refused for ever."""
    hours = {"timeZone": "UTC", "from": "14:00", "to": "20:00"}  # it is noon
    stages = [stage(users(office.carol))] if effect == "approve" else []
    office.put(stage(users(office.bob)), rules=[rule("late", effect, *stages, times=hours)])
    request = office.waiting(duration="PT30M")
    office.pass_time(2 * 3600)
    answer = office.approve(request, office.bob)
    assert (answer.status_code, code_of(answer)) == (409, code)
    assert office.state(request) == state
    assert bool(office.grants(request)) is (effect == "allow")
    if effect == "approve":
        assert office.see(request)["approval"]["stages"][1]["given"] == 0
        assert office.approve(request, office.carol).status_code == 200
        assert office.approve(request, office.bob).status_code == 200
        assert office.state(request) == "opening"


def test_a_tightened_policy_denies_what_waits(office: Office) -> None:
    office.put(stage(users(office.bob)))
    request = office.waiting()
    office.put(rules=[rule("never", "deny")])
    office.house.sweep()
    shown = office.see(request)
    assert (shown["state"], shown["reasons"][0]["code"]) == ("denied", "DeniedByRule")


@pytest.mark.parametrize("sent", ["nothing", "null", "others"])
def test_a_put_without_the_right_keeps_rules_and_approvals(office: Office, sent: str) -> None:
    """EDGES J2: Azure's clients, and whoever would loosen them."""
    kept = [rule("never", "deny", ports=[9999])]
    office.put(stage(users(office.bob)), rules=kept, selfApproval=False)
    eve = writer(office)
    own: dict[str, Any] = {"number": 22, "protocol": "TCP", "maxRequestAccessDuration": "PT2H"}
    properties: dict[str, Any] = {
        "virtualMachines": [{"id": office.house.machine("web-1"), "ports": [own]}]
    }
    if sent == "null":
        own["bascule"] = {"approval": None}
        properties["bascule"] = None
    elif sent == "others":
        own["bascule"] = {"approval": {"stages": [stage(users(eve))]}}
        properties["bascule"] = {"rules": [], "selfApproval": True}
    answer = eve.call("PUT", office.house.policy(), {"properties": properties}, JIT)
    assert answer.status_code == 200, answer.text
    assert outcome(office.ask()) == "waiting"
    read = office.house.call("GET", office.house.policy(), version=JIT).json()["properties"]
    assert [each["name"] for each in read["bascule"]["rules"]] == ["never"]
    assert read["bascule"]["selfApproval"] is False
    approval = read["virtualMachines"][0]["ports"][0]["bascule"]["approval"]
    assert approval["stages"][0]["approvers"]["users"] == [office.bob.id]


@pytest.mark.parametrize("way", ["port", "machine", "policy", "rules", "inventory"])
def test_nothing_is_taken_out_of_the_reach_of_rules_without_the_right(
    office: Office, way: str
) -> None:
    """EDGES J2, with its neighbour: whoever holds the right may."""
    office.put(stage(users(office.bob)), machines=("web-1", "db-1"), numbers=(22, 3389))
    eve, house = writer(office), office.house
    web = house.machine("web-1")
    ports = [{"number": 22, "protocol": "TCP", "maxRequestAccessDuration": "PT2H"}]
    both = [{"id": house.machine(each), "ports": ports} for each in ("web-1", "db-1")]
    calls: dict[str, tuple[str, str, Any, str]] = {
        "port": ("PUT", house.policy(), {"properties": {"virtualMachines": both}}, JIT),
        "machine": ("PUT", house.policy(), {"properties": {"virtualMachines": both[:1]}}, JIT),
        "policy": ("DELETE", house.policy(), None, JIT),
        "rules": (
            "DELETE",
            f"{web}/providers/Bascule.Access/machineRules/default",
            None,
            "2026-11-01",
        ),
        "inventory": ("DELETE", web, None, "2024-07-01"),
    }
    method, path, body, version = calls[way]
    answer = eve.call(method, path, body, version)
    assert (answer.status_code, code_of(answer)) == (403, "AuthorizationFailed")
    assert "accessRules/write" in answer.text
    assert office.house.call(method, path, body, version).status_code == 200


def test_a_tag_that_a_rule_reads_is_kept_by_whoever_may_not_write_rules(office: Office) -> None:
    house, web = office.house, office.house.machine("web-1")
    tagged = {"tags": {"env": "production"}}
    assert house.call("PUT", web, tagged, "2024-07-01").status_code == 200
    office.put(rules=[rule("prod", "deny", tags={"ENV": "production"})])
    assert outcome(office.ask()) == "DeniedByRule"
    eve = writer(office)
    for tags, status in (
        ({"env": "test"}, 403),
        ({}, 403),
        ({"env": "production", "team": "x"}, 200),
    ):
        answer = eve.call("PUT", web, {"tags": tags}, "2024-07-01")
        assert answer.status_code == status, answer.text
    assert outcome(office.ask(why="still")) == "DeniedByRule"


@pytest.mark.parametrize(
    ("effect", "before", "after", "is_loosened"),
    [
        ("deny", {"env": "production"}, {"env": "test"}, True),
        ("deny", {"env": "production"}, {}, True),
        ("deny", {"env": "production"}, {"env": "PRODUCTION", "team": "x"}, False),
        ("deny", {"env": "test"}, {"env": "production"}, False),
        ("allow", {"env": "test"}, {"env": "production"}, True),
        ("allow", {"env": "production"}, {"env": "test"}, False),
    ],
)
def test_a_tag_that_loosens_a_rule_is_on_record(
    office: Office, effect: str, before: dict[str, str], after: dict[str, str], is_loosened: bool
) -> None:
    """EDGES J2: as if the rule itself had been changed."""
    house, web = office.house, office.house.machine("web-1")
    assert house.call("PUT", web, {"tags": before}, "2024-07-01").status_code == 200
    office.put(rules=[rule("prod", effect, tags={"env": "production"})])
    known = len(house.events("RulesLoosened"))
    assert house.call("PUT", web, {"tags": after}, "2024-07-01").status_code == 200
    assert len(house.events("RulesLoosened")) - known == is_loosened


@pytest.mark.parametrize(
    ("effect", "coming", "leaving"),
    [("deny", False, True), ("approve", False, True), ("allow", True, False)],
)
def test_a_member_that_loosens_a_rule_is_on_record(
    office: Office, effect: str, coming: bool, leaving: bool
) -> None:
    house, group = office.house, office.make_group("read")
    stages = [stage(users(office.bob))] if effect == "approve" else []
    office.put(rules=[rule("who", effect, *stages, groups=[group])])
    member = f"/providers/Bascule.Identity/groups/{group}/members/{office.alice.id}"
    for method, body, is_loosened in (("PUT", {}, coming), ("DELETE", None, leaving)):
        known = len(house.events("RulesLoosened"))
        assert house.call(method, member, body).status_code in (200, 201, 204)
        assert len(house.events("RulesLoosened")) - known == is_loosened


@pytest.mark.parametrize("reads", ["condition", "approvers", "nothing"])
def test_a_group_that_a_rule_reads_is_changed_by_whoever_may_write_rules(
    office: Office, reads: str
) -> None:
    """EDGES J2: or a helpdesk would make itself an approver, or leave what is denied."""
    house = office.house
    if reads == "condition":
        office.put(rules=[rule("never", "deny", groups=[office.group])])
    elif reads == "approvers":
        office.put(stage({"groups": [office.group]}))
    else:
        office.put(stage(users(office.bob)))
    eve = Human(house, "eve")
    helpdesk = make_role(
        house,
        "Helpdesk",
        "Microsoft.Authorization/groups/write",
        "Microsoft.Authorization/groups/read",
        "Microsoft.Authorization/groups/delete",
    )
    give(house, eve.id, helpdesk, house.subscription, "User")
    group = f"/providers/Bascule.Identity/groups/{office.group}"
    expected = {200, 201, 204} if reads == "nothing" else {403}
    for method, path in (
        ("PUT", f"{group}/members/{eve.id}"),
        ("DELETE", f"{group}/members/{office.bob.id}"),
        ("DELETE", group),
    ):
        answer = eve.call(method, path, {} if method == "PUT" else None)
        assert answer.status_code in expected, (path, answer.text)
        if reads != "nothing":
            assert "accessRules/write" in answer.text


def test_rules_one_by_one(office: Office) -> None:
    office.put()
    house = office.house
    path = f"{house.policy()}/providers/Bascule.Access/accessRules"
    body = {"properties": {"effect": "approve", "stages": [stage(users(office.bob))]}}
    eve = writer(office)
    assert eve.call("PUT", f"{path}/two", body).status_code == 403
    made = house.call("PUT", f"{path}/two", body)
    assert made.status_code == 200, made.text
    assert made.json()["name"] == "two"
    assert outcome(office.ask()) == "waiting"
    assert [each["name"] for each in house.call("GET", path).json()["value"]] == ["two"]
    assert code_of(house.call("GET", f"{path}/none")) == "RuleNotFound"
    again = house.call("PUT", f"{path}/TWO", {"properties": {"effect": "deny"}})
    assert again.status_code == 200, again.text
    assert len(house.call("GET", path).json()["value"]) == 1
    old = {"If-Match": made.json()["etag"]}
    answer = house.call("PUT", f"{path}/two", body, headers=old)
    assert answer.status_code == 412
    assert eve.call("DELETE", f"{path}/two").status_code == 403
    assert house.call("DELETE", f"{path}/two").status_code == 200
    assert house.call("DELETE", f"{path}/two").status_code == 204
    assert outcome(office.ask(why="free")) == "opening"
    assert set(house.events("RulesChanged", "RulesLoosened")) == {"RulesChanged", "RulesLoosened"}


def test_a_policy_takes_no_more_rules_one_by_one_than_at_once(office: Office) -> None:
    office.put()
    path = f"{office.house.policy()}/providers/Bascule.Access/accessRules"
    body = {"properties": {"effect": "allow"}}
    answers = [office.house.call("PUT", f"{path}/r{n}", body) for n in range(MOST_RULES + 1)]
    assert [each.status_code for each in answers] == [200] * MOST_RULES + [400]
    assert code_of(answers[-1]) == "TooManyRules"
    assert office.house.call("PUT", f"{path}/r0", body).status_code == 200


def test_a_shorter_time_that_needs_others_does_not_open_by_the_yes_to_the_longer(
    office: Office,
) -> None:
    long, short = stage(users(office.bob)), stage(users(office.dave))
    office.put(
        rules=[
            {
                "name": "long",
                "effect": "approve",
                "conditions": {"longerThan": "PT30M"},
                "stages": [long],
            },
            {
                "name": "short",
                "effect": "approve",
                "conditions": {"atMost": "PT30M"},
                "stages": [short],
            },
        ]
    )
    request = office.waiting()
    answer = office.approve(request, office.bob, duration="PT20M")
    assert answer.status_code == 200, answer.text
    assert answer.json()["properties"]["state"] == "denied"


NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest.mark.parametrize(
    ("bad", "code", "target"),
    [
        ({"effect": "maybe"}, "InvalidEffect", "properties.effect"),
        ({"effect": "approve"}, "StagesRequired", "properties.stages"),
        (
            {"effect": "deny", "stages": [stage({"role": True})]},
            "StagesNotAsked",
            "properties.stages",
        ),
        ({"effect": "allow", "conditions": {"user": [NOBODY]}}, None, "properties.conditions.user"),
        ({"effect": "allow", "conditions": {"users": []}}, None, "properties.conditions.users"),
        (
            {"effect": "allow", "conditions": {"users": ["anna@corp.example"]}},
            "InvalidRequestContent",
            "properties.conditions.users[0]",
        ),
        ({"effect": "deny", "conditions": {"users": [NOBODY]}}, "PrincipalNotFound", "properties"),
        (
            {"effect": "deny", "conditions": {"times": {"timeZone": "../etc/passwd"}}},
            "InvalidTimeZone",
            "properties.conditions.times.timeZone",
        ),
        (
            {"effect": "deny", "conditions": {"times": {"timeZone": "UTC", "from": "25:00"}}},
            "InvalidTime",
            "properties.conditions.times.from",
        ),
        (
            {"effect": "approve", "stages": [stage({"role": True}, needed=0)]},
            "InvalidNeeded",
            "properties.stages[0].needed",
        ),
        (
            {"effect": "approve", "stages": [stage({})]},
            "ApproversRequired",
            "properties.stages[0].approvers",
        ),
    ],
)
def test_a_bad_rule_says_what_is_wrong(
    office: Office, bad: dict[str, Any], code: str | None, target: str
) -> None:
    office.put()
    path = f"{office.house.policy()}/providers/Bascule.Access/accessRules/new"
    answer = office.house.call("PUT", path, {"properties": bad})
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert code is None or error["code"] == code
    assert error["target"] == target
