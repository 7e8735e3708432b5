"""Bascule.Identity: a person's ways of signing in, and the fresh proof that changes ask for."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from bascule.api.wire.fields import Body, LongText, Text
from bascule.domain.sign_in import FactorKind, Passkey
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput
from bascule.interfaces.proofs import Ceremony, NewTotp
from bascule.services.own_sign_in import WaysIn
from bascule.services.sign_in import KeyAnswer, Proof

_KINDS = ("password", "totp", "recoveryCode", "passkey")


class KeyAnswerBody(Body):
    ticket: LongText
    credential: Annotated[dict[str, Any], Field(description="PublicKeyCredential as JSON.")]

    def at(self, origin: str) -> KeyAnswer:
        return KeyAnswer(self.ticket, self.credential, origin)


class ProofBody(Body):
    """One of: the present password, a code, or a passkey's answer."""

    password: LongText | None = None
    totp: Text | None = None
    recovery_code: Text | None = None
    passkey: KeyAnswerBody | None = None

    def at(self, origin: str) -> Proof:
        given: list[Proof] = []
        if self.password is not None:
            given.append(Proof(None, self.password))
        if self.totp is not None:
            given.append(Proof(FactorKind.TOTP, self.totp))
        if self.recovery_code is not None:
            given.append(Proof(FactorKind.RECOVERY_CODE, self.recovery_code))
        if self.passkey is not None:
            given.append(Proof(FactorKind.PASSKEY, key=self.passkey.at(origin)))
        if len(given) != 1:
            raise InvalidInput(
                f"The proof has {len(given)} of {', '.join(_KINDS)}. Give exactly one.",
                code="InvalidProof",
                target="proof",
            )
        return given[0]


class ProvenBody(Body):
    proof: ProofBody


class NewPasswordBody(ProvenBody):
    password: LongText


class CodeBody(Body):
    code: Text


class NewPasskeyBody(KeyAnswerBody):
    name: Text


def ways_in_json(found: WaysIn) -> dict[str, Any]:
    """What there is, and since when; never a secret, a hash or a key."""
    totp, codes, password = found.totp, found.recovery_codes, found.password
    return {
        "password": None if password is None else {"setAt": format_utc(password.set_at)},
        "totp": None if totp is None else {"enrolledAt": format_utc(totp.created_at)},
        "passkeys": [passkey_json(each) for each in found.passkeys],
        "recoveryCodes": None
        if codes is None
        else {"left": codes.left, "madeAt": format_utc(codes.made_at)},
    }


def passkey_json(passkey: Passkey) -> dict[str, Any]:
    used_at = passkey.last_used_at
    return {
        "id": passkey.id,
        "name": passkey.name,
        "enrolledAt": format_utc(passkey.created_at),
        "lastUsedAt": None if used_at is None else format_utc(used_at),
    }


def ceremony_json(ceremony: Ceremony) -> dict[str, Any]:
    return {"options": ceremony.options, "ticket": ceremony.ticket}


def new_totp_json(made: NewTotp) -> dict[str, Any]:
    return {"secret": made.secret, "uri": made.uri}
