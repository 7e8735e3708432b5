"""Signing in through an external provider: sending people there, and whom they are here on return.

EDGES B3, B6. A browser that is sent away leaves a row here, known by the hash of its state
and bound to a cookie that it alone has; the row is taken out when somebody comes with it,
whatever comes of that. Who comes back is (issuer, subject). Groups are held for an hour and
are asked for anew at each sign-in and renewal; those that are gone are gone at once, with
the grants that were held by them.
What is not here: the talk with the provider (``identity.oidc``), sessions and codes.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.event import Actor
from bascule.domain.facts.providers import ExternalSignInRefused, ProviderGroupsChanged
from bascule.domain.facts.sign_in import SignInSucceeded
from bascule.domain.names import parse_display_name
from bascule.domain.places import Bounds, Full, find_room
from bascule.domain.principals import Membership, User
from bascule.domain.providers import (
    LONGEST_MEMBERSHIP,
    ExternalIdentity,
    IdentityProvider,
    NotVouched,
    Vouched,
    is_subject,
    judge,
)
from bascule.domain.sign_in import Method
from bascule.errors import BasculeError, InvalidInput, TooManyRequests
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalWrites
from bascule.interfaces.providers import PendingSignIn, ProviderReads, ProviderWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads
from bascule.interfaces.sign_in import SignInReads, SignInWrites
from bascule.interfaces.tokens import TokenWrites
from bascule.services.act import Act, actor_of
from bascule.services.approvers import void_unvouched
from bascule.services.denials import Denials
from bascule.services.identities import AS_NEW, BY_INVITATION, join
from bascule.services.losses import PrincipalLossWrites, end_unheld
from bascule.services.principal_rights import identity_id
from bascule.services.providers import KIND, GiftEndWrites, drop_memberships
from bascule.services.second_factors import factors_of
from bascule.services.sign_in import PasswordAccepted, Visit, remember_network
from bascule.services.sign_ins import end_elsewhere
from bascule.services.users import create_user


class DepartureWrites(ProviderWrites, SignInReads, Protocol):
    """Providers, and the sign-ins on their way to one."""


class VouchedWrites(
    DepartureWrites, EventWrites, InventoryReads, MakerWrites, PrincipalWrites, RoleReads, Protocol
):
    """People whom a provider vouches for."""


class GroupClaimWrites(GiftEndWrites, InventoryReads, Protocol):
    """Memberships that a provider gives, and what is lost with one."""


class ArrivalWrites(PrincipalLossWrites, ProviderWrites, SignInWrites, TokenWrites, Protocol):
    """All that an accepted or refused sign-in at a provider changes."""


SIGN_IN_LIFE = timedelta(minutes=10)  # from leaving to coming back
# Of a network more than may begin in the life of one (``api.oauth.external``): whoever shares
# an address keeps nobody there from leaving by what is under way.
BOUNDS = Bounds(network=300, wide_network=900, in_all=2000)
METHODS = (str(Method.ELSEWHERE),)
NOT_VOUCHED = "the identity provider does not vouch for its user any more"


@dataclass(frozen=True, slots=True)
class Returned:
    """What came back from a provider, its token checked."""

    provider_id: str
    issuer: str
    claims: Mapping[str, object]
    sealed_refresh: str = ""


@dataclass(frozen=True, slots=True)
class LetIn:
    user: User
    provider: IdentityProvider
    # With factors that are still to be shown here; empty: signed in.
    accepted: PasswordAccepted
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NotLetIn:
    """Why somebody whom a provider sent back is not let in, as text for them."""

    provider: str
    subject: str  # empty: not known
    reasons: tuple[str, ...]


def depart(tx: DepartureWrites, act: Act, pending: PendingSignIn) -> None:
    """Keep a sign-in that is on its way; raise TooManyRequests when there is no place for it.

    Where places run out, another's may have to give way (``domain.places``, EDGES E6).
    """
    tx.drop_pending_sign_ins(act.now)
    room = find_room(tx.pending_sign_ins(), pending.address, BOUNDS, tx.known_among)
    if isinstance(room, Full):
        raise TooManyRequests(
            "Too many sign-ins by identity providers are in progress.",
            advice="Try again in a few minutes.",
        )
    if room.gives_way:
        tx.take_pending_sign_in(room.gives_way)
    tx.add_pending_sign_in(pending)


def arrive(
    tx: ProviderWrites, act: Act, state_hash: str, browser_hash: str
) -> tuple[PendingSignIn, IdentityProvider] | None:
    """The sign-in that this browser began; None when it is not its own, over, or used."""
    pending = tx.take_pending_sign_in(state_hash)
    if pending is None or act.now >= pending.expires_at:
        return None
    if not hmac.compare_digest(pending.browser_hash, browser_hash):
        return None
    provider = _usable(tx, pending.provider_id, pending.issuer)
    return None if provider is None else (pending, provider)


def let_in(tx: ArrivalWrites, act: Act, returned: Returned, visit: Visit) -> LetIn | NotLetIn:
    """Decide who this is, on rows read now; the event and the groups are of one commit."""
    provider = _usable(tx, returned.provider_id, returned.issuer)
    if provider is None:
        return NotLetIn("", "", ("This identity provider is no longer in use.",))
    said = judge(provider, returned.claims)
    named = returned.claims.get("sub")
    subject = named if isinstance(named, str) and is_subject(named) else ""
    if isinstance(said, NotVouched):
        return NotLetIn(provider.name, subject, said.reasons)
    user = _user_of(tx, act, provider, said, visit)
    if isinstance(user, str):
        return NotLetIn(provider.name, subject, (user,))
    act.actor = _actor(user, visit)
    _note(tx, act, provider, said, returned.sealed_refresh)
    _take_groups(tx, act, provider, user, said)
    # Whatever the provider says it asked for: what was enrolled here is asked for here.
    factors = factors_of(tx, user.id)
    if not factors:
        remember_network(tx, act, user, visit)
        act.record(tx, SignInSucceeded(user.id, user.name, METHODS))
    accepted = PasswordAccepted(user, factors, act.now, Method.ELSEWHERE)
    return LetIn(user, provider, accepted, said.warnings)


def renew(tx: ArrivalWrites, act: Act, identity: ExternalIdentity, returned: Returned) -> bool:
    """Take a provider's renewed word; False, and all that it gave is gone, when it no longer
    speaks for the person.
    """
    provider = _usable(tx, returned.provider_id, returned.issuer)
    present = tx.external_identity(identity.issuer, identity.subject)
    user = tx.user(identity.user_id)
    if provider is None or present is None or user is None or present.user_id != user.id:
        return False
    said = judge(provider, returned.claims)
    if isinstance(said, NotVouched) or said.subject != identity.subject or not user.is_enabled:
        disown(tx, act, identity)
        return False
    _note(tx, act, provider, said, returned.sealed_refresh)
    _take_groups(tx, act, provider, user, said)
    return True


def disown(tx: ArrivalWrites, act: Act, identity: ExternalIdentity) -> None:
    """The provider does not vouch for the person any more: what rested on it ends now, where
    she is signed in by it among that.
    """
    provider = tx.identity_provider(identity.provider_id)
    present = tx.external_identity(identity.issuer, identity.subject)
    if provider is None or present is None:
        return
    tx.put_external_identity(replace(present, sealed_refresh=""))
    cause = f"identity provider {provider.name} no longer vouching"
    drop_memberships(tx, act, provider, [present.user_id], cause, is_all=True)
    end_elsewhere(tx, act, present.user_id, NOT_VOUCHED)


def renewable(
    reader: ProviderReads, user_id: str
) -> list[tuple[ExternalIdentity, IdentityProvider]]:
    """Of whom a provider can be asked again."""
    found = []
    for identity in reader.external_identities_of(user_id):
        provider = _usable(reader, identity.provider_id, identity.issuer)
        if provider is not None and identity.sealed_refresh:
            found.append((identity, provider))
    return found


def record_refusal(tx: VouchedWrites, act: Act, refusal: NotLetIn, denials: Denials) -> None:
    fact = ExternalSignInRefused(refusal.provider, refusal.subject, " ".join(refusal.reasons)[:500])
    provider = identity_id(tx, KIND, refusal.provider) if refusal.provider else ""
    act.record_denied(tx, fact, denials, provider)


def _usable(reader: ProviderReads, provider_id: str, issuer: str) -> IdentityProvider | None:
    provider = reader.identity_provider(provider_id)
    is_same = provider is not None and provider.is_enabled and provider.issuer == issuer
    return provider if is_same else None


def _user_of(
    tx: VouchedWrites, act: Act, provider: IdentityProvider, said: Vouched, visit: Visit
) -> User | str:
    """The user that this person is, linked or made now; else a sentence that says why not."""
    identity = tx.external_identity(provider.issuer, said.subject)
    user = tx.user(identity.user_id) if identity is not None else None
    if user is None:
        user = _invited(tx, act, provider, said, visit)
    if user is None and provider.creates_users:
        return _made(tx, act, provider, said, visit)
    if user is None:
        return (
            f"This account of {provider.display_name} is not known here, and users are not "
            f"created automatically. Ask an owner to link it: bascule provider link "
            f"{provider.name} USER --subject {said.subject[:80]}"
        )
    return user if user.is_enabled else f"The user {user.name} is disabled here."


def _invited(
    tx: VouchedWrites, act: Act, provider: IdentityProvider, said: Vouched, visit: Visit
) -> User | None:
    invitation = tx.invitation(provider.id, said.email) if said.email else None
    user = tx.user(invitation.user_id) if invitation is not None else None
    if invitation is None or user is None or act.now >= invitation.expires_at:
        return None
    if user.is_enabled:
        tx.delete_invitation(provider.id, said.email)
        act.actor = _actor(user, visit)
        join(tx, act, provider, user, said.subject, BY_INVITATION)
    return user


def _made(
    tx: VouchedWrites, act: Act, provider: IdentityProvider, said: Vouched, visit: Visit
) -> User | str:
    """A new user, named by the proved address alone: no other word of the provider's may
    become a name that others know somebody by.
    """
    if not said.email:
        return (
            f"{provider.display_name} does not confirm an e-mail address of yours, so no user can "
            f"be created. Ask an owner to link this account."
        )
    if tx.user_by_name(said.email) is not None:
        return (
            f"The user {said.email} exists already, and this account is not linked to it. Ask an "
            f"owner to link it: bascule provider link {provider.name} {said.email} --subject "
            f"{said.subject[:80]}"
        )
    try:
        user = create_user(tx, act, said.email, _display_name(said))
    except InvalidInput as error:
        return error.message
    act.actor = _actor(user, visit)
    join(tx, act, provider, user, said.subject, AS_NEW)
    return user


def _display_name(said: Vouched) -> str:
    try:
        return parse_display_name(said.name)
    except BasculeError:
        return ""


def _actor(user: User, visit: Visit) -> Actor:
    return actor_of(Subject(user.id, PrincipalKind.USER, user.name, visit.address, visit.client))


def _note(
    tx: ProviderWrites, act: Act, provider: IdentityProvider, said: Vouched, sealed_refresh: str
) -> None:
    identity = tx.external_identity(provider.issuer, said.subject)
    if identity is not None:
        noted = replace(
            identity,
            email=said.said_email,
            vouched_at=act.now,
            sealed_refresh=sealed_refresh,
            named_groups=tuple(sorted(said.groups | said.unsure_groups)),
        )
        tx.put_external_identity(noted)


def _take_groups(
    tx: GroupClaimWrites, act: Act, provider: IdentityProvider, user: User, said: Vouched
) -> None:
    """Make the memberships of this provider what it says now, for an hour."""
    present = {
        each.group_id
        for each in tx.memberships_of(user.id, act.now)
        if each.provider_id == provider.id
    }
    wanted = {group for group in said.groups if tx.group(group) is not None}
    ends_at = act.now + LONGEST_MEMBERSHIP
    for group in sorted(wanted):
        tx.put_membership(Membership(group, user.id, PrincipalKind.USER, provider.id, ends_at))
    for group in present - wanted:
        tx.delete_membership(group, user.id, provider.id)
    if present != wanted:
        fact = ProviderGroupsChanged(
            provider.name, user.id, user.name, tuple(sorted(wanted)), tuple(sorted(present))
        )
        act.record(tx, fact, identity_id(tx, KIND, provider.name))
    void_unvouched(tx, user.id, provider.id, act.now)
    if present - wanted:
        end_unheld(tx, act, [user.id], f"loss of groups at identity provider {provider.name}")
