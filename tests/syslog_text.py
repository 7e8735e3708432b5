"""Strict readers of what collectors get: RFC 5424's grammar, RFC 6587's counting, CEF.

They take nothing that the texts do not allow, so that a message that passes here is one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

# RFC 5424 section 6. SD-NAME has no "=", blank, "]" or quote; PARAM-VALUE escapes three.
_NAME = rb"[!#-<>-\\^-~]{1,32}"
_VALUE = rb'(?:[^"\\\]]|\\["\\\]])*'
_ELEMENT = rb"\[" + _NAME + rb"(?: " + _NAME + rb'="' + _VALUE + rb'")*\]'
_MESSAGE = re.compile(
    rb"<(0|[1-9][0-9]{0,2})>1 "
    rb"(-|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    rb"(?:Z|[+-][0-9]{2}:[0-9]{2})) "
    rb"([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) "
    rb"(-|(?:" + _ELEMENT + rb")+)"
    rb"(?: (.*))?",
    re.DOTALL,
)
_COUNT = re.compile(rb"([1-9][0-9]{0,8}) ")
_FIELD = re.compile(r"([A-Za-z0-9_]+)=((?:[^=\\]|\\[\\=nr])*?)(?= [A-Za-z0-9_]+=|\Z)")
_UNESCAPED = {"\\\\": "\\", "\\=": "=", "\\n": "\n", "\\r": "\r", "\\|": "|"}


@dataclass(frozen=True, slots=True)
class Message:
    priority: int
    at: str
    host: str
    app: str
    process: str
    kind: str
    structured: str
    body: bytes

    @property
    def facility(self) -> int:
        return self.priority // 8

    @property
    def severity(self) -> int:
        return self.priority % 8


def read_message(data: bytes) -> Message:
    """One message; raises ValueError for what RFC 5424 does not allow."""
    match = _MESSAGE.fullmatch(data)
    if match is None or int(match[1]) > 191:
        raise ValueError(f"no message of RFC 5424: {data[:200]!r}")
    at, host, app, process, kind, structured = (match[n].decode("ascii") for n in range(2, 8))
    return Message(int(match[1]), at, host, app, process, kind, structured, match[8] or b"")


def read_counted(data: bytes) -> tuple[list[bytes], bytes]:
    """Whole frames of RFC 6587 3.4.1, and what is left of one that is not all there."""
    frames: list[bytes] = []
    while data:
        match = _COUNT.match(data)
        if match is None:
            if re.fullmatch(rb"[1-9][0-9]{0,8}", data):
                break
            raise ValueError(f"no count: {data[:40]!r}")
        end = match.end() + int(match[1])
        if len(data) < end:
            break
        frames.append(data[match.end() : end])
        data = data[end:]
    return frames, data


@dataclass(frozen=True, slots=True)
class Cef:
    version: str
    vendor: str
    product: str
    product_version: str
    signature: str
    name: str
    severity: int
    fields: dict[str, str]


def read_cef(line: str) -> Cef:
    """One line; raises ValueError for an escape or a field that is none."""
    if any(letter in line for letter in "\r\n\0"):
        raise ValueError("a line end inside a line")
    parts = list(_split(line))
    if len(parts) != 8 or parts[0] != "CEF:0":
        raise ValueError(f"not eight parts: {parts}")
    fields: dict[str, str] = {}
    position, extension = 0, parts[7]
    while position < len(extension):
        match = _FIELD.match(extension, position)
        if match is None or match[1] in fields:
            raise ValueError(f"no field, or one twice: {extension[position : position + 80]!r}")
        fields[match[1]] = _unescape(match[2])
        position = match.end() + 1
    heads = [_unescape(each) for each in parts[:7]]
    version, vendor, product, product_version, signature, name, severity = heads
    return Cef(version, vendor, product, product_version, signature, name, int(severity), fields)


def _split(line: str) -> Iterator[str]:
    """The header's seven parts, and the rest."""
    for _ in range(7):
        match = re.match(r"((?:[^|\\]|\\[\\|])*)\|", line)
        if match is None:
            raise ValueError(f"the header ends early, or has a wrong escape: {line[:80]!r}")
        yield match[1]
        line = line[match.end() :]
    yield line


def _unescape(text: str) -> str:
    return re.sub(r"\\.", lambda match: _UNESCAPED[match[0]], text)
