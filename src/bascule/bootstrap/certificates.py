"""What a running server does about certificates: its own, its CA, and what ends soon."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from bascule.bootstrap.data_directory import ADMIN_FILE, AdminFile

if TYPE_CHECKING:
    from bascule.api.context import AppState


async def follow_certificates(state: AppState) -> None:
    """Run until cancelled."""
    from bascule.api.ca_rotation import follow_rotation
    from bascule.api.own_certificate import follow_own
    from bascule.identity.x509 import ends_of
    from bascule.services.endings import keep_telling

    admin_file = AdminFile(state.ca_file.with_name(ADMIN_FILE))
    await asyncio.gather(
        keep_telling(state.services, state.certificates, ends_of),
        follow_own(state.own_certificate, state.services),
        follow_rotation(state, lambda: admin_file.carry(state.ca_file)),
    )
