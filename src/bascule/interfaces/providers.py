"""External identity providers, whom they vouch for, and sign-ins on their way there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from bascule.domain.places import TakenPlace
from bascule.domain.providers import ExternalIdentity, IdentityProvider, Invitation


@dataclass(frozen=True, slots=True)
class PendingSignIn:
    """A browser that was sent to a provider and has not come back yet."""

    state_hash: str  # SHA-256 hex of the state that went along
    browser_hash: str  # SHA-256 hex of the cookie that only this browser has
    provider_id: str
    issuer: str  # that it was sent to: a setting changed meanwhile is another provider
    redirect_uri: str
    nonce_hash: str  # SHA-256 hex
    sealed_verifier: str = field(repr=False)  # of PKCE
    return_to: str = field(repr=False)  # what the sign-in goes on with; opaque here
    expires_at: datetime
    address: str = ""  # of the browser; empty: it left before this was kept


class ProviderReads(Protocol):
    def identity_provider(self, provider_id: str) -> IdentityProvider | None: ...

    def identity_provider_by_name(self, name: str) -> IdentityProvider | None:
        """Without regard to case."""
        ...

    def identity_providers(self) -> Sequence[IdentityProvider]:
        """All, ordered by name, folded."""
        ...

    def external_identity(self, issuer: str, subject: str) -> ExternalIdentity | None:
        """Both letter by letter."""
        ...

    def external_identities_of(self, user_id: str) -> Sequence[ExternalIdentity]:
        """Ordered by issuer and subject."""
        ...

    def external_identities_from(self, provider_id: str) -> Sequence[ExternalIdentity]:
        """All that one provider vouches for, ordered by subject."""
        ...

    def invitation(self, provider_id: str, email: str) -> Invitation | None:
        """By the folded address; one whose time is over too."""
        ...

    def invitations_of(self, user_id: str) -> Sequence[Invitation]:
        """Ordered by provider and address."""
        ...

    def invitations_from(self, provider_id: str) -> Sequence[Invitation]:
        """All to one provider, ordered by address."""
        ...

    def pending_sign_ins(self) -> Sequence[TakenPlace]:
        """Those on their way, those whose time is over too; the oldest first."""
        ...


class ProviderWrites(ProviderReads, Protocol):
    def put_identity_provider(self, provider: IdentityProvider) -> None:
        """Raises Conflict when another has the name or the issuer."""
        ...

    def delete_identity_provider(self, provider_id: str) -> None:
        """Forget it with its identities, invitations, pending sign-ins and memberships."""
        ...

    def put_external_identity(self, identity: ExternalIdentity) -> None:
        """Raises Conflict when its provider or its user is not there."""
        ...

    def begin_asking(self, issuer: str, subject: str, until: datetime, now: datetime) -> bool:
        """Ask this identity's provider anew, until then at most; False when another does, or it
        is not there.
        """
        ...

    def end_asking(self, issuer: str, subject: str, until: datetime) -> None:
        """Let others ask, if it was begun until then: another may have begun since."""
        ...

    def end_all_asking(self) -> None:
        """No server asks: none was running."""
        ...

    def delete_external_identity(self, issuer: str, subject: str) -> None: ...

    def put_invitation(self, invitation: Invitation) -> None: ...

    def delete_invitation(self, provider_id: str, email: str) -> None: ...

    def add_pending_sign_in(self, pending: PendingSignIn) -> None: ...

    def take_pending_sign_in(self, state_hash: str) -> PendingSignIn | None:
        """Read it and delete it: it works once, whatever comes of it."""
        ...

    def drop_pending_sign_ins(self, ended_by: datetime) -> None:
        """Forget those whose time was over at that instant."""
        ...
