"""A passkey in software: what a browser and its authenticator answer (WebAuthn Level 3).

Made by hand from the specification (sections 5.8.1, 6.1, 6.5.1, 6.5.4), so that what the
library reads is not what the library wrote. Each deviation that an attacker might try is an
argument.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

import cbor2
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256

USER_PRESENT, USER_VERIFIED, ATTESTED = 0x01, 0x04, 0x40


def base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def bytes_of(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Authenticator:
    """One credential on P-256, which counts its uses."""

    def __init__(self, origin: str = "https://localhost", *, counts: bool = True) -> None:
        self.origin = origin
        self.id = os.urandom(32)
        self.sign_count = 0
        self.user_handle = ""
        self._counts = counts
        self._key = ec.generate_private_key(ec.SECP256R1())

    def create(self, options: Mapping[str, Any], *, attests: bool = False, **odd: Any) -> Any:
        """navigator.credentials.create; ``attests``: with packed self attestation."""
        self.user_handle = options["user"]["id"]
        data = self._data(options["rp"]["id"], attested=True, **odd)
        client = self._client("webauthn.create", options["challenge"], **odd)
        statement: dict[str, Any] = {}
        if attests:
            signature = self._sign(data + hashlib.sha256(client).digest())
            statement = {"alg": -7, "sig": signature}
        attestation = {
            "fmt": "packed" if attests else "none",
            "attStmt": statement,
            "authData": data,
        }
        return self._credential(
            {
                "clientDataJSON": base64url(client),
                "attestationObject": base64url(cbor2.dumps(attestation)),
            }
        )

    def get(self, options: Mapping[str, Any], **odd: Any) -> Any:
        """navigator.credentials.get."""
        data = self._data(options["rpId"], attested=False, **odd)
        client = self._client("webauthn.get", options["challenge"], **odd)
        signature = self._sign(data + hashlib.sha256(client).digest())
        return self._credential(
            {
                "clientDataJSON": base64url(client),
                "authenticatorData": base64url(data),
                "signature": base64url(signature),
                "userHandle": odd.get("user_handle", self.user_handle),
            }
        )

    def _data(self, named: str, *, attested: bool, **odd: Any) -> bytes:
        if self._counts:
            self.sign_count += 1
        flags = USER_PRESENT | (USER_VERIFIED if odd.get("verifies", True) else 0)
        rp_hash = hashlib.sha256(str(odd.get("rp_id", named)).encode()).digest()
        count = int(odd.get("sign_count", self.sign_count))
        head = rp_hash + bytes([flags | (ATTESTED if attested else 0)]) + count.to_bytes(4, "big")
        if not attested:
            return head
        return head + bytes(16) + len(self.id).to_bytes(2, "big") + self.id + self._public_key()

    def _client(self, usual: str, challenge: str, **odd: Any) -> bytes:
        said = {
            "type": odd.get("kind", usual),
            "challenge": challenge,
            "origin": odd.get("origin", self.origin),
            "crossOrigin": False,
        }
        return json.dumps(said).encode()

    def _public_key(self) -> bytes:
        """COSE_Key, RFC 9053 section 7.1.1."""
        numbers = self._key.public_key().public_numbers()
        x, y = numbers.x.to_bytes(32, "big"), numbers.y.to_bytes(32, "big")
        return bytes(cbor2.dumps({1: 2, 3: -7, -1: 1, -2: x, -3: y}))

    def _sign(self, content: bytes) -> bytes:
        return bytes(self._key.sign(content, ec.ECDSA(SHA256())))

    def _credential(self, response: Mapping[str, Any]) -> Any:
        name = base64url(self.id)
        return {
            "id": name,
            "rawId": name,
            "type": "public-key",
            "response": dict(response),
            "clientExtensionResults": {},
        }
