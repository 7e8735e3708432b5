"""Which passwords may be chosen.

Source: NIST SP 800-63B section 3.1.1.2 (revision 4; 5.1.1.2 in revision 3): long enough, any
characters, no rules of composition, compared whole with those that are commonest or to be
expected. Revision 4 asks for 15 characters where a password is the only proof; here it is
12, and a second factor is advised. A list of leaked passwords is not consulted: there are
no outside services, and at this length guessing meets the back-off first.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from itertools import pairwise

from bascule.errors import Problem
from bascule.sentences import sentence

SHORTEST = 12  # characters, after normalising
LONGEST = 256
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm", "qwertzuiop", "azertyuiop", "1qaz2wsx3edc4rfv")
# Words that the commonest passwords begin with; a password is one of them and an ending.
_WORDS = (
    *("password", "passw0rd", "p@ssword", "p@ssw0rd", "passwort", "motdepasse", "contrasena"),
    *("welcome", "willkommen", "bienvenue", "letmein", "changeme", "default", "secret"),
    *("admin", "administrator", "root", "user", "guest", "login", "master", "server"),
    *("iloveyou", "sunshine", "princess", "football", "baseball", "superman", "dragon"),
    *("monkey", "shadow", "trustno1", "starwars", "whatever", "computer", "internet"),
    *("spring", "summer", "autumn", "winter", "january", "february", "november", "december"),
    *("qwerty", "qwertz", "azerty", "asdfgh", "qwertyuiop", "1q2w3e4r", "1qaz2wsx", "abc123"),
    *("bascule", "azure", "microsoft", "company", "test", "testing", "temp", "hello"),
)
_WHOLE = ("correcthorsebatterystaple", "correct horse battery staple", "thisisapassword")


def normalised(password: str) -> str:
    """One form of what may be typed in several (NFKC, UAX 15), before it is hashed."""
    return unicodedata.normalize("NFKC", password)


def problems_of(password: str, names: Iterable[str]) -> tuple[Problem, ...]:
    """Why a password may not be chosen by somebody of these names; empty when it may."""
    text = normalised(password)
    if len(text) < SHORTEST:
        return (
            _problem(
                sentence(
                    "The password has {length} characters; at least {shortest} are needed. Four "
                    "unrelated words are enough.",
                    length=len(text),
                    shortest=SHORTEST,
                )
            ),
        )
    if len(text) > LONGEST:
        return (
            _problem(
                sentence(
                    "The password has more than the maximum of {most} characters.", most=LONGEST
                )
            ),
        )
    if _is_expected(text.casefold(), names):
        return (_problem(sentence("The password is easy to guess. Choose another.")),)
    return ()


def _problem(message: str) -> Problem:
    return Problem("InvalidPassword", message, "password")


def _is_expected(text: str, names: Iterable[str]) -> bool:
    own = {part for name in names for part in _parts(name.casefold())}
    if text in _WHOLE or text in own or _is_row(text):
        return True
    return any(_is_made_of(text, word) for word in (*_WORDS, *own))


def _parts(name: str) -> tuple[str, ...]:
    """A name as it may be typed for a password: whole, before the @, without blanks."""
    return tuple(
        part for part in (name, name.partition("@")[0], "".join(name.split())) if len(part) > 2
    )


def _is_made_of(text: str, word: str) -> bool:
    """Is it this word, once or more, among digits and signs alone?"""
    return word in text and not any(each.isalpha() for each in text.replace(word, ""))


def _is_row(text: str) -> bool:
    """One character or a short piece again and again, a row of keys, or counting up or down."""
    if any(text == (text[:size] * len(text))[: len(text)] for size in range(1, 5)):
        return True
    if any(text in row * 3 or text[::-1] in row * 3 for row in _ROWS):
        return True
    steps = {(ord(after) - ord(before)) % 10 for before, after in pairwise(text)}
    return text.isdigit() and len(steps) == 1
