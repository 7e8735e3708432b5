"""Tickets: a justification that begins with one, and what a ticket system answered of it (EDGES J12).

Rules, each with its neighbouring deny in the tests:
  the ticket is the first word of the justification, and the policy's pattern matches it whole;
  an answer counts for the question that it was asked with and no other: the same person, machines,
  ports, sources, times, reason and ticket, of the same policy and ticket system;
  nothing opens by an answer that is older than FRESH_FOR;
  what is not a plain yes or no to that very question is *unavailable*.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from bascule.domain.delivery import SinkKind, Target, parse_target
from bascule.domain.plain import clean
from bascule.domain.stages import Stage, check_stages
from bascule.domain.ticket_pattern import BadPattern, matches, parse
from bascule.errors import InvalidInput, Problem

FRESH_FOR = timedelta(minutes=5)  # that an answer may open by
LONGEST_TEXT = 300  # characters of a ticket system's own words
LONGEST_CA = 65_536  # characters


class TicketAnswer(StrEnum):
    YES = "yes"
    NO = "no"
    UNAVAILABLE = "unavailable"


@dataclass(frozen=True, slots=True)
class TicketCheck:
    """Where a policy's tickets are asked for."""

    pattern: str
    url: str
    stages: tuple[
        Stage, ...
    ] = ()  # that a denial becomes where the system is unavailable; empty: it stays
    ca_certificates: str = ""  # PEM, of who signed the system's certificate; empty: the public ones
    secret_id: str = ""  # changes with the secret
    sealed_secret: str = field(default="", repr=False)  # what signs the calls

    @property
    def target(self) -> Target:
        return parse_target(self.url)


@dataclass(frozen=True, slots=True)
class Question:
    """What a ticket system is asked of one request."""

    digest: str  # of all that the answer is about
    policy_id: str
    ticket: str
    check: TicketCheck
    asked: str  # JSON of what is asked for, as the ticket system is told it


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of a question."""

    digest: str
    policy_id: str
    ticket: str
    answer: TicketAnswer
    text: str  # the ticket system's own words, or why it gave none; plain
    at: datetime  # when it was asked

    def is_fresh(self, now: datetime) -> bool:
        """An answer of the future was given before the clock was set back."""
        return self.at <= now <= self.at + FRESH_FOR


def ticket_of(check: TicketCheck, justification: str | None) -> str | None:
    """The first word, without ``:``, ``,`` or ``;`` at its end; None: it is no ticket."""
    words = (justification or "").split(maxsplit=1)
    word = words[0].rstrip(":,;") if words else ""
    return word if word and matches(check.pattern, word) else None


def question(check: TicketCheck, policy_id: str, ticket: str, asked: str) -> Question:
    bound = [policy_id.casefold(), check.url, check.secret_id, check.pattern, ticket, asked]
    digest = hashlib.sha256(json.dumps(bound).encode()).hexdigest()
    return Question(digest, policy_id, ticket, check, asked)


def body_of(asked: Question, nonce: str) -> bytes:
    told = {
        "nonce": nonce,
        "digest": asked.digest,
        "ticket": asked.ticket,
        **json.loads(asked.asked),
    }
    return json.dumps(told, separators=(",", ":")).encode()


def read_answer(asked: Question, nonce: str, told: Any, at: datetime) -> Answered:  # noqa: ANN401  # reason: JSON that somebody else wrote
    """What a system said to this question; anything but a plain answer to it is *unavailable*."""

    def unavailable(why: str) -> Answered:
        return not_asked(asked, why, at)

    if not isinstance(told, dict):
        return unavailable("It did not answer with a JSON object.")
    if told.get("nonce") != nonce or told.get("digest") != asked.digest:
        return unavailable("It answered another question: nonce or digest differs.")
    text = told.get("text", "")
    if told.get("answer") not in ("yes", "no") or not isinstance(text, str | None):
        return unavailable("Its answer is neither yes nor no.")
    return Answered(
        asked.digest,
        asked.policy_id,
        asked.ticket,
        TicketAnswer(told["answer"]),
        clean(text or "")[:LONGEST_TEXT],
        at,
    )


def not_asked(asked: Question, why: str, at: datetime) -> Answered:
    return Answered(asked.digest, asked.policy_id, asked.ticket, TicketAnswer.UNAVAILABLE, why, at)


def check_ticket_check(check: TicketCheck, here: str) -> Iterable[Problem]:
    """Every problem of what somebody wrote."""
    try:
        parse(check.pattern)
    except BadPattern as error:
        yield Problem("InvalidPattern", str(error), f"{here}.pattern")
    try:
        is_https = check.target.kind is SinkKind.WEBHOOK
    except InvalidInput:
        is_https = False
    if not is_https or "?" in check.url:
        yield Problem(
            "InvalidTicketUrl",
            "The ticket system's URL is https://HOST/PATH, without user, query or fragment.",
            f"{here}.url",
        )
    if len(check.ca_certificates) > LONGEST_CA:
        yield Problem(
            "InvalidCertificates", "caCertificates is too long.", f"{here}.caCertificates"
        )
    if not check.sealed_secret:
        yield Problem(
            "SecretRequired",
            "A ticket system at a new place needs a secret of its own. Set it by: bascule policy ticket set",
            f"{here}.url",
        )
    yield from check_stages(check.stages, f"{here}.stages")
