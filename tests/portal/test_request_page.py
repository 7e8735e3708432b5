"""A request's page: who sees it, how to get in, extending, closing."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_address

import pytest

from bascule.domain.actions import INITIATE, POLICY_READ, REQUEST_REVOKE
from bascule.domain.lifecycle import STATES, GrantState, RequestState
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.ways_in import Door, is_user
from bascule.portal.codes import TEXTS
from bascule.portal.ways_in import rdp_file, way_in
from tests.contracts.store.samples import a_grant, a_machine
from tests.portal.asking import ask, filled, form_path, guard, live, machine_id, put_policy
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House, port_rule

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

FROM_IPV4 = (AddressPrefix.parse("192.0.2.7"),)
FROM_IPV6 = (AddressPrefix.parse("2001:db8::7"),)


def test_from_accepted_to_closed(house: House) -> None:
    uid = guard(house)
    olga = owner(house)
    request_id = ask(olga, house, justification="deploy it")
    path = f"/portal/requests/{request_id}"
    text = text_of(olga.page(path))
    assert "Opening" in text
    assert "deploy it" in text
    assert "as soon as it is open" in text
    assert "ssh -o" not in text
    agent = house.enrol("web-1")
    (grant,) = live(house)
    house.report(agent, uid, grant.id)
    text = text_of(olga.page(path))
    assert "ssh -o HostKeyAlias=web-1 10.0.0.1" in text
    assert "10:00" in text
    assert "ada@10.0.0.1" in text_of(olga.page(f"{path}?user=ada"))
    html = olga.page(path)
    assert html.index('id="user"') < html.index("ssh -o"), "above the commands that it goes into"
    assert olga.send(f"{path}/close").headers["location"] == f"{path}?notice=closed"
    assert "Closing" in text_of(olga.page(path))
    house.report(agent, uid)
    assert 'id="user"' not in olga.page(path), "there is no command any more"
    french = text_of(olga.page(path, language="fr"))
    assert "Fermé" in french
    assert "fermé avant l’échéance" in french
    assert "Demander à nouveau" in french


def test_what_did_not_open_says_why(house: House) -> None:
    guard(house)
    olga = owner(house)
    request_id = ask(olga, house)
    house.clock.pass_time(61)
    house.sweep()
    text = text_of(olga.page(f"/portal/requests/{request_id}"))
    assert "Failed" in text
    assert "so it was withdrawn" in text
    assert "may keep the port open until the requested end" in text


def test_a_reason_that_names_an_instant_shows_it_in_the_readers_zone(house: House) -> None:
    uid = guard(house)
    house.report(house.enrol("web-1"), uid)
    olga = owner(house)
    request_id = ask(olga, house)
    house.clock.pass_time(61)
    house.sweep()
    page = olga.page(f"/portal/requests/{request_id}")
    assert re.search(r"has been away since <time [^<>]*>2030-01-01 12:00:00</time>", page)


def test_what_ended_before_it_opened_is_not_said_to_have_opened(house: House) -> None:
    guard(house)
    olga = owner(house)
    path = f"/portal/requests/{ask(olga, house)}"
    assert olga.send(f"{path}/close").status_code == 303
    text = text_of(olga.page(path))
    assert "Closed" in text
    assert "Not confirmed open" in text
    assert "Opened" not in text


def test_anothers_request_is_not_shown_and_not_closed(house: House) -> None:
    guard(house)
    request_id = ask(owner(house), house, justification="my secret reason")
    path = f"/portal/requests/{request_id}"
    (grant,) = live(house)
    anna = somebody(house, "anna@example.com", house.machine("db-1"), POLICY_READ, REQUEST_REVOKE)
    for there in (path, f"{path}/{grant.id}.rdp"):
        page = anna.page(there, 403)
        assert "my secret reason" not in page
        assert "web-1" not in page
    for act in ("close", "cut", "extend"):
        answer = anna.send(f"{path}/{act}", {"time": "1:00", "grant": grant.id})
        assert answer.status_code == 403, act
        assert "my secret reason" not in answer.text
    assert live(house) == [grant]


def test_a_reader_sees_it_and_is_told_why_he_may_not_close_it(house: House) -> None:
    guard(house)
    request_id = ask(owner(house), house)
    path = f"/portal/requests/{request_id}"
    rita = somebody(house, "rita@example.com", house.subscription, POLICY_READ, INITIATE)
    html = rita.page(path)
    assert "Only the person who made a request can extend it." in text_of(html)
    assert 'aria-disabled="true"' in html
    assert REQUEST_REVOKE in text_of(html)
    assert rita.send(f"{path}/close").status_code == 403
    assert rita.send(f"{path}/extend", {"time": "1:00"}).status_code == 403
    assert len(live(house)) == 1


def test_whoever_may_revoke_closes_anothers(house: House) -> None:
    guard(house)
    request_id = ask(owner(house), house)
    path = f"/portal/requests/{request_id}"
    ruth = somebody(house, "ruth@example.com", house.subscription, POLICY_READ, REQUEST_REVOKE)
    assert ruth.send(f"{path}/close", {"kill": "1"}).status_code == 303
    assert live(house) == []
    (event,) = house.events("GrantEnded")
    assert event == "GrantEnded"


def test_one_port_of_several_is_closed(house: House) -> None:
    guard(house, "web-1", port_rule(22), port_rule(3389))
    olga = owner(house)
    request_id = ask(olga, house, "web-1", "0.0.22", "0.0.3389")
    (rdp,) = (grant for grant in live(house) if grant.number == 3389)
    path = f"/portal/requests/{request_id}"
    assert olga.send(f"{path}/close", {"grant": rdp.id}).status_code == 303
    assert [grant.number for grant in live(house)] == [22]
    # A grant of another request is not this one's.
    answer = olga.send(f"{path}/close", {"grant": "11111111-1111-4111-8111-111111111111"})
    assert answer.status_code == 400
    assert [grant.number for grant in live(house)] == [22]


def test_extending_up_to_what_the_policy_allows(house: House) -> None:
    guard(house)
    olga = owner(house)
    request_id = ask(olga, house)
    path = f"/portal/requests/{request_id}"
    assert "at most 3\N{NO-BREAK SPACE}h" in olga.page(path)
    refused = olga.send(f"{path}/extend", {"time": "3:30"})
    assert refused.status_code == 400
    assert "may be open for at most 3 h" in text_of(refused.text)
    assert 'value="3:30"' in refused.text
    earlier = olga.send(f"{path}/extend", {"time": "0:05"})
    assert earlier.status_code == 409
    assert "would end it earlier" in text_of(earlier.text)
    assert olga.send(f"{path}/extend", {"time": "soon"}).status_code == 400
    assert olga.send(f"{path}/extend", {"time": "3:00"}).status_code == 303
    (grant,) = live(house)
    assert grant.ends_at == house.clock.now() + timedelta(hours=3)
    assert "the policy and the host allow" in text_of(olga.page(path))
    assert "extended once" in text_of(olga.page(path))


def test_requests_of_one_form_are_shown_together_each_by_its_right(house: House) -> None:
    guard(house)
    olga = owner(house)
    first = ask(olga, house)
    anna = somebody(house, "anna@example.com", house.machine("web-1"), POLICY_READ, INITIATE)
    second = ask(anna, house)
    assert first in olga.page(f"/portal/requests/{second}?and={first}")
    bert = somebody(house, "bert@example.com", house.machine("db-1"), POLICY_READ)
    assert bert.get(f"/portal/requests/{second}?and={first}").status_code == 403


@pytest.mark.parametrize("name", ["x", "11111111-1111-4111-8111-111111111111", "a%2Fb"])
def test_what_is_no_request_is_not_there(house: House, name: str) -> None:
    assert owner(house).get(f"/portal/requests/{name}").status_code == 404


def test_an_rdp_file(house: House) -> None:
    uid = guard(house, "win-1", port_rule(3389), port_rule(22))
    olga = owner(house)
    request_id = ask(olga, house, "win-1", "0.0.3389", "0.0.22")
    house.report(house.enrol("win-1"), uid, *(grant.id for grant in live(house)))
    rdp, ssh = sorted(live(house), key=lambda grant: -grant.number)
    path = f"/portal/requests/{request_id}"
    page = olga.page(path)
    assert "mstsc /v:10.0.0.1:3389" in page
    assert f"{path}/{rdp.id}.rdp" in page
    answer = olga.get(f"{path}/{rdp.id}.rdp?user=ada")
    assert answer.headers["content-disposition"] == 'attachment; filename="win-1-3389.rdp"'
    lines = answer.content.split(b"\r\n")
    assert lines[:2] == [b"full address:s:10.0.0.1:3389", b"username:s:ada"]
    assert b"\n" not in b"".join(lines)
    assert answer.content.endswith(b"\r\n")
    assert b"ada" not in olga.get(f"{path}/{rdp.id}.rdp?user=ada%0D%0Agatewayhostname:s:x").content
    assert olga.get(f"{path}/{ssh.id}.rdp").status_code == 404
    assert machine_id(house, "win-1").name == "win-1"


# -- what stands in a command (EDGES A18, C4) ----------------------------------------------------


@pytest.mark.parametrize("user", ["ada", "ada.l-1", "_svc", "ada@corp.example", "A1"])
def test_names_that_may_stand_in_a_command(user: str) -> None:
    assert is_user(user)


@pytest.mark.parametrize(
    "user",
    [
        "",
        "-oProxyCommand=x",
        "a b",
        "a;b",
        "$(id)",
        "`id`",
        "a'b",
        'a"b',
        "a|b",
        "a\nb",
        "a@b@c",
        "é",
        "x" * 65,
        "a\\b",
        "a%h",
        "@a",
        "a@-b",
        "a>b",
        "a&b",
        "a/b",
        "a:b",
    ],
)
def test_names_that_may_not(user: str) -> None:
    assert not is_user(user)
    opened = replace(a_grant(), state=GrantState.OPEN, sources=FROM_IPV4, protocol=RuleProtocol.TCP)
    assert way_in(a_machine(), opened, user).command == "ssh -o HostKeyAlias=web-1 10.1.2.3"
    assert b"username" not in rdp_file(Door(ip_address("10.1.2.3"), 3389), user)


@pytest.mark.parametrize(
    ("number", "protocol", "sources", "command"),
    [
        (22, "TCP", FROM_IPV4, "ssh -o HostKeyAlias=web-1 ada@10.1.2.3"),
        (22, "TCP", FROM_IPV6, "ssh -o HostKeyAlias=web-1 ada@2001:db8::3"),
        (22, "UDP", FROM_IPV4, "10.1.2.3:22"),
        (3389, "*", FROM_IPV6, "mstsc /v:[2001:db8::3]:3389"),
        (
            5985,
            "TCP",
            FROM_IPV4,
            "Enter-PSSession -ComputerName 10.1.2.3 -Port 5985 -Credential ada",
        ),
        (
            5986,
            "TCP",
            FROM_IPV6,
            "Enter-PSSession -ConnectionUri 'https://[2001:db8::3]:5986/wsman' -Credential ada",
        ),
        (5432, "TCP", FROM_IPV4, 'psql "host=10.1.2.3 port=5432 user=ada"'),
        (8080, "TCP", FROM_IPV6, "[2001:db8::3]:8080"),
    ],
)
def test_the_way_in_by_port_and_family(
    number: int, protocol: str, sources: tuple[AddressPrefix, ...], command: str
) -> None:
    opened = replace(a_grant(), number=number, protocol=RuleProtocol(protocol), sources=sources)
    assert way_in(a_machine(), opened, "ada").command == command


def test_what_does_not_pass_is_no_command() -> None:
    opened = replace(a_grant(), sources=FROM_IPV4)
    assert way_in(None, opened).why_not == "machine"
    assert way_in(replace(a_machine(), addresses=()), opened).why_not == "address"
    only_ipv6 = replace(a_machine(), addresses=(ip_address("2001:db8::3"),))
    assert way_in(only_ipv6, opened).why_not == "family"
    evil = replace(a_machine(), id=replace(a_machine().id, names=("web;reboot",)))
    scoped = replace(a_machine(), addresses=(ip_address("fe80::1%eth0;x"),))
    for machine in (evil, scoped):
        way = way_in(machine, replace(opened, sources=(AddressPrefix.parse("*"),)))
        assert way.why_not
        assert way.command == ""


def refused_id(house: House, person: Person) -> str:
    """Ask for longer than the policy allows; returns the id of what was kept of it."""
    html = person.page(form_path(house, "web-1"))
    form = filled(html, "0.0.22", time__0__0__22="23:00", justification="deploy <it>")
    assert person.send("/portal/jit/request", form).status_code == 400
    (kept,) = house.see(lambda r: r.requests(states=[RequestState.REFUSED]))
    return kept.id


def test_a_refused_request_has_a_page_and_stands_in_the_list(house: House) -> None:
    guard(house)
    olga = owner(house)
    request_id = refused_id(house, olga)
    path = f"/portal/requests/{request_id}"
    text = text_of(olga.page(path))
    for word in ("Refused", "Nothing was opened", "at most 3 h", "deploy <it>", "web-1", "22"):
        assert word in text
    assert "<form method" not in olga.page(path).partition("<main")[2].partition("</main>")[0]
    assert "Rien n’a été ouvert" in text_of(olga.page(path, language="fr"))
    assert path in olga.page("/portal/open")
    for act in ("close", "extend"):
        assert olga.send(f"{path}/{act}", {"time": "1:00"}).status_code == 409, act
    assert live(house) == []


def test_what_another_was_refused_is_not_shown(house: House) -> None:
    guard(house)
    path = f"/portal/requests/{refused_id(house, owner(house))}"
    anna = somebody(house, "anna@example.com", house.machine("db-1"), POLICY_READ, REQUEST_REVOKE)
    assert "deploy" not in anna.page(path, 403)
    assert path not in anna.page("/portal/open")


def test_the_same_form_sent_again_after_a_refusal_is_judged_anew(house: House) -> None:
    """What was refused is no request that was made: when more is allowed, it opens."""
    guard(house, "web-1", port_rule(22, maxRequestAccessDuration="PT1H"))
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    form = filled(html, "0.0.22", time__0__0__22="2:00", once="0" * 32)
    assert olga.send("/portal/jit/request", form).status_code == 400
    put_policy(house, {"web-1": [port_rule(22, maxRequestAccessDuration="PT3H")]})
    assert olga.send("/portal/jit/request", form).status_code == 303
    assert len(live(house)) == 1


def test_every_state_has_its_word() -> None:
    """A state that the table gains is shown in words; the catalogues' check has its translation."""
    assert {f"grant.{name}" for name in STATES} <= set(TEXTS)
