"""External identity providers: settings, and who at a provider is which user (EDGES B3, B4, B6).

Whoever can change a provider can become everybody whom it vouches for. So each change asks
that the caller holds all that is held by the groups which it gives and the users whom it
knows. What it no longer says ends at once: memberships, sessions, tokens, grants.
What is not here: signing in (``services.external_sign_in``), talking to a provider
(``identity.oidc``).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from bascule.domain import providers as domain
from bascule.domain.access import Subject
from bascule.domain.facts.providers import ProviderAdded, ProviderChanged, ProviderRemoved
from bascule.domain.ids import parse_name
from bascule.domain.names import parse_display_name
from bascule.domain.providers import IdentityProvider
from bascule.errors import Conflict, InvalidInput, NotFound, Problem
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.providers import ProviderReads, ProviderWrites
from bascule.sentences import sentence
from bascule.services.act import Act, new_id
from bascule.services.losses import LossWrites, PrincipalLossWrites, end_unheld
from bascule.services.owners import check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id


class GroupGiftReads(PrincipalReads, ProviderReads, Protocol):
    """Groups that a provider gives."""


class GiftEndWrites(LossWrites, PrincipalWrites, Protocol):
    """Memberships that a provider gave, and what is lost with them."""


class ProviderEndWrites(PrincipalLossWrites, ProviderWrites, Protocol):
    """Providers, their people, and what is lost with either."""


KIND = "identityProviders"
MOST_PROVIDERS = 32


@dataclass(frozen=True, slots=True)
class ProviderDraft:
    """What a PUT says; None is absent and keeps what is stored."""

    display_name: str | None = None
    issuer: str | None = None
    client_id: str | None = None
    client_secret: str | None = None  # empty: none any more
    scopes: tuple[str, ...] | None = None
    domains: tuple[str, ...] | None = None
    tenant_claim: str | None = None
    tenants: tuple[str, ...] | None = None
    groups_claim: str | None = None
    groups: tuple[tuple[str, str], ...] | None = None  # value; a group's id or name
    creates_users: bool | None = None
    ca: str | None = None
    is_enabled: bool | None = None


def find_provider(reader: ProviderReads, name: str) -> IdentityProvider:
    provider = reader.identity_provider_by_name(name)
    if provider is None:
        known = ", ".join(each.name for each in reader.identity_providers()) or "none"
        raise NotFound(
            sentence(
                "There is no identity provider {name}. Existing providers: {known}.",
                name=repr(name[:64]),
                known=known,
            ),
            code="ProviderNotFound",
            advice="To add it: bascule provider add NAME --issuer URL --client-id ID",
        )
    return provider


def put_provider(
    tx: ProviderEndWrites,
    act: Act,
    subject: Subject,
    name: str,
    draft: ProviderDraft,
    seal: Callable[[str, str], str],
) -> tuple[IdentityProvider, bool]:
    """Create or change a provider; True when it is new.

    ``seal`` takes a client secret and the provider's id. Raises InvalidInput with every
    problem, Conflict (of the last owner too: EDGES B10), Forbidden (B4).
    """
    before = tx.identity_provider_by_name(name)
    provider = _drafted(tx, act, name, before, draft, seal)
    _check(tx, provider, before)
    given = _given_by(tx, [each for each in (before, provider) if each])
    check_may_change(tx, act, subject, *given)
    tx.put_identity_provider(provider)
    where = identity_id(tx, KIND, provider.name)
    if before is None:
        act.record(
            tx, ProviderAdded(provider.name, provider.issuer, settings_text(provider)), where
        )
        return provider, True
    if provider != before:
        said, was = settings_text(provider), settings_text(before)
        if provider.sealed_secret != before.sealed_secret:
            said = f"{said} (another client secret)"
        act.record(tx, ProviderChanged(provider.name, provider.issuer, said, was), where)
        _end_what_is_not_said(tx, act, provider, before)
    return provider, False


def delete_provider(tx: ProviderEndWrites, act: Act, subject: Subject, name: str) -> bool:
    """Forget a provider with whom it vouched for: they sign in no more; False when unknown.

    Raises Forbidden (EDGES B4), and Conflict when the last owner signs in by it (B10).
    """
    provider = tx.identity_provider_by_name(name)
    if provider is None:
        return False
    check_may_change(tx, act, subject, *_given_by(tx, [provider]))
    identities = tx.external_identities_from(provider.id)
    users = list(dict.fromkeys(each.user_id for each in identities))
    had_owners = are_owners(tx, users)
    void(tx, users)
    tx.delete_identity_provider(provider.id)
    fact = ProviderRemoved(provider.name, provider.issuer, len(identities))
    act.record(tx, fact, identity_id(tx, KIND, provider.name))
    end_unheld(tx, act, users, f"removal of identity provider {provider.name}")
    if had_owners:
        check_owner_left(tx, act)
    return True


def void(tx: PrincipalWrites, user_ids: Iterable[str]) -> None:
    """End every session and token of these users: how they signed in counts no more."""
    for user_id in user_ids:
        user = tx.user(user_id)
        if user is not None:
            tx.put_user(replace(user, epoch=user.epoch + 1))


def drop_memberships(
    tx: GiftEndWrites,
    act: Act,
    provider: IdentityProvider,
    user_ids: Iterable[str],
    cause: str,
    *,
    is_all: bool = False,
) -> None:
    """Take back the memberships that the provider gave: all, or those that its settings no
    longer give; and end the grants that were held by them.
    """
    is_kept = provider.is_enabled and not is_all
    kept = {group for _, group in provider.groups} if is_kept else set()
    changed: list[str] = []
    for user_id in user_ids:
        for membership in tx.memberships_of(user_id, act.now):
            if membership.provider_id == provider.id and membership.group_id not in kept:
                tx.delete_membership(membership.group_id, user_id, provider.id)
                changed.append(user_id)
    if changed:
        end_unheld(tx, act, changed, cause)


def settings_text(provider: IdentityProvider) -> str:
    """The settings as the record shows them; never the secret."""
    said = {
        "displayName": provider.display_name,
        "clientId": provider.client_id,
        "hasClientSecret": bool(provider.sealed_secret),
        "scopes": provider.scopes,
        "domains": provider.domains,
        "tenantClaim": provider.tenant_claim,
        "tenants": provider.tenants,
        "groupsClaim": provider.groups_claim,
        "groups": [{"value": value, "groupId": group} for value, group in provider.groups],
        "createsUsers": provider.creates_users,
        "hasCa": bool(provider.ca),
        "isEnabled": provider.is_enabled,
    }
    return json.dumps(said, ensure_ascii=False, separators=(",", ":"))


def _drafted(
    tx: PrincipalReads,
    act: Act,
    name: str,
    before: IdentityProvider | None,
    draft: ProviderDraft,
    seal: Callable[[str, str], str],
) -> IdentityProvider:
    """The settings as they shall be, not yet looked at."""
    base = before or IdentityProvider(
        new_id(), parse_name(name, "The provider's name"), name, "", "", act.now
    )
    sealed = base.sealed_secret
    if draft.client_secret is not None:
        sealed = seal(draft.client_secret, base.id) if draft.client_secret else ""
    given = {
        "display_name": draft.display_name,
        "issuer": draft.issuer,
        "client_id": draft.client_id,
        "scopes": draft.scopes,
        "domains": draft.domains,
        "tenant_claim": draft.tenant_claim,
        "tenants": draft.tenants,
        "groups_claim": draft.groups_claim,
        "groups": None if draft.groups is None else _group_ids(tx, draft.groups),
        "creates_users": draft.creates_users,
        "ca": draft.ca,
        "is_enabled": draft.is_enabled,
    }
    said = {key: value for key, value in given.items() if value is not None}
    return replace(base, sealed_secret=sealed, **said)  # type: ignore[arg-type]  # reason: each of its field's type, above


def _group_ids(
    reader: PrincipalReads, groups: Iterable[tuple[str, str]]
) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    problems: list[Problem] = []
    for value, wanted in dict.fromkeys(groups):
        group = reader.group(wanted) or reader.group_by_name(wanted)
        if group is None:
            problems.append(
                Problem(
                    "GroupNotFound",
                    sentence(
                        "There is no group {wanted} here. To list groups: bascule group list",
                        wanted=repr(wanted[:80]),
                    ),
                    "properties.groups",
                )
            )
        else:
            found.append((value, group.id))
    if problems:
        raise InvalidInput.of(problems)
    return tuple(found)


def _check(tx: ProviderReads, provider: IdentityProvider, before: IdentityProvider | None) -> None:
    problems = list(domain.problems_of(provider))
    if not provider.issuer:
        problems.append(
            Problem("InvalidProvider", "The issuer is missing: an https URL.", "properties.issuer")
        )
    if problems:
        raise InvalidInput.of(problems)
    parse_display_name(provider.display_name, "properties.displayName")
    if before is not None and before.issuer != provider.issuer:
        raise Conflict(
            sentence(
                "The issuer of {provider} cannot be changed, because its linked people "
                "belong to {issuer}.",
                provider=provider.name,
                issuer=before.issuer,
            ),
            code="IssuerIsFixed",
            target="properties.issuer",
            advice="Add another provider for the other issuer.",
        )
    others = [each for each in tx.identity_providers() if each.id != provider.id]
    taken = next((each for each in others if each.issuer == provider.issuer), None)
    if taken is not None:
        raise Conflict(
            sentence(
                "The issuer {issuer} is already configured as {taken}.",
                issuer=provider.issuer,
                taken=taken.name,
            ),
            code="IssuerTaken",
            target="properties.issuer",
            advice=sentence(
                "To change that provider: bascule provider change {taken}", taken=taken.name
            ),
        )
    if before is None and len(others) >= MOST_PROVIDERS:
        raise Conflict(
            sentence(
                "There are {most} identity providers, which is the maximum.", most=MOST_PROVIDERS
            ),
            code="TooManyProviders",
        )


def _given_by(reader: GroupGiftReads, providers: Iterable[IdentityProvider]) -> list[str]:
    """The groups that these settings give, and the users whom the provider can be."""
    found: dict[str, None] = {}
    for provider in providers:
        found.update(
            dict.fromkeys(group for _, group in provider.groups if reader.group(group) is not None)
        )
        known = reader.external_identities_from(provider.id)
        invited = reader.invitations_from(provider.id)
        found.update(dict.fromkeys(each.user_id for each in known))
        found.update(dict.fromkeys(each.user_id for each in invited))
    return list(found)


def _end_what_is_not_said(
    tx: ProviderEndWrites, act: Act, provider: IdentityProvider, before: IdentityProvider
) -> None:
    identities = tx.external_identities_from(provider.id)
    users = list(dict.fromkeys(each.user_id for each in identities))
    if before.is_enabled and not provider.is_enabled:
        void(tx, users)
        for identity in identities:
            tx.put_external_identity(replace(identity, sealed_refresh=""))
        if are_owners(tx, users):
            check_owner_left(tx, act)
    drop_memberships(tx, act, provider, users, f"change of identity provider {provider.name}")
