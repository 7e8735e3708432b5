"""The portal's words, English and French side by side, one module a page.

A key is ``page.word``; a counted one has ``.one`` and ``.other``. Sources of the terms: the
glossary and Microsoft's own pages. French counts 0 and 1 as one (CLDR). Templates and pages
hold no words of their own; a test reads every template and asks for each key in both.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

Pair = tuple[str, str]  # English, French
_COLUMN = {"en": 0, "fr": 1}


@cache
def all_words() -> Mapping[str, Pair]:
    """Every module's ``WORDS``; raise LookupError when two say the same key."""
    found: dict[str, Pair] = {}
    for module in iter_modules(__path__):
        words: Mapping[str, Pair] = import_module(f"{__name__}.{module.name}").WORDS
        twice = found.keys() & words.keys()
        if twice:
            raise LookupError(f"said twice: {sorted(twice)}")
        found |= {key: (english, _kept(french)) for key, (english, french) in words.items()}
    return found


def _kept(french: str) -> str:
    """With the spaces that keep French marks at their word."""
    for mark in ":;!?»":
        french = french.replace(f" {mark}", f"\N{NO-BREAK SPACE}{mark}")
    return french.replace("« ", "«\N{NO-BREAK SPACE}")


@dataclass(frozen=True, slots=True)
class Words:
    """The words of one language."""

    language: str

    def __call__(self, key: str, /, **values: object) -> str:
        """The text; raise LookupError when there is none."""
        text = all_words()[key][_COLUMN[self.language]]
        return text.format(**values) if values else text

    def count(self, key: str, number: int, /, **values: object) -> str:
        """The text for this many; ``{n}`` is the number, grouped as the language does."""
        is_one = number in (0, 1) if self.language == "fr" else number == 1
        return self(f"{key}.{'one' if is_one else 'other'}", n=self.number(number), **values)

    def number(self, number: int) -> str:
        grouped = f"{number:,}"
        return (
            grouped.replace(",", "\N{NARROW NO-BREAK SPACE}") if self.language == "fr" else grouped
        )

    def decimal(self, number: float) -> str:
        """With one digit behind the point, or the comma."""
        whole, _, part = f"{number:,.1f}".partition(".")
        if self.language == "fr":
            return whole.replace(",", "\N{NARROW NO-BREAK SPACE}") + f",{part}"
        return f"{whole}.{part}"

    def has(self, key: str) -> bool:
        return key in all_words()

    def either(self, key: str, otherwise: str) -> str:
        """The text, or what a caller brings where there is none: for codes of others."""
        return self(key) if self.has(key) else otherwise

    def notice(self, name: str) -> str:
        """What a page says once after an act; empty for a name that is none of ours."""
        key = f"notice.{name}"
        return self(key) if name and self.has(key) else ""
