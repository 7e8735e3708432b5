"""What ``bascule lab info`` says. Its JSON is a contract: names are added, none changes.

What is not here: printing (``commands``).
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from bascule.errors import Unavailable
from bascule.lab import resources, stopping, units
from bascule.lab.folder import LabFolder, lab_folder
from bascule.lab.lifecycle import running_state
from bascule.lab.person import Person
from bascule.lab.state import LabState
from bascule.lab.topology import PUBLIC_PORTS, SERVER_PORT, SSH_PORT, LabHost, Topology

_PATIENCE_SECONDS = 5.0  # longer than a restart takes
_PAUSE = 0.05
PORTAL_PATH = "/portal"


def pids_of(state: LabState, topology: Topology) -> dict[str, Any]:
    """Pids by what they are; None where nothing runs now."""
    return {
        "server": state.pid(units.SERVER),  # None where there are replicas
        "servers": {host.name: state.pid(host.name) for host in topology.servers},
        "balancer": state.pid(units.BALANCER),
        "database": state.pid(units.DATABASE),
        "agents": {
            machine.name: state.pid(units.agent_unit(machine.name)) for machine in topology.agents
        },
        "sshd": {
            machine.name: state.pid(units.sshd_unit(machine.name)) for machine in topology.known
        },
        "supervisor": state.supervisor.pid,
    }


def current_state(name: str, topology: Topology) -> LabState:
    """The state in which all programs run but those that were stopped by word; what just died is back a
    second later.

    After some patience the last state will do, with None for what does not come back.
    """
    folder = lab_folder(name)
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        state = running_state(name)
        programs = stopping.programs(topology)
        awaited = [each for each in programs if not folder.stopped(each).exists()]
        if state.phase == "running" and all(map(state.pid, awaited)):
            return state
        if time.monotonic() > deadline:
            return state
        time.sleep(_PAUSE)


def lab_info(
    state: LabState, topology: Topology, folder: LabFolder, person: Person
) -> dict[str, Any]:
    """Build the whole answer; raise Unavailable while the server has not made its admin file."""
    try:
        admin = resources.read_admin(folder)
    except (OSError, ValueError) as error:
        raise Unavailable(
            f"the lab {state.lab} is still coming up", advice="try again in a few seconds"
        ) from error
    return {
        "server": topology.server_url,
        "endpoint": f"https://localhost:{state.port}",
        "portal": f"https://localhost:{state.port}{PORTAL_PATH}",
        "ca_file": admin["ca_file"],
        "tenant_id": admin["tenant_id"],
        "subscription_id": admin["subscription_id"],
        "resource_group": resources.RESOURCE_GROUP,
        "location": resources.LOCATION,
        "policy_name": resources.POLICY_NAME,
        "admin": {name: admin[name] for name in ("client_id", "client_secret")},
        "client": topology.client.name,
        "stranger": topology.stranger.name,
        "machines": [_machine(topology, machine, admin) for machine in topology.known],
        "inventory": [
            {
                "name": resources.INVENTORY_ONLY,
                "id": resources.machine_id(admin["subscription_id"], resources.INVENTORY_ONLY),
            }
        ],
        "users": resources.read_users(folder),
        "data_dir": str(folder.data),
        "servers": [
            {
                "name": host.name,
                "url": f"https://{host.name}:{SERVER_PORT}",
                "data_dir": str(folder.data_of(host.name, is_first=host == topology.servers[0])),
            }
            for host in topology.servers
        ],
        "balancer": topology.server.name if topology.replicas else None,
        "database": None if topology.database is None else _database(topology.database, folder),
        "pids": pids_of(state, topology),
        "name": state.lab,
        "phase": state.phase,
        "folder": str(folder.root),
        "user": person.name,
        "rootless": state.is_rootless,
        "hosts": [
            {
                "name": host.name,
                "addresses": list(host.addresses),
                "namespace": topology.namespace(host),
            }
            for host in topology.hosts
        ],
    }


def _database(host: LabHost, folder: LabFolder) -> dict[str, Any]:
    return {
        "host": host.name,
        "url": units.database_url(host, folder),
        "password_file": str(folder.database_password),
        "folder": str(folder.database),
    }


def _machine(topology: Topology, machine: LabHost, admin: Mapping[str, str]) -> dict[str, Any]:
    return {
        "name": machine.name,
        "id": resources.machine_id(admin["subscription_id"], machine.name),
        "addresses": list(machine.addresses),
        "ports": [SSH_PORT],
        "kind": "host" if machine.role == "machine" else machine.role,  # or gateway, behind
        "gateway": topology.gateway.name if machine.is_behind else None,
        "publicPorts": "{}-{}".format(*PUBLIC_PORTS) if machine == topology.gateway else None,
        "publicPort": topology.public_port(machine) if machine.is_behind else None,
        "publicAddresses": list(topology.gateway.addresses) if machine.is_behind else [],
        "agent": machine.has_agent,
        "namespace": topology.namespace(machine),
    }


def render_table(info: Mapping[str, Any]) -> str:
    """The same for a reader, without the administrator's secret.

    The passwords of the lab's people are there: whoever reads this signs in as them.
    """
    pids = info["pids"]
    programs = {name: f"server {pid or 'stopped'}" for name, pid in pids["servers"].items()}
    if info["balancer"]:
        programs[info["balancer"]] = f"balancer {pids['balancer'] or 'stopped'}"
    if info["database"]:
        programs[info["database"]["host"]] = f"postgres {pids['database'] or 'stopped'}"
    for name, sshd in pids["sshd"].items():
        agent = f"agent {pids['agents'][name] or 'ended'}" if name in pids["agents"] else "no agent"
        programs[name] = f"{agent}, sshd {sshd or 'stopped'}"
    rows = [("HOST", "IPV4", "IPV6", "NAMESPACE", "PIDS")]
    rows += [
        (host["name"], *host["addresses"], host["namespace"], programs.get(host["name"], ""))
        for host in info["hosts"]
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    table = [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    rights = "rootless" if info["rootless"] else "as root"
    head = [
        f"lab        {info['name']} ({rights}, supervisor {pids['supervisor']})",
        f"endpoint   {info['endpoint']} here, {info['server']} inside",
        f"portal     {info['portal']} here, {info['server']}{PORTAL_PATH} inside",
        f"CA file    {info['ca_file']}",
        f"folder     {info['folder']}",
        *_database_words(info),
    ]
    people = [
        f"user       {each['name']} ({each['role']}), password {each['password']}"
        for each in info["users"]
    ]
    behind = [_behind_words(each) for each in info["machines"] if each.get("gateway")]
    inventory = [f"inventory  {each['name']} (no host, no agent)" for each in info["inventory"]]
    return "\n".join([*head, *people, *behind, *inventory, "", *table])


def _database_words(info: Mapping[str, Any]) -> list[str]:
    database = info["database"]
    if not database:
        return []
    names = ", ".join(each["name"] for each in info["servers"])
    lines = [f"database   {database['url']}"]
    return [*lines, f"replicas   {names}, behind the balancer"] if info["balancer"] else lines


def _behind_words(machine: Mapping[str, Any]) -> str:
    kind = "its own agent too" if machine["agent"] else "no agent"
    (port,) = machine["ports"]
    public = f"{machine['publicAddresses'][0]}:{machine['publicPort']}"
    return (
        f"behind     {machine['name']} ({kind}) is reached through gateway {machine['gateway']}: "
        f"its port {port} by {public}"
    )
