"""Microsoft.Resources and its like: the way from signing in to a resource (CLIENTS 1.4).

Azure's own clients ask for these before and between the calls that matter: which tenant,
which subscription, which locations, groups and providers there are, and what is in them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from typing import Annotated

from fastapi import APIRouter, Path, Query, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import admits_callers, requires, shows, tells_holders
from bascule.api.envelope import CompactJson
from bascule.api.filters import parse_filter
from bascule.api.paging import Wanted, WantedPage, page_json
from bascule.api.paths import GROUP as RESOURCE_GROUP
from bascule.api.paths import SUBSCRIPTION, Group, Location
from bascule.api.wire import resources as wire
from bascule.api.wire.machines import MACHINE_TYPE
from bascule.api.wire.policies import JIT_TYPE
from bascule.domain.actions import (
    GROUP_DELETE,
    GROUP_READ,
    GROUP_WRITE,
    LOCATION_READ,
    MACHINE_READ,
    POLICY_READ,
    PROVIDER_READ,
    RESOURCES_READ,
    SECURITY_LOCATION_READ,
    SUBSCRIPTION_READ,
)
from bascule.domain.ids import is_resource_group_name
from bascule.domain.machine import Machine
from bascule.domain.scopes import group_scope
from bascule.errors import InvalidInput
from bascule.interfaces.policies import StoredPolicy
from bascule.interfaces.store import Reader
from bascule.services.groups import delete_group, find_group, put_group
from bascule.services.rights import Needed, denial

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

GROUPS = f"{SUBSCRIPTION}/resourceGroups"
# Not {resource_group}: the guard asks of that one that it exists.
GROUP = f"{GROUPS}/{{group_name}}"
PROVIDERS = f"{SUBSCRIPTION}/providers"
SECURITY_LOCATIONS = f"{PROVIDERS}/Microsoft.Security/locations"
GroupName = Annotated[str, Path(max_length=90)]
Filter = Annotated[
    str, Query(alias="$filter", max_length=400, examples=["resourceGroup eq 'default'"])
]
SEARCHED_AT_ONCE = 1000  # resources, in search of a name
RESOURCE_FILTER = (("resourceType", "eq"), ("resourceGroup", "eq"), ("name", "eq"))


@router.get("/tenants")
@admits_callers
async def list_tenants(call: CurrentCall) -> Response:
    return CompactJson({"value": [wire.tenant_json(call.state.installation)]})


@router.get("/subscriptions")
@shows(SUBSCRIPTION_READ)
async def list_subscriptions(call: CurrentCall) -> Response:
    """The server's only subscription, for callers who hold a role in it."""
    known = [wire.subscription_json(call.state.installation)] if call.rights.held else []
    return CompactJson({"value": known})


@router.get(SUBSCRIPTION)
@tells_holders(SUBSCRIPTION_READ)
async def get_subscription(call: CurrentCall) -> Response:
    return CompactJson(wire.subscription_json(call.state.installation))


@router.get(f"{SUBSCRIPTION}/locations")
@tells_holders(LOCATION_READ)
async def list_locations(call: CurrentCall) -> Response:
    names = await call.read(lambda reader: reader.locations())
    return CompactJson({"value": [wire.location_json(call.subscription_id, n) for n in names]})


@router.get(SECURITY_LOCATIONS)
@tells_holders(SECURITY_LOCATION_READ)
async def list_security_locations(call: CurrentCall) -> Response:
    names = await call.read(lambda reader: reader.locations())
    found = [wire.security_location_json(call.subscription_id, name) for name in names]
    return CompactJson({"value": found})


@router.get(f"{SECURITY_LOCATIONS}/{{location}}")
@tells_holders(SECURITY_LOCATION_READ)
async def get_security_location(call: CurrentCall, location: Location) -> Response:
    return CompactJson(wire.security_location_json(call.subscription_id, location))


@router.get(GROUPS)
@shows(GROUP_READ)
async def list_groups(call: CurrentCall, wanted: WantedPage) -> Response:
    after = wanted.text_after()
    names = await call.read(lambda reader: reader.resource_groups())
    later = [name for name in names if name.casefold() > after]
    found = [name for name in later if _is_told(call, name)][: wanted.limit]
    installation = call.state.installation
    return CompactJson(
        page_json(
            call,
            wanted,
            found,
            lambda name: wire.group_json(installation, name),
            lambda name: (name.casefold(),),
        )
    )


def _is_told(call: Call, name: str) -> bool:
    """A group is shown to whoever may read it, and to whoever holds a role in it."""
    return call.rights.is_told_of(GROUP_READ, group_scope(call.subscription_id, name).key)


async def _check_told(call: Call, name: str) -> None:
    if not _is_told(call, name):
        needed = Needed(GROUP_READ, group_scope(call.subscription_id, name))
        raise await call.read(lambda reader: denial(reader, call.subject, [needed]))


@router.get(GROUP)
@shows(GROUP_READ)
async def get_group(call: CurrentCall, group_name: GroupName) -> Response:
    name = _group_name(group_name)
    await _check_told(call, name)
    known = await call.read(lambda reader: find_group(reader, name))
    return CompactJson(wire.group_json(call.state.installation, known))


@router.head(GROUP)
@shows(GROUP_READ)
async def has_group(call: CurrentCall, group_name: GroupName) -> Response:
    name = _group_name(group_name)
    await _check_told(call, name)
    await call.read(lambda reader: find_group(reader, name))
    return Response(status_code=204)


@router.put(GROUP)
@requires(GROUP_WRITE)
async def create_group(call: CurrentCall, group_name: GroupName, body: wire.GroupBody) -> Response:
    name = _group_name(group_name)
    wire.check_group(body, call.state.installation.location)
    known, is_new = await call.perform(lambda tx, act: put_group(tx, act, name))
    return CompactJson(wire.group_json(call.state.installation, known), 201 if is_new else 200)


@router.delete(GROUP)
@requires(GROUP_DELETE)
async def remove_group(call: CurrentCall, group_name: GroupName) -> Response:
    """Deletes only an empty group."""
    name = _group_name(group_name)
    await call.perform(lambda tx, act: delete_group(tx, act, name))
    return Response(status_code=200)


def _group_name(text: str) -> str:
    if not is_resource_group_name(text):
        raise InvalidInput(
            f"{text[:100]!r} is not a resource group's name.", code="InvalidResourceName"
        )
    return text


@router.get(PROVIDERS)
@tells_holders(PROVIDER_READ)
async def list_providers(call: CurrentCall) -> Response:
    places = await call.read(lambda reader: reader.locations())
    found = [wire.provider_json(call.subscription_id, name, places) for name in wire.PROVIDERS]
    return CompactJson({"value": found})


@router.get(f"{PROVIDERS}/{{namespace}}")
@tells_holders(PROVIDER_READ)
async def get_provider(call: CurrentCall, namespace: str) -> Response:
    places = await call.read(lambda reader: reader.locations())
    return CompactJson(wire.provider_json(call.subscription_id, namespace, places))


@router.get(f"{SUBSCRIPTION}/resources")
@shows(RESOURCES_READ)
async def list_resources(
    call: CurrentCall, wanted: WantedPage, filter_text: Filter = ""
) -> Response:
    """Machines and policies together, ordered by id: those that the caller may read as
    resources, or as what they are.
    """
    return await _list_resources(call, wanted, None, filter_text)


@router.get(f"{RESOURCE_GROUP}/resources")
@shows(RESOURCES_READ)
async def list_resources_of_group(
    call: CurrentCall, group: Group, wanted: WantedPage, filter_text: Filter = ""
) -> Response:
    return await _list_resources(call, wanted, group, filter_text)


async def _list_resources(
    call: Call, wanted: Wanted, group: str | None, filter_text: str
) -> Response:
    clauses = parse_filter(filter_text, RESOURCE_FILTER)
    types, groups, names = (
        {clause.value.casefold() for clause in clauses if clause.field == field}
        for field, _ in RESOURCE_FILTER
    )
    groups |= set() if group is None else {group.casefold()}
    after = wanted.text_after()
    machines = call.within(RESOURCES_READ, MACHINE_READ)
    policies = call.within(RESOURCES_READ, POLICY_READ)

    def read(reader: Reader) -> list[Machine | StoredPolicy]:
        if len(groups) > 1:
            return []  # a resource is in one group
        only = next(iter(groups), None)
        found: list[Machine | StoredPolicy] = []
        if types <= {MACHINE_TYPE.casefold()}:
            found += _of_names(
                names, wanted.limit, after, lambda at, n: reader.machines(only, at, n, machines)
            )
        if types <= {JIT_TYPE.casefold()}:
            found += _of_names(
                names,
                wanted.limit,
                after,
                lambda at, n: reader.policies(only, None, at, n, policies),
            )
        return sorted(found, key=_key_of)[: wanted.limit]

    found = await call.read(read)
    return CompactJson(
        page_json(call, wanted, found, wire.resource_json, lambda each: (_key_of(each),))
    )


def _of_names(
    names: AbstractSet[str],
    limit: int,
    after: str,
    read: Callable[[str, int], Sequence[Machine | StoredPolicy]],
) -> list[Machine | StoredPolicy]:
    """So many that have all of these names (folded), from ``after`` on; without names, any.

    ``read`` gives the next ones behind a key, ordered by key.
    """
    found: list[Machine | StoredPolicy] = []
    size = SEARCHED_AT_ONCE if names else limit
    while len(found) < limit:
        page = read(after, size)
        found += [each for each in page if names <= {_name_of(each).casefold()}]
        if len(page) < size:
            break
        after = _key_of(page[-1])
    return found


def _name_of(resource: Machine | StoredPolicy) -> str:
    return resource.id.name if isinstance(resource, Machine) else resource.policy.id.name


def _key_of(resource: Machine | StoredPolicy) -> str:
    return resource.id.key if isinstance(resource, Machine) else resource.policy.id.key
