"""Try it: what somebody would get for a port, now or at a given time, and which rules say so.

It writes nothing and asks for nothing, so it is a GET; what was tried stands in the address. It takes
the right to write rules at the machine, which the use case asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from fastapi import APIRouter
from starlette.responses import Response

from bascule.api.entries import decides
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import POLICY_READ, RULES_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix, parse_port_number
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.tickets import TicketAnswer
from bascule.domain.times import format_utc, parse_instant
from bascule.errors import BasculeError, Forbidden, InvalidInput, NotFound
from bascule.interfaces.store import Reader
from bascule.portal.guard import CurrentVisit, PortalRoute, Visit
from bascule.portal.iam import find_principal
from bascule.portal.pages.rules import PATH, Found, find_policy
from bascule.portal.problems import reasons_of
from bascule.portal.rule_words import names_in, rule_words, stage_words
from bascule.portal.spans import parse_span
from bascule.services.try_rules import FURTHEST, Tried, try_rules

router = APIRouter(route_class=PortalRoute)

KINDS = (PrincipalKind.USER, PrincipalKind.SERVICE)


@dataclass(frozen=True, slots=True)
class SaidRule:
    policy: str
    name: str
    words: str
    holds: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What would come of it, in words."""

    tried: Tried
    stages: tuple[str, ...]
    rules: tuple[SaidRule, ...]
    at: datetime


@router.get(f"{PATH}/try")
@decides(POLICY_READ, RULES_WRITE)
async def show(visit: CurrentVisit) -> Response:
    given = visit.request.query_params
    error: BasculeError | None = None

    def read(reader: Reader) -> tuple[Found, Answer | None]:
        nonlocal error
        found = find_policy(reader, visit, given.get("policy", ""))
        if not given.get("who"):
            return found, None
        try:
            return found, _try(reader, visit, found)
        except Forbidden:
            raise
        except BasculeError as wrong:
            error = wrong
            return found, None

    found, answer = await visit.read(read)
    return visit.show(
        "rule_try.html",
        error.http_status if error else 200,
        found=found,
        answer=answer,
        given={
            name: given.get(name, "")
            for name in (
                *("who", "kind", "machine", "port", "source", "time", "why", "ticket"),
                "factor",
            )
        },
        is_timed="timed" in given,
        moment=_moment(visit, error),
        latest=visit.now + FURTHEST,
        kinds=[str(each) for each in KINDS],
        ticket_answers=[str(each) for each in TicketAnswer],
        machines=[each.machine_id for each in found.policy.machines],
        reasons=reasons_of(error) if error else (),
        advice=error.advice if error else "",
        action=f"{PATH}/try",
    )


def _moment(visit: Visit, error: BasculeError | None) -> datetime:
    """What the field for a moment shows; now where none was given."""
    if "timed" not in visit.request.query_params or (error and error.target == "at"):
        return visit.now
    try:
        return _instant(visit.request.query_params.get("at", ""))
    except InvalidInput:
        return visit.now


def _instant(text: str) -> datetime:
    """With a zone, as the script sends it; without one it is UTC, as the field then says."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        return parse_instant(text, "at")


def _try(reader: Reader, visit: Visit, found: Found) -> Answer:
    """Raises what is wrong with what was entered, and Forbidden."""
    given = visit.request.query_params
    kind = given.get("kind", "")
    if kind not in KINDS:
        raise InvalidInput("Choose one of the offered values.", target="kind")
    person = find_principal(visit, reader, kind, given["who"].strip())
    machine = ResourceId.parse_machine(given.get("machine", ""), "machine")
    if found.policy.rules_for(machine) is None:
        raise NotFound("The policy does not name this machine.", code="MachineNotInPolicy")
    at = _instant(given.get("at", "")) if "timed" in given else None
    asked = RequestedMachine(machine, (_port(visit, at or visit.now),))
    said = given.get("ticket") or TicketAnswer.YES
    if said not in tuple(TicketAnswer):
        raise InvalidInput("Choose one of the offered values.", target="ticket")
    tried = try_rules(
        *(reader, visit.subject, found.policy.id, (asked,), given.get("why", "")),
        *(person, visit.now, at, TicketAnswer(said)),
        parse_span(given["factor"], "factor") if given.get("factor") else None,
    )
    words = visit.words
    stages = [each.due.stage for each in tried.stages]
    names = names_in(reader, [rule for _, rule, _ in tried.rules], stages)
    return Answer(
        tried,
        tuple(stage_words(words, each, names) for each in stages),
        tuple(
            SaidRule(policy.id.name, rule.name, rule_words(words, rule, names), holds)
            for policy, rule, holds in tried.rules
        ),
        at or visit.now,
    )


def _port(visit: Visit, begins: datetime) -> RequestedPort:
    given = visit.request.query_params
    number = given.get("port", "")
    if not number.isascii() or not number.isdecimal() or len(number) > 5:
        raise InvalidInput("Give a port number, 1 to 65535.", code="InvalidPort", target="port")
    span = parse_span(given.get("time", ""), "time")
    ends_at = begins + span
    return RequestedPort(
        parse_port_number(int(number)),
        _sources(given.get("source", "")),
        ends_at,
        format_utc(ends_at),
        length=span,
    )


def _sources(text: str) -> tuple[AddressPrefix, ...]:
    words: Sequence[str] = text.replace(",", " ").split()
    if not words:
        raise InvalidInput("Enter an address or a range.", code="SourceRequired", target="source")
    return tuple(dict.fromkeys(map(AddressPrefix.parse, words)))
