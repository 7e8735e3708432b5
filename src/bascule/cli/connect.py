"""The connection of a command to the server that the profile names."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bascule.cli.profile import Profile, load_profile, token_path
from bascule.client.tokens import Credentials, Person, TokenFile
from bascule.services.clocks import SystemClock

if TYPE_CHECKING:
    from bascule.client.connection import Connection


def connect(profile: Profile | None = None) -> Connection:
    """Open it; raises AuthenticationFailed when nobody is signed in. Nothing is sent yet."""
    from bascule.client.connection import Connection, trust_file  # noqa: PLC0415  # reason: slow to load, --help must not wait

    who = profile or load_profile()
    return Connection(
        who.endpoint,
        who.subscription_id,
        credentials_of(who),
        trust_file(Path(who.ca_file)),
        SystemClock(),
        TokenFile(token_path()),
    )


def credentials_of(who: Profile) -> Credentials | Person:
    if who.user:
        return Person(who.tenant_id, who.client_id, who.user)
    return Credentials(who.tenant_id, who.client_id, who.client_secret)
