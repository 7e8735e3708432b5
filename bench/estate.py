"""A database as a large company's after half a year: machines, policies, requests, events.

Its tables are filled in bulk. Then each machine, its agent and its closed port are put
through the store, and the events are sealed, which makes the rows and counts that lists read.
"""

from __future__ import annotations

import asyncio
import json
import random
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher

from bascule.clocks import SystemClock
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import OWNER
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.grants import GrantClosed, GrantCreated, GrantEnded, GrantOpened
from bascule.domain.facts.kinds import sort_of
from bascule.domain.ids import ResourceId, machine_id, policy_id
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import EnforcementPoint
from bascule.domain.principals import User
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.domain.sign_in import StoredPassword
from bascule.domain.times import format_utc
from bascule.interfaces.listing import RECENT
from bascule.interfaces.store import Transaction
from bascule.services.seal import seal
from bascule.store.columns import to_microseconds
from bascule.store.open import open_store
from bench.history import write_history, write_knocks

OWNER_NAME, PASSWORD = "owner@contoso.example", "correct horse battery staple"
SUBSCRIPTION = "5eb5c41e-0000-4000-8000-000000000001"
_GROUPS, _PEOPLE, _PER_POLICY = 100, 500, 100
_EVENTS_EACH = 4  # of one request: granted, opened, ended, closed
_SLICE = 20_000
_LASTS = timedelta(minutes=20)  # a measurement, at most; an hour ago is silent even then
_SSH = {"number": 22, "protocol": "TCP"}


@dataclass(frozen=True, slots=True)
class Size:
    machines: int = 100_000
    requests: int = 250_000
    days: int = 180  # over which the requests are spread, more of them lately
    live: int = 200  # requests that are open at the end

    @property
    def events(self) -> int:
        return self.requests * _EVENTS_EACH


def build(path: Path, size: Size, now: datetime) -> None:
    """Make the database; ``now`` is the moment up to which things happened."""
    open_store(path).close()
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA synchronous = OFF")
        _Filling(database, size, now).run()
    store = open_store(path)
    asyncio.run(store.write(lambda tx: _add_owner(tx, now)))
    asyncio.run(store.write(lambda tx: _list_machines(tx, now)))
    while asyncio.run(store.write(lambda tx: seal(tx, _SLICE))):  # as a server does at once
        pass
    while asyncio.run(store.write(lambda tx: tx.forget_requests(now - RECENT, _SLICE))):
        pass
    store.close()
    with sqlite3.connect(path) as database:
        for statement in _USED:
            database.execute(statement, {"since": to_microseconds(now - RECENT)})
        write_history(database, SUBSCRIPTION, now - timedelta(days=size.days + 30))
        write_knocks(database, SUBSCRIPTION, _group_names(), now)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")


# What lists tell of requests, as the store keeps it beside each machine.
_OF_MACHINE = "FROM grants g WHERE g.machine_uid = listed_machines.machine_uid"
_LAST = f"{_OF_MACHINE} ORDER BY g.started_at DESC LIMIT 1"
_USED = (
    (
        "UPDATE listed_machines SET recent_requests = "
        f"(SELECT count(DISTINCT g.request_id) {_OF_MACHINE} AND g.started_at >= :since)"
    ),
    (
        f"UPDATE listed_machines SET last_access_at = (SELECT g.started_at {_LAST}), "
        f"last_user_id = (SELECT g.requestor_id {_LAST}), last_user = (SELECT g.requestor {_LAST}), "
        f"last_user_key = (SELECT g.requestor {_LAST}) WHERE EXISTS (SELECT 1 {_OF_MACHINE})"
    ),
)


def _list_machines(tx: Transaction, now: datetime) -> None:
    """Put what is there once more, and the agents: the store writes the rows that lists read."""
    after, number = "", 0
    while machines := tx.machines(after=after):
        for machine in machines:
            number += 1
            tx.put_machine(machine)
            if number % 50:  # 2 % have no agent
                tx.put_enforcement_point(_agent(machine.uid, number, now))
            for closed in tx.closed_ports(machine.uid):
                tx.put_closed_port(machine.uid, closed)
        after = machines[-1].id.key


def _agent(uid: str, number: int, now: datetime) -> EnforcementPoint:
    is_away = number % 100 == 7  # 1 % are
    return EnforcementPoint(
        uid,
        f"key-{number}",
        now,
        observed_generation=3 if number % 500 else 2,
        last_contact_at=now - (timedelta(hours=1) if is_away else timedelta(seconds=1)),
        agent_version="0.5.0",
        local_port_range=(32768, 60999),
        blocked_attempts=number % 1000,
        facts={"kernel": "6.12", "nft": "1.1.3"},
    )


def _add_owner(tx: Transaction, now: datetime) -> None:
    """Somebody who may see everything, with a password."""
    owner = User("0e000000-0000-4000-8000-000000000001", OWNER_NAME, "Olga", True, now)
    tx.put_user(owner)
    hashed = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1).hash(PASSWORD)
    tx.put_password(StoredPassword(owner.id, hashed, now))
    where = subscription_scope(SUBSCRIPTION)
    held = RoleAssignment(
        "0a000000-0000-4000-8000-000000000001",
        where,
        OWNER.id,
        owner.id,
        PrincipalKind.USER,
        "",
        now,
        "",
    )
    tx.add_role_assignment(held)


class _Filling:
    def __init__(self, database: sqlite3.Connection, size: Size, now: datetime) -> None:
        self._database, self._size, self._now = database, size, now
        self._chance = random.Random(1)
        self._at = to_microseconds(now)

    def run(self) -> None:
        created = to_microseconds(self._now - timedelta(days=self._size.days + 30))
        whole = {
            "id": 1,
            "tenant_id": "7e4a9700-0000-4000-8000-000000000001",
            "subscription_id": SUBSCRIPTION,
            "location": "local",
            "created_at": created,
        }
        self._put("installation", [whole])
        groups = [{"key": each, "name": each} for each in ["default", *_group_names()]]
        self._put("resource_groups", groups)
        scope = subscription_scope(SUBSCRIPTION)
        plan = {"scope_key": scope.key, "scope": str(scope), "tier": "Standard"}
        self._put("plans", [{**plan, "is_enforced": False, "set_at": created}])
        self._put("machines", map(self._machine, range(self._size.machines)))
        self._put(
            "machine_generations",
            (
                {"machine_uid": self._uid(n), "generation": 3, "move": n + 1}
                for n in range(self._size.machines)
            ),
        )
        configured = [n for n in range(self._size.machines) if n % 10]  # 10 % have no policy
        self._policies(configured)
        self._put("closed_ports", map(self._closed, configured))
        self._asked(configured)

    # -- the inventory ---------------------------------------------------------------------

    def _uid(self, number: int) -> str:
        return f"00000000-0000-4000-9000-{number:012}"

    def _id(self, number: int) -> ResourceId:
        kind = ("web", "db", "app", "build", "jump")[number % 5]
        return machine_id(SUBSCRIPTION, f"rg-{number % _GROUPS:03}", f"{kind}-{number:06}")

    def _machine(self, number: int) -> dict[str, Any]:
        where = self._id(number)
        return {
            "uid": self._uid(number),
            "id_key": where.key,
            "id": str(where),
            "group_key": where.resource_group.casefold(),
            "location": "local",
            "location_key": "local",
            "os_type": "Windows" if number % 4 == 0 else "Linux",
            "addresses": json.dumps([f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"]),
            "tags": json.dumps({"team": f"team-{number % 40}"}),
            "created_at": self._at,
        }

    def _closed(self, number: int) -> dict[str, Any]:
        base = {"machine_uid": self._uid(number), "on_expiry": "keep", "is_released": False}
        return {**base, **_SSH}

    def _policy_id(self, number: int) -> ResourceId:
        group = number % _GROUPS
        name = f"policy-{number // _GROUPS // _PER_POLICY:03}"
        return policy_id(SUBSCRIPTION, f"rg-{group:03}", "local", name)

    def _policies(self, configured: list[int]) -> None:
        members: dict[ResourceId, list[int]] = {}
        for number in configured:
            members.setdefault(self._policy_id(number), []).append(number)
        self._put(
            "policies",
            (
                {
                    "id_key": each.key,
                    "id": str(each),
                    "group_key": each.resource_group,
                    "location_key": "local",
                    "kind": "Basic",
                    "etag": '"1"',
                }
                for each in members
            ),
        )
        named = [
            (policy, position, number)
            for policy, numbers in members.items()
            for position, number in enumerate(numbers)
        ]
        self._put(
            "policy_machines",
            (
                {
                    "policy_key": policy.key,
                    "position": position,
                    "machine_key": self._id(number).key,
                    "machine_id": str(self._id(number)),
                    "public_ip_address": None,
                }
                for policy, position, number in named
            ),
        )
        self._put(
            "policy_ports",
            (
                {
                    "policy_key": policy.key,
                    "machine_position": position,
                    "position": 0,
                    **_SSH,
                    "sources": '["*"]',
                    "max_duration": 10_800_000_000,
                    "on_expiry": "keep",
                    "justification_required": False,
                    "is_source_list": False,
                }
                for policy, position, _ in named
            ),
        )

    # -- what was asked for ----------------------------------------------------------------

    def _asked(self, configured: list[int]) -> None:
        requests: list[dict[str, Any]] = []
        grants: list[dict[str, Any]] = []
        events: list[dict[str, Any]] = []
        span = timedelta(days=self._size.days)
        for number in range(self._size.requests):
            share = (number / self._size.requests) ** 0.7  # busier towards the end
            is_live = number >= self._size.requests - self._size.live
            began = self._now - timedelta(minutes=5) if is_live else self._now - span * (1 - share)
            if not is_live:
                began -= timedelta(hours=4)
            machine = self._chance.choice(configured)
            request = self._request(number, machine, began, is_live=is_live)
            grant = self._grant(number, machine, began, is_live=is_live)
            requests.append(request)
            grants.append(grant)
            events += self._events(number, machine, began, is_live=is_live)
            if len(requests) == _SLICE or number == self._size.requests - 1:
                for table, rows in (("requests", requests), ("grants", grants), ("events", events)):
                    self._put(table, rows)
                    rows.clear()

    def _person(self, number: int) -> tuple[str, str]:
        who = number * 7919 % _PEOPLE
        return f"00000000-0000-4000-a000-{who:012}", f"person{who:03}@contoso.example"

    def _names(self, number: int) -> tuple[str, str]:
        return f"00000000-0000-4000-b000-{number:012}", f"00000000-0000-4000-c000-{number:012}"

    def _request(
        self, number: int, machine: int, began: datetime, *, is_live: bool
    ) -> dict[str, Any]:
        policy, (who, name) = self._policy_id(machine), self._person(number)
        port = {"number": 22, "sources": ["198.51.100.7/32"], "isSourceList": False}
        ends = began + timedelta(hours=3)
        port |= {"endsAt": to_microseconds(ends), "endsAtText": format_utc(ends)}
        return {
            "id": self._names(number)[0],
            "policy_key": policy.key,
            "policy_id": str(policy),
            "requestor_id": who,
            "requestor": name,
            "justification": "deploy",
            "started_at": to_microseconds(began),
            "machines": json.dumps([{"id": str(self._id(machine)), "ports": [port]}]),
            "previous_state": "opening" if is_live else "closing",
            "state": "open" if is_live else "closed",
            "reasons": "[]",
            "left_out": 0,
        }

    def _grant(
        self, number: int, machine: int, began: datetime, *, is_live: bool
    ) -> dict[str, Any]:
        (request, grant), (who, name) = self._names(number), self._person(number)
        ends = began + timedelta(hours=3)
        at, until = to_microseconds(began), to_microseconds(ends)
        return {
            "id": grant,
            "request_id": request,
            "policy_id": str(self._policy_id(machine)),
            "machine_uid": self._uid(machine),
            "machine_id": str(self._id(machine)),
            "requestor_id": who,
            "requestor": name,
            **_SSH,
            "sources": '["198.51.100.7"]',
            "on_expiry": "keep",
            "max_duration": 10_800_000_000,
            "started_at": at,
            "ends_at": until,
            "ends_at_text": format_utc(ends),
            "previous_state": "opening" if is_live else "closing",
            "state": "open" if is_live else "closed",
            "reason": "UserRequested" if is_live else "Expired",
            "generation": 3,
            "extension": 0,
            "is_source_list": False,
            "ended_at": None if is_live else until,
            "failure": "",
        }

    def _events(
        self, number: int, machine: int, began: datetime, *, is_live: bool
    ) -> Iterator[dict[str, Any]]:
        (request, grant), where = self._names(number), self._id(machine)
        ends = began + timedelta(hours=3)
        yield self._event(
            began,
            where,
            GrantCreated(grant, request, str(where), "22/TCP", ("198.51.100.7",), format_utc(ends)),
            self._person(number),
        )
        soon = began + timedelta(milliseconds=40)
        yield self._event(soon, where, GrantOpened(grant, request, str(where)))
        if not is_live:
            over = GrantEnded(
                grant, request, str(where), StatusReason.EXPIRED, "its time was over", False
            )
            yield self._event(ends, where, over)
            yield self._event(ends, where, GrantClosed(grant, request, str(where), 0))

    def _event(
        self, at: datetime, where: ResourceId, fact: Fact, person: tuple[str, str] | None = None
    ) -> dict[str, Any]:
        actor = Actor(*person, "User", "198.51.100.7") if person else SYSTEM
        event = Event(f"{self._chance.getrandbits(64):016x}", at, actor, str(where), fact)
        return {
            "id": event.id,
            "at": to_microseconds(at),
            "kind": sort_of(fact),
            "principal_id": actor.principal_id,
            "resource_key": where.key,
            "record": json.dumps(event.record()),
        }

    def _put(self, table: str, rows: Any) -> None:  # noqa: ANN401  # reason: any iterable of rows
        rows = iter(rows)
        first = next(rows, None)
        if first is None:
            return
        names = list(first)
        marks = ", ".join("?" * len(names))
        statement = f"INSERT INTO {table} ({', '.join(names)}) VALUES ({marks})"
        self._database.execute(statement, tuple(first.values()))
        self._database.executemany(statement, (tuple(row[name] for name in names) for row in rows))
        self._database.commit()


def wake(path: Path, now: datetime) -> None:
    """Agents were heard a moment ago, as before; it is long since for those that are away.

    They stay so while pages are measured: no agent of this estate comes again.
    """
    with sqlite3.connect(path) as database:
        (newest,) = database.execute("SELECT max(last_contact_at) FROM agents").fetchone()
        later = to_microseconds(now + _LASTS) - newest
        database.execute("UPDATE agents SET last_contact_at = last_contact_at + ?", (later,))


def _group_names() -> list[str]:
    return [f"rg-{number:03}" for number in range(_GROUPS)]


def moment() -> datetime:
    """The estate's usual "now": whole seconds."""
    return SystemClock().now().replace(microsecond=0)
