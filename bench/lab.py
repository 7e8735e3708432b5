"""Bascule as a candidate: a lab of its own, a policy for one more port of web-1, a listener there.

The lab is started and spoken to by its own command, as a user would (``bascule lab up``); what
``lab info -o json`` says is a contract. ``web-1`` gets the policy ``bench`` beside its own.
What is not here: rounds (``ask_to_open``), memory and start-up (``footprint``).
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from bascule import __version__
from bascule.client.connection import Connection, trust_file
from bascule.client.policies import put_machine_rules
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bench.listener import PROGRAM as LISTENER
from bench.peers import Ready
from bench.probe import Target
from bench.standing import Broken, Placed, our_environment, program

NAME = "bench"
MACHINE = "web-1"
BEHIND = "app-1"  # behind the lab's gateway, without an agent
POLICIES = {"bascule": "bench", "command": "bench-command"}  # by the kind that asks
_SHUT_SECONDS = 15.0
BASCULE = (sys.executable, "-m", "bascule.bootstrap")


@dataclass(frozen=True, slots=True)
class Lab:
    """A lab that is up."""

    info: Mapping[str, Any]

    def at(self, host: str) -> Placed:
        """Come before a program to start it on a host of the lab."""
        return (*BASCULE, "lab", "exec", "--name", NAME, host, "--")

    @property
    def client(self) -> Placed:
        return self.at(self.info["client"])

    def machine(self, name: str = MACHINE) -> Mapping[str, Any]:
        found: Mapping[str, Any] = next(
            each for each in self.info["machines"] if each["name"] == name
        )
        return found

    def address(self, name: str) -> str:
        return str(self.machine(name)["addresses"][0])


def lab_command(*arguments: str) -> str:
    """Run ``bascule lab ...``; raises Broken with what it said."""
    done = subprocess.run(
        [*BASCULE, "lab", *arguments],
        env=our_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise Broken(f"bascule lab {arguments[0]}: {done.stderr.strip()[-2000:]}")
    return done.stdout


@contextlib.contextmanager
def lab(port: int) -> Iterator[Lab]:
    """Bring the bench's lab up, whatever an earlier run left of it; take it down afterwards."""
    lab_command("down", "--name", NAME)
    try:
        lab_command("up", "--name", NAME, "--port", str(port), "--detach")
        yield Lab(json.loads(lab_command("info", "--name", NAME, "-o", "json")))
    finally:
        lab_command("down", "--name", NAME)


@contextlib.contextmanager
def standing(
    stood: Lab, port: int, lease_seconds: int, kind: str = "bascule", machine: str = MACHINE
) -> Iterator[Ready]:
    """Have a policy name ``port`` of a machine and something listen there.

    ``kind``: ``bascule`` asks over a warm connection, ``command`` by ``bascule request``.
    """
    info = stood.info
    policy_name = POLICIES[kind]
    _name_port(stood, port, policy_name, machine)
    with program("listener", stood.at(machine), LISTENER, str(port)) as listener:
        listener.hear()
        _wait_until_shut(stood, port, machine)
        policy = policy_id(
            info["subscription_id"], info["resource_group"], info["location"], policy_name
        )
        warm: dict[str, object] = {
            "endpoint": info["server"],
            "ca_file": info["ca_file"],
            "tenant_id": info["tenant_id"],
            "subscription_id": info["subscription_id"],
            **info["admin"],
            "policy": str(policy),
            "machine": stood.machine(machine)["id"],
            "port": port,
        }
        command: dict[str, object] = {
            "argv": [
                *(our_command(), "request", machine, "-p", str(port)),
                *("--for", f"{lease_seconds}s", "--policy", policy_name),
            ],
            "environment": None,
        }
        yield Ready(
            at_client=stood.client,
            address=stood.address(machine),
            port=port,
            question={
                **(warm if kind == "bascule" else command),
                "lease_seconds": lease_seconds,
            },
            kind=kind,
            version=__version__,
        )


def our_command() -> str:
    """The console script of this environment."""
    return str(Path(sys.executable).with_name("bascule"))


def _name_port(stood: Lab, port: int, policy: str, name: str) -> None:
    info = stood.info
    credentials = Credentials(info["tenant_id"], **info["admin"])
    rule = PortRule(port, RuleProtocol.TCP, (AddressPrefix(None),), timedelta(hours=1))
    with Connection(
        info["endpoint"],
        info["subscription_id"],
        credentials,
        trust_file(Path(info["ca_file"])),
        SystemClock(),
    ) as connection:
        machine = ResourceId.parse_machine(stood.machine(name)["id"])
        put_machine_rules(connection, machine, [rule], policy)


def _wait_until_shut(stood: Lab, port: int, machine: str) -> None:
    """The agent closes the port a moment after the policy named it."""
    target: Target = (stood.address(machine), port)
    knock = "import sys; from bench.probe import is_open; sys.exit(is_open((sys.argv[1], {port})))"
    argv = [*stood.client, sys.executable, "-c", knock.format(port=port), target[0]]
    deadline = time.monotonic() + _SHUT_SECONDS
    while subprocess.run(argv, env=our_environment(), check=False).returncode != 0:
        if time.monotonic() > deadline:
            raise Broken(f"{machine} did not close port {port}")
        time.sleep(0.2)
