r"""Events in CEF, the Common Event Format, version 0.

Source: the format's specification (ArcSight, revision 25) and its dictionary of extension
keys. In the header ``\`` and ``|`` are escaped, in the extension ``\``, ``=`` and line ends;
everything else that could make a line read otherwise than it is (other control characters,
direction and zero-width marks, half surrogates) is written as ``<U+202E>``, so that nothing
that somebody typed begins a field, ends a message or hides. Fields are cut at the length that
the dictionary gives them, and a cut shows as ``[...]``: position and hash find the whole.

Pure: a sealed event and the grants that it may speak of in, one line out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from ipaddress import IPv6Address
from typing import Any

from bascule import __version__
from bascule.domain.chain import Link, canonical
from bascule.domain.facts.kind import Severity
from bascule.domain.grant import Grant
from bascule.domain.net import parse_address
from bascule.domain.times import parse_instant
from bascule.errors import InvalidInput
from bascule.services.ocsf import class_name, kind_of_record

CUT = "[...]"
SEVERITIES: Mapping[Severity, int] = {  # of 0 to 10
    Severity.INFORMATIONAL: 1,
    Severity.LOW: 3,
    Severity.MEDIUM: 5,
    Severity.HIGH: 8,
    Severity.CRITICAL: 10,
}
_SHORT, _USUAL, _LONG = 255, 1023, 4000  # characters, as the dictionary bounds its fields
_EPOCH = parse_instant("1970-01-01T00:00:00Z")
_WORDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# As in EDGES A18: controls, hidden direction, zero width, tags, half surrogates.
_UNSAFE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_NUMBERED = re.compile(r"([0-9]{1,5})/")


def cef_line(link: Link, grants: Mapping[str, Grant]) -> str:
    """One event; ``grants`` are those that it may name, by id."""
    record = link.record
    severity = SEVERITIES[kind_of_record(record).severity]
    name = " ".join(_WORDS.split(record["kind"])).capitalize()
    header = ("CEF:0", "Bascule", "Bascule", __version__, record["kind"], name, str(severity))
    extension = " ".join(f"{key}={value}" for key, value in _fields(link, grants) if value)
    return "|".join(escape_header(each) for each in header) + f"|{extension}"


def escape_header(text: str) -> str:
    r"""A header field: ``\`` and ``|`` escaped, a line end is a mark like any other control."""
    return visible(text.replace("\\", "\\\\").replace("|", "\\|"))


def escape_value(text: str) -> str:
    r"""An extension's value: ``\``, ``=`` and line ends escaped."""
    escaped = text.replace("\\", "\\\\").replace("=", "\\=")
    return visible(escaped.replace("\r", "\\r").replace("\n", "\\n"))


def visible(text: str) -> str:
    """Every character that would not show, as its number."""
    return _UNSAFE.sub(lambda match: f"<U+{ord(match[0]):04X}>", text)


def _cut(value: object, longest: int) -> str:
    text = str(value)
    return text if len(text) <= longest else text[: longest - len(CUT)] + CUT


def _fields(link: Link, grants: Mapping[str, Grant]) -> Iterator[tuple[str, str]]:
    """Keys and escaped values; empty ones are left out."""
    record, data = link.record, link.record["data"]
    kind = kind_of_record(record)
    grant = grants.get(str(data.get("grant_id", "")))
    # What finds the whole event stands before all that somebody typed, which may be long.
    yield from _plain(
        ("rt", _milliseconds(record["at"]), _SHORT),
        ("externalId", link.position, _SHORT),
        ("cat", class_name(kind), _USUAL),
        ("act", record["kind"], _SHORT),
        ("outcome", "failure" if kind.outcome.is_failure else "success", _SHORT),
    )
    yield from _custom(1, "eventId", record["id"])
    yield from _custom(2, "hash", link.hash)
    yield from _plain(*_actor(record["actor"]), *_about(record["resourceId"], data, grant))
    yield from _custom(3, "resourceId", record["resourceId"])
    yield from _custom(4, "sources", ", ".join(_sources(data, grant)))
    yield from _custom(5, "correlationId", record["correlationId"])
    yield from _plain(
        ("reason", _text(data, "reason", "reasons", "why", "cause"), _USUAL),
        ("msg", _text(data, "justification", "what"), _USUAL),
        ("requestMethod", data.get("method", ""), _SHORT),
        ("request", data.get("path", ""), _USUAL),
    )
    yield from _custom(6, "data", canonical(data).decode())


def _plain(*fields: tuple[str, object, int]) -> Iterator[tuple[str, str]]:
    for key, value, longest in fields:
        yield key, escape_value(_cut(value, longest))


def _custom(number: int, label: str, value: str) -> Iterator[tuple[str, str]]:
    """A field that the dictionary has no word for, with its label."""
    if value:
        yield f"cs{number}Label", label
        yield f"cs{number}", escape_value(_cut(value, _LONG))


def _actor(actor: Mapping[str, Any]) -> Iterable[tuple[str, object, int]]:
    yield "suid", actor["principal_id"], _USUAL
    yield "suser", actor["name"], _USUAL
    yield "spriv", actor["kind"], _USUAL
    yield from _address(actor["address"])
    yield "requestClientApplication", actor.get("client", ""), _USUAL


def _address(text: str) -> Iterable[tuple[str, object, int]]:
    """``src`` holds IPv4 alone; an IPv6 address has a field and a label of its own."""
    try:
        address = parse_address(text)
    except InvalidInput:  # the system itself has none
        return
    if isinstance(address, IPv6Address):
        yield "c6a2Label", "Source IPv6 Address", _USUAL
        yield "c6a2", address, _USUAL
    else:
        yield "src", address, _SHORT


def _about(
    resource_id: str, data: Mapping[str, Any], grant: Grant | None
) -> Iterable[tuple[str, object, int]]:
    """Which machine, which port, for whom, until when."""
    segments = resource_id.split("/")
    if "virtualMachines" in segments[:-1]:
        yield "dhost", segments[segments.index("virtualMachines") + 1], _USUAL
    numbered = _NUMBERED.match(str(data.get("port", "")))
    if grant is not None:
        yield "dpt", grant.number, _SHORT
        yield "proto", grant.protocol, _SHORT
        yield "duid", grant.requestor_id, _USUAL
        yield "duser", grant.requestor, _USUAL
        yield "start", _milliseconds_of(grant.started_at - _EPOCH), _SHORT
    elif numbered is not None:
        yield "dpt", numbered[1], _SHORT
    if data.get("ends_at"):
        yield "end", _milliseconds(str(data["ends_at"])), _SHORT
    elif grant is not None:
        yield "end", _milliseconds_of(grant.ends_at - _EPOCH), _SHORT


def _sources(data: Mapping[str, Any], grant: Grant | None) -> Iterable[str]:
    return map(str, grant.sources) if grant is not None else data.get("sources", ())


def _text(data: Mapping[str, Any], *keys: str) -> str:
    found = next((data[key] for key in keys if data.get(key)), "")
    return found if isinstance(found, str) else "; ".join(map(str, found))


def _milliseconds(instant: str) -> int | str:
    """Empty when it is none: a damaged event shall still be told."""
    try:
        return _milliseconds_of(parse_instant(instant) - _EPOCH)
    except InvalidInput:
        return ""


def _milliseconds_of(span: timedelta) -> int:
    return span // timedelta(milliseconds=1)
