"""Sinks: where the record is sent to, how far it has got there, and what happens when it fails.

A sink follows the sealed chain with a position of its own: everything up to it was delivered,
or is none of what the sink wants. The position moves after the receiver took an event and
never before, so that an event arrives at least once and for the first time in order.

What fails is tried again, for ever and ever more rarely (exponential back-off, full jitter).
Two answers end that: a receiver that says *gone* disables its sink, and an event that is
refused for what it is parks it, after REFUSALS tries and with its position named. Both are
an operator's to end; nothing is passed over by itself.
What is not here: formats (``services``), connections (``outward``).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum, StrEnum

from bascule.domain.facts.kind import Severity
from bascule.domain.mail import parse_mail_address
from bascule.errors import InvalidInput

FIRST_WAIT = timedelta(seconds=1)
LONGEST_WAIT = timedelta(minutes=10)
LONGEST_ASKED = timedelta(hours=1)  # of a receiver's Retry-After
REFUSALS = 5  # tries of one refused event
LARGEST_BATCH = 100  # events of one webhook call
LONGEST_TARGET = 2048
LEVELS = tuple(each.name.lower() for each in Severity)  # from 1
SECRET_OVERLAP = timedelta(hours=24)  # a webhook's old secret signs beside the new one
LOWEST_HIGH_PORT = 1024
HTTPS_PORT = 443
_MASK = "…"
_MAILTO = "mailto:"
PEOPLE = "mail:people"


class SinkKind(StrEnum):
    WEBHOOK = "webhook"
    SYSLOG = "syslog"
    FILE = "file"
    MAIL = "mail"


class Transport(StrEnum):
    """A target's scheme."""

    HTTPS = "https"
    TLS = "syslog+tls"  # RFC 5425
    TCP = "syslog+tcp"  # RFC 6587, octet counting
    UDP = "syslog+udp"  # RFC 5426: what is lost is lost, and nobody hears of it
    FILE = "file"
    MAILTO = "mailto"  # one mailbox
    PEOPLE = "mail"  # those whom an event concerns, by the address that each of them gave


class Form(StrEnum):
    """What an event looks like in a message."""

    RECORD = "record"  # as an export has it: event, hash, position
    OCSF = "ocsf"
    CEF = "cef"
    SLACK = "slack"  # an incoming webhook of Slack: a sentence for people
    TEAMS = "teams"  # a Workflows webhook of Microsoft Teams: likewise
    MAIL = "mail"  # likewise


KINDS: Mapping[Transport, SinkKind] = {
    Transport.HTTPS: SinkKind.WEBHOOK,
    Transport.TLS: SinkKind.SYSLOG,
    Transport.TCP: SinkKind.SYSLOG,
    Transport.UDP: SinkKind.SYSLOG,
    Transport.FILE: SinkKind.FILE,
    Transport.MAILTO: SinkKind.MAIL,
    Transport.PEOPLE: SinkKind.MAIL,
}
FORMS: Mapping[SinkKind, tuple[Form, ...]] = {  # the first is the usual one
    SinkKind.WEBHOOK: (Form.RECORD, Form.SLACK, Form.TEAMS),
    SinkKind.SYSLOG: (Form.CEF, Form.OCSF),
    SinkKind.FILE: (Form.RECORD, Form.OCSF),
    SinkKind.MAIL: (Form.MAIL,),
}
CHATS = frozenset({Form.SLACK, Form.TEAMS, Form.MAIL})  # people read them
# Sent whatever a sink is limited to, at once, and never in one message with others (EDGES J11).
NEVER_MUTED = frozenset(
    {"AccessSelfApproved", "EmergencyAccess", "RulesLoosened", "InstallationRestored"}
)
# What people are told where its owner names no kinds: what people must do, and what became of it.
CHAT_KINDS = (
    "EmergencyAccess",
    "EmergencyReviewed",
    "AccessWaiting",
    "AccessApproved",
    "AccessSelfApproved",
    "AccessNotApproved",
    "AccessNotAllowed",
    "AccessLapsed",
    "AccessWithdrawn",
    "AccessEscalated",
    "AccessStartsSoon",
    "RulesLoosened",
    "InstallationRestored",
    "GrantOpened",
    "GrantFailed",
)
_PORTS: Mapping[Transport, int] = {
    Transport.HTTPS: HTTPS_PORT,
    Transport.TLS: 6514,  # RFC 5425 4.1
    Transport.TCP: 514,  # by custom; RFC 6587 has no number of its own
    Transport.UDP: 514,  # RFC 5426 3.3
}
_URL = re.compile(
    r"(https|syslog\+tls|syslog\+tcp|syslog\+udp)://"
    r"(\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r"(?::([0-9]{1,5}))?"
    r"((?:/|\?)[A-Za-z0-9._~%!$&'()*+,;=:@/?-]*)?",
    re.IGNORECASE,
)
_FILE = re.compile(r"file:([A-Za-z0-9][A-Za-z0-9._-]{0,63})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to: a URL taken apart."""

    transport: Transport
    host: str  # a name or an address, without brackets; of a file empty
    port: int  # of a file 0
    path: str = ""  # of HTTPS with its query; of a file its name; of mailto the address

    @property
    def kind(self) -> SinkKind:
        return KINDS[self.transport]

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS.get(self.transport) else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.transport is Transport.FILE:
            return f"file:{self.path}"
        if self.transport is Transport.MAILTO:
            return f"mailto:{self.path}"
        if self.transport is Transport.PEOPLE:
            return PEOPLE
        return f"{self.transport}://{self.authority}{self.path}"

    @property
    def shown(self) -> str:
        """For answers, events and logs: a webhook's path may be a secret in itself."""
        if self.transport is Transport.HTTPS and self.path != "/":
            return f"https://{self.authority}/{_MASK}"
        return str(self)


def parse_target(text: str, target: str = "") -> Target:
    """A sink's URL; raises InvalidInput that says how one is written."""
    if len(text) > LONGEST_TARGET:
        raise _wrong(f"is longer than {LONGEST_TARGET} characters.", target)
    file = _FILE.fullmatch(text)
    if file is not None:
        return Target(Transport.FILE, "", 0, file[1])
    if text.casefold() == PEOPLE:
        return Target(Transport.PEOPLE, "", 0)
    if text.casefold().startswith(_MAILTO):
        return Target(Transport.MAILTO, "", 0, parse_mail_address(text[len(_MAILTO) :], target))
    url = _URL.fullmatch(text)
    if url is None:
        raise _wrong(
            "is not a valid target. Write https://HOST/PATH, syslog+tls://HOST:6514, "
            "syslog+tcp://HOST:514, syslog+udp://HOST:514, file:NAME, mailto:ADDRESS or mail:people "
            "(no user, no fragment).",
            target,
        )
    transport = Transport(url[1].lower())
    port = int(url[4] or _PORTS[transport])
    _check_port(transport, port, target)
    return Target(transport, url[2].strip("[]").lower(), port, _path(transport, url[5], target))


def _path(transport: Transport, given: str | None, target: str) -> str:
    path = given or "/"
    if transport is Transport.HTTPS:
        return path if path.startswith("/") else f"/{path}"
    if path != "/":
        raise _wrong("has a path; a syslog receiver has none.", target)
    return ""


def _check_port(transport: Transport, port: int, target: str) -> None:
    if not 1 <= port <= 65535:
        raise _wrong(f"names port {port}; ports are 1 to 65535.", target)
    if transport is Transport.HTTPS and port != HTTPS_PORT and port < LOWEST_HIGH_PORT:
        raise _wrong(f"names port {port}; a webhook's is 443, or 1024 and above.", target)


def _wrong(sentence: str, target: str) -> InvalidInput:
    return InvalidInput(f"The sink's target {sentence}", code="InvalidSinkTarget", target=target)


def parse_level(word: str, target: str = "") -> int:
    """1 (informational) to 5 (critical)."""
    if word.casefold() not in LEVELS:
        raise InvalidInput(
            f"{word[:40]!r} is not a level. Levels are: {', '.join(LEVELS)}.",
            code="InvalidSinkLevel",
            target=target,
        )
    return LEVELS.index(word.casefold()) + 1


def check_form(kind: SinkKind, form: Form | None, target: str = "") -> Form:
    """The form that a kind of sink sends; None is its usual one."""
    if form is None:
        return FORMS[kind][0]
    if form not in FORMS[kind]:
        raise InvalidInput(
            f"A {kind} sink sends {' or '.join(FORMS[kind])}, not {form}.",
            code="InvalidSinkFormat",
            target=target,
        )
    return form


@dataclass(frozen=True, slots=True)
class Sink:
    """One place that the record is sent to, as its owner set it."""

    id: str
    name: str
    target: Target
    form: Form
    created_at: datetime
    kinds: tuple[str, ...] = ()  # of events; empty: all, of a chat CHAT_KINDS
    level: int = 1  # least severity, as in LEVELS
    batch: int = 1  # events of one webhook call at most
    ca_certificates: str = ""  # PEM; empty: those that the host trusts

    def wants(self, kind: str, level: int) -> bool:
        if kind in NEVER_MUTED:
            return True
        kinds = self.kinds or self._usual_kinds
        return level >= self.level and (not kinds or kind in kinds)

    @property
    def _usual_kinds(self) -> tuple[str, ...]:
        if (
            self.target.transport is Transport.PEOPLE
        ):  # a requestor hears of an early end, and before the end
            return (*CHAT_KINDS, "GrantEnded", "GrantEndsSoon")
        return CHAT_KINDS if self.form in CHATS else ()

    @property
    def is_filtered(self) -> bool:
        """Does it pass over events?"""
        return bool(self.kinds) or self.level > 1 or self.form in CHATS


@dataclass(frozen=True, slots=True)
class SinkSecrets:
    """What a webhook's calls are signed with; never shown after it was made."""

    current: str = field(repr=False)
    previous: str = field(default="", repr=False)
    previous_until: datetime | None = None

    def valid(self, now: datetime) -> tuple[str, ...]:
        """Newest first."""
        if self.previous_until is None or now >= self.previous_until:
            return (self.current,)
        return (self.current, self.previous)

    def rotated(self, fresh: str, now: datetime) -> SinkSecrets:
        return SinkSecrets(fresh, self.current, now + SECRET_OVERLAP)


class SinkState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"  # by an operator
    PARKED = "parked"  # the event after ``position`` was refused too often
    DISABLED = "disabled"  # the receiver said that it is gone


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a sink has got."""

    sink_id: str
    position: int  # of the chain: delivered, or not wanted, up to and with this one
    state: SinkState = SinkState.ACTIVE
    delivered_position: int = 0  # the last that was sent; 0: none yet
    delivered_at: datetime | None = None
    failures: int = 0  # in a row
    refusals: int = 0  # in a row, of one event alone
    alone_until: int = 0  # events up to this position are sent one by one
    next_try_at: datetime | None = None
    last_error: str = ""  # a short status, in our own words
    last_error_at: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """A clock that was set back must not make this the next year's affair."""
        until = self.next_try_at
        return until is None or now >= until or until - now > LONGEST_ASKED

    def resumed(self, position: int | None = None) -> Progress:
        """Active and without a past; from ``position`` on when one is given."""
        return replace(
            self,
            position=self.position if position is None else position,
            state=SinkState.ACTIVE,
            failures=0,
            refusals=0,
            next_try_at=None,
        )


class Answer(Enum):
    """What a receiver made of a message."""

    TAKEN = "taken"
    LATER = "later"  # away, busy, or not to be reached as things are
    REFUSED = "refused"  # this very message; it will not be otherwise next time
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Outcome:
    answer: Answer
    said: str = ""  # a short status in our own words; nothing that the receiver wrote
    wait: timedelta | None = None  # that the receiver asked for


@dataclass(frozen=True, slots=True)
class Stretch:
    """A piece of the chain that was looked at to be sent."""

    through: int  # its last position
    sent: int = 0  # the last position of it that is wanted; 0: none is
    count: int = 0  # how many are wanted


def longest_wait(failures: int) -> timedelta:
    """The bound of the wait after that many failures in a row."""
    return min(LONGEST_WAIT, FIRST_WAIT * (1 << min(max(failures, 1) - 1, 16)))


def wait_after(failures: int, chance: float, asked: timedelta | None = None) -> timedelta:
    """Full jitter: anywhere below the bound (``chance`` is in [0, 1)), at least what was asked."""
    least = min(asked or timedelta(), LONGEST_ASKED)
    return max(least, longest_wait(failures) * chance)


def advance(was: Progress, stretch: Stretch, now: datetime) -> Progress:
    """After the receiver took it, or after there was nothing to send."""
    moved = replace(was, position=stretch.through)
    if not stretch.count:
        return moved
    return replace(
        moved,
        delivered_position=stretch.sent,
        delivered_at=now,
        failures=0,
        refusals=0,
        next_try_at=None,
    )


def fall_back(
    was: Progress, stretch: Stretch, outcome: Outcome, now: datetime, chance: float
) -> Progress:
    """After it failed: wait, or stop and say so; the position stays."""
    failures = was.failures + 1
    failed = replace(
        was,
        failures=failures,
        last_error=outcome.said,
        last_error_at=now,
        next_try_at=now + wait_after(failures, chance, outcome.wait),
    )
    if outcome.answer is Answer.GONE:
        return replace(failed, state=SinkState.DISABLED, next_try_at=None)
    if outcome.answer is not Answer.REFUSED:
        return failed
    if stretch.count > 1:  # which of them is it?
        return replace(failed, alone_until=stretch.through)
    refusals = was.refusals + 1
    if refusals < REFUSALS:
        return replace(failed, refusals=refusals)
    return replace(failed, refusals=refusals, state=SinkState.PARKED, next_try_at=None)
