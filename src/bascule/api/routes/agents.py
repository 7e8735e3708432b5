"""What agents call over HTTP: enrolment, and the state and the report where no line gets through.

An agent's token reaches these of its own point and nothing else (EDGES A13): its own machine, and
those that an owner has bound to it (F3), which ``machine`` names. Enrolment
alone needs no token, its body's one-use token is the proof (A12). No api-version here.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from bascule import __version__
from bascule.api.auth import CurrentCall, GuardedRoute
from bascule.api.context import state_of
from bascule.api.denials import client_of, record_stranger
from bascule.api.entries import admits_agents, admits_anybody
from bascule.api.envelope import CompactJson, answer_error
from bascule.api.origin import caller_address
from bascule.api.wire.agents import EnrolBody, ReportBody, record_mark
from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.features import Feature
from bascule.errors import Forbidden, UpgradeRequired
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.codec import encode
from bascule.protocol.enrolment import SIGNATURE_HEADER, Enrolled
from bascule.protocol.report import Announced
from bascule.protocol.shape import LARGEST
from bascule.protocol.signed import Kind, enrolment_text, is_signed
from bascule.protocol.state import State
from bascule.services import fleet, lines, reports, too_old
from bascule.services.act import Act
from bascule.services.ca_rotation import note_reported

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

_POINT = "/bascule/points/{uid}"
_AGENT = "/bascule/agents/{uid}"  # agents from before ADR 20 call it
Position = Annotated[int, Query(ge=0, le=LARGEST)]  # in the record; 0: none
# The uid of another machine, which an owner has bound to this point; left out: its own.
BoundMachine = Annotated[str, Query(max_length=64)]
TrustNumber = Annotated[int | None, Query(ge=0, le=LARGEST)]  # None: the agent takes none


@router.post("/bascule/enrol")
@admits_anybody
async def enrol(request: Request, body: EnrolBody) -> Response:
    state = state_of(request)
    caller = Subject("", PrincipalKind.AGENT, "", caller_address(request), client_of(request))
    now, token = state.services.clock.now(), body.token_key
    text = enrolment_text(body.machine_uid, body.public_key, body.nonce)
    known, judged = await state.services.read(
        lambda reader: (
            reader.enrolment_by_hash(fleet.hash_token(token)),
            fleet.judge_enrolment(reader, token, body.public_key, now),
        )
    )
    is_proved = is_signed(token, body.proof, text)
    if known is None or known.machine_uid != body.machine_uid or not is_proved:
        # Not a use case: guesses by strangers are recorded in bounded number.
        why = "the token is not known"
        refusal = _refusal(why if known is None else "what proves the token was changed on its way")
        await record_stranger(request, refusal)
        raise refusal
    if isinstance(judged, fleet.Refused) and not (
        state.stranger_denials.is_recorded(caller.address, now)
    ):
        raise _refusal(judged.why)  # an old token, tried again and again (EDGES B8)
    outcome = await state.services.perform(
        lambda tx, act: fleet.enrol(
            tx, act, token, body.public_key, body.agent_version, body.knows
        ),
        caller,
        str(request.state.correlation_id),
    )
    if isinstance(outcome, fleet.Refused):
        raise _refusal(outcome.why)
    now = state.services.clock.now()
    answer = CompactJson(
        encode(Enrolled(outcome.uid, str(outcome.id), state.installation.tenant_id, now))
    )
    answer.headers[SIGNATURE_HEADER] = state.trust_key.sign(
        Kind.ANSWER, outcome.uid, body.nonce, answer.status_code, bytes(answer.body)
    )
    return answer


def _refusal(why: str) -> Forbidden:
    return Forbidden(
        f"The enrolment was refused: {why}.",
        code="EnrolmentRefused",
        advice="To make a new token: bascule machine enrol NAME.",
    )


@router.get(f"{_AGENT}/stream")
@router.get(f"{_AGENT}/state")
@router.post(f"{_AGENT}/report")
@admits_agents
async def before_the_line(call: CurrentCall, uid: str) -> Response:
    """What an agent from before ADR 20 calls: the answer says to upgrade it, and it is marked."""
    if not await call.read_few(lambda reader: too_old.is_marked(reader, uid)):
        await call.perform(lambda tx, act: too_old.mark_too_old(tx, act, uid))
    error = UpgradeRequired(
        "This agent is too old for this server. It keeps ports closed and ends access on time, "
        "but opens nothing new.",
        code="AgentTooOld",
        advice=f"Upgrade the agent on its host to version {__version__} or later.",
    )
    return answer_error(error)


@router.get(f"{_POINT}/line")
@admits_anybody
async def line(uid: str) -> Response:
    """Only calls that ask for no WebSocket come here; ``api.upgrade`` takes the others."""
    del uid
    error = UpgradeRequired(
        "Agents connect here by WebSocket (RFC 6455).",
        advice="Start the agent: bascule agent run.",
    )
    answer = answer_error(error)
    answer.headers["Upgrade"] = "websocket"
    return answer


@router.get(f"{_POINT}/state")
@admits_agents
async def state(
    call: CurrentCall,
    uid: str,
    seen: Position = 0,
    told: Position = 0,
    machine: BoundMachine = "",
    knows: Annotated[str | None, Query(max_length=512)] = None,
    trusts: TrustNumber = None,
) -> Response:
    """``seen``: the last position of the record that the agent has verified, ``told``: the newest that
    it was told of since (EDGES B9); ``knows``: what its version knows, with commas (F4);
    ``trusts``: the number of the change of trust that it took last (I5). A newer one is told.
    """
    known = None if knows is None else frozenset(Feature) & frozenset(knows.split(","))
    now, floor = call.now, call.state.record_floor

    def read(reader: Reader) -> State:
        found = fleet.guarded_by(reader, uid, machine or uid)
        wanted = fleet.state_of(reader, found, now, known)
        record = record_mark(reader, seen, floor, told)
        guards = lines.guards(reader, found) if found.is_own else None
        wanted = replace(wanted, installation=call.state.services.number.value)
        is_told = trusts is not None and found.is_own
        trust = call.state.lines.trust_for(uid, trusts) if is_told else None
        return State(wanted, found.machine.id.name, now, record, guards, trust)

    return CompactJson(encode(await call.read_few(read)))


@router.post(f"{_POINT}/report")
@admits_agents
async def report(
    call: CurrentCall,
    uid: str,
    body: ReportBody,
    machine: BoundMachine = "",
    trusts: TrustNumber = None,
) -> Response:
    """``trusts``: as of ``state``; it goes on record."""

    def take(tx: Transaction, act: Act) -> int:
        generation = reports.take_report(tx, act, uid, body, machine)
        if trusts is not None and not machine:
            note_reported(tx, uid, trusts)
        if not call.state.lines.is_alone:  # a line at another server ends: it does not know of this
            tx.pass_line_over(uid)
        return generation

    generation = await call.perform(take)
    call.state.lines.was_reported(uid)
    return CompactJson(encode(Announced(generation)))
