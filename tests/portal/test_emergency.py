"""Emergency access in the portal: the factor first, a form of its own, a review by somebody else."""

from __future__ import annotations

import re
from urllib.parse import quote

import pyotp
import pytest

from bascule.domain.builtin_roles import ACCESS_APPROVER, EMERGENCY_ACCESS
from bascule.domain.sign_in import TotpFactor
from tests.portal.asking import ask, guard, live
from tests.portal.test_approvals import put_rules, rule, stage
from tests.portal.visiting import Person, owner, text_of
from tests.wire.browsing import PASSWORD
from tests.wire.house import House

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

FORM = "/portal/machines/default/web-1/emergency"
RENEWAL = "/portal/account/second-factor"
WHY = "the database is down"


def enrol(person: Person) -> str:
    """Give them an authenticator app; returns its secret."""
    house = person.house
    made = house.state.sign_in.proofs.totp.new(person.user)
    factor = TotpFactor(person.user.id, True, made.sealed, house.clock.now())
    house.do(lambda tx, _: tx.put_totp(factor))
    return str(made.secret)


def code(person: Person, secret: str) -> str:
    return str(pyotp.TOTP(secret).at(int(person.house.clock.wall.timestamp())))


def show_factor(person: Person, secret: str, leads_to: str = FORM) -> None:
    person.house.clock.pass_time(60)  # each code counts once
    proof = {"proof": "totp", "proof_text": code(person, secret), "next": leads_to}
    answer = person.send(RENEWAL, proof)
    assert answer.status_code == 303, text_of(answer.text)
    assert answer.headers["location"].startswith(leads_to)


@pytest.fixture
def erin(house: House) -> Person:
    """Who may use emergency access at web-1, where every request needs a yes that nobody gives."""
    erin = Person(house, "erin@example.com", (EMERGENCY_ACCESS.id, house.subscription))
    guard(house)
    put_rules(house, rule(stage(Person(house, "zoe@example.com"))))
    return erin


def filled(person: Person, **more: str) -> dict[str, str]:
    html = person.page(FORM)
    once = re.search(r'name="once" value="([^"]*)"', html)
    port = re.search(r'name="port" value="([^"]*)"', html)
    assert once, text_of(html)
    assert port, text_of(html)
    return {"once": once[1], "port": port[1], "time": "0:30", "justification": WHY, **more}


def opened(person: Person) -> str:
    answer = person.send(FORM, filled(person))
    assert answer.status_code == 303, text_of(answer.text)
    return str(answer.headers["location"]).rpartition("/")[2]


def test_the_factor_is_asked_for_first_and_leads_back(erin: Person) -> None:
    secret = enrol(erin)
    answer = erin.get(FORM)
    assert answer.status_code == 303
    assert answer.headers["location"] == f"{RENEWAL}?next={quote(FORM, safe='')}"
    page = erin.page(answer.headers["location"])
    assert "None was shown in this browser since you signed in." in text_of(page)
    show_factor(erin, secret)
    assert "without anybody’s approval" in text_of(erin.page(FORM))


@pytest.mark.parametrize(
    ("kind", "text"),
    [("password", PASSWORD), ("totp", "000000"), ("recoveryCode", "AAAA-AAAA-AAAA-AAAA")],
)
def test_no_other_proof_is_a_second_factor(erin: Person, kind: str, text: str) -> None:
    enrol(erin)
    answer = erin.send(RENEWAL, {"proof": kind, "proof_text": text, "next": FORM})
    assert answer.status_code in (400, 403)
    assert erin.get(FORM).status_code == 303, "it is still asked for"


def test_a_code_shows_it_once(erin: Person) -> None:
    secret = enrol(erin)
    erin.house.clock.pass_time(60)
    proof = {"proof": "totp", "proof_text": code(erin, secret), "next": FORM}
    assert erin.send(RENEWAL, proof).status_code == 303
    assert erin.send(RENEWAL, proof).status_code == 403


def test_it_leads_nowhere_else(erin: Person) -> None:
    secret = enrol(erin)
    erin.house.clock.pass_time(60)
    proof = {"proof": "totp", "proof_text": code(erin, secret), "next": "https://evil.example/"}
    answer = erin.send(RENEWAL, proof)
    assert answer.headers["location"].startswith("/portal?")


def test_who_has_none_is_told_so(erin: Person) -> None:
    assert "You have no second factor." in text_of(erin.page(f"{RENEWAL}?next={FORM}"))


def test_it_opens_and_is_marked_and_is_not_extended(erin: Person) -> None:
    show_factor(erin, enrol(erin))
    request_id = opened(erin)
    (grant,) = live(erin.house)
    assert grant.is_emergency
    page = text_of(erin.page(f"/portal/requests/{request_id}"))
    for words in ("Emergency access, without approval", "Nobody has reviewed it yet", WHY):
        assert words in page
    assert "Emergency access is not extended." in page
    assert "Emergency" in text_of(owner(erin.house).page("/portal/open"))


def test_the_same_form_twice_is_one(erin: Person) -> None:
    show_factor(erin, enrol(erin))
    form = filled(erin)
    first, second = erin.send(FORM, form), erin.send(FORM, form)
    assert first.headers["location"] == second.headers["location"]
    assert len(live(erin.house)) == 1


@pytest.mark.parametrize(
    ("more", "status", "words"),
    [
        ({"justification": ""}, 400, "Emergency access needs a reason"),
        ({"time": "1:30"}, 400, "at most 60 minutes"),
        ({"port": "80 other"}, 400, "Choose one of the ports"),
    ],
)
def test_what_is_wrong_opens_nothing(
    erin: Person, more: dict[str, str], status: int, words: str
) -> None:
    show_factor(erin, enrol(erin))
    answer = erin.send(FORM, filled(erin, **more))
    assert answer.status_code == status
    assert words in text_of(answer.text)
    assert live(erin.house) == []


def test_a_factor_that_grew_old_opens_nothing_and_keeps_what_was_written(erin: Person) -> None:
    show_factor(erin, enrol(erin))
    form = filled(erin)
    erin.house.clock.pass_time(901)
    answer = erin.send(FORM, form)
    assert answer.status_code == 403
    assert WHY in answer.text
    assert f'href="{RENEWAL}?next=' in answer.text
    assert live(erin.house) == []


def test_who_lacks_the_role_is_refused(house: House, erin: Person) -> None:
    olga = owner(house)
    show_factor(olga, enrol(olga), "/portal")
    answer = olga.send(FORM, filled(olga))
    assert answer.status_code == 403
    assert live(house) == []


def test_somebody_else_reviews_it(house: House, erin: Person) -> None:
    show_factor(erin, enrol(erin))
    request_id = opened(erin)
    path = f"/portal/requests/{request_id}"
    carol = Person(house, "carol@example.com", (ACCESS_APPROVER.id, house.subscription))
    listed = carol.page("/portal/approvals?tab=emergencies")
    assert WHY in listed
    assert "you may review it" in listed
    assert '<span class="count">1</span>' in listed, "the badge"
    assert erin.send(f"{path}/review", {"note": "fine"}).status_code == 403
    assert carol.send(f"{path}/review", {"note": ""}).status_code == 400
    assert carol.send(f"{path}/review", {"note": "spoke with Erin"}).status_code == 303
    assert "carol@example.com reviewed it: spoke with Erin" in text_of(erin.page(path))
    assert "Nothing to review" in carol.page("/portal/approvals?tab=emergencies")
    assert carol.send(f"{path}/review", {"note": "again"}).status_code == 409


def test_an_approver_is_told_to_show_the_factor_again(house: House) -> None:
    olga, bob = owner(house), Person(house, "bob@example.com")
    guard(house)
    put_rules(house, rule({**stage(bob), "secondFactorWithin": "PT15M"}))
    request_id = ask(olga, house)
    path = f"/portal/requests/{request_id}"
    page = bob.page(path)
    assert "To approve it, show your second factor again" in text_of(page)
    assert "Each has shown a second factor in the last 15 min." in text_of(page)
    assert f'action="{path}/approve' not in page
    show_factor(bob, enrol(bob), path)
    assert f'action="{path}/approve' in bob.page(path)
