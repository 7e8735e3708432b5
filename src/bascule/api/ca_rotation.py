"""A rotation of the CA at a running server: its steps are taken up, recorded, and told to agents."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from cryptography import x509

from bascule.api.context import AppState
from bascule.domain.facts.installation import CaRotated
from bascule.errors import BasculeError
from bascule.identity.ca_rotation import Rotation
from bascule.identity.x509 import fingerprint
from bascule.services.act import Services
from bascule.services.ca_rotation import note_step

log = structlog.get_logger("bascule.server")

ROUND = 1.0  # seconds


def step_of(rotation: Rotation) -> CaRotated:
    ca = x509.load_pem_x509_certificate(rotation.ca.encode())
    return CaRotated(str(rotation.phase), rotation.number, fingerprint(ca), rotation.is_compromised)


async def follow_rotation(state: AppState, carry: Callable[[], None]) -> None:
    """Take up each step within a second; run until cancelled. ``carry`` brings the CA to ``admin.json``."""
    keeper = state.keeper
    if keeper is None:
        return
    unrecorded = keeper.rotation  # it may have been made while no server ran
    told = ""  # why a step is not taken up; said once
    while True:
        try:
            if keeper.take_rotation(state.services.clock.now()) and keeper.rotation is not None:
                unrecorded = keeper.rotation
                log.info("CA rotated", step=str(unrecorded.phase), number=unrecorded.number)
                state.lines.tell_trust()
                carry()
            if unrecorded is not None:
                await _record(state.services, unrecorded)
                unrecorded = None
            told = ""
        except BasculeError as error:
            if error.message != told:
                told = error.message
                log.error("rotation of the CA not taken up", why=told, advice=error.advice)
        except Exception:
            log.exception("rotation of the CA not taken up")
        await asyncio.sleep(ROUND)


async def _record(services: Services, rotation: Rotation) -> None:
    step = step_of(rotation)
    await services.perform(lambda tx, act: note_step(tx, act, step))
