"""What the pages of access control share: the API's own checks, tabs, who is meant.

The API asks for an action at the scope of a path; a page has no scope in its path, so it asks
here, for reading at once and for an act in its transaction (``perform_at``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from starlette.responses import Response

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import (
    ASSIGNMENT_READ,
    GROUP_OF_PEOPLE_READ,
    IDENTITY_PROVIDER_READ,
    ROLE_READ,
    SERVICE_PRINCIPAL_READ,
    USER_READ,
)
from bascule.domain.ids import is_guid
from bascule.domain.scopes import Scope, subscription_scope
from bascule.errors import Forbidden, InvalidInput, NotFound
from bascule.interfaces.store import Reader, Transaction
from bascule.portal.guard import Visit
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.principal_rights import check_may_change
from bascule.services.rights import Needed, check, denial
from bascule.words import msgid

T = TypeVar("T")

ACCESS = "/portal/access"
TABS = (  # text, path, and what whoever sees it may read
    (msgid("Role assignments"), ACCESS, ASSIGNMENT_READ),
    (msgid("Roles"), f"{ACCESS}/roles", ROLE_READ),
    (msgid("Users"), f"{ACCESS}/users", USER_READ),
    (msgid("Groups"), f"{ACCESS}/groups", GROUP_OF_PEOPLE_READ),
    (msgid("Service principals"), f"{ACCESS}/programs", SERVICE_PRINCIPAL_READ),
    (msgid("Sign-in settings"), f"{ACCESS}/providers", IDENTITY_PROVIDER_READ),
)
READS = {
    PrincipalKind.USER: USER_READ,
    PrincipalKind.GROUP: GROUP_OF_PEOPLE_READ,
    PrincipalKind.SERVICE: SERVICE_PRINCIPAL_READ,
}
PATHS = {
    PrincipalKind.USER: f"{ACCESS}/users",
    PrincipalKind.GROUP: f"{ACCESS}/groups",
    PrincipalKind.SERVICE: f"{ACCESS}/programs",
}


def whole(visit: Visit) -> Scope:
    """The subscription: where people, programs and settings are read and written."""
    return subscription_scope(visit.subscription_id)


async def require(visit: Visit, action: str, scope: Scope | None = None) -> None:
    """Raise Forbidden, as the API's route would, unless the visitor may do this there."""
    if not visit.may(action, scope or whole(visit)):
        await visit.read_few(lambda reader: require_in(reader, visit, action, scope))


def require_in(reader: Reader, visit: Visit, action: str, scope: Scope | None = None) -> None:
    """The same inside a read."""
    place = scope or whole(visit)
    if not visit.may(action, place):
        raise denial(reader, visit.subject, [Needed(action, place)])


async def perform_at(
    visit: Visit, action: str, work: Callable[[Transaction, Act], T], scope: Scope | None = None
) -> T:
    """Run a use case, whose action the visitor must hold then: as ``requires`` in the API."""
    place = scope or whole(visit)

    def unit(tx: Transaction, act: Act) -> T:
        check(tx, visit.subject, act.now, [Needed(action, place)])
        return work(tx, act)

    return await visit.perform(unit)


def show_tab(visit: Visit, current: str, template: str, /, **content: object) -> Response:
    """A page under one of the tabs; ``current`` is that tab's path."""
    t = visit.words
    tabs = [(t(text), path, path == current, None) for text, path, _ in TABS]
    return visit.show(template, tabs=tabs, whole=whole(visit), **content)


def why_not_change(visit: Visit, reader: Reader, principal_id: str) -> str:
    """Why the visitor may not change this principal: it holds more (EDGES B4); else empty."""
    try:
        check_may_change(reader, Act(visit.now), visit.subject, principal_id)
    except Forbidden as error:
        said = [*(each.message for each in error.problems[:1]), error.advice]
        return " ".join(map(visit.words.say, said))
    return ""


def lacks(visit: Visit, action: str, current: str) -> Response | None:
    """The tab for a visitor who may not read it, and why; None if they may."""
    if visit.may(action, whole(visit)):
        return None
    t = visit.words
    tabs = [(t(text), path, path == current, None) for text, path, _ in TABS]
    why = visit.why_not(action, whole(visit))
    return visit.show("access_denied.html", 403, tabs=tabs, why=why)


# -- who is meant -----------------------------------------------------------------------------


def find_principal(visit: Visit, reader: Reader, kind: str, wanted: str) -> str:
    """The id of a user, group or program by name or id; raise NotFound, InvalidInput, Forbidden.

    Names are looked up for whoever may read that kind; anybody may give an id.
    """
    if is_guid(wanted):
        return wanted.lower()
    if kind not in READS:
        raise InvalidInput("Choose user, group or service principal.", target="kind")
    require_in(reader, visit, READS[PrincipalKind(kind)])
    found = _by_name(reader, PrincipalKind(kind), wanted)
    if not found:
        raise NotFound(
            sentence("Nobody of that kind is named {wanted}.", wanted=repr(wanted[:100])),
            code="PrincipalNotFound",
            advice="Give the full name or the ID.",
        )
    if len(found) > 1:
        raise InvalidInput(
            sentence(
                "{count} principals are named {wanted}: {names}. Give the ID.",
                count=len(found),
                wanted=repr(wanted[:100]),
                names=", ".join(found[:5]),
            ),
            code="AmbiguousPrincipal",
            target="principal",
        )
    return found[0]


def _by_name(reader: Reader, kind: PrincipalKind, wanted: str) -> list[str]:
    if kind is PrincipalKind.USER:
        user = reader.user_by_name(wanted)
        return [] if user is None else [user.id]
    if kind is PrincipalKind.GROUP:
        group = reader.group_by_name(wanted)
        return [] if group is None else [group.id]
    return [each.id for each in reader.service_principals_called(wanted)]


def places(visit: Visit, reader: Reader) -> list[str]:
    """Scopes that are offered by name: the subscription and its resource groups."""
    top = str(whole(visit))
    return [top, *(f"{top}/resourceGroups/{each}" for each in reader.resource_groups())]


def lines(text: str) -> tuple[str, ...]:
    """What stands on each line, blank ones left out."""
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def open_ports(reader: Reader, principal_ids: Sequence[str]) -> int:
    """How many openings these have now."""
    return len(reader.live_grants_of(principal_ids))


def effect_on_ports(visit: Visit, count: int, is_partial: bool = False) -> str:
    """What an act does to so many openings; ``is_partial``: others may have a right to them."""
    t = visit.words
    if not count:
        return t("Nothing is open now.")
    if is_partial:
        return t(
            "They have {n} open now. Access that rests only on this closes as soon as the agents "
            "know.",
            n=count,
        )
    return t.ngettext(
        "{n} open port closes as soon as its agent knows.",
        "{n} open ports close as soon as their agents know.",
        count,
    )
