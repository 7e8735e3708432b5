"""What a line reads and settles in the store: answers to asks and reports, and news.

Rules:
* A state is pushed in answer to the newest nonce alone, while that is fresh; its times count from
  the receipt of that nonce, which is never before the agent sent it (EDGES A8).
* A report is contact at the moment of the beat that it names, if that still counts.

What is not here: in which order messages are answered, and when news is looked for (``line``); the
transactions (``services.lines``).
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING

import structlog

from bascule.domain.told import counted_from_before
from bascule.errors import AuthenticationFailed, BasculeError
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.line import (
    FRESH_SECONDS,
    LARGEST_PUSH,
    Ask,
    Hint,
    Refused,
    Reported,
    Taken,
    Told,
    write,
)
from bascule.protocol.state import RecordMark, State
from bascule.services import lines as use
from bascule.services.act import Act

if TYPE_CHECKING:
    from bascule.api.line import Line
    from bascule.api.lines import Lines

log = structlog.get_logger("bascule.api")


async def answer(lines: Lines, line: Line, message: Ask | Reported, received: float) -> None:
    """Answer, or refuse; ``received``: monotonic seconds."""
    key = message.nonce if isinstance(message, Ask) else message.id
    try:
        if isinstance(message, Ask):
            await _answer_ask(lines, line, message, received)
        else:
            await _answer_report(lines, line, message, received)
    except use.NewerLineError:
        lines.replace(line)
    except AuthenticationFailed as error:
        line.send(Refused(key, error.http_status, error.specific_code, error.message))
        line.refuse_key()
    except BasculeError as error:
        await lines.record_denial(line.subject, message, error)
        line.send(Refused(key, error.http_status, error.specific_code, error.message))
    except Exception:
        log.exception("a message of an agent failed", point=line.uid)
        line.send(Refused(key, 500, "InternalServerError", "An internal error occurred."))


async def _answer_ask(lines: Lines, line: Line, ask: Ask, received: float) -> None:
    clock = lines.services.clock
    at, now = clock.monotonic(), clock.now()

    def read(reader: Reader) -> tuple[use.Wanted, RecordMark]:
        machine_uid = ask.machine or line.uid
        use.check_newest(reader, line.uid, line.number)
        return (
            use.wanted(reader, line.uid, line.public_key, machine_uid, now, ask.knows),
            lines.mark(reader, ask),
        )

    with lines.owing():
        wanted, record = await lines.services.read_few(read)
    line.was_told(wanted.desired.machine_uid, wanted.desired.generation)
    line.send(_told(lines, wanted, ask.nonce, at - received, record))


async def _answer_report(lines: Lines, line: Line, message: Reported, received: float) -> None:
    sent = line.beats.sent(message.number, received)
    heard_at = None if sent is None else sent.at
    acts: list[Act] = []

    def settle(tx: Transaction, act: Act) -> int:
        acts.append(act)
        return use.settle(
            tx,
            act,
            line.uid,
            line.public_key,
            message.report,
            message.machine,
            heard_at,
            line.number,
        )

    # What was settled already is told for its counters: whoever waits for a port goes first.
    is_same = bool(line.acknowledged) and message.report.digest == line.acknowledged
    with nullcontext() if is_same else lines.owing():
        generation = await lines.services.perform(settle, line.subject, may_wait=is_same)
    if acts[-1].acknowledged is not None:
        line.acknowledged = acts[-1].acknowledged
    lines.was_reported(line.uid, by=line)
    if heard_at is not None:
        line.note_contact(heard_at)
    is_own = not message.machine  # of machines behind it, an agent takes no generation from Taken
    if is_own:
        line.was_told(line.uid, generation)
    line.send(Taken(message.id, generation))


async def tell_news(lines: Lines, line: Line) -> None:
    """Read what moved of the line's point and machines, and push it or hint at it."""
    clock = lines.services.clock
    at, now = clock.monotonic(), clock.now()
    nonce, received = line.nonce
    is_fresh = bool(nonce) and at - received < FRESH_SECONDS

    def read(reader: Reader) -> use.News:
        return use.news(
            reader,
            line.uid,
            line.public_key,
            line.generations,
            now,
            line.knows,
            line.holds if is_fresh else frozenset(),
            line.number,
        )

    found = await lines.services.read_few(read)
    if line.is_over:
        return
    told, generations = line.generations, found.generations
    lines.follow(line, generations)
    if told.keys() != generations.keys():
        line.beat()  # which names them: what is named no more is to end, and what is new is asked for
        line.look()  # what of a new one moved between that reading and now woke nobody
    for uid, number in generations.items():
        if told.get(uid) == number:
            continue
        wanted = found.states.get(uid)
        if wanted is None or not _is_pushed(lines, line, wanted, nonce, at - received):
            line.send(Hint(uid, number))


def _is_pushed(lines: Lines, line: Line, wanted: use.Wanted, nonce: str, age: float) -> bool:
    """Send the state in answer to the nonce, unless it is too large for that."""
    text = write(_told(lines, wanted, nonce, age, None))
    if len(text) > LARGEST_PUSH:
        return False
    line.say(text)
    return True


def _told(
    lines: Lines, wanted: use.Wanted, nonce: str, age: float, record: RecordMark | None
) -> Told:
    """``age``: seconds from the receipt of the nonce to ``wanted.now``."""
    desired = counted_from_before(wanted.desired, timedelta(seconds=age))
    desired = replace(desired, installation=lines.services.number.value)
    state = State(desired, wanted.machine_name, wanted.now, record)
    return Told(wanted.desired.machine_uid, nonce, state)
