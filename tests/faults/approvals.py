"""Approvals and starts in a schedule, drawn from its seed: rules that ask for approvals, people who give
them, and requests that are to open some seconds later.

What was drawn before stays as it is (``schedule``).
"""

from __future__ import annotations

import random
from dataclasses import replace

from tests.faults.schedule import (
    APPROVERS,
    BOTH,
    GATED,
    KEEP_PORT,
    KILL_PORT,
    LONG,
    MACHINES,
    NEVER,
    PEOPLE,
    RULES,
    STAGES,
    Action,
    Answer,
    Ask,
    GiveVoice,
    Revoke,
    Schedule,
    SetGate,
    SetRule,
    SetRules,
    Step,
    TakeVoice,
    make_schedule,
)

SHARE = 0.7  # of the schedules in which approvals are asked for
STARTING = 0.8  # of the schedules in which requests have a start
AHEAD = (0.8, 3.5)  # seconds from a request to its start
AFTER = (0.1, 0.9)  # seconds from one step to the answer to it
_ASKING = tuple(name for name in STAGES if name)


def drawn(seed: int) -> Schedule:
    """The schedule of a seed, with approvals and starts in most."""
    return _with_starts(_with_approvals(make_schedule(seed)))


def _with_approvals(schedule: Schedule) -> Schedule:
    chance = random.Random(f"approvals {schedule.seed}")
    if chance.random() >= SHARE:
        return schedule
    last = schedule.seconds
    steps = list(schedule.steps)
    rules, machines = _rules(chance)
    steps += [Step(round(chance.uniform(0, 0.4), 2), each) for each in rules]
    asking = [step for step in steps if isinstance(step.action, Ask)]
    for _ in range(chance.randint(4, 8)):
        step = Step(round(chance.uniform(0.4, last - 0.5), 2), _ask(chance, machines))
        asking.append(step)
        steps.append(step)
    for step in asking:
        steps += _answers(chance, step, last)
    for _ in range(chance.randint(0, 2)):
        steps += _voice(chance, last)
    for _ in range(chance.randint(0, 2)):
        rules, _ = _rules(chance)
        steps.append(Step(round(chance.uniform(1.0, last), 2), chance.choice(rules)))
    ordered = tuple(sorted(steps, key=lambda step: step.at))
    return replace(schedule, steps=ordered)


def _with_starts(schedule: Schedule) -> Schedule:
    """More requests, each with a start: some are answered, and some withdrawn before it."""
    chance = random.Random(f"starts {schedule.seed}")
    if chance.random() >= STARTING:
        return schedule
    last = schedule.seconds
    steps = list(schedule.steps)
    for _ in range(chance.randint(2, 5)):
        wanted = _ask(chance, [chance.choice(MACHINES)])
        wanted = replace(wanted, start_in=round(chance.uniform(*AHEAD), 1))
        step = Step(round(chance.uniform(0.2, last - 0.3), 2), wanted)
        steps.append(step)
        if chance.random() < 0.6:
            steps += _answers(chance, step, last)
        if chance.random() < 0.2:
            at = round(min(last, step.at + chance.uniform(0.2, wanted.start_in)), 2)
            steps.append(Step(at, Revoke(wanted.person, kill=False)))
    return replace(schedule, steps=tuple(sorted(steps, key=lambda step: step.at)))


def _rules(chance: random.Random) -> tuple[list[Action], list[str]]:
    """What asks for approvals or lifts them, and the machines concerned."""
    machine, gated = chance.choice(MACHINES), chance.choice(GATED)
    asks = chance.choice(_ASKING)
    rules = chance.choice(tuple(RULES)) if chance.random() < 0.3 else "base"
    made: list[Action] = [SetRules(machine, rules, asks if chance.random() < 0.8 else "")]
    if chance.random() < 0.6:
        made.append(SetGate(gated, chance.choice(("", NEVER, *_ASKING, *_ASKING))))
    if chance.random() < 0.5:
        made.append(
            SetRule(chance.choice((*PEOPLE, BOTH)), chance.choice(("", *_ASKING, *_ASKING)))
        )
    return made, [machine, gated]


def _ask(chance: random.Random, machines: list[str]) -> Ask:
    named = chance.sample((KEEP_PORT, KILL_PORT), chance.choice((1, 1, 2)))
    span = LONG if chance.random() < 0.3 else round(chance.uniform(2, 7), 1)
    person = chance.choice((*PEOPLE, BOTH, BOTH))
    is_fixed = span < LONG and chance.random() < 0.4
    source = chance.choices(("client", "stranger", "half"), (4, 2, 1))[0]
    return Ask(person, chance.choice(machines), tuple(sorted(named)), source, span, is_fixed)


def _answers(chance: random.Random, step: Step, last: float) -> list[Step]:
    """To what somebody asks for: mostly one yes or two, of anybody, also of who asks."""
    action = step.action
    assert isinstance(action, Ask)
    at, made = step.at, list[Step]()
    for approver in chance.sample(APPROVERS, chance.choices((0, 1, 2, 3), (1, 2, 4, 4))[0]):
        at = round(min(last, at + chance.uniform(*AFTER)), 2)
        is_yes = chance.random() < 0.9
        made.append(Step(at, Answer(approver, action.person, is_yes)))
    if chance.random() < 0.1:
        at = round(min(last, at + chance.uniform(*AFTER)), 2)
        made.append(Step(at, Revoke(action.person, kill=False)))
    return made


def _voice(chance: random.Random, last: float) -> list[Step]:
    person = chance.choice(APPROVERS)
    at = round(chance.uniform(0.8, last - 0.5), 2)
    later = round(min(last, at + chance.uniform(0.4, 1.5)), 2)
    is_disabled = chance.random() < 0.4 and person != BOTH  # who asks goes on asking
    return [
        Step(at, TakeVoice(person, is_disabled)),
        Step(later, GiveVoice(person)),
    ]
