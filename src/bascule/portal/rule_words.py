"""Rules and stages of approval as sentences, in the visitor's language.

One sentence says a rule whole: whom it concerns, where, when, and what it does. What is not here:
whether it holds (``domain.rules``), and the form that edits it (``rule_form``).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bascule.domain.rules import WHOLE_DAY, Conditions, Effect, Rule, Window
from bascule.domain.stages import Approvers, Stage
from bascule.interfaces.store import Reader
from bascule.portal.spans import words_of
from bascule.services.principal_rights import known_name
from bascule.words import Words, msgid

Names = Mapping[str, str]  # of users and groups, by id
ROLE = msgid("whoever holds the role Bascule Access Approver there")
DAYS = (
    msgid("Monday"),
    msgid("Tuesday"),
    msgid("Wednesday"),
    msgid("Thursday"),
    msgid("Friday"),
    msgid("Saturday"),
    msgid("Sunday"),
)
_WEEK = tuple(range(7))
# With conditions, and without any.
_LEADS: Mapping[Effect, tuple[str, str]] = {
    Effect.DENY: (
        msgid("A request is denied if {conditions}."),
        msgid("Every request is denied."),
    ),
    Effect.APPROVE: (
        msgid("A request needs approval if {conditions}."),
        msgid("Every request needs approval."),
    ),
    Effect.ALLOW: (
        msgid("The approval that a port asks for is not needed if {conditions}."),
        msgid("The approval that a port asks for is never needed."),
    ),
}


def names_in(reader: Reader, rules: Iterable[Rule], stages: Iterable[Stage]) -> Names:
    """What all are called who are named there; of who is gone, the id."""
    ids: dict[str, None] = {}
    for rule in rules:
        ids |= dict.fromkeys((*rule.conditions.users, *rule.conditions.groups))
        ids |= dict.fromkeys(_ids(rule.stages))
    ids |= dict.fromkeys(_ids(stages))
    return {each: known_name(reader, each) or each for each in ids}


def _ids(stages: Iterable[Stage]) -> Iterable[str]:
    for stage in stages:
        for asked in (stage.approvers, stage.escalate_to):
            yield from (*asked.users, *asked.groups)


def rule_words(words: Words, rule: Rule, names: Names) -> str:
    """The rule without its stages."""
    some, none = _LEADS[rule.effect]
    said = list(_conditions(words, rule, names))
    return words(some, conditions=all_of(words, said)) if said else words(none)


def stage_words(words: Words, stage: Stage, names: Names) -> str:
    """Who is asked, how many of them must agree, and who is asked as well after a while."""
    who, needed = approvers_words(words, stage.approvers, names), stage.needed
    said = words.ngettext(
        "{n} person must agree: {who}.", "{n} people must agree: {who}.", needed, who=who
    )
    if stage.factor_within is not None:
        fresh = words(
            "Each has shown a second factor in the last {span}.", span=words_of(stage.factor_within)
        )
        said = f"{said} {fresh}"
    if stage.escalate_after is None:
        return said
    after = words(
        "After {span} these are asked as well: {who}.",
        span=words_of(stage.escalate_after),
        who=approvers_words(words, stage.escalate_to, names),
    )
    return f"{said} {after}"


def approvers_words(words: Words, asked: Approvers, names: Names) -> str:
    said = [names.get(each, each) for each in asked.users]
    said += [words("a member of {group}", group=names.get(each, each)) for each in asked.groups]
    if asked.by_role:
        said.append(words(ROLE))
    return any_of(words, said)


def any_of(words: Words, said: Sequence[str]) -> str:
    return _joined(said, words("or"))


def all_of(words: Words, said: Sequence[str]) -> str:
    return _joined(said, words("and"))


def _joined(said: Sequence[str], word: str) -> str:
    if len(said) < 2:
        return "".join(said)
    return f"{', '.join(said[:-1])} {word} {said[-1]}"


def _conditions(words: Words, rule: Rule, names: Names) -> Iterable[str]:
    want = rule.conditions
    is_whole = rule.effect is Effect.ALLOW  # else any part of what is asked is enough
    if want.users or want.groups:
        yield words("{who} asks", who=_who(words, want, names))
    if want.tags:
        tags = all_of(words, [f"{name}={value}" for name, value in want.tags])
        yield words("the machine has the tag {tags}", tags=tags)
    if want.resource_groups:
        groups = any_of(words, want.resource_groups)
        yield words("the machine is in resource group {groups}", groups=groups)
    if want.ports:
        yield words("the port is {ports}", ports=any_of(words, [str(each) for each in want.ports]))
    if want.sources_within:
        ranges = any_of(words, [str(each) for each in want.sources_within])
        text = (
            msgid("the whole source is within {ranges}")
            if is_whole
            else msgid("any part of the source is within {ranges}")
        )
        yield words(text, ranges=ranges)
    if want.times is not None:
        text = (
            msgid("the whole time of the access is within {times}")
            if is_whole
            else msgid("any part of the time of the access is within {times}")
        )
        yield words(text, times=window_words(words, want.times))
    if want.at_most is not None:
        yield words(
            "it is for {span} at most (including the time that they had there just before)",
            span=words_of(want.at_most),
        )
    if want.longer_than is not None:
        yield words(
            "it is for longer than {span} (including the time that they had there just before)",
            span=words_of(want.longer_than),
        )
    if want.ticket_confirmed is not None:
        text = (
            msgid("the ticket of the request is confirmed")
            if want.ticket_confirmed
            else msgid("no ticket of the request is confirmed")
        )
        yield words(text)
    yield from _factor(words, want)


def _factor(words: Words, want: Conditions) -> Iterable[str]:
    if want.factor_older_than is not None:
        span = words_of(want.factor_older_than)
        yield words("no second factor is known to have been shown in the last {span}", span=span)
    if want.factor_within is not None:
        yield words(
            "a second factor was shown in the last {span}", span=words_of(want.factor_within)
        )


def _who(words: Words, want: Conditions, names: Names) -> str:
    return approvers_words(words, Approvers(want.users, want.groups), names)


def window_words(words: Words, window: Window) -> str:
    """Days, hours and the zone of them, as in ``Monday to Friday, ... (Europe/Paris)``."""
    parts = [] if window.days == _WEEK else [_days(words, window.days)]
    if (window.begins, window.ends) != (0, WHOLE_DAY):
        hours = f"{clock(window.begins)}\N{EN DASH}{clock(window.ends)}"
        is_overnight = window.ends <= window.begins
        parts.append(words("{hours} of the next day", hours=hours) if is_overnight else hours)
    said = ", ".join(parts) or words("every day")
    return f"{said} ({window.time_zone})"


def _days(words: Words, days: Sequence[int]) -> str:
    named = [words(DAYS[each]) for each in days]
    is_run = len(days) > 2 and list(days) == list(range(days[0], days[-1] + 1))
    if is_run:
        return words("{first} to {last}", first=named[0], last=named[-1])
    return any_of(words, named)


def clock(minutes: int) -> str:
    """Minutes after midnight as ``08:00``; the end of a day is ``24:00``."""
    return f"{minutes // 60:02}:{minutes % 60:02}"
