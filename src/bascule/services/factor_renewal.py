"""Showing the second factor again, of somebody who is signed in (EDGES J4, J6).

What was shown counts for the session in which it was, and for what signs in from there on: programs that
signed in before keep the age of theirs.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.sign_in import FactorKind
from bascule.errors import AuthenticationFailed, InvalidInput
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.tokens import TokenWrites
from bascule.services.act import Act
from bascule.services.own_sign_in import refusal
from bascule.services.sessions import visitor_of
from bascule.services.sign_in import Proof, SignIn, Visit
from bascule.services.tokens import hash_of
from bascule.services.users import find_user

FACTORS = frozenset({FactorKind.TOTP, FactorKind.PASSKEY})  # a recovery code shows that one is lost


class RenewalWrites(PrincipalReads, TokenWrites, Protocol):
    """Sessions, and whose they are."""


async def prove_factor(sign_in: SignIn, subject: Subject, proof: Proof, visit: Visit) -> None:
    """Take a one-time password or passkey; each counts once. Raise Forbidden where it is wrong,
    InvalidInput for a proof of another kind.
    """
    if proof.kind not in FACTORS:
        raise InvalidInput(
            "Only an authenticator app or a passkey is a second factor.",
            code="InvalidProof",
            target="proof",
        )

    user = await sign_in.services.read(lambda reader: find_user(reader, subject.principal_id))
    refused = await sign_in.prove(user, proof, visit)
    if refused is not None:
        raise refusal(refused)


def renew(tx: RenewalWrites, act: Act, session_text: str) -> None:
    """Note in the session that the factor was shown now; raise AuthenticationFailed where it is over."""
    visitor = visitor_of(tx, session_text, act.now)
    session = tx.session(hash_of(session_text))
    if visitor is None or session is None:
        raise AuthenticationFailed("Your session has ended.", advice="Sign in again.")
    sign_in = replace(session.sign_in, factor_at=act.now)
    tx.put_session(replace(session, sign_in=sign_in))
