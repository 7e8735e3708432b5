"""The lab's first machines and rules, made over the wire as an administrator would make them.

Run by the supervisor in the client's host as ``python -m bascule.lab.seed STEP FOLDER LAB``.
Step ``seed`` waits for the server, puts the machines, the rules of those that are configured,
and an enrolment token for each, and signs the client's command line in. Step ``await`` waits
until every agent is online and has its generation in force.
What is not here: starting anything.
"""

from __future__ import annotations

import json
import os
import ssl
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx2

from bascule.lab.folder import LabFolder
from bascule.lab.topology import SSH_PORT, LabHost, Topology, default_topology

RESOURCE_GROUP = "default"
LOCATION = "local"
POLICY_NAME = "default"
LONGEST_REQUEST = "PT3H"
_BASCULE = {"api-version": "2026-11-01"}
_COMPUTE = {"api-version": "2024-07-01"}
_WAIT_SECONDS = 45.0
_PAUSE = 0.05


class SeedFailure(Exception):
    """The server answered otherwise than it should, or not in time."""


def machine_id(subscription: str, name: str) -> str:
    return (
        f"/subscriptions/{subscription}/resourceGroups/{RESOURCE_GROUP}"
        f"/providers/Microsoft.Compute/virtualMachines/{name}"
    )


def port_rule() -> dict[str, Any]:
    """The rule of a configured machine: ssh, any source, three hours at most."""
    return {
        "number": SSH_PORT,
        "protocol": "TCP",
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": LONGEST_REQUEST,
    }


def client_settings(topology: Topology, admin: Mapping[str, str]) -> dict[str, str]:
    """config.json of the command line in the client's home."""
    names = ("ca_file", "tenant_id", "subscription_id", "client_id", "client_secret")
    return {
        "endpoint": topology.server_url,
        "resource_group": RESOURCE_GROUP,
        **{name: admin[name] for name in names},
    }


def write_private(path: Path, content: object) -> None:
    """Write JSON that only the lab's user may read, whole or not at all."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(path.name + ".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w") as file:
        json.dump(content, file, indent=2)
        file.write("\n")
    draft.replace(path)


def read_tokens(folder: LabFolder) -> dict[str, str]:
    """The enrolment tokens by machine name."""
    tokens: dict[str, str] = json.loads(folder.tokens.read_text())
    return tokens


def read_admin(folder: LabFolder) -> dict[str, str]:
    admin: dict[str, str] = json.loads(folder.admin.read_text())
    return admin


class Seeder:
    """One administrator's session with the lab's server."""

    def __init__(self, topology: Topology, folder: LabFolder) -> None:
        self._topology = topology
        self._folder = folder
        self._deadline = time.monotonic() + _WAIT_SECONDS
        self._admin = self._wait_for_admin()
        context = ssl.create_default_context(cafile=self._admin["ca_file"])
        self._http = httpx2.Client(
            base_url=topology.server_url, verify=context, timeout=10, trust_env=False
        )
        self._sign_in()

    def _pause(self, what: str) -> None:
        if time.monotonic() > self._deadline:
            raise SeedFailure(f"{what} within {_WAIT_SECONDS:.0f} s")
        time.sleep(_PAUSE)

    def _wait_for_admin(self) -> dict[str, str]:
        while True:
            try:
                return read_admin(self._folder)
            except (OSError, ValueError):  # not there, or not whole yet
                self._pause(f"{self._folder.admin} was not written by the server")

    def _sign_in(self) -> None:
        """Wait until the server is ready, then get a token."""
        while True:
            try:
                if self._http.get("/readyz").status_code == httpx2.codes.OK:
                    break
            except httpx2.TransportError:
                pass
            self._pause("the server did not become ready")
        answer = self._http.post(
            f"/{self._admin['tenant_id']}/oauth2/v2.0/token",
            data={
                "grant_type": "client_credentials",
                "client_id": self._admin["client_id"],
                "client_secret": self._admin["client_secret"],
                "scope": f"{self._topology.server_url}/.default",
            },
        )
        token = self._checked(answer)["access_token"]
        self._http.headers["Authorization"] = f"Bearer {token}"

    def _checked(self, answer: httpx2.Response) -> dict[str, Any]:
        if not answer.is_success:
            request = answer.request
            raise SeedFailure(
                f"{request.method} {request.url.path}: {answer.status_code} {answer.text[:500]}"
            )
        content: dict[str, Any] = answer.json()
        return content

    def plant(self) -> None:
        """Put the machines and all that belongs to them."""
        tokens = {machine.name: self._plant_machine(machine) for machine in self._topology.machines}
        settings = client_settings(self._topology, self._admin)
        home = self._folder.home(self._topology.client.name)
        write_private(home / ".config" / "bascule" / "config.json", settings)
        write_private(self._folder.tokens, tokens)

    def _plant_machine(self, machine: LabHost) -> str:
        path = machine_id(self._admin["subscription_id"], machine.name)
        properties: dict[str, Any] = {"bascule": {"addresses": list(machine.addresses)}}
        body = {"location": LOCATION, "properties": properties}
        self._checked(self._http.put(path, params=_COMPUTE, json=body))
        if machine.name in self._topology.configured:
            rules = {"properties": {"ports": [port_rule()]}}
            where = f"{path}/providers/Bascule.Access/machineRules/default"
            self._checked(self._http.put(where, params=_BASCULE, json=rules))
        where = f"{path}/providers/Bascule.Fleet/enrolments"
        answer = self._checked(self._http.post(where, params=_BASCULE, json={}))
        token: str = answer["properties"]["token"]
        return token

    def wait_for_agents(self) -> None:
        """Return when each machine's point is online and up to date."""
        while waiting := self._waiting():
            self._pause(f"the agents of {', '.join(waiting)} did not come online")

    def _waiting(self) -> list[str]:
        where = (
            f"/subscriptions/{self._admin['subscription_id']}"
            "/providers/Bascule.Fleet/enforcementPoints"
        )
        points = self._checked(self._http.get(where, params=_BASCULE))["value"]
        ready = {
            point["properties"]["machineId"].rpartition("/")[2].lower()
            for point in points
            if point["properties"]["state"] == "online"
            and point["properties"]["observedGeneration"] >= point["properties"]["generation"]
        }
        names = [machine.name for machine in self._topology.machines]
        return [name for name in names if name.lower() not in ready]


def main(arguments: list[str]) -> int:
    step, root, lab = arguments
    try:
        seeder = Seeder(default_topology(lab), LabFolder(Path(root)))
        if step == "seed":
            seeder.plant()
        else:
            seeder.wait_for_agents()
    except (SeedFailure, httpx2.HTTPError, OSError) as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)  # noqa: T201 - the unit's log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
