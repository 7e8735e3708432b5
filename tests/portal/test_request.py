"""Request access: what the form offers, what it refuses, and what a link cannot do."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.actions import INITIATE, POLICY_READ
from bascule.domain.knocks import Knock
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.store import Transaction
from bascule.services import live_requests
from bascule.services.act import Act
from bascule.services.knocks import remember_knocks
from tests.portal.asking import (
    Fields,
    ask,
    filled,
    form_path,
    guard,
    live,
    machine_id,
    put_policy,
)
from tests.portal.visiting import Person, csrf_of, owner, somebody, text_of
from tests.wire.house import CALLER, PROXY, House, port_rule

# Is an address the server's own? It is asked of the kernel, by binding to it.
pytestmark = pytest.mark.sockets

SSH = "0.0.22"
PATH = "/portal/jit/request"


def knock(house: House, name: str, address: str, number: int = 22) -> None:
    port = PortKey(TransportProtocol.TCP, number)

    def work(tx: Transaction, act: Act) -> None:
        machine = tx.machine(machine_id(house, name))
        assert machine is not None
        remember_knocks(tx, act, machine, [Knock(address, port, 3)])

    house.do(work)


# -- the form ------------------------------------------------------------------------------


def test_the_form_offers_the_ports_of_the_policy(house: House) -> None:
    guard(
        house,
        "web-1",
        port_rule(22),
        port_rule(3389),
        port_rule(5985),
        port_rule(5986),
        port_rule(8080),
    )
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    text = text_of(html)
    for words in ("22 SSH", "3389 RDP", "5985 WinRM (HTTP)", "5986 WinRM (HTTPS)", "8080 TCP"):
        assert words in text
    assert f"Your address, as this server sees it, is {CALLER}" in text
    assert html.count('role="switch"') == 5
    assert 'value="0.0.22" id="on-0-0-22" checked' in html  # the usual port of Linux
    assert html.count(" checked aria-label") == 1
    assert html.count('value="3:00"') == 5  # the maximum
    assert "Open ports" in text


def test_the_form_offers_what_the_host_itself_admits(house: House) -> None:
    """B3: its own bounds stand in the form, and refuse before the wait."""
    uid = guard(house, "web-1", port_rule(22), port_rule(80))
    agent = house.enrol("web-1")
    bounds = {"ports": [{"protocol": "TCP", "number": 22}], "maxDurationMs": 20_000}
    house.report(agent, uid, guard=bounds)
    anna = owner(house)
    html = anna.page(form_path(house, "web-1"))
    assert html.count("by the host itself") == 2
    assert html.count("The host itself does not admit this port.") == 1
    assert 'value="0:00:20"' in html
    answer = anna.send(PATH, filled(html, "0.0.22", "0.0.80"))
    assert answer.status_code == 400
    refused = text_of(answer.text)
    assert "allows at most 20 s at a time" in refused
    assert "change the guard file as root on that host" in refused
    assert live(house) == []
    shorter = filled(html, "0.0.22", time__0__0__22="0:00:20")
    assert anna.send(PATH, shorter).status_code == 303
    assert [grant.number for grant in live(house)] == [22]


def test_the_form_in_french(house: House) -> None:
    guard(house)
    text = text_of(owner(house).page(form_path(house, "web-1"), language="fr"))
    for words in (
        "Demander l",
        "Mon IP",
        "Plage horaire",
        "Plage horaire",
        "Ouvrir les ports",
    ):
        assert words in text
    assert "Open ports" not in text


def test_what_is_asked_for_is_opened(house: House) -> None:
    guard(house)
    request_id = ask(owner(house), house)
    (grant,) = live(house)
    assert grant.request_id == request_id
    assert [str(each) for each in grant.sources] == [CALLER]
    assert grant.ends_at - house.clock.now() == timedelta(minutes=10)
    assert house.events("AccessRequested") == ["AccessRequested"]


def test_two_machines_at_once(house: House) -> None:
    for name in ("web-1", "db-1"):
        house.add_machine(name)
    put_policy(house, {"web-1": [port_rule()], "db-1": [port_rule(), port_rule(5432)]})
    olga = owner(house)
    html = olga.page(form_path(house, "web-1", "db-1"))
    assert "one request is made for each" not in html
    answer = olga.send(PATH, filled(html, SSH, "1.0.5432", range__1="", justification="both"))
    assert answer.status_code == 303
    assert "?" not in answer.headers["location"]
    assert {(g.machine_id.name, g.number) for g in live(house)} == {("web-1", 22), ("db-1", 5432)}
    assert len({grant.request_id for grant in live(house)}) == 1


def test_machines_of_two_policies_become_two_requests_or_none(house: House) -> None:
    for name in ("web-1", "db-1"):
        house.add_machine(name)
    put_policy(house, {"web-1": [port_rule()]}, "front")
    put_policy(house, {"db-1": [port_rule()]}, "back")
    olga = owner(house)
    html = olga.page(form_path(house, "web-1", "db-1"))
    assert "These machines are of 2 policies" in text_of(html)
    refused = olga.send(PATH, filled(html, "0.1.22", "1.0.22", **{"time.0.1.22": "9:00"}))
    assert refused.status_code == 400
    assert live(house) == []
    answer = olga.send(PATH, filled(html, "0.1.22", "1.0.22"))
    assert answer.status_code == 303
    assert "?and=" in answer.headers["location"]
    assert {grant.policy_id.name for grant in live(house)} == {"front", "back"}
    assert len({grant.request_id for grant in live(house)}) == 2


def test_a_machine_that_no_policy_names(house: House) -> None:
    house.add_machine("bare-1")
    text = text_of(owner(house).page(form_path(house, "bare-1")))
    assert "No policy names bare-1" in text
    assert "There is nothing to request" in text


# -- rights ----------------------------------------------------------------------------------


def without_ids(page: str) -> str:
    """An id's digits are chance: among them may be any port."""
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "", page)


def test_a_machine_without_the_right_is_not_told_of(house: House) -> None:
    guard(house)
    house.add_machine("db-1")
    put_policy(house, {"web-1": [port_rule()], "db-1": [port_rule(5432)]})
    anna = somebody(house, "anna@example.com", house.machine("web-1"), INITIATE, POLICY_READ)
    assert "5432" not in without_ids(anna.page(form_path(house, "db-1"), 403))
    both = text_of(anna.page(form_path(house, "web-1", "db-1"), 403))
    assert INITIATE in both
    assert "virtualMachines/db-1" in both
    assert "5432" not in without_ids(both)


def test_a_crafted_form_opens_nothing_without_the_right(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = filled(olga.page(form_path(house, "web-1")), SSH)
    reader = somebody(house, "anna@example.com", house.subscription, POLICY_READ)
    assert reader.send(PATH, fields).status_code == 403
    assert live(house) == []
    assert "CallerDenied" in house.events()


def test_without_the_sessions_proof_nothing_is_opened(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = filled(olga.page(form_path(house, "web-1")), SSH)
    answer = olga.client.post(PATH, data=fields, follow_redirects=False)
    assert answer.status_code == 403
    assert live(house) == []


# -- what the policy does not allow ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"time.0.0.22": "3:30"}, "may be open for at most 3 h"),
        ({"time.0.0.22": "24:00"}, "may be open for at most 3 h"),
        ({"time.0.0.22": "3"}, "is not a duration"),
        ({"time.0.0.22": ""}, "is not a duration"),
        ({"source.0.0.22": "range", "range.0.0.22": "192.0.2.1"}, "is not allowed for port"),
        ({"source.0.0.22": "range", "range.0.0.22": ""}, "Enter an address or a range"),
        ({"source.0.0.22": "range", "range.0.0.22": "10.0.0.1/8"}, "has host bits set"),
        ({"source.0.0.22": "range", "range.0.0.22": "web"}, "is not an IPv4 or IPv6 address"),
        ({"source.0.0.22": "seen:192.0.2.9"}, "has not been used from 192.0.2.9 recently"),
        ({"on": "", "my_address": "192.0.2.1"}, "No port is switched on"),
        ({"my_address": "192.0.2.1"}, "The form showed 192.0.2.1 as your address"),
    ],
)
def test_a_crafted_form_gets_no_more_than_the_policy(
    house: House, more: dict[str, str], words: str
) -> None:
    guard(house, "web-1", port_rule(22, allowedSourceAddressPrefix="198.51.100.0/24"))
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    answer = olga.send(PATH, {**filled(html, SSH), "confirmed": "1", **more})
    assert answer.status_code == 400
    assert words in text_of(answer.text)
    assert live(house) == []


def test_a_port_that_no_rule_names_is_not_opened(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = filled(olga.page(form_path(house, "web-1")))
    place = "0.0.3306"
    more = {"on": place, f"source.{place}": "mine", f"time.{place}": "0:10"}
    answer = olga.send(PATH, {**fields, **more})
    assert answer.status_code == 400
    assert "web-1, port 3306:" in text_of(answer.text)
    assert "cannot be requested on this machine" in text_of(answer.text)
    assert live(house) == []


def test_a_form_with_places_that_it_lacks_is_refused(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = filled(olga.page(form_path(house, "web-1")), SSH)
    answer = olga.send(PATH, {**fields, "on": "7.0.22", "time.7.0.22": "0:10"})
    assert answer.status_code == 400
    assert live(house) == []


def test_all_reasons_and_the_form_as_it_was_filled_in(house: House) -> None:
    guard(house, "web-1", port_rule(22, bascule={"justificationRequired": True}), port_rule(23))
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    more = {"time.0.0.22": "9:59", "time.0.0.23": "8 h", "source.0.0.23": "range"}
    answer = olga.send(PATH, {**filled(html, SSH, "0.0.23"), **more, "range.0.0.23": "203.0.113.5"})
    text = text_of(answer.text)
    assert answer.status_code == 400
    assert "requires a reason for port 22" in text
    assert "Write why the access is needed." in text
    assert text.count("may be open for at most 3 h") == 2
    assert "Choose a shorter time" in text
    for value in ('value="9:59"', 'value="8 h"', 'value="203.0.113.5"'):
        assert value in answer.text
    assert answer.text.count('aria-invalid="true"') == 3  # two times, and the justification
    assert house.events("AccessDenied") == ["AccessDenied"]


def test_a_refusal_in_french(house: House) -> None:
    guard(house)
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    fields = {**filled(html, SSH), "time.0.0.22": "9:00"}
    answer = olga.send(PATH, fields, **{"Accept-Language": "fr"})
    text = text_of(answer.text)
    assert "pas été ouverts" in text
    assert "peut être ouvert pendant" in text
    assert "Choisissez une durée plus courte" in text


def test_a_required_justification_is_given(house: House) -> None:
    guard(house, "web-1", port_rule(22, bascule={"justificationRequired": True}))
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    assert 'placeholder="Why is this access needed? The text is recorded." required' in html
    assert olga.send(PATH, filled(html, SSH, justification="  ")).status_code == 400
    assert olga.send(PATH, filled(html, SSH, justification="deploy")).status_code == 303


def test_where_the_plan_is_off_the_form_says_so_and_opens_nothing(house: House) -> None:
    guard(house)
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    path = f"{house.subscription}/providers/Microsoft.Security/pricings/VirtualMachines"
    off = house.call("PUT", path, {"properties": {"pricingTier": "Free"}}, "2024-01-01")
    assert off.status_code == 200, off.text
    assert "The plan is off for web-1" in text_of(olga.page(form_path(house, "web-1")))
    answer = olga.send(PATH, filled(html, SSH))
    assert answer.status_code == 403
    assert live(house) == []


# -- whose address (EDGES C3) -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("*", "means everybody"),
        ("0.0.0.0/0", "means everybody"),
        ("::/0", "means everybody"),
        ("203.0.112.0/23", "more than one network"),
        ("2001:db8::/47", "more than one network"),
        ("203.0.112.0/24, 203.0.113.0/24", "203.0.112.0/23 is more than one network"),
    ],
)
def test_a_wide_source_needs_a_second_act(house: House, source: str, words: str) -> None:
    guard(house)
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    fields = {**filled(html, SSH), "source.0.0.22": "range", "range.0.0.22": source}
    warned = olga.send(PATH, fields)
    assert warned.status_code == 200
    assert words in text_of(warned.text)
    assert "Open anyway" in text_of(warned.text)
    assert f'value="{source}"' in warned.text
    assert live(house) == []
    assert olga.send(PATH, {**fields, "confirmed": "1"}).status_code == 303
    assert len(live(house)) == 1


@pytest.mark.parametrize("source", ["203.0.113.0/24", "2001:db8::/48", "203.0.113.9"])
def test_one_network_needs_none(house: House, source: str) -> None:
    guard(house)
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    fields = {**filled(html, SSH), "source.0.0.22": "range", "range.0.0.22": source}
    assert olga.send(PATH, fields).status_code == 303


def test_a_link_sets_neither_source_nor_time_and_opens_nothing(house: House) -> None:
    guard(house, "web-1", port_rule(22), port_rule(3389))
    olga = owner(house)
    link = (
        "&source.0.0.22=range&range.0.0.22=0.0.0.0/0&range=0.0.0.0/0&source=range&time=0:05"
        "&time.0.0.22=0:05&on=0.0.22&confirmed=1&justification=x&my_address=192.0.2.1&port=3389"
    )
    html = olga.page(form_path(house, "web-1") + link)
    form = html.partition('<form class="asking"')[2]
    assert "my_address" in form
    for text in ("0.0.0.0/0", "0:05", "192.0.2.1", "confirmed"):
        assert text not in form
    assert 'value="0.0.3389" id="on-0-0-3389" checked' in html  # a port may be meant
    assert 'value="0.0.22" id="on-0-0-22" checked' not in html
    assert live(house) == []
    # And a form that is sent to such a link is a form.
    answer = olga.send(PATH + "?" + link[1:], filled(html, SSH))
    assert answer.status_code == 303
    (grant,) = live(house)
    assert [str(each) for each in grant.sources] == [CALLER]


def test_a_blocked_address_is_offered_only_if_this_session_proved_it(house: House) -> None:
    guard(house)
    olga = owner(house)
    other = "203.0.113.50"
    knock(house, "web-1", other)
    assert other not in olga.page(form_path(house, "web-1"))
    # Somebody else's session proves it for itself alone.
    Person(house, "anna@example.com", address=other).page("/portal")
    assert other not in olga.page(form_path(house, "web-1"))
    came_from(olga, other)
    html = olga.page(form_path(house, "web-1"))
    assert f"{other}, seen just now" in text_of(html)
    assert f'value="seen:{other}" checked' not in html  # never preselected
    answer = olga.send(PATH, {**filled(html, SSH), "source.0.0.22": f"seen:{other}"})
    assert answer.status_code == 303
    (grant,) = live(house)
    assert [str(each) for each in grant.sources] == [other]


def test_a_proved_address_is_not_offered_where_it_was_not_blocked_just_now(house: House) -> None:
    guard(house)
    olga = owner(house)
    other = "203.0.113.50"
    came_from(olga, other)
    assert other not in olga.page(form_path(house, "web-1"))
    knock(house, "web-1", other)
    assert other in olga.page(form_path(house, "web-1"))
    house.clock.pass_time(16 * 60)
    assert other not in olga.page(form_path(house, "web-1"))


def test_the_machine_confirms_my_own_address(house: House) -> None:
    guard(house)
    olga = owner(house)
    olga.page("/portal")
    knock(house, "web-1", CALLER)
    text = text_of(olga.page(form_path(house, "web-1")))
    assert f"web-1 has just blocked attempts from {CALLER}, which is your address" in text
    assert f"{CALLER}, seen just now" not in text


def test_what_was_blocked_is_no_hint_while_that_port_is_open_for_me(house: House) -> None:
    """B10: from that address; what is blocked at another port, or for another person, still is."""
    uid = guard(house, "web-1", port_rule(22), port_rule(80))
    agent = house.enrol("web-1")
    olga = owner(house)
    knock(house, "web-1", CALLER)
    words = f"web-1 has just blocked attempts from {CALLER}"
    page = form_path(house, "web-1")
    html = olga.page(page)
    assert words in text_of(html)
    assert olga.send(PATH, filled(html, SSH)).status_code == 303
    assert words in text_of(olga.page(page)), "it is not open yet"
    (grant,) = live(house)
    house.report(agent, uid, grant.id)
    assert words not in text_of(olga.page(page))
    other = somebody(house, "bert@example.com", house.subscription, INITIATE, POLICY_READ)
    assert words in text_of(other.page(page)), "it is not open for that person"
    knock(house, "web-1", CALLER, 80)
    assert words in text_of(olga.page(page))


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("127.0.0.1", "is a loopback address"),
        ("fe80::1", "is a link-local address"),
        (PROXY, "which the server sees, is the proxy"),
    ],
)
def test_my_ip_is_not_offered_where_it_cannot_be_meant(
    house: House, address: str, words: str
) -> None:
    guard(house)
    olga = owner(house)
    html_from_afar = olga.page(form_path(house, "web-1"))
    came_from(olga, address, stays=True)
    html = olga.page(form_path(house, "web-1"))
    assert words in text_of(html)
    assert 'value="mine"' not in html
    fields = {**filled(html_from_afar, SSH), "my_address": address}
    answer = olga.send(PATH, fields)
    assert answer.status_code == 400
    assert "cannot be used" in text_of(answer.text)
    assert live(house) == []


def came_from(person: Person, address: str, *, stays: bool = False) -> None:
    """The same browser, with its cookies, now comes from another address."""
    moved = person.house.client_of(None, address)
    moved.cookies.update(person.client.cookies)
    assert moved.get("/portal", follow_redirects=False).status_code == 200
    if stays:
        person.client = moved


# -- a form that is sent twice (EDGES E12) ----------------------------------------------------


def once_form(person: Person, house: House, **more: str) -> Fields:
    html = person.page(form_path(house, "web-1"))
    key = re.search(r'name="once" value="([^"]+)"', html)
    assert key
    return {"csrf": csrf_of(html), "once": key[1], **filled(html, "0.0.22", **more)}


def sent(person: Person, fields: Fields) -> str:
    """Where a form leads that was sent so."""
    answer = person.client.post("/portal/jit/request", data=fields, follow_redirects=False)
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"])


def asked(house: House) -> int:
    return len(house.events("AccessRequested"))


def test_two_clicks_make_one_request(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = once_form(olga, house)
    assert sent(olga, fields) == sent(olga, fields)
    assert asked(house) == 1
    assert len(live(house)) == 1


def test_two_clicks_at_once_make_one_request(house: House) -> None:
    """Both are on their way before the first is answered."""
    guard(house)
    olga = owner(house)
    fields = once_form(olga, house)
    with ThreadPoolExecutor(8) as pool:
        led_to = set(pool.map(lambda _: sent(olga, fields), range(8)))
    assert len(led_to) == 1
    assert asked(house) == 1


def test_sent_again_an_hour_later_it_opens_nothing(house: House) -> None:
    """The port is shut by then, and stays so."""
    guard(house)
    olga = owner(house)
    fields = once_form(olga, house)
    first = sent(olga, fields)
    house.clock.pass_time(3600)
    house.do(lambda tx, act: revoke_all(tx, act, olga))
    assert sent(olga, fields) == first
    assert live(house) == []
    assert asked(house) == 1


def revoke_all(tx: Transaction, act: Act, person: Person) -> None:
    for each in {grant.request_id for grant in tx.live_grants()}:
        subject = Subject(person.user.id, PrincipalKind.USER, person.user.name)
        live_requests.revoke(tx, act, each, None, kills_sessions=False, subject=subject)


def test_a_form_that_says_something_else_is_another_request(house: House) -> None:
    guard(house)
    olga = owner(house)
    fields = once_form(olga, house)
    first = sent(olga, fields)
    assert sent(olga, {**fields, "time.0.0.22": "0:20"}) != first
    assert asked(house) == 2


def test_a_key_of_another_session_names_nothing_of_it(house: House) -> None:
    """Whoever saw a key learns nothing by it, and stops nobody's request."""
    guard(house)
    olga, omar = owner(house), owner(house, "omar@example.com")
    fields = once_form(olga, house)
    first = sent(olga, fields)
    theirs = once_form(omar, house)
    assert sent(omar, {**fields, "csrf": theirs["csrf"]}) != first
    assert {each.requestor for each in live(house)} == {olga.user.name, omar.user.name}


@pytest.mark.parametrize("key", ["", "x" * 65])
def test_a_form_without_a_key_makes_a_request_each_time(house: House, key: str) -> None:
    guard(house)
    olga = owner(house)
    fields: Fields = {**once_form(olga, house), "once": key}
    assert sent(olga, fields) != sent(olga, fields)


def test_two_clicks_make_one_request_a_policy(house: House) -> None:
    guard(house)
    put_policy(house, {"web-1": [port_rule(number=3389)]}, "second")
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    fields: Fields = {**once_form(olga, house), **filled(html, "0.0.22", "0.1.3389")}
    first = sent(olga, fields)
    assert "and=" in first
    assert sent(olga, fields) == first
    assert asked(house) == 2
