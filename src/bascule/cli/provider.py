"""``bascule provider``: external identity providers, and whom each of them knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import show_instant
from bascule.client import providers
from bascule.client.providers import Known, Provider
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput

F = TypeVar("F", bound=Callable[..., Any])
_FILE = click.Path(exists=True, dir_okay=False, allow_dash=True, path_type=Path)
FAILED = 1


class MappingType(click.ParamType[tuple[str, str]]):
    """``VALUE=GROUP``; the group's name holds no ``=``, a value may."""

    name = "mapping"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        said, separator, group = str(value).rpartition("=")
        if not (said and separator and group):
            self.fail(f"{value!r} is not VALUE=GROUP, as in ops=operators.", param, ctx)
        return said, group


def settings_options(command: F) -> F:
    """What ``add`` and ``change`` take alike; what is not given stays as it is."""
    for option in reversed(
        (
            click.option("--display-name", metavar="TEXT", help="Its name on the sign-in page."),
            click.option(
                "--client-id", metavar="ID", help="The client id that the provider assigned."
            ),
            click.option(
                "--secret-file",
                type=_FILE,
                metavar="FILE",
                help="File with the client secret; '-' is stdin.",
            ),
            click.option(
                "--scope",
                "scopes",
                multiple=True,
                help="Scopes to request; repeatable. Replaces all previous scopes.",
            ),
            click.option(
                "--domain",
                "domains",
                multiple=True,
                help="Admit verified e-mail addresses of this domain; * admits everybody it "
                "knows; repeatable.",
            ),
            click.option(
                "--tenant-claim", help="Claim with the tenant: tid at Entra ID, hd at Google."
            ),
            click.option(
                "--tenant",
                "tenants",
                multiple=True,
                help="Allowed value of the tenant claim; repeatable.",
            ),
            click.option("--groups-claim", help="Claim with the person's groups, such as groups."),
            click.option(
                "--group",
                "groups",
                type=MappingType(),
                multiple=True,
                metavar="VALUE=GROUP",
                help="Map a value of that claim to a group here; repeatable. Replaces all "
                "previous mappings.",
            ),
            click.option(
                "--create-users/--no-create-users",
                "creates_users",
                default=None,
                help="Create a user for an unknown person with an admitted address. Default: no.",
            ),
            click.option(
                "--ca-file",
                type=_FILE,
                metavar="FILE",
                help="CA of the provider's certificate, in PEM.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group(
    epilog="""\b
Examples:
  bascule provider add corp --issuer https://sso.corp.example/realms/main \\
      --client-id bascule --secret-file secret.txt --domain corp.example
  bascule provider test corp
  bascule provider link corp anna@example.com --subject 8f3a-41c0"""
)
def provider() -> None:
    """External identity providers for signing in."""


@provider.command(
    "list", epilog="\b\nExamples:\n  bascule provider list\n  bascule provider list -o json"
)
@output_option
def list_command(output: str) -> None:
    """List the providers."""
    with connect() as connection:
        found = providers.list_providers(connection)
    if output == "json":
        emit_json([_json(each) for each in found])
        return
    if not found:
        note("There is no provider yet. Add one: bascule provider add NAME --issuer URL")
        return
    rows = [[each.name, each.issuer, _new_words(each), _state(each)] for each in found]
    print_table(["PROVIDER", "ISSUER", "NEW PEOPLE", "STATE"], rows)


@provider.command(epilog="\b\nExamples:\n  bascule provider show corp")
@click.argument("name")
@output_option
def show(name: str, output: str) -> None:
    """Show one provider, its links and invitations."""
    with connect() as connection:
        found = providers.get_provider(connection, name)
        known = providers.list_known(connection, name)
        now = connection.now()
    if output == "json":
        emit_json({**_json(found), "identities": [_known_json(each) for each in known]})
        return
    rows = [
        ("provider", f"{found.name} ({found.display_name}), {_state(found)}"),
        ("issuer", found.issuer),
        ("client id", found.client_id + ("" if found.has_secret else ", without a secret")),
        ("redirect", f"{found.redirect_uri} (register it at the provider)"),
        ("scopes", " ".join(found.scopes)),
        ("domains", " ".join(found.domains) or "none"),
        ("tenants", " ".join(f"{found.tenant_claim}={each}" for each in found.tenants)),
        ("new people", _new_words(found)),
        ("groups", ", ".join(f"{value} gives {group}" for value, group in found.groups)),
    ]
    for head, words in rows:
        if words:
            say(f"{head:<10} {words}")
    say("")
    if not known:
        say(f"knows      nobody yet; to link a user: bascule provider link {found.name} USER")
        return
    print_table(
        ["USER", "SUBJECT", "E-MAIL", "LAST SIGN-IN"],
        [
            [
                each.user,
                each.subject or "(invited)",
                each.email,
                show_instant(each.vouched_at, now) if each.vouched_at else "never",
            ]
            for each in known
        ],
    )


@provider.command(
    epilog="""\b
Examples:
  bascule provider add corp --issuer https://sso.corp.example/realms/main \\
      --client-id bascule --secret-file secret.txt --domain corp.example \\
      --groups-claim groups --group /ops=operators --create-users"""
)
@click.argument("name")
@click.option(
    "--issuer",
    required=True,
    metavar="URL",
    help="The provider's issuer URL, exactly as the provider writes it.",
)
@settings_options
@output_option
def add(name: str, issuer: str, output: str, **given: Any) -> None:  # noqa: ANN401  # reason: the shared options
    """Add a provider. Prints the redirect URI to register there."""
    properties = {"displayName": name, "issuer": issuer, **_properties(given)}
    with connect() as connection:
        if any(
            each.name.casefold() == name.casefold() for each in providers.list_providers(connection)
        ):
            raise InvalidInput(
                f"The provider {name} exists already.",
                advice=f"To change it: bascule provider change {name}",
            )
        made, _ = providers.put_provider(connection, name, properties)
    if output == "json":
        emit_json(_json(made))
        return
    say(f"{made.name} added; its redirect URI is {made.redirect_uri}")
    note(
        f"Next: register the redirect URI at the provider, then run bascule provider test "
        f"{made.name}"
    )


@provider.command(
    epilog="""\b
Examples:
  bascule provider change corp --secret-file new-secret.txt
  bascule provider change corp --disable"""
)
@click.argument("name")
@settings_options
@click.option(
    "--enable/--disable", "is_enabled", default=None, help="Allow or forbid signing in by it."
)
@click.option(
    "--clear",
    type=click.Choice(["secret", "domains", "tenants", "groups", "ca"]),
    multiple=True,
    help="Remove a setting; repeatable.",
)
@yes_option
@output_option
def change(
    name: str,
    is_enabled: bool | None,
    clear: tuple[str, ...],
    is_sure: bool,
    output: str,
    **given: Any,  # noqa: ANN401  # reason: the shared options
) -> None:
    """Change the given settings of a provider. Disabling it signs out everybody who used it."""
    properties = {**_cleared(clear), **_properties(given)}
    if is_enabled is not None:
        properties["isEnabled"] = is_enabled
    if not properties:
        raise InvalidInput(
            "There is nothing to change: no setting was given.",
            advice="bascule provider change --help",
        )
    with connect() as connection:
        found = providers.get_provider(connection, name)
        if found.is_enabled and is_enabled is False:
            confirm(f"Everybody who signed in by {found.name} is signed out.", is_sure=is_sure)
        made, _ = providers.put_provider(connection, found.name, properties)
    if output == "json":
        emit_json(_json(made))
        return
    say(f"{made.name} changed")


@provider.command(epilog="\b\nExamples:\n  bascule provider remove corp")
@click.argument("name")
@yes_option
def remove(name: str, is_sure: bool) -> None:
    """Remove a provider and its links. Everybody who used it is signed out; users stay."""
    with connect() as connection:
        found = providers.get_provider(connection, name)
        known = providers.list_known(connection, name)
        confirm(
            f"{found.name} is removed with {len(known)} links and invitations; those users are "
            "signed out.",
            is_sure=is_sure,
        )
        providers.delete_provider(connection, found.name)
    say(f"{found.name} removed")


@provider.command(epilog="\b\nExamples:\n  bascule provider test corp")
@click.argument("name")
@output_option
def test(name: str, output: str) -> int:
    """Check a provider's configuration from the server."""
    with connect() as connection:
        found = providers.get_provider(connection, name)
        examined = providers.examine_provider(connection, found.name)
    if output == "json":
        emit_json(
            {
                "isUsable": examined.is_usable,
                "problems": list(examined.problems),
                "warnings": list(examined.warnings),
                "keys": examined.keys,
            }
        )
    else:
        for problem in examined.problems:
            say(f"wrong      {problem}")
        for warning in examined.warnings:
            say(f"note       {warning}")
        if examined.is_usable:
            say(f"{found.name} answers correctly; it has {examined.keys} keys")
            note("This does not check client id, secret and redirect URI; sign in to check those.")
    return 0 if examined.is_usable else FAILED


@provider.command(
    epilog="""\b
Examples:
  bascule provider link corp anna@example.com --subject 8f3a-41c0
  bascule provider link corp anna@example.com --email anna@corp.example"""
)
@click.argument("name")
@click.argument("user")
@click.option("--subject", default="", help="The person's id at the provider (sub).")
@click.option(
    "--email",
    default="",
    help="Invite the first person who signs in there with this verified address.",
)
def link(name: str, user: str, subject: str, email: str) -> None:
    """Link a person at the provider NAME to the user USER.

    A link lets that person sign in as USER, so you must hold all rights of USER.
    """
    _check_one(subject, email)
    with connect() as connection:
        is_new = providers.link(connection, name, user, subject=subject, email=email)
    if email:
        say(
            f"the first person who signs in at {name} as {email} becomes {user}; valid once, for "
            f"14 days"
        )
    else:
        say(f"{subject} at {name} is {'now' if is_new else 'already'} {user}")


@provider.command(
    epilog="""\b
Examples:
  bascule provider unlink corp --subject 8f3a-41c0
  bascule provider unlink corp --email anna@corp.example"""
)
@click.argument("name")
@click.option(
    "--subject", default="", help="Remove the link of this subject (see bascule provider show)."
)
@click.option("--email", default="", help="Remove the invitation of this address.")
@yes_option
def unlink(name: str, subject: str, email: str, is_sure: bool) -> None:
    """Remove a link or an invitation.

    The user of a removed link is signed out everywhere.
    """
    _check_one(subject, email)
    with connect() as connection:
        if subject:
            confirm(f"The user linked to {subject} at {name} is signed out.", is_sure=is_sure)
        is_done = providers.unlink(connection, name, subject=subject, email=email)
    say(f"{subject or email} is {'no longer' if is_done else 'not'} known by {name}")


def _check_one(subject: str, email: str) -> None:
    if bool(subject) == bool(email):
        raise InvalidInput("Give either --subject or --email.", target="--subject")


def _properties(given: dict[str, Any]) -> dict[str, object]:
    """The settings that were given, as the wire writes them."""
    said: dict[str, object] = {
        "displayName": given["display_name"],
        "clientId": given["client_id"],
        "clientSecret": _read(given["secret_file"]),
        "scopes": list(given["scopes"]) or None,
        "domains": list(given["domains"]) or None,
        "tenantClaim": given["tenant_claim"],
        "tenants": list(given["tenants"]) or None,
        "groupsClaim": given["groups_claim"],
        "groups": [{"value": value, "group": group} for value, group in given["groups"]] or None,
        "createsUsers": given["creates_users"],
        "caCertificates": _read(given["ca_file"]),
    }
    return {name: value for name, value in said.items() if value is not None}


def _cleared(clear: tuple[str, ...]) -> dict[str, object]:
    cleared: dict[str, dict[str, object]] = {
        "secret": {"clientSecret": ""},
        "domains": {"domains": []},
        "tenants": {"tenantClaim": "", "tenants": []},
        "groups": {"groupsClaim": "", "groups": []},
        "ca": {"caCertificates": ""},
    }
    return {name: value for each in clear for name, value in cleared[each].items()}


def _read(path: Path | None) -> str | None:
    """A file's text without the line's end; ``-`` is stdin."""
    if path is None:
        return None
    try:
        with click.open_file(str(path), encoding="utf-8") as file:
            found = str(file.read()).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} cannot be read: {error}.", target=str(path)) from None
    if not found:
        raise InvalidInput(f"{path} is empty.", target=str(path))
    return found


def _state(found: Provider) -> str:
    return "in use" if found.is_enabled else "disabled"


def _new_words(found: Provider) -> str:
    if not found.creates_users:
        return "must be linked or invited"
    return f"of {' '.join(found.domains or found.tenants)} become users"


def _json(found: Provider) -> dict[str, object]:
    return {
        "name": found.name,
        "displayName": found.display_name,
        "issuer": found.issuer,
        "clientId": found.client_id,
        "hasClientSecret": found.has_secret,
        "redirectUri": found.redirect_uri,
        "scopes": list(found.scopes),
        "domains": list(found.domains),
        "tenantClaim": found.tenant_claim or None,
        "tenants": list(found.tenants),
        "groupsClaim": found.groups_claim or None,
        "groups": [{"value": value, "group": group} for value, group in found.groups],
        "createsUsers": found.creates_users,
        "hasCaCertificates": found.has_ca,
        "isEnabled": found.is_enabled,
    }


def _known_json(known: Known) -> dict[str, object]:
    return {
        "user": known.user,
        "subject": known.subject or None,
        "email": known.email or None,
        "vouchedAt": None if known.vouched_at is None else format_utc(known.vouched_at),
        "invitedUntil": None if known.invited_until is None else format_utc(known.invited_until),
    }
