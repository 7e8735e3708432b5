"""``agent install`` on a host that is enrolled already: is it left as it is?

The same server leaves all as it is, unless a token of another enrolment, or ``--replace``, asks for a new
key. Another server is refused without ``--replace``: whoever types a wrong name must not give the host away. Two names
are of one server if what answers at the second shows the CA that was pinned at the enrolment.
"""

from __future__ import annotations

import hashlib
import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bascule.agent.enrolment import (
    is_begun,
    is_enrolled_by,
    load_identity,
    parse_token,
    pinned_ca,
    trust_of,
)
from bascule.agent.install import (
    UNIT_NAME,
    install_unit,
    is_network_of_systemd,
    is_systemd_running,
    is_unit_running,
    program,
    systemctl,
    unit_text,
)
from bascule.client.pin import fetch_ca
from bascule.errors import (
    AuthenticationFailed,
    ConfigurationError,
    Conflict,
    InvalidInput,
    ServerUnreachable,
)
from bascule.interfaces.driver import HostParts

if TYPE_CHECKING:
    from bascule.agent.link import Identity

_CERTIFICATE = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def stands(state: Path, server: str, offered: str, fingerprint: str) -> Identity | None:
    """Who this host is, if it stays so; None: it is to be enrolled.

    ``offered`` is the token that a file or the environment gave, ``fingerprint`` the CA's that the server
    must have, in hex; both may be empty. Raises Conflict where the host is another server's, InvalidInput for a token
    of another server than ``fingerprint`` says.
    """
    identity, pins = _known(state)
    token = parse_token(offered) if offered else None
    if token is not None:
        require_server(token.ca_fingerprint, fingerprint)
    if identity is None or (token is not None and is_begun(state, token)):
        return None
    if token is not None and token.ca_fingerprint.lower() not in pins:
        raise _is_of_another(identity, server, "the token is of a server with another CA")
    if fingerprint and fingerprint not in pins:
        raise _is_of_another(identity, server, "--fingerprint names another CA")
    if identity.server != server and (why := _stranger(server, pins)):
        raise _is_of_another(identity, server, why)
    is_new = token is not None and not is_enrolled_by(state, token)
    return None if is_new else identity


def require_server(of_token: str, fingerprint: str) -> None:
    """Raise InvalidInput when a token is of another server than the one that is named."""
    if fingerprint not in ("", of_token.lower()):
        raise InvalidInput(
            "The token is of another server than --fingerprint names. Nothing was changed.",
            target="--fingerprint",
            advice="Take the line and the token from one run of: bascule machine enrol NAME",
        )


def leave_as_is(server: str, state: Path, unit_folder: Path, parts: HostParts) -> None:
    """Say that the host is enrolled; if its service is there and does not run, start it."""
    click.echo(f"This host is enrolled with {server} already. Its key and state are unchanged.")
    if is_systemd_running() and is_network_of_systemd() and not is_unit_running():
        text = unit_text(program(), state, parts.firewall().needs.unit)
        click.echo(f"{install_unit(unit_folder, text)}.")
        systemctl("daemon-reload")
        systemctl("enable", "--now", UNIT_NAME)
        click.echo(f"{UNIT_NAME} did not run. Enabled and started it.")
    else:
        click.echo("Nothing was changed. See bascule agent status.")
    click.echo(
        "To give it a new key: bascule machine enrol NAME --replace, and the command that it prints."
    )


def _known(state: Path) -> tuple[Identity | None, list[str]]:
    """Who this host is, with the SHA-256 of each CA certificate that it trusts."""
    try:
        identity = load_identity(state)
        if identity is None:
            return None, []
        trust_of(state)  # can it be used?
        ders = [ssl.PEM_cert_to_DER_cert(each) for each in _CERTIFICATE.findall(pinned_ca(state))]
    except (ConfigurationError, ValueError, ssl.SSLError):  # damaged: a new enrolment puts it right
        return None, []
    return identity, [hashlib.sha256(each).hexdigest() for each in ders]


def _stranger(server: str, pins: Sequence[str]) -> str:
    """Why it is not known to be the pinned server; empty when it shows that server's CA."""
    why = "no CA is pinned"
    for pin in pins:
        try:
            fetch_ca(server, pin)
        except (AuthenticationFailed, ServerUnreachable) as error:
            why = error.message.rstrip(".")
        else:
            return ""
    return why


def _is_of_another(identity: Identity, server: str, why: str) -> Conflict:
    return Conflict(
        f"This host is enrolled with {identity.server}, and {server} is not known to be the same server: {why}. "
        "Nothing was changed.",
        code="EnrolledElsewhere",
        target="--server",
        advice=f"To stay: bascule agent status. To move this host to {server}, with its closed ports closed: the "
        "same command with --replace and a token of that server. To open its ports and remove the agent: bascule "
        "agent uninstall.",
    )
