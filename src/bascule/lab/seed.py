"""The lab's first machines and rules, made over the wire as an administrator would make them.

Run by the supervisor in the client's host as ``python -m bascule.lab.seed STEP FOLDER LAB SHAPE``.
Step ``seed`` waits for the server, puts the machines, the rules of those that are configured,
an enrolment token for each agent, and a machine that is in the inventory alone, and signs the
client's command line in. Step ``await`` makes the people, has the gateway's agent guard the machines
behind it, names their public ports once its guard file is known, and waits until what guards each
machine is online and has its generation in force.
What is not here: starting anything.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from bascule.client.connection import Connection, trust_file
from bascule.client.fleet import bind, enrol
from bascule.client.machines import ONLINE, get_machine, put_machine
from bascule.client.policies import put_machine_rules
from bascule.client.private_file import write_private
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.classify import MANAGED_TAG, UNMANAGED
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.errors import BasculeError, ServerUnreachable, Unavailable
from bascule.lab.folder import LabFolder
from bascule.lab.people import plant_people
from bascule.lab.resources import (
    INVENTORY_ADDRESS,
    INVENTORY_ONLY,
    LOCATION,
    LONGEST_REQUEST,
    POLICY_NAME,
    client_settings,
    machine_id,
    read_admin,
)
from bascule.lab.topology import SERVER_PORT, SSH_PORT, LabHost, Shape, Topology, default_topology

TOKEN_MINUTES = 15
_WAIT_SECONDS = 140.0  # less than the lab's own, so that what was awaited is told
_PAUSE = 0.05


class Seeder:
    """One administrator's session with the lab's server."""

    def __init__(self, topology: Topology, folder: LabFolder) -> None:
        self._topology = topology
        self._folder = folder
        self._patience = _WAIT_SECONDS * (1 if topology.database is None else 2)
        self._deadline = time.monotonic() + self._patience
        self._admin = self._wait_for_admin()
        self._connection = self._connect(topology.server_url)

    def _pause(self, what: str) -> None:
        if time.monotonic() > self._deadline:
            raise Unavailable(f"{what} within {self._patience:.0f} s")
        time.sleep(_PAUSE)

    def _wait_for_admin(self) -> dict[str, str]:
        while True:
            try:
                return read_admin(self._folder)
            except (OSError, ValueError):  # not there, or not whole yet
                self._pause(f"{self._folder.admin} was not written by the server")

    def _connect(self, url: str) -> Connection:
        """Sign in as soon as the server answers."""
        names = ("tenant_id", "client_id", "client_secret")
        connection = Connection(
            url,
            self._admin["subscription_id"],
            Credentials(*(self._admin[name] for name in names)),
            trust_file(Path(self._admin["ca_file"])),
            SystemClock(),
        )
        while True:
            try:
                connection.sign_in()
            except (ServerUnreachable, Unavailable) as error:
                self._pause(f"the server did not answer ({error})")
            else:
                return connection

    def plant(self) -> None:
        """Put the machines and all that belongs to them."""
        for machine in self._topology.known:
            self._plant_machine(machine)
        tokens = {machine.name: self._token_for(machine) for machine in self._topology.agents}
        settings = client_settings(self._topology, self._admin)
        home = self._folder.home(self._topology.client.name)
        write_private(home / ".config" / "bascule" / "config.json", json.dumps(settings, indent=2))
        write_private(self._folder.tokens, json.dumps(tokens))
        put_machine(
            self._connection,
            self._id_of(INVENTORY_ONLY),
            (INVENTORY_ADDRESS,),
            "Linux",
            LOCATION,
            {MANAGED_TAG: UNMANAGED},
        )

    def plant_people(self) -> None:
        """Make the users; they are made while the agents come up."""
        web = self._machine_id(self._topology.machines[0])
        plant_people(self._connection, self._folder, web)

    def _machine_id(self, machine: LabHost) -> ResourceId:
        return self._id_of(machine.name)

    def _id_of(self, name: str) -> ResourceId:
        return ResourceId.parse_machine(machine_id(self._admin["subscription_id"], name))

    def _plant_machine(self, machine: LabHost) -> None:
        """Put one machine, and its rules if it is configured."""
        name = self._machine_id(machine)
        put_machine(self._connection, name, machine.addresses, "Linux", LOCATION)
        if machine.name in self._topology.configured:
            put_machine_rules(self._connection, name, [_port_rule()], POLICY_NAME)

    def _token_for(self, machine: LabHost) -> str:
        name = self._machine_id(machine)
        return enrol(self._connection, name, replaces=False, valid_minutes=TOKEN_MINUTES).token

    def bind_behind(self) -> None:
        """Have the gateway's agent guard what is behind it, as soon as it has enrolled."""
        gateway = self._machine_id(self._topology.gateway)
        while (found := get_machine(self._connection, gateway)).point is None:
            self._pause("the gateway's agent did not enrol")
        for machine in self._topology.behind:
            bind(self._connection, self._machine_id(machine), found.uid, machine.addresses)

    def name_public_ports(self) -> None:
        """The server takes them when the gateway's agent has told it the guard file."""
        for machine in self._topology.behind:
            rule = replace(_port_rule(), public_port=self._topology.public_port(machine))
            put_machine_rules(self._connection, self._machine_id(machine), [rule], POLICY_NAME)

    def wait_for_replicas(self) -> None:
        """Return when each of them answers by itself."""
        for replica in self._topology.replicas:
            self._connect(f"https://{replica.name}:{SERVER_PORT}").close()

    def wait_for_agents(self) -> None:
        """Return when what guards each machine is online and up to date."""
        while waiting := [m.name for m in self._topology.known if not self._is_guarded(m)]:
            self._pause(f"the agents of {', '.join(waiting)} did not come online")

    def _is_guarded(self, machine: LabHost) -> bool:
        point = get_machine(self._connection, self._machine_id(machine)).point
        return (
            point is not None
            and point.state == ONLINE
            and point.observed_generation >= point.generation
        )


def _port_rule() -> PortRule:
    """The rule of a configured machine: ssh, any source, three hours at most."""
    return PortRule(SSH_PORT, RuleProtocol.TCP, (AddressPrefix(None),), LONGEST_REQUEST)


def main(arguments: list[str]) -> int:
    step, root, lab, shape = arguments
    try:
        seeder = Seeder(default_topology(lab, Shape.parse(shape)), LabFolder(Path(root)))
        if step == "seed":
            seeder.plant()
        else:
            seeder.wait_for_replicas()
            seeder.plant_people()
            seeder.bind_behind()
            seeder.wait_for_agents()
            seeder.name_public_ports()
            seeder.wait_for_agents()
    except (BasculeError, OSError) as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")  # into the unit's log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
