"""An operator's certificate at a running server: its files are looked at again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import structlog

from bascule.domain.facts.fact import Fact
from bascule.domain.facts.installation import ServerCertificateRefused, ServerCertificateTaken
from bascule.domain.times import format_utc
from bascule.errors import BasculeError, ConfigurationError
from bascule.identity.own_certificate import NotValidNow, OwnCertificate, Taken
from bascule.services.act import Services

log = structlog.get_logger("bascule.server")

ROUND = 1.0  # seconds
SETTLES = (
    3  # rounds for which two files may differ before that is told: they are not written at once
)


def take_own(
    files: tuple[Path, Path] | None, names: Sequence[str], now: datetime
) -> OwnCertificate | None:
    """At a start. Raises ConfigurationError for what can never be served.

    One that is over, or that begins later, keeps no server from starting: agents do not need it, and a
    restart must not fail because a certificate was not renewed. It is taken up when it can be.
    """
    if files is None:
        return None
    own = OwnCertificate(*files, names)
    try:
        _tell(own.take_up(now))
    except NotValidNow as error:
        log.error("certificate not used", reason=error.message, advice=error.advice)
    return own


async def follow_own(own: OwnCertificate | None, services: Services) -> None:
    """Take up the files when they change; run until cancelled. None: there are none."""
    if own is None:
        return
    endpoint = "" if services.replica is None else services.replica.endpoint
    told = ""
    if own.problem:
        told = own.problem
        await _record(services, ServerCertificateRefused(endpoint, told))
    waited = 0
    while True:
        await asyncio.sleep(ROUND)
        now = services.clock.now()
        if own.has_changed():
            waited = 0
        elif not own.may_be_good_now(now) and not 0 < waited < SETTLES:
            continue
        try:
            taken = await asyncio.to_thread(own.take_up, now)
        except ConfigurationError as error:
            waited += 1
            if waited >= SETTLES and error.message != told:
                told = error.message
                log.error("certificate not used", reason=error.message, advice=error.advice)
                await _record(services, ServerCertificateRefused(endpoint, error.message))
            continue
        waited, told = 0, ""
        _tell(taken)
        ends_at = format_utc(taken.ends_at)
        await _record(
            services, ServerCertificateTaken(endpoint, taken.names, taken.fingerprint, ends_at)
        )


def _tell(taken: Taken) -> None:
    log.info(
        "certificate used",
        names=taken.names,
        ends_at=format_utc(taken.ends_at),
        fingerprint=taken.fingerprint,
    )
    for warning in taken.warnings:
        log.warning("certificate used", but=warning)


async def _record(services: Services, fact: Fact) -> None:
    """What cannot be recorded was logged; the certificate counts all the same."""
    try:
        await services.perform(lambda tx, act: act.record(tx, fact))
    except BasculeError as error:
        log.error("event not recorded", why=error.message)
