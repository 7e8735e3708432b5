"""Writes a fleet into the database of a stopped server; run by the measured revision's own Python.

    python seed.py DATA PER_POLICY [POSTGRESQL] < keys

``keys`` has one line for each agent: its uid and its public key. This script imports nothing from
the benches, and from the program only what all revisions have. It makes machines, policies and
points with the program's own functions, so that the rows that belong to them are written too.
"""

from __future__ import annotations

import asyncio
import sys
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from bascule.domain.ids import machine_id, policy_id
from bascule.domain.machine import EnforcementPoint, Machine, OsType
from bascule.domain.net import AddressPrefix, RuleProtocol, parse_address
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.services.act import Act
from bascule.services.policies import write_policy
from bascule.services.timeline import machine_came
from bascule.store.open import open_store

GROUP = "default"


def fill(tx: Any, now: datetime, keys: list[tuple[str, str]], first: int) -> None:  # noqa: ANN401  # reason: of whichever revision
    """One policy, and the machines and points of it; ``first`` is the first one's number."""
    installation = tx.installation()
    subscription, location = installation.subscription_id, installation.location
    rule = PortRule(22, RuleProtocol.TCP, (AddressPrefix.parse("*"),), timedelta(hours=3))
    act = Act(now)
    machines = []
    for number, (uid, key) in enumerate(keys, start=first):
        address = parse_address(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        where = machine_id(subscription, GROUP, f"vm-{number:05}")
        machine = Machine(
            id=where,
            uid=uid,
            location=location,
            os_type=OsType.LINUX,
            addresses=(address,),
            tags={},
            created_at=now,
        )
        tx.put_machine(machine)
        machine_came(tx, act, machine)
        tx.put_enforcement_point(EnforcementPoint(uid, key, now))
        machines.append(machine)
    rules = tuple(MachineRules(each.id, (rule,)) for each in machines)
    where = policy_id(subscription, GROUP, location, f"policy-{first:05}")
    write_policy(tx, act, Policy(where, "Basic", rules), None, machines)


def _on_postgresql(address: str) -> Any:  # noqa: ANN401  # reason: of whichever revision
    from bascule.store.postgresql import place_of  # noqa: PLC0415  # reason: older ones have none
    from bascule.store.postgresql_open import open_postgresql  # noqa: PLC0415

    return open_postgresql(place_of(address), is_server=False)


def main() -> None:
    data, per_policy = Path(sys.argv[1]), int(sys.argv[2])
    keys = [(uid, key) for uid, key in map(str.split, sys.stdin)]
    store = open_store(data / "bascule.db") if len(sys.argv) < 4 else _on_postgresql(sys.argv[3])
    now = datetime.now(UTC)  # noqa: TID251  # reason: where the clock is differs between revisions
    for first in range(0, len(keys), per_policy):
        part = keys[first : first + per_policy]
        asyncio.run(store.write(partial(fill, now=now, keys=part, first=first)))
    store.close()


if __name__ == "__main__":
    main()
