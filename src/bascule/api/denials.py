"""Denied calls on record, a bounded number of each caller's and of each address."""

from __future__ import annotations

from fastapi import Request

from bascule.api.context import state_of
from bascule.api.origin import caller_address
from bascule.domain.access import Subject
from bascule.domain.event import Actor
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fields import MOST_PLACES
from bascule.domain.ids import COMPUTE, VIRTUAL_MACHINES
from bascule.errors import BasculeError, Forbidden
from bascule.interfaces.store import Transaction
from bascule.services.act import Act

LONGEST_CLIENT = 200  # characters of a User-Agent that go on record
_MACHINE = f"/providers/{COMPUTE}/{VIRTUAL_MACHINES}/".casefold()


async def record_denial(request: Request, subject: Subject, error: BasculeError) -> None:
    """Put a denial on record, unless this principal has had its share of this minute."""
    state = state_of(request)
    if not state.denials.is_recorded(subject.principal_id, state.services.clock.now()):
        return
    machines = _machines_of(error)
    fact = CallerDenied(
        request.method,
        request.url.path[:300],
        error.message,
        machines[:MOST_PLACES],
        len(machines[MOST_PLACES:]),
    )
    await state.services.perform(
        lambda tx, act: act.record_denied(tx, fact, state.denials),
        subject,
        str(request.state.correlation_id),
    )


def _machines_of(error: BasculeError) -> tuple[str, ...]:
    """At which a right is missing (EDGES E10)."""
    at = error.at if isinstance(error, Forbidden) else ()
    return tuple(each for each in at if _MACHINE in each.casefold())


async def record_stranger(request: Request, error: BasculeError) -> None:
    """The same of a token that proves nobody: by address, and out of a share of its own, so
    that bad tokens do not keep what known callers are denied off the record. A call without
    a token is how clients ask where to sign in, and is none of these.
    """
    state = state_of(request)
    address = caller_address(request)
    if not state.stranger_denials.is_recorded(address, state.services.clock.now()):
        return
    fact = CallerDenied(request.method, request.url.path[:300], error.message)

    def work(tx: Transaction, act: Act) -> None:
        act.actor = Actor("", "", "Unauthenticated", address, client_of(request))
        act.record_denied(tx, fact, state.stranger_denials)

    await state.services.perform(work, None, str(request.state.correlation_id))


def client_of(request: Request) -> str:
    """What the caller calls itself, bounded and in plain ASCII; nobody is believed for it."""
    text = request.headers.get("user-agent", "")[:LONGEST_CLIENT]
    return "".join(letter for letter in text if " " <= letter <= "~")
