"""Codes, refresh tokens and sessions: what signing in leaves behind."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.places import TakenPlace
from bascule.domain.tokens import (
    AuthorizationCode,
    DeviceCode,
    RefreshToken,
    Session,
    TokenFamily,
)


class TokenReads(Protocol):
    """Everything is found by the SHA-256 of its text."""

    def session(self, session_hash: str) -> Session | None: ...

    def sessions_of(self, user_id: str) -> Sequence[Session]:
        """All of them, those too that no longer hold; the newest first."""
        ...

    def authorization_code(self, code_hash: str) -> AuthorizationCode | None: ...

    def device_code(self, code_hash: str) -> DeviceCode | None: ...

    def device_code_of(self, user_code: str) -> DeviceCode | None:
        """By what a person types."""
        ...

    def waiting_device_codes(
        self, since: datetime, client_id: str = "", address: str = ""
    ) -> Sequence[TakenPlace]:
        """Codes that were asked for after ``since`` and that nobody has approved or refused, by
        their hashes, the oldest first: of a client, from an address, of both, all.
        """
        ...

    def token_family(self, family_id: str) -> TokenFamily | None: ...

    def token_families_of(self, user_id: str) -> Sequence[TokenFamily]:
        """Those that are not revoked, oldest first."""
        ...

    def refresh_token(self, token_hash: str) -> RefreshToken | None: ...


class TokenWrites(TokenReads, Protocol):
    def put_session(self, session: Session) -> None: ...

    def delete_session(self, session_hash: str) -> None: ...

    def put_authorization_code(self, code: AuthorizationCode) -> None: ...

    def put_device_code(self, code: DeviceCode) -> None:
        """Raises Conflict when another has the user code."""
        ...

    def delete_device_code(self, code_hash: str) -> None: ...

    def put_token_family(self, family: TokenFamily) -> None: ...

    def put_refresh_token(self, token: RefreshToken) -> None: ...

    def forget_refresh_tokens(self, family_id: str, before: int) -> None:
        """Delete a family's tokens of generations below ``before``."""
        ...

    def assertions_used(self, holder: str, ending_by: datetime) -> int:
        """How many of this holder's are kept as used, of those that end by then."""
        ...

    def use_assertion(self, holder: str, token_hash: str, ends_at: datetime) -> bool:
        """Keep it as used; False when it already was. Atomic."""
        ...

    def forget_assertions(self, ended_by: datetime) -> None:
        """Forget the uses of those that had ended by then."""
        ...

    def forget_codes_of(self, user_id: str, signed_in_at: datetime | None = None) -> None:
        """Delete the codes that a user's sign-in of that moment gave; None: of all of theirs."""
        ...

    def forget_sign_ins_of(self, user_id: str) -> None:
        """Delete all sessions, codes and families of a user."""
        ...

    def forget_ended(self, now: datetime) -> None:
        """Delete what can no longer be used: sessions, codes, tokens, families."""
        ...
