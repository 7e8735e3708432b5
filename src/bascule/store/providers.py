"""Rows of external identity providers, identities, invitations and pending sign-ins."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Row, delete, or_, select, update

from bascule.domain.places import TakenPlace
from bascule.domain.providers import ExternalIdentity, IdentityProvider, Invitation
from bascule.interfaces.clock import READINGS_APART
from bascule.interfaces.providers import PendingSignIn
from bascule.store.access_stamp import AccessStamp
from bascule.store.tables import access
from bascule.store.tables import providers as t


class ProviderReads(AccessStamp):
    __slots__ = ()

    def identity_provider(self, provider_id: str) -> IdentityProvider | None:
        table = t.identity_providers
        row = self._first(select(table).where(table.c.id == provider_id.lower()))
        return None if row is None else _provider(row)

    def identity_provider_by_name(self, name: str) -> IdentityProvider | None:
        table = t.identity_providers
        row = self._first(select(table).where(table.c.name_key == name.casefold()))
        return None if row is None else _provider(row)

    def identity_providers(self) -> Sequence[IdentityProvider]:
        table = t.identity_providers
        return [_provider(row) for row in self._all(select(table).order_by(table.c.name_key))]

    def external_identity(self, issuer: str, subject: str) -> ExternalIdentity | None:
        table = t.external_identities
        wanted = select(table).where(table.c.issuer == issuer, table.c.subject == subject)
        row = self._first(wanted)
        return None if row is None else _identity(row)

    def external_identities_of(self, user_id: str) -> Sequence[ExternalIdentity]:
        table = t.external_identities
        wanted = select(table).where(table.c.user_id == user_id.lower())
        ordered = wanted.order_by(table.c.issuer, table.c.subject)
        return [_identity(row) for row in self._all(ordered)]

    def external_identities_from(self, provider_id: str) -> Sequence[ExternalIdentity]:
        table = t.external_identities
        wanted = select(table).where(table.c.provider_id == provider_id.lower())
        return [_identity(row) for row in self._all(wanted.order_by(table.c.subject))]

    def invitation(self, provider_id: str, email: str) -> Invitation | None:
        table = t.provider_invitations
        wanted = select(table).where(
            table.c.provider_id == provider_id.lower(), table.c.email == email
        )
        row = self._first(wanted)
        return None if row is None else _invitation(row)

    def invitations_of(self, user_id: str) -> Sequence[Invitation]:
        table = t.provider_invitations
        wanted = select(table).where(table.c.user_id == user_id.lower())
        ordered = wanted.order_by(table.c.provider_id, table.c.email)
        return [_invitation(row) for row in self._all(ordered)]

    def invitations_from(self, provider_id: str) -> Sequence[Invitation]:
        table = t.provider_invitations
        wanted = select(table).where(table.c.provider_id == provider_id.lower())
        return [_invitation(row) for row in self._all(wanted.order_by(table.c.email))]

    def pending_sign_ins(self) -> Sequence[TakenPlace]:
        table = t.pending_sign_ins
        columns = (table.c.state_hash, table.c.address, table.c.expires_at)
        rows = self._all(select(*columns).order_by(table.c.expires_at))
        return [TakenPlace(row.state_hash, row.address or "", row.expires_at) for row in rows]


class ProviderWrites(ProviderReads):
    __slots__ = ()

    def put_identity_provider(self, provider: IdentityProvider) -> None:
        self._put(
            t.identity_providers,
            {"id": provider.id},
            {
                "name_key": provider.name.casefold(),
                "name": provider.name,
                "display_name": provider.display_name,
                "issuer": provider.issuer,
                "client_id": provider.client_id,
                "created_at": provider.created_at,
                "sealed_secret": provider.sealed_secret,
                "scopes": list(provider.scopes),
                "domains": list(provider.domains),
                "tenant_claim": provider.tenant_claim,
                "tenants": list(provider.tenants),
                "groups_claim": provider.groups_claim,
                "groups": [list(pair) for pair in provider.groups],
                "creates_users": provider.creates_users,
                "ca": provider.ca,
                "is_enabled": provider.is_enabled,
            },
        )

    def delete_identity_provider(self, provider_id: str) -> None:
        wanted = provider_id.lower()
        self._run(delete(access.memberships).where(access.memberships.c.provider_id == wanted))
        self._run(delete(t.identity_providers).where(t.identity_providers.c.id == wanted))
        self._renew_stamp()

    def put_external_identity(self, identity: ExternalIdentity) -> None:
        self._put(
            t.external_identities,
            {"issuer": identity.issuer, "subject": identity.subject},
            {
                "provider_id": identity.provider_id,
                "user_id": identity.user_id,
                "linked_at": identity.linked_at,
                "email": identity.email,
                "vouched_at": identity.vouched_at,
                "sealed_refresh": identity.sealed_refresh,
                "named_groups": list(identity.named_groups),
            },
        )

    def begin_asking(self, issuer: str, subject: str, until: datetime, now: datetime) -> bool:
        c = t.external_identities.c
        # One for longer than mine was taken before the clock was set back.
        is_older = c.asked_until > until + READINGS_APART
        is_free = or_(c.asked_until.is_(None), c.asked_until <= now, is_older)
        mine = update(t.external_identities).where(
            c.issuer == issuer, c.subject == subject, is_free
        )
        return self._run(mine.values(asked_until=until)) == 1

    def end_asking(self, issuer: str, subject: str, until: datetime) -> None:
        c = t.external_identities.c
        mine = update(t.external_identities).where(
            c.issuer == issuer, c.subject == subject, c.asked_until == until
        )
        self._run(mine.values(asked_until=None))

    def end_all_asking(self) -> None:
        table = t.external_identities
        asked = update(table).where(table.c.asked_until.is_not(None))
        self._run(asked.values(asked_until=None))

    def delete_external_identity(self, issuer: str, subject: str) -> None:
        table = t.external_identities
        self._run(delete(table).where(table.c.issuer == issuer, table.c.subject == subject))

    def put_invitation(self, invitation: Invitation) -> None:
        self._put(
            t.provider_invitations,
            {"provider_id": invitation.provider_id, "email": invitation.email},
            {"user_id": invitation.user_id, "expires_at": invitation.expires_at},
        )

    def delete_invitation(self, provider_id: str, email: str) -> None:
        table = t.provider_invitations
        self._run(
            delete(table).where(table.c.provider_id == provider_id.lower(), table.c.email == email)
        )

    def add_pending_sign_in(self, pending: PendingSignIn) -> None:
        self._run(
            t.pending_sign_ins.insert(),
            {
                "state_hash": pending.state_hash,
                "browser_hash": pending.browser_hash,
                "provider_id": pending.provider_id,
                "issuer": pending.issuer,
                "redirect_uri": pending.redirect_uri,
                "nonce_hash": pending.nonce_hash,
                "sealed_verifier": pending.sealed_verifier,
                "return_to": pending.return_to,
                "expires_at": pending.expires_at,
                "address": pending.address,
            },
        )

    def take_pending_sign_in(self, state_hash: str) -> PendingSignIn | None:
        table = t.pending_sign_ins
        row = self._first(select(table).where(table.c.state_hash == state_hash))
        self._run(delete(table).where(table.c.state_hash == state_hash))
        return None if row is None else _pending(row)

    def drop_pending_sign_ins(self, ended_by: datetime) -> None:
        table = t.pending_sign_ins
        self._run(delete(table).where(table.c.expires_at <= ended_by))


def _provider(row: Row[Any]) -> IdentityProvider:
    return IdentityProvider(
        id=row.id,
        name=row.name,
        display_name=row.display_name,
        issuer=row.issuer,
        client_id=row.client_id,
        created_at=row.created_at,
        sealed_secret=row.sealed_secret,
        scopes=tuple(row.scopes),
        domains=tuple(row.domains),
        tenant_claim=row.tenant_claim,
        tenants=tuple(row.tenants),
        groups_claim=row.groups_claim,
        groups=tuple((value, group) for value, group in row.groups),
        creates_users=row.creates_users,
        ca=row.ca,
        is_enabled=row.is_enabled,
    )


def _identity(row: Row[Any]) -> ExternalIdentity:
    return ExternalIdentity(
        row.issuer,
        row.subject,
        row.provider_id,
        row.user_id,
        row.linked_at,
        row.email,
        row.vouched_at,
        row.sealed_refresh,
        tuple(row.named_groups),
    )


def _invitation(row: Row[Any]) -> Invitation:
    return Invitation(row.provider_id, row.email, row.user_id, row.expires_at)


def _pending(row: Row[Any]) -> PendingSignIn:
    return PendingSignIn(
        row.state_hash,
        row.browser_hash,
        row.provider_id,
        row.issuer,
        row.redirect_uri,
        row.nonce_hash,
        row.sealed_verifier,
        row.return_to,
        row.expires_at,
        row.address or "",
    )
