"""Rules of a policy in the portal: said in words, written by whoever may, and kept by all else."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlencode

import pytest

from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.builtin_roles import READER
from bascule.domain.policy import Policy
from bascule.domain.rules import Effect
from tests.portal.asking import guard
from tests.portal.test_approvals import put_rules, rule, stage
from tests.portal.test_jit_configure import form, row
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House, port_rule

PATH = "/portal/jit/rules"
_TAG = re.compile(r'name="tag" value="([^"]*)"')


def stored(house: House) -> Policy:
    (found,) = house.see(lambda reader: reader.policies())
    return found.policy


def etag(house: House) -> str:
    (found,) = house.see(lambda reader: reader.policies())
    return found.etag


def at(house: House, page: str = "", **more: str) -> str:
    return f"{PATH}{page}?" + urlencode({"policy": house.policy(), **more})


def filled(house: House, **fields: Any) -> dict[str, Any]:
    """A form of a rule with one stage, in which the role is asked."""
    given = {
        "policy": house.policy(),
        "etag": etag(house),
        "rule": "",
        "act": "save",
        "name": "production",
        "effect": "approve",
        "stage": "0",
        "stage.0.needed": "1",
        "stage.0.role": "1",
    }
    return given | {name.replace("__", "."): value for name, value in fields.items()}


def test_each_rule_is_said_in_a_sentence(house: House) -> None:
    guard(house)
    olga, ann = owner(house), Person(house, "ann@example.com")
    put_rules(
        house,
        rule(
            stage(ann, escalateAfterMinutes=15, escalateTo={"users": [], "role": True}),
            name="night",
            users=[ann.user.id],
            tags={"env": "production"},
            resourceGroups=["default"],
            ports=[22, 3389],
            sourcesWithin=["10.0.0.0/8"],
            times={
                "timeZone": "Europe/Paris",
                "days": ["monday", "tuesday", "wednesday"],
                "from": "22:00",
                "to": "06:00",
            },
            longerThan="PT1H",
        ),
        rule(name="short", effect="allow", atMost="PT30M", sourcesWithin=["10.0.0.0/8"]),
        rule(name="never", effect="deny"),
    )
    text = text_of(olga.page(at(house)))
    assert (
        "A request needs approval if ann@example.com asks, the machine has the tag env=production, the"
        " machine is in resource group default, the port is 22 or 3389, any part of the source is within"
        " 10.0.0.0/8, any part of the time of the access is within Monday to Wednesday, 22:00\N{EN DASH}06:00 of"
        " the next day (Europe/Paris) and it is for longer than 1 h (including the"
        " time that they had there just before)."
    ) in text
    assert "1 person must agree: ann@example.com. After 15 min these are asked" in text
    assert "is not needed if the whole source is within 10.0.0.0/8 and it is for 30" in text
    assert "Every request is denied." in text
    assert "Rules and approval" in olga.page("/portal/jit")
    assert "default" in text_of(olga.page(PATH))


def test_a_rule_is_added_changed_and_removed(house: House) -> None:
    guard(house)
    olga, ann = owner(house), Person(house, "ann@example.com")
    assert "This policy has no rules" in olga.page(at(house))
    fields = filled(
        house,
        users="ann@example.com\n",
        tags="env=production\ntier=1",
        ports="22, 3389",
        sources="10.0.0.0/8\n2001:db8::/32",
        **{"timed": "1", "zone": "Europe/Paris", "day": ["0", "4"], "from": "08:00", "to": "24:00"},
        at_most="2:00",
        longer_than="PT30M",
        stage=["0", "1"],
        **{"stage.1.users": "ann@example.com", "stage.1.needed": "1", "stage.1.after": "0:15"},
        **{"stage.1.to_role": "1"},
    )
    got = olga.send(f"{PATH}/edit", fields)
    assert got.status_code == 303, text_of(got.text)
    (made,) = stored(house).rules
    want = made.conditions
    assert (want.users, want.ports) == ((ann.user.id,), (22, 3389))
    assert want.tags == (("env", "production"), ("tier", "1"))
    assert want.times is not None
    assert (want.times.days, want.times.begins, want.times.ends) == ((0, 4), 480, 1440)
    first, second = made.stages
    assert first.approvers.by_role
    assert (second.approvers.users, second.escalate_to.by_role) == ((ann.user.id,), True)
    form = olga.page(at(house, "/edit", rule="production"))
    assert "ann@example.com" in form
    assert 'value="08:00"' in form
    fields |= {"rule": "production", "effect": "deny", "etag": etag(house)}
    assert olga.send(f"{PATH}/edit", fields).status_code == 303
    (made,) = stored(house).rules
    assert (made.effect, made.stages, made.conditions) == (Effect.DENY, (), want)
    asked = olga.page(at(house, "/remove", rule="production"))
    assert "This rule no longer counts: A request is denied if" in text_of(asked)
    gone = {"policy": house.policy(), "rule": "production", "etag": etag(house)}
    assert olga.send(f"{PATH}/remove", gone).status_code == 303
    assert stored(house).rules == ()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"name": "no blanks"}, "The name of a rule has 1 to 64 letters"),
        ({"name": ""}, "The name of a rule has 1 to 64 letters"),
        ({"users": "nobody@example.com"}, "Nobody of that kind is named"),
        ({"tags": "production"}, "is not a tag such as env=production"),
        ({"ports": "22x"}, "Give a port number"),
        ({"ports": "0"}, "port"),
        ({"sources": "10.0.0.1/8"}, "10.0.0.1/8"),
        ({"timed": "1", "zone": "Mars/Olympus"}, "is not a time zone that this server knows"),
        ({"timed": "1", "zone": ""}, "is not a time zone that this server knows"),
        ({"timed": "1", "zone": "UTC", "from": "24:00"}, "is not a time of day"),
        ({"timed": "1", "zone": "UTC", "to": "25:00"}, "is not a time of day"),
        ({"at_most": "often"}, "is not a duration"),
        ({"at_most": "P8D"}, "from PT1M (1 minute) to P7D"),
        ({"effect": "perhaps"}, "Choose one of the offered values"),
        ({"stage.0.needed": "x"}, "is not a number"),
        ({"stage.0.needed": "11"}, "needs from 1 to 10 people"),
        ({"stage.0.after": "0:15"}, "who is asked too"),
        ({"stage.0.to_role": "1"}, "after how long others are asked too"),
        ({"stage.0.after": "90 s", "stage.0.to_role": "1"}, "Give whole minutes"),
        ({"stage.0.role": None}, "A stage names its approvers"),
        ({"stage": []}, "A rule that asks for approval has stages"),
    ],
)
def test_a_mistake_is_told_at_its_field_and_writes_nothing(
    house: House, wrong: dict[str, Any], told: str
) -> None:
    guard(house)
    olga = owner(house)
    fields = {k: v for k, v in (filled(house) | wrong).items() if v is not None}
    got = olga.send(f"{PATH}/edit", fields)
    assert got.status_code == 400, text_of(got.text)
    assert told in text_of(got.text)
    assert 'class="field-error"' in got.text
    assert stored(house).rules == ()


def test_a_new_rule_takes_no_other_ones_place(house: House) -> None:
    guard(house)
    olga = owner(house)
    put_rules(house, rule(stage(role=True), name="Production"))
    got = olga.send(f"{PATH}/edit", filled(house, effect="allow"))
    assert got.status_code == 409
    assert "has a rule named production already" in text_of(got.text)
    assert [each.effect for each in stored(house).rules] == [Effect.APPROVE]


def test_a_form_of_a_policy_that_was_changed_since_writes_nothing(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = filled(house)
    put_rules(house, rule(name="other", effect="deny"))
    got = olga.send(f"{PATH}/edit", fields)
    assert got.status_code == 412, text_of(got.text)
    assert "changed by somebody else" in text_of(got.text)
    assert 'value="production"' in got.text, "what was filled in stays"
    assert [each.name for each in stored(house).rules] == ["other"]
    assert etag(house).strip('"') in got.text, "sent once more, it is written"
    gone = {"policy": house.policy(), "rule": "other", "etag": '"old"'}
    assert olga.send(f"{PATH}/remove", gone).status_code == 412
    without = {name: value for name, value in fields.items() if name != "etag"}
    assert olga.send(f"{PATH}/edit", without).status_code == 412


def test_only_who_may_write_rules_does(house: House) -> None:
    guard(house)
    put_rules(house, rule(name="never", effect="deny"))
    rena = Person(house, "rena@example.com", (READER.id, house.subscription))
    wanda = somebody(
        *(house, "wanda@example.com", house.subscription, POLICY_READ),
        *(POLICY_WRITE, MACHINE_READ, MACHINE_WRITE),
    )
    nobody = Person(house, "nobody@example.com")
    nobody.page(at(house), 403)
    for person in (rena, wanda):
        html = person.page(at(house))
        assert "Every request is denied." in html
        assert "accessRules/write" in html
        assert "/edit?" not in html
        fields = filled(house)
        assert person.send(f"{PATH}/edit", fields).status_code == 403
        gone = {"policy": house.policy(), "rule": "never", "etag": etag(house)}
        assert person.send(f"{PATH}/remove", gone).status_code == 403
        settings = {**gone, "self_approval": "yes", "pending_for": "8:00"}
        assert person.send(f"{PATH}/settings", settings).status_code == 403
        port = {**gone, "machine": house.machine("web-1"), "port": "22", "protocol": "TCP"}
        assert person.send(f"{PATH}/port", port).status_code == 403
    assert [each.name for each in stored(house).rules] == ["never"]
    assert not stored(house).self_approval


def test_the_approval_of_a_port_and_the_settings_are_written(house: House) -> None:
    guard(house)
    olga, ann = owner(house), Person(house, "ann@example.com")
    put_rules(house, rule(name="never", effect="deny"))
    port = {"machine": house.machine("web-1"), "port": "22", "protocol": "TCP"}
    assert "asks for none by itself" in olga.page(at(house))
    olga.page(at(house, "/port", **port))
    fields = {**port, "policy": house.policy(), "etag": etag(house), "act": "save", "stage": "0"}
    fields |= {"stage.0.users": "ann@example.com", "stage.0.needed": "1"}
    more = olga.send(f"{PATH}/port", {**fields, "act": "add-stage"})
    assert more.text.count("Stage 2") > 0
    assert olga.send(f"{PATH}/port", fields).status_code == 303
    ((rules,), kept) = stored(house).machines, stored(house).rules
    assert rules.ports[0].approval[0].approvers.users == (ann.user.id,)
    assert [each.name for each in kept] == ["never"]
    wrong = {**fields, "etag": etag(house), "stage.0.needed": "3"}
    got = olga.send(f"{PATH}/port", wrong)
    assert got.status_code == 400
    assert "3 people cannot agree where fewer are asked" in text_of(got.text)
    settings = {"policy": house.policy(), "etag": etag(house), "self_approval": "yes"}
    assert olga.send(f"{PATH}/settings", {**settings, "pending_for": "P2D"}).status_code == 303
    assert stored(house).self_approval
    text = text_of(olga.page(at(house)))
    assert "48 h" in text
    assert "1 person must agree: ann@example.com." in text
    again = {**settings, "etag": etag(house), "pending_for": "0:01"}
    assert olga.send(f"{PATH}/settings", again).status_code == 400


def test_saving_ports_keeps_rules_and_approval(house: House) -> None:
    """By somebody too who may not write them."""
    guard(house)
    ann = Person(house, "ann@example.com")
    port = {**port_rule(), "bascule": {"approval": {"stages": [stage(ann)]}}}
    put_rules(house, rule(stage(ann)), port=port)
    wanda = somebody(
        *(house, "wanda@example.com", house.subscription, POLICY_READ),
        *(POLICY_WRITE, MACHINE_READ, MACHINE_WRITE),
    )
    before = stored(house)
    for person in (owner(house), wanda):
        path = "/portal/jit/configure?" + urlencode({"machine": house.machine("web-1")})
        html = person.page(path)
        text = text_of(html)
        assert "1 rule of this policy decides about requests too" in text
        assert "Every request needs approval." in text
        assert "Port 22 asks for approval:" in text
        assert "Saving this form keeps all of it." in text
        assert "Nothing: no port, no rule and no live access." in text
        longest = "PT1H" if person is wanda else "PT2H"
        (tag,) = _TAG.findall(html)
        fields = form(house, ["web-1"], [tag], row(0, 22, longest=longest))
        assert person.send("/portal/jit/configure", fields).status_code == 303
        now = stored(house)
        assert now.rules == before.rules
        assert now.machines[0].ports[0].approval == before.machines[0].ports[0].approval
        assert now.machines[0].ports[0].max_duration != before.machines[0].ports[0].max_duration


def test_what_a_rule_says_is_text(house: House) -> None:
    """Whoever names a tag or group chooses what stands on the pages of others."""
    guard(house)
    put_rules(house, rule(stage(role=True), tags={"<b>x</b>": "<script>"}))
    html = owner(house).page(at(house))
    assert "<script>&" not in html
    assert "&lt;b&gt;x&lt;/b&gt;=&lt;script&gt;" in html


def test_trying_says_what_somebody_would_get_and_writes_nothing(house: House) -> None:
    guard(house)
    olga, ann = owner(house), Person(house, "ann@example.com")
    asker = owner(house, "asker@example.com")
    weekdays = {"timeZone": "UTC", "days": ["saturday", "sunday"]}
    machine = house.machine("web-1")

    def tried(status: int = 200, person: Person = olga, **more: str) -> str:
        given = {"who": asker.user.name, "kind": "User", "machine": machine, "port": "22"}
        given |= {"source": "198.51.100.7", "time": "0:30", **more}
        return text_of(person.page(at(house, "/try", **given), status))

    before = house.see(lambda reader: reader.requests(limit=5))
    put_rules(house, rule(name="stale", effect="deny", secondFactorOlderThan="PT15M"))
    assert "It would be refused" in tried()  # it is not known
    assert "It would be refused" in tried(factor="0:20")
    assert "It would open at once" in tried(factor="0:15")
    assert "This failed" in tried(400, factor="young")
    put_rules(
        house,
        rule(stage(ann), name="longer", longerThan="PT1H"),
        rule(name="weekend", effect="deny", times=weekdays),
    )
    assert "It would open at once" in tried()  # house.clock: a Tuesday
    longer = tried(time="2:00")
    assert "It would wait for approval" in longer
    assert "1 person must agree: ann@example.com." in longer
    assert "holds longer" in longer
    assert "does not hold weekend" in longer
    weekend = tried(timed="1", at="2030-01-05T12:00")
    assert "It would be refused" in weekend
    assert "Rule weekend of policy default denies" in weekend
    assert "You lack" not in weekend
    assert "It would be refused" in tried(who="ann@example.com"), "she may not request"
    assert "This failed" in tried(404, who="x@example.com")
    assert "This failed" in tried(400, port="no")
    assert "This failed" in tried(400, time="soon")
    assert "This failed" in tried(400, source="")
    assert "This failed" in tried(400, timed="1", at="2020-01-05T12:00")
    rena = Person(house, "rena@example.com", (READER.id, house.subscription))
    tried(403, rena)
    assert house.see(lambda reader: reader.requests(limit=5)) == before
