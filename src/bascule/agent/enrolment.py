"""Becoming a machine's agent: one token, a key of our own, the server's CA and trust key pinned.

The token names the machine, holds a secret that works once, the SHA-256 of the CA
certificate that the server must show (EDGES A12), and the key that signs what it says (I1). It is
never sent: ``protocol.signed`` proves it. Everything that a repeat needs is on
disk before the server is asked, so an enrolment that was killed half-way goes on. It is a
draft, which becomes the identity by one rename once the server has said yes and has answered
the new identity: whoever is refused, or gets no answer, remains who they were.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule import __version__
from bascule.agent.answers import LARGEST_ANSWER, read_object, reason_of
from bascule.agent.http_link import PATIENCE, WITHIN, HttpLink
from bascule.agent.link import Identity
from bascule.client.https import Https, HttpsFailure, pinned
from bascule.client.obstacles import unreachable
from bascule.client.pin import fetch_ca
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    ConfigurationError,
    InvalidInput,
    ServerUnreachable,
)
from bascule.files import sync_directory, write_atomically
from bascule.interfaces.clock import Clock
from bascule.protocol.codec import decode, encode
from bascule.protocol.enrolment import SIGNATURE_HEADER, Enrol, Enrolled, base64url
from bascule.protocol.signed import Kind, Pinned, enrolment_text, public_of, token_key, token_public

TOKEN_PREFIX = "bascule-enrol."  # noqa: S105  # reason: a prefix, not a secret
IDENTITY_FILE = "identity.json"
DRAFT_FILE = "enrolment.json"  # an identity that no server has accepted yet
# How a file that is gone or damaged shows.
_UNREADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


@dataclass(frozen=True, slots=True)
class EnrolmentToken:
    machine_uid: str
    ca_fingerprint: str  # SHA-256 hex of the CA certificate's DER
    trust_key: str  # raw Ed25519 public key, base64url
    text: str
    is_through: bool = False  # its agent comes through a proxy that ends TLS (EDGES I1)


def parse_token(text: str) -> EnrolmentToken:
    """Read a token; raise InvalidInput when it is not one."""
    try:
        if not text.startswith(TOKEN_PREFIX):
            raise ValueError
        body = text[len(TOKEN_PREFIX) :]
        data = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
        return EnrolmentToken(
            str(data["u"]), str(data["c"]), str(data["k"]), text, bool(data.get("p"))
        )
    except (ValueError, KeyError, TypeError):
        raise InvalidInput(
            "That is not an enrolment token.",
            advice="To make one: bascule machine enrol NAME.",
        ) from None


def load_identity(state: Path) -> Identity | None:
    """The identity that an earlier enrolment left, or None."""
    try:
        data = json.loads((state / IDENTITY_FILE).read_text())
        if not data.get("tenantId"):
            return None
        return _resume(data)
    except FileNotFoundError:
        return None
    except _UNREADABLE as error:
        raise _unusable(state, f"cannot be read: {error}") from error


def trust_of(state: Path) -> ssl.SSLContext:
    """TLS that trusts the pinned CA and, unless the agent comes through a proxy, nobody else; raises
    ConfigurationError without it.
    """
    data, ca = _read(state / IDENTITY_FILE), pinned_ca(state)
    try:
        return _trust(ca, data.get("proxyCa", ""), is_through=data.get("isThrough") is True)
    except ssl.SSLError as error:
        raise _unusable(
            state, f"contains a CA certificate that cannot be read: {error.reason}"
        ) from error


def pinned_ca(state: Path) -> str:
    """The CA, as PEM, of the server that this host is enrolled with; raises ConfigurationError without it."""
    ca = _read(state / IDENTITY_FILE).get("ca")
    if not ca:
        raise _unusable(state, "contains no CA certificate to trust")
    return str(ca)


def _unusable(state: Path, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"{state / IDENTITY_FILE} {why}.",
        advice="Enrol this host again with a new token: bascule machine enrol NAME --replace.",
    )


def _trust(ca: str, proxy_ca: str, *, is_through: bool) -> ssl.SSLContext:
    """``proxy_ca``: who issued the proxy's certificate, as PEM; empty: somebody of the system's store."""
    if not is_through or proxy_ca:
        return pinned(ssl.create_default_context(cadata=f"{ca}\n{proxy_ca}"))
    trust = ssl.create_default_context()
    trust.load_verify_locations(cadata=ca)
    return pinned(trust)


def read_proxy_ca(file: Path | None, token: EnrolmentToken) -> str:
    """The PEM of ``--proxy-ca``; raises ConfigurationError, and InvalidInput where the token has no use
    for it.
    """
    if file is None:
        return ""
    if not token.is_through:
        raise InvalidInput(
            "--proxy-ca is only for a token that was made for an agent behind a proxy.",
            target="--proxy-ca",
            advice="Omit it, or make the token with: bascule machine enrol NAME --through-proxy.",
        )
    try:
        text = file.read_text(encoding="ascii")
        ssl.create_default_context(cadata=text)
    except (OSError, ValueError) as error:  # of which ssl.SSLError and UnicodeDecodeError are one
        raise ConfigurationError(
            f"{file} contains no CA certificate that can be read: {error}.",
            advice="Give a file with the certificate, as PEM, of the CA of the proxy's certificate.",
        ) from None
    return text


def is_begun(state: Path, token: EnrolmentToken) -> bool:
    """Was an enrolment with this token cut short here? The server may know its key already."""
    return _read(state / DRAFT_FILE).get("token") == token.text


def is_enrolled_by(state: Path, token: EnrolmentToken) -> bool:
    """Did this token make the identity that stands here?"""
    return _read(state / IDENTITY_FILE).get("token") == token.text


def meet(server: str, token: EnrolmentToken, proxy_ca: str = "") -> str:
    """The CA, as PEM, of the token's server, which answers by this very URL.

    Nothing is spent and nothing is written by this: before it an agent that works is left
    alone. Raises AuthenticationFailed (another CA), ServerUnreachable.
    """
    ca = fetch_ca(server, token.ca_fingerprint)
    https = Https(server, _trust(ca, proxy_ca, is_through=token.is_through))
    try:
        status = https.request(
            "GET", "/healthz", patience=PATIENCE, within=WITHIN, largest=LARGEST_ANSWER
        ).status
    except HttpsFailure as error:
        raise unreachable(server, error) from None
    finally:
        https.close()
    if status == HTTPStatus.MISDIRECTED_REQUEST:
        raise ServerUnreachable(
            f"{server} is not one of this server's names.",
            advice="Use the URL that 'bascule machine enrol NAME' prints, or add the name to the "
            "server: bascule serve --name HOST.",
        )
    return ca


def enrol(
    state: Path,
    server: str,
    token: EnrolmentToken,
    clock: Clock,
    before_taking: Callable[[], None] = lambda: None,
    proxy_ca: str = "",
) -> Identity:
    """Enrol with the server; safe to repeat with the same token after a crash.

    ``proxy_ca`` is as ``read_proxy_ca`` says it.

    ``before_taking`` is called when the server has accepted and has answered the new
    identity, and the one before is still in its place. Raises AuthenticationFailed when the
    server refuses the token, ServerUnreachable; the identity before stays then.
    """
    ca = meet(server, token, proxy_ca)
    draft: dict[str, Any] = {
        "server": server,
        "machineUid": token.machine_uid,
        "privateKey": _key_for(state, token),
        "token": token.text,
        "tenantId": "",
        "ca": ca,
        "trustKey": token.trust_key,
        "isThrough": token.is_through,
        "proxyCa": proxy_ca,
    }
    _write_draft(state, draft)
    key = Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(draft["privateKey"]))
    trust = _trust(ca, proxy_ca, is_through=token.is_through)
    answer = _ask(server, token, key, trust)
    draft["tenantId"] = answer.tenant_id
    draft["machineId"] = answer.machine_id
    _write_draft(state, draft)
    identity = _resume(draft)
    _try_out(identity, trust, clock)
    before_taking()
    _take(state)
    return identity


def _try_out(identity: Identity, trust: ssl.SSLContext, clock: Clock) -> None:
    """Have the server answer the new identity; raises ServerUnreachable when it does not."""
    link = HttpLink(identity, trust, clock)
    try:
        link.fetch_state(lambda: None)
    except BasculeError as error:
        raise ServerUnreachable(
            f"{identity.server} accepted the new agent's key but did not answer its first call: "
            f"{error.message}",
            advice="The previous agent on this host is unchanged, but the server may no longer "
            "accept its key. Run the same command again with the same token.",
        ) from error
    finally:
        link.close()


def _key_for(state: Path, token: EnrolmentToken) -> str:
    """A private key, made once for a token and found again after a crash."""
    for name in (DRAFT_FILE, IDENTITY_FILE):
        existing = _read(state / name)
        if existing.get("token") == token.text:
            return str(existing["privateKey"])
    return base64.urlsafe_b64encode(_new_key()).decode()


# cryptography 38, Debian 12's, has no private_bytes_raw. What names forms is slow to load, and an
# agent that is enrolled has no use for it.
def _new_key() -> bytes:
    from cryptography.hazmat.primitives import serialization as form  # noqa: PLC0415  # reason: as above

    key = Ed25519PrivateKey.generate()
    return key.private_bytes(form.Encoding.Raw, form.PrivateFormat.Raw, form.NoEncryption())


def _read(path: Path) -> dict[str, Any]:
    """A draft or an identity; empty when there is none that can be read."""
    try:
        return dict(json.loads(path.read_text()))
    except _UNREADABLE:
        return {}


def _ask(
    server: str, token: EnrolmentToken, key: Ed25519PrivateKey, trust: ssl.SSLContext
) -> Enrolled:
    public, nonce = public_of(key), base64url(os.urandom(18))
    proof = token_key(token.text).sign(enrolment_text(token.machine_uid, public, nonce))
    body = encode(
        Enrol(
            token_public(token.text),
            token.machine_uid,
            public,
            nonce,
            base64url(proof),
            __version__,
        )
    )
    https = Https(server, trust)
    try:
        response = https.request(
            "POST",
            "/bascule/enrol",
            body=body,
            patience=PATIENCE,
            within=WITHIN,
            largest=LARGEST_ANSWER,
        )
        answer = read_object(response.content)
    except (HttpsFailure, ValueError) as error:
        raise ServerUnreachable(f"{server} did not answer the enrolment: {error}.") from error
    finally:
        https.close()
    if response.status == 200:
        signature = response.headers.get(SIGNATURE_HEADER.lower(), "")
        told = (Kind.ANSWER, token.machine_uid, nonce, response.status, response.content)
        if not Pinned(token.trust_key).is_of(*told, signature):
            raise ServerUnreachable(
                f"{server} sent an answer to the enrolment that the server of this token did not sign.",
                advice="Something between this host and the server changes answers. Nothing was "
                "changed here.",
            )
        return _who(server, answer)
    message = reason_of(answer, f"The enrolment was refused: HTTP {response.status}.")
    if response.status >= 500:
        raise ServerUnreachable(f"The server could not enrol this agent: {message}")
    raise AuthenticationFailed(
        message,
        advice="Make a new token: bascule machine enrol NAME (with --replace to replace an agent).",
    )


def _who(server: str, answer: Mapping[str, Any]) -> Enrolled:
    """Who the server says that we are; raises ServerUnreachable when it says nothing of use."""
    try:
        return decode(Enrolled, answer)
    except InvalidInput as error:
        raise ServerUnreachable(
            f"{server} did not name a machine in its answer to the enrolment: {error.message}"
        ) from error


def _resume(draft: dict[str, Any]) -> Identity:
    return Identity(
        draft["server"],
        draft["tenantId"],
        draft["machineUid"],
        base64.urlsafe_b64decode(draft["privateKey"]),
        draft.get("trustKey", ""),
        draft.get("isThrough") is True,
    )


def _write_draft(state: Path, data: dict[str, Any]) -> None:
    write_atomically(state / DRAFT_FILE, json.dumps(data))


def _take(state: Path) -> None:
    """Make the accepted draft the identity."""
    path = state / IDENTITY_FILE
    try:
        (state / DRAFT_FILE).replace(path)
        sync_directory(state)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}.",
            advice="Make its folder writable for this account, then run the same command again.",
        ) from error
