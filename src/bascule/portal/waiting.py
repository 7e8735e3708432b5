"""A request that waits or waited for approval, as its page says it: its stages in words, what a yes is
about, and who had access to its machines lately.

Who is asked and what this visitor may do says ``services.approval_views``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.domain.ids import ResourceId
from bascule.domain.pending import Pending
from bascule.domain.request import AccessRequest
from bascule.domain.stages import Because
from bascule.domain.times import format_utc
from bascule.interfaces.store import Reader
from bascule.portal.guard import Visit
from bascule.portal.rule_words import names_in, stage_words
from bascule.portal.spans import words_of
from bascule.services.approval_views import ApprovalView, ShownStage
from bascule.services.request_rights import sight_of
from bascule.words import Words

RECENT_FOR = timedelta(days=30)
MOST_RECENT, LOOKED_AT = 5, 50  # requests of one machine that are shown, and looked at for those
MOST_MACHINES = 10


@dataclass(frozen=True, slots=True)
class StageInWords:
    number: int  # from 1
    stage: ShownStage
    words: str  # who is asked, and how many must agree
    because: tuple[str, ...]  # what asks for it

    @property
    def needed(self) -> int:
        return self.stage.due.stage.needed


@dataclass(frozen=True, slots=True)
class Waiting:
    """What is kept of its waiting, and what this visitor may do about it."""

    view: ApprovalView
    stages: tuple[StageInWords, ...]
    seen: tuple[str, ...]  # what a yes is about, in words: compared where it has changed

    @property
    def pending(self) -> Pending:
        return self.view.pending

    def port_words(self, machine_id: ResourceId, number: int) -> str:
        return port_words(self.view, machine_id, number)

    @property
    def length(self) -> timedelta | None:
        return self.view.length

    @property
    def ends_at(self) -> datetime | None:
        return self.view.ends_at

    @property
    def is_decided(self) -> bool:
        return self.pending.decided_at is not None

    @property
    def is_asked(self) -> bool:
        """May the visitor answer it?"""
        return self.view.may_approve or self.view.may_deny


@dataclass(frozen=True, slots=True)
class Recent:
    """Who had access to a machine lately, as far as the visitor may see it."""

    machine: ResourceId
    requests: tuple[AccessRequest, ...]  # newest first


def waiting_of(
    words: Words, reader: Reader, request: AccessRequest, view: ApprovalView | None
) -> Waiting | None:
    """None: it never waited."""
    if view is None:
        return None
    # Unique names, and not those that people choose to be called.
    names = names_in(reader, (), [each.due.stage for each in view.stages])
    stages = tuple(
        StageInWords(
            number,
            each,
            stage_words(words, each.due.stage, names),
            tuple(dict.fromkeys(_because(words, why) for why in each.due.because)),
        )
        for number, each in enumerate(view.stages, 1)
    )
    return Waiting(view, stages, tuple(_seen(words, reader, request, view, stages)))


def _because(words: Words, because: Because) -> str:
    policy = ResourceId.parse(because.policy_id).name
    if because.rule:
        return words("rule {rule} of policy {policy}", rule=because.rule, policy=policy)
    machine = ResourceId.parse(because.machine_id).name
    return words(
        "port {port} of {machine} in policy {policy}",
        port=because.number,
        machine=machine,
        policy=policy,
    )


def _seen(
    words: Words,
    reader: Reader,
    request: AccessRequest,
    view: ApprovalView,
    stages: Sequence[StageInWords],
) -> Sequence[str]:
    """What a yes is about, a sentence each."""
    said = []
    for each in request.machines:
        name = each.machine_id.name
        said.append(_machine_words(words, reader, each.machine_id))
        for port in each.ports:
            sources = ", ".join(map(str, port.sources))
            said.append(
                words(
                    "Port {port} of {machine} from {sources}",
                    port=port_words(view, each.machine_id, port.number),
                    machine=name,
                    sources=sources,
                )
            )
    if view.length is not None:
        said.append(words("For {span} from the opening", span=words_of(view.length)))
    if view.ends_at is not None:
        said.append(words("Until {end}", end=format_utc(view.ends_at)))
    if view.up_to is not None:
        said.append(words("With its extensions up to {span}", span=words_of(view.up_to)))
    if request.starts_at is not None:
        said.append(words("At {start}", start=format_utc(request.starts_at)))
    if request.justification:
        said.append(words("Justification: {text}", text=request.justification))
    said += [words("Stage {n}: {who}", n=each.number, who=each.words) for each in stages]
    return said


def port_words(view: ApprovalView, machine_id: ResourceId, number: int) -> str:
    """The number, and what the policy opens there where that is not TCP alone."""
    protocols = view.beyond_tcp.get((machine_id, number), ())
    transports = dict.fromkeys(each for protocol in protocols for each in protocol.transports)
    return f"{number} ({' + '.join(transports)})" if transports else str(number)


def _machine_words(words: Words, reader: Reader, machine_id: ResourceId) -> str:
    machine, name = reader.machine(machine_id), machine_id.name
    if machine is None:
        return words("{machine}: not there any more", machine=name)
    if not machine.addresses:
        return words("{machine}, which has no address", machine=name)
    addresses = ", ".join(map(str, machine.addresses))
    return words("{machine}, which has the address {addresses}", machine=name, addresses=addresses)


def what_changed(was: Sequence[str], now: Sequence[str]) -> tuple[list[str], list[str]]:
    """Of what a yes is about: what does not hold any more, and what is new."""
    return [each for each in was if each not in now], [each for each in now if each not in was]


def recent_access(visit: Visit, reader: Reader, request: AccessRequest) -> Sequence[Recent]:
    """At the machines of a request; what the visitor may not see of others is left out."""
    sight = sight_of(visit.rights, visit.subject.principal_id)
    since = visit.now - RECENT_FOR
    found = []
    for each in request.machines[:MOST_MACHINES]:
        machine = reader.machine(each.machine_id)
        uid = machine.uid if machine is not None else "none"
        known = reader.requests(machine_uid=uid, since=since, limit=LOOKED_AT)
        seen = [other for other in known if other.id != request.id and sight.sees_request(other)]
        found.append(Recent(each.machine_id, tuple(seen[:MOST_RECENT])))
    return found
