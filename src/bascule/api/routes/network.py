"""Microsoft.Network: what surrounds machines, as views (CONTRACT 2.4, 6.2; CLIENTS 3).

Who may read a view: whoever holds its action at the view, or at the machine that it shows.
A write is refused, after its action was asked for, with what to do instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Response

from bascule.api.auth import Call, CurrentCall, GuardedRoute
from bascule.api.entries import requires, shows
from bascule.api.envelope import CompactJson
from bascule.api.paging import Wanted, WantedPage, page_json
from bascule.api.paths import GROUP, SUBSCRIPTION, Group
from bascule.api.visible import machines_shown
from bascule.api.wire import network as wire
from bascule.domain import actions
from bascule.domain.ids import ResourceId, machine_id
from bascule.domain.machine import Machine
from bascule.domain.scopes import resource_scope
from bascule.errors import Conflict, NotFound
from bascule.interfaces.plans import MachineFilter
from bascule.interfaces.store import Reader
from bascule.services.firewalls import Firewall, firewalls_of
from bascule.services.machine_context import Surroundings, surroundings_of
from bascule.services.rights import Needed, denial

router = APIRouter(route_class=GuardedRoute, default_response_class=CompactJson)

Json = dict[str, Any]


async def nic_of(_group: Group, nic: str) -> str:
    return nic


async def public_ip_of(_group: Group, public_ip: str) -> str:
    return public_ip


async def nsg_of(_group: Group, nsg: str) -> str:
    return nsg


async def rule_of(_nsg: Annotated[str, Depends(nsg_of)], rule: str) -> str:
    return rule


async def firewall_of(_group: Group, firewall: str) -> str:
    return firewall


# Names of views as the path has them; whose view one is, and whether there is one, is found later.
Nic = Annotated[str, Depends(nic_of)]
PublicIp = Annotated[str, Depends(public_ip_of)]
Nsg = Annotated[str, Depends(nsg_of)]
Rule = Annotated[str, Depends(rule_of)]
FirewallName = Annotated[str, Depends(firewall_of)]
NICS = "/providers/Microsoft.Network/networkInterfaces"
PUBLIC_IPS = "/providers/Microsoft.Network/publicIPAddresses"
NSGS = "/providers/Microsoft.Network/networkSecurityGroups"
FIREWALLS = "/providers/Microsoft.Network/azureFirewalls"
RULES = f"{GROUP}{NSGS}/{{nsg}}/securityRules"
DEFAULT_RULES = f"{GROUP}{NSGS}/{{nsg}}/defaultSecurityRules"


async def _list(
    call: Call,
    wanted: Wanted,
    group: str | None,
    action: str,
    stem: Callable[[str], str | None],
    write: Callable[[Surroundings], list[Json]],
) -> Response:
    """A page of so many machines; what is shown of each may be none or several."""
    now, after = call.now, wanted.text_after()
    meant = MachineFilter(group, machines_shown(call.rights, action, stem))

    def read(reader: Reader) -> list[Surroundings]:
        return surroundings_of(reader, reader.machines_where(meant, after, wanted.limit), now)

    page = page_json(
        call, wanted, await call.read(read), write, lambda each: (each.machine.id.key,)
    )
    page["value"] = [each for some in page["value"] for each in some]
    return CompactJson(page)


async def _shown_machine(call: Call, machine: str | None, action: str) -> ResourceId | None:
    """The id of the machine of that name, there or not; None when no such view can be. Raises
    Forbidden where the caller may read neither the view nor the machine's.
    """
    shown = machine_id(call.subscription_id, call.resource_group, machine or "-")
    if not call.rights.may(action, call.scope) and not (
        machine is not None and call.rights.may(action, resource_scope(shown))
    ):
        needed = [Needed(action, call.scope)]
        raise await call.read_few(lambda reader: denial(reader, call.subject, needed))
    return shown if machine is not None else None


async def _surroundings_of(call: Call, machine: str | None, action: str) -> Surroundings:
    """The surroundings of the machine of that name."""
    shown = await _shown_machine(call, machine, action)
    now = call.now

    def read(reader: Reader) -> list[Surroundings]:
        found = reader.machine(shown) if shown is not None else None
        return surroundings_of(reader, [found], now) if found is not None else []

    return next(iter(await call.read(read)), None) or _missing(call)


def _missing(call: Call) -> Surroundings:
    name = call.request.url.path.rpartition("/")[2]
    raise NotFound(
        f"The Resource {name[:100]!r} under resource group '{call.resource_group}' was not found.",
        advice="Each machine has NAME-nic and NAME-nsg, and NAME-pip if it has a public address. "
        "To list machines: bascule machine list.",
    )


# -- network interfaces ---------------------------------------------------------------------


@router.get(f"{SUBSCRIPTION}{NICS}")
@shows(actions.NIC_READ)
async def list_nics(call: CurrentCall, wanted: WantedPage) -> Response:
    return await _list_nics(call, wanted, None)


@router.get(f"{GROUP}{NICS}")
@shows(actions.NIC_READ)
async def list_nics_of_group(call: CurrentCall, group: Group, wanted: WantedPage) -> Response:
    return await _list_nics(call, wanted, group)


async def _list_nics(call: Call, wanted: Wanted, group: str | None) -> Response:
    return await _list(
        call,
        wanted,
        group,
        actions.NIC_READ,
        wire.machine_of_nic,
        lambda each: [wire.nic_json(each)],
    )


@router.get(f"{GROUP}{NICS}/{{nic}}")
@shows(actions.NIC_READ)
async def get_nic(call: CurrentCall, nic: Nic) -> Response:
    found = await _surroundings_of(call, wire.machine_of_nic(nic), actions.NIC_READ)
    return CompactJson(wire.nic_json(found))


# -- public addresses -----------------------------------------------------------------------


@router.get(f"{SUBSCRIPTION}{PUBLIC_IPS}")
@shows(actions.PUBLIC_IP_READ)
async def list_public_ips(call: CurrentCall, wanted: WantedPage) -> Response:
    return await _list_public_ips(call, wanted, None)


@router.get(f"{GROUP}{PUBLIC_IPS}")
@shows(actions.PUBLIC_IP_READ)
async def list_public_ips_of_group(call: CurrentCall, group: Group, wanted: WantedPage) -> Response:
    return await _list_public_ips(call, wanted, group)


async def _list_public_ips(call: Call, wanted: Wanted, group: str | None) -> Response:
    def stem(name: str) -> str | None:
        found = wire.machine_of_public_ip(name)
        return found[0] if found else None

    return await _list(call, wanted, group, actions.PUBLIC_IP_READ, stem, wire.public_ips_json)


@router.get(f"{GROUP}{PUBLIC_IPS}/{{public_ip}}")
@shows(actions.PUBLIC_IP_READ)
async def get_public_ip(call: CurrentCall, public_ip: PublicIp) -> Response:
    named = wire.machine_of_public_ip(public_ip)
    found = await _surroundings_of(call, named[0] if named else None, actions.PUBLIC_IP_READ)
    if named is None or named[1] >= len(found.public):
        _missing(call)
    return CompactJson(wire.public_ip_json(found, named[1] if named else 0))


# -- security groups and their rules --------------------------------------------------------


@router.get(f"{SUBSCRIPTION}{NSGS}")
@shows(actions.NSG_READ)
async def list_nsgs(call: CurrentCall, wanted: WantedPage) -> Response:
    return await _list_nsgs(call, wanted, None)


@router.get(f"{GROUP}{NSGS}")
@shows(actions.NSG_READ)
async def list_nsgs_of_group(call: CurrentCall, group: Group, wanted: WantedPage) -> Response:
    return await _list_nsgs(call, wanted, group)


async def _list_nsgs(call: Call, wanted: Wanted, group: str | None) -> Response:
    return await _list(
        call,
        wanted,
        group,
        actions.NSG_READ,
        wire.machine_of_nsg,
        lambda each: [wire.nsg_json(each, call.state.anchors)],
    )


@router.get(f"{GROUP}{NSGS}/{{nsg}}")
@shows(actions.NSG_READ)
async def get_nsg(call: CurrentCall, nsg: Nsg) -> Response:
    found = await _surroundings_of(call, wire.machine_of_nsg(nsg), actions.NSG_READ)
    return CompactJson(wire.nsg_json(found, call.state.anchors))


async def _rules(call: Call, nsg: str) -> list[Json]:
    found = await _surroundings_of(call, wire.machine_of_nsg(nsg), actions.NSG_RULE_READ)
    return [wire.rule_json(found, rule) for rule in found.rules(call.state.anchors).rules]


async def _default_rules(call: Call, nsg: str) -> list[Json]:
    found = await _surroundings_of(call, wire.machine_of_nsg(nsg), actions.NSG_RULE_READ)
    return wire.default_rules_json(found)


def _one(rules: list[Json], name: str) -> Response:
    found = [each for each in rules if each["name"].casefold() == name.casefold()]
    if not found:
        raise NotFound(
            f"The group has no rule {name[:100]!r}.",
            advice="A rule disappears when its opening ends. List the rules again.",
        )
    return CompactJson(found[0])


def _whole(call: Call, wanted: Wanted, rules: list[Json]) -> Response:
    """In pages by place: rules of one machine come and go, and are few."""
    first = wanted.number_after()
    numbered = list(enumerate(rules, 1))[first : first + wanted.limit]
    return CompactJson(
        page_json(call, wanted, numbered, lambda each: each[1], lambda each: (each[0],))
    )


@router.get(RULES)
@shows(actions.NSG_RULE_READ)
async def list_rules(call: CurrentCall, nsg: Nsg, wanted: WantedPage) -> Response:
    return _whole(call, wanted, await _rules(call, nsg))


@router.get(f"{RULES}/{{rule}}")
@shows(actions.NSG_RULE_READ)
async def get_rule(call: CurrentCall, nsg: Nsg, rule: Rule) -> Response:
    return _one(await _rules(call, nsg), rule)


@router.get(DEFAULT_RULES)
@shows(actions.NSG_RULE_READ)
async def list_default_rules(call: CurrentCall, nsg: Nsg, wanted: WantedPage) -> Response:
    return _whole(call, wanted, await _default_rules(call, nsg))


@router.get(f"{DEFAULT_RULES}/{{rule}}")
@shows(actions.NSG_RULE_READ)
async def get_default_rule(call: CurrentCall, nsg: Nsg, rule: Rule) -> Response:
    return _one(await _default_rules(call, nsg), rule)


# -- firewalls ------------------------------------------------------------------------------


@router.get(f"{SUBSCRIPTION}{FIREWALLS}")
@shows(actions.FIREWALL_READ)
async def list_firewalls(call: CurrentCall, wanted: WantedPage) -> Response:
    return await _list_firewalls(call, wanted, None)


@router.get(f"{GROUP}{FIREWALLS}")
@shows(actions.FIREWALL_READ)
async def list_firewalls_of_group(call: CurrentCall, group: Group, wanted: WantedPage) -> Response:
    return await _list_firewalls(call, wanted, group)


async def _list_firewalls(call: Call, wanted: Wanted, group: str | None) -> Response:
    """A page of so many machines that guard others; not each has public addresses."""
    shown = machines_shown(call.rights, actions.FIREWALL_READ, wire.machine_of_firewall)
    meant = MachineFilter(group, shown, guards_others=True)
    after, now = wanted.text_after(), call.now

    def read(reader: Reader) -> list[tuple[Machine, list[Firewall]]]:
        machines = reader.machines_where(meant, after, wanted.limit)
        return [(each, firewalls_of(reader, [each], now)) for each in machines]

    page = page_json(
        call,
        wanted,
        await call.read(read),
        lambda each: [wire.firewall_json(firewall) for firewall in each[1]],
        lambda each: (each[0].id.key,),
    )
    page["value"] = [each for some in page["value"] for each in some]
    return CompactJson(page)


@router.get(f"{GROUP}{FIREWALLS}/{{firewall}}")
@shows(actions.FIREWALL_READ)
async def get_firewall(call: CurrentCall, firewall: FirewallName) -> Response:
    shown = await _shown_machine(call, wire.machine_of_firewall(firewall), actions.FIREWALL_READ)
    now = call.now

    def read(reader: Reader) -> list[Firewall]:
        found = None if shown is None else reader.machine(shown)
        return [] if found is None else firewalls_of(reader, [found], now)

    gateway = next(iter(await call.read(read)), None)
    if gateway is None:
        raise NotFound(
            f"The Resource 'Microsoft.Network/azureFirewalls/{firewall[:100]}' under resource group "
            f"'{call.resource_group}' was not found.",
            advice="A gateway with public addresses in its guard file has one, of its machine's name. "
            "To list machines: bascule machine list.",
        )
    return CompactJson(wire.firewall_json(gateway))


# -- writes, none of which there is ---------------------------------------------------------

_RULES_INSTEAD = (
    "To close ports: bascule policy set MACHINE, or PUT a jitNetworkAccessPolicy. To open a port "
    "for a limited time: bascule request MACHINE, or POST its initiate. To release a port: "
    "bascule machine release MACHINE."
)
_ADDRESSES_INSTEAD = (
    "Addresses belong to the machine: bascule machine add NAME --address ADDRESS, or PUT the "
    "virtualMachine with properties.bascule.addresses."
)
_REFUSED = (
    (f"{GROUP}{NICS}/{{nic}}", nic_of, actions.NIC_WRITE, actions.NIC_DELETE, _ADDRESSES_INSTEAD),
    (
        f"{GROUP}{PUBLIC_IPS}/{{public_ip}}",
        public_ip_of,
        actions.PUBLIC_IP_WRITE,
        actions.PUBLIC_IP_DELETE,
        _ADDRESSES_INSTEAD,
    ),
    (f"{GROUP}{NSGS}/{{nsg}}", nsg_of, actions.NSG_WRITE, actions.NSG_DELETE, _RULES_INSTEAD),
    (f"{RULES}/{{rule}}", rule_of, actions.NSG_RULE_WRITE, actions.NSG_RULE_DELETE, _RULES_INSTEAD),
    (
        f"{GROUP}{FIREWALLS}/{{firewall}}",
        firewall_of,
        actions.FIREWALL_WRITE,
        actions.FIREWALL_DELETE,
        _RULES_INSTEAD,
    ),
)


def _refuse(path: str, name_of: Callable[..., Any], method: str, action: str, instead: str) -> None:
    @requires(action)
    async def refuse(call: CurrentCall) -> Response:
        kind = action.rpartition("/")[0]
        raise Conflict(
            f"{kind} {call.scope.text.rpartition('/')[2][:100]!r} is a view of the rules in force "
            f"and cannot be written or deleted. {instead}",  # Azure's clients print no advice
            code="ReadOnlyView",
        )

    router.add_api_route(
        path,
        refuse,
        methods=[method],
        name=f"refuse_{method.lower()}",
        dependencies=[Depends(name_of)],
    )


for _path, _name_of, _write, _delete, _instead in _REFUSED:
    for _method, _action in (("PUT", _write), ("PATCH", _write), ("DELETE", _delete)):
        _refuse(_path, _name_of, _method, _action, _instead)
