"""Bugs put into a copy of the program, to prove that the watchers see them.

Each is a change of a line or two, with a schedule that gives it its chance. The copy is run
by the same lab: server and agents are killed and come back with it, and afterwards without.
What only replicas can get wrong is guarded twice or more, so those bugs are several changes.
"""

from __future__ import annotations

import signal
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

from bascule.lab.units import SERVER
from tests.e2e.lab_world import until
from tests.faults.run import Verdict
from tests.faults.schedule import (
    AGENTS,
    BOTH,
    CLOCK_TURNED,
    EXTRA_PORT,
    GATEWAY,
    GATEWAY2,
    KEEP_PORT,
    KILL_PORT,
    LONG,
    REPLICAS,
    Action,
    AddMachine,
    Answer,
    Ask,
    Continue,
    DeleteMachine,
    GiveRole,
    GiveVoice,
    RemoveRules,
    Revoke,
    Schedule,
    SetGate,
    SetRules,
    Step,
    Stop,
    TakeRole,
    TakeVoice,
    TurnClock,
)
from tests.faults.series import prepare, run
from tests.faults.world import World, copy_code

SETTLED_WITHIN = 15.0  # seconds: with some of them it never is
SEED = 0  # of schedules that were written, not drawn


@dataclass(frozen=True, slots=True)
class Change:
    file: str  # below the package
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Bug:
    file: str
    before: str
    after: str
    steps: tuple[tuple[float, Action], ...]
    seconds: float = 3.5
    sign: str = ""  # in a finding that is of this bug
    more: tuple[Change, ...] = ()
    is_on_replicas: bool = False
    is_in_turn: bool = False
    is_last: bool = False  # what it wrote has other times: the lab is not used any more
    tries: int = 1  # it shows by chance: how often it is tried until it does

    @property
    def changes(self) -> tuple[Change, ...]:
        return (Change(self.file, self.before, self.after), *self.more)


def _ask(seconds: float, machine: str = "web-1", port: int = KEEP_PORT) -> Ask:
    return Ask("alice", machine, (port,), "client", seconds)


_UNCOVERED = "got through to web-1 port"
_WITHOUT_TURNS = Change(
    "store/postgresql.py",
    'begin_write="BEGIN ISOLATION LEVEL SERIALIZABLE; "\n        f"{TURN}; "\n',
    'begin_write="BEGIN ISOLATION LEVEL READ COMMITTED; "\n',
)
PLANTED: dict[str, Bug] = {
    "a lease is longer than its grant": Bug(
        "domain/desired.py",
        "return min(left, grant.max_duration, MAXIMUM_DURATION)",
        "return min(left, grant.max_duration, MAXIMUM_DURATION) + timedelta(seconds=3)",
        # While the server is there it would be ended in time: either alone is enough.
        (
            (0.1, _ask(1.5)),
            (0.1, _ask(1.5, "db-1", KILL_PORT)),
            (1.0, Stop(SERVER)),
            (5.0, Continue(SERVER)),
        ),
        5.0,
        tries=3,  # it may not be open before the server stops
    ),
    "a SYN passes as established": Bug(
        "drivers/nftables/passing.py",
        'f"ct state established {NO_SYN} {PORT} != @{KILL} {ended} accept"',
        'f"ct state established {PORT} != @{KILL} {ended} accept"',
        ((0.1, _ask(3.0)), (0.1, _ask(3.0, "db-1"))),
        7.5,
    ),
    "the agent does not hear of revocations": Bug(
        "domain/held.py",
        "leases = {grant_id: lease for grant_id, lease in held.leases.items() if lease.is_local}",
        "leases = dict(held.leases)",
        ((0.1, _ask(LONG)), (1.0, Revoke("alice", kill=False))),
        1.5,
    ),
    "the server opens for everybody": Bug(
        "domain/desired.py",
        "Lease(grant.id, grant.port_keys, grant.sources, remaining",
        'Lease(grant.id, grant.port_keys, (AddressPrefix.parse("*"),), remaining',
        ((0.1, _ask(LONG)),),
    ),
    "a state that names less opens": Bug(
        "domain/held.py",
        "and (is_stale or state.released.get(closed.port, 0) <= held.generation)",
        "and closed.port in named",
        (
            (0.1, DeleteMachine("web-1")),
            (0.6, AddMachine("web-1", "one port")),
            (3.5, SetRules("web-1", "one port")),
        ),
        6.0,
    ),
    "a gateway opens for everybody": Bug(
        "domain/behind.py",
        "OpeningKey(key.source, key.port.behind(address))",
        "OpeningKey(key.source.supernet(new_prefix=0), key.port.behind(address))",
        ((0.1, _ask(LONG, "app-1")),),
        sign="got through to app-1",
    ),
    "a gateway leads everybody to whom a grant leads": Bug(
        "domain/behind.py",
        "            yield OpeningKey(there.source, there.port.mapped(each, there.port))",
        "            yield OpeningKey(\n"
        "                there.source.supernet(new_prefix=0), there.port.mapped(each, there.port)\n"
        "            )",
        # Nobody gets through by it: the machine's port is judged too. The kernel's map shows it.
        ((0.1, _ask(LONG, "app-1")),),
        1.5,
        "by a public port has the opening ('0.0.0.0/0'",
    ),
    "a gateway's adoption admits": Bug(
        "drivers/nftables/render.py",
        '        *_repeated(),\n        "tcp flags & (syn | ack) == syn goto behind_granted",',
        "        *_repeated(),",
        # Whoever was in when the port was closed comes back on the tuple that was adopted.
        (
            (0.1, RemoveRules("app-1")),
            (1.0, SetRules("app-1", "base")),
            (1.8, _ask(4.0, "app-1")),  # till then it is kept
        ),
        10.0,
        "(again-open)",
    ),
    "open at one of two points is told as open": Bug(
        "domain/bindings.py",
        "return all(\n            any(_has(each, grant) and grant.generation",
        "return any(\n            any(_has(each, grant) and grant.generation",
        # Its own agent opens it; the gateway's, which is stopped until it is over, does not.
        ((0.1, Stop(GATEWAY)), (0.6, _ask(3.0, "sql-1")), (4.5, Continue(GATEWAY))),
        5.0,
        "sql-1 port 8001 was said to be open",
    ),
    "closed at one of two gateways is told as closed": Bug(
        "domain/bindings.py",
        "withdrawn.keys() <= guards and all(\n            grant.generation <= each.generation",
        "withdrawn.keys() <= guards and any(\n            grant.generation <= each.generation",
        # The other has it open until it hears of the revocation.
        (
            (0.1, _ask(LONG, "app-1")),
            (1.2, Stop(GATEWAY2)),
            (1.5, Revoke("alice", kill=False)),
            (5.0, Continue(GATEWAY2)),
        ),
        5.5,
        f"at {GATEWAY2} with no grant",
    ),
    "a silent gateway keeps those in parallel waiting": Bug(
        "domain/bindings.py",
        "any(_has(each, grant) and grant.generation <= each.generation for each in stage)",
        "all(_has(each, grant) and grant.generation <= each.generation for each in stage)",
        ((0.1, Stop(GATEWAY2)), (0.6, _ask(LONG, "app-1")), (4.5, Continue(GATEWAY2))),
        5.0,
        f"although nothing disturbed {GATEWAY}",
    ),
    "a yes counts after the right to it was taken": Bug(
        "services/approvers.py",
        "since, now) is not None:\n        return True\n    return _has_run_out",
        "since, now) is not None or True:\n        return True\n    return _has_run_out",
        (
            (0.1, SetRules("web-1", "base", "two")),
            (0.3, _ask(LONG)),
            (1.0, Answer("erin", "alice")),
            (1.5, TakeVoice("erin", is_disabled=False)),
            (2.0, Answer("frank", "alice")),
            (7.0, GiveVoice("erin")),
        ),
        7.5,
        _UNCOVERED,
        (
            Change(
                "domain/pending.py",
                "each.digest == self.digest and not each.is_void",
                "each.digest == self.digest",
            ),
        ),
        is_in_turn=True,
    ),
    "one's own yes counts": Bug(
        "services/approvers.py",
        'return None if pending.may_approve_own and is_person else "OwnRequest"',
        'return None if is_person else "OwnRequest"',
        (
            (0.1, SetRules("web-1", "base", "one")),
            (0.3, Ask(BOTH, "web-1", (KEEP_PORT,), "client", LONG)),
            (1.0, Answer(BOTH, BOTH)),
        ),
        6.0,
        _UNCOVERED,
        is_in_turn=True,
    ),
    "what waits opens": Bug(
        "services/waiting.py",
        "        if pending.asked(counted) is not None:\n",
        "        if pending.asked(counted) is not None and not counted:\n",
        (
            (0.1, SetRules("web-1", "base", "two")),
            (0.3, _ask(LONG)),
            (1.0, Answer("erin", "alice")),  # with the first yes of two
        ),
        6.0,
        _UNCOVERED,
        is_in_turn=True,
    ),
    "another policy's rules are forgotten": Bug(
        "domain/due.py",
        "        if not own:\n",
        "        if not own or policy.id != request.policy_id:\n",
        ((0.1, SetGate("web-1", "one")), (0.3, _ask(LONG, port=KILL_PORT))),
        6.0,
        _UNCOVERED,
        is_in_turn=True,
    ),
    "a start opens early": Bug(
        "domain/pending.py",
        "opens_at=starts_at, escalates_at=None)",
        "opens_at=starts_at - timedelta(seconds=2.5), escalates_at=None)",
        ((0.1, replace(_ask(LONG), start_in=4.0)),),
        4.5,
        _UNCOVERED,
        (
            Change(
                "services/waiting.py",
                "    if opens_at(request, act.now) > act.now:\n",
                "    if pending.opens_at is None and opens_at(request, act.now) > act.now:\n",
            ),
        ),
    ),
    "a start opens late": Bug(
        "services/starts.py",
        "    due = tx.due_starts(act.now, MOST_AT_ONCE)\n",
        '    late = __import__("datetime").timedelta(seconds=5)\n'
        "    due = tx.due_starts(act.now - late, MOST_AT_ONCE)\n",
        ((0.1, replace(_ask(LONG), start_in=1.0)),),
        2.0,
        "although nothing was in its way",
    ),
    "a revocation leaves no event": Bug(
        "services/grants.py",
        "        act.record(\n            tx,\n            GrantEnded(",
        "        print(\n            tx,\n            GrantEnded(",
        ((0.1, _ask(LONG)), (1.0, Revoke("alice", kill=False))),
        1.5,
    ),
    "a lost hint with no poll": Bug(
        "services/hub.py",
        "            self._others.tell(machine_uids, request_ids)\n",
        "            pass\n",
        (
            *((0.1, _ask(LONG, machine)) for machine in AGENTS),
            *((0.1, Ask("bob", machine, (KILL_PORT,), "client", LONG)) for machine in AGENTS),
        ),
        more=(
            Change(
                "api/lines.py",
                "            if line.generations.get(move.machine_uid) != move.generation:\n",
                "            if False:\n",
            ),
        ),
        is_on_replicas=True,
    ),
    "a cache that lies": Bug(
        "services/rights.py",
        "_slot_of(reader.access_stamp(), principal_id)",
        '_slot_of("", principal_id)',
        # Each call goes to another replica: all of them know her rights, and one is asked later.
        (
            *((0.1 * turn, _ask(1.0)) for turn in range(9)),
            (2.5, TakeRole("alice")),
            *((4.0 + 0.1 * turn, _ask(1.0)) for turn in range(4)),
            (6.0, GiveRole("alice")),
        ),
        6.5,
        "held no role",
        is_on_replicas=True,
    ),
    "a sweep that runs twice": Bug(
        "services/duties.py",
        "        return not now < held.until <= now + LEASE + READINGS_APART\n",
        "        return True\n",
        # Each end is a chance that two of them begin within the pause below.
        (
            *((0.1, _ask(1.5 + n, machine)) for n, machine in enumerate(AGENTS)),
            *(
                (0.1, Ask("bob", each, (KILL_PORT,), "client", 2 + n))
                for n, each in enumerate(AGENTS)
            ),
        ),
        3.0 + len(AGENTS),
        "2 GrantEnded events",
        (
            _WITHOUT_TURNS,
            # To take the duty is to write its row, which others would wait for.
            Change(
                "services/duties.py",
                "        if self.holder is None:\n            return 0\n        held = tx.duty(name)\n",
                "        if self.holder is not None:\n            return 0\n        held = tx.duty(name)\n",
            ),
            Change(
                "services/sweep.py",
                "    due = tx.due_grants(act.now)\n",
                '    due = tx.due_grants(act.now)\n    __import__("time").sleep(1.5)\n',
            ),
            Change(
                "store/grants.py",
                "        if not moved:\n            raise self._not_moved(grant.id, was)\n",
                "",
            ),
        ),
        is_on_replicas=True,
        tries=5,
    ),
    "a lost update": Bug(
        "services/machine_rules.py",
        "    had = policy.rules_for(machine.id)\n    rules = MachineRules(machine.id, ports,",
        '    had = policy.rules_for(machine.id)\n    __import__("time").sleep(0.5)\n'
        "    rules = MachineRules(machine.id, ports,",
        # Their rules are in one policy.
        (
            *((0.1, SetRules(machine, "wider")) for machine in ("web-1", "db-1", GATEWAY)),
            *((3.0, _ask(1.0, each, EXTRA_PORT)) for each in ("web-1", "db-1", GATEWAY)),
        ),
        5.0,
        "was denied although",
        (_WITHOUT_TURNS,),
        is_on_replicas=True,
    ),
    "a replica's own clock": Bug(
        "clocks.py",
        "        return self._boot_at + timedelta(seconds=self._own.boottime())\n",
        "        return self._own.now()\n",
        (
            (0.1, TurnClock(REPLICAS[0], CLOCK_TURNED)),
            *((8.0 + 0.1 * turn, _ask(1.5, AGENTS[turn % len(AGENTS)])) for turn in range(9)),
        ),
        11.0,
        is_on_replicas=True,
        is_last=True,
    ),
}


def schedule_of(bug: Bug) -> Schedule:
    steps = tuple(Step(at, action) for at, action in bug.steps)
    return Schedule(SEED, bug.seconds, steps, bug.is_on_replicas, bug.is_in_turn)


def is_seen(world: World, name: str) -> Verdict:
    """Run the program with this bug in it; the verdict should hold findings, of it alone."""
    bug = PLANTED[name]
    with tempfile.TemporaryDirectory(dir=world.folder.root) as folder:
        code = Path(folder)
        copy_code(world.code / "bascule", code)
        for change in bug.changes:
            plant(code / "bascule" / change.file, change)
        change_code(world, code)
        if not bug.is_on_replicas:  # with one of those nothing may be told any more
            prepare(world)
        try:
            verdict = _look(world, bug)
            for _ in range(bug.tries - 1):
                if not verdict.findings:
                    verdict = _look(world, bug)
            return verdict
        finally:
            change_code(world, world.code)
            if not bug.is_last:
                prepare(world)


def _look(world: World, bug: Bug) -> Verdict:
    verdict = run(world, schedule_of(bug), SETTLED_WITHIN)
    return replace(verdict, findings=tuple(each for each in verdict.findings if bug.sign in each))


def plant(file: Path, change: Change) -> None:
    text = file.read_text()
    times = text.count(change.before)
    assert times == 1, f"{change.before!r} stands {times} times"
    file.write_text(text.replace(change.before, change.after))
    for compiled in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
        compiled.unlink()  # of before; it is known by the time and size of the text alone


def change_code(world: World, code: Path) -> None:
    """Kill server and agents: they come back with other code, and have done so at the end."""
    world.use_code(code)
    for unit in (*world.servers, *AGENTS):
        world.send(unit, signal.SIGKILL)
    for machine in AGENTS:
        assert until(lambda: not world.is_ready(machine), 60)  # noqa: B023  # reason: called at once
    for machine in AGENTS:
        assert until(lambda: world.is_ready(machine), 60), f"{machine} stays away"  # noqa: B023  # reason: as above
    assert until(lambda: not world.not_serving(), 60), world.not_serving()
