"""Sentences that can be said in another language after they were made.

``sentence("Port {port} is closed.", port=22)`` is the English sentence, a ``str`` like any other;
beside it, it keeps what it was made of, by which a catalogue finds its translation (``words``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

_FIELD = re.compile(r"\{([a-z_][a-z0-9_]*)\}")


class Sentence(str):
    """English text with its template and the values that stand in it."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]

    def __deepcopy__(self, memo: object) -> str:
        """The English alone: facts are copied to be recorded, and what is recorded is text."""
        return str(self)


def sentence(template: str, /, **values: object) -> Sentence:
    """``template`` is a literal with ``{name}`` for each value: what catalogues are keyed by."""
    made = Sentence(fill(template, values))
    made.template = template
    made.values = MappingProxyType(values)
    return made


def recall(template: str, text: str) -> Sentence | None:
    """Text that was made of this template, as a sentence again; None: it was not made of it."""
    pattern, names = "", set[str]()
    for n, part in enumerate(_FIELD.split(template)):  # every second one is a name
        if n % 2 == 0:
            pattern += re.escape(part)
        else:
            pattern += f"(?P={part})" if part in names else f"(?P<{part}>.+?)"
            names.add(part)
    found = re.fullmatch(pattern, text)
    if found is None:
        return None
    made = Sentence(text)
    made.template = template
    made.values = MappingProxyType(found.groupdict())
    return made


def fill(template: str, values: Mapping[str, object]) -> str:
    """Put the values in; a name that has none stays as it is written.

    Names alone, none of ``str.format``'s attributes and conversions: a catalogue says words,
    and reaches into nothing.
    """
    if not values:
        return template
    return _FIELD.sub(lambda m: str(values[m[1]]) if m[1] in values else m[0], template)
