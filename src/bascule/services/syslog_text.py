"""One event as a syslog message of RFC 5424, without the framing of its transport.

Facility 13 (log audit), the severity by how much the event matters, MSGID its kind. The
structured data is ``origin`` (RFC 5424 7.2) alone: an element of our own would need a number
that IANA gave us. The body is CEF or OCSF; CEF may hold UTF-8 and has no byte order mark, which
makes it MSG-ANY (6.4): collectors that look for ``CEF:`` would not find it behind one.

A message is at most LONGEST_MESSAGE bytes, which is what rsyslog takes unless it is told
otherwise; a longer event of OCSF leaves its data out and says so, and its hash finds the whole.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bascule import __version__
from bascule.domain.chain import Link
from bascule.domain.delivery import Form
from bascule.domain.facts.kind import Severity
from bascule.domain.grant import Grant
from bascule.services.cef import CUT, cef_line
from bascule.services.ocsf import kind_of_record, ocsf_event

LONGEST_MESSAGE = 8000  # bytes
FACILITY = 13
SEVERITIES: Mapping[Severity, int] = {
    Severity.INFORMATIONAL: 6,
    Severity.LOW: 5,
    Severity.MEDIUM: 4,
    Severity.HIGH: 3,
    Severity.CRITICAL: 2,
}
_LONGEST_TEXT, _LONGEST_LIST = 200, 5  # of what is left when all else was too long


def syslog_message(link: Link, grants: Mapping[str, Grant], form: Form, host: str) -> bytes:
    """``host`` is this server's name, or empty when it has none that syslog can say."""
    priority = FACILITY * 8 + SEVERITIES[kind_of_record(link.record).severity]
    at = link.record["at"][:26] + "Z"  # six digits at most (RFC 5424 6.2.3)
    kind = _header_text(link.record["kind"], 32)
    head = (
        f"<{priority}>1 {at} {_header_text(host, 255)} bascule - {kind} "
        f'[origin software="bascule" swVersion="{__version__}"] '
    ).encode()
    if form is Form.OCSF:
        return head + bounded_json(ocsf_event(link, grants), LONGEST_MESSAGE - len(head))
    return head + _bounded(cef_line(link, grants).encode(), LONGEST_MESSAGE - len(head))


def _header_text(text: str, longest: int) -> str:
    """PRINTUSASCII, or the nil value."""
    return "".join(letter for letter in text if "!" <= letter <= "~")[:longest] or "-"


def _bounded(body: bytes, longest: int) -> bytes:
    """The last field of a CEF line is the longest, so a cut takes from it alone."""
    if len(body) <= longest:
        return body
    kept = body[: longest - len(CUT)].decode(errors="ignore")
    return (kept.rstrip("\\") + CUT).encode()


def bounded_json(event: Mapping[str, Any], longest: int) -> bytes:
    """An OCSF event in so many bytes: whole, or without its data, or with its texts cut."""
    written = _json(event)
    if len(written) <= longest:
        return written
    unmapped = {**event["unmapped"], "isShortened": True}
    del unmapped["data"]
    short = {**event, "unmapped": unmapped}
    written = _json(short)
    return written if len(written) <= longest else _json(_shortened(short))


def _shortened(value: Any) -> Any:  # noqa: ANN401  # reason: JSON of any shape
    if isinstance(value, str) and len(value) > _LONGEST_TEXT:
        return value[: _LONGEST_TEXT - len(CUT)] + CUT
    if isinstance(value, Mapping):
        return {key: _shortened(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_shortened(each) for each in value[:_LONGEST_LIST]]
    return value


def _json(event: Any) -> bytes:  # noqa: ANN401  # reason: JSON of any shape
    return json.dumps(event, separators=(",", ":"), allow_nan=False).encode()
