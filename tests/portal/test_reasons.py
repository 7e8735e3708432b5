"""What a refusal says stands on French pages in French, whole."""

from __future__ import annotations

import re
from html import unescape

import pytest
from markupsafe import Markup

from bascule import errors
from bascule.domain.actions import DISPLAY
from bascule.domain.builtin_roles import ACCESS_APPROVER as APPROVER
from bascule.domain.builtin_roles import BUILTIN_ROLES, OWNER
from bascule.domain.builtin_roles import EMERGENCY_ACCESS as EMERGENCY
from bascule.errors import BasculeError, Problem
from bascule.portal.codes import TEXTS
from bascule.portal.look import environment, timed
from bascule.sentences import sentence
from bascule.words import Words
from tests.portal.visiting import owner, text_of
from tests.wire.house import House

NOON = "2030-01-31T12:00:00.0000000Z"
NOBODY = "00000000-0000-4000-8000-000000000000"


def shown(problem: Problem, language: str, advice: str = "") -> str:
    template = '{% from "parts.html" import problems %}{{ problems([each], advice) }}'
    made = environment(language).from_string(template)
    return made.render(each=problem, advice=advice)


def test_every_kind_of_error_that_a_page_may_answer_has_a_general_sentence() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    asked = {
        each.code
        for each in kinds
        if issubclass(each, BasculeError)
        and not each.__name__.startswith("Approval")  # of clients that wait
        and each.code not in ("InternalError", "ConfigurationError", "ServerUnreachable")
    }
    assert [code for code in sorted(asked) if f"reason.{code}" not in TEXTS] == []


def test_a_refusal_says_in_french_all_that_it_says(house: House) -> None:
    """The particulars too: whom, which and how many, not that something was refused."""
    olga = owner(house)
    path = f"/portal/access/users/{NOBODY}"
    french = text_of(olga.page(path, 404, "fr"))
    assert f"Il n’y a pas d’utilisateur d’ID '{NOBODY}'." in french
    assert "Pour lister les utilisateurs : bascule user list" in french
    assert "There is no user" not in french
    assert f"There is no user with the id '{NOBODY}'." in text_of(olga.page(path, 404, "en"))


def test_what_was_said_in_english_alone_is_folded_away() -> None:
    """Nobody reads an English sentence without having asked for it."""
    foreign = Problem("ProviderUnavailable", "upstream <b>said</b> so")
    french = shown(foreign, "fr")
    general, _, rest = french.partition("<details")
    assert Words("fr")(TEXTS["reason.ProviderUnavailable"]) in general
    assert 'lang="en"' not in general
    assert "upstream &lt;b&gt;said&lt;/b&gt; so" in rest
    assert "<details" not in shown(foreign, "en")
    assert "upstream &lt;b&gt;said&lt;/b&gt; so" in shown(foreign, "en")


@pytest.mark.parametrize("language", ["en", "fr"])
def test_a_value_in_a_refusal_is_shown_as_text(language: str) -> None:
    """Whoever named a group chose the value; a translation carries it as it came."""
    told = sentence("A group named {other} exists already.", other="<script>")
    page = shown(Problem("GroupNameTaken", told), language)
    assert "<script>" not in page
    assert "&lt;script&gt;" in page


def test_an_instant_in_a_refusal_is_shown_in_the_readers_zone() -> None:
    """The script of the page rewrites what a ``time`` holds."""
    said = sentence("The agent of {name} has been away since {since}.", name="web-1", since=NOON)
    for told in (said, str(said)):  # by this server, or as it came from elsewhere
        for language in ("en", "fr"):
            page = shown(Problem("PointSilent", told), language)
            assert f'<time datetime="{NOON}" data-form="second"' in page
            assert "2030-01-31 12:00:00</time>" in page


HOSTILE = (
    f"<img src=x onerror=alert(1)> {NOON}",
    f'"><script>{NOON}</script>',
    f"{NOON}<b>{NOON}</b>",
    f"' onmouseover='{NOON}",
    Markup("<script>{}</script>").format(NOON),
    Markup('<a href="javascript:1" title="{}">x</a>').format(NOON),
)


@pytest.mark.parametrize("text", HOSTILE, ids=map(str, range(len(HOSTILE))))
def test_beside_an_instant_nothing_is_markup(text: str) -> None:
    """Agents and people choose what such a sentence says."""
    shown_as = str(timed(text))
    found = re.findall(r"<time [^<>]*>[^<>]*</time>", shown_as)
    assert len(found) == text.count(NOON), "each instant is shown as one"
    rest = re.sub(r"<time [^<>]*>[^<>]*</time>", "", shown_as)
    assert not set("<>\"'") & set(rest)
    assert unescape(rest) == str(text).replace(NOON, "")


def test_a_way_out_is_said_once() -> None:
    """The error's own advice goes before what its code advises in general."""
    told = Problem("FormRefused", "Too many attempts.")
    assert "Réessayez." in text_of(shown(told, "fr", "Try again."))
    assert Words("fr")(TEXTS["way.FormRefused"]) not in shown(told, "fr", "Try again.")
    assert Words("fr")(TEXTS["way.FormRefused"]) in shown(told, "fr")


def test_actions_are_described_in_french(house: House) -> None:
    olga = owner(house)  # data actions stand on the page of the role that has them
    roles = (OWNER, APPROVER, EMERGENCY)
    pages = [olga.page(f"/portal/access/roles/{each.id}", language="fr") for each in roles]
    page = " ".join(map(text_of, pages))
    for english in DISPLAY.values():
        assert " ".join(Words("fr").pgettext("action", english).split()) in page
        assert english not in page


def test_built_in_roles_are_described_in_french(house: House) -> None:
    shown = owner(house).page("/portal/access/roles", language="fr")
    for role in BUILTIN_ROLES:
        assert Words("fr")(role.description) in text_of(shown)
        assert role.description not in text_of(shown)
