"""The connection of a command to the server that the profile names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bascule.cli.profile import Profile, load_profile, token_path
from bascule.client.tokens import Credentials, Person, Token, TokenFile
from bascule.clocks import SystemClock

if TYPE_CHECKING:
    from bascule.client.connection import Connection


def connect(profile: Profile | None = None) -> Connection:
    """Open it; raises AuthenticationFailed when nobody is signed in. Nothing is sent yet."""
    return _open(profile or load_profile(), TokenFile(token_path()), None)


def try_out(profile: Profile, token: Token | None) -> Connection:
    """One that leaves no trace here: whether this sign-in will do is still to be seen."""
    return _open(profile, TokenFile(None), token)


def keep_token(who: Profile, token: Token) -> None:
    """For the next commands, in the place of the one before."""
    TokenFile(token_path()).save(credentials_of(who).key(who.endpoint), token)


def _open(who: Profile, token_file: TokenFile, token: Token | None) -> Connection:
    from bascule.client.connection import Connection, trust_of  # noqa: PLC0415  # reason: slow to load, --help must not wait

    return Connection(
        who.endpoint,
        who.subscription_id,
        credentials_of(who),
        trust_of(who.ca_file),
        SystemClock(),
        token_file,
        token,
    )


def credentials_of(who: Profile) -> Credentials | Person:
    if who.user:
        return Person(who.tenant_id, who.client_id, who.user)
    return Credentials(who.tenant_id, who.client_id, who.client_secret)
