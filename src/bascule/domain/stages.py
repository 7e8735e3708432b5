"""Stages of approval: who is asked, how many must agree, and since when.

Rules, each with its neighbouring deny in the tests:
  a stage is asked when all before it are met; one person's yes counts for one stage, the one that
  was asked when it was given; the same stage, asked for by several rules, machines or ports, is one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bascule.errors import Problem
from bascule.sentences import sentence

MOST_STAGES = 10  # of one rule or port
MOST_NEEDED = 10  # people of one stage
MOST_APPROVERS = 50  # users and groups that one stage names, and that one escalation names
FRESHEST_FACTOR, OLDEST_FACTOR = timedelta(minutes=1), timedelta(days=7)  # both inclusive
SOONEST_ESCALATION, LATEST_ESCALATION = timedelta(minutes=1), timedelta(days=7)  # both inclusive


@dataclass(frozen=True, slots=True)
class Approvers:
    """Who may say yes: any of them."""

    users: tuple[str, ...] = ()  # ids
    groups: tuple[str, ...] = ()  # ids
    by_role: bool = False  # whoever holds the right to approve at the machines concerned

    @property
    def count(self) -> int:
        return len(self.users) + len(self.groups)

    @property
    def is_nobody(self) -> bool:
        return not (self.count or self.by_role)


@dataclass(frozen=True, slots=True)
class Stage:
    approvers: Approvers
    needed: int = 1
    escalate_after: timedelta | None = None  # since it was first asked; None: never
    escalate_to: Approvers = field(default_factory=Approvers)  # are asked as well from then on
    factor_within: timedelta | None = None  # how old an approver's second factor may be; None: any


@dataclass(frozen=True, slots=True)
class Because:
    """What asks for a stage."""

    policy_id: str
    rule: str  # its name; empty: the port rule itself
    machine_id: str
    number: int


@dataclass(frozen=True, slots=True)
class DueStage:
    stage: Stage
    because: tuple[Because, ...]  # never empty

    @property
    def machine_ids(self) -> tuple[str, ...]:
        """Where who is asked by a role must hold it: at each of them."""
        return tuple(dict.fromkeys(each.machine_id for each in self.because))


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's yes."""

    principal_id: str
    name: str
    at: datetime
    stage: int  # from 0
    digest: str  # of what was approved
    longest: timedelta | None = None  # how long it may be open at most; None: as asked
    ends_at: datetime | None = None  # when it ends at the latest; None: as asked
    note: str = ""
    is_own: bool = False  # of the requestor
    rests_until: datetime | None = None  # the end of the membership that it rests on; None: on none
    provider_id: str = ""  # the external provider that vouched for that membership; empty: none
    is_void: bool = False  # the right to it was taken, or the person disabled


def united(due: Iterable[tuple[Stage, Because]]) -> tuple[DueStage, ...]:
    """In their order, equal ones once."""
    found: dict[Stage, dict[Because, None]] = {}
    for stage, because in due:
        found.setdefault(stage, {})[because] = None
    return tuple(DueStage(stage, tuple(why)) for stage, why in found.items())


def first_unmet(stages: Sequence[DueStage], counted: Iterable[Vote]) -> int | None:
    """The stage that is asked, by these yeses that count; None: all are met."""
    given = Counter(vote.stage for vote in counted)
    return next((n for n, due in enumerate(stages) if given[n] < due.stage.needed), None)


def met(stages: Sequence[DueStage], counted: Iterable[Vote]) -> Sequence[DueStage]:
    """Those that have all the yeses that they need, by these that count."""
    given = Counter(vote.stage for vote in counted)
    return [due for n, due in enumerate(stages) if given[n] >= due.stage.needed]


def covers(passed: Iterable[DueStage], due: DueStage) -> bool:
    """Did the same people agree already? By a role they are the same at the same machines alone."""
    by_role = due.stage.approvers.by_role or due.stage.escalate_to.by_role
    return any(
        each.stage == due.stage and (not by_role or {*due.machine_ids} <= {*each.machine_ids})
        for each in passed
    )


def asked_at(stage: Stage, since: datetime, now: datetime) -> tuple[Approvers, ...]:
    """Who is asked of a stage that has been asked since then."""
    if stage.escalate_after is None or now < since + stage.escalate_after:
        return (stage.approvers,)
    return stage.approvers, stage.escalate_to


def check_stages(stages: Sequence[Stage], target: str) -> Iterable[Problem]:
    """Every problem of what somebody wrote."""
    if len(stages) > MOST_STAGES:
        yield Problem(
            "TooManyStages",
            sentence("At most {most} stages may follow each other.", most=MOST_STAGES),
            target,
        )
    seen: set[Stage] = set()
    for n, stage in enumerate(stages[:MOST_STAGES]):
        here = f"{target}[{n}]"
        yield from _check_stage(stage, here)
        if stage in seen:
            yield Problem(
                "DuplicateStage",
                "Two stages are the same. One person counts once, so raise what is needed of one stage.",
                here,
            )
        seen.add(stage)


def _check_stage(stage: Stage, here: str) -> Iterable[Problem]:
    if stage.approvers.is_nobody:
        yield Problem(
            "ApproversRequired",
            "A stage names its approvers: users, groups, or role true.",
            f"{here}.approvers",
        )
    if not 1 <= stage.needed <= MOST_NEEDED:
        yield Problem(
            "InvalidNeeded",
            sentence("A stage needs from 1 to {most} people.", most=MOST_NEEDED),
            f"{here}.needed",
        )
    if max(stage.approvers.count, stage.escalate_to.count) > MOST_APPROVERS:
        yield Problem(
            "TooManyApprovers",
            sentence(
                "A stage names at most {most} users and groups. Put them into a group.",
                most=MOST_APPROVERS,
            ),
            f"{here}.approvers",
        )
    is_by_people = not (stage.approvers.groups or stage.approvers.by_role)
    if is_by_people and 0 < len(set(stage.approvers.users)) < stage.needed <= MOST_NEEDED:
        yield Problem(
            "NeededOfTooFew",
            sentence("{needed} people cannot agree where fewer are asked.", needed=stage.needed),
            f"{here}.needed",
        )
    if stage.factor_within is not None and not (
        FRESHEST_FACTOR <= stage.factor_within <= OLDEST_FACTOR
    ):
        yield Problem(
            "InvalidDuration",
            "A length must be from PT1M (1 minute) to P7D (7 days), both inclusive.",
            f"{here}.secondFactorWithin",
        )
    if stage.escalate_after is None:
        if not stage.escalate_to.is_nobody:
            yield Problem(
                "EscalationIncomplete",
                "Give escalateAfterMinutes beside escalateTo: after how long others are asked too.",
                f"{here}.escalateAfterMinutes",
            )
        return
    if stage.escalate_to.is_nobody:
        yield Problem(
            "EscalationIncomplete",
            "Give escalateTo beside escalateAfterMinutes: who is asked too.",
            f"{here}.escalateTo",
        )
    if not SOONEST_ESCALATION <= stage.escalate_after <= LATEST_ESCALATION:
        yield Problem(
            "InvalidEscalation",
            "escalateAfterMinutes must be from 1 to 10080 (7 days), both inclusive.",
            f"{here}.escalateAfterMinutes",
        )
