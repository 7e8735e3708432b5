"""What of an installation ends when: certificates, and secrets of programs; told in time.

``list_endings`` is what commands, pages and metrics show. ``tell_endings`` records each end once for
each number of days of ``domain.endings.THRESHOLDS``. What renews itself is told only where it did not.
What ends without loss is not here: sign-ins, tokens, invitations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from bascule.domain.endings import WARNED_AHEAD, Ending, Ends
from bascule.domain.facts.installation import EndingNear
from bascule.domain.principals import CredentialKind
from bascule.domain.times import format_utc
from bascule.errors import BasculeError
from bascule.interfaces.delivery import DeliveryReads
from bascule.interfaces.endings import EndingReads, EndingWrites
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.record import EventWrites
from bascule.services.act import Act, Services

log = structlog.get_logger("bascule.server")

ROUND = 3600.0  # seconds
RETRY = 30.0
SHOWN_FOR = timedelta(days=30)  # after its end

# When the certificates of a PEM text end; empty: it has none that can be read.
ReadEnds = Callable[[str], Sequence[datetime]]


class ListReads(EndingReads, DeliveryReads, ProviderReads, Protocol):
    """All that has an end."""


class TellWrites(ListReads, EndingWrites, EventWrites, Protocol):
    """The same, and the record."""


def list_endings(
    reader: ListReads, certificates: Sequence[Ending], read_ends: ReadEnds, now: datetime
) -> Sequence[Ending]:
    """What ends, the soonest first: ``certificates`` of a server, whenever they end, and of what the
    database has, what ends within 60 days or ended within the last 30.
    """
    found = [*certificates, *_of_database(reader, read_ends, now)]
    return sorted(found, key=lambda each: (each.ends_at, each.what, each.id))


def near_endings(
    reader: ListReads, certificates: Sequence[Ending], read_ends: ReadEnds, now: datetime
) -> Sequence[Ending]:
    """Those of ``list_endings`` that people should do something about."""
    found = list_endings(reader, certificates, read_ends, now)
    return [each for each in found if each.threshold(now) is not None]


def _of_database(reader: ListReads, read_ends: ReadEnds, now: datetime) -> Iterator[Ending]:
    since, until = now - SHOWN_FOR, now + WARNED_AHEAD
    for credential, holder in reader.credentials_ending(since, until):
        is_secret = credential.kind is CredentialKind.SECRET
        what = Ends.CLIENT_SECRET if is_secret else Ends.CLIENT_CERTIFICATE
        name = f"{holder} ({credential.display_name})" if credential.display_name else holder
        if credential.expires_at is not None:
            yield Ending(what, credential.key_id, name, credential.expires_at)
    pems = [
        *((Ends.SINK_CA, each.id, each.name, each.ca_certificates) for each in reader.sinks()),
        *(
            (Ends.PROVIDER_CA, each.id, each.name, each.ca or "")
            for each in reader.identity_providers()
        ),
    ]
    for what, its_id, name, pem in pems:
        for ends_at in read_ends(pem) if pem else ():
            if since < ends_at <= until:  # one that ended long ago says nothing of the others
                yield Ending(what, its_id, name, ends_at)


def tell(
    tx: TellWrites, act: Act, certificates: Sequence[Ending], read_ends: ReadEnds
) -> Sequence[Ending]:
    """Record what came nearer to its end than was told before; answers those."""
    news = _news(tx, certificates, read_ends, act.now)
    for ending, days in news:
        tx.put_told_ending(_key(ending), ending.ends_at, days)
        ends_at = format_utc(ending.ends_at)
        act.record(tx, EndingNear(str(ending.what), ending.name, ends_at, days))
    tx.forget_told_endings(act.now - SHOWN_FOR)
    return [ending for ending, _ in news]


def _news(
    reader: ListReads, certificates: Sequence[Ending], read_ends: ReadEnds, now: datetime
) -> list[tuple[Ending, int]]:
    before = reader.told_endings()
    found = []
    for ending in near_endings(reader, certificates, read_ends, now):
        days, known = ending.threshold(now), before.get((_key(ending), ending.ends_at))
        if days is not None and (known is None or days < known) and now < ending.ends_at:
            found.append((ending, days))
    return found


def _key(ending: Ending) -> str:
    return f"{ending.what}/{ending.id}"


async def keep_telling(
    services: Services, certificates: Callable[[], Sequence[Ending]], read_ends: ReadEnds
) -> None:
    """Tell at the start and hourly, until cancelled. Each server tells of its own certificates; what all
    have is told by whichever is first.
    """
    while True:
        pause = ROUND
        try:
            await tell_endings(services, certificates(), read_ends)
        except BasculeError as error:
            log.error("ends not told", why=error.message)
            pause = RETRY
        except Exception:  # a row that somebody damaged, a fault of ours
            log.exception("ends not told")
        await asyncio.sleep(pause)


async def tell_endings(
    services: Services, certificates: Sequence[Ending], read_ends: ReadEnds
) -> None:
    """One round; a transaction only where there is something to tell."""
    now = services.clock.now()
    if not await services.read(lambda reader: _news(reader, certificates, read_ends, now)):
        return
    told = await services.perform(lambda tx, act: tell(tx, act, certificates, read_ends))
    for ending in told:
        log.warning(
            "ends soon",
            what=str(ending.what),
            name=ending.name,
            ends_at=format_utc(ending.ends_at),
            days_left=ending.days_left(now),
        )
