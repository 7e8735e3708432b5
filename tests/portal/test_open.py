"""Open now: who sees what, and that closing is listed first and judged by the API's rights."""

from __future__ import annotations

import re
from html import unescape

import pytest

from bascule.domain.actions import INITIATE, POLICY_READ, REQUEST_REVOKE
from bascule.portal.pages import open_now
from tests.portal.asking import ask, filled, guard, live, machine_id, put_policy
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import House, port_rule

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

PATH = "/portal/open"
_OPEN = re.compile(r'<tr id="(open-[^"]+)"')
_GRANT = re.compile(r'name="grant" value="([^"]+)"')


def two_people(house: House) -> tuple[Person, Person]:
    """Olga, an owner, has 22 and 5432 of db-1 open; Anna, who may ask for web-1, 22 of that."""
    for name in ("web-1", "db-1"):
        house.add_machine(name)
    put_policy(house, {"web-1": [port_rule()], "db-1": [port_rule(), port_rule(5432)]})
    olga = owner(house)
    anna = somebody(house, "anna@example.com", house.machine("web-1"), INITIATE, POLICY_READ)
    ask(olga, house, "db-1", "0.0.22", "0.0.5432", justification="nightly job")
    ask(anna, house, "web-1", justification="deploy")
    return olga, anna


def test_by_person_and_by_machine(house: House) -> None:
    olga, anna = two_people(house)
    text = text_of(olga.page(PATH))
    assert "3 openings." in text
    mine = "olga@example.com (you) 2 openings"
    assert text.index(mine) < text.index("anna@example.com 1 opening"), "mine first"
    assert "anna@example.com (you) 1 opening" in text_of(anna.page(PATH))
    assert "nightly job" in text
    text = text_of(olga.page(f"{PATH}?by=machine"))
    assert text.index("db-1 2 openings") < text.index("web-1 1 opening")
    french = text_of(olga.page(f"{PATH}?by=machine", language="fr"))
    assert "Par machine" in french
    assert "2 ouvertures" in french


def test_only_what_may_be_seen_is_shown(house: House) -> None:
    _, anna = two_people(house)
    text = text_of(anna.page(PATH))
    assert "1 opening." in text
    assert "db-1" not in text
    assert "nightly job" not in text
    nobody = Person(house, "nora@example.com")
    assert "Nothing is open" in text_of(nobody.page(PATH))
    assert "web-1" not in nobody.page(f"{PATH}/close?all=1")


def test_filtering_and_deep_links(house: House) -> None:
    olga, anna = two_people(house)
    assert "olga@example.com 2" not in text_of(olga.page(f"{PATH}?q=web"))
    unmatched = text_of(olga.page(f"{PATH}?q=%25"))
    assert "No open access matches" in unmatched
    assert "Every opening closes by itself" in unmatched
    assert "0 opening" not in unmatched
    assert "0 entries" not in unmatched
    assert "1 opening." in text_of(olga.page(f"{PATH}?person={anna.user.id}"))
    assert "2 openings." in text_of(olga.page(f"{PATH}?machine={house.machine('db-1')}"))
    assert "No open access matches" in text_of(olga.page(f"{PATH}?machine={house.machine('x-1')}"))


def test_page_by_page(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_now, "PAGE", 2)
    olga, _ = two_people(house)
    html = olga.page(PATH)
    assert "olga@example.com (you) 2 openings" in text_of(html)
    assert html.count("<tr id=") == 3, "mine are beside a page of the others'"
    assert "after=" not in html
    others = owner(house, "omar@example.com")
    html = others.page(PATH)
    onward = re.search(r'href="([^"]+)" rel="next"', html)
    assert onward is not None
    rest = others.page(unescape(onward[1]))
    assert rest.count("<tr id=") == 1
    assert "First page" in text_of(rest)
    back = re.search(r'href="([^"]+)" rel="prev"', rest)
    assert back is not None
    assert _OPEN.findall(others.page(unescape(back[1]))) == _OPEN.findall(html)
    for by in ("person", "machine"):
        assert "3 entries" in text_of(others.page(f"{PATH}?by={by}"))
        for place in ("nonsense", "WzFd", "WyJhIiwiYiIsImMiLC0xXQ", "WyJhIiwiYiIsImMiLDFd"):
            for way in ("after", "before"):
                page = others.page(f"{PATH}?by={by}&{way}={place}")
                assert page.count("<tr id=") == 2, "the first page"


def test_a_page_is_as_long_as_one_likes(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_now, "PAGE", 2)
    two_people(house)
    others = owner(house, "omar@example.com")
    page = others.page(f"{PATH}?by=machine&size=25")
    assert page.count("<tr id=") == 3
    assert 'rel="next"' not in page
    assert '<input type="hidden" name="size" value="25">' in page, "a filter keeps it"
    assert "size=25" in unescape(re.findall(r'href="([^"]*by=person[^"]*)"', page)[0])


@pytest.mark.parametrize(
    ("link", "closed"),
    [
        ("all=1", {("db-1", 22), ("db-1", 5432), ("web-1", 22)}),
        ("by=person&person={olga}", {("db-1", 22), ("db-1", 5432)}),
        ("by=machine&machine={web}", {("web-1", 22)}),
        ("q=anna", {("web-1", 22)}),
    ],
)
def test_what_is_closed_is_listed_first(
    house: House, link: str, closed: set[tuple[str, int]]
) -> None:
    olga, _ = two_people(house)
    before = {(grant.machine_id.name, grant.number) for grant in live(house)}
    link = link.format(olga=olga.user.id, web=house.machine("web-1"))
    html = olga.page(f"{PATH}/close?{link}")
    assert "cannot be undone" in text_of(html)
    assert live(house)  # a link closes nothing
    named = _GRANT.findall(html)
    assert len(named) == len(closed)
    answer = olga.send(f"{PATH}/close", {"grant": named, "by": "machine"})
    assert answer.headers["location"] == f"{PATH}?by=machine&notice=open_closed"
    assert {(g.machine_id.name, g.number) for g in live(house)} == before - closed


def test_one_is_closed(house: House) -> None:
    olga, _ = two_people(house)
    html = olga.page(PATH)
    (link,) = set(re.findall(r'href="(/portal/open/close\?[^"]*one=[^"]+)"', html)) & {
        f"/portal/open/close?by=person&amp;one={g.request_id}:{g.id}"
        for g in live(house)
        if g.number == 5432
    }
    page = olga.page(link.replace("&amp;", "&"))
    olga.send(f"{PATH}/close", {"grant": _GRANT.findall(page), "kill": "1"})
    assert {grant.number for grant in live(house)} == {22}


def test_a_crafted_form_closes_nothing_of_others(house: House) -> None:
    _, anna = two_people(house)
    named = [f"{grant.request_id}:{grant.id}" for grant in live(house)]
    answer = anna.send(f"{PATH}/close", {"grant": named})
    assert answer.status_code == 403
    assert "db-1" not in answer.text  # a refusal tells no more than the list
    assert {grant.machine_id.name for grant in live(house)} == {"db-1"}  # her own she may close
    without = anna.client.post(f"{PATH}/close", data={"grant": named}, follow_redirects=False)
    assert without.status_code == 403
    assert len(live(house)) == 2


def test_what_one_may_see_and_not_close_is_told(house: House) -> None:
    two_people(house)
    rita = somebody(house, "rita@example.com", house.subscription, POLICY_READ)
    assert "/portal/open/close?by=person&amp;one=" not in rita.page(PATH)
    text = text_of(rita.page(f"{PATH}/close?all=1"))
    assert "There is nothing to close" in text
    ruth = somebody(house, "ruth@example.com", house.machine("web-1"), POLICY_READ, REQUEST_REVOKE)
    reader = somebody(house, "rolf@example.com", house.subscription, POLICY_READ)
    assert "web-1" in text_of(ruth.page(f"{PATH}/close?all=1"))
    assert "There is nothing to close" in text_of(reader.page(f"{PATH}/close?all=1"))


def test_so_many_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_now, "MOST_AT_ONCE", 2)
    olga, _ = two_people(house)
    html = olga.page(f"{PATH}/close?all=1")
    assert len(_GRANT.findall(html)) == 2
    assert "More is open" in text_of(html)
    named = [f"{grant.request_id}:{grant.id}" for grant in live(house)]
    assert olga.send(f"{PATH}/close", {"grant": named}).status_code == 400
    assert olga.send(f"{PATH}/close").status_code == 400
    assert len(live(house)) == 3


def test_what_is_over_already_is_as_wanted(house: House) -> None:
    olga, anna = two_people(house)
    named = _GRANT.findall(olga.page(f"{PATH}/close?all=1"))
    anna_request = next(
        g.request_id for g in live(house) if g.machine_id == machine_id(house, "web-1")
    )
    anna.send(f"/portal/requests/{anna_request}/close")
    assert olga.send(f"{PATH}/close", {"grant": named}).status_code == 303
    assert live(house) == []


def test_a_machine_without_a_right_on_part_of_a_request_stays(house: House) -> None:
    """A request is ended with the right at each of its machines, as on the API."""
    guard(house)
    house.add_machine("db-1")
    put_policy(house, {"web-1": [port_rule()], "db-1": [port_rule()]})
    olga = owner(house)
    html = olga.page(
        "/portal/jit/request?machine=" + "&machine=".join(map(house.machine, ("web-1", "db-1")))
    )
    olga.send("/portal/jit/request", filled(html, "0.0.22", "1.0.22"))
    ruth = somebody(house, "ruth@example.com", house.machine("web-1"), POLICY_READ, REQUEST_REVOKE)
    assert "1 opening." in text_of(ruth.page(PATH))
    assert "There is nothing to close" in text_of(ruth.page(f"{PATH}/close?all=1"))
    named = [f"{grant.request_id}:{grant.id}" for grant in live(house)]
    assert ruth.send(f"{PATH}/close", {"grant": named}).status_code == 403
    assert len(live(house)) == 2


def test_mine_stand_first_at_each_machine(house: House) -> None:
    house.add_machine("web-1")
    put_policy(house, {"web-1": [port_rule(), port_rule(80)]})
    anna, omar = owner(house, "anna@example.com"), owner(house, "omar@example.com")
    ask(anna, house, "web-1", "0.0.22")
    ask(omar, house, "web-1", "0.0.80", time__0__0__80="1:00")
    for person, other in ((anna, omar), (omar, anna)):
        html = person.page(f"{PATH}?by=machine").partition('<table class="stacks open-now"')[2]
        assert html.index(person.user.name) < html.index(other.user.name)


def test_mine_alone_are_extended_from_their_row(house: House) -> None:
    olga, anna = two_people(house)
    html = olga.page(PATH)
    links = set(re.findall(r'href="(/portal/requests/[^"/]+/extend\?then=open)"', html))
    (link,) = links
    (theirs,) = {each.request_id for each in live(house) if each.requestor_id == anna.user.id}
    assert theirs not in link
    page = olga.page(link)
    assert "Keep it open for this long from now, at most 3 h" in text_of(page)
    path = link.partition("?")[0]
    refused = olga.send(path, {"time": "soon", "then": "open"})
    assert refused.status_code == 400
    assert "is not a duration" in text_of(refused.text)
    assert 'value="soon"' in refused.text
    done = olga.send(path, {"time": "3:00", "then": "open"})
    assert done.headers["location"] == "/portal/open?notice=extended"
    assert {each.extension for each in live(house) if each.requestor_id == olga.user.id} == {1}
    # The page of another's says why not.
    assert "Only the person who made a request can extend it" in text_of(
        olga.page(f"/portal/requests/{theirs}/extend")
    )
