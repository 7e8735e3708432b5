"""The pane in which ports are configured: what it offers, shows before, saves and refuses."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from bascule.api.context import AppState
from bascule.domain.actions import MACHINE_READ, MACHINE_WRITE, POLICY_READ, POLICY_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol, parse_address
from bascule.domain.policy import PortRule
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, ServerPlace
from bascule.words import Words
from tests.portal.test_jit import configure, enrolled, opened, request
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House

PATH = "/portal/jit/configure"
Fields = dict[str, str | Sequence[str]]
_TAG = re.compile(r'name="tag" value="([^"]*)"')
_SEEN = re.compile(r'name="seen" value="([^"]*)"')


def address(house: House, *names: str) -> str:
    return PATH + "?" + "&".join(f"machine={quote(house.machine(name))}" for name in names)


def row(place: int, number: object, **more: str) -> Fields:
    filled = {"protocol": "TCP", "from": "any", "sources": "", "longest": "PT3H", "end": "keep"}
    given = {**filled, **more, "number": str(number)}
    return {f"row.{place}.{name}": value for name, value in given.items()}


def form(house: House, names: Sequence[str], tags: Sequence[str], *rows: Fields) -> Fields:
    """What a browser sends; empty fields are in it, as browsers send them."""
    made: Fields = {
        "policy": "default",
        "machine": [house.machine(name) for name in names],
        "tag": list(tags),
        "row": [str(place) for place in range(len(rows))],
        "act": "save",
    }
    for each in rows:
        made |= each
    return made


def rules(house: House, name: str, policy: str = "default") -> tuple[PortRule, ...]:
    policy_id = ResourceId.parse(house.policy(policy))
    stored = house.see(lambda reader: reader.policy(policy_id))
    found = stored.policy.rules_for(ResourceId.parse(house.machine(name))) if stored else None
    return found.ports if found else ()


def test_save_takes_the_recommended_ports_as_they_are_offered(house: House) -> None:
    """Azure's four, three hours, any source; what the page shows is what saving sends."""
    enrolled(house, "web-1")
    olga = owner(house)
    page = olga.page(address(house, "web-1"))
    shown = re.findall(r'name="row\.\d+\.number" value="(\d+)"', page)
    assert shown == ["22", "3389", "5985", "5986"]
    assert page.count('value="PT3H" selected') == 4
    assert page.count('value="any" checked') == 4
    text = text_of(page)
    assert "Will be closed 22/TCP on web-1 3389/TCP on web-1" in text
    assert rules(house, "web-1") == ()  # a look changes nothing
    rows = [row(place, number) for place, number in enumerate(shown)]
    answer = olga.send(PATH, form(house, ["web-1"], [""], *rows))
    assert (answer.status_code, answer.headers["location"]) == (
        303,
        "/portal/jit?notice=jit_page_saved",
    )
    assert [rule.number for rule in rules(house, "web-1")] == [22, 3389, 5985, 5986]
    first = rules(house, "web-1")[0]
    assert first == PortRule(
        22, RuleProtocol.TCP, (AddressPrefix.parse("*"),), timedelta(hours=3), OnExpiry.KEEP
    )


def test_every_setting_is_kept_and_shown_again(house: House) -> None:
    enrolled(house, "web-1")
    olga = owner(house)
    special = row(
        0,
        5432,
        sources="198.51.100.0/24, 2001:db8::/64\n203.0.113.9",
        longest="PT15M",
        end="kill",
        why="1",
        **{"from": "list"},
    )
    assert olga.send(PATH, form(house, ["web-1"], [""], special)).status_code == 303
    (rule,) = rules(house, "web-1")
    assert [str(each) for each in rule.sources] == [
        "198.51.100.0/24",
        "2001:db8::/64",
        "203.0.113.9",
    ]
    assert (rule.max_duration, rule.on_expiry) == (timedelta(minutes=15), OnExpiry.KILL)
    assert rule.justification_required
    page = olga.page(address(house, "web-1"))
    assert 'value="198.51.100.0/24, 2001:db8::/64, 203.0.113.9"' in page
    assert 'value="PT15M" selected' in page
    assert 'name="row.0.why" value="1" checked' in page
    assert "Nothing: no port, no rule and no live access." in text_of(page)


def test_the_public_port_that_a_policy_names_is_kept(house: House) -> None:
    """The page has no field for it, and takes nothing away that it does not show."""
    enrolled(house, "web-1")
    olga = owner(house)
    assert olga.send(PATH, form(house, ["web-1"], [""], row(0, 22))).status_code == 303
    (rule,) = rules(house, "web-1")
    named = replace(rule, public_port=2222, public_address=parse_address("198.51.100.7"))

    def name_it(tx: Transaction, _: Act) -> None:
        (stored,) = tx.policies_naming(ResourceId.parse(house.machine("web-1")))
        (of_web,) = stored.policy.machines
        changed = stored.policy.with_rules(replace(of_web, ports=(named,)))
        tx.put_policy(replace(stored, policy=changed))

    house.do(name_it)
    page = olga.page(address(house, "web-1"))
    assert 'name="row.0.public" value="2222"' in page
    sent = form(house, ["web-1"], [""], row(0, 22, public="2222", at="198.51.100.7", why="1"))
    answer = olga.send(PATH, {**sent, "tag": _TAG.findall(page)})
    assert answer.status_code == 303, text_of(answer.text)
    assert rules(house, "web-1") == (replace(named, justification_required=True),)


def test_several_machines_at_once_are_all_or_none(house: House) -> None:
    for name in ("web-1", "web-2"):
        enrolled(house, name)
    olga = owner(house)
    assert "22/TCP on web-1, web-2" in text_of(olga.page(address(house, "web-1", "web-2")))
    both = form(house, ["web-1", "web-2"], ["", ""], row(0, 22))
    configure(house, "web-2", 80)  # meanwhile, by somebody else
    assert olga.send(PATH, both).status_code == 412
    assert rules(house, "web-1") == ()
    tag = _TAG.findall(olga.page(address(house, "web-2")))
    answer = olga.send(PATH, {**both, "tag": ["", *tag]})
    assert answer.status_code == 303, text_of(answer.text)
    assert [rules(house, name)[0].number for name in ("web-1", "web-2")] == [22, 22]


def test_two_editors_do_not_overwrite_each_other(house: House) -> None:
    """The second is shown what the first has written; another machine of the policy is no matter."""
    for name in ("web-1", "web-2"):
        enrolled(house, name)
    configure(house, "web-1", 22)
    anna, olga = owner(house, "anna@example.com"), owner(house)
    tag = _TAG.findall(anna.page(address(house, "web-1")))
    configure(house, "web-2", 22)
    assert anna.send(PATH, form(house, ["web-1"], tag, row(0, 23))).status_code == 303
    answer = olga.send(PATH, form(house, ["web-1"], tag, row(0, 24)))
    assert answer.status_code == 412
    assert "changed by somebody else" in text_of(answer.text)
    assert 'name="row.0.number" value="23"' in answer.text
    assert [rule.number for rule in rules(house, "web-1")] == [23]
    assert olga.send(PATH, form(house, ["web-1"], [], row(0, 24))).status_code == 412


def test_live_access_is_cut_only_after_it_was_shown(house: House) -> None:
    opened(house, "web-1")
    olga = owner(house)
    tag = _TAG.findall(olga.page(address(house, "web-1")))
    blind = form(house, ["web-1"], tag, row(0, 3389))
    answer = olga.send(PATH, blind)
    assert answer.status_code == 409
    text = text_of(answer.text)
    assert "Live access that is revoked 22/TCP on web-1: administrator" in text
    assert "Stay closed, in no policy; release them on the machine" in text
    assert "Will be closed" in text
    assert house.events("GrantEnded") == []
    assert [rule.number for rule in rules(house, "web-1")] == [22]
    seen = _SEEN.findall(answer.text)[0]
    assert olga.send(PATH, {**blind, "seen": "0" * 16}).status_code == 409
    assert olga.send(PATH, {**blind, "seen": seen}).status_code == 303
    assert house.events("GrantEnded") == ["GrantEnded"]


def test_a_preview_says_what_ends_earlier_and_changes_nothing(house: House) -> None:
    opened(house, "web-1")  # for an hour
    olga = owner(house)
    tag = _TAG.findall(olga.page(address(house, "web-1")))
    before = house.see(lambda reader: reader.generation("x")), len(house.events())
    shorter = form(house, ["web-1"], tag, row(0, 22, longest="PT5M", end="kill"))
    answer = olga.send(f"{PATH}/preview", shorter)
    text = text_of(answer.text)
    assert answer.status_code == 200
    assert "Live access that ends earlier 22/TCP on web-1: administrator" in text
    assert "what happens to sessions at the end changes 22/TCP on web-1" in text
    assert (house.see(lambda reader: reader.generation("x")), len(house.events())) == before
    wrong = olga.send(f"{PATH}/preview", form(house, ["web-1"], tag, row(0, "x")))
    assert "Correct the form" in text_of(wrong.text)


def test_rows_come_and_go_without_a_script(house: House) -> None:
    enrolled(house, "web-1")
    olga = owner(house)
    sent = form(house, ["web-1"], [""], row(0, 22), row(1, 23))
    added = olga.send(PATH, {**sent, "act": "add"}).text
    assert re.findall(r'name="row\.\d+\.number" value="(\d*)"', added) == ["22", "23", ""]
    fewer = olga.send(PATH, {**sent, "act": "delete-0"}).text
    assert re.findall(r'name="row\.\d+\.number" value="(\d*)"', fewer) == ["23"]
    assert rules(house, "web-1") == ()


@pytest.mark.parametrize(
    ("wrong", "name", "told"),
    [
        (row(0, "0"), "number", "65535"),
        (row(0, "22x"), "number", "65535"),
        (row(0, ""), "number", "65535"),
        (row(0, "²"), "number", "65535"),
        (row(0, 22, protocol="ICMP"), "protocol", "offered"),
        (row(0, 22, longest="PT1S"), "longest", "5 minutes"),
        (row(0, 22, longest="P2D"), "longest", "1 day"),
        (row(0, 22, longest="soon"), "longest", ""),
        (row(0, 22, end="drain"), "end", "offered"),
        (row(0, 22, end="kill PT5M"), "end", "offered"),
        (row(0, 22, end="drain soon"), "end", ""),
        (row(0, 22, sources="not-an-address", **{"from": "list"}), "sources", "not-an-address"),
        (row(0, 22, sources=" ,", **{"from": "list"}), "sources", "at least one"),
        (row(0, 22, sources="fe80::1%eth0", **{"from": "list"}), "sources", ""),
    ],
)
def test_a_mistake_is_shown_at_its_field(house: House, wrong: Fields, name: str, told: str) -> None:
    enrolled(house, "web-1")
    olga = owner(house)
    answer = olga.send(PATH, form(house, ["web-1"], [""], wrong))
    assert answer.status_code == 400
    error = re.search(
        rf'<span class="field-error" id="row-0-{name}-error">(.*?)</span>', answer.text
    )
    assert error, text_of(answer.text)
    assert told in error[1]
    assert f'aria-describedby="row-0-{name}-error"' in answer.text
    assert rules(house, "web-1") == ()


def test_what_would_lock_out_is_refused_at_its_field(house: House) -> None:
    """A UDP port in the host's own range, the server's own port (EDGES A4)."""
    uid = house.add_machine("web-1", properties={"bascule": {"addresses": ["10.0.0.9"]}})
    agent = house.enrol("web-1")
    house.report(agent, uid, localPortRange=[32768, 60999])
    _serve_at(house.state, 8443, "10.0.0.9")
    olga = owner(house)
    udp = olga.send(PATH, form(house, ["web-1"], [""], row(0, 22), row(1, 40000, protocol="UDP")))
    assert udp.status_code == 400
    assert 'id="row-1-number-error"' in udp.text
    own = olga.send(PATH, form(house, ["web-1"], [""], row(0, 8443)))
    assert own.status_code == 400
    assert 'id="row-0-number-error"' in own.text
    twice = olga.send(PATH, form(house, ["web-1"], [""], row(0, 22), row(1, 22)))
    assert 'id="row-1-number-error"' in twice.text
    assert rules(house, "web-1") == ()


def _serve_at(state: AppState, port: int, own: str) -> None:
    place = ServerPlace(frozenset({port}), lambda address: str(address) == own)
    object.__setattr__(state.services, "place", place)


def crafted(house: House, person: Person, **more: Any) -> int:
    fields = form(house, ["web-1"], [""], row(0, 22)) | more
    return person.send(PATH, fields).status_code


def test_what_the_page_hides_a_crafted_form_cannot_do(house: House) -> None:
    enrolled(house, "web-1")
    enrolled(house, "db-1")
    where = house.machine("web-1")
    read = (MACHINE_READ, POLICY_READ)
    for number, held in enumerate(
        ((), read, (*read, POLICY_WRITE), (*read, MACHINE_WRITE), (POLICY_WRITE, MACHINE_WRITE))
    ):
        person = somebody(house, f"p{number}@example.com", where, *held, "A/b/read")
        assert crafted(house, person) == 403, held
        remove = person.send("/portal/jit/remove", {"machine": where})
        assert remove.status_code == (403 if number != 4 else 303), held
    writer = somebody(house, "w@example.com", where, *read, POLICY_WRITE, MACHINE_WRITE)
    both = [where, house.machine("db-1")]
    assert crafted(house, writer, machine=both, tag=["", ""]) == 403
    assert writer.client.get(address(house, "db-1"), follow_redirects=False).status_code == 403
    unknown = writer.client.get(address(house, "no-such"), follow_redirects=False)
    assert unknown.status_code == 403  # and not 404: nothing is told of what may not be seen
    assert rules(house, "web-1") == rules(house, "db-1") == ()
    assert crafted(house, writer, csrf="x") == 403
    assert crafted(house, writer, machine=[]) == 400
    assert crafted(house, writer, policy="../x") == 400
    assert rules(house, "web-1") == ()
    assert crafted(house, writer) == 303


def test_who_may_read_alone_sees_the_form_and_why_it_is_off(house: House) -> None:
    opened(house, "web-1")
    rita = somebody(house, "rita@example.com", house.group, MACHINE_READ, POLICY_READ)
    page = rita.page(address(house, "web-1"))
    assert 'name="row.0.number" value="22"' in page
    assert f"You lack the right to do this here: {POLICY_WRITE}. Ask for a role" in text_of(page)
    assert "disabled" in page
    preview = rita.send(f"{PATH}/preview", form(house, ["web-1"], [""], row(0, 3389)))
    assert preview.status_code == 403


def test_removing_says_what_it_opens_and_does_that(house: House) -> None:
    opened(house, "web-1")
    olga = owner(house)
    path = f"/portal/jit/remove?machine={quote(house.machine('web-1'))}"
    text = text_of(olga.page(path))
    assert "Remove web-1 from just-in-time access?" in text
    assert "Open for everybody 22/TCP on web-1" in text
    assert "Live access that is revoked 22/TCP on web-1: administrator" in text
    assert [rule.number for rule in rules(house, "web-1")] == [22]
    answer = olga.send("/portal/jit/remove", removal(house, olga.page(path)))
    assert answer.headers["location"] == "/portal/jit?notice=jit_page_removed"
    assert rules(house, "web-1") == ()
    assert "PortReleased" in house.events("PortReleased")


def removal(house: House, page: str) -> Fields:
    (seen,) = _SEEN.findall(page)
    return {"machine": house.machine("web-1"), "seen": seen}


def test_removing_opens_and_ends_nothing_that_was_not_shown(house: House) -> None:
    """A port that was added since stays shut, and a grant that began since lives."""
    enrolled(house, "web-1")
    configure(house, "web-1", 22)
    olga, path = owner(house), f"/portal/jit/remove?machine={quote(house.machine('web-1'))}"
    shown = removal(house, olga.page(path))
    changes: Sequence[tuple[Callable[[], object], str]] = (
        (lambda: configure(house, "web-1", 22, 3389), "3389/TCP on web-1"),
        (lambda: request(house, "web-1"), "revoked 22/TCP on web-1: administrator"),
    )
    for change, told in changes:
        change()
        answer = olga.send("/portal/jit/remove", shown)
        assert answer.status_code == 409
        assert "have changed since they were shown. Nothing was done" in text_of(answer.text)
        assert told in text_of(answer.text)
        assert house.events("PortReleased") == house.events("GrantEnded") == []
        assert [rule.number for rule in rules(house, "web-1")] == [22, 3389]
        shown = removal(house, answer.text)
    blind = {"machine": house.machine("web-1")}
    assert olga.send("/portal/jit/remove", blind).status_code == 409
    assert olga.send("/portal/jit/remove", shown).status_code == 303
    assert rules(house, "web-1") == ()
    assert (len(house.events("PortReleased")), len(house.events("GrantEnded"))) == (2, 1)


def test_a_machine_of_two_policies_is_edited_in_the_one_that_is_meant(house: House) -> None:
    enrolled(house, "web-1")
    configure(house, "web-1", 22)
    path = f"{house.machine('web-1')}/providers/Bascule.Access/machineRules/default"
    port = {"number": 80, "protocol": "TCP", "maxRequestAccessDuration": "PT1H"}
    ports = [{**port, "allowedSourceAddressPrefix": "*"}]
    body = {"properties": {"ports": ports, "policyName": "web"}}
    assert house.call("PUT", path, body).status_code == 200
    olga = owner(house)
    page = olga.page(f"{address(house, 'web-1')}&policy=web")
    assert 'name="row.0.number" value="80"' in page
    sent = form(house, ["web-1"], _TAG.findall(page), row(0, 81)) | {"policy": "web"}
    assert olga.send(PATH, sent).status_code == 303
    assert [rule.number for rule in rules(house, "web-1", "web")] == [81]
    assert [rule.number for rule in rules(house, "web-1")] == [22]


def test_the_pane_speaks_french(house: House) -> None:
    enrolled(house, "web-1")
    text = text_of(owner(house).page(address(house, "web-1"), language="fr"))
    for english in (
        "JIT VM access configuration",
        "Max request time",
        "Allowed source IPs",
        "Per request",
        "Add port configuration",
        "Will be closed",
    ):
        assert Words("fr")(english) in text, english
    assert "3 heures" in text


# -- what changes although no port begins to be shut ------------------------------------------


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"longest": "PT1H"}, "Max request time: 3 h → 1 h"),
        (
            {"from": "list", "sources": "198.51.100.0/24"},
            "Allowed source IPs: Per request → 198.51.100.0/24",
        ),
        ({"why": "1"}, "A justification is required"),
    ],
)
def test_what_may_be_asked_otherwise_is_shown_before_and_said_after(
    house: House, changed: dict[str, str], told: str
) -> None:
    """It said that nothing changes, and then that ports close."""
    enrolled(house, "web-1")
    olga = owner(house)
    olga.send(PATH, form(house, ["web-1"], [""], row(0, 22)))
    (tag,) = _TAG.findall(olga.page(address(house, "web-1")))
    fields = form(house, ["web-1"], [tag], row(0, 22, **changed))
    shown = text_of(olga.send(f"{PATH}/preview", fields).text)
    assert f"22/TCP on web-1: {told}" in shown
    assert "Nothing" not in shown
    answer = olga.send(PATH, fields)
    assert answer.headers["location"] == "/portal/jit?notice=jit_page_changed"
    assert "No port is closed or opened" in text_of(olga.page(answer.headers["location"]))
    (tag,) = _TAG.findall(olga.page(address(house, "web-1")))
    back = form(house, ["web-1"], [tag], row(0, 22))
    assert (
        "→" in olga.send(f"{PATH}/preview", back).text
        or "no longer required" in olga.send(f"{PATH}/preview", back).text
    )


def test_a_port_that_is_shut_already_and_may_be_asked_for_again_is_shown(house: House) -> None:
    """It has left its policy and is kept shut until it is released."""
    enrolled(house, "web-1")
    olga = owner(house)
    olga.send(PATH, form(house, ["web-1"], [""], row(0, 22), row(1, 80)))
    (tag,) = _TAG.findall(olga.page(address(house, "web-1")))
    olga.send(PATH, form(house, ["web-1"], [tag], row(0, 22)))
    (tag,) = _TAG.findall(olga.page(address(house, "web-1")))
    again = form(house, ["web-1"], [tag], row(0, 22), row(1, 80))
    assert "80/TCP on web-1: can be requested" in text_of(olga.send(f"{PATH}/preview", again).text)
    answer = olga.send(PATH, again)
    assert answer.headers["location"] == "/portal/jit?notice=jit_page_changed"
