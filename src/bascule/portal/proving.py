"""The fresh proof that a change of one's own ways of signing in asks for (EDGES B4, B13)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from bascule.domain.sign_in import FactorKind
from bascule.errors import InvalidInput
from bascule.json_text import read_json
from bascule.portal.guard import Visit
from bascule.services.own_sign_in import WaysIn
from bascule.services.sign_in import KeyAnswer, Proof
from bascule.services.sign_in import Visit as SignInVisit

PASSWORD = "password"  # noqa: S105  # reason: the name of a way to prove
_KINDS = {
    PASSWORD: None,
    str(FactorKind.TOTP): FactorKind.TOTP,
    str(FactorKind.RECOVERY_CODE): FactorKind.RECOVERY_CODE,
    str(FactorKind.PASSKEY): FactorKind.PASSKEY,
}


def sign_in_visit(visit: Visit) -> SignInVisit:
    correlation_id = str(visit.request.state.correlation_id)
    return SignInVisit(visit.subject.address, visit.subject.client, correlation_id)


def ways_to_prove(ways: WaysIn) -> list[str]:
    """What this person has to show; nothing: an administrator has to set a password first."""
    codes, has_factor = ways.recovery_codes, ways.totp is not None or bool(ways.passkeys)
    had = {
        PASSWORD: ways.password is not None,
        str(FactorKind.TOTP): ways.totp is not None,
        str(FactorKind.PASSKEY): bool(ways.passkeys),
        # It stands in for a factor, where there is one.
        str(FactorKind.RECOVERY_CODE): has_factor and codes is not None and codes.left > 0,
    }
    return [kind for kind, is_there in had.items() if is_there]


async def proof_content(visit: Visit, ways: WaysIn) -> Mapping[str, Any]:
    """What the form's part about the proof needs."""
    content: dict[str, Any] = {"kinds": ways_to_prove(ways), "chosen": visit.form.text("proof")}
    if ways.passkeys:
        ceremony = await visit.state.own_sign_in.begin_proof(visit.subject)
        content |= {"options": json.dumps(ceremony.options), "ticket": ceremony.ticket}
    return content


def read_proof(visit: Visit) -> Proof:
    """The proof of a form; raise InvalidInput when it is none."""
    form = visit.form
    name = form.text("proof")
    if name not in _KINDS:
        raise _lacking("Choose how you prove that it is you.")
    kind = _KINDS[name]
    if kind is FactorKind.PASSKEY:
        return Proof(kind, key=read_key(visit, "proof_ticket", "proof_answer"))
    text = form.raw("proof_text")
    if not text:
        raise _lacking("The proof is empty.")
    return Proof(kind, text.replace(" ", "") if kind is FactorKind.TOTP else text)


def read_key(visit: Visit, ticket: str, answer: str) -> KeyAnswer:
    """An authenticator's answer that the script put into a form."""
    try:
        found = read_json(visit.form.raw(answer))
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise InvalidInput(
            "The browser sent no passkey response.",
            code="InvalidProof",
            target="proof",
            advice="Passkeys need JavaScript and a browser that supports them.",
        )
    return KeyAnswer(visit.form.text(ticket), found, visit.base_url)


def _lacking(message: str) -> InvalidInput:
    return InvalidInput(message, code="InvalidProof", target="proof")
