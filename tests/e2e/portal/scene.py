"""A working day in the lab, so that no page is empty: for the walk over all pages, and pictures.

Done as an administrator and a program would, over the API; the people's own requests are made on
the portal's pages by the tests of those.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

from bascule.client import access, principals, roles
from bascule.client.access import PortRequest
from bascule.client.connection import Connection, trust_file
from bascule.client.machines import put_machine
from bascule.client.policies import get_machine_rules, put_machine_rules
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.ids import ResourceId
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.domain.roles import RoleDefinition
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.errors import RequestDenied
from tests.e2e.portal.portal_world import SSH, World

RDP = PortRule(
    3389, RuleProtocol.TCP, (AddressPrefix(None),), timedelta(hours=3), justification_required=True
)
WINRM = PortRule(
    5986,
    RuleProtocol.TCP,
    (AddressPrefix.parse("10.203.0.0/24"),),
    timedelta(hours=1),
    OnExpiry.KILL,
)
WITHOUT_AGENT = (  # name, address, operating system, rules
    ("sql-prod-1", "10.203.0.31", "Windows", (RDP, WINRM)),
    ("jump-prod-2", "10.203.0.32", "Windows", ()),
    ("build-7", "10.203.0.33", "Linux", ()),
)
PEOPLE = ("anna.weber@contoso.example", "luc.marchand@contoso.example")
COLLEAGUES = "203.0.113.0/28"
SOMEBODY = "198.51.100.7"


def furnish(world: World) -> None:
    """Machines of all kinds, people, roles, a program with grants, refusals, attempts from outside."""
    world.reset()
    for name, address, system, rules in WITHOUT_AGENT:
        machine = _id_of(world, name)
        put_machine(world.connection, machine, (address,), system, "local", {"stage": "production"})
        if rules:
            put_machine_rules(world.connection, machine, rules, world.info["policy_name"])
    _people(world)
    put_rules(world)
    program = _program(world)
    try:
        _requests(world, program)
    finally:
        program.close()
    _attempts(world)


def _id_of(world: World, name: str) -> ResourceId:
    there = world.machine("web-1")
    return ResourceId.parse_machine(str(there).rpartition("/")[0] + f"/{name}")


def _people(world: World) -> None:
    whole = subscription_scope(world.connection.subscription_id)
    group = principals.create_principal(
        world.connection,
        principals.GROUPS,
        {"displayName": "Operators", "description": "Whoever is on call"},
    )
    for name in PEOPLE:
        user = principals.create_principal(
            world.connection, principals.USERS, {"userPrincipalName": name}
        )
        principals.add_member(world.connection, group.id, user.id)
    roles.assign(world.connection, whole, READER.id, group.id, "Looks at everything")


def _program(world: World) -> Connection:
    """A program with a secret, which may do everything with web-1 and db-1."""
    made = principals.create_principal(
        world.connection, principals.SERVICES, {"displayName": "nightly-deployment"}
    )
    body = principals.credential_body("until the summer", None)
    credential = principals.add_credential(world.connection, made.id, body)
    for name in ("web-1", "db-1"):
        _assign(world, OWNER, name, made.id)
    return Connection(
        world.info["endpoint"],
        world.info["subscription_id"],
        Credentials(world.info["tenant_id"], made.id, credential.secret),
        trust_file(Path(world.info["ca_file"])),
        SystemClock(),
    )


def _assign(world: World, role: RoleDefinition, machine: str, principal_id: str) -> None:
    scope = resource_scope(world.machine(machine))
    roles.assign(world.connection, scope, role.id, principal_id)


def put_rules(world: World) -> None:
    """Rules of each kind, and a request that the owner is asked to approve; there once, however often it
    is called. Tests that remove a machine from its policy take both away.
    """
    world.configure("db-1", replace(SSH, justification_required=True), WINRM)
    role = {"users": [], "groups": [], "role": True}
    owner = {"users": [world.user_id("owner")], "groups": [], "role": False}
    stages = [
        {"approvers": owner, "needed": 1},
        {"approvers": role, "needed": 2, "escalateAfterMinutes": 15, "escalateTo": owner},
    ]
    windows = {"ports": [5986]}
    world.put_access_rule(
        "windows-needs-three", {"effect": "approve", "conditions": windows, "stages": stages}
    )
    night = {"timeZone": "Europe/Paris", "days": ["saturday", "sunday"]}
    guests = {"groups": [_group_of(world)], "ports": [3389], "times": night}
    world.put_access_rule("guests-not-at-weekends", {"effect": "deny", "conditions": guests})
    short = {"sourcesWithin": ["10.203.0.0/24"], "atMost": "PT30M", "ports": [5986]}
    world.put_access_rule("short-ones-free", {"effect": "allow", "conditions": short})
    asked = PortRequest(5986, timedelta(minutes=45), None, "10.203.0.11/32")
    begin(
        world, world.connection, "db-1", asked, "The certificate of the service has to be renewed"
    )


def _group_of(world: World) -> str:
    """The group that _people made."""
    found = principals.list_principals(world.connection, principals.GROUPS, "Operators")
    return next(each.id for each in found)


def _requests(world: World, program: Connection) -> None:
    """Live ones, some that open on other days, one that was closed early, one that was refused."""
    ask(world, program, "web-1", PortRequest(22, timedelta(hours=2), None, COLLEAGUES))
    ask(
        world,
        program,
        "db-1",
        PortRequest(22, timedelta(minutes=50), None, SOMEBODY),
        "Ticket 4711",
    )
    today = SystemClock().now().replace(hour=0, minute=0, second=0, microsecond=0)
    for hours, machine, why in (
        (29.5, "web-1", "Ticket 4720: new certificate"),
        (44, "db-1", "Ticket 4711"),
        (53, "web-1", "Ticket 4733: kernel"),
    ):
        port = PortRequest(22, timedelta(hours=1), None, SOMEBODY)
        policy = get_machine_rules(world.connection, world.machine(machine)).policies[0].policy_id
        start = today + timedelta(hours=hours)
        access.ask(program, policy, world.machine(machine), [port], why, start)
    early = ask(
        world, world.connection, "web-1", PortRequest(22, timedelta(hours=1), None, SOMEBODY)
    )
    access.revoke(world.connection, early, kill=True)
    with suppress(RequestDenied):
        ask(world, program, "db-1", PortRequest(22, timedelta(hours=9), None, SOMEBODY))


def ask(
    world: World, connection: Connection, machine: str, port: PortRequest, justification: str = ""
) -> str:
    """Ask for one port and wait until it is open; the request's id."""
    made = begin(world, connection, machine, port, justification)
    access.get_request(connection, made, 10)
    return made


def begin(
    world: World, connection: Connection, machine: str, port: PortRequest, justification: str = ""
) -> str:
    """Ask for one port; the request's id."""
    name = world.machine(machine)
    policy = get_machine_rules(world.connection, name).policies[0].policy_id
    return access.initiate(connection, policy, name, [port], justification)


def _attempts(world: World) -> None:
    """Somebody knocks at shut ports."""
    assert not world.lab.reaches("stranger", "web-1")
    assert not world.lab.reaches("stranger", "db-1")
