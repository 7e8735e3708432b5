"""Text from elsewhere, made safe to print: no control characters, no hidden direction.

A machine's name, a justification or an error may hold escape sequences that rewrite a
terminal, or bidirectional controls that make a line read otherwise than it is (Unicode
TR 36; EDGES A18). In JSON the same characters are escaped instead, so that nothing is lost.
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
_STRIPPED = re.compile(f"[{_UNSAFE}]")


def clean(text: object) -> str:
    """One line of plain text: white space of any kind is a space, the rest is taken out."""
    return _STRIPPED.sub("", _SPACES.sub(" ", str(text)))


def escape_json(rendered: str) -> str:
    """Rendered JSON with every unsafe character of its strings as an escape.

    Line ends between values stay; inside a string json.dumps has escaped them already.
    """
    return _STRIPPED.sub(lambda m: m[0] if m[0] == "\n" else _escaped(m[0]), rendered)


def _escaped(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:  # as a surrogate pair, RFC 8259 section 7
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
