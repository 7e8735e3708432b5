"""A person's part of ``bascule login``, and ``bascule logout``."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import click

from bascule.cli.connect import connect, credentials_of
from bascule.cli.printing import note, say
from bascule.cli.profile import Profile, load_profile, token_path
from bascule.client.tokens import Token, TokenFile
from bascule.errors import AuthenticationFailed, BasculeError

if TYPE_CHECKING:
    from bascule.client.reading import Data
    from bascule.client.sign_in import Server

RENEWAL_PAGE = "/portal/account/second-factor"  # asks for the second factor, then leads on


def sign_in_person(
    profile: Profile, *, by_browser: bool, is_again: bool = False
) -> tuple[Profile, Token]:
    """Sign somebody in; the profile with the name, and the tokens, which are not kept yet."""
    from bascule.client.connection import trust_of  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.https import Https, HttpsFailure  # noqa: PLC0415  # reason: as above
    from bascule.client.obstacles import unreachable  # noqa: PLC0415  # reason: as above
    from bascule.client.sign_in import Server, user_name  # noqa: PLC0415  # reason: as above
    from bascule.client.tokens import read_token  # noqa: PLC0415  # reason: as above
    from bascule.clocks import SystemClock  # noqa: PLC0415  # reason: as above

    https = Https(profile.endpoint, trust_of(profile.ca_file))
    try:
        server = Server(https, profile.endpoint, profile.tenant_id)
        answer = _ask(server, by_browser=by_browser, is_again=is_again)
    except HttpsFailure as error:
        raise unreachable(profile.endpoint, error) from None
    finally:
        https.close()
    return replace(profile, user=user_name(answer)), read_token(200, answer, SystemClock().now())


def _renewing(url: str, endpoint: str) -> str:
    """The page that asks for the second factor, and then leads to this one of the same server."""
    leads_to = url.removeprefix(endpoint)
    return f"{endpoint}{RENEWAL_PAGE}?{urlencode({'next': leads_to})}"


def _ask(server: Server, *, by_browser: bool, is_again: bool) -> Data:
    import webbrowser  # noqa: PLC0415  # reason: as above

    from bascule.client import sign_in  # noqa: PLC0415  # reason: as above

    def tell(page: str, code: str) -> None:
        page = _renewing(page, server.endpoint) if is_again else page
        note(f"To sign in, open {page} on any device and enter the code {code}")
        note("Waiting...")

    def open_page(url: str) -> None:
        url = _renewing(url, server.endpoint) if is_again else url
        note("Your browser should open this page; if it does not, open it yourself:")
        note(url)
        webbrowser.open(url)

    if by_browser:
        return sign_in.by_browser(server, open_page)
    try:
        return sign_in.by_device_code(server, tell)
    except sign_in.NoDeviceCode as error:
        note(f"{error.message} Signing in with a browser on this computer instead.")
        return sign_in.by_browser(server, open_page)


@click.command(epilog="\b\nExamples:\n  bascule logout\n  bascule logout --everywhere")
@click.option("--everywhere", is_flag=True, help="Sign out of all programs and browsers.")
def logout(everywhere: bool) -> None:
    """Sign out and delete the tokens.

    A person's tokens are revoked on the server. If that fails, they are deleted here all the
    same (with --everywhere kept, to try again), and the exit code is not 0. A program's id and
    secret stay in the profile; bascule login replaces them.
    """
    profile = load_profile()
    tokens = TokenFile(token_path())
    if profile.user and everywhere:
        _sign_out_everywhere(profile)  # raises: the token stays, nothing else can try again
    elif profile.user:
        token = tokens.load(credentials_of(profile).key(profile.endpoint))
        if token is not None:
            _revoke_and_forget(profile, token.refresh_token, tokens)
    tokens.forget()
    say(f"Signed out {profile.who}")


def _sign_out_everywhere(profile: Profile) -> None:
    from bascule.client.versions import BASCULE_VERSION  # noqa: PLC0415  # reason: slow to load, --help must not wait

    try:
        with connect(profile) as connection:
            path = f"{connection.subscription}/providers/Bascule.Identity/me/signOut"
            connection.call("POST", path, BASCULE_VERSION)
    except BasculeError as error:
        advice = (
            "Sign in again: bascule login, then bascule logout --everywhere."
            if isinstance(error, AuthenticationFailed)
            else "The tokens on this computer were kept. To try again: bascule logout --everywhere."
        )
        raise _because(error, "You may still be signed in elsewhere", advice) from None


def _revoke_and_forget(profile: Profile, refresh_token: str, tokens: TokenFile) -> None:
    try:
        _revoke(profile, refresh_token)
    except BasculeError as error:
        tokens.forget()
        raise _because(
            error,
            "The tokens on this computer were deleted, but not revoked on the server",
            "To revoke them: bascule login, then bascule logout --everywhere.",
        ) from None


def _because(error: BasculeError, what: str, advice: str) -> BasculeError:
    """The same error, so that the exit code stays, with what it means for signing out."""
    message = f"{what}: {error.message}"
    return type(error)(message, advice=advice, code=error.specific_code, problems=error.problems)


def _revoke(profile: Profile, refresh_token: str) -> None:
    """Tell the server; raises unless it says that it is done: 200 alone (RFC 7009 section 2.2)."""
    from bascule.client.connection import trust_of  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.failures import failure  # noqa: PLC0415  # reason: as above
    from bascule.client.https import Https, HttpsFailure  # noqa: PLC0415  # reason: as above
    from bascule.client.obstacles import unreachable  # noqa: PLC0415  # reason: as above
    from bascule.client.sign_in import read_page  # noqa: PLC0415  # reason: as above

    https = Https(profile.endpoint, trust_of(profile.ca_file))
    path = f"/{profile.tenant_id}/oauth2/v2.0/revoke"
    try:
        form = {"client_id": profile.client_id, "token": refresh_token}
        status, answer = read_page(https.request("POST", path, form=form))
    except HttpsFailure as error:
        raise unreachable(profile.endpoint, error) from None
    finally:
        https.close()
    if status != 200:
        raise failure(status, answer)
