"""What users, groups and credentials may be called.

A user's principal name has Azure's letters (A-Z a-z 0-9 . _ - + and one @), so that no two
look alike. Names for people may be in any script, but are one line that reads as it is: no
control characters, no hidden direction, nothing invisible (Unicode TR 36; EDGES A18).
"""

from __future__ import annotations

import re
import unicodedata

from bascule.domain.ids import is_guid
from bascule.errors import InvalidInput
from bascule.sentences import sentence

LONGEST_USER_NAME = 113  # characters, as Entra ID has it
LONGEST_DISPLAY_NAME = 256
LONGEST_GROUP_NAME = 128
_WORD = r"[A-Za-z0-9](?:[A-Za-z0-9._+-]*[A-Za-z0-9])?"
_USER_NAME = re.compile(rf"{_WORD}(?:@{_WORD})?")
_RESERVED = frozenset({"me"})  # $filter's word for the caller
_INVISIBLE = re.compile(  # letters and marks by category that nobody sees
    "[\u034f\u115f\u1160\u17b4\u17b5\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)


def parse_user_name(text: str, target: str = "") -> str:
    """Raise InvalidInput unless it may be a user principal name."""
    if (
        len(text) > LONGEST_USER_NAME
        or not _USER_NAME.fullmatch(text)
        or is_guid(text)
        or text.casefold() in _RESERVED
    ):
        raise InvalidInput(
            sentence(
                "{text} is not a valid user name. A user name has up to {most} of the "
                "characters A-Z a-z 0-9 . _ - + and one @, starts and ends with a letter "
                "or digit, and is neither a GUID nor 'me'.",
                text=repr(text[:120]),
                most=LONGEST_USER_NAME,
            ),
            code="InvalidUserName",
            target=target,
        )
    return text


def parse_group_name(text: str, target: str = "") -> str:
    """Raise InvalidInput unless it may be a group's name."""
    return _label(text, LONGEST_GROUP_NAME, target, is_unique=True)


def parse_display_name(text: str, target: str = "", *, is_required: bool = True) -> str:
    """Raise InvalidInput unless it may be shown to people as somebody's name."""
    if not text and not is_required:
        return text
    return _label(text, LONGEST_DISPLAY_NAME, target, is_unique=False)


def _label(text: str, longest: int, target: str, *, is_unique: bool) -> str:
    # Full-width letters and the like are another spelling of the same name.
    is_normal = not is_unique or unicodedata.is_normalized("NFKC", text)
    is_plain = text.isprintable() and not _INVISIBLE.search(text) and text == text.strip()
    if not text or len(text) > longest or not (is_plain and is_normal):
        raise InvalidInput(
            sentence(
                "A name is one line of 1 to {longest} visible characters, without blanks at its "
                "ends, in Unicode form NFKC.",
                longest=longest,
            ),
            code="InvalidName",
            target=target,
        )
    return text
