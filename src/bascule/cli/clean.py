"""Text from elsewhere, made safe to print (EDGES A18).

As plain text it loses what is unsafe (``domain.plain``); in JSON the same characters are
escaped instead, so that nothing is lost.
"""

from __future__ import annotations

from bascule.domain.plain import UNSAFE, clean

__all__ = ["clean", "escape_json"]


def escape_json(rendered: str) -> str:
    """Rendered JSON with every unsafe character of its strings as an escape.

    Line ends between values stay; inside a string json.dumps has escaped them already.
    """
    return UNSAFE.sub(lambda m: m[0] if m[0] == "\n" else _escaped(m[0]), rendered)


def _escaped(character: str) -> str:
    code = ord(character)
    if code > 0xFFFF:  # as a surrogate pair, RFC 8259 section 7
        code -= 0x10000
        return f"\\u{0xD800 + (code >> 10):04x}\\u{0xDC00 + (code & 0x3FF):04x}"
    return f"\\u{code:04x}"
