"""The recovery key, and what a restore from a backup changes in the record that it brings back.

A restore takes back whatever worked once or for a time: used, revoked or replaced since the backup was
made, it would work again (EDGES I7). Requests that wait for approval lapse. Agents' keys stay, and
people's passwords. The installation gets a higher number: whichever server was there before, agents
take nothing from it any more (EDGES H7).
What is not here: the files of a backup (``bootstrap``), keys and signatures (``identity``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Protocol

from bascule.domain.chain import ChainHead
from bascule.domain.facts.installation import (
    BackupMade,
    InstallationRestored,
    RecoveryKeyMade,
)
from bascule.domain.lifecycle import StatusReason
from bascule.domain.restoration import MOST_REASON, MOST_TOLD, Restoration
from bascule.domain.times import format_utc
from bascule.errors import Conflict, NotFound, Problem
from bascule.interfaces.inventory import InventoryReads, InventoryWrites
from bascule.interfaces.record import ChainReads, EventFilter, EventReads, EventWrites
from bascule.interfaces.recovery import RecoveryReads, RecoveryWrites
from bascule.services.act import Act, Services
from bascule.services.grants import end_drains, end_grants
from bascule.services.record import Signer
from bascule.services.seal import seal_all
from bascule.services.waiting import WaitingWrites, find_waiting, lapse

RESTORED = Problem("Restored", "The record was restored from a backup.")
TOTP_STEP = 30  # seconds (RFC 6238)
_FOR_EVER = datetime(9999, 1, 1, tzinfo=UTC)
STEPS_AHEAD = 1  # of a code that a clock which is fast may have been asked for


class RecoveryKeyWrites(EventWrites, RecoveryWrites, Protocol):
    """The key, and the record."""


class RestoreReads(InventoryReads, RecoveryReads, ChainReads, EventReads, Protocol):
    """Of what a restore begins with."""


class RestoreWrites(WaitingWrites, InventoryWrites, RecoveryWrites, ChainReads, Protocol):
    """What a restore changes."""


def keep_recovery_key(
    tx: RecoveryKeyWrites, act: Act, public_key: str, fingerprint: str, *, may_replace: bool
) -> None:
    """Have this be the installation's. Raises Conflict where it has one already."""
    has_one = bool(tx.recovery().public_key)
    if has_one and not may_replace:
        raise Conflict(
            "This installation has a recovery key already. It was printed once, and is not kept here.",
            advice="If it is lost: bascule admin recovery-key --data DIR --replace. To see whether a "
            "key that you have is the right one: --check",
        )
    tx.keep_recovery_key(public_key)
    act.record(tx, RecoveryKeyMade(fingerprint, has_one))


@dataclass(frozen=True, slots=True)
class LastBackup:
    at: datetime
    fact: BackupMade


def last_backup(reader: EventReads) -> LastBackup | None:
    """The last that is on record here."""
    for _, event in reader.events(EventFilter(kinds=(BackupMade.__name__,)), limit=1):
        if isinstance(event.fact, BackupMade):
            return LastBackup(event.at, event.fact)
    return None


@dataclass(frozen=True, slots=True)
class Restoring:
    """What is known of a backup that is restored."""

    host: str
    made_at: datetime
    reason: str
    sign: Callable[[Restoration], Restoration] | None  # None: no recovery key was given


async def settle_restored(
    services: Services,
    signer: Signer,
    restoring: Restoring,
    rotate: Callable[[], Awaitable[object]],
) -> Restoration:
    """Change the record of a backup so that it can go on, before any server uses it.

    ``rotate`` makes a new key that signs tokens and puts that on record; those of before verify nothing any more.
    """
    old = await services.read(_end_of_backup)  # what is sealed after it is new
    await rotate()
    made = await services.perform(lambda tx, act: _void(tx, act, restoring, old))
    await seal_all(services, signer)
    new = await services.read(lambda reader: reader.chain_head())
    whole = replace(made, new=new)
    if restoring.sign is None:
        return whole
    signed = restoring.sign(whole)

    def keep(tx: RecoveryWrites, _: Act) -> None:
        tx.keep_restored((signed, *tx.recovery().restored)[:MOST_TOLD])

    await services.perform(keep)
    return signed


def _end_of_backup(reader: RestoreReads) -> ChainHead:
    """The end of the chain, or where a restore found it that was stopped before it was signed."""
    made = reader.installation()
    newest = reader.events(EventFilter(kinds=(InstallationRestored.__name__,)), limit=1)
    fact = newest[0][1].fact if newest else None
    if made is not None and isinstance(fact, InstallationRestored):
        is_signed = made.number in (each.number for each in reader.recovery().restored)
        if fact.is_signed and fact.number == made.number and not is_signed:
            found = reader.seal_at(fact.position)
            if found is not None:
                return ChainHead(fact.position, found)
    return reader.chain_head()


def _void(tx: RestoreWrites, act: Act, restoring: Restoring, old: ChainHead) -> Restoration:
    made = tx.installation()
    if made is None:
        raise NotFound("There is no installation in this backup.")
    # Of two restores the later one counts, on whichever host: its number is higher.
    number = max(made.number + 1, int(act.now.timestamp()))
    cause = "restore from a backup"
    ended = end_grants(tx, act, tx.live_grants(), StatusReason.USER_REQUESTED, cause)
    end_drains(tx, act, tx.draining_grants_of(None, act.now))
    _end_waiting(tx, act)
    voided = tx.void_used_once(int(act.now.timestamp()) // TOTP_STEP + STEPS_AHEAD)
    tx.move_installation(number, is_arriving=False)
    reason = restoring.reason[:MOST_REASON]
    act.record(
        tx,
        InstallationRestored(
            restoring.host,
            format_utc(restoring.made_at),
            old.position,
            number,
            restoring.sign is not None,
            reason,
            len(ended),
            voided,
        ),
    )
    return Restoration(made.tenant_id, number, act.now, old, old, reason)


def _end_waiting(tx: RestoreWrites, act: Act) -> None:
    """Requests that wait for approval lapse: one that was denied or withdrawn since would wait again."""
    while waiting := [find_waiting(tx, each) for each in tx.over_approvals(_FOR_EVER)]:
        for found in waiting:
            if found is None:
                raise Conflict("A request that waits has lost its policy or its approvals.")
            lapse(tx, act, *found, RESTORED if found[0].starts_at else None)
