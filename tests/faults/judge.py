"""The verdict on a run, from what the watchers saw, what was answered, and the record.

Findings are sentences; none is the only good answer. Nothing here asks the program under test
what it thinks of a packet. What is not here: the final state of the world (``settle``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, product

from bascule.client.access import AccessRequest, GrantedPort
from tests.faults.history import START_PASSED, Answered, Asked, History
from tests.faults.judge_edits import judge_edits
from tests.faults.judge_starts import judge_starts
from tests.faults.judge_waits import judge_waits
from tests.faults.model import REACTION, RECOVERY, Model, Span, contains, covers, is_allowed
from tests.faults.record import Record, is_over
from tests.faults.schedule import BEHIND, KEEP_PORT, MACHINES, SOURCES
from tests.faults.sighting import Place, Sighting, Through
from tests.faults.waits import CLOCKS, dues

SLACK = 1.0  # seconds; a handshake under way at the end
LONG_ENOUGH = 1.0  # an opening that lasts so long must have let somebody in, if anybody knocked
# Seconds without a SYN to somewhere. Each place has its turn after 0.3, on a busy machine some
# times later; the shortest opening that a planted bug makes lasts 1.6 (``planted``).
BLIND = 1.5
ANSWERED = 30.0  # seconds in which a call has its answer
APART = 30.0  # seconds between an event and its time, and far less than a clock is turned by


def judge(
    history: History, model: Model, record: Record, sighting: Sighting, until: float
) -> list[str]:
    """Every finding of one run."""
    return [
        *history.complaints,
        *_packets(history, model, sighting),
        *_openings(history, record, sighting),
        *_alternatives(history, record),
        *_withdrawals(history, record),
        *_watching(history, sighting, until),
        *_reading(record),
        *_requests(history, record),
        *_answers(history),
        *_decisions(history, model),
        *_grant_events(history, record),
        *judge_edits(model, record),
        *_times(history, record, until),
        *_backups(record),
        *judge_waits(history, model, record),
        *judge_starts(history, model, record),
    ]


def _packets(history: History, model: Model, sighting: Sighting) -> Iterable[str]:
    """No connection without a grant that covers it, none after its end."""
    spans: dict[tuple[str, int, str, bool, str], list[Span]] = {}
    wrong: dict[tuple[str, tuple[str, int, str, bool, str]], list[Through]] = {}
    for each in sighting.through:
        key = (each.machine, each.port, each.source, each.is_public, each.way)
        if key not in spans:
            spans[key] = model.spans(*key)
        if not covers(spans[key], each.sent, each.answered, SLACK):
            wrong.setdefault((each.watcher, key), []).append(each)
    for (watcher, key), all_of_it in wrong.items():
        machine, port, source, is_public, way = key
        first = all_of_it[0]
        allowed = [
            f"[{span.start - history.began:.3f}, {span.end - history.began:.3f}] {span.why}"
            for span in spans[key]
        ]
        yield (
            f"{watcher} ({source}) got through to {machine} port {port}{_by(is_public, way)} with no"
            f" grant that covers it: {len(all_of_it)} times, first sent at"
            f" {first.sent - history.began:.3f} s ({first.how}), last at"
            f" {all_of_it[-1].sent - history.began:.3f} s; allowed were {allowed or 'nothing'}"
        )


def _by(is_public: bool, way: str = "") -> str:
    return (" by its public port" if is_public else "") + (f" at {way}" if way else "")


def _openings(history: History, record: Record, sighting: Sighting) -> Iterable[str]:
    """What the record calls open lets its source in, by the public port too: said means seen.

    Of gateways in parallel one does, and each does that nothing disturbs, soon (EDGES G3).
    """
    # Where no policy names its public port it has another one, at which nobody knocks.
    for opening, is_public in product(said_open(history, record), (False, True)):
        ways = BEHIND.get(opening.asked.machine, ("",))
        yield from _nobody_in(history, opening, sighting, is_public, ways)
        soon = replace(opening, start=opening.start + REACTION)
        for way in ways if len(ways) > 1 and soon.end - soon.start >= LONG_ENOUGH else ():
            if _is_undisturbed(history, way, opening.asked.sent, opening.end):
                yield from _nobody_in(history, soon, sighting, is_public, (way,))


def _nobody_in(
    history: History, opening: SaidOpen, sighting: Sighting, is_public: bool, ways: Sequence[str]
) -> Iterable[str]:
    asked, number = opening.asked, opening.port
    knocks = _knocks_in(opening, sighting, is_public, ways)
    if knocks and not any(
        seen.machine == asked.machine
        and seen.port == number
        and seen.is_public == is_public
        and seen.way in ways
        and contains(asked.source, seen.source)
        and opening.start <= seen.answered
        and seen.sent <= opening.end
        for seen in sighting.through
    ):
        yield (
            f"{asked.machine} port {number} was said to be open for {asked.source} from"
            f" {opening.start - history.began:.3f} to {opening.end - history.began:.3f} s and let"
            f" nobody in{_by(is_public, ' and '.join(ways))}, of {knocks} SYNs ({asked.tag})"
        )


def _knocks_in(opening: SaidOpen, sighting: Sighting, is_public: bool, ways: Sequence[str]) -> int:
    """The SYNs from its source that were sent in it: a watcher may be late (``BLIND``)."""
    return sum(
        opening.start <= moment <= opening.end
        for place, sent in sighting.sent.items()
        if (place.machine, place.port, place.is_public)
        == (opening.asked.machine, opening.port, is_public)
        and place.way in ways
        and contains(opening.asked.source, place.source)
        for moment in sent
    )


def _is_undisturbed(history: History, gateway: str, start: float, end: float) -> bool:
    """Was nothing in the way of its agent all that while, nor just before?"""
    return not any(
        gateway in each.machines
        and each.begun < end
        and (each.healed is None or each.healed + RECOVERY > start)
        for each in history.disturbed
    )


def _alternatives(history: History, record: Record) -> Iterable[str]:
    """Of gateways in parallel one is enough: a silent one keeps nobody waiting (EDGES G3)."""
    opened = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantOpened")}
    over: dict[str, float] = {}
    for fact in (*record.of("GrantEnded"), *record.of("GrantFailed")):
        over.setdefault(str(fact.data["grant_id"]), fact.at)
    for asked in history.asked:
        ways, request = BEHIND.get(asked.machine, ()), record.requests.get(asked.tag)
        if len(ways) < 2 or request is None or asked.begun is None:
            continue
        soon = asked.begun + REACTION
        serving = [way for way in ways if _is_undisturbed(history, way, asked.sent, soon)]
        for _, port in request.ports() if serving else ():
            at = min(opened.get(port.grant_id, math.inf), over.get(port.grant_id, math.inf))
            if at > soon and soon < asked.earliest_end:
                yield (
                    f"{asked.machine} port {port.number} was not open by"
                    f" {soon - history.began:.3f} s although nothing disturbed"
                    f" {' and '.join(serving)} ({asked.tag})"
                )


def _withdrawals(history: History, record: Record) -> Iterable[str]:
    """Only a gateway that was disturbed is given up; or one that closed the port at its end, which it
    may reach before the server does: by as long as its last word was on the way (EDGES A8).
    """
    extended = {str(fact.data["grant_id"]) for fact in record.of("GrantExtended")}
    ends = {
        port.grant_id: asked.earliest_end
        for asked in history.asked
        if (request := record.requests.get(asked.tag)) is not None
        for _, port in request.ports()
        if port.grant_id not in extended
    }
    for fact in record.of("PointWithdrawn"):
        gateway = str(fact.data["point"]).rpartition("/")[2]
        is_at_its_end = fact.at >= ends.get(str(fact.data["grant_id"]), math.inf) - SLACK
        was_disturbed = any(gateway in e.machines and e.begun < fact.at for e in history.disturbed)
        if not is_at_its_end and not was_disturbed:
            yield f"{gateway} was given up although nothing disturbed it: {fact.data['why']}"


@dataclass(frozen=True, slots=True)
class SaidOpen:
    asked: Asked
    port: int
    start: float
    end: float


def said_open(history: History, record: Record) -> Iterable[SaidOpen]:
    """Openings on record that somebody must have come through: long, and knocked at."""
    opened = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantOpened")}
    ended = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantEnded")}
    for asked in history.asked:
        request = record.requests.get(asked.tag)
        for _, port in request.ports() if request is not None else ():
            start = opened.get(port.grant_id)
            if start is None or not _is_watched(asked.source, port.number):
                continue
            end = min(_shortest_end(history, asked), ended.get(port.grant_id, history.healed))
            ways = BEHIND.get(asked.machine, ("",))
            was_cut = any(_was_cut(history, asked.machine, way, start, end) for way in ways)
            if end - start >= LONG_ENOUGH and not was_cut:
                yield SaidOpen(asked, port.number, start, end)


def _shortest_end(history: History, asked: Asked) -> float:
    ends = [asked.earliest_end]
    ends += [
        each.sent + each.seconds
        for each in history.extended
        if asked.request_id and each.request_id == asked.request_id
    ]
    return min(ends)


def _is_watched(source: str, port: int) -> bool:
    """Does a watcher knock there from such a source? From IPv6 at one port only."""
    knocking = ["client", "stranger"] + (["client6"] if port == KEEP_PORT else [])
    return any(contains(source, SOURCES[name]) for name in knocking)


def _was_cut(history: History, machine: str, way: str, start: float, end: float) -> bool:
    return any(
        each.cuts_watchers
        and each.concerns(machine, way)
        and each.begun < end
        and (each.healed is None or each.healed + 1.5 > start)
        for each in history.disturbed
    )


def _watching(history: History, sighting: Sighting, until: float) -> Iterable[str]:
    """Did the watchers watch all the time, everywhere that is not cut off?"""
    for place, sent in sighting.sent.items():
        moments = [history.began, *sorted(sent), until]
        gaps = [
            (later - earlier, earlier)
            for earlier, later in pairwise(moments)
            if later - earlier > BLIND
            and not _was_cut(history, place.machine, place.way, earlier, later)
        ]
        if gaps:
            seconds, since = max(gaps)
            yield (
                f"the watcher in {place.watcher} sent nothing to {place.address} for"
                f" {place.machine} port {place.port} for {seconds:.1f} s from {since - history.began:.3f} s, and"
                f" {_elsewhere(place, sighting, since, since + seconds)} SYNs elsewhere"
                f" meanwhile ({len(sent)} there in the whole run): this run proves nothing"
            )


def _elsewhere(place: Place, sighting: Sighting, since: float, until: float) -> int:
    """None: the watcher slept, or the whole machine did."""
    return sum(
        since < moment < until
        for other, sent in sighting.sent.items()
        if other.watcher == place.watcher and other != place
        for moment in sent
    )


def _reading(record: Record) -> Iterable[str]:
    if not record.is_settled:
        yield "events were written all the while: requests and events were not read of one moment"


def _requests(history: History, record: Record) -> Iterable[str]:
    """No acknowledged request is lost; no denied one is there."""
    by_tag = {**record.requests, **record.unopened}
    by_id: dict[str, AccessRequest] = {each.id: each for each in by_tag.values()}
    for asked in history.asked:
        found = by_id.get(asked.request_id) if asked.request_id else by_tag.get(asked.tag)
        refused = record.refused.get(asked.tag)
        if refused is not None and any(port.grant_id for _, port in refused.ports()):
            yield f"the refused request {asked.tag} has grants"
        if refused is not None and found is not None:
            yield f"the request {asked.tag} is granted and refused"
        if asked.request_id and found is None:
            yield f"the acknowledged request {asked.request_id} ({asked.tag}) is lost"
        if asked.denied and found is not None:
            yield f"the denied request {asked.tag} is there all the same"
        if found is not None:
            numbers = {port.number for _, port in found.ports()}
            if numbers != set(asked.ports):
                yield f"request {asked.tag} asked for {asked.ports} and holds {sorted(numbers)}"
    known = {asked.tag for asked in history.asked}
    told = (*by_tag, *record.refused)
    yield from (f"request {tag} was asked by nobody" for tag in told if tag not in known)


def _answers(history: History) -> Iterable[str]:
    """Nobody is locked out: who asks is answered, unless what serves was disturbed about then."""
    moments = [
        moment
        for each in history.disturbed
        if each.machines == MACHINES
        for moment in (each.begun, each.healed)
        if moment is not None
    ]
    calls: list[Asked | Answered] = [*history.asked, *history.answers]
    for each in calls:
        first, last = each.sent - RECOVERY, each.sent + ANSWERED
        if each.answered is None and not any(first <= moment <= last for moment in moments):
            yield f"{each} had no answer, and nothing had happened to a server for {RECOVERY:g} s"


def _decisions(history: History, model: Model) -> Iterable[str]:
    """Where the rules did not change meanwhile, the answer is theirs."""
    for asked in history.asked:
        if asked.answered is None or _was_late(asked):
            continue
        rules = model.rules_during(asked.machine, asked.sent, asked.answered)
        if rules is None:
            continue
        held = model.holds_role(asked.person, asked.sent, asked.answered)
        if held is None:
            continue
        found = dues(history, asked, asked.sent, asked.answered)
        if None in found and len(found) > 1:
            continue
        is_right = (
            held
            and found != {None}
            and all(is_allowed(rules, port, asked.source) for port in asked.ports)
        )
        if is_right and asked.denied:
            yield f"{asked} was denied although {rules} allow it"
        if not is_right and not asked.denied:
            why = f"{rules} do not" if held else f"{asked.person} held no role"
            why = "another policy's rule denies it" if found == {None} else why
            yield f"{asked} was allowed although {why}"


def _was_late(asked: Asked) -> bool:
    """Was it denied because its start was over when the server came to it?"""
    start, answered = asked.starts_at, asked.answered
    if start is None or answered is None:
        return False
    return asked.denied == START_PASSED and start <= answered + CLOCKS


def _grant_events(history: History, record: Record) -> Iterable[str]:
    """Every change of a grant has its event, once."""
    counts = {
        kind: record.per_grant(kind)
        for kind in (
            "GrantCreated",
            "GrantOpened",
            "GrantExtended",
            "GrantEnded",
            "GrantFailed",
            "GrantClosed",
        )
    }
    asked_for = Counter(str(fact.data["request_id"]) for fact in record.of("AccessRequested"))
    ended = {str(fact.data["grant_id"]): fact.at for fact in record.of("GrantEnded")}
    grants: set[str] = set()
    for tag, request in record.requests.items():
        if asked_for[request.id] != 1:
            yield f"request {tag} has {asked_for[request.id]} AccessRequested events"
        for _, port in request.ports():
            done, maybe = _extensions(history, request.id, ended.get(port.grant_id, math.inf))
            grants.add(port.grant_id)
            yield from _events_of_one(tag, port, counts)
            found = counts["GrantExtended"][port.grant_id]
            if not done <= found <= done + maybe:
                yield f"{tag} was extended {done} times and has {found} GrantExtended events"
    yield from _revocations(history, record, counts)
    for grant in set(counts["GrantCreated"]) - grants:
        yield f"there is a GrantCreated event of {grant}, and no such grant"


def _revocations(
    history: History, record: Record, counts: dict[str, Counter[str]]
) -> Iterable[str]:
    done = {
        each.request_id for each in history.revoked if each.answered is not None and not each.denied
    }
    by_id = {request.id: request for request in record.requests.values()}
    for request in by_id.values():
        for _, port in request.ports() if request.id in done else ():
            if not counts["GrantEnded"][port.grant_id] + counts["GrantFailed"][port.grant_id]:
                yield f"grant {port.grant_id} was revoked and has no GrantEnded event"
    over: dict[str, float] = {}
    for fact in (*record.of("GrantEnded"), *record.of("GrantFailed")):
        over.setdefault(str(fact.data["grant_id"]), fact.at)
    for each in history.revoked:
        found = by_id.get(each.request_id)
        if not each.denied or each.answered is None or found is None:
            continue
        for _, port in found.ports():
            if over.get(port.grant_id, math.inf) > each.answered + CLOCKS:
                yield (
                    f"revoking grant {port.grant_id} was refused ({each.denied}), and no event"
                    f" says that it had ended by {each.answered - history.began:.3f} s"
                )


def _extensions(history: History, request_id: str, ended: float) -> tuple[int, int]:
    """How many were acknowledged, how many may have been done, of a grant that ended then: of a
    request's grants, those that are over are not extended with the others.
    """
    mine = [each for each in history.extended if each.request_id == request_id and not each.denied]
    mine = [each for each in mine if each.sent <= ended]
    lost = sum(each.answered is None or each.answered > ended for each in mine)
    return len(mine) - lost, lost


def _events_of_one(tag: str, port: GrantedPort, counts: dict[str, Counter[str]]) -> Iterable[str]:
    seen = {kind: each[port.grant_id] for kind, each in counts.items()}
    wanted = {
        "GrantCreated": 1,
        "GrantEnded": int(is_over(port) and port.state != "failed"),
        "GrantFailed": int(port.state == "failed"),
        "GrantClosed": int(port.state == "closed"),
    }
    for kind, number in wanted.items():
        if seen[kind] != number:
            yield f"{tag} port {port.number} is {port.state} and has {seen[kind]} {kind} events"
    if seen["GrantOpened"] > 1 or (port.state == "open" and seen["GrantOpened"] != 1):
        yield f"{tag} port {port.number} is {port.state}, opened {seen['GrantOpened']} times"


def _times(history: History, record: Record, until: float) -> Iterable[str]:
    """Whichever server wrote an event, its time is that at which it happened."""
    for fact in record.facts:
        if not history.began - APART <= fact.at <= until + APART:
            yield (
                f"the event {fact.kind} says that it happened at {fact.at - history.began:.3f} s, and"
                f" the run ended at {until - history.began:.3f} s"
            )


def _backups(record: Record) -> Iterable[str]:
    """Nobody restored a backup: no agent knows more than the server."""
    for fact in record.of("GenerationOvertaken"):
        yield f"the server took itself for an older backup: {dict(fact.data)}"


def summary(findings: Sequence[str]) -> str:
    return "\n".join(f"  - {finding}" for finding in findings)
