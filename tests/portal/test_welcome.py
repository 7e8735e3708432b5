"""The first visit: by a link that works once, to a machine that is protected (EDGES C0)."""

from __future__ import annotations

import re
from html import unescape

import httpx2
import pytest

from bascule.domain.actions import ENROLMENT_WRITE, MACHINE_READ, MACHINE_WRITE, POLICY_READ
from bascule.services.set_up import make_link
from tests.portal.visiting import Person, csrf_of, owner, somebody, text_of
from tests.support.enrolling import enrol_body
from tests.wire.browsing import Browser
from tests.wire.house import BASE, PUBLIC_KEY, House

NAME, PASSWORD = "anna@example.com", "four words of mine"
COOKIE = "__Host-bascule-setup"
LATE = 410
_COMMAND = re.compile(r">bascule agent install --server ([^\s<]+)<")  # and nothing more
_TOKEN = re.compile(r">(bascule-enrol\.[\w-]+)<")


@pytest.fixture
def link(house: House) -> str:
    text, _ = house.do(make_link)
    return text


@pytest.fixture
def anna(house: House, link: str) -> Browser:
    """A browser that has opened the link."""
    return opened(house, link)


def opened(house: House, link: str) -> Browser:
    browser = Browser(house)
    answer = browser.get(f"/portal/welcome?link={link}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/portal/welcome")
    return browser


def fill_in(browser: Browser, **changes: str) -> httpx2.Response:
    """Send the first step's form, as a page of this browser has it."""
    fields = {"name": NAME, "displayName": "Anna", "password": PASSWORD, **changes}
    fields = {"again": fields["password"], **fields}
    page = browser.get("/portal/welcome")
    csrf = csrf_of(page.text) if page.status_code == 200 else "x"
    return browser.post("/portal/welcome", {"csrf": csrf, **fields})


def users(house: House) -> list[str]:
    return [each.name for each in house.see(lambda reader: reader.users())]


# -- you


def test_the_link_leads_to_an_owner_who_is_signed_in(house: House, anna: Browser) -> None:
    page = anna.get("/portal/welcome")
    assert page.status_code == 200
    assert "This installation has no owner yet" in text_of(page.text)
    answer = fill_in(anna)
    assert answer.headers["location"] == "/portal/welcome/machine"
    assert anna.get("/portal/welcome/machine").status_code == 200
    assert anna.get("/portal").status_code == 200
    assert users(house) == [NAME]


def test_the_links_text_stays_in_no_address_and_on_no_page(
    house: House, link: str, anna: Browser
) -> None:
    """A browser's history, a Referer and a shared screen are read by others."""
    page = anna.get("/portal/welcome")
    assert link not in page.text
    cookie = house_cookie(house, link)
    assert all(each in cookie for each in ("Secure", "HttpOnly", "SameSite=lax", "Path=/"))
    assert "Domain" not in cookie
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"


def house_cookie(house: House, link: str) -> str:
    answer = Browser(house).get(f"/portal/welcome?link={link}")
    return next(each for each in answer.headers.get_list("set-cookie") if each.startswith(COOKIE))


def test_a_link_is_used_once_however_many_browsers_have_it(
    house: House, link: str, anna: Browser
) -> None:
    mallory = opened(house, link)
    fill_in(anna)
    assert fill_in(mallory, name="mallory").status_code == LATE
    assert opened(house, link).get("/portal/welcome").status_code == LATE
    assert users(house) == [NAME]


def test_two_browsers_on_the_form_make_one_owner(house: House, link: str, anna: Browser) -> None:
    """The second had its form before the first sent his."""
    mallory = opened(house, link)
    csrf = csrf_of(mallory.get("/portal/welcome").text)
    fill_in(anna)
    fields = {"csrf": csrf, "name": "mallory", "password": PASSWORD, "again": PASSWORD}
    assert mallory.post("/portal/welcome", fields).status_code == LATE
    assert users(house) == [NAME]


def test_late_guessed_used_and_missing_are_one_answer(
    house: House, link: str, anna: Browser
) -> None:
    guessed = opened(house, "A" * 43).get("/portal/welcome")
    missing = Browser(house).get("/portal/welcome")
    broken = Browser(house).get("/portal/welcome?link=..%2F..")
    house.clock.pass_time(15 * 60)
    late = anna.get("/portal/welcome")
    answers = [guessed, missing, late]
    assert [each.status_code for each in answers] == [LATE] * 3
    assert len({text_of(each.text) for each in answers}) == 1
    assert "bascule admin set-up-link" in text_of(late.text)
    assert broken.status_code == 303
    assert fill_in(anna).status_code == LATE
    assert users(house) == []


def test_guesses_are_slowed_down(house: House) -> None:
    browser = Browser(house)
    for number in range(20):
        browser.get(f"/portal/welcome?link={number:043}")
        assert browser.get("/portal/welcome").status_code == LATE
        opened(house, f"{number:043}")
    browser.get(f"/portal/welcome?link={'B' * 43}")
    answer = browser.get("/portal/welcome")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_who_waits_keeps_his_cookie(house: House) -> None:
    """It is told to come again, and must be able to."""
    browser = opened(house, "B" * 43)
    for number in range(20):
        opened(house, f"{number:043}").get("/portal/welcome")
    answer = browser.get("/portal/welcome")
    assert (answer.status_code, COOKIE in browser.client.cookies) == (429, True)
    house.clock.pass_time(int(answer.headers["retry-after"]))
    answer = browser.get("/portal/welcome")
    assert (answer.status_code, COOKIE in browser.client.cookies) == (LATE, False)


def test_the_page_without_a_link_is_no_guess(house: House) -> None:
    """Images of a page elsewhere bring no cookie: they spend no try of their reader's network."""
    for _ in range(25):
        assert Browser(house).get("/portal/welcome").status_code == LATE
    assert opened(house, "B" * 43).get("/portal/welcome").status_code == LATE
    assert house.events("SetUpRefused") == ["SetUpRefused"]


@pytest.mark.parametrize("csrf", ["", "x"])
def test_a_form_without_its_proof_makes_nobody(house: House, anna: Browser, csrf: str) -> None:
    """A page elsewhere that has somebody's browser send it a name and a password of its own."""
    fields = {"csrf": csrf, "name": "mallory", "password": PASSWORD, "again": PASSWORD}
    assert anna.post("/portal/welcome", fields).status_code == LATE
    assert users(house) == []


def test_a_form_from_another_origin_makes_nobody(house: House, anna: Browser) -> None:
    csrf = csrf_of(anna.get("/portal/welcome").text)
    fields = {"csrf": csrf, "name": "mallory", "password": PASSWORD, "again": PASSWORD}
    headers = {"Origin": "https://evil.example"}
    anna.client.post("/portal/welcome", data=fields, headers=headers, follow_redirects=False)
    assert users(house) == []


def test_what_is_wrong_is_said_beside_what_was_typed(house: House, anna: Browser) -> None:
    answer = fill_in(anna, name="an na", password="short")
    assert answer.status_code == 400
    text = text_of(answer.text)
    assert "is not a valid user" in text
    assert "at least 12 are needed" in text
    assert 'value="an na"' in answer.text
    assert "short" not in answer.text.replace("shorter", "")
    other = fill_in(anna, again="four words of hers")
    assert (other.status_code, users(house)) == (400, [])
    assert "not the same" in text_of(other.text)
    assert fill_in(anna).status_code == 303


def test_the_form_speaks_french(house: House, anna: Browser) -> None:
    page = anna.client.get("/portal/welcome", headers={"Accept-Language": "fr"}).text
    assert '<html lang="fr"' in page
    assert "Bienvenue dans Bascule" in page


def test_a_cookie_that_was_planted_is_worth_nothing_afterwards(house: House, anna: Browser) -> None:
    """Session fixation: the owner's session is a new text, whatever the browser brought."""
    bert = Person(house, "bert@example.com")
    planted = bert.client.cookies["__Host-bascule"]
    csrf = csrf_of(anna.get("/portal/welcome").text)
    anna.client.cookies.set("__Host-bascule", planted)
    fields = {"csrf": csrf, "name": NAME, "password": PASSWORD, "again": PASSWORD}
    answer = anna.post("/portal/welcome", fields)
    assert answer.status_code == 303
    assert planted not in str(answer.headers.get_list("set-cookie"))
    assert bert.get("/portal").status_code == 303


# -- a machine, and its protection


@pytest.fixture
def olga(house: House) -> Person:
    return owner(house)


def command_in(html: str) -> tuple[str, str]:
    """The server that the command names, and the token that it asks for."""
    command, token = _COMMAND.search(unescape(html)), _TOKEN.search(unescape(html))
    assert command, text_of(html)
    assert token, text_of(html)
    return command[1], token[1]


def enrol(house: House, token: str) -> str:
    answer = house.client_of(None).post("/bascule/enrol", json=enrol_body(token, PUBLIC_KEY))
    assert answer.status_code == 200, answer.text
    return str(answer.json()["machineUid"])


def test_three_steps_end_with_a_protected_machine(house: House, olga: Person) -> None:
    """And nothing less is called protected: it was read back shut."""
    answer = olga.send("/portal/welcome/machine", {"name": "web-9", "addresses": "192.0.2.9"})
    assert answer.status_code == 200, text_of(answer.text)
    here = "/portal/welcome/machine/default/web-9"
    assert answer.headers["hx-push-url"] == here
    server, token = command_in(answer.text)
    assert server == BASE
    assert "Waiting for the agent" in text_of(olga.page(here))
    assert token not in olga.page(here), "it is shown once"

    uid = enrol(house, token)
    agent = house.client_of(house.agent_token(uid))
    house.report(agent, uid)
    assert "Connected" in text_of(olga.page(here))

    protect = "/portal/welcome/protect/default/web-9"
    assert "22 (SSH), TCP" in text_of(olga.page(protect))
    assert olga.send(protect).headers["location"] == protect
    assert "is protected" not in text_of(olga.page(protect))
    house.report(agent, uid)
    assert "web-9 is protected" in text_of(olga.page(protect))
    house.clock.pass_time(120)
    assert "is protected" not in text_of(olga.page(protect)), "a silent agent says nothing"


def test_a_windows_machine_gets_its_own_port(house: House, olga: Person) -> None:
    answer = olga.send("/portal/welcome/machine", {"name": "win-1", "os": "Windows"})
    assert "The agent runs on Linux" in text_of(answer.text)
    path = "/portal/welcome/protect/default/win-1"
    assert "3389 (RDP), TCP" in text_of(olga.page(path))
    olga.send(path)
    policy = house.call("GET", house.policy(), version="2020-01-01").json()
    (machine,) = policy["properties"]["virtualMachines"]
    (port,) = machine["ports"]
    assert (port["number"], port["maxRequestAccessDuration"]) == (3389, "PT3H")


def test_the_steps_are_left_and_found_again(house: House, olga: Person) -> None:
    olga.send("/portal/welcome/machine", {"name": "web-9"})
    assert olga.get("/portal/welcome").headers["location"] == "/portal/welcome/machine"
    page = olga.page("/portal/welcome/machine")
    assert 'href="/portal/welcome/machine/default/web-9"' in page
    again = olga.send("/portal/welcome/machine/default/web-9")
    assert enrol(house, command_in(again.text)[1])


def test_a_name_that_is_taken_changes_nothing(house: House, olga: Person) -> None:
    house.add_machine("web-1", properties={"bascule": {"addresses": ["192.0.2.1"]}})
    before = house.call("GET", house.machine("web-1"), version="2024-07-01").json()
    answer = olga.send("/portal/welcome/machine", {"name": "WEB-1", "addresses": "192.0.2.66"})
    assert answer.status_code == 409
    assert "already" in text_of(answer.text)
    assert house.call("GET", house.machine("web-1"), version="2024-07-01").json() == before


def test_all_that_is_wrong_with_a_machine_is_said_at_once(house: House, olga: Person) -> None:
    fields = {"name": "no good", "os": "Plan 9", "addresses": "10.0.0.256, fe80::1%eth0"}
    answer = olga.send("/portal/welcome/machine", fields)
    assert answer.status_code == 400
    text = text_of(answer.text)
    for words in ("not a valid name", "Linux or Windows", "10.0.0.256", "zone id"):
        assert words in text
    assert house.see(lambda reader: reader.machines()) == []


def test_protecting_twice_is_protecting_once(house: House, olga: Person) -> None:
    """What somebody has set meanwhile stays as it is."""
    olga.send("/portal/welcome/machine", {"name": "web-9"})
    path = "/portal/welcome/protect/default/web-9"
    olga.send(path)
    etag = house.call("GET", house.policy(), version="2020-01-01").headers["etag"]
    olga.send(path)
    assert house.call("GET", house.policy(), version="2020-01-01").headers["etag"] == etag


# -- who may not


@pytest.mark.parametrize("actions", [(MACHINE_READ, POLICY_READ), (MACHINE_READ, MACHINE_WRITE)])
def test_a_crafted_form_adds_nothing_without_rights(house: House, actions: tuple[str, ...]) -> None:
    """Neither the machine nor a token: both or none."""
    bert = somebody(house, "bert@example.com", house.subscription, *actions)
    fields = {"name": "web-9", "group": "default"}
    assert bert.send("/portal/welcome/machine", fields).status_code == 403
    assert house.see(lambda reader: reader.machines()) == []
    assert house.events("EnrolmentCreated", "MachineAdded") == []


def test_a_crafted_form_enrols_and_protects_nothing_without_rights(house: House) -> None:
    house.add_machine("web-1")
    bert = somebody(house, "bert@example.com", house.subscription, MACHINE_READ, POLICY_READ)
    assert bert.send("/portal/welcome/machine/default/web-1").status_code == 403
    assert bert.send("/portal/welcome/protect/default/web-1").status_code == 403
    assert house.events("EnrolmentCreated", "PolicyCreated") == []
    assert "Ask for a role" in text_of(bert.page("/portal/welcome/protect/default/web-1"))


def test_a_machine_of_others_is_neither_shown_nor_told_of(house: House) -> None:
    house.add_machine("web-1")
    house.add_machine("db-1")
    bert = somebody(
        house, "bert@example.com", house.machine("web-1"), MACHINE_READ, ENROLMENT_WRITE
    )
    assert bert.get("/portal/welcome/machine/default/web-1").status_code == 200
    told = [bert.get(f"/portal/welcome/machine/default/{name}") for name in ("db-1", "none")]
    assert [each.status_code for each in told] == [403, 403]
    assert bert.send("/portal/welcome/machine/default/db-1").status_code == 403
    assert house.events("EnrolmentCreated") == []


def test_a_live_agent_is_not_replaced_here(house: House, olga: Person) -> None:
    """A token of this page is none over a live key (EDGES A12)."""
    house.add_machine("web-1")
    house.enrol("web-1")
    answer = olga.send("/portal/welcome/machine/default/web-1")
    assert answer.status_code == 409
    assert "bascule-enrol" not in answer.text
