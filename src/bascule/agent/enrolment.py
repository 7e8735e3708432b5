"""Becoming a machine's agent: one token, a key of our own, the server's CA pinned.

The token names the machine, holds a secret that works once, and the SHA-256 of the CA
certificate that the server must show (EDGES A12). Everything that a repeat needs is on
disk before the server is asked, so an enrolment that was killed half-way goes on.
"""

from __future__ import annotations

import base64
import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule import __version__
from bascule.agent.link import PATIENCE, Identity
from bascule.client.https import Https, HttpsFailure
from bascule.client.pin import fetch_ca
from bascule.errors import AuthenticationFailed, ConfigurationError, InvalidInput, ServerUnreachable
from bascule.files import write_atomically

TOKEN_PREFIX = "bascule-enrol."  # noqa: S105  # reason: a prefix, not a secret
IDENTITY_FILE = "identity.json"
CA_FILE = "ca.pem"


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    machine_uid: str
    ca_fingerprint: str  # SHA-256 hex of the CA certificate's DER
    text: str


def parse_token(text: str) -> EnrolmentToken:
    """Read a token; raise InvalidInput when it is not one."""
    try:
        if not text.startswith(TOKEN_PREFIX):
            raise ValueError
        body = text[len(TOKEN_PREFIX) :]
        data = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return EnrolmentToken(str(data["u"]), str(data["c"]), text)
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            "That is not an enrolment token.",
            advice="Make one on the server's side: bascule machine enrol NAME.",
        ) from None


def load_identity(state: Path) -> Identity | None:
    """The identity that an earlier enrolment left, or None."""
    try:
        data = json.loads((state / IDENTITY_FILE).read_text())
        if not data.get("tenantId"):
            return None
        return Identity(
            data["server"],
            data["tenantId"],
            data["machineUid"],
            base64.urlsafe_b64decode(data["privateKey"]),
        )
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{state / IDENTITY_FILE} cannot be read: {error}.",
            advice="Enrol anew with a token made with --replace: bascule machine enrol NAME --replace.",
        ) from error


def trust_of(state: Path) -> ssl.SSLContext:
    """TLS that trusts the pinned CA and nobody else."""
    return ssl.create_default_context(cafile=str(state / CA_FILE))


def enrol(state: Path, server: str, token: EnrolmentToken) -> Identity:
    """Enrol with the server; safe to repeat with the same token after a crash.

    Raises AuthenticationFailed when the server refuses the token, ServerUnreachable.
    """
    ca = fetch_ca(server, token.ca_fingerprint)
    write_atomically(state / CA_FILE, ca)
    draft = _draft(state, server, token)
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(draft["privateKey"]))
    answer = _ask(state, server, token, key)
    draft["tenantId"] = answer["tenantId"]
    draft["machineId"] = answer["machineId"]
    _write_identity(state, draft)
    return _resume(draft)


def _draft(state: Path, server: str, token: EnrolmentToken) -> dict[str, Any]:
    """The identity file with a key, made once for a token and found again after a crash."""
    path = state / IDENTITY_FILE
    try:
        existing: dict[str, Any] = json.loads(path.read_text())
        if existing.get("token") == token.text:
            return existing
    except (OSError, ValueError):
        pass
    key = Ed25519PrivateKey.generate().private_bytes_raw()
    draft = {
        "server": server,
        "machineUid": token.machine_uid,
        "privateKey": base64.urlsafe_b64encode(key).decode(),
        "token": token.text,
        "tenantId": "",
    }
    _write_identity(state, draft)
    return draft


def _ask(state: Path, server: str, token: EnrolmentToken, key: Ed25519PrivateKey) -> dict[str, Any]:
    public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode().rstrip("=")
    body = {"token": token.text, "publicKey": public, "agentVersion": __version__}
    https = Https(server, trust_of(state))
    try:
        response = https.request("POST", "/bascule/enrol", body=body, patience=PATIENCE)
        answer = json.loads(response.content)
    except (HttpsFailure, ValueError) as error:
        raise ServerUnreachable(f"{server} did not answer the enrolment: {error}.") from error
    finally:
        https.close()
    if response.status == 200:
        return dict(answer)
    message = str(answer.get("error", {}).get("message", f"HTTP {response.status}"))
    if response.status >= 500:
        raise ServerUnreachable(f"The server could not enrol this agent: {message}")
    raise AuthenticationFailed(
        f"The enrolment was refused: {message}",
        advice="Make a fresh token: bascule machine enrol NAME (with --replace for a new agent).",
    )


def _resume(draft: dict[str, Any]) -> Identity:
    return Identity(
        draft["server"],
        draft["tenantId"],
        draft["machineUid"],
        base64.urlsafe_b64decode(draft["privateKey"]),
    )


def _write_identity(state: Path, data: dict[str, Any]) -> None:
    write_atomically(state / IDENTITY_FILE, json.dumps(data))
