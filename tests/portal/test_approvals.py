"""Requests that wait: who is asked sees them, answers by a form alone, and only to what was shown."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any

import pytest

from bascule.domain.builtin_roles import ACCESS_APPROVER, OWNER
from bascule.domain.lifecycle import RequestState
from tests.portal.asking import ask, form_path, guard, live
from tests.portal.visiting import Person, owner, text_of
from tests.wire.house import JIT, House, port_rule

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

WAITING = "/portal/approvals"
_HIDDEN = re.compile(r'<input type="hidden" name="(digest|seen)" value="([^"]*)">')


def stage(*users: Person, needed: int = 1, role: bool = False, **more: Any) -> dict[str, Any]:
    asked = {"users": [each.user.id for each in users], "groups": [], "role": role}
    return {"approvers": asked, "needed": needed, **more}


def rule(
    *stages: Mapping[str, Any], name: str = "two", effect: str = "approve", **conditions: Any
) -> dict[str, Any]:
    told = {"name": name, "effect": effect, "conditions": conditions}
    return told | ({"stages": list(stages)} if stages else {})


def put_rules(
    house: House, *rules: Mapping[str, Any], port: Mapping[str, Any] | None = None
) -> None:
    named = [{"id": house.machine("web-1"), "ports": [port or port_rule()]}]
    properties = {"virtualMachines": named, "bascule": {"rules": list(rules)}}
    answer = house.call("PUT", house.policy(), {"properties": properties}, JIT)
    assert answer.status_code == 200, answer.text


def world(house: House, *stages: Mapping[str, Any]) -> str:
    """The machine web-1, at which every request needs these stages; returns its uid."""
    uid = guard(house)
    put_rules(house, rule(*stages))
    return uid


def sent(html: str, which: str) -> dict[str, str | Sequence[str]]:
    """The hidden fields of the page's form for this answer."""
    form = html[html.index(f'/{which}"') :].partition("</form>")[0]
    held: dict[str, list[str]] = {}
    for name, value in _HIDDEN.findall(form):
        held.setdefault(name, []).append(unescape(value))
    return dict(held)


def state_of(house: House, request_id: str) -> RequestState:
    request = house.see(lambda reader: reader.request(request_id))
    assert request is not None
    return request.state


def answer(person: Person, request_id: str, which: str, status: int = 303, **fields: str) -> str:
    """Answer by the page's own form."""
    path = f"/portal/requests/{request_id}"
    html = person.page(path)
    got = person.send(f"{path}/{which}", {**sent(html, which), **fields})
    assert got.status_code == status, text_of(got.text)
    return got.text


def test_it_waits_for_two_people_and_opens_with_the_second_yes(house: House) -> None:
    olga = owner(house)
    ann, bob = Person(house, "ann@example.com"), Person(house, "bob@example.com")
    world(house, stage(ann, bob, needed=2))
    request_id = ask(olga, house, justification="deploy it")
    own = text_of(olga.page(f"/portal/requests/{request_id}"))
    assert "Waiting for approval" in own
    assert "This page then goes on by itself" in own
    assert "2 people must agree: ann@example.com or bob@example.com." in own
    assert "rule two of policy default" in own
    assert live(house) == []
    listed = ann.page(WAITING)
    assert "deploy it" in listed
    assert "stage 1 of 1: 0 of 2 agreed" in text_of(listed)
    assert '<span class="count">1</span>' in listed, "the badge"
    answer(ann, request_id, "approve", note="go on")
    assert live(house) == []
    again = text_of(ann.page(f"/portal/requests/{request_id}"))
    assert "You have approved this request." in again
    assert "1 of 2 agreed" in again
    assert "go on" in again
    assert '<span class="count">' not in ann.page("/portal/account"), "she is asked no more"
    answer(bob, request_id, "approve", time="0:05")
    (grant,) = live(house)
    assert (grant.ends_at - grant.started_at).total_seconds() == 300
    page = text_of(olga.page(f"/portal/requests/{request_id}"))
    assert "Opening" in page
    assert "bob@example.com agreed" in page
    assert "for 5 min at most" in page
    assert "deploy it" in text_of(ann.page(f"{WAITING}?tab=decided"))
    assert "deploy it" in text_of(olga.page(f"{WAITING}?tab=mine"))
    assert "Nothing waits for you" in text_of(ann.page(WAITING))


def test_a_link_decides_nothing(house: House) -> None:
    """Mail scanners follow links, and so may whoever is sent one."""
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    request_id = ask(olga, house)
    for which in ("approve", "deny", "withdraw"):
        for person in (ann, olga):
            got = person.client.get(
                f"/portal/requests/{request_id}/{which}?digest=x&reason=y", follow_redirects=False
            )
            assert got.status_code in (404, 405), which
    assert state_of(house, request_id) is RequestState.WAITING


def test_who_is_not_asked_cannot_answer(house: House) -> None:
    olga, ann, eve = (
        owner(house),
        Person(house, "ann@example.com"),
        Person(house, "eve@example.com"),
    )
    world(house, stage(ann))
    request_id = ask(olga, house)
    path = f"/portal/requests/{request_id}"
    eve.page(path, 403)
    fields = sent(ann.page(path), "approve")
    assert eve.send(f"{path}/approve", fields).status_code in (403, 404)
    assert eve.send(f"{path}/deny", {**fields, "reason": "no"}).status_code in (403, 404)
    assert eve.send(f"{path}/withdraw").status_code in (403, 404)
    html = olga.page(path)
    assert "/approve" not in html
    assert "/deny" not in html
    assert olga.send(f"{path}/approve", fields).status_code == 403
    without = ann.client.post(f"{path}/approve", data=fields, follow_redirects=False)
    assert without.status_code == 403, "no proof of the session"
    assert state_of(house, request_id) is RequestState.WAITING


def test_a_digest_that_is_not_of_now_decides_nothing_and_says_what_changed(house: House) -> None:
    olga, ann, bob = (
        owner(house),
        Person(house, "ann@example.com"),
        Person(house, "bob@example.com"),
    )
    world(house, stage(ann))
    request_id = ask(olga, house)
    path = f"/portal/requests/{request_id}"
    shown = sent(ann.page(path), "approve")
    put_rules(house, rule(stage(ann, bob, needed=2)))
    house.sweep()
    got = ann.send(f"{path}/approve", shown)
    assert got.status_code == 409
    text = text_of(got.text)
    assert "It has changed since it was shown to you" in text
    assert "No longer: Stage 1: 1 person must agree: ann@example.com." in text
    assert "New: Stage 1: 2 people must agree: ann@example.com or bob@example.com." in text
    assert live(house) == []
    answer(ann, request_id, "approve")
    assert live(house) == [], "bob is asked too now"


def test_a_yes_after_the_hours_of_a_rule_began_says_what_changed_and_the_next_one_counts(
    house: House,
) -> None:
    """It was judged anew for the yes that was refused, and the page shows it so."""
    olga, ann, bob = (
        owner(house),
        Person(house, "ann@example.com"),
        Person(house, "bob@example.com"),
    )
    guard(house)
    hours = {"timeZone": "UTC", "from": "12:15", "to": "20:00"}  # it is noon
    put_rules(house, rule(stage(ann)), rule(stage(bob), name="late", times=hours))
    request_id = ask(olga, house)
    house.clock.pass_time(15 * 60)
    text = text_of(answer(ann, request_id, "approve", 409))
    assert "New: Stage 2: 1 person must agree: bob@example.com." in text
    answer(ann, request_id, "approve")
    answer(bob, request_id, "approve")
    assert len(live(house)) == 1


def test_a_form_sent_again_decides_nothing_more(house: House) -> None:
    """Replayed after the answer, after a withdrawal, and from a second browser."""
    olga, ann, bob = (
        owner(house),
        Person(house, "ann@example.com"),
        Person(house, "bob@example.com"),
    )
    world(house, stage(ann, bob, needed=2))
    first, second = ask(olga, house), ask(olga, house, justification="another")
    path = f"/portal/requests/{first}"
    fields = sent(ann.page(path), "approve")
    assert ann.send(f"{path}/approve", fields).status_code == 303
    ann.send(f"{path}/approve", fields)
    ann.send(f"/portal/requests/{second}/approve", fields)  # of the other request
    kept = house.see(lambda reader: reader.pendings_of([first, second]))
    for request_id, given in ((first, 1), (second, 0)):
        assert len(kept[request_id].votes) == given
    other = sent(bob.page(path), "approve")
    assert olga.send(f"{path}/withdraw").status_code == 303
    assert bob.send(f"{path}/approve", other).status_code == 403  # not asked any more
    assert state_of(house, first) is RequestState.WITHDRAWN
    assert live(house) == []


def test_a_denial_needs_a_reason_and_is_told(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    request_id = ask(olga, house)
    assert "Give a reason" in text_of(answer(ann, request_id, "deny", 400, reason=" "))
    answer(ann, request_id, "deny", reason="<b>not</b> today")
    assert state_of(house, request_id) is RequestState.DENIED
    html = olga.page(f"/portal/requests/{request_id}")
    assert "Denied by ann@example.com: <b>not</b> today" in text_of(html.replace("&lt;", "&lt;"))
    assert "<b>not</b>" not in html
    assert "/withdraw" not in html
    assert (
        ann.send(f"/portal/requests/{request_id}/approve", {"digest": "0" * 64}).status_code == 409
    )


def test_an_approval_never_lengthens(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    request_id = ask(olga, house)
    page = answer(ann, request_id, "approve", 400, time="0:30", note="as you like")
    assert "An approval may shorten what is asked for" in text_of(page)
    assert 'value="as you like"' in page, "what was filled in stays"
    assert "is not a duration" in text_of(answer(ann, request_id, "approve", 400, time="soon"))
    assert live(house) == []


def test_it_is_withdrawn_by_who_asked(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    request_id = ask(olga, house)
    got = olga.send(f"/portal/requests/{request_id}/withdraw")
    assert got.headers["location"].endswith("notice=withdrawn")
    assert state_of(house, request_id) is RequestState.WITHDRAWN
    assert "taken back before it was decided" in text_of(
        olga.page(f"/portal/requests/{request_id}")
    )
    assert "Nothing waits for you" in text_of(ann.page(WAITING))


def test_what_nobody_decides_lapses(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    request_id = ask(olga, house)
    house.clock.pass_time(24 * 3600 + 1)
    house.sweep()
    assert state_of(house, request_id) is RequestState.LAPSED
    olga = Person(house, "olga2@example.com", (OWNER.id, house.subscription))
    assert "Nobody decided in time" in text_of(olga.page(f"/portal/requests/{request_id}"))
    french = text_of(olga.page(f"/portal/requests/{request_id}", language="fr"))
    assert "Personne n’a décidé à temps" in french


def test_asking_the_same_again_finds_what_waits(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    assert ask(olga, house) == ask(olga, house)
    assert text_of(olga.page("/portal/open")).count("Waiting for approval") == 1


def test_who_holds_the_role_is_asked_and_sees_no_more_than_that(house: House) -> None:
    olga = owner(house)
    rita = Person(house, "rita@example.com", (ACCESS_APPROVER.id, house.subscription))
    world(house, stage(role=True))
    earlier = ask(olga, house, justification="an earlier one")
    answer(rita, earlier, "approve")
    request_id = ask(olga, house, justification="this one", time__0__0__22="0:20")
    html = rita.page(f"/portal/requests/{request_id}")
    assert "whoever holds the role Bascule Access Approver there" in text_of(html)
    assert "None that you may see" in text_of(html)
    assert "an earlier one" not in html
    reader = Person(
        house,
        "rena@example.com",
        (ACCESS_APPROVER.id, house.subscription),
        (OWNER.id, house.subscription),
    )
    assert "an earlier one" in reader.page(f"/portal/requests/{request_id}")


def test_the_form_of_a_request_leads_on_to_what_waits(house: House) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    html = olga.page(form_path(house, "web-1"))
    assert "web-1" in html
    request_id = ask(olga, house)
    html = olga.page(f"/portal/requests/{request_id}")
    assert f'<section id="ports-{request_id}" data-live data-over></section>' in html
    assert f'id="request-{request_id}" data-live' in html


@pytest.mark.parametrize(("protocol", "shown"), [("UDP", "22 (UDP)"), ("*", "22 (TCP + UDP)")])
def test_whoever_is_asked_sees_what_is_opened_beyond_tcp(
    house: House, protocol: str, shown: str
) -> None:
    olga, ann = owner(house), Person(house, "ann@example.com")
    world(house, stage(ann))
    page = f"/portal/requests/{ask(olga, house)}"
    assert f"{shown}" not in text_of(ann.page(page))
    properties = house.call("GET", house.policy(), version=JIT).json()["properties"]
    properties["virtualMachines"][0]["ports"][0]["protocol"] = protocol
    assert house.call("PUT", house.policy(), {"properties": properties}, JIT).status_code == 200
    assert shown in text_of(ann.page(page))
