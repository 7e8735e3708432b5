"""A machine's page *Gateways*: bound, moved, put in order, unbound, released (EDGES F3, G2, G3, G4)."""

from __future__ import annotations

import re
from html import unescape
from ipaddress import ip_address

import pytest

from bascule.domain.actions import (
    ENROLMENT_WRITE,
    MACHINE_READ,
    MACHINE_WRITE,
    POINT_READ,
    POLICY_READ,
)
from bascule.domain.bindings import Binding
from bascule.portal.kept import KEPT_PATH
from tests.portal.asking import ask, live
from tests.portal.test_kept import end_session, form_of, interrupted, sign_in_again
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House
from tests.wire.test_firewalls import Gateway
from tests.wire.test_gateway_faces import prepare, uid_of

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

APP, TAB = "/portal/machines/default/app-1", "/portal/machines/default/app-1/gateways"
LINKING = (MACHINE_READ, POINT_READ, ENROLMENT_WRITE, MACHINE_WRITE)


@pytest.fixture
def gated(house: House) -> House:
    """app-1 behind gw-1; web-1 and gw-2 with agents of their own."""
    prepare(house)
    house.add_machine("gw-2")
    house.enrol("gw-2")
    return house


def bound(house: House, name: str = "app-1") -> dict[str, Binding]:
    """By the name of the point's machine."""
    uid = uid_of(house, name)
    names = {uid_of(house, each): each for each in ("gw-1", "gw-2", "app-1", "web-1")}
    return {names[e.point_uid]: e for e in house.see(lambda r: r.bindings_of(uid))}


def hidden(page: str, name: str = "seen") -> str:
    found = re.search(rf'name="{name}" value="([^"]*)"', page)
    assert found, "the form has it"
    return unescape(found[1])


def one(house: House, gateway: str, act: str) -> str:
    return f"{TAB}/{uid_of(house, gateway)}/{act}"


def fill(person: Person, path: str, **fields: str) -> int:
    """Send the form as it is shown, with these answers."""
    seen = hidden(person.page(path))
    return person.send(path.partition("?")[0], {"seen": seen, **fields}).status_code


def test_the_points_are_shown_with_their_order_and_how_long_they_are_waited_for(
    gated: House,
) -> None:
    olga = owner(gated)
    assert fill(olga, f"{TAB}/add", gateway="gw-2", addresses="10.1.0.10", order="parallel") == 303
    assert fill(olga, one(gated, "gw-1", "edit"), addresses="10.1.0.10", order="parallel") == 303
    page = text_of(olga.page(TAB))
    assert "A port is open when it is open at: one of gw-1, gw-2." in page
    assert "A request that is not open after 1 min fails." in page
    assert "gw-1 in parallel 10.1.0.10 1 min" in page
    overview = text_of(olga.page(APP))
    assert "one of gw-1, gw-2." in overview
    asked = text_of(olga.page(f"/portal/jit/request?machine={gated.machine('app-1')}"))
    assert "one of gw-1, gw-2. A request that is not open after 1 min fails." in asked
    french = text_of(olga.page(TAB, language="fr"))
    assert "l’une de gw-1, gw-2" in french
    assert "en parallèle" in french
    web = text_of(olga.page("/portal/machines/default/web-1/gateways"))
    assert "Its own agent in series" in web
    assert "A port is open when" not in web, "of one point there is no order"


def test_a_machine_is_put_behind_a_gateway_where_the_form_says(gated: House) -> None:
    olga, path = owner(gated), "/portal/machines/default/web-1/gateways"
    form = olga.page(f"{path}/add")
    assert 'value="10.1.0.30, fd01::30"' in form, "its own addresses are offered"
    answers = {"gateway": "default/GW-1", "addresses": "10.1.0.30 fd01::30", "order": "series"}
    assert fill(olga, f"{path}/add", **answers) == 303
    there = bound(gated, "web-1")
    assert list(map(str, there["gw-1"].addresses)) == ["10.1.0.30", "fd01::30"]
    assert not there["gw-1"].is_parallel
    assert "web-1" in there, "its own agent stays bound"
    assert "open at: the machine itself; gw-1." in text_of(olga.page(path))
    point = text_of(olga.page(f"/portal/points/{uid_of(gated, 'gw-1')}"))
    assert "Machines behind it app-1 10.1.0.10 in series web-1 10.1.0.30" in point


def test_an_owner_trusts_the_route_of_the_answers(gated: House) -> None:
    """And a form of before, which does not ask, takes it back from nobody."""
    olga = owner(gated)
    edit, answers = one(gated, "gw-1", "edit"), {"addresses": "10.1.0.10", "order": "series"}
    assert "Route of the answers" in olga.page(edit)
    assert fill(olga, edit, **answers, route="trusted") == 303
    assert bound(gated)["gw-1"].trusts_route
    assert "in series route trusted" in text_of(olga.page(TAB))
    assert "route approuvée" in text_of(olga.page(TAB, language="fr"))
    assert fill(olga, edit, **answers) == 303
    assert bound(gated)["gw-1"].trusts_route
    assert fill(olga, edit, **answers, route="perhaps") != 303
    assert fill(olga, edit, **answers, route="checked") == 303
    assert not bound(gated)["gw-1"].trusts_route


WRONG: tuple[tuple[dict[str, str], str], ...] = (
    ({"gateway": "gw-9"}, "You can see no machine of this name."),
    ({"gateway": ""}, "You can see no machine of this name."),
    ({"gateway": "app-1"}, "app-1 has no agent of its own"),
    ({"addresses": ""}, "Give the machine’s address behind the gateway."),
    ({"addresses": "10.1.0.1 10.1.0.2"}, "at most one IPv4 and one IPv6 address"),
    ({"addresses": "127.0.0.1"}, "No gateway forwards to 127.0.0.1."),
    ({"addresses": "somewhere"}, "somewhere"),
    ({"order": "both"}, "Choose one of the offered values."),
)


def test_what_cannot_be_is_said_and_the_form_stays_as_it_was_filled_in(gated: House) -> None:
    olga, before = owner(gated), bound(gated)
    seen = hidden(olga.page(f"{TAB}/add"))
    for answers, said in WRONG:
        given = {"gateway": "gw-2", "addresses": "10.1.0.77", "order": "series", **answers}
        answer = olga.send(f"{TAB}/add", {"seen": seen, **given})
        assert answer.status_code == 400, answers
        assert said in text_of(answer.text)
        assert f'value="{given["gateway"]}"' in answer.text
    assert bound(gated) == before


def test_an_address_of_another_machine_there_is_refused(gated: House) -> None:
    olga, path = owner(gated), "/portal/machines/default/web-1/gateways/add"
    answers = {"gateway": "gw-1", "addresses": "10.1.0.10", "order": "series"}
    answer = olga.send(path, {"seen": hidden(olga.page(path)), **answers})
    assert answer.status_code == 409
    assert "10.1.0.10 is another machine’s address" in text_of(answer.text)
    assert bound(gated, "web-1") == {}


def test_a_machine_moves_its_former_address_stays_closed_and_is_released_by_name(
    gated: House,
) -> None:
    olga = owner(gated)
    edit, release = one(gated, "gw-1", "edit"), one(gated, "gw-1", "release")
    assert fill(olga, edit, addresses="10.1.0.11", order="series") == 303
    there = bound(gated)["gw-1"]
    assert (list(map(str, there.addresses)), set(map(str, there.former))) == (
        ["10.1.0.11"],
        {"10.1.0.10"},
    )
    page = olga.page(TAB)
    assert "formerly 10.1.0.10: stays closed" in text_of(page)
    assert f"{release}?address=10.1.0.10" in page
    form = olga.page(f"{release}?address=10.1.0.10")
    assert 'value="10.1.0.10"' in form
    assert "gw-1 then lets everybody through to whatever has these addresses now." in text_of(form)
    assert bound(gated)["gw-1"].former, "a link alone releases nothing"
    for wrong, status in (("", 400), ("10.1.0.11", 409), ("nowhere", 400)):
        assert fill(olga, release, addresses=wrong) == status
    assert bound(gated)["gw-1"].former
    assert fill(olga, release, addresses="10.1.0.10") == 303
    assert not bound(gated)["gw-1"].former
    assert "AddressReleased" in gated.events("AddressReleased")


def test_it_is_unbound_after_what_that_does_was_said(gated: House) -> None:
    olga, path = owner(gated), one(gated, "gw-1", "unbind")
    form = text_of(olga.page(path))
    assert "Ports that gw-1 keeps closed for app-1 stay closed there." in form
    assert "Nothing else guards app-1: nothing can then be requested there." in form
    assert bound(gated), "a link alone unbinds nothing"
    assert fill(olga, path) == 303
    assert bound(gated) == {}
    assert "Nothing guards this machine." in text_of(olga.page(TAB))
    assert olga.send(path).status_code == 404, "sent again, there is nothing to unbind"


CHANGED = "The gateways of app-1, or open access to it, have changed since the form was shown."
AWAY = {"addresses": "10.1.0.10", "order": "parallel"}


def move(house: House, to: str = "10.1.0.11") -> None:
    """By somebody else, who uses the API."""
    path = f"{house.machine('app-1')}/providers/Bascule.Fleet/enforcementPoints"
    assert (
        house.call("PUT", f"{path}/{uid_of(house, 'gw-1')}", {"addresses": [to]}).status_code == 200
    )


@pytest.mark.parametrize("is_moved_on", [False, True])
def test_a_form_of_before_a_change_changes_nothing(gated: House, is_moved_on: bool) -> None:
    """An address that the form showed may be another machine's by now."""
    olga = owner(gated)
    move(gated, "10.1.0.9")
    paths = [f"{TAB}/add", *(one(gated, "gw-1", each) for each in ("edit", "unbind", "release"))]
    shown = {path: hidden(olga.page(path)) for path in paths}
    if is_moved_on:
        move(gated)
    else:
        assert fill(olga, one(gated, "gw-1", "edit"), addresses="10.1.0.9", order="parallel") == 303
    before = bound(gated)
    for path, seen in shown.items():
        answer = olga.send(path, {"seen": seen, "gateway": "gw-2", **AWAY})
        assert answer.status_code == 409, path
        assert CHANGED in text_of(answer.text)
        assert hidden(answer.text) != seen, "it is shown anew"
    assert bound(gated) == before


def test_the_edit_that_comes_back_shows_where_the_machine_is_now(gated: House) -> None:
    olga, path = owner(gated), one(gated, "gw-1", "edit")
    seen = hidden(olga.page(path))
    move(gated)
    again = olga.send(path, {"seen": seen, **AWAY}).text
    assert 'name="addresses" type="text" value="10.1.0.11"' in again
    sent = {"seen": hidden(again), "addresses": "10.1.0.11", "order": "parallel"}
    assert olga.send(path, sent).status_code == 303
    assert list(map(str, bound(gated)["gw-1"].addresses)) == ["10.1.0.11"]


def test_an_old_form_stays_old_when_a_mistake_is_corrected(gated: House) -> None:
    olga, path = owner(gated), one(gated, "gw-1", "edit")
    seen = hidden(olga.page(path))
    move(gated)
    wrong = olga.send(path, {"seen": seen, **AWAY, "addresses": "10.1.0.1O"})
    assert wrong.status_code == 400
    assert olga.send(path, {"seen": hidden(wrong.text), **AWAY}).status_code == 409
    assert list(map(str, bound(gated)["gw-1"].addresses)) == ["10.1.0.11"]


def test_an_old_form_stays_old_when_its_session_had_ended(gated: House) -> None:
    olga, path = owner(gated), one(gated, "gw-1", "edit")
    seen = hidden(olga.page(path))
    fields, uid = {**form_of(olga, path), "seen": seen, **AWAY}, uid_of(gated, "app-1")
    move(gated)
    end_session(olga)
    interrupted(olga, path, fields)
    sign_in_again(olga, olga.user.name)
    back = olga.page(KEPT_PATH, 409)
    assert 'value="10.1.0.10"' in back, "as it was filled in"
    assert olga.send(path, {"seen": hidden(back), **AWAY}).status_code == 409
    assert gated.see(lambda r: r.bindings_of(uid))[0].addresses == (ip_address("10.1.0.11"),)


def test_a_gateway_that_is_there_already_is_not_moved_by_adding_it(gated: House) -> None:
    olga, before = owner(gated), bound(gated)
    path = f"{TAB}/add"
    answers = {"gateway": "gw-1", "addresses": "10.1.0.77", "order": "parallel"}
    answer = olga.send(path, {"seen": hidden(olga.page(path)), **answers})
    assert answer.status_code == 409
    shown = text_of(answer.text)
    assert "app-1 is behind gw-1 already." in shown
    assert "To change its addresses or its order there: Gateways, Edit." in shown
    assert bound(gated) == before


# -- what ends was shown -----------------------------------------------------------------------


@pytest.fixture
def led(house: House) -> Gateway:
    """app-1 behind gw-1, which leads to its port 22."""
    return Gateway(house)


def test_access_that_a_form_did_not_show_is_not_ended(led: Gateway) -> None:
    house = led.house
    olga = owner(house)
    unbind, edit = one(house, "gw-1", "unbind"), one(house, "gw-1", "edit")
    before = {path: hidden(olga.page(path)) for path in (unbind, edit)}
    ask(olga, house, "app-1", "0.0.22")
    assert len(live(house)) == 1
    moved = {"addresses": "10.1.0.99", "order": "series"}
    for path in (unbind, edit):
        answer = olga.send(path, {"seen": before[path], **moved})
        assert answer.status_code == 409
        shown = text_of(answer.text)
        assert CHANGED in shown
        assert "1 live access ends." in shown
        assert len(live(house)) == 1
    assert fill(olga, edit, **moved) == 303
    assert live(house) == []


def test_the_same_addresses_in_another_order_end_nothing(led: Gateway) -> None:
    house = led.house
    olga, edit = owner(house), one(house, "gw-1", "edit")
    uid = uid_of(house, "app-1")
    (here,) = house.see(lambda r: r.bindings_of(uid))
    ask(olga, house, "app-1", "0.0.22")
    turned = " ".join(map(str, reversed(here.addresses)))
    assert fill(olga, edit, addresses=turned, order="series") == 303
    assert len(live(house)) == 1


# -- who may -----------------------------------------------------------------------------------


def test_it_takes_the_rights_that_the_api_takes(gated: House) -> None:
    """Enrolments and the machine; for an address at a gateway, the gateway too (EDGES F3)."""
    house, here = gated, gated.machine("app-1")
    few = somebody(house, "few@example.com", here, MACHINE_READ, POINT_READ, MACHINE_WRITE)
    page = few.page(TAB)
    assert "You lack the right to do this here" in text_of(page)
    assert "disabled" in page
    before = bound(house)
    paths = [f"{TAB}/add", *(one(house, "gw-1", each) for each in ("edit", "unbind", "release"))]
    answers = {"gateway": "gw-1", "addresses": "10.1.0.12", "order": "series", "seen": ""}
    for path in paths:
        assert few.send(path, answers).status_code == 403, path
    ours = somebody(house, "ours@example.com", here, *LINKING)
    edit, moved = one(house, "gw-1", "edit"), {"addresses": "10.1.0.12", "order": "series"}
    assert fill(ours, edit, **moved) == 403, "not of gw-1"
    assert bound(house) == before
    assert fill(ours, edit, addresses="10.1.0.10", order="parallel") == 303, "no other address"
    assert bound(house)["gw-1"].is_parallel
    assert fill(ours, one(house, "gw-1", "unbind")) == 303
    assert bound(house) == {}, "unbinding names no address"


def test_a_gateway_that_one_may_not_see_is_as_one_that_is_not_there(gated: House) -> None:
    ours = somebody(gated, "ours@example.com", gated.machine("app-1"), *LINKING)
    texts = []
    for name in ("gw-2", "gw-9"):
        answers = {"gateway": name, "addresses": "10.1.0.12", "order": "series", "seen": ""}
        answer = ours.send(f"{TAB}/add", answers)
        assert answer.status_code == 400
        texts.append(text_of(answer.text))
    assert texts[0].replace("gw-2", "") == texts[1].replace("gw-9", "")
    assert "gw-2" not in ours.page(f"{TAB}/add")


def test_who_may_not_read_points_sees_none_and_whose_machines_are_hidden(gated: House) -> None:
    seer = somebody(gated, "seer@example.com", gated.machine("app-1"), MACHINE_READ, POLICY_READ)
    page = text_of(seer.page(TAB))
    assert POINT_READ in page
    assert "10.1.0.10" not in page
    assert seer.page(one(gated, "gw-1", "edit"), 403)
    near = somebody(gated, "near@example.com", gated.machine("gw-1"), MACHINE_READ, POINT_READ)
    point = text_of(near.page(f"/portal/points/{uid_of(gated, 'gw-1')}"))
    assert "1 more machine, which you may not see" in point
    assert "app-1" not in point


def test_a_form_without_the_proof_of_its_page_does_nothing(gated: House) -> None:
    olga = owner(gated)
    path = one(gated, "gw-1", "unbind")
    seen = hidden(olga.page(path))
    answer = olga.client.post(path, data={"seen": seen, "csrf": ""}, follow_redirects=False)
    assert answer.status_code == 403
    assert bound(gated)


# -- the public port of a rule -----------------------------------------------------------------


def test_a_policys_port_rule_names_its_public_port(led: Gateway) -> None:
    house = led.house
    olga = owner(house)
    path = "/portal/jit/configure"
    page = olga.page(f"{path}?machine={house.machine('app-1')}")
    assert "Public port at the gateway" in page
    assert "Public port at the gateway" not in olga.page(f"{path}?machine={house.machine('gw-1')}")
    fields = {
        "machine": hidden(page, "machine"),
        "tag": hidden(page, "tag"),
        "policy": hidden(page, "policy"),
        "row": "0",
        "row.0.number": "22",
        "row.0.protocol": "TCP",
        "row.0.from": "any",
        "row.0.sources": "",
        "row.0.longest": "PT3H",
        "row.0.end": "keep",
    }
    wrong = olga.send(path, {**fields, "row.0.public": "9", "row.0.at": "", "act": "save"})
    assert wrong.status_code == 400
    assert 'id="row-0-public-error"' in wrong.text, "at its field"
    lone = olga.send(
        path, {**fields, "row.0.public": "", "row.0.at": "198.51.100.1", "act": "save"}
    )
    assert "Give the public port at this address too." in text_of(lone.text)
    first = "2005"
    done = olga.send(path, {**fields, "row.0.public": first, "row.0.at": "", "act": "save"})
    assert done.status_code == 303, text_of(done.text)
    settings = text_of(olga.page(f"{APP}/configuration"))
    assert f"public port {first}" in settings
    again = olga.page(f"{path}?machine={house.machine('app-1')}")
    assert f'name="row.0.public" value="{first}"' in again
    fields["tag"] = hidden(again, "tag")
    moved = {**fields, "row.0.public": "2006", "row.0.at": "", "act": "preview"}
    shown = text_of(olga.send(path, moved).text)
    assert "Public port at the gateway: 2005 → 2006" in shown, "before it is saved"


# -- several at once ----------------------------------------------------------------------------


def test_several_machines_are_put_behind_a_gateway_at_once_or_none(gated: House) -> None:
    """Each at its own addresses or at those given; a fault in one line leaves all as they were."""
    gated.add_machine("db-1")
    olga, path = owner(gated), f"/portal/points/{uid_of(gated, 'gw-2')}/machines"
    assert path in olga.page(path.removesuffix("/machines")), "the gateway's page leads there"

    def send(machines: str, order: str = "series") -> tuple[int, str]:
        answer = olga.send(path, {"machines": machines, "order": order})
        return answer.status_code, text_of(answer.text)

    wrong = {
        "": "Name a machine.",
        "web-1\nno-such": "no-such : You can see no machine of this name.".replace(" :", ":"),
        "web-1\nWEB-1": "WEB-1 is named twice.",
        "web-1\ndb-1": "Give the address of db-1 behind the gateway",
        "web-1\ndb-1 here": "'here' is not an IPv4 or IPv6 address.",
        "web-1\ndb-1 10.1.0.30": "10.1.0.30 is another machine’s address",
        "web-1\ngw-2 10.1.0.9": "The agent of gw-2 is bound by its enrolment.",
        "\n".join(f"m-{number}" for number in range(101)): "Name at most 100 machines at a time.",
    }
    for machines, said in wrong.items():
        status, text = send(machines)
        assert (status in (400, 409), said in text) == (True, True), (machines, text)
        assert bound(gated, "web-1") == {}, machines
    assert send("web-1 \n , db-1, 10.1.0.20;\n ,;", "parallel")[0] == 303
    there = bound(gated, "web-1")["gw-2"]
    assert list(map(str, there.addresses)) == ["10.1.0.30", "fd01::30"]
    assert there.is_parallel
    uid = uid_of(gated, "db-1")
    (db,) = gated.see(lambda r: r.bindings_of(uid))
    assert list(map(str, db.addresses)) == ["10.1.0.20"]
    status, text = send("db-1 10.1.0.21")
    assert (status, "db-1 is behind gw-2 already." in text) == (409, True), (
        "it is moved at its own page"
    )


def test_who_may_not_change_the_gateway_puts_nothing_behind_it(gated: House) -> None:
    """And does not learn which names there are."""
    path = f"/portal/points/{uid_of(gated, 'gw-2')}/machines"
    whole = gated.policy().split("/resourceGroups/")[0]
    rights = (POINT_READ, MACHINE_READ, ENROLMENT_WRITE, POLICY_READ)
    person = somebody(gated, "linker", whole, *rights)
    for machines in ("web-1", "no-such"):
        answer = person.send(path, {"machines": machines, "order": "series"})
        assert answer.status_code == 403
    assert bound(gated, "web-1") == {}


def test_a_machine_that_only_gateways_guard_has_no_agent_to_remove(gated: House) -> None:
    page = text_of(owner(gated).page(f"/portal/points/{uid_of(gated, 'app-1')}"))
    assert "Firewall of app-1" in page
    assert "Agent of" not in page
    assert "Enrol an agent" in page
    for absent in ("Enrol again", "Remove", "Put machines behind it", "Managed by"):
        assert absent not in page
