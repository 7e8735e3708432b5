"""What happens in one run, drawn from a seed: a list of actions with the moment of each.

Pure, so that a seed gives the same schedule for ever. Whoever asks or edits does so in a
queue of his own; faults come on time, whatever the others wait for. "The latest request of
alice" is looked up when its moment comes.
What is not here: doing any of it (``people``, ``faults``).
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace

GATEWAY, GATEWAY2 = GATEWAYS = "gw", "gw-2"
# By which gateways each is reached: the first has no agent, and its gateways are bound in parallel; the
# second has an agent too, in series with its gateway.
BEHIND = {"app-1": GATEWAYS, "sql-1": (GATEWAY,)}
MACHINES = ("web-1", "db-1", *GATEWAYS, *BEHIND)
AGENTS = ("web-1", "db-1", *GATEWAYS, "sql-1")
SERVER, DATABASE = "server", "database"
REPLICAS = ("server-1", "server-2", "server-3")  # behind the balancer, which is then called server
# Between the server and a gateway's agent; machines are reached as before.
LINK, LINK2 = "link", "link-2"
LINKS = {LINK: GATEWAY, LINK2: GATEWAY2}
# Only these are deleted: who was at a gateway's address is closed there for whoever comes next.
DELETED = ("web-1", "db-1")
PEOPLE = ("alice", "bob", "carol")
KEEP_PORT, KILL_PORT, EXTRA_PORT = 8001, 8002, 8003
# The gateways' public ports that stand for a machine's: by machine and port, its policy names them.
PUBLIC = {
    ("app-1", KEEP_PORT): 2291,
    ("app-1", KILL_PORT): 2292,
    ("sql-1", KEEP_PORT): 2295,
    ("sql-1", KILL_PORT): 2296,
}
# Who answers requests that wait: users, by the groups that stages name. One of them asks as well.
MEMBERS = {"on-call": ("erin", "frank", "grace"), "leads": ("grace", "heidi")}
APPROVERS = ("erin", "frank", "grace", "heidi")
BOTH = "grace"
Due = tuple[tuple[str, int], ...]  # stages: a group, and how many of it must say yes
STAGES: dict[str, Due] = {
    "": (),
    "one": (("on-call", 1),),
    "two": (("on-call", 2),),
    "each": (("on-call", 1), ("leads", 1)),
}
NEVER = "never"  # no stages: a rule that denies
GATED = ("web-1", "db-1")  # machines that a second policy may name, with KILL_PORT alone
LONG = 90.0  # seconds; a grant that no run waits for: only a revocation ends it
CLOCK_TURNED = 3  # hours, either way: what a wall clock is wrong by
RARE = 0.4  # the share of the others in which a gateway loses more than its agent
TWO = 0.5  # the share of runs on replicas in which a second of them dies, or the database
FULL = 0.2  # the share of runs on replicas in which the database's disk is full for a while
UNRULY = 0.3  # the share of runs on replicas in which somebody's role is taken away
_DRAW = 4  # so that the first twenty seeds have each fault at each gateway (``test_schedules``)
CALM = 0.3  # the share of runs in which nothing dies: how quick a revocation is shows there

# Sources by who is meant; the addresses are the lab's.
SOURCES = {
    "client": "10.203.0.10",
    "client6": "fd20:3::10",
    "stranger": "10.203.0.11",
    "half": "10.203.0.8/30",  # the client and the stranger, and two more
    "half6": "fd20:3::/124",  # neither: 10 and 11 are hexadecimal
}
# Rules that an owner sets: name -> port -> (sources, on_expiry)
RULES: dict[str, dict[int, tuple[tuple[str, ...], str]]] = {
    "base": {KEEP_PORT: (("*",), "keep"), KILL_PORT: (("*",), "kill")},
    "turned": {KEEP_PORT: (("*",), "kill"), KILL_PORT: (("*",), "keep")},
    "one port": {KILL_PORT: (("*",), "kill")},
    "client only": {
        KEEP_PORT: (("10.203.0.10", "fd20:3::10"), "keep"),
        KILL_PORT: (("10.203.0.10",), "kill"),
    },
    "wider": {
        KEEP_PORT: (("*",), "keep"),
        KILL_PORT: (("*",), "kill"),
        EXTRA_PORT: (("*",), "keep"),
    },
}


@dataclass(frozen=True, slots=True)
class Ask:
    person: str
    machine: str
    ports: tuple[int, ...]
    source: str  # a name of SOURCES
    seconds: float
    is_fixed: bool = False  # its end is named, so that waiting takes of it
    start_in: float = 0.0  # seconds from then; 0: no start is named


@dataclass(frozen=True, slots=True)
class Extend:
    """The person's latest request, to so many seconds from then."""

    person: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Revoke:
    """The person's latest request."""

    person: str
    kill: bool


@dataclass(frozen=True, slots=True)
class SetRules:
    machine: str
    rules: str  # a name of RULES
    asks: str = ""  # the approval of each of its ports: a name of STAGES


@dataclass(frozen=True, slots=True)
class SetGate:
    """Another policy has one rule for everybody who asks for KILL_PORT."""

    machine: str
    asks: str  # a name of STAGES, or NEVER


@dataclass(frozen=True, slots=True)
class RemoveRules:
    """Takes the machine out of every policy, which opens what they named."""

    machine: str


@dataclass(frozen=True, slots=True)
class DeleteMachine:
    machine: str


@dataclass(frozen=True, slots=True)
class AddMachine:
    """The same name again: a new machine, new rules, an agent that enrols anew."""

    machine: str
    rules: str


@dataclass(frozen=True, slots=True)
class ReplaceAgent:
    """New hardware takes its place: another agent, which knows nothing but its token."""

    machine: str


@dataclass(frozen=True, slots=True)
class TakeRole:
    """The administrator takes away all that a person may do, which ends what she has open."""

    person: str


@dataclass(frozen=True, slots=True)
class GiveRole:
    person: str


@dataclass(frozen=True, slots=True)
class SetRule:
    """The policy of all machines has a rule for what one person asks for."""

    person: str
    asks: str  # a name of STAGES; empty: the rule is taken away


@dataclass(frozen=True, slots=True)
class TakeVoice:
    """An approver is disabled, or taken from the groups."""

    person: str
    is_disabled: bool


@dataclass(frozen=True, slots=True)
class GiveVoice:
    """As before."""

    person: str


@dataclass(frozen=True, slots=True)
class Answer:
    """An approver says yes or no to what this person asked for last and waits for."""

    approver: str
    person: str
    is_yes: bool = True


@dataclass(frozen=True, slots=True)
class Kill:
    unit: str  # "server", a replica, "database"; or a machine: its agent


@dataclass(frozen=True, slots=True)
class Stop:
    unit: str


@dataclass(frozen=True, slots=True)
class Continue:
    unit: str


@dataclass(frozen=True, slots=True)
class Cut:
    host: str  # "server" or a machine: its cable; or one of LINKS
    other: str = ""  # a replica hears nothing of this host: the database, or the balancer


@dataclass(frozen=True, slots=True)
class Heal:
    host: str
    other: str = ""


@dataclass(frozen=True, slots=True)
class Flush:
    """Somebody's ``nft flush ruleset``."""

    machine: str


@dataclass(frozen=True, slots=True)
class Tamper:
    """Root tries to take elements and chains out of our table."""

    machine: str


@dataclass(frozen=True, slots=True)
class ForeignTable:
    """Another tool has a table of its own, for a while."""

    machine: str
    is_there: bool


@dataclass(frozen=True, slots=True)
class Reboot:
    """Nothing is left in the kernel; its agent's files are."""

    machine: str


@dataclass(frozen=True, slots=True)
class TurnClock:
    """A replica or a machine's agent begins again with a wall clock that is wrong, until all is
    healed.
    """

    unit: str
    hours: int


@dataclass(frozen=True, slots=True)
class Promote:
    """The primary dies, and a standby that had all of it is promoted."""


@dataclass(frozen=True, slots=True)
class UseUpConnections:
    """The database has none left for the replicas."""


@dataclass(frozen=True, slots=True)
class GiveConnectionsBack:
    pass


@dataclass(frozen=True, slots=True)
class FillDisk:
    """Nothing is left of the database's disk. ``is_log``: it begins another file of its log."""

    is_log: bool


@dataclass(frozen=True, slots=True)
class FreeDisk:
    pass


Asking = Ask | Extend | Revoke
Editing = SetRules | SetGate | RemoveRules | DeleteMachine | AddMachine | ReplaceAgent
Ruling = TakeRole | GiveRole | SetRule | TakeVoice | GiveVoice
OfDatabase = Promote | UseUpConnections | GiveConnectionsBack | FillDisk | FreeDisk
Fault = (
    Kill
    | Stop
    | Continue
    | Cut
    | Heal
    | Flush
    | Tamper
    | ForeignTable
    | Reboot
    | TurnClock
    | OfDatabase
)
Action = Asking | Answer | Editing | Ruling | Fault


@dataclass(frozen=True, slots=True)
class Step:
    at: float  # seconds from the run's start
    action: Action


@dataclass(frozen=True, slots=True)
class Schedule:
    seed: int
    seconds: float
    steps: tuple[Step, ...]  # in the order of time
    is_on_replicas: bool = False
    is_in_turn: bool = False  # each waits until all that was begun before is done

    def describe(self) -> str:
        return "\n".join(f"  {step.at:5.2f}  {step.action}" for step in self.steps)


def make_schedule(seed: int, seconds: float = 3.5) -> Schedule:
    """The schedule of a seed."""
    chance = random.Random(f"{_DRAW} {seed}")
    steps = [_asking(chance, seconds) for _ in range(chance.randint(12, 22))]
    for _ in range(chance.randint(0, 3)):
        steps.extend(_editing(chance, seconds))
    if chance.random() >= CALM:
        for _ in range(chance.randint(1, 4)):
            steps.extend(_fault(chance, seconds))
        if chance.random() < RARE:
            steps.append(_of_a_gateway(chance, seconds))
    return Schedule(seed, seconds, tuple(sorted(steps, key=lambda step: step.at)))


def on_replicas(schedule: Schedule) -> Schedule:
    """The same on three replicas: what was done to the server is done to one of them, and more."""
    chance = random.Random(f"replicas {schedule.seed}")
    one = chance.choice(REPLICAS)
    steps = [replace(step, action=_instead(step.action, one)) for step in schedule.steps]
    if any(isinstance(step.action, Fault) for step in steps):
        for _ in range(1 + (chance.random() < TWO)):
            steps.extend(_of_replicas(chance, schedule.seconds))
    if chance.random() < UNRULY:
        steps.extend(_of_roles(chance, schedule.seconds))
    if chance.random() < FULL:
        at = round(chance.uniform(0.3, schedule.seconds - 1), 2)
        later = round(min(schedule.seconds, at + chance.uniform(0.6, 2)), 2)
        steps += [Step(at, FillDisk(chance.random() < 0.5)), Step(later, FreeDisk())]
    ordered = tuple(sorted(steps, key=lambda step: step.at))
    return replace(schedule, steps=ordered, is_on_replicas=True)


def paused_for_a_minute(seed: int, seconds: float = 62.0) -> Schedule:
    """A replica stands still for longer than anybody waits, and goes on: people ask before, while it
    stands, and when it goes on.
    """
    one = random.Random(f"paused {seed}").choice(REPLICAS)
    steps = [Step(0.8, Stop(one)), Step(seconds - 1, Continue(one))]
    for number, moment in enumerate((0.0, 15.0, seconds - 2.5)):
        drawn = make_schedule(seed + number).steps
        asking = [each for each in drawn if isinstance(each.action, Asking)]
        steps += [replace(each, at=min(seconds, each.at + moment)) for each in asking]
    ordered = tuple(sorted(steps, key=lambda step: step.at))
    return Schedule(seed, seconds, ordered, is_on_replicas=True)


def _instead(action: Action, one: str) -> Action:
    match action:
        case Kill("server") | Stop("server") | Continue("server"):
            return replace(action, unit=one)
        case Cut("server", "") | Heal("server", ""):
            return replace(action, host=one)
    return action


def _of_replicas(chance: random.Random, seconds: float) -> list[Step]:
    one, other = chance.sample(REPLICAS, 2)
    at = round(chance.uniform(0, seconds - 0.5), 2)
    later = round(min(seconds, at + chance.uniform(0.3, 2)), 2)
    kinds = (
        "database", "two", "no database", "no callers", "stop", "clock", "promotion", "connections",
    )  # fmt: skip
    match chance.choices(kinds, (3, 2, 2, 2, 2, 2, 3, 2))[0]:
        case "database":
            return [Step(at, Kill(DATABASE))]
        case "promotion":
            return [Step(at, Promote())]
        case "connections":
            return [Step(at, UseUpConnections()), Step(later, GiveConnectionsBack())]
        case "two":
            return [Step(at, Kill(one)), Step(later, Kill(other))]
        case "no database":
            return [Step(at, Cut(one, DATABASE)), Step(later, Heal(one, DATABASE))]
        case "no callers":
            return [Step(at, Cut(one, SERVER)), Step(later, Heal(one, SERVER))]
        case "clock":
            return [Step(at, TurnClock(one, chance.choice((-CLOCK_TURNED, CLOCK_TURNED))))]
        case _:
            return [Step(at, Stop(one)), Step(seconds, Continue(one))]


def _of_roles(chance: random.Random, seconds: float) -> list[Step]:
    person = chance.choice(PEOPLE)
    at = round(chance.uniform(0, seconds - 1), 2)
    later = round(min(seconds, at + chance.uniform(0.4, 2)), 2)
    return [Step(at, TakeRole(person)), Step(later, GiveRole(person))]


def _of_a_gateway(chance: random.Random, seconds: float) -> Step:
    """Once in a run: each takes a while to be over."""
    gateway = chance.choice(GATEWAYS)
    turned = chance.choice((-CLOCK_TURNED, CLOCK_TURNED))
    lost = Reboot(gateway), TurnClock(gateway, turned), ReplaceAgent(gateway)
    at = round(chance.uniform(0.3, seconds - 0.5), 2)
    return Step(at, chance.choices(lost, (3, 2, 2))[0])


def _asking(chance: random.Random, seconds: float) -> Step:
    person = chance.choice(PEOPLE)
    kind = chance.choices(("ask", "extend", "revoke"), (6, 1, 2))[0]
    action: Asking
    if kind == "extend":
        action = Extend(person, round(chance.uniform(2, 7), 1))
    elif kind == "revoke":
        action = Revoke(person, kill=chance.random() < 0.4)
    else:
        ports = [KEEP_PORT, KILL_PORT]
        if chance.random() < 0.1:
            ports.append(EXTRA_PORT)  # mostly in no policy: to be denied
        named = chance.sample(ports, chance.choice((1, 1, 2)))
        span = LONG if chance.random() < 0.25 else round(chance.uniform(1, 6), 1)
        source = chance.choices(tuple(SOURCES), (5, 2, 2, 2, 1))[0]
        action = Ask(person, chance.choice(MACHINES), tuple(sorted(named)), source, span)
    return Step(round(chance.uniform(0, seconds), 2), action)


def _editing(chance: random.Random, seconds: float) -> list[Step]:
    machine = chance.choice(MACHINES)
    at = round(chance.uniform(0, seconds - 1), 2)
    later = round(min(seconds, at + chance.uniform(0.4, 2)), 2)
    kind = chance.choices(("set", "remove", "delete"), (5, 2, 2))[0]
    rules = chance.choice(tuple(RULES))
    if kind == "set" or (kind == "delete" and machine not in DELETED):
        return [Step(at, SetRules(machine, rules))]
    if kind == "remove":
        return [Step(at, RemoveRules(machine)), Step(later, SetRules(machine, rules))]
    return [Step(at, DeleteMachine(machine)), Step(later, AddMachine(machine, rules))]


def _fault(chance: random.Random, seconds: float) -> list[Step]:
    machine = chance.choice((*AGENTS, *GATEWAYS))
    unit = chance.choice(("server", *AGENTS, *GATEWAYS))
    at = round(chance.uniform(0, seconds - 0.5), 2)
    later = round(min(seconds, at + chance.uniform(0.3, 2)), 2)
    kind = chance.choices(("kill", "stop", "cut", "flush", "tamper", "foreign"), (4, 3, 3, 2, 2, 1))
    match kind[0]:
        case "kill":
            return [Step(at, Kill(unit))]
        case "stop":
            return [Step(at, Stop(unit)), Step(later, Continue(unit))]
        case "cut":
            links = [link for link, gateway in LINKS.items() if gateway == unit]
            cut = links[0] if links and chance.random() < 0.5 else unit
            return [Step(at, Cut(cut)), Step(later, Heal(cut))]
        case "flush":
            return [Step(at, Flush(machine))]
        case "tamper":
            return [Step(at, Tamper(machine))]
        case _:
            return [
                Step(at, ForeignTable(machine, True)),
                Step(later, ForeignTable(machine, False)),
            ]
