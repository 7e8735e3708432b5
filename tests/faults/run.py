"""One run: a schedule done to a lab, the lab put back, the verdict.

What is not here: which schedules (``__main__`` and the tests).
"""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bascule.client import access
from bascule.client.connection import Connection
from bascule.client.policies import release_ports
from bascule.clocks import SystemClock
from bascule.errors import Conflict
from tests.faults.faults import Faults
from tests.faults.history import Asked, Edited, History, Revoked, Rules, boottime
from tests.faults.judge import judge, said_open, summary
from tests.faults.judge_waits import note_openings, unapproved
from tests.faults.model import Beginning, Model
from tests.faults.people import Asker, Owner, Person
from tests.faults.record import Fact, describe, newest, read_record, recorded
from tests.faults.rulers import Administrator, Approver
from tests.faults.schedule import (
    APPROVERS,
    BOTH,
    EXTRA_PORT,
    GATEWAY2,
    MACHINES,
    PEOPLE,
    RULES,
    AddMachine,
    Answer,
    Ask,
    DeleteMachine,
    Extend,
    GiveRole,
    GiveVoice,
    RemoveRules,
    ReplaceAgent,
    Revoke,
    Schedule,
    SetGate,
    SetRule,
    SetRules,
    Step,
    TakeRole,
    TakeVoice,
)
from tests.faults.settle import hear_at_once, settle
from tests.faults.sighting import read_sighting
from tests.faults.world import WATCHERS, World

ADMINISTRATOR = "administrator"
BETWEEN = 0.5  # seconds: what follows each other so soon may have been either way round
FINISH = 60.0  # seconds for the people to come to their end
TRIED = 1.5  # seconds from a start: it opens within one, and watchers knock
BASE: Rules = {port: sources for port, (sources, _) in RULES["base"].items()}


@dataclass(frozen=True, slots=True)
class Verdict:
    schedule: Schedule
    findings: tuple[str, ...]
    knocks: int
    through: int
    led: int  # of those, by public ports of gateways
    by_second: int  # of those, by the gateway in parallel to the lab's own
    openings: int  # said to be open for a while, where a watcher had to come through
    requests: int
    waited: int  # of those that were answered, for approval
    approved: int  # of those
    scheduled: int  # of those that were answered, with a start
    started: int  # of those
    seconds: float
    story: str  # the schedule and the events, for whoever looks into a finding

    def __str__(self) -> str:
        if not self.findings:
            return (
                f"seed {self.schedule.seed}: nothing found ({self.requests} requests,"
                f" {self.waited} that waited, {self.approved} of them approved, {self.scheduled} with a"
                f" start, {self.started} of them opened,"
                f" {self.openings} openings tried, {self.knocks} knocks, {self.through} let in, {self.led}"
                f" of them by public ports, {self.by_second} by {GATEWAY2}, {self.seconds:.1f} s)"
            )
        again = " POSTGRESQL=all" if self.schedule.is_on_replicas else ""
        return (
            f"seed {self.schedule.seed}: {len(self.findings)} findings\n"
            f"{summary(self.findings)}\nschedule\n{self.schedule.describe()}\n{self.story}\n"
            f"again: make faults N=1 SEED={self.schedule.seed}{again}"
        )


def _counted(asked: Sequence[Asked]) -> tuple[int, int]:
    """How many waited, and how many of those opened."""
    return sum(each.waits for each in asked), sum(each.opened is not None for each in asked)


class Run:
    def __init__(self, world: World, schedule: Schedule, admin: Connection, within: float) -> None:
        self._within = within
        self._world = world
        self._schedule = schedule
        self._admin = admin
        self._deaf = hear_at_once(world, admin)  # before anything is counted
        self.history = History(schedule.seed, boottime())
        beginnings = {
            name: Beginning(
                BASE, frozenset().union(*(k.closed for k in world.kernels(name).values()))
            )
            for name in MACHINES
        }
        self._model = Model(self.history, beginnings)
        self._faults = Faults(world, self.history)
        self._owners: dict[str, Owner] = {}
        self._askers: dict[str, Asker] = {}
        self._approvers: dict[str, Approver] = {}
        self._administrator: Administrator | None = None
        self._threads: dict[str, Person] = {}

    def go(self) -> Verdict:
        wall = SystemClock().now().timestamp() - boottime()
        after = newest(self._admin)
        with self._people():
            for step in self._schedule.steps:
                time.sleep(max(0.0, self.history.began + step.at - boottime()))
                if self._schedule.is_in_turn:
                    for thread in self._threads.values():
                        thread.rest(FINISH)
                    time.sleep(BETWEEN)
                self._do(step)
            time.sleep(max(0.0, self.history.began + self._schedule.seconds - boottime()))
            self._faults.heal()
            self._finish()
            self._add_again()
        self._pass_starts()
        self.history.healed = boottime()
        findings = [*self._deaf, *(f"not settled: {each}" for each in self._settle())]
        self._put_back()
        findings += [f"not put back: {each}" for each in self._settle()]
        until = boottime()
        time.sleep(0.35)  # the last knocks get their answers, or none
        prefix = f"run {self._schedule.seed} at {self.history.began:.3f}:"
        record = read_record(self._admin, prefix, after, wall)
        self._model.recorded = recorded(record)
        note_openings(self.history, record)
        self._model.unapproved = unapproved(self.history, record)
        files = {name: self._world.seen_file(name) for name in WATCHERS}
        sighting = read_sighting(files, self._world.topology, self.history.began)
        findings += judge(self.history, self._model, record, sighting, until)
        return Verdict(
            self._schedule,
            tuple(findings),
            sighting.knocks,
            len(sighting.through),
            sum(each.is_public for each in sighting.through),
            sum(each.way == GATEWAY2 for each in sighting.through),
            len(list(said_open(self.history, record))),
            len(record.requests) + len(record.unopened),
            *_counted([each for each in self.history.asked if each.starts_at is None]),
            *_counted([each for each in self.history.asked if each.starts_at is not None]),
            boottime() - self.history.began,
            self._story(record.facts, findings) if findings else "",
        )

    def _story(self, facts: Sequence[Fact], findings: Sequence[str]) -> str:
        events = f"events\n{describe(facts, self.history.began)}"
        said = self._world.said_of_failures(findings)
        return "\n".join([events, "from the servers' logs", *said] if said else [events])

    # -- the people ---------------------------------------------------------------------

    @contextlib.contextmanager
    def _people(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            is_kept = not self._schedule.is_on_replicas
            for name in PEOPLE:
                connection = stack.enter_context(self._world.connection(name, is_kept=is_kept))
                self._askers[name] = Asker(self._world, self.history, name, connection)
                self._threads[name] = Person(name)
            both = stack.enter_context(self._world.of_approver(BOTH, is_kept=is_kept))
            self._askers[BOTH] = Asker(self._world, self.history, BOTH, both)
            self._threads[BOTH] = Person(BOTH)
            for name in APPROVERS:
                connection = stack.enter_context(self._world.connection(is_kept=is_kept))
                approver = Approver(self._world, self.history, name, connection, is_kept=is_kept)
                self._approvers[name] = approver
                self._threads[f"{name} who approves"] = Person(name)
            for name in MACHINES:
                connection = stack.enter_context(self._world.connection(is_kept=is_kept))
                self._owners[name] = Owner(self._world, self.history, connection)
                self._threads[name] = Person(f"owner of {name}")
            connection = stack.enter_context(self._world.connection(is_kept=is_kept))
            self._administrator = Administrator(self._world, self.history, connection)
            self._threads[ADMINISTRATOR] = Person(ADMINISTRATOR)
            yield

    def _do(self, step: Step) -> None:
        action = step.action
        match action:
            case Ask() | Extend() | Revoke():
                asker = self._askers[action.person]
                work = {Ask: asker.ask, Extend: asker.extend, Revoke: asker.revoke}[type(action)]
                self._threads[action.person].do(lambda: work(action))  # type: ignore[operator]  # reason: chosen by its type
            case Answer():
                approver = self._approvers[action.approver]
                self._threads[f"{action.approver} who approves"].do(lambda: approver.answer(action))
            case (
                SetRules()
                | SetGate()
                | RemoveRules()
                | DeleteMachine()
                | AddMachine()
                | ReplaceAgent()
            ):
                owner = self._owners[action.machine]
                self._threads[action.machine].do(lambda: owner.act(action))
            case TakeRole() | GiveRole() | SetRule() | TakeVoice() | GiveVoice():
                assert self._administrator is not None
                administrator = self._administrator
                self._threads[ADMINISTRATOR].do(lambda: administrator.act(action))
            case _:
                self._faults.do(action)

    def _finish(self) -> None:
        for name, thread in self._threads.items():
            if not thread.finish(FINISH):
                self.history.complain(f"{name} is still waiting for an answer")
            if thread.failure is not None:
                self.history.complain(f"{name} failed: {thread.failure!r}")

    def _pass_starts(self) -> None:
        """Wait until each start that was named has come, and its opening was tried."""
        starts = [each.starts_at for each in self.history.asked if each.starts_at is not None]
        time.sleep(max(0.0, max(starts, default=0.0) + TRIED - boottime()))

    def _add_again(self) -> None:
        for name in MACHINES:
            self._owners[name].act(AddMachine(name, "base"))  # does nothing when it is there
        assert self._administrator is not None
        for name in APPROVERS:
            self._administrator.give_voice(name)

    # -- the end ------------------------------------------------------------------------

    def _settle(self) -> list[str]:
        return settle(self._world, self._admin, self._model, self._within)

    def _put_back(self) -> None:
        """Nothing open, the rules as they were, and nothing shut but what they name."""
        for request in access.list_requests(self._admin, is_live=True):
            record = Revoked(request.id, boottime())
            self.history.revoked.append(record)
            try:
                access.revoke(self._admin, request.id, kill=False)
            except Conflict as error:  # it ended meanwhile
                record.denied = error.code
            record.answered = boottime()
        owner = Owner(self._world, self.history, self._admin)
        administrator = Administrator(self._world, self.history, self._admin)
        for name in {each.person for each in self.history.ordered}:
            administrator.set_rule(name, "")
        for name in {each.machine for each in self.history.edited if each.kind == "gate"}:
            owner.remove_gate(name)
        for name in MACHINES:
            if self._model.rules_during(name, boottime(), math.inf) != BASE or not self._is_keep(
                name
            ):
                owner.set_rules(name, "base")
            if EXTRA_PORT in set().union(*self._model.closed(name)):
                edit = Edited("release", name, {EXTRA_PORT: ()}, boottime())
                self.history.edited.append(edit)
                release_ports(self._admin, self._world.machine(name), [(EXTRA_PORT, "TCP")])
                edit.answered = boottime()

    def _is_keep(self, machine: str) -> bool:
        """Were the rules never turned round in this run?"""
        return not any(edit.kind == "set" for edit in self._model.edits(machine))
