"""Who may change a principal: only who holds at least what it holds (EDGES B4).

Whoever can set somebody's password, add a credential or a member has all that this somebody
holds; so it is asked of every such act, in its own transaction, before anything is written.
Rights are compared at each scope where they are held, disabled or not (``domain.containment``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from bascule.domain.access import Subject
from bascule.domain.containment import not_held
from bascule.domain.roles import Rights
from bascule.errors import Forbidden, Problem
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.providers import ProviderReads
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.owners import OwnerReads, owner_ids
from bascule.services.rights import RightsReads, holdings_of, rights_of

_MOST_NAMED = 20  # roles that a refusal lists


def check_may_change(
    reader: OwnerReads,
    act: Act,
    subject: Subject,
    *principal_ids: str,
    own: Rights | None = None,
) -> None:
    """Raise Forbidden unless ``subject`` holds all that each of these principals (or groups) holds.

    Whom a provider knows or has invited counts as in every group that the provider may put
    somebody into: the next sign-in there may do it. But oneself one is already. That the
    caller may change principals at all is the route's affair. ``own`` is what of the subject's
    rights counts, where that is not all of them.
    """
    own = rights_of(reader, subject.principal_id, act.now) if own is None else own
    seen: set[str] = set()  # a group that many may be put into is looked at once
    for principal_id in principal_ids:
        _check_holds(reader, act, own, principal_id, principal_id)
        if principal_id == subject.principal_id:
            continue
        for group_id in _groups_within_reach(reader, principal_id, act.now):
            if group_id not in seen:
                seen.add(group_id)
                _check_holds(reader, act, own, principal_id, group_id)


def _groups_within_reach(reader: ProviderReads, principal_id: str, now: datetime) -> list[str]:
    """The groups that an identity provider, enabled or not, may put this user into."""
    found: dict[str, None] = {}
    known = [each.provider_id for each in reader.external_identities_of(principal_id)]
    invited = reader.invitations_of(principal_id)
    known += [each.provider_id for each in invited if now < each.expires_at]
    for provider_id in dict.fromkeys(known):
        provider = reader.identity_provider(provider_id)
        if provider is not None:
            found.update(dict.fromkeys(group for _, group in provider.groups))
    return list(found)


def _check_holds(
    reader: RightsReads, act: Act, own: Rights, principal_id: str, holder_id: str
) -> None:
    """``holder_id`` is the principal itself, or a group that it may be put into."""
    lacking = not_held(holdings_of(reader, holder_id, act.now), own)
    if not lacking:
        return
    name = name_of(reader, principal_id)
    holder = f"'{name_of(reader, holder_id)}'"
    if holder_id != principal_id:
        holder += f", a group to which an identity provider may add '{name}',"
    problems = [
        Problem(
            Forbidden.code,
            sentence(
                "{holder} holds the role '{role}' at {scope}, and you do not hold all of "
                "its rights there.",
                holder=holder,
                role=each.role.name,
                scope=each.scope_key or "/",
            ),
        )
        for each in lacking[:_MOST_NAMED]
    ]
    more = f" (and {len(lacking) - 1} more, see details)" if len(lacking) > 1 else ""
    raise Forbidden(
        f"You may not change '{name}', because it holds rights that you do not hold. "
        f"{problems[0].message}{more}",
        advice="Ask somebody who holds at least these roles at the same or higher scopes.",
        problems=problems,
    )


def are_owners(reader: OwnerReads, principal_ids: Iterable[str]) -> bool:
    """Is one of them an owner: may what takes them away leave nobody (EDGES B10)?

    Asked before the change; what concerns no owner must go on where all have lapsed.
    """
    return not set(principal_ids).isdisjoint(owner_ids(reader))


def name_of(reader: PrincipalReads, principal_id: str) -> str:
    """What a principal is called; its id when it is not there."""
    return known_name(reader, principal_id) or principal_id


def known_name(reader: PrincipalReads, principal_id: str) -> str:
    """What a principal is called; empty when it is not there."""
    user = reader.user(principal_id)
    if user is not None:
        return user.name
    service = reader.service_principal(principal_id)
    if service is not None:
        return service.display_name
    group = reader.group(principal_id)
    return "" if group is None else group.name


def identity_id(reader: InventoryReads, kind: str, principal_id: str) -> str:
    """The resource id of a principal; ``kind`` is users, groups or servicePrincipals."""
    installation = reader.installation()
    subscription = installation.subscription_id if installation else ""
    return f"/subscriptions/{subscription}/providers/Bascule.Identity/{kind}/{principal_id}"
