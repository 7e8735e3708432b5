"""Signing in: what the store keeps of passwords, second factors and known networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from bascule.domain.sign_in import Passkey, RecoveryCodes, StoredPassword, TotpFactor


class SignInCountReads(Protocol):
    """Buckets of limits (``services.sign_in_limits``), by names that say nothing."""

    def sign_in_counts(self, places: Collection[str]) -> Mapping[str, datetime]:
        """When each is full again; one that is not kept is full."""
        ...

    def has_sign_in_counts(self, many: int, now: datetime, latest: datetime) -> bool:
        """Are there so many that are full later than ``now``, and by ``latest``?"""
        ...


class SignInCountWrites(SignInCountReads, Protocol):
    def put_sign_in_counts(self, full_at: Mapping[str, datetime]) -> None: ...

    def forget_sign_in_counts(self, now: datetime, latest: datetime) -> None:
        """Forget those that are full by ``now``, or only after ``latest``."""
        ...


class SignInReads(SignInCountReads, Protocol):
    def password(self, user_id: str) -> StoredPassword | None: ...

    def has_sign_in(self, user_id: str) -> bool:
        """Has the user a way to sign in: a password, or a passkey?"""
        ...

    def totp(self, user_id: str, *, is_active: bool) -> TotpFactor | None:
        """The active one, or the one that waits for its first code."""
        ...

    def passkey(self, passkey_id: str) -> Passkey | None: ...

    def passkeys_of(self, user_id: str) -> Sequence[Passkey]:
        """Oldest first."""
        ...

    def recovery_codes(self, user_id: str) -> RecoveryCodes | None:
        """None when there never was a set."""
        ...

    def known_networks(self, user_id: str) -> frozenset[str]:
        """From where the user has signed in before; bounded."""
        ...

    def known_among(self, networks: Collection[str]) -> frozenset[str]:
        """Those of the networks from which anybody has signed in before."""
        ...


class SignInWrites(SignInReads, SignInCountWrites, Protocol):
    def put_password(self, password: StoredPassword) -> None: ...

    def put_totp(self, factor: TotpFactor) -> None: ...

    def delete_totp(self, user_id: str, *, is_active: bool) -> None: ...

    def put_passkey(self, passkey: Passkey) -> None: ...

    def delete_passkey(self, passkey_id: str) -> None: ...

    def put_recovery_codes(self, user_id: str, digests: Sequence[str], now: datetime) -> None:
        """Replace the whole set; none of the earlier ones works any more."""
        ...

    def use_recovery_code(self, user_id: str, digest: str, now: datetime) -> bool:
        """Mark it used; False when it is not of the present set or already was. Atomic."""
        ...

    def use_challenge(self, challenge: str, ends_at: datetime, now: datetime) -> bool:
        """Keep a challenge as used until it ends; False when it already was. Atomic."""
        ...

    def put_known_network(self, user_id: str, network: str, now: datetime) -> None:
        """Remember it, and forget the oldest beyond the bound."""
        ...
