"""Rules of a policy: what they do, and when each holds (EDGES J1, J4).

Rules, each with its neighbouring deny in the tests:
  all conditions that are given must hold; of *deny* and *approve* a span or a range counts if any
  part of what is asked lies within, of *allow* only if all does; what cannot be judged holds for
  *deny* and *approve*, and does not for *allow*.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix, is_within
from bascule.domain.stages import Stage, check_stages
from bascule.errors import Problem
from bascule.sentences import sentence

MOST_RULES = 50  # of one policy
MOST_VALUES = 100  # of one condition
GAP = timedelta(hours=1)  # grants less than this apart count as one time
WHOLE_DAY = 24 * 60  # minutes
LONGEST_NAME = 64
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+)*")
_LONGEST_LEASE = timedelta(days=8)  # a week is the longest that a window can be apart
MINIMUM_SPAN, MAXIMUM_SPAN = timedelta(minutes=1), timedelta(days=7)  # both inclusive


class Effect(StrEnum):
    DENY = "deny"
    APPROVE = "approve"
    ALLOW = "allow"


Span = tuple[datetime, datetime]  # the end is exclusive
Held = Mapping[str, Sequence[Span]]  # what one person held, by the machine's uid


@dataclass(frozen=True, slots=True)
class Window:
    """Hours on days of the week, by the clocks of a place."""

    time_zone: str  # of the IANA database
    days: tuple[int, ...] = (0, 1, 2, 3, 4, 5, 6)  # on which it begins; Monday is 0
    begins: int = 0  # minutes after midnight
    ends: int = WHOLE_DAY  # exclusive; not after ``begins``: on the next day


@dataclass(frozen=True, slots=True)
class Conditions:
    """All that are given must hold; of several values of one, any."""

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()  # with ``users`` one condition: who asks
    tags: tuple[tuple[str, str], ...] = ()  # all of them
    resource_groups: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    sources_within: tuple[AddressPrefix, ...] = ()
    times: Window | None = None
    at_most: timedelta | None = None
    longer_than: timedelta | None = None
    ticket_confirmed: bool | None = None  # None: it is not asked
    factor_older_than: timedelta | None = None  # of *deny* and *approve* alone
    factor_within: timedelta | None = None  # of *allow* alone


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    effect: Effect
    conditions: Conditions = field(default_factory=Conditions)
    stages: tuple[Stage, ...] = ()  # of *approve* alone

    @property
    def key(self) -> str:
        return self.name.casefold()


@dataclass(frozen=True, slots=True)
class Asked:
    """One port of one machine, as somebody asks for it. None: it could not be learnt."""

    principal_id: str
    groups: frozenset[str] | None
    machine_id: ResourceId
    tags: Mapping[str, str] | None
    number: int
    sources: Sequence[AddressPrefix]
    starts_at: datetime
    ends_at: datetime  # exclusive
    span: timedelta | None  # with what the person held there just before
    is_ticket_confirmed: bool | None = None  # by the ticket system of the rule's policy
    factor_age: timedelta | None = None  # of their second factor, when they asked
    # That a provider named last, too long ago to count, or may have meant: whether they are in these is
    # not known.
    unsure_groups: frozenset[str] = frozenset()


def holds(rule: Rule, asked: Asked) -> bool:
    is_wide = rule.effect is not Effect.ALLOW
    found = _judged(rule.conditions, asked, is_wide)
    return all(is_wide if each is None else each for each in found)


def depends_on_ticket(rule: Rule, asked: Asked) -> bool:
    """Does it hold or not by whether a ticket was confirmed?"""
    want = rule.conditions
    if want.ticket_confirmed is None:
        return False
    return holds(replace(rule, conditions=replace(want, ticket_confirmed=None)), asked)


def holds_as_judged(rule: Rule, asked: Asked) -> bool:
    """Does a *deny* hold although nothing holds that could not be judged (EDGES J10)?"""
    return all(each is True for each in _judged(rule.conditions, asked, is_wide=True))


def _judged(want: Conditions, asked: Asked, is_wide: bool) -> Iterable[bool | None]:
    """For each condition that is given: does it hold? None: it cannot be judged."""
    if want.users or want.groups:
        yield _is_who(want, asked)
    if want.tags:
        yield None if asked.tags is None else _has_tags(want.tags, asked.tags, is_wide)
    if want.resource_groups:
        here = asked.machine_id.resource_group.casefold()
        yield here in {each.casefold() for each in want.resource_groups}
    if want.ports:
        yield asked.number in want.ports
    if want.sources_within:
        yield (
            _overlaps(asked.sources, want.sources_within)
            if is_wide
            else is_within(asked.sources, want.sources_within)
        )
    if want.times is not None:
        yield within(want.times, asked.starts_at, asked.ends_at, is_wide=is_wide)
    if want.at_most is not None:
        yield None if asked.span is None else asked.span <= want.at_most
    if want.longer_than is not None:
        yield None if asked.span is None else asked.span > want.longer_than
    if want.ticket_confirmed is not None:
        known = asked.is_ticket_confirmed
        yield None if known is None else known is want.ticket_confirmed
    yield from _judged_factor(want, asked.factor_age)


def _judged_factor(want: Conditions, age: timedelta | None) -> Iterable[bool | None]:
    if want.factor_older_than is not None:
        yield None if age is None else age > want.factor_older_than
    if want.factor_within is not None:
        yield None if age is None else age <= want.factor_within


def _is_who(want: Conditions, asked: Asked) -> bool | None:
    if asked.principal_id in want.users:
        return True
    if not want.groups:
        return False
    if asked.groups is None:
        return None
    if not asked.groups.isdisjoint(want.groups):
        return True
    return False if asked.unsure_groups.isdisjoint(want.groups) else None


def has_tags(rule: Rule, tags: Mapping[str, str]) -> bool:
    """Does its condition on tags, if it has one, hold with these?"""
    return _has_tags(rule.conditions.tags, tags, rule.effect is not Effect.ALLOW)


def _has_tags(want: Sequence[tuple[str, str]], tags: Mapping[str, str], is_wide: bool) -> bool:
    """Names of tags have no case; values have, but a deny is not to be passed by one."""
    held = {
        (name.casefold(), value.casefold() if is_wide else value) for name, value in tags.items()
    }
    return all(
        (name.casefold(), value.casefold() if is_wide else value) in held for name, value in want
    )


def _overlaps(sources: Iterable[AddressPrefix], ranges: Sequence[AddressPrefix]) -> bool:
    return any(
        one.version == another.version and one.overlaps(another)
        for source in sources
        for one in source.networks
        for each in ranges
        for another in each.networks
    )


def within(window: Window, starts_at: datetime, ends_at: datetime, *, is_wide: bool) -> bool | None:
    """Does any moment from start until end (exclusive) lie in it; not ``is_wide``: do all?

    None: the zone is not known here. Where clocks are changed, an hour that there is twice or not
    at all makes a window longer for *any* and shorter for *all*.
    """
    try:
        zone = ZoneInfo(window.time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None
    last = min(ends_at, starts_at + _LONGEST_LEASE)
    spans = _spans(window, zone, starts_at, last, is_wide)
    if is_wide:
        return any(begin < last and starts_at < end for begin, end in spans)
    covered = starts_at
    for begin, end in spans:
        if begin <= covered < end:
            covered = end
    return covered >= last


def _spans(
    window: Window, zone: ZoneInfo, first: datetime, last: datetime, is_wide: bool
) -> Iterable[tuple[datetime, datetime]]:
    """Of each day on which it may begin, in order; the end is exclusive."""
    day = first.astimezone(zone).date() - timedelta(days=2)
    until = last.astimezone(zone).date() + timedelta(days=1)
    is_overnight = window.ends <= window.begins
    while day <= until:
        if day.weekday() in window.days:
            begins = _instants(day, window.begins, zone)
            ends = _instants(day + timedelta(days=is_overnight), window.ends, zone)
            begin, end = (min(begins), max(ends)) if is_wide else (max(begins), min(ends))
            yield begin, end
        day += timedelta(days=1)


def _instants(day: date, minutes: int, zone: ZoneInfo) -> tuple[datetime, datetime]:
    """The instants that the clocks there may mean by it: two at a change, else the same twice."""
    day += timedelta(days=minutes // WHOLE_DAY)
    clock = time(minutes % WHOLE_DAY // 60, minutes % 60)
    local = datetime.combine(day, clock, zone)
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def span_with(starts_at: datetime, ends_at: datetime, held: Iterable[Span]) -> timedelta:
    """From the start of what was held without a gap of GAP before, to this end."""
    since = starts_at
    for begin, end in sorted(held, key=lambda each: each[1], reverse=True):
        if end > since - GAP:
            since = min(since, begin)
    return ends_at - since


def longest_span(rules: Iterable[Rule]) -> timedelta | None:
    """How far back what was held matters to them; None: it matters to none."""
    limits = (
        each for rule in rules for each in (rule.conditions.at_most, rule.conditions.longer_than)
    )
    return max((each for each in limits if each is not None), default=None)


def check_rules(rules: Sequence[Rule], target: str) -> Iterable[Problem]:
    """Every problem of what somebody wrote."""
    if len(rules) > MOST_RULES:
        yield Problem(
            "TooManyRules",
            sentence("A policy has at most {most} rules.", most=MOST_RULES),
            target,
        )
    seen: set[str] = set()
    for n, rule in enumerate(rules[:MOST_RULES]):
        here = f"{target}[{n}]"
        if rule.key in seen:
            yield Problem(
                "DuplicateRule",
                sentence("Rule {name} is given twice in this policy.", name=repr(rule.name[:64])),
                f"{here}.name",
            )
        seen.add(rule.key)
        yield from check_rule(rule, here)


def check_rule(rule: Rule, here: str) -> Iterable[Problem]:
    dot = f"{here}." if here else ""
    if not (rule.name.isascii() and _NAME.fullmatch(rule.name)):
        yield Problem(
            "InvalidRuleName",
            "The name of a rule has 1 to 64 letters, digits, '-' and '_', and begins with a letter "
            "or digit.",
            f"{dot}name",
        )
    if rule.effect is Effect.APPROVE and not rule.stages:
        yield Problem("StagesRequired", "A rule that asks for approval has stages.", f"{dot}stages")
    if rule.effect is not Effect.APPROVE and rule.stages:
        yield Problem(
            "StagesNotAsked", "Only a rule with the effect approve has stages.", f"{dot}stages"
        )
    yield from check_stages(rule.stages, f"{dot}stages")
    yield from _check_conditions(rule.conditions, f"{dot}conditions")
    yield from _check_factor_age(rule, f"{dot}conditions")


def _check_factor_age(rule: Rule, here: str) -> Iterable[Problem]:
    """An old factor may only ask for more, a fresh one only for less: the other way round is a slip."""
    allows = rule.effect is Effect.ALLOW
    if allows and rule.conditions.factor_older_than is not None:
        yield Problem(
            "ConditionNotOfEffect",
            "A rule with the effect allow has secondFactorWithin, not secondFactorOlderThan: an old "
            "second factor is no reason to allow.",
            f"{here}.secondFactorOlderThan",
        )
    if not allows and rule.conditions.factor_within is not None:
        yield Problem(
            "ConditionNotOfEffect",
            "A rule with the effect deny or approve has secondFactorOlderThan, not secondFactorWithin: "
            "a fresh second factor is no reason to deny.",
            f"{here}.secondFactorWithin",
        )


def _check_conditions(want: Conditions, here: str) -> Iterable[Problem]:
    lists: Mapping[str, Sequence[object]] = {
        "users": want.users,
        "groups": want.groups,
        "tags": want.tags,
        "resourceGroups": want.resource_groups,
        "ports": want.ports,
        "sourcesWithin": want.sources_within,
    }
    for name, values in lists.items():
        if len(values) > MOST_VALUES:
            yield Problem(
                "TooManyValues",
                sentence("A condition has at most {most} values.", most=MOST_VALUES),
                f"{here}.{name}",
            )
    if want.times is not None:
        yield from _check_window(want.times, f"{here}.times")
    spans = {
        "atMost": want.at_most,
        "longerThan": want.longer_than,
        "secondFactorOlderThan": want.factor_older_than,
        "secondFactorWithin": want.factor_within,
    }
    for name, span in spans.items():
        if span is not None and not MINIMUM_SPAN <= span <= MAXIMUM_SPAN:
            yield Problem(
                "InvalidDuration",
                "A length must be from PT1M (1 minute) to P7D (7 days), both inclusive.",
                f"{here}.{name}",
            )


def _check_window(window: Window, here: str) -> Iterable[Problem]:
    if not is_zone(window.time_zone):
        yield Problem(
            "InvalidTimeZone",
            sentence(
                "{zone} is not a time zone that this server knows. Use a name of the IANA database, "
                "such as Europe/Paris or UTC.",
                zone=repr(window.time_zone[:64]),
            ),
            f"{here}.timeZone",
        )
    if not window.days:
        yield Problem("DaysRequired", "Name at least one day, or leave days out.", f"{here}.days")


def is_zone(name: str) -> bool:
    if not (name.isascii() and len(name) <= LONGEST_NAME and _ZONE.fullmatch(name)):
        return False
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
