"""``bascule sp``: service principals, the programs that sign in, and their credentials."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.parameters import SpanType
from bascule.cli.principal import (
    credential_json,
    find_principal,
    principal_json,
    state_words,
    tell_secret,
)
from bascule.cli.principal_commands import Kind, add_shared, state
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import show_instant
from bascule.client import principals
from bascule.client.principals import SERVICES, Principal
from bascule.errors import InvalidInput, NotFound

_LONGEST = timedelta(days=730)
_CERTIFICATE = click.Path(exists=True, dir_okay=False, path_type=Path)
_FOR = click.option(
    "--for",
    "span",
    type=SpanType(timedelta(minutes=1), _LONGEST),
    default=None,
    metavar="DURATION",
    help="How long it is valid, at most 730d. Default: 365d.",
)
_LABEL = click.option("--label", default="", metavar="TEXT", help="A note on what uses it.")


@click.group(
    epilog="""\b
Examples:
  bascule sp add ci
  bascule sp add-secret ci --label "new host" --for 90d
  bascule sp show ci"""
)
def sp() -> None:
    """Service principals: programs that sign in."""


def _json(found: Principal) -> dict[str, object]:
    credentials = [credential_json(each) for each in found.credentials]
    return {**principal_json(found), "credentials": credentials}


def _last_end(one: Principal, now: datetime) -> str:
    ends = [key.expires_at for key in one.credentials if key.expires_at is not None]
    return show_instant(max(ends), now) if ends else "never" if one.credentials else "none"


add_shared(
    sp,
    Kind(
        SERVICES,
        "a service principal",
        "ci",
        {
            "SERVICE PRINCIPAL": lambda one, _: one.name,
            "STATE": state,
            "CREDENTIALS": lambda one, _: len(one.credentials),
            "LAST ENDS": _last_end,
            "CLIENT ID": lambda one, _: one.id,
        },
        json=_json,
    ),
)


@sp.command(epilog="\b\nExamples:\n  bascule sp show ci")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show a service principal and its credentials."""
    with connect() as connection:
        found = find_principal(connection, SERVICES, name)
        now = connection.now()
    if output == "json":
        emit_json(_json(found))
        return
    say(f"name       {found.name}")
    say(f"state      {state_words(found)}")
    say(f"open       {found.live_grants}")
    say(f"client id  {found.id}")
    say("")
    print_table(
        ["KEY", "KIND", "LABEL", "ENDS"],
        [
            [
                each.key_id,
                each.kind,
                each.display_name,
                "never" if each.expires_at is None else show_instant(each.expires_at, now),
            ]
            for each in found.credentials
        ],
    )


@sp.command(
    epilog="""\b
Examples:
  bascule sp add ci
  bascule sp add ci --certificate ci.pem --for 180d"""
)
@click.argument("name")
@click.option("--certificate", type=_CERTIFICATE, help="Certificate (PEM) instead of a secret.")
@_LABEL
@_FOR
@output_option
def add(
    name: str, certificate: Path | None, label: str, span: timedelta | None, output: str
) -> None:
    """Add a service principal with a first credential.

    Without --certificate the credential is a secret, which is printed once. A new service
    principal has no rights: give it a role with bascule role assign.
    """
    pem = _read(certificate) if certificate else ""
    with connect() as connection:
        ends_at = connection.now() + span if span else None
        made = principals.create_principal(
            connection,
            SERVICES,
            {
                "displayName": name,
                "credential": principals.credential_body(label, ends_at, pem),
            },
        )
        tenant = connection.endpoint
    if output == "json":
        emit_json(_json(made))
        return
    note(f"{made.name} added; its client id is {made.id}")
    for each in made.credentials:
        tell_secret(each)
    note(f"Sign in with it: bascule login --endpoint {tenant} --service-principal -u {made.id}")


@sp.command(
    "add-secret",
    epilog="""\b
Examples:
  bascule sp add-secret ci --label "new host"
  bascule sp add-secret ci --for 90d > secret.txt""",
)
@click.argument("name")
@_LABEL
@_FOR
@output_option
def add_secret(name: str, label: str, span: timedelta | None, output: str) -> None:
    """Add a secret, which is printed once.

    Existing credentials stay valid; remove the old one later.
    """
    _add_credential(name, label, span, "", output)


@sp.command("add-certificate", epilog="\b\nExamples:\n  bascule sp add-certificate ci new.pem")
@click.argument("name")
@click.argument("file", type=_CERTIFICATE)
@_LABEL
@_FOR
@output_option
def add_certificate(name: str, file: Path, label: str, span: timedelta | None, output: str) -> None:
    """Let a service principal sign in with a certificate too.

    FILE is PEM. Its key is RSA with at least 2048 bits, or EC on P-256.
    """
    _add_credential(name, label, span, _read(file), output)


def _add_credential(name: str, label: str, span: timedelta | None, pem: str, output: str) -> None:
    with connect() as connection:
        found = find_principal(connection, SERVICES, name)
        ends_at = connection.now() + span if span else None
        body = principals.credential_body(label, ends_at, pem)
        made = principals.add_credential(connection, found.id, body)
        now = connection.now()
    if output == "json":
        emit_json(credential_json(made))
        return
    until = f" until {show_instant(made.expires_at, now)}" if made.expires_at else ""
    note(f"{found.name} has a new {made.kind}, key {made.key_id},{until}")
    tell_secret(made)


@sp.command(
    "remove-credential",
    epilog="\b\nExamples:\n  bascule sp remove-credential ci 1f0c2d3e-...",
)
@click.argument("name")
@click.argument("key")
@yes_option
def remove_credential(name: str, key: str, is_sure: bool) -> None:
    """Remove a credential.

    KEY is the key id in bascule sp show; its first characters are enough.
    """
    with connect() as connection:
        found = find_principal(connection, SERVICES, name)
        key_id = _key(found, key)
        confirm(
            f"Programs that sign in as {found.name} with {key_id} are refused from then on.",
            is_sure=is_sure,
        )
        principals.remove_credential(connection, found.id, key_id)
    say(f"the credential {key_id} of {found.name} is removed")


def _key(found: Principal, wanted: str) -> str:
    fitting = [each.key_id for each in found.credentials if each.key_id.startswith(wanted.lower())]
    if not fitting or not wanted:
        raise NotFound(
            f"{found.name} has no credential {wanted!r}.",
            advice=f"To see its credentials: bascule sp show {found.name}",
        )
    if len(fitting) > 1:
        raise InvalidInput(
            f"{len(fitting)} credentials begin with {wanted!r}. Give more characters."
        )
    return fitting[0]


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, ValueError):
        raise InvalidInput(
            f"{path} cannot be read as PEM.",
            advice="To convert it to PEM: openssl x509 -inform der -in FILE -out FILE.pem",
        ) from None
