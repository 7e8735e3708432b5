"""Search: machines and people whose names begin with the given letters, and their requests.

Each kind is looked for where its own list would show it to this caller, and nowhere else.
A name is entered by its beginning, so that a hundred thousand are as quick as ten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import takewhile
from typing import Protocol

from bascule.domain.actions import MACHINE_READ, SERVICE_PRINCIPAL_READ, USER_READ
from bascule.domain.ids import is_guid
from bascule.domain.lifecycle import RequestState
from bascule.domain.machine import Machine
from bascule.domain.principals import ServicePrincipal, User
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Rights
from bascule.domain.scopes import subscription_scope
from bascule.interfaces.grants import GrantReads
from bascule.interfaces.inventory import MachineReads
from bascule.interfaces.listing import ListFilter, ListingReads, Place
from bascule.interfaces.points import BindingReads, PointReads
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.public_ports import PublicPortReads
from bascule.interfaces.record import EventReads
from bascule.interfaces.requests import RequestReads
from bascule.interfaces.reviews import ReviewReads
from bascule.interfaces.runs import RunReads
from bascule.services.approval_views import ApprovalViewReads
from bascule.services.request_rights import sight_of
from bascule.services.views import RequestView, view_requests


class SearchReads(
    ApprovalViewReads,
    BindingReads,
    EventReads,
    GrantReads,
    ListingReads,
    MachineReads,
    PointReads,
    PrincipalReads,
    PublicPortReads,
    RequestReads,
    ReviewReads,
    RunReads,
    Protocol,
):
    """All that is found by name."""


MOST = 10  # of each kind
LONGEST = 200
_RECENT = 50  # requests of one machine or person that are looked at


@dataclass(frozen=True, slots=True)
class Found:
    machines: Sequence[Machine] = ()
    users: Sequence[User] = ()
    services: Sequence[ServicePrincipal] = ()
    requests: Sequence[RequestView] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.machines or self.users or self.services or self.requests)


def search(
    reader: SearchReads,
    rights: Rights,
    principal_id: str,
    subscription_id: str,
    text: str,
    now: datetime,
) -> Found:
    """At most MOST of each; nothing for no letters."""
    folded = text.strip()[:LONGEST].casefold()
    if not folded:
        return Found()
    scope = subscription_scope(subscription_id)
    machines = _machines(reader, rights, subscription_id, folded)
    users = _users(reader, folded) if rights.may(USER_READ, scope) else []
    services = _services(reader, folded) if rights.may(SERVICE_PRINCIPAL_READ, scope) else []
    sight = sight_of(rights, principal_id)
    seen = [each for each in _requests(reader, folded, machines, users) if sight.sees_request(each)]
    seen.sort(key=lambda each: (each.started_at, each.id), reverse=True)
    return Found(machines, users, services, view_requests(reader, seen[:MOST], now))


def _machines(
    reader: ListingReads, rights: Rights, subscription_id: str, folded: str
) -> list[Machine]:
    reach = rights.reach(MACHINE_READ)
    sees_all = reach.covers(subscription_scope(subscription_id).key)
    wanted = ListFilter(within=None if sees_all else reach)
    rows = reader.listed_machines(wanted, Place(folded, ""), MOST)
    found = (each.machine for each in rows)
    return list(takewhile(lambda each: each.id.name.casefold().startswith(folded), found))


def _users(reader: PrincipalReads, folded: str) -> list[User]:
    exact = reader.user_by_name(folded)
    beyond = takewhile(
        lambda each: each.name.casefold().startswith(folded), reader.users(folded, MOST)
    )
    return [*([exact] if exact is not None else []), *beyond][:MOST]


def _services(reader: PrincipalReads, folded: str) -> list[ServicePrincipal]:
    found = reader.service_principals_by_name((folded, ""), MOST)
    return list(takewhile(lambda each: each.display_name.casefold().startswith(folded), found))


def _requests(
    reader: RequestReads, folded: str, machines: Sequence[Machine], users: Sequence[User]
) -> list[AccessRequest]:
    """The one of that id; else the newest of a machine or person that is meant alone."""
    if is_guid(folded):
        found = reader.request(folded)
        return [found] if found is not None else []
    requests: dict[str, AccessRequest] = {}
    if len(machines) == 1:
        of_machine = reader.requests(
            machine_uid=machines[0].uid, states=tuple(RequestState), limit=_RECENT
        )
        requests |= {each.id: each for each in of_machine}
    if len(users) == 1:
        of_user = reader.requests(
            requestor_id=users[0].id, states=tuple(RequestState), limit=_RECENT
        )
        requests |= {each.id: each for each in of_user}
    return list(requests.values())
