"""Texts for people in their language: catalogues of gettext, read from their ``.po`` files.

The text in the source is English and is the key (msgid); ``locale/LANGUAGE/LC_MESSAGES/
bascule.po`` holds what it is in another language. ``tools/catalogue.py`` finds the texts and
brings catalogues up to date; a translator needs no Python. ``{name}`` stands for a value.
The file is read as it is, so that nothing has to be compiled between a change and a look at it.
Values are put in as text: a template escapes the whole, translation included.
"""

from __future__ import annotations

import gettext
import re
from ast import literal_eval
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bascule.sentences import Sentence, fill

LOCALE = Path(__file__).parent / "locale"
_LINE = re.compile(r'(?:(msgctxt|msgid_plural|msgid|msgstr(?:\[[0-9]\])?) )?(".*")')
_FUZZY = re.compile(r"^#,.*\bfuzzy\b", re.MULTILINE)
_PLURAL = re.compile(r"plural=([^;]+)")


def msgid(text: str) -> str:
    """The same: marks a text that is said elsewhere, so that it is found for the catalogues."""
    return text


@dataclass(frozen=True, slots=True)
class Catalogue:
    texts: Mapping[tuple[str, str], tuple[str, ...]]  # by context and msgid: one a plural form
    plural: Callable[[int], int]  # which form a number takes


@cache
def catalogue(language: str) -> Catalogue:
    """Raises OSError when there is none."""
    path = LOCALE / language / "LC_MESSAGES" / "bascule.po"
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for entry in _entries(path.read_text(encoding="utf-8")):
        forms = tuple(text for name, text in entry.items() if name.startswith("msgstr"))
        if "msgid" in entry and all(forms):
            found[entry.get("msgctxt", ""), entry["msgid"]] = tuple(map(_kept, forms))
    header = found.pop(("", ""))[0]
    rule = _PLURAL.search(header)
    return Catalogue(found, gettext.c2py(rule[1] if rule else "n != 1"))


def _entries(text: str) -> Iterator[dict[str, str]]:
    """What stands in a .po file, an entry at a time, without comments and what is obsolete or
    fuzzy: a tool's guess, which nobody has confirmed.
    """
    for block in re.split(r"\n\s*\n", text):
        if _FUZZY.search(block):
            continue
        entry: dict[str, str] = {}
        name = ""
        for line in block.splitlines():
            if found := _LINE.fullmatch(line.strip()):
                name = found[1] or name
                entry[name] = entry.get(name, "") + literal_eval(found[2])
        yield entry


def _kept(text: str) -> str:
    """With the spaces that keep French marks at their word."""
    for mark in ":;!?»":
        text = text.replace(f" {mark}", f"\N{NO-BREAK SPACE}{mark}")
    return text.replace("« ", "«\N{NO-BREAK SPACE}")


@dataclass(frozen=True, slots=True)
class Words:
    """The texts of one language; English where its catalogue has none."""

    language: str

    def __call__(self, text: str, /, **values: object) -> str:
        return self.pgettext("", text, **values)

    def pgettext(self, context: str, text: str, /, **values: object) -> str:
        """Where one English text is two in another language, ``context`` says which."""
        return fill(self._find(context, text) or text, values)

    def ngettext(self, one: str, other: str, number: int, /, **values: object) -> str:
        """The text for this many; ``{n}`` is the number, grouped as the language does."""
        text = one if number == 1 else other
        if self.language != "en":
            held = catalogue(self.language)
            forms = held.texts.get(("", one), ())
            text = forms[held.plural(number)] if forms else text
        return fill(text, {"n": self.number(number), **values})

    def say(self, text: str) -> str:
        """What the program said, in this language, and any sentence that stands in it."""
        if not isinstance(text, Sentence):
            return self(text)
        values = {
            name: self.say(value) if isinstance(value, Sentence) else value
            for name, value in text.values.items()
        }
        return self(text.template, **values)

    def has(self, text: str) -> bool:
        """Can this be said in this language?"""
        template = text.template if isinstance(text, Sentence) else text
        return self.language == "en" or self._find("", template) is not None

    def _find(self, context: str, text: str) -> str | None:
        if self.language == "en":
            return None
        return next(iter(catalogue(self.language).texts.get((context, text), ())), None)

    def number(self, number: int) -> str:
        grouped = f"{number:,}"
        return (
            grouped.replace(",", "\N{NARROW NO-BREAK SPACE}") if self.language == "fr" else grouped
        )

    def decimal(self, number: float) -> str:
        """With one digit behind the point, or the comma; less than that is "< 0.1"."""
        if 0 < number < 0.05:  # a little is not nothing
            return f"< {self.decimal(0.1)}"
        whole, _, part = f"{number:,.1f}".partition(".")
        if self.language == "fr":
            return whole.replace(",", "\N{NARROW NO-BREAK SPACE}") + f",{part}"
        return f"{whole}.{part}"
