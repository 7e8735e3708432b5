"""A person's part of ``bascule login``, and ``bascule logout``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import connect, credentials_of
from bascule.cli.printing import note, say
from bascule.cli.profile import Profile, load_profile, token_path
from bascule.client.tokens import TokenFile
from bascule.errors import BasculeError

if TYPE_CHECKING:
    from bascule.client.reading import Data
    from bascule.client.sign_in import Server


def sign_in_person(profile: Profile, *, by_browser: bool) -> Profile:
    """Sign somebody in and keep the tokens; answer the profile with the name."""
    from bascule.client.connection import trust_file, unreachable  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.https import Https, HttpsFailure  # noqa: PLC0415  # reason: as above
    from bascule.client.sign_in import Server, user_name  # noqa: PLC0415  # reason: as above
    from bascule.client.tokens import read_token  # noqa: PLC0415  # reason: as above
    from bascule.services.clocks import SystemClock  # noqa: PLC0415  # reason: as above

    https = Https(profile.endpoint, trust_file(Path(profile.ca_file)))
    try:
        answer = _ask(Server(https, profile.endpoint, profile.tenant_id), by_browser=by_browser)
    except HttpsFailure as error:
        raise unreachable(profile.endpoint, error) from None
    finally:
        https.close()
    signed_in = replace(profile, user=user_name(answer))
    key = credentials_of(signed_in).key(profile.endpoint)
    TokenFile(token_path()).save(key, read_token(200, answer, SystemClock().now()))
    return signed_in


def _ask(server: Server, *, by_browser: bool) -> Data:
    import webbrowser  # noqa: PLC0415  # reason: as above

    from bascule.client import sign_in  # noqa: PLC0415  # reason: as above

    def tell(page: str, code: str) -> None:
        note(f"To sign in, open {page} on any device and enter the code {code}")
        note("Waiting...")

    def open_page(url: str) -> None:
        note("Your browser opens this page; if it does not, open it yourself:")
        note(url)
        webbrowser.open(url)

    if by_browser:
        return sign_in.by_browser(server, open_page)
    return sign_in.by_device_code(server, tell)


@click.command(epilog="\b\nExamples:\n  bascule logout\n  bascule logout --everywhere")
@click.option(
    "--everywhere", is_flag=True, help="End all your sign-ins, of every program and browser."
)
def logout(everywhere: bool) -> None:
    """End the sign-in and forget its tokens.

    A person's tokens are revoked at the server. A program's id and secret stay in the
    profile: they are the program's, and bascule login replaces them.
    """
    profile = load_profile()
    tokens = TokenFile(token_path())
    token = tokens.load(credentials_of(profile).key(profile.endpoint))
    try:
        if profile.user and (everywhere or token is not None):
            _revoke(profile, token.refresh_token if token is not None else "", everywhere)
    except BasculeError as error:
        note(f"The server was not told: {error.message}")
    tokens.forget()
    say(f"Signed out {profile.who}")


def _revoke(profile: Profile, refresh_token: str, everywhere: bool) -> None:
    from bascule.client.connection import trust_file, unreachable  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.https import Https, HttpsFailure  # noqa: PLC0415  # reason: as above
    from bascule.client.versions import BASCULE_VERSION  # noqa: PLC0415  # reason: as above

    if everywhere:
        with connect(profile) as connection:
            path = f"{connection.subscription}/providers/Bascule.Identity/me/signOut"
            connection.call("POST", path, BASCULE_VERSION)
        return
    https = Https(profile.endpoint, trust_file(Path(profile.ca_file)))
    path = f"/{profile.tenant_id}/oauth2/v2.0/revoke"
    try:
        form = {"client_id": profile.client_id, "token": refresh_token}
        https.request("POST", path, form=form)
    except HttpsFailure as error:
        raise unreachable(profile.endpoint, error) from None
    finally:
        https.close()
