"""``bascule login``: whom to trust, who we are, tried out before it is kept.

A person signs in by a device code, or with ``--browser``; a program by its id and secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.cli.connect import keep_token, try_out
from bascule.cli.person import sign_in_person
from bascule.cli.printing import note, say
from bascule.cli.profile import DEFAULT_GROUP, Profile, config_path, load_profile, save_profile
from bascule.client.endpoint import parse_endpoint
from bascule.client.private_file import write_private
from bascule.domain.clients import BASCULE_CLI
from bascule.domain.ids import is_guid, is_resource_group_name
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    ConfigurationError,
    Forbidden,
    InvalidInput,
    NotFound,
)

if TYPE_CHECKING:
    from bascule.client.connection import Connection
    from bascule.client.tokens import Token


@click.command(
    epilog="""\b
Examples:
  bascule login --endpoint https://bascule.example
  bascule login --endpoint https://bascule.example:8443 --fingerprint 3f2a...
  bascule login --endpoint https://bascule.example:8443 --ca-file ca.pem \\
      --browser
  bascule login --admin-file /var/lib/bascule/admin.json
  bascule login --endpoint https://bascule.example:8443 \\
      --fingerprint 3f2a... --client-id GUID
  bascule login --endpoint https://bascule.example:8443 --ca-file ca.pem \\
      --service-principal -u GUID -p SECRET --tenant GUID
  pass bascule | bascule login --endpoint URL --fingerprint 3f2a... \\
      --client-id GUID --client-secret -"""
)
@click.option(
    "--admin-file",
    type=click.Path(dir_okay=False, path_type=Path, readable=False),
    help="Read all settings from the server's DATA/admin.json.",
)
@click.option("--endpoint", metavar="URL", help="The server's URL: https://HOST:PORT.")
@click.option(
    "--ca-file",
    type=click.Path(dir_okay=False, path_type=Path, readable=False),
    help="PEM of the CA that signed the server's certificate.",
)
@click.option(
    "--fingerprint",
    metavar="HEX",
    help="SHA-256 of the server's CA certificate; the certificate is fetched and trusted.",
)
@click.option(
    "--system-trust",
    "by_system",
    is_flag=True,
    help="Trust the certificates that this computer trusts, in the place of a CA that was pinned "
    "before.",
)
@click.option("-t", "--tenant", metavar="GUID", help="Tenant id. Default: from the server.")
@click.option("--subscription", metavar="GUID", help="Subscription id. Default: the only one.")
@click.option("--group", default=None, help="Resource group for new machines. Default: default.")
@click.option(
    "--browser", "by_browser", is_flag=True, help="Sign in with a browser on this computer."
)
@click.option(
    "--again",
    "is_again",
    is_flag=True,
    help="Sign in to the same server again, and show your second factor again.",
)
@click.option(
    "--service-principal", "is_program", is_flag=True, help="Sign in as a program; named as in az."
)
@click.option(
    "--client-id",
    "-u",
    "--username",
    "client_id",
    metavar="GUID",
    help="The service principal's client id.",
)
@click.option(
    "--client-secret",
    "-p",
    "--password",
    "client_secret",
    metavar="TEXT",
    envvar="BASCULE_CLIENT_SECRET",
    help="Its secret; '-' reads it from stdin. On the command line 'ps' shows it: better use "
    "stdin, BASCULE_CLIENT_SECRET or the prompt.",
)
def login(
    admin_file: Path | None,
    endpoint: str | None,
    ca_file: Path | None,
    fingerprint: str | None,
    by_system: bool,
    tenant: str | None,
    subscription: str | None,
    group: str | None,
    by_browser: bool,
    is_again: bool,
    is_program: bool,
    client_id: str | None,
    client_secret: str | None,
) -> None:
    """Sign in to a server and save the sign-in.

    If this computer trusts the server's certificate, that is enough. Otherwise give --fingerprint or
    --ca-file; both are kept, and from then on only that CA is trusted for this server.

    By default it prints a page and a code: open the page on any device, sign in there, and
    enter the code. A program signs in with its id and secret. The saved file can be read only
    by you; bascule logout signs out.
    """
    if by_system and (ca_file is not None or fingerprint is not None or admin_file is not None):
        raise InvalidInput(
            "--system-trust says to go by this computer's certificates; --ca-file, --fingerprint and "
            "--admin-file name another one."
        )
    if is_program and admin_file is not None:
        raise InvalidInput("Give either --admin-file or --service-principal with -u and -p.")
    given = {
        "endpoint": endpoint,
        "ca_file": str(ca_file.absolute()) if ca_file is not None else None,
        "tenant_id": tenant,
        "subscription_id": subscription,
        "resource_group": group,
        "client_id": client_id,
        "client_secret": client_secret,
    }
    known = _read_admin(admin_file) if admin_file is not None else {}
    if is_again:
        known |= _as_before(is_program=is_program or admin_file is not None)
    known |= {name: value for name, value in given.items() if value is not None}
    asked = known.get("endpoint") or _ask("Endpoint", "Server (https://host:port)")
    known["endpoint"] = parse_endpoint(asked, "--endpoint")
    if fingerprint is not None:
        known["ca_file"] = _pin(known["endpoint"], fingerprint)
    elif by_system:
        known["ca_file"] = ""
    elif "ca_file" not in known:
        known["ca_file"] = _known_pin(known["endpoint"]) or _trust_system(known["endpoint"])
    is_program = is_program or bool(known.get("client_id") or known.get("client_secret"))
    if by_browser and is_program:
        raise InvalidInput("--browser is for people; a program signs in with its id and secret.")
    profile, token = _sign_in(
        known, is_program=is_program, by_browser=by_browser, is_again=is_again
    )
    path = save_profile(profile)
    keep_token(profile, token)  # last: a sign-in that fails leaves the one before as it was
    say(f"Signed in to {profile.endpoint} as {profile.who}")
    note(f"Saved in {path}. Next: bascule machine list")


def _sign_in(
    known: Mapping[str, str], *, is_program: bool, by_browser: bool, is_again: bool = False
) -> tuple[Profile, Token]:
    """A profile whose credentials the server took; what it says of itself is filled in."""
    group = known.get("resource_group", DEFAULT_GROUP)
    if not is_resource_group_name(group):
        raise InvalidInput(f"{group[:90]!r} is not a valid resource group name.", target="--group")
    profile = Profile(
        endpoint=known["endpoint"],
        ca_file=known["ca_file"],
        tenant_id=_guid("tenant", known.get("tenant_id") or _tenant(known)),
        subscription_id=known.get("subscription_id", ""),
        client_id=BASCULE_CLI,
        client_secret="",
        resource_group=group,
    )
    token = None
    if is_program:
        profile = replace(
            profile,
            client_id=known.get("client_id") or _ask("Client id"),
            client_secret=_secret(known.get("client_secret", "")),
        )
    else:
        profile, token = sign_in_person(profile, by_browser=by_browser, is_again=is_again)
    with try_out(profile, token) as connection:
        if is_program:
            connection.sign_in()
        found = profile.subscription_id or _subscription(connection, profile.user)
        signed_in = replace(profile, subscription_id=_guid("subscription", found))
        if is_program:
            connection.subscription_id = signed_in.subscription_id
            signed_in = replace(signed_in, name=_name(connection))
        return signed_in, connection.token()


def _as_before(*, is_program: bool) -> dict[str, str]:
    """Where the saved sign-in leads to; raises where it is no person's."""
    before = load_profile()
    if is_program or before.client_secret:
        raise InvalidInput("--again is for people: a program has no second factor.")
    return {
        "endpoint": before.endpoint,
        "ca_file": before.ca_file,
        "tenant_id": before.tenant_id,
        "subscription_id": before.subscription_id,
        "resource_group": before.resource_group,
    }


def _name(connection: Connection) -> str:
    """What the server calls us; empty when it does not tell: the sign-in is good all the same."""
    from bascule.client.principals import whoami  # noqa: PLC0415  # reason: slow to load, --help must not wait

    try:
        return whoami(connection).name
    except BasculeError:
        return ""


def _secret(given: str) -> str:
    if given == "-":
        return sys.stdin.readline().rstrip("\r\n")
    return given or _ask("Client secret", is_hidden=True)


def _guid(what: str, value: str) -> str:
    if not is_guid(value):
        raise InvalidInput(f"The {what} id {value[:60]!r} is not a GUID.", target=f"--{what}")
    return value.lower()


def _tenant(known: Mapping[str, str]) -> str:
    from bascule.client.connection import trust_of  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.discovery import find_tenant  # noqa: PLC0415  # reason: as above

    return find_tenant(known["endpoint"], trust_of(known["ca_file"]))


def _subscription(connection: Connection, person: str) -> str:
    from bascule.client.discovery import list_subscriptions  # noqa: PLC0415  # reason: as above

    try:
        found = list_subscriptions(connection)
    except NotFound:
        found = []  # a server that does not tell
    if len(found) == 1:
        return found[0]
    if person and not found:
        raise Forbidden(
            f"{person} is signed in but has no role here yet.",
            advice="Ask an owner for a role (bascule role assign), then sign in again.",
        )
    raise InvalidInput(
        f"Choose a subscription with --subscription: {', '.join(found)}"
        if found
        else "The server did not name its subscription: give --subscription GUID.",
        target="--subscription",
        advice="It is in the server's DATA/admin.json.",
    )


def _ask(what: str, question: str = "", *, is_hidden: bool = False) -> str:
    """``what`` is in the words of the option that gives it."""
    if not sys.stdin.isatty():
        option = f"--{what.lower().replace(' ', '-')}"
        raise InvalidInput(
            f"{what} is missing, and there is no terminal to ask for it.",
            advice=f"Give it as {option}; see bascule login --help.",
        )
    answer: str = click.prompt(question or what, hide_input=is_hidden, err=True)
    return answer.strip()


def _read_admin(path: Path) -> dict[str, str]:
    try:
        data = json.loads(path.read_text())
        known = {str(name): str(value) for name, value in data.items()}
    except (OSError, ValueError, AttributeError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise ConfigurationError(
            f"{path} cannot be read: {why}.",
            advice="This file is in the server's data directory, and only its owner may read it.",
        ) from None
    ca = known.pop("ca", "")
    if "ca_file" in known:  # a relative one is meant from where it stands
        known["ca_file"] = str(path.absolute().parent / known["ca_file"])
    if ca and not _is_beside(path, known.get("ca_file", "")):
        known["ca_file"] = _keep_ca(path, ca)
    return known


def _is_beside(admin_file: Path, ca_file: str) -> bool:
    """Is this the server's own admin.json? The CA beside it is then the newest that there is."""
    if not ca_file:
        return False
    place = Path(ca_file)
    return place.is_file() and place.resolve().parent == admin_file.resolve().parent


def _keep_ca(admin_file: Path, ca: str) -> str:
    """Keep the CA that a copy of admin.json carries; the path that it is kept at."""
    import hashlib  # noqa: PLC0415  # reason: slow to load, --help must not wait
    import ssl  # noqa: PLC0415  # reason: as above

    try:
        der = ssl.PEM_cert_to_DER_cert(ca)
    except ValueError:
        raise ConfigurationError(
            f"The CA's certificate in {admin_file} is damaged.",
            advice="Copy the file from the server again, or give --ca-file or --fingerprint.",
        ) from None
    return _keep(ca, hashlib.sha256(der).hexdigest())


def _known_pin(endpoint: str) -> str:
    """The CA that this computer was given for that server; empty: none. Who was given one never goes by
    the system's store without saying so (EDGES I5).
    """
    try:
        before = load_profile()
    except AuthenticationFailed:
        return ""
    except ConfigurationError as error:  # it may have named a CA
        raise InvalidInput(
            f"Which CA was trusted here before is not known: {error.message}",
            advice="Say whom to trust: --fingerprint HEX, --ca-file FILE or --system-trust.",
        ) from None
    return before.ca_file if before.endpoint == endpoint else ""


def _trust_system(endpoint: str) -> str:
    """An empty name of a file, where the system's store suffices; raises InvalidInput otherwise."""
    from bascule.client.connection import trust_of  # noqa: PLC0415  # reason: slow to load, --help must not wait
    from bascule.client.https import Https, HttpsFailure  # noqa: PLC0415  # reason: as above
    from bascule.client.obstacles import unreachable  # noqa: PLC0415  # reason: as above

    https = Https(endpoint, trust_of(""))
    try:
        https.request("GET", "/healthz", patience=10.0, within=20.0, largest=64 * 1024)
    except HttpsFailure as error:
        why = unreachable(endpoint, error)
        if why.specific_code != "CertificateNotTrusted":
            raise why from None
        raise InvalidInput(
            f"{why.message} Without --ca-file FILE or --fingerprint HEX only certificates that this "
            "computer trusts are accepted.",
            advice="On the server: openssl x509 -in DATA/ca.pem -noout -fingerprint -sha256",
        ) from None
    finally:
        https.close()
    return ""


def _pin(endpoint: str, fingerprint: str) -> str:
    from bascule.client.pin import fetch_ca, parse_fingerprint  # noqa: PLC0415  # reason: slow to load, --help must not wait

    wanted = parse_fingerprint(fingerprint)
    content = fetch_ca(endpoint, wanted)
    return _keep(content, wanted)


def _keep(ca: str, fingerprint: str) -> str:
    """By its fingerprint, so that a sign-in that fails leaves the one before as it was."""
    path = config_path().with_name(f"ca-{fingerprint[:16]}.pem")
    write_private(path, ca)
    return str(path.absolute())
