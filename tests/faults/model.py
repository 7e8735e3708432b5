"""What may be reached when, by the history alone: the judge's idea of the world. Pure.

A span ends late only where somebody could not be told: a revocation reaches a machine within
REACTION when nothing disturbs, else within RECOVERY of the last healing; the end that was
asked for holds without anybody's help. Moments are seconds of CLOCK_BOOTTIME.

    a grant    from its request's sending, or the opening of one that waited, never before the start
               that it names nor of one that opened too late, to the end that was asked for, or earlier: a
               revocation, a newer request for the same, rules that do not allow it any more, the
               loss of the person's role, its machine's deletion, or the record's word that it was read back shut
    a release  from its sending until the port's next closing has reached the machine
"""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from tests.faults.history import Asked, Edited, History, Rules
from tests.faults.waits import CLOCKS

REACTION = 3.0
RECOVERY = 12.0


@dataclass(frozen=True, slots=True)
class Span:
    start: float
    end: float
    why: str


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the server's record says of one asked port; nothing where it says nothing."""

    started_at: float
    extended_to: tuple[float, ...] = ()  # ends of recorded extensions
    closed_at: float = math.inf  # read back shut


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was so on a machine when the run began."""

    rules: Rules
    closed: frozenset[int]


def contains(prefix: str, address: str) -> bool:
    if prefix == "*":
        return True
    network = ipaddress.ip_network(prefix)
    return ipaddress.ip_address(address) in network


def is_allowed(rules: Rules, port: int, source: str) -> bool:
    wanted = ipaddress.ip_network(source)
    for each in rules.get(port, ()):
        if each == "*":
            return True
        allowed = ipaddress.ip_network(each)
        if allowed.version == wanted.version and wanted.subnet_of(allowed):  # type: ignore[arg-type]  # reason: one version
            return True
    return False


@dataclass(slots=True)
class Model:
    history: History
    beginnings: dict[str, Beginning]
    recorded: dict[tuple[str, int], Recorded] = field(default_factory=dict)  # by tag, port
    unapproved: frozenset[str] = frozenset()  # tags of what opened before the approvals due

    # -- how soon -----------------------------------------------------------------------

    def reached_by(self, moment: float, machine: str, way: str = "") -> float:
        """By when what was decided at ``moment`` must be so where a machine is reached by a gateway;
        empty: by none.
        """
        end = moment + REACTION
        while True:
            late = [
                (each.healed if each.healed is not None else math.inf) + RECOVERY
                for each in self.history.disturbed
                if each.concerns(machine, way)
                and each.begun < end
                and (each.healed is None or each.healed + RECOVERY > moment)
            ]
            later = max(late, default=end)
            if later <= end:
                return end
            end = later

    # -- rules and closed ports ---------------------------------------------------------

    def edits(self, machine: str) -> list[Edited]:
        return [each for each in self.history.edited if each.machine == machine]

    def rules_during(self, machine: str, start: float, end: float) -> Rules | None:
        """The rules in force all that while; None when they changed, or may have."""
        rules: Rules = self.beginnings[machine].rules
        for edit in self.edits(machine):
            if edit.kind not in ("set", "remove", "delete"):
                continue
            if edit.sent > end:
                break
            if edit.answered is None or edit.answered > start:
                return None
            rules = edit.rules
        return rules

    def holds_role(self, person: str, start: float, end: float) -> bool | None:
        """Did the person hold their role all that while? None when it changed, or may have."""
        held = True
        for each in self.history.ruled:
            if each.person != person:
                continue
            if each.sent > end:
                break
            if each.answered is None or each.answered > start:
                return None
            held = each.is_given
        return held

    def closed(self, machine: str) -> tuple[frozenset[int], frozenset[int]]:
        """Ports that are shut after all edits, and those that may be either."""
        named: set[int] = set(self.beginnings[machine].rules)
        shut = set(self.beginnings[machine].closed)
        unsure: dict[int, float] = {}  # shut or released lately, and by when the machine knows
        either: set[int] = set()
        for edit in self.edits(machine):
            done = edit.answered if edit.answered is not None else math.inf
            match edit.kind:
                case "set":
                    named = set(edit.rules)
                    new = (named - shut) | (named & either)
                    shut |= named
                    either -= named
                    unsure |= dict.fromkeys(new, self.reached_by(done, machine))
                case "remove" | "release":
                    gone = named if edit.kind == "remove" else set(edit.rules)
                    shut -= gone
                    unsure |= dict.fromkeys(gone, self.reached_by(done, machine))
                    named = set() if edit.kind == "remove" else named
                case "delete":
                    either |= {port for port, known in unsure.items() if known > edit.sent}
                    named = set()
        return frozenset(shut - either), frozenset(either)

    def releases(self, machine: str, port: int, way: str = "") -> list[Span]:
        """When the port need not be shut."""
        spans: list[Span] = []
        named: set[int] = set(self.beginnings[machine].rules)
        since = -math.inf if port not in self.beginnings[machine].closed else None
        closing: Span | None = None
        for edit in self.edits(machine):
            done = edit.answered if edit.answered is not None else math.inf
            if closing is not None and edit.kind == "delete" and edit.sent < closing.end:
                since, closing = closing.start, None  # it may never have been told
            if edit.kind == "set":
                named = set(edit.rules)
                if port in named and since is not None:
                    closing = Span(since, self.reached_by(done, machine, way), "not shut yet")
                    spans.append(closing)
                    since = None
            elif (edit.kind == "remove" and port in named) or (
                edit.kind == "release" and port in edit.rules
            ):
                since = edit.sent if since is None else since
            if edit.kind in ("remove", "delete"):
                named = set()
        if since is not None:
            spans.append(Span(since, math.inf, "not shut"))
        return spans

    # -- grants -------------------------------------------------------------------------

    def grants(self, machine: str, port: int, way: str = "") -> Iterable[tuple[Asked, Span]]:
        for asked in self.history.asked:
            if asked.tag in self.unapproved:
                continue
            if asked.machine == machine and port in asked.ports and not asked.denied:
                span = self._span(asked, port, way)
                if span is not None:
                    yield asked, span

    def _span(self, asked: Asked, port: int, way: str) -> Span | None:
        recorded = self.recorded.get((asked.tag, port))
        start = asked.counts_from
        if start is None:  # it waited, and never had a grant, or had it too late
            return None
        if asked.is_fixed:
            end = asked.earliest_end
        elif asked.is_put_off:
            end = start + asked.seconds
        elif asked.answered is not None:
            end = asked.answered + asked.seconds
        elif recorded is not None:  # its answer was lost
            end = recorded.started_at + asked.seconds
        else:
            return None
        end = self._extended(asked, end, recorded, way)
        for moment in self._ended(asked, port):
            end = min(end, self.reached_by(moment, asked.machine, way))
        if recorded is not None:
            end = min(end, recorded.closed_at)
        return Span(start - (CLOCKS if asked.is_put_off else 0), end, asked.tag)

    def _extended(self, asked: Asked, end: float, recorded: Recorded | None, way: str) -> float:
        if not asked.request_id:
            return end
        for each in self.history.extended:
            if each.request_id != asked.request_id or each.denied:
                continue
            if each.answered is None:  # it may have been done: the record says
                end = max([end, *(recorded.extended_to if recorded else ())])
                continue
            longer = each.answered + each.seconds
            told = self.reached_by(each.answered, asked.machine, way)
            end = longer if longer >= end else min(end, max(longer, told))
        return end

    def _ended(self, asked: Asked, port: int) -> Iterable[float]:
        """Moments at which it was surely ended on purpose."""
        for revoked in self.history.revoked:
            is_its = asked.request_id and revoked.request_id == asked.request_id
            if is_its and revoked.answered is not None and not revoked.denied:
                yield revoked.answered
        begun = asked.begun if asked.begun is not None else math.inf
        for newer in self.history.asked:
            if (
                newer.request_id
                and newer.begun is not None
                and (newer.counts_from or 0) > begun
                and (newer.person, newer.machine, newer.source)
                == (asked.person, asked.machine, asked.source)
                and port in newer.ports
            ):
                yield newer.begun
        for ruled in self.history.ruled:
            if ruled.person == asked.person and not ruled.is_given and ruled.sent > begun:
                yield from () if ruled.answered is None else (ruled.answered,)
        for edit in self.edits(asked.machine):
            is_later = edit.kind in _ENDING and edit.sent > begun
            if is_later and edit.answered and not is_allowed(edit.rules, port, asked.source):
                yield edit.answered

    # -- verdicts -----------------------------------------------------------------------

    def spans(
        self, machine: str, port: int, address: str, is_public: bool = False, way: str = ""
    ) -> list[Span]:
        """All spans in which this address may reach this port, by this gateway; by a public port, those
        of grants.
        """
        found = [] if is_public else self.releases(machine, port, way)
        found += [
            span
            for asked, span in self.grants(machine, port, way)
            if contains(asked.source, address)
        ]
        return found


_ENDING = ("set", "remove", "delete")


def covers(spans: Sequence[Span], sent: float, answered: float, slack: float) -> bool:
    return any(span.start <= answered and sent <= span.end + slack for span in spans)
