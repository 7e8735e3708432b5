"""Who is let into the portal, and whose forms count."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute

from bascule import portal
from bascule.api.entries import Where, entry_of
from bascule.api.oauth import browser
from bascule.api.oauth.browser import SESSION
from bascule.api.pages.files import version_of
from bascule.domain.sign_in import FactorKind, Method
from bascule.domain.tokens import SESSION_IDLE
from bascule.interfaces.store import Transaction
from bascule.portal import guard, live
from bascule.portal.guard import PortalRoute
from bascule.services import sessions
from bascule.services.act import Act
from bascule.services.hub import Hub
from bascule.services.sessions import Visitor
from bascule.services.sign_in import PasswordAccepted
from tests.portal.visiting import Person, owner, text_of
from tests.wire.browsing import Browser, add_user
from tests.wire.house import House

STATIC = Path(portal.__file__).parent / "static"


def test_a_stranger_is_led_to_sign_in_and_back(house: House) -> None:
    answer = Browser(house).get("/portal/activity?q=a%26b")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/signin?next=%2Fportal%2Factivity%3Fq%3Da%2526b"


def test_htmx_leads_the_whole_browser_to_sign_in(house: House) -> None:
    answer = Browser(house).client.get("/portal", headers={"HX-Request": "true"})
    assert answer.headers["hx-redirect"] == "/signin?next=%2Fportal"
    assert answer.text == ""


def test_pages_allow_no_script_and_no_style_but_our_files(house: House) -> None:
    answer = owner(house).get("/portal")
    policy = answer.headers["content-security-policy"]
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert answer.headers["cache-control"] == "no-store"
    assert " style=" not in answer.text
    assert " onclick=" not in answer.text
    assert "<style" not in answer.text
    for part in answer.text.split("<script")[1:]:
        assert part.partition(">")[0].startswith(' src="/portal/files/')


@pytest.mark.parametrize(
    ("fields", "headers"),
    [
        ({}, {}),
        ({"csrf": "x"}, {}),
        ({"csrf": "another's"}, {}),
        ({"csrf": "own"}, {"Origin": "https://evil.example"}),
        ({"csrf": "own"}, {"Origin": "null"}),
    ],
)
def test_a_form_from_elsewhere_changes_nothing(
    house: House, fields: dict[str, str], headers: dict[str, str]
) -> None:
    anna, olga = Person(house, "anna@example.com"), owner(house)
    given = {"own": anna.csrf, "another's": olga.csrf}
    data = {"theme": "dark", **{name: given.get(value, value) for name, value in fields.items()}}
    answer = anna.client.post("/portal/look", data=data, headers=headers, follow_redirects=False)
    assert answer.status_code == 403
    assert "set-cookie" not in answer.headers
    assert "does not come from a page of your session" in text_of(answer.text)


def test_language_and_theme_are_kept(house: House) -> None:
    anna = Person(house, "anna@example.com")
    assert '<html lang="fr" data-theme="system">' in anna.page("/portal", language="fr-CA,en;q=.5")
    answer = anna.send("/portal/look", {"theme": "dark", "next": "/portal/open?x=1"})
    assert answer.headers["location"] == "/portal/open?x=1"
    anna.send("/portal/look", {"language": "fr", "next": "https://evil.example/"})
    assert '<html lang="fr" data-theme="dark">' in anna.page("/portal", language="en")


def test_a_way_out_of_the_portal_is_no_way_to_elsewhere(house: House) -> None:
    anna = Person(house, "anna@example.com")
    for path in ("https://evil.example/", "//evil.example", "/portal/..//evil", "/portal\\evil"):
        answer = anna.send("/portal/look", {"theme": "dark", "next": path})
        assert answer.headers["location"].startswith("/"), path
        assert not answer.headers["location"].startswith("//"), path


def test_an_ended_session_is_none(house: House) -> None:
    anna = Person(house, "anna@example.com")
    csrf = anna.csrf
    house.clock.pass_time(13 * 3600)
    assert anna.get("/portal").status_code == 303
    answer = anna.post("/portal/look", {"csrf": csrf, "theme": "dark"})
    assert answer.headers["location"] == "/signin?next=%2Fportal"


REFRESH = {"Bascule-Refresh": "1"}
HALF_IDLE = SESSION_IDLE.total_seconds() / 2


def looks_anew(person: Person, path: str = "/portal") -> int:
    """What an open page does by itself at a hint of the stream; the answer's status."""
    return person.client.get(path, headers=REFRESH, follow_redirects=False).status_code


def test_a_page_that_looks_anew_by_itself_does_not_lengthen_its_session(house: House) -> None:
    """Nobody sits at an unattended window, however much happens meanwhile."""
    anna = Person(house, "anna@example.com")
    for _ in range(11):
        house.clock.pass_time(HALF_IDLE / 6)
        assert looks_anew(anna) == 200
        assert looks_anew(anna, "/portal/open") == 200
    house.clock.pass_time(HALF_IDLE / 6)
    assert looks_anew(anna) == 303
    assert anna.get("/portal").status_code == 303


def test_pages_that_somebody_loads_do(house: House) -> None:
    anna = Person(house, "anna@example.com")
    for _ in range(5):
        house.clock.pass_time(HALF_IDLE)
        assert looks_anew(anna) == 200
        assert anna.get("/portal").status_code == 200


def test_an_act_is_a_use_whatever_its_header_says(house: House) -> None:
    anna = Person(house, "anna@example.com")
    csrf = anna.csrf
    for _ in range(3):
        house.clock.pass_time(HALF_IDLE)
        assert (
            anna.client.post(
                "/portal/look",
                data={"csrf": csrf, "theme": "dark"},
                headers=REFRESH,
                follow_redirects=False,
            )
            .headers["location"]
            .startswith("/portal")
        )
    assert anna.get("/portal").status_code == 200


def test_looking_anew_hides_nobodys_address(house: House) -> None:
    """A thief who says of each request that it is no use stands in the owner's list all the same."""
    anna, thief = Person(house, "anna@example.com"), Browser(house, "198.51.100.66")
    text = anna.client.cookies[SESSION]
    thief.client.cookies.set(SESSION, text)
    before = house.see(lambda reader: sessions.visitor_of(reader, text, house.clock.now()))
    house.clock.pass_time(HALF_IDLE)
    assert thief.client.get("/portal", headers=REFRESH).status_code == 200
    after = house.see(lambda reader: sessions.visitor_of(reader, text, house.clock.now()))
    assert before is not None
    assert after is not None
    assert after.session == replace(before.session, seen_from="198.51.100.66")


def test_a_live_stream_ends_with_its_session_and_is_no_use_of_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A browser comes back to it by itself, for as long as the page is open."""
    anna, waits = Person(house, "anna@example.com"), []

    async def wait_for(_: asyncio.Event, seconds: float) -> bool:
        waits.append(seconds)
        house.clock.pass_time(HALF_IDLE / 4)
        return False

    monkeypatch.setattr(live, "wait_for", wait_for)
    house.clock.pass_time(HALF_IDLE)
    answer = anna.get("/portal/live")
    assert answer.status_code == 200
    assert answer.text.count("event: hello") == 1
    assert answer.text.count("event: beat") == 4, "a script hears events, and no comment"
    assert len(waits) == 4, "its session had half of its time left"
    assert anna.get("/portal/live").status_code == 204


def mark_of(html: str) -> str:
    found = re.search(r'<meta name="server-now" [^>]*data-changes="([^"]+)"', html)
    assert found
    return found[1]


def test_the_stream_says_the_number_of_the_last_change_and_a_page_the_one_before_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that was made after the last change is not fetched again; it never claims to have
    seen a change that it may not have read.
    """

    async def wait_for(_: asyncio.Event, __: float) -> bool:
        house.clock.pass_time(SESSION_IDLE.total_seconds())
        return False

    monkeypatch.setattr(live, "wait_for", wait_for)
    anna = Person(house, "anna@example.com")
    seen = mark_of(anna.page("/portal"))
    assert seen == house.services.hub.mark
    house.add_machine("web-1")
    assert mark_of(anna.page("/portal")) != seen
    told = re.search(r"event: hello\ndata: (\S+)\n", anna.get("/portal/live").text)
    assert told
    assert told[1] == house.services.hub.mark
    start, number = told[1].split(".")
    assert start == seen.split(".")[0]
    assert int(number) > int(seen.split(".")[1])
    assert Hub().mark.split(".")[0] != start, "another process, another start"


def test_what_changes_while_a_page_is_made_is_news_to_it(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mark is taken before anything is read."""
    anna = Person(house, "anna@example.com")
    before = house.services.hub.mark
    visitor = browser.Browser.visitor

    async def late(self: browser.Browser, *, is_use: bool = True) -> Visitor | None:
        house.services.hub.wake()
        return await visitor(self, is_use=is_use)

    monkeypatch.setattr(browser.Browser, "visitor", late)
    assert mark_of(anna.page("/portal")) == before
    assert house.services.hub.mark != before


@pytest.mark.parametrize("name", ["portal.js", "activity.js"])
def test_what_a_page_fetches_by_itself_says_so(name: str) -> None:
    script = (STATIC / name).read_text("utf-8")
    fetches = re.findall(r"\bfetch\(.*", script)
    assert fetches
    assert all('"Bascule-Refresh": "1"' in each for each in fetches)


def test_a_session_that_ends_before_its_act_does_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was good when the form came in, and is over in the transaction of the act."""
    olga = owner(house)
    fields = {"csrf": olga.csrf, "name": "new-1", "os": "Linux"}
    found = browser.Browser.visitor

    async def visitor(asking: browser.Browser, *, is_use: bool = True) -> Visitor | None:
        known = await found(asking, is_use=is_use)
        house.store._writer.submit(
            lambda connection: connection.exec_driver_sql("DELETE FROM sessions")
        ).result()
        return known

    monkeypatch.setattr(browser.Browser, "visitor", visitor)
    answer = olga.post("/portal/machines/add", fields)
    assert answer.status_code == 401
    assert "Your session has ended" in text_of(answer.text)
    assert house.events("MachineAdded") == []


def test_a_right_that_is_lost_before_its_act_does_nothing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was held when the form came in, and is withdrawn in the transaction of the act."""
    olga = owner(house)
    fields = {"csrf": olga.csrf, "name": "carl@example.com", "display_name": "Carl"}
    take = guard._with_form

    def withdraw(tx: Transaction, _: Act) -> None:
        for each in tx.role_assignments_of([olga.user.id]):
            tx.delete_role_assignment(each.id)

    async def taking(visit: guard.Visit, endpoint: Callable[..., Any]) -> guard.Visit:
        visit = await take(visit, endpoint)
        await house.services.perform(withdraw)
        return visit

    monkeypatch.setattr(guard, "_with_form", taking)
    before = house.events("UserCreated")
    answer = olga.post("/portal/access/users/add", fields)
    assert answer.status_code == 403
    assert house.events("UserCreated") == before


def test_half_a_session_opens_nothing(house: House) -> None:
    """A password was shown, and a second factor is owed."""
    user, now = add_user(house, "half@example.com"), house.clock.now()
    accepted = PasswordAccepted(user, (FactorKind.TOTP,), now, Method.PASSWORD)
    text = house.do(lambda tx, _: sessions.begin_half(tx, accepted))
    assert text is not None
    half = Browser(house)
    half.client.cookies.set(SESSION, text)
    assert half.get("/portal").status_code == 303
    assert house.see(lambda reader: sessions.visitor_of(reader, text, now)) is None


def test_no_page_says_so_as_a_page(house: House) -> None:
    text = text_of(owner(house).page("/portal/nowhere/at/all", 404))
    assert "Page not found" in text


def portal_routes() -> Iterator[APIRoute]:
    """Every route of the portal, those of included routers too."""
    waiting: list[Any] = list(portal.router().routes)
    while waiting:
        route = waiting.pop()
        included = getattr(route, "original_router", None)
        if included is not None:
            waiting.extend(included.routes)
        else:
            yield route


def test_every_portal_route_declares_whom_it_admits() -> None:
    """Pages without a session are named here; a new one is to be thought about."""
    open_to_all, seen = set(), 0
    for route in portal_routes():
        seen += 1
        entry = entry_of(route.endpoint)
        assert isinstance(route, PortalRoute), route.path
        assert entry.where is not Where.PATH, route.path
        if not entry.kinds:
            open_to_all.add(route.path)
    assert seen > 5  # the walk did find the included routers
    assert open_to_all <= {"/", "/portal/files/{version}/{name}", "/portal/welcome"}
    assert "/" in open_to_all


@pytest.mark.parametrize("name", ["portal.css", "tokens.css", "htmx.min.js", "icons.svg"])
def test_files_are_served_with_their_type(house: House, name: str) -> None:
    answer = Browser(house).get(f"/portal/files/1/{name}")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith(("text/", "image/svg+xml"))
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_page_names_files_that_a_browser_keeps(house: House) -> None:
    """Nothing beside ``immutable`` may say the opposite: browsers then ask each time anew."""
    page = owner(house).page("/portal")
    paths = set(re.findall(r'"(/portal/files/[^"#]+)', page))
    assert {path.rpartition("/")[2] for path in paths} >= {"portal.css", "icons.svg", "portal.js"}
    for path in paths:
        answer = Browser(house).get(path)
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "max-age=31536000, immutable"
        assert not {"pragma", "expires", "set-cookie"} & set(answer.headers)


def test_a_file_of_another_version_is_not_kept(house: House) -> None:
    """An address that a page of an older program holds must not keep what a newer one answers."""
    answer = Browser(house).get("/portal/files/1/portal.css")
    assert answer.headers["cache-control"] == "no-store"


def test_an_address_changes_with_any_file(tmp_path: Path) -> None:
    def version(**files: str) -> str:
        version_of.cache_clear()
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return version_of(tmp_path)

    first = version(a="1", b="2")
    assert version() == first
    assert version(b="3") != first
    assert version(b="2") == first
    assert version(c="") != first


@pytest.mark.parametrize("path", ["portal.css", "/signin/files/style.css"])
def test_files_are_compressed_for_who_takes_it(house: House, path: str) -> None:
    where = path if path.startswith("/") else f"/portal/files/1/{path}"
    client = Browser(house).client
    plain = client.get(where, headers={"Accept-Encoding": "identity"})
    assert "content-encoding" not in plain.headers
    for accepted, is_packed in (
        ("gzip, deflate, br", True),
        ("br;q=1.0, GZIP;q=0.5", True),
        ("gzip;q=0", False),
        ("br, gzipped", False),
        ("", False),
    ):
        answer = client.get(where, headers={"Accept-Encoding": accepted})
        assert answer.content == plain.content
        assert answer.headers["vary"] == "Accept-Encoding"
        assert (answer.headers.get("content-encoding") == "gzip") is is_packed, accepted
        if is_packed:
            assert int(answer.headers["content-length"]) < len(plain.content) / 2


def test_a_page_is_not_compressed(house: House) -> None:
    """EDGES E12: it holds proofs of forms, which the length of a compressed answer would tell."""
    client = owner(house).client
    for path in ("/portal", "/portal/access", "/signin", "/portal/jit"):
        answer = client.get(path, headers={"Accept-Encoding": "gzip"}, follow_redirects=False)
        assert "content-encoding" not in answer.headers, path
    api = house.client.get("/openapi.json", headers={"Accept-Encoding": "gzip"})
    assert "content-encoding" not in api.headers


@pytest.mark.parametrize("name", ["..%2Flook.py", "%2e%2e%2fguard.py", "README.md", "none.css"])
def test_nothing_else_is_served_as_a_file(house: House, name: str) -> None:
    assert Browser(house).get(f"/portal/files/1/{name}").status_code == 404
