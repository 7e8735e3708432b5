"""The last Owner stays, so that somebody can always grant access (EDGES B10).

An owner, here, is a user or service principal that is enabled, holds Owner at the
subscription by itself or by a group, and can prove who it is today: a service principal by a
credential that has not expired, a user by a password, a passkey, or an identity of a
provider that is enabled. A membership that has an end, or that a provider vouched for (which ends
within the hour), does not count. What is not here: custom roles that allow as much as
Owner does; they can be changed by whoever may write roles.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.builtin_roles import OWNER
from bascule.domain.principals import Credential, ServicePrincipal
from bascule.domain.scopes import subscription_scope
from bascule.errors import Conflict
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.sign_in import SignInReads
from bascule.services.act import Act
from bascule.services.installation import subscription_of
from bascule.services.rights import RightsReads, is_enabled


class OwnerReads(RightsReads, InventoryReads, ProviderReads, SignInReads, Protocol):
    """Who owns the installation, and can still prove it."""


WARNED_AHEAD = timedelta(days=14)  # how early the end of an owner's credential is told


@dataclass(frozen=True, slots=True)
class EndingCredential:
    """A credential of an owner that ends soon."""

    owner: ServicePrincipal
    credential: Credential


def check_owner_left(tx: OwnerReads, act: Act) -> None:
    """Raise Conflict (LastOwner) when, after what ``tx`` has written, no owner is left.

    Called at the end of every use case that may have taken one away: a role assignment, a
    membership, a group, a principal or a credential deleted, a principal disabled, a way to
    sign in removed, a provider disabled or forgotten. Not to be called by a use case that takes
    nothing away: where all owners' credentials have expired, it would refuse the very help.
    """
    if not any(_can_prove_itself(tx, owner_id, act.now) for owner_id in owner_ids(tx)):
        raise Conflict(
            "This would leave no enabled Owner of the subscription who can sign in, so nobody "
            "could give rights any more.",
            code="LastOwner",
            advice="Make another owner first: bascule role assign Owner PRINCIPAL. On the "
            "server's own host, bascule admin recover also works.",
        )


def owner_ids(reader: OwnerReads) -> Sequence[str]:
    """Users and service principals that hold Owner at the subscription, enabled or not."""
    return tuple(dict.fromkeys(_owner_ids(reader)))


def _owner_ids(reader: OwnerReads) -> Iterator[str]:
    scope = subscription_scope(subscription_of(reader))
    for assignment in reader.role_assignments_with(OWNER.id):
        if assignment.scope != scope:
            continue
        if reader.group(assignment.principal_id) is None:
            yield assignment.principal_id
            continue
        for membership in reader.members_of(assignment.principal_id):
            if not membership.provider_id and membership.expires_at is None:
                yield membership.member_id


def _can_prove_itself(reader: OwnerReads, principal_id: str, now: datetime) -> bool:
    if not is_enabled(reader, principal_id):
        return False
    if any(each.holds_at(now) for each in reader.credentials_of(principal_id)):
        return True
    return reader.has_sign_in(principal_id) or any(
        provider is not None and provider.is_enabled
        for identity in reader.external_identities_of(principal_id)
        for provider in (reader.identity_provider(identity.provider_id),)
    )


def ending_credentials(
    reader: OwnerReads, now: datetime, ahead: timedelta = WARNED_AHEAD
) -> Sequence[EndingCredential]:
    """Credentials of enabled owners that still hold and end within ``ahead``; soonest first."""
    found = [
        EndingCredential(owner, credential)
        for owner_id in owner_ids(reader)
        if (owner := reader.service_principal(owner_id)) is not None and owner.is_enabled
        for credential in reader.credentials_of(owner_id)
        if credential.expires_at is not None and now < credential.expires_at <= now + ahead
    ]
    return sorted(found, key=lambda each: (each.credential.expires_at or now, each.owner.id))
