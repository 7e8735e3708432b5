"""Which user an identity at a provider belongs to: linked by subject, or invited by address (EDGES B4, B6).

A link is a way to sign in, and brings the user what the provider's groups give: so only
somebody who holds all that the user and these groups hold may make one. Taking one away voids
the user's sessions and tokens. An invitation names an address of a domain of the provider's;
whoever first proves it there is linked, and it is used up.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.facts.providers import (
    IdentityInvitationWithdrawn,
    IdentityInvited,
    IdentityLinked,
    IdentityUnlinked,
)
from bascule.domain.principals import User
from bascule.domain.providers import (
    ExternalIdentity,
    IdentityProvider,
    Invitation,
    fold_email,
    is_our_domain,
    is_subject,
)
from bascule.domain.times import format_utc
from bascule.errors import Conflict, InvalidInput, NotFound
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.sign_in import SignInReads
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.losses import LossWrites
from bascule.services.owners import OwnerReads, check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id, name_of
from bascule.services.providers import KIND, drop_memberships, find_provider, void


class IdentityWrites(OwnerReads, EventWrites, ProviderWrites, Protocol):
    """Identities and invitations of users."""


class IdentityEndWrites(
    LossWrites, InventoryReads, PrincipalWrites, ProviderWrites, SignInReads, Protocol
):
    """The same, with what is lost with one."""


INVITATION_LIFE = timedelta(days=14)
MOST_IDENTITIES = 16  # of one user
BY_HAND, BY_INVITATION, AS_NEW = "by hand", "by invitation", "as a new user"


@dataclass(frozen=True, slots=True)
class Known:
    """A link, or an invitation that waits, as it is listed."""

    user_id: str
    user: str
    subject: str = ""  # empty: an invitation
    email: str = ""
    linked_at: datetime | None = None
    vouched_at: datetime | None = None
    invited_until: datetime | None = None


def known_to(reader: OwnerReads, provider_name: str, now: datetime) -> list[Known]:
    """Whom the provider knows, by subject; then who is invited, by address."""
    provider = find_provider(reader, provider_name)
    linked = [
        Known(
            each.user_id,
            name_of(reader, each.user_id),
            each.subject,
            each.email,
            each.linked_at,
            each.vouched_at,
        )
        for each in reader.external_identities_from(provider.id)
    ]
    invited = [
        Known(
            each.user_id,
            name_of(reader, each.user_id),
            email=each.email,
            invited_until=each.expires_at,
        )
        for each in reader.invitations_from(provider.id)
        if now < each.expires_at
    ]
    return [*linked, *invited]


def find_user(reader: PrincipalReads, wanted: str) -> User:
    """By id, or by name without regard to case."""
    user = reader.user(wanted) or reader.user_by_name(wanted)
    if user is None:
        raise NotFound(
            sentence("There is no user {wanted}.", wanted=repr(wanted[:113])),
            code="UserNotFound",
            advice="To list users: bascule user list",
        )
    return user


def link(
    tx: IdentityWrites, act: Act, subject: Subject, provider_name: str, wanted: str, external: str
) -> tuple[ExternalIdentity, bool]:
    """Say that this subject of the provider is that user; True when it is new."""
    provider, user = find_provider(tx, provider_name), find_user(tx, wanted)
    check_may_change(tx, act, subject, user.id, *(group for _, group in provider.groups))
    if not is_subject(external):
        raise InvalidInput(
            "A subject has 1 to 255 printable ASCII characters. It is the person's id at the "
            "provider (sub), never a name or an address.",
            code="InvalidSubject",
            target="properties.subject",
        )
    present = tx.external_identity(provider.issuer, external)
    if present is not None and present.user_id != user.id:
        raise Conflict(
            sentence(
                "That subject of {provider} is already linked to '{user}'.",
                provider=provider.name,
                user=name_of(tx, present.user_id),
            ),
            code="IdentityTaken",
            advice="Unlink it first: bascule provider unlink",
        )
    if present is not None:
        return present, False
    return join(tx, act, provider, user, external, BY_HAND), True


def join(
    tx: IdentityWrites, act: Act, provider: IdentityProvider, user: User, external: str, how: str
) -> ExternalIdentity:
    """Write the link and its event; whether it may be is decided by who calls."""
    if len(tx.external_identities_of(user.id)) >= MOST_IDENTITIES:
        raise Conflict(
            sentence(
                "'{user}' has {most} external identities, which is the maximum.",
                user=user.name,
                most=MOST_IDENTITIES,
            ),
            code="TooManyIdentities",
        )
    identity = ExternalIdentity(provider.issuer, external, provider.id, user.id, act.now)
    tx.put_external_identity(identity)
    fact = IdentityLinked(provider.name, provider.issuer, external, user.id, user.name, how)
    act.record(tx, fact, identity_id(tx, KIND, provider.name))
    return identity


def unlink(
    tx: IdentityEndWrites, act: Act, subject: Subject, provider_name: str, external: str
) -> bool:
    """Take a link away, and what it gave; False when there is none.

    Raises Forbidden (EDGES B4), and Conflict when the last owner signs in by it (B10).
    """
    provider = find_provider(tx, provider_name)
    identity = tx.external_identity(provider.issuer, external)
    if identity is None:
        return False
    check_may_change(tx, act, subject, identity.user_id)
    tx.delete_external_identity(identity.issuer, identity.subject)
    void(tx, [identity.user_id])
    name = name_of(tx, identity.user_id)
    fact = IdentityUnlinked(
        provider.name, identity.issuer, identity.subject, identity.user_id, name
    )
    act.record(tx, fact, identity_id(tx, KIND, provider.name))
    _take_back(tx, act, provider, identity.user_id, f"unlinking of {name} at {provider.name}")
    if are_owners(tx, [identity.user_id]):
        check_owner_left(tx, act)
    return True


def _take_back(
    tx: IdentityEndWrites, act: Act, provider: IdentityProvider, user_id: str, cause: str
) -> None:
    """End the memberships that the provider gave, unless another identity of it may have."""
    left = tx.external_identities_of(user_id)
    if not any(each.provider_id == provider.id for each in left):
        drop_memberships(tx, act, provider, [user_id], cause, is_all=True)


def invite(
    tx: IdentityWrites, act: Act, subject: Subject, provider_name: str, wanted: str, email: str
) -> Invitation:
    """Let whoever first proves this address at the provider be that user."""
    provider, user = find_provider(tx, provider_name), find_user(tx, wanted)
    check_may_change(tx, act, subject, user.id, *(group for _, group in provider.groups))
    folded = fold_email(email)
    if not folded or not is_our_domain(provider, folded):
        domains = ", ".join(provider.domains) or "none"
        raise InvalidInput(
            sentence(
                "{email} is not an e-mail address in an allowed domain of {provider}. "
                "Allowed: {domains}.",
                email=repr(email[:200]),
                provider=provider.name,
                domains=domains,
            ),
            code="InvalidEmail",
            target="properties.email",
            advice="Link by subject instead, or set the domains: bascule provider change",
        )
    present = tx.invitation(provider.id, folded)
    if present is not None and present.user_id != user.id and act.now < present.expires_at:
        raise Conflict(
            sentence(
                "That address is already invited as '{user}'.", user=name_of(tx, present.user_id)
            ),
            code="InvitationTaken",
        )
    invitation = Invitation(provider.id, folded, user.id, act.now + INVITATION_LIFE)
    tx.put_invitation(invitation)
    until = format_utc(invitation.expires_at)
    fact = IdentityInvited(provider.name, folded, user.id, user.name, until)
    act.record(tx, fact, identity_id(tx, KIND, provider.name))
    return invitation


def withdraw(
    tx: IdentityWrites, act: Act, subject: Subject, provider_name: str, email: str
) -> bool:
    """Take an invitation back; False when there is none."""
    provider = find_provider(tx, provider_name)
    invitation = tx.invitation(provider.id, fold_email(email))
    if invitation is None:
        return False
    check_may_change(tx, act, subject, invitation.user_id)
    tx.delete_invitation(provider.id, invitation.email)
    fact = IdentityInvitationWithdrawn(
        provider.name,
        invitation.email,
        invitation.user_id,
        name_of(tx, invitation.user_id),
    )
    act.record(tx, fact, identity_id(tx, KIND, provider.name))
    return True
