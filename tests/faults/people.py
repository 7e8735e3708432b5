"""The people of a run: each does what the schedule says in a thread and a queue of his own.

Whoever asks for access gives up when the connection breaks (the server was killed) and does
not know what became of it; an owner repeats his act until it is answered.
"""

from __future__ import annotations

import contextlib
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import assert_never

from bascule.client import access
from bascule.client.connection import Connection
from bascule.client.fleet import enrol
from bascule.client.machines import delete_machine, get_machine, put_machine
from bascule.client.policies import delete_machine_rules, put_machine_rules
from bascule.client.versions import SECURITY_VERSION
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId
from bascule.domain.machine import OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.errors import (
    BasculeError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    RequestDenied,
    ServerUnreachable,
    Unavailable,
)
from bascule.lab.resources import LOCATION, POLICY_NAME
from bascule.protocol.port_rules import rule_json
from bascule.protocol.rules import stages_json
from tests.faults.history import (
    START_PASSED,
    Asked,
    Disturbed,
    Edited,
    Extended,
    History,
    Ordered,
    Revoked,
    Ruled,
    Rules,
    Trusted,
    boottime,
    guarded_by,
    told_by,
)
from tests.faults.schedule import (
    KILL_PORT,
    NEVER,
    PUBLIC,
    RULES,
    SOURCES,
    STAGES,
    AddMachine,
    Ask,
    DeleteMachine,
    Editing,
    Extend,
    RemoveRules,
    ReplaceAgent,
    Revoke,
    SetGate,
    SetRules,
)
from tests.faults.supervisor import REPLACED
from tests.faults.world import World

MAXIMUM = timedelta(hours=3)
REPLACED_WITHIN = 50.0  # seconds
PATIENCE = 30.0  # seconds for which an owner repeats his act
AWAY = (ServerUnreachable, Unavailable)


class Person:
    """A queue and the thread that works through it."""

    def __init__(self, name: str) -> None:
        self._queue: queue.Queue[Callable[[], None] | None] = queue.Queue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()
        self.failure: BaseException | None = None

    def do(self, work: Callable[[], None]) -> None:
        self._queue.put(work)

    def rest(self, seconds: float) -> None:
        """Wait until what was asked of them so far is done."""
        deadline = boottime() + seconds
        while self._queue.unfinished_tasks and self.failure is None and boottime() < deadline:
            time.sleep(0.02)

    def finish(self, seconds: float) -> bool:
        """Wait until all is done; False when it takes longer."""
        self._queue.put(None)
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None:
            try:
                work()
            except BaseException as error:  # noqa: BLE001  # reason: told by whoever finishes
                self.failure = error
                return
            self._queue.task_done()


class Asker:
    """What a requestor does."""

    def __init__(self, world: World, history: History, name: str, connection: Connection) -> None:
        self._world = world
        self._history = history
        self._name = name
        self._connection = connection
        self._count = 0

    def ask(self, wanted: Ask) -> None:
        self._count += 1
        tag = f"run {self._history.seed} at {self._history.began:.3f}: {self._name} {self._count}"
        source = SOURCES[wanted.source]
        span = timedelta(seconds=wanted.seconds)
        starts_in, now = timedelta(seconds=wanted.start_in), SystemClock().now()
        end = now + starts_in + span if wanted.is_fixed else None
        ports = [
            access.PortRequest(port, None if wanted.is_fixed else span, end, source)
            for port in wanted.ports
        ]
        record = Asked(
            tag, self._name, wanted.machine, wanted.ports, source, wanted.seconds, boottime()
        )
        record.is_fixed = wanted.is_fixed
        record.starts_at = record.sent + wanted.start_in if wanted.start_in else None
        self._history.asked.append(record)
        try:
            found = access.ask(
                self._connection,
                self._world.policy(),
                self._world.machine(wanted.machine),
                ports,
                tag,
                now + starts_in if wanted.start_in else None,
            )
            record.request_id, record.waits = found.id, found.is_pending
        except (RequestDenied, Forbidden, NotFound) as error:
            record.denied = error.code
        except InvalidInput as error:
            if error.specific_code != START_PASSED:
                raise
            record.denied = error.specific_code
        except AWAY:
            return
        record.answered = boottime()

    def extend(self, wanted: Extend) -> None:
        latest = self._history.latest_of(self._name)
        if latest is None:
            return
        record = Extended(latest.request_id, wanted.seconds, boottime())
        self._history.extended.append(record)
        try:
            access.extend(
                self._connection, latest.request_id, timedelta(seconds=wanted.seconds), None
            )
        except (RequestDenied, Forbidden, NotFound, Conflict) as error:
            record.denied = error.code
        except AWAY:
            return
        record.answered = boottime()

    def revoke(self, wanted: Revoke) -> None:
        latest = self._history.latest_of(self._name)
        if latest is None:
            return
        record = Revoked(latest.request_id, boottime())
        self._history.revoked.append(record)
        try:
            access.revoke(self._connection, latest.request_id, kill=wanted.kill)
        except (Forbidden, NotFound, Conflict) as error:
            record.denied = error.code
        except AWAY:
            return
        record.answered = boottime()


def gate_of(machine: str) -> str:
    """The name of the other policy that may name it."""
    return f"gate-{machine}"


@contextlib.contextmanager
def parted(world: World, history: History, machine: str) -> Iterator[None]:
    """No watcher reaches what is behind it, nor it, while it has no rules: as when it boots, or before
    somebody puts it in its place."""
    begun = Disturbed(told_by(machine), f"kill {machine}", boottime(), cuts_watchers=True)
    history.disturbed.append(begun)
    world.part_from_watchers(machine, is_parted=True)
    try:
        yield
    finally:
        world.part_from_watchers(machine, is_parted=False)
        begun.healed = boottime()


class Owner:
    """What the owner of one machine does: one act after the other, each until it is done."""

    def __init__(self, world: World, history: History, connection: Connection) -> None:
        self._world = world
        self._history = history
        self._connection = connection

    def act(self, wanted: Editing) -> None:
        machine = wanted.machine
        match wanted:
            case SetRules() | RemoveRules() | DeleteMachine() if self._is_deleted(machine):
                pass
            case SetRules(rules=rules, asks=asks):
                self.set_rules(machine, rules, asks)
            case SetGate(asks=asks):
                if self._has_rules(machine):
                    self._set_gate(machine, asks)
            case RemoveRules():
                self._until_done(
                    Edited("remove", machine, {}, boottime()),
                    lambda: delete_machine_rules(self._connection, self._id(machine)),
                )
            case DeleteMachine():
                self._until_done(
                    Edited("delete", machine, {}, boottime()), lambda: self._delete(machine)
                )
            case AddMachine(rules=rules):
                if self._is_deleted(machine):
                    self.add(machine, rules)
            case ReplaceAgent():
                with parted(self._world, self._history, machine):
                    self.replace(machine)
            case _:
                assert_never(wanted)

    def set_rules(self, machine: str, rules: str, asks: str = "") -> None:
        due = STAGES[asks]
        stages = self._world.stages(due)
        found = [
            PortRule(
                port,
                RuleProtocol.TCP,
                tuple(map(AddressPrefix.parse, sources)),
                MAXIMUM,
                OnExpiry(on_expiry),
                public_port=PUBLIC.get((machine, port)),
                approval=stages,
            )
            for port, (sources, on_expiry) in RULES[rules].items()
        ]
        named: Rules = {port: sources for port, (sources, _) in RULES[rules].items()}
        self._until_done(
            Edited("set", machine, named, boottime(), due=due),
            lambda: put_machine_rules(
                self._connection,
                self._id(machine),
                found,
                POLICY_NAME,
                drops_approval=not due,
            ),
        )

    def _set_gate(self, machine: str, asks: str) -> None:
        """Another policy has one rule for all who ask for a port there."""
        due = None if asks == NEVER else STAGES[asks]
        rule: dict[str, object] = {"name": "gate", "effect": "approve" if due else "deny"}
        if due:
            rule["stages"] = stages_json(self._world.stages(due))
        port = PortRule(
            KILL_PORT,
            RuleProtocol.TCP,
            (AddressPrefix.parse("*"),),
            MAXIMUM,
            OnExpiry.KILL,
            public_port=PUBLIC.get((machine, KILL_PORT)),
        )
        named = {"id": str(self._id(machine)), "ports": [rule_json(port)]}
        body = {
            "properties": {
                "virtualMachines": [named],
                "bascule": {"rules": [] if due == () else [rule]},
            }
        }
        path = str(self._world.policy(gate_of(machine)))
        self._until_done(
            Edited("gate", machine, {}, boottime(), due=due),
            lambda: self._connection.call("PUT", path, SECURITY_VERSION, body=body),
        )

    def remove_gate(self, machine: str) -> None:
        """Delete the other policy, if there is one."""
        path = str(self._world.policy(gate_of(machine)))
        with contextlib.suppress(NotFound):
            self._connection.call("DELETE", path, SECURITY_VERSION)

    def add(self, machine: str, rules: str) -> None:
        """Put it, its rules, and have its agent enrol with a new token."""
        host = self._world.topology.host(machine)
        self._until_done(
            Edited("add", machine, {}, boottime()),
            lambda: put_machine(
                self._connection, self._id(machine), host.addresses, "Linux", LOCATION
            ),
        )
        self.set_rules(machine, rules)
        self._give_token(machine, replaces=False)
        now = boottime()  # its agent has to come up again, as after any other kill
        self._history.disturbed.append(Disturbed((machine,), f"kill {machine}", now, healed=now))
        self._world.send(machine, signal.SIGCONT)
        self._world.send(machine, signal.SIGKILL)

    def replace(self, machine: str) -> None:
        """Enrol another agent, and wait until it guards what the one before did."""
        self._give_token(machine, replaces=True)
        lost = self._world.lose(machine, REPLACED)
        deadline = boottime() + REPLACED_WITHIN
        while not self._is_guarding(machine, lost):
            assert boottime() < deadline, f"the new agent of {machine} is not there"
            time.sleep(0.1)

    def _give_token(self, machine: str, *, replaces: bool) -> None:
        tokens: list[str] = []

        def work() -> None:
            made = enrol(self._connection, self._id(machine), replaces=replaces, valid_minutes=5)
            tokens.append(made.token)

        self._until_done(Edited("enrol", machine, {}, boottime()), work)
        self._world.give_token(machine, tokens[-1])

    def _is_guarding(self, machine: str, since: float) -> bool:
        if not any(since < shut for shut in self._world.closed_at(machine)):
            return False
        if not self._world.is_ready(machine):
            return False
        try:
            points = [
                get_machine(self._connection, self._id(each)).point for each in guarded_by(machine)
            ]
        except AWAY:
            return False
        return all(p is not None and p.observed_generation == p.generation for p in points)

    def _delete(self, machine: str) -> None:
        with contextlib.suppress(NotFound):  # the try before was heard
            delete_machine(self._connection, self._id(machine))

    def _is_deleted(self, machine: str) -> bool:
        kinds = [
            e.kind
            for e in self._history.edited
            if e.machine == machine and e.kind in ("delete", "add")
        ]
        return bool(kinds) and kinds[-1] == "delete"

    def _has_rules(self, machine: str) -> bool:
        """By the last that was done to it."""
        kinds = [e.kind for e in self._history.edited if e.machine == machine]
        kinds = [kind for kind in kinds if kind in ("set", "remove", "delete", "add")]
        return not kinds or kinds[-1] == "set"

    def _id(self, machine: str) -> ResourceId:
        return self._world.machine(machine)

    def _until_done(self, record: Edited, work: Callable[[], object]) -> None:
        self._history.edited.append(record)
        until_done(self._history, record, work)


def until_done(
    history: History, record: Edited | Ordered | Ruled | Trusted, work: Callable[[], object]
) -> None:
    deadline = boottime() + PATIENCE
    while True:
        try:
            work()
        except AWAY:
            record.lost += 1
            if boottime() > deadline:
                raise
            time.sleep(0.05)
        except BasculeError as error:
            record.denied = error.code
            history.complain(f"an owner's act was refused: {record}: {error.message}")
            raise
        else:
            record.answered = boottime()
            return
