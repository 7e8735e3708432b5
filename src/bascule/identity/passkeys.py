"""Passkeys: WebAuthn Level 3, by way of the ``webauthn`` library, for one relying party.

The relying party is the server's first name; WebAuthn knows no addresses, so a server that
has none but an address offers no passkeys. The user is verified each time (a PIN, a finger),
so that a passkey alone is two proofs. No attestation is asked for: which make of key it is
decides nothing here. A challenge is 32 bytes of chance in a sealed ticket that the browser
brings back: nothing is kept for whoever merely asks, and the store keeps those that were used.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import webauthn
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url, options_to_json_dict
from webauthn.helpers.cose import COSEAlgorithmIdentifier
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from bascule.domain.net import parse_address
from bascule.domain.principals import User
from bascule.domain.sign_in import Passkey
from bascule.errors import Conflict, InvalidInput
from bascule.identity.sealing import Sealer
from bascule.interfaces.proofs import Ceremony, Challenge
from bascule.sentences import sentence

RP_NAME = "Bascule"
CHALLENGE_BYTES = 32  # Level 3 section 13.4.3 asks for 16
CHALLENGE_LIFE = timedelta(minutes=5)
LONGEST_ID = 1366  # characters of base64url: 1023 bytes, the most that Level 3 allows
_REGISTERING, _ASSERTING = "webauthn/register", "webauthn/assert"
_ALGORITHMS = [
    COSEAlgorithmIdentifier.EDDSA,
    COSEAlgorithmIdentifier.ECDSA_SHA_256,
    COSEAlgorithmIdentifier.RSASSA_PKCS1_v1_5_SHA_256,
]
_MILLISECONDS = int(CHALLENGE_LIFE.total_seconds() * 1000)


class WebAuthnPasskeys:
    """``interfaces.proofs.Passkeys``."""

    def __init__(self, sealer: Sealer, rp_id: str) -> None:
        self._sealer, self._rp_id = sealer, rp_id

    def begin_registration(self, user: User, present: Sequence[Passkey], now: datetime) -> Ceremony:
        self._check_name()
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        options = webauthn.generate_registration_options(
            rp_id=self._rp_id,
            rp_name=RP_NAME,
            user_id=user.id.encode(),
            user_name=user.name,
            user_display_name=user.display_name or user.name,
            challenge=challenge,
            timeout=_MILLISECONDS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.PREFERRED,
                user_verification=UserVerificationRequirement.REQUIRED,
            ),
            exclude_credentials=_descriptors(present),
            supported_pub_key_algs=_ALGORITHMS,
        )
        ticket = self._ticket(_REGISTERING, challenge, user.id, now)
        return Ceremony(options_to_json_dict(options), ticket)

    def finish_registration(
        self, ticket: str, answer: Mapping[str, Any], origin: str, now: datetime
    ) -> tuple[Challenge, Passkey]:
        challenge = self._opened(_REGISTERING, ticket, now)
        if challenge is None:
            raise InvalidInput(
                "The ticket is not from this server, or is older than five minutes.",
                code="InvalidTicket",
                advice="Start the enrolment of the passkey again.",
            )
        try:
            verified = webauthn.verify_registration_response(
                credential=dict(answer),
                expected_challenge=base64url_to_bytes(challenge.challenge),
                expected_rp_id=self._rp_id,
                expected_origin=origin,
                require_user_verification=True,
                supported_pub_key_algs=_ALGORITHMS,
            )
        except Exception as error:  # reason: whatever the library raises at a stranger's bytes
            raise InvalidInput(
                sentence(
                    "The authenticator's answer is not accepted: {error}.", error=str(error)[:200]
                ),
                code="InvalidPasskey",
                advice=sentence(
                    "Open this server as https://{rp_id} and start again.", rp_id=self._rp_id
                ),
            ) from error
        passkey_id = bytes_to_base64url(verified.credential_id)
        if len(passkey_id) > LONGEST_ID:
            raise InvalidInput("The passkey's id is too long.", code="InvalidPasskey")
        public_key = bytes_to_base64url(verified.credential_public_key)
        return challenge, Passkey(
            passkey_id, challenge.user_id, "", public_key, verified.sign_count, now
        )

    def begin_assertion(self, user_id: str, present: Sequence[Passkey], now: datetime) -> Ceremony:
        self._check_name()
        challenge = secrets.token_bytes(CHALLENGE_BYTES)
        options = webauthn.generate_authentication_options(
            rp_id=self._rp_id,
            challenge=challenge,
            timeout=_MILLISECONDS,
            allow_credentials=_descriptors(present),
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        ticket = self._ticket(_ASSERTING, challenge, user_id, now)
        return Ceremony(options_to_json_dict(options), ticket)

    def challenge(self, ticket: str, now: datetime) -> Challenge | None:
        return self._opened(_ASSERTING, ticket, now)

    def count(
        self, challenge: Challenge, passkey: Passkey, answer: Mapping[str, Any], origin: str
    ) -> int | None:
        try:
            handle = answer["response"].get("userHandle")
            if handle and base64url_to_bytes(handle).decode() != passkey.user_id:
                return None
            verified = webauthn.verify_authentication_response(
                credential=dict(answer),
                expected_challenge=base64url_to_bytes(challenge.challenge),
                expected_rp_id=self._rp_id,
                expected_origin=origin,
                credential_public_key=base64url_to_bytes(passkey.public_key),
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except Exception:  # noqa: BLE001  # reason: whatever it raises at a stranger's bytes, it is not right
            return None
        is_the_one = bytes_to_base64url(verified.credential_id) == passkey.id
        return verified.new_sign_count if is_the_one else None

    # -- tickets ------------------------------------------------------------------------

    def _ticket(self, purpose: str, challenge: bytes, user_id: str, now: datetime) -> str:
        content = {
            "c": bytes_to_base64url(challenge),
            "u": user_id,
            "e": int((now + CHALLENGE_LIFE).timestamp()),
        }
        return self._sealer.seal(purpose, json.dumps(content, separators=(",", ":")).encode())

    def _opened(self, purpose: str, ticket: str, now: datetime) -> Challenge | None:
        content = self._sealer.open(purpose, ticket)
        if content is None:
            return None
        said = json.loads(content)  # nobody else sealed it
        challenge = Challenge(said["c"], said["u"], datetime.fromtimestamp(said["e"], UTC))
        return challenge if now < challenge.ends_at else None

    def _check_name(self) -> None:
        try:
            parse_address(self._rp_id.strip("[]"))
        except InvalidInput:
            return
        raise Conflict(
            sentence(
                "Passkeys need a host name, but this server has only the address {rp_id}.",
                rp_id=self._rp_id,
            ),
            code="PasskeysNotOffered",
            advice="Start the server with --name NAME, and open it by that name.",
        )


def _descriptors(present: Sequence[Passkey]) -> list[PublicKeyCredentialDescriptor]:
    return [PublicKeyCredentialDescriptor(id=base64url_to_bytes(each.id)) for each in present]
