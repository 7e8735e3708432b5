"""Nobody does by a crafted form what a page hides; and no link of a page leads nowhere.

The forms are those that an owner's pages hold, found by walking over all of them. Sent by
somebody who may not, each is refused and nothing in the database is otherwise than before.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from bascule import portal
from bascule.domain.builtin_roles import READER
from bascule.words import catalogue
from tests.portal.crawl import Form, walk
from tests.portal.visiting import Person, owner, text_of
from tests.support.stores import written
from tests.wire.house import JIT, House, port_rule

# What anybody may do: his own look, his own account, his own way out.
OWN = ("/portal/look", "/portal/account", "/signout", "/signin", "/portal/welcome")
# What a denied call may write: that it was denied, and that its session was used.
WRITTEN = ("events", "sessions", "event_", "chain", "seals", "checkpoints")

# What another system said, folded away and marked as English, and JSON as the API gives it.
_SAID_IN_ENGLISH = re.compile(
    r"<(small|span|dd)[^>]* lang=\"en\"[^>]*>.*?</\1>|<pre.*?</pre>", re.DOTALL
)


RULES = [
    {"name": "never", "effect": "deny", "conditions": {"ports": [3389]}},
    {
        "name": "windows",
        "effect": "approve",
        "conditions": {"ports": [5986]},
        "stages": [{"approvers": {"users": [], "groups": [], "role": True}, "needed": 2}],
    },
]


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    made = House(data_dir, [portal.router()])
    uids = {
        name: made.add_machine(name, properties={"bascule": {"addresses": ["192.0.2.1"]}})
        for name in ("alpha-1", "beta-1", "bare-1")
    }
    agents = {name: made.enrol(name) for name in ("alpha-1", "bare-1")}
    rules = [{"id": made.machine("alpha-1"), "ports": [port_rule(), port_rule(5986)]}]
    body = {"virtualMachines": rules, "bascule": {"rules": RULES}}
    answer = made.call("PUT", made.policy(), {"properties": body}, JIT)
    assert answer.status_code == 200, answer.text
    for number in (22, 5986):  # the second one waits
        port = {"number": number, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        asked = {"virtualMachines": [{"id": made.machine("alpha-1"), "ports": [port]}]}
        begun = made.call("POST", f"{made.policy()}/initiate", asked, JIT)
        assert begun.status_code == 202, begun.text
    for name, agent in agents.items():
        made.report(agent, uids[name])
    point = f"{made.machine('beta-1')}/providers/Bascule.Fleet/enforcementPoints/{uids['bare-1']}"
    for address in ("10.1.0.10", "10.1.0.11"):  # the first is a former one, which stays closed
        assert made.call("PUT", point, {"addresses": [address]}).status_code in (200, 201)
    yield made
    made.close()


DRAWN = ("/portal/jit/configure", "/portal/jit/rules/edit", "/portal/jit/rules/port")


def snapshot(house: House) -> dict[str, list[str]]:
    """Every row but those that a denied call may write."""
    rows = written(house.store)
    return {name: each for name, each in rows.items() if not name.startswith(WRITTEN)}


def acting_forms(forms: list[Form]) -> list[Form]:
    """POST forms of the portal, one of each action and set of names."""
    found = {}
    for form in forms:
        path = urlsplit(form.action).path
        if form.method == "post" and not path.startswith(OWN):
            found[form.action, tuple(sorted(form.fields)), tuple(form.buttons)] = form
    return list(found.values())


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_link_of_an_owners_pages_leads_nowhere(house: House, language: str) -> None:
    seen = walk(owner(house), language=language)
    assert seen.broken == []
    assert {"/portal", "/portal/jit", "/portal/open", "/portal/activity", "/portal/exposure"} <= {
        urlsplit(each).path for each in seen.pages
    }
    for path, html in seen.pages.items():
        assert " style=" not in html, path
        assert "<style" not in html, path


def _refusals(action: str, fields: dict[str, list[str]]) -> tuple[int, ...]:
    """With which statuses a form is refused; one row more or less is drawn, and kept nowhere."""
    is_drawing = urlsplit(action).path in DRAWN and fields.get("act") != ["save"]
    return (200, 400, 403, 404, 409) if is_drawing else (400, 403, 404, 409)


@pytest.mark.parametrize("who", ["nobody", "reader"])
def test_forms_of_an_owner_sent_by_somebody_else_change_nothing(house: House, who: str) -> None:
    olga = owner(house)
    forms = acting_forms(walk(olga).forms)
    assert len(forms) > 10
    held = [(READER.id, house.subscription)] if who == "reader" else []
    other = Person(house, f"{who}@example.com", *held)
    csrf, before = other.csrf, snapshot(house)
    for form in forms:
        for fields in form.sendings():
            answer = other.client.post(
                form.action, data={**fields, "csrf": csrf}, follow_redirects=False
            )
            what = (form.action, sorted(fields), answer.status_code, text_of(answer.text)[:300])
            assert answer.status_code in _refusals(form.action, fields), what
            assert snapshot(house) == before, what


@pytest.mark.parametrize("who", ["nobody", "reader"])
def test_pages_of_somebody_with_few_rights_are_whole(house: House, who: str) -> None:
    """No page of theirs fails; who holds nothing sees no machine's name."""
    held = [(READER.id, house.subscription)] if who == "reader" else []
    seen = walk(Person(house, f"{who}@example.com", *held))
    assert [each for each in seen.broken if each[2] != 403] == []
    if who == "nobody":
        for path, html in seen.pages.items():
            assert "alpha-1" not in html, path


NESTED = "[" * 990 + "]" * 990


def test_text_that_nests_deep_is_read_nowhere(house: House) -> None:
    """EDGES E1: each of these would end in a traceback of the parser's recursion."""
    olga = owner(house)
    place = urlsafe_b64encode(NESTED.encode()).decode()
    olga.page(f"/portal/jit?after={place}")
    olga.page(f"/portal/open?after={place}")
    answer = olga.send("/portal/account/totp", {"proof": "passkey", "proof_answer": NESTED})
    assert answer.status_code == 400, answer.text


def test_no_english_sentence_stands_in_a_french_page(house: House) -> None:
    """Every text that the catalogue has is looked for, on every page that an owner can reach."""
    french = {text for forms in catalogue("fr").texts.values() for text in forms}
    english = {
        text for (_, text), forms in catalogue("fr").texts.items() if text not in forms
    } - french
    sentences = {each for each in english if len(each.split()) > 3 and "{" not in each}
    for path, html in walk(owner(house), language="fr").pages.items():
        shown = text_of(_SAID_IN_ENGLISH.sub(" ", html))
        assert [each for each in sentences if each in shown] == [], path
