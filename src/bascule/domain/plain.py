"""Text from elsewhere, made safe to show: no control characters, no hidden direction.

A machine's name, a justification or an error may hold escape sequences that rewrite a
terminal, or bidirectional controls that make a line read otherwise than it is (Unicode
TR 36; EDGES A18).
"""

from __future__ import annotations

import re

_UNSAFE = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1
    "\u00ad\u061c\u180e"  # soft hyphen, Arabic letter mark, Mongolian vowel separator
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # zero width, direction, lines
    "\ud800-\udfff"  # lone surrogates
    "\U000e0000-\U000e007f"  # tags
)
_SPACES = re.compile(r"[\t\n\r\v\f\x85\u2028\u2029]+")
UNSAFE = re.compile(f"[{_UNSAFE}]")


def clean(text: object) -> str:
    """One line of plain text: white space of any kind is a space, the rest is taken out."""
    return UNSAFE.sub("", _SPACES.sub(" ", str(text)))
