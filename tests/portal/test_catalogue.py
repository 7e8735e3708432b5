"""Catalogues: whole, up to date, read as gettext means them, and never taken for markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment

from bascule import words as module
from bascule.portal.look import environment
from bascule.sentences import Sentence, fill, sentence
from bascule.words import LOCALE, Words, catalogue
from tools.catalogue import forms_of, wrong

NO_BREAK = "\N{NO-BREAK SPACE}"
FRENCH = Words("fr")


def test_every_text_has_its_translation_and_no_translation_is_left_over() -> None:
    """Neither missing nor unused nor fuzzy, the same names of values, the template up to date."""
    assert list(wrong()) == []


def test_the_file_is_read_as_gettext_reads_it() -> None:
    with (LOCALE / "fr" / "LC_MESSAGES" / "bascule.po").open("rb") as file:
        expected = read_po(file, locale="fr")
    read = catalogue("fr")
    for each in expected:
        if not each.id:
            continue
        found = read.texts[each.context or "", forms_of(each.id)[0]]
        assert [form.replace(NO_BREAK, " ") for form in found] == list(forms_of(each.string))
    assert [read.plural(n) for n in (0, 1, 2, 1_000_000)] == [0, 0, 1, 1]


def test_french_has_the_apostrophe_of_print() -> None:
    for forms in catalogue("fr").texts.values():
        for each in forms:
            assert "'" not in each, each


def test_french_marks_are_not_parted_from_their_word() -> None:
    for forms in catalogue("fr").texts.values():
        for mark in (" :", " ;", " !", " ?", " »", "« "):
            assert not any(mark in form for form in forms), forms


def test_a_fuzzy_or_empty_translation_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A guess of a tool is nobody's translation: English is shown, and ``--check`` fails."""
    (tmp_path / "xx" / "LC_MESSAGES").mkdir(parents=True)
    text = (
        'msgid ""\nmsgstr ""\n"Plural-Forms: nplurals=2; plural=(n > 1);\\n"\n\n'
        '#, fuzzy\nmsgid "Guessed"\nmsgstr "Deviné"\n\n'
        'msgid "Empty"\nmsgstr ""\n\n'
        '#~ msgid "Gone"\n#~ msgstr "Parti"\n\n'
        'msgctxt "a \\"door\\""\nmsgid ""\n"Op"\n"en"\nmsgstr "Ou"\n"vert"\n'
    )
    (tmp_path / "xx" / "LC_MESSAGES" / "bascule.po").write_text(text, encoding="utf-8")
    monkeypatch.setattr(module, "LOCALE", tmp_path)
    said = Words("xx")
    assert [said(each) for each in ("Guessed", "Empty", "Gone")] == ["Guessed", "Empty", "Gone"]
    assert said.pgettext('a "door"', "Open") == "Ouvert"
    assert said("Open") == "Open"
    assert not said.has("Guessed")


@pytest.mark.parametrize(
    ("number", "english", "french"),
    [
        (0, "0 entries", "0 élément"),
        (1, "1 entry", "1 élément"),
        (2, "2 entries", "2 éléments"),
        (1234, "1,234 entries", "1\N{NARROW NO-BREAK SPACE}234 éléments"),
    ],
)
def test_a_number_chooses_the_form_of_its_language(number: int, english: str, french: str) -> None:
    assert Words("en").ngettext("{n} entry", "{n} entries", number) == english
    assert FRENCH.ngettext("{n} entry", "{n} entries", number) == french


def test_a_value_is_put_in_as_it_is() -> None:
    """No attribute of it is reached, and nothing in it is taken for a name again."""
    assert fill("{a} {b}", {"a": "{b}", "b": 1}) == "{b} 1"
    assert fill("{a.__class__} {a!r} {c}", {"a": 1}) == "{a.__class__} {a!r} {c}"
    assert fill("{a}", {}) == "{a}"


def test_a_sentence_is_text_that_knows_what_it_was_made_of() -> None:
    made = sentence("Port {port} on {machine}", port=22, machine="web-1")
    assert made == "Port 22 on web-1"
    assert isinstance(made, Sentence)
    assert (made.template, made.values) == (
        "Port {port} on {machine}",
        {"port": 22, "machine": "web-1"},
    )
    assert Words("en").say(made) == made
    assert FRENCH.say("a provider's own words") == "a provider's own words"
    inner = sentence("Sort by {column}", column=sentence("Ports tried"))
    assert FRENCH.say(inner) == "Trier par Ports visés"


def test_neither_text_nor_translation_nor_value_is_markup(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A translator, or a name that a stranger chose, cannot put an element into a page."""
    hostile = module.Catalogue({("", "Save"): ("<b>{who}</b>",)}, lambda _: 0)
    monkeypatch.setattr(module, "catalogue", lambda _: hostile)
    made: Environment = environment("fr")
    shown = made.from_string('{{ _("Save", who="<i>") }}{{ gettext("Save", who=1) }}').render()
    assert shown == "&lt;b&gt;&lt;i&gt;&lt;/b&gt;&lt;b&gt;1&lt;/b&gt;"


def test_no_template_takes_a_translation_for_markup() -> None:
    """``trans`` marks its translation as safe; ``_`` does not."""
    templates = [*LOCALE.parent.rglob("templates/*.html")]
    assert len(templates) > 50
    assert [each.name for each in templates if "trans %}" in each.read_text()] == []
