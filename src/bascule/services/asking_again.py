"""Requests that go on when ticket systems were asked again: those are asked, and then judged (EDGES J12).

A vote or a sweep marks them, because it must not wait for a ticket system. What is found here is
whatever was marked, by this server or another, before a crash too.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Protocol

import structlog

from bascule.errors import BasculeError
from bascule.interfaces.approvals import ApprovalReads
from bascule.interfaces.duties import DutyReads
from bascule.services.act import Act, Services
from bascule.services.duties import SWEEPING
from bascule.services.starts import StartWrites, lapse_leapt
from bascule.services.tickets import TicketDesk
from bascule.services.waiting import go_on_asked

LOOK_SECONDS = 5.0  # for what another server marked, or this one before it was stopped
MOST_AT_ONCE = 2  # others, who ask for access now, find a place as well
MOST_FOUND = 20


class ToAskReads(ApprovalReads, DutyReads, Protocol):
    """What is to be asked again, and which server does it."""


log = structlog.get_logger("bascule.tickets")


async def ask_again(services: Services, desk: TicketDesk) -> None:
    """Until it is cancelled."""
    while True:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(desk.woken.wait(), LOOK_SECONDS)
        was_woken = desk.woken.is_set()
        desk.woken.clear()
        try:
            await ask_once(services, is_mine=was_woken)
        except BasculeError as error:
            log.info("ticket systems are asked later", reason=error.message)
        except Exception:  # nobody would start this anew
            log.exception("ticket systems are asked later")


def _go_on(tx: StartWrites, act: Act, request_id: str) -> None:
    """What has a start is not opened by a clock that has just jumped (EDGES J9)."""
    lapse_leapt(tx, act)
    go_on_asked(tx, act, request_id)


async def ask_once(services: Services, *, is_mine: bool) -> None:
    """``is_mine``: this server marked some; others look at what is left by turns."""
    now = services.clock.now()

    def find(reader: ToAskReads) -> Sequence[str]:
        may = is_mine or services.duties.may_enter(reader, SWEEPING, now)
        return reader.approvals_to_ask(MOST_FOUND) if may else ()

    places = asyncio.Semaphore(MOST_AT_ONCE)

    async def go_on(request_id: str) -> None:
        async with places:
            await services.perform(lambda tx, act: _go_on(tx, act, request_id), asks=True)

    found = await services.read(find)
    done = await asyncio.gather(*map(go_on, found), return_exceptions=True)
    for each in done:
        if isinstance(each, BaseException):
            raise each
