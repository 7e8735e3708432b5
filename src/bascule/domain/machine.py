"""Machines, and what is known of the firewall in front of them.

A machine is named by its ARM id and identified by its ``uid``: grants, closed ports and
agent keys belong to the uid, so a new machine of an old name inherits nothing (EDGES A12).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from bascule.domain.bounds import GUARD_FILE, Guard, Objection
from bascule.domain.capabilities import Capabilities
from bascule.domain.features import KNOWN, Feature
from bascule.domain.ids import ResourceId
from bascule.domain.net import Address, PortKey
from bascule.domain.points import patience_with, stages
from bascule.domain.weaknesses import OUTSIDE_NETWORKS, PROTOCOL_TOO_OLD, UNINSTALLED, Weakness
from bascule.sentences import Sentence, recall, sentence


class Unable(StrEnum):
    """Why nothing can be opened at an enforcement point, whoever asks; the code of the refusal."""

    UNINSTALLED = "AgentUninstalled"
    LEASELESS = "LeasesNotEnded"
    TOO_OLD = "AgentTooOld"  # for this server's protocol (EDGES F4)
    OUTSIDE = "OutsideNetworks"  # of its gateway's guard file (EDGES G1)
    MANAGED = "ManagedElsewhere"  # its gateway is, by something else (EDGES G9)


def unanswered_words(why: Objection, name: str) -> Sentence:
    """What whoever asks for access is told of a machine that could not answer them (EDGES G7)."""
    if why is Objection.NOWHERE:
        return sentence(
            "{name} has no route to this source, so it cannot answer. Add one on that machine, and "
            "request access again.",
            name=name,
        )
    return sentence(
        "{name} does not answer this source through a gateway that it is behind, so its public port "
        "would not work. On that machine, have the route to the source, or the default route, lead to "
        "the gateway, and request access again. Where it leads now: bascule doctor, on that machine. If "
        "the route is right as it is, an owner can say so: bascule machine behind GATEWAY {name} "
        "--trust-route.",
        name=name,
    )


def elsewhere_words(name: str, there: str, away: str = "") -> Sentence:
    """What whoever asks is told of a machine that does not answer through these gateways, and whose
    other gateways are ``away`` (EDGES G7). Empty: it has no others.
    """
    if not away:
        return sentence(
            "{name} does not answer this source through {there}, so its public port there would not "
            "work. On {name}, have the route to the source, or the default route, lead to {there}, "
            "and request access again.",
            name=name,
            there=there,
        )
    return sentence(
        "{name} does not answer this source through {there}, so its public port there would not "
        "work. The agent of {away} is away. On {name}, have the route to the source, or the default "
        "route, lead to {there}, and request access again.",
        name=name,
        there=there,
        away=away,
    )


def failure_words(failure: str, name: str) -> Sentence | None:
    """What was recorded of a request for that machine that failed, as a sentence that can be said in
    another language; None: it cannot.
    """
    known = (
        *(unable_words(each, name) for each in Unable),
        *(unanswered_words(each, name) for each in (Objection.PAST, Objection.NOWHERE)),
    )
    named = (recall(elsewhere_words(name, "", each).template, failure) for each in ("", "others"))
    found = (each for each in named if each is not None and each.values["name"] == name)
    return next((each for each in known if each == failure), None) or next(found, None)


def unable_words(why: Unable, name: str) -> Sentence:
    """What whoever asks for access to such a machine is told."""
    if why is Unable.LEASELESS:
        return sentence(
            "The enforcement point of {name} cannot end an opening by itself: if its agent died, "
            "the port would stay open. So nothing is opened there.",
            name=name,
        )
    if why is Unable.OUTSIDE:
        return sentence(
            "{machine} is in no network that the guard file of its gateway names, so nothing is opened "
            "there. Root on the gateway can change {file} and restart the agent.",
            machine=name,
            file=GUARD_FILE,
        )
    if why is Unable.MANAGED:
        return sentence(
            "The gateway in front of {machine} is managed by something other than Bascule, so no "
            "access to {machine} can be configured or requested anew. What is closed stays closed. An "
            "owner sees by what, and can change it: bascule machine show {machine}.",
            machine=name,
        )
    if why is Unable.TOO_OLD:
        return sentence(
            "The agent of {machine} is too old for this server, so nothing is opened there. Upgrade "
            "the agent on that host.",
            machine=name,
        )
    return sentence(
        "Root has uninstalled the agent of {name}, so its ports are neither closed nor opened. "
        "Enrol it again: bascule machine enrol {name} --replace.",
        name=name,
    )


class OsType(StrEnum):
    LINUX = "Linux"
    WINDOWS = "Windows"


class OnExpiry(StrEnum):
    """What happens to connections that a grant admitted, when it ends."""

    KEEP = "keep"  # they live on (Azure's behaviour); TCP only
    KILL = "kill"  # the kernel resets them at the lease's end
    DRAIN = "drain"  # they may stay for a stated time, then the kernel resets them; TCP only


@dataclass(frozen=True, slots=True)
class Machine:
    """One protected host, as the inventory knows it."""

    id: ResourceId
    uid: str  # immutable, never reused
    location: str
    os_type: OsType
    addresses: tuple[Address, ...]  # where it is reached; may be empty
    tags: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ClosedPort:
    """A port that is closed on one machine until something opens or releases it."""

    port: PortKey
    on_expiry: OnExpiry = OnExpiry.KEEP  # UDP is always KILL

    @property
    def is_kill(self) -> bool:
        """Does the kernel end its connections?"""
        return self.on_expiry is not OnExpiry.KEEP

    @property
    def is_drain(self) -> bool:
        return self.on_expiry is OnExpiry.DRAIN


BASCULE = "Bascule"  # as ``managed_by``: Bascule manages it, whatever is found there
LONGEST_MANAGER = 64  # characters of its name


@dataclass(frozen=True, slots=True)
class Manager:
    """What manages a gateway in our place."""

    gateway: str  # uid
    name: str
    is_found: bool = False  # by the gateway's agent; an owner has said nothing of it


@dataclass(frozen=True, slots=True)
class PointPart:
    """One of the points that guard a machine, as that machine has it."""

    uid: str  # of the machine that its agent was enrolled for
    is_own: bool
    is_parallel: bool
    last_contact_at: datetime | None
    is_enforcing: bool
    unable: Unable | None
    in_force: frozenset[str] = frozenset()  # grant ids, by its last report


@dataclass(frozen=True, slots=True)
class EnforcementPoint:
    """Where a machine's packets are stopped: its agent and what that last reported."""

    machine_uid: str
    public_key: str  # Ed25519, raw 32 bytes, base64url
    enrolled_at: datetime
    observed_generation: int = 0  # the highest generation it has applied
    last_contact_at: datetime | None = None  # None: never heard of since it enrolled
    agent_version: str = ""
    local_port_range: tuple[int, int] | None = None  # inclusive; None: not reported yet
    weaknesses: tuple[Weakness, ...] = ()
    blocked_attempts: int = 0
    counted_at: datetime | None = None  # when that number came; reports without news are rare
    facts: Mapping[str, str] = field(default_factory=dict)  # for people: kernel, versions, ...
    flushed_by: str = ""  # which service there empties the rules; empty: none
    flushed_at: str = (
        ""  # of a machine's point: the uid of the gateway where; empty: on the machine
    )
    guard: Guard | None = None  # the host's own bounds; None: not told, by an older agent
    driver: str = ""  # its name in the registry of drivers; empty: not told yet
    capabilities: Capabilities | None = None  # None: not told yet
    knows: frozenset[Feature] = KNOWN  # what its agent's version knows (EDGES F4)
    # Digest of the last report of its own machine that was settled; the agent makes it.
    acknowledged: str = ""
    # What the server says of it; no report sets these.
    not_enforced_since: datetime | None = None  # None: it enforces
    doubted_since: datetime | None = None  # its reports are not believed (EDGES E7)
    believed_since: datetime | None = None  # an owner had its reports believed again
    clock_skew: timedelta | None = None  # its clock less ours; None: little, or not known
    # What an owner says manages it instead: a name, or BASCULE; empty: nobody has said.
    managed_by: str = ""
    managers: tuple[Manager, ...] = ()  # of the gateways of a machine's point, other than Bascule
    gateways: tuple[str, ...] = ()  # uids of those that guard the machine, of a machine's point
    has_own: bool = True  # its own agent guards it, beside gateways or alone
    parts: tuple[PointPart, ...] = ()  # of which it is made up, where machines are bound to points

    @property
    def elsewhere(self) -> tuple[str, ...]:
        """The gateways at which alone the machine's ports are closed: whoever reaches the machine
        otherwise reaches them (EDGES G7). Empty: its own agent closes them.
        """
        return () if self.has_own else self.gateways

    @property
    def is_enforcing(self) -> bool:
        return self.not_enforced_since is None

    @property
    def patience(self) -> timedelta:
        """How long a request waits for it at most (EDGES G4)."""
        return patience_with(self.parts)

    def lacks(self, ability: str) -> bool:
        """Has its driver said that it cannot do this (a field of ``Capabilities``)?"""
        return self.capabilities is not None and ability in self.capabilities.missing

    @property
    def unable(self) -> Unable | None:
        """Why nothing can be opened there; None: it can. Of points in parallel one is enough."""
        if len(self.parts) > 1:
            blocked = (s[0].unable for s in stages(self.parts) if all(each.unable for each in s))
            return next(blocked, None)
        if self.is_uninstalled:
            return Unable.UNINSTALLED
        if any(each.is_of(PROTOCOL_TOO_OLD) for each in self.weaknesses):
            return Unable.TOO_OLD
        if any(each.is_of(OUTSIDE_NETWORKS) for each in self.weaknesses):
            return Unable.OUTSIDE
        if self.managers:
            return Unable.MANAGED
        return Unable.LEASELESS if self.lacks("ends_leases") else None

    @property
    def manager(self) -> Manager | None:
        """What manages the forwarded traffic of this gateway in our place. An owner's word counts
        before what is found.
        """
        if self.managed_by:
            is_ours = self.managed_by == BASCULE
            return None if is_ours else Manager(self.machine_uid, self.managed_by)
        found = (each.manager for each in self.weaknesses if each.manager)
        name = next(found, "")
        return Manager(self.machine_uid, name, is_found=True) if name else None

    @property
    def is_uninstalled(self) -> bool:
        """Did it say, as its last word, that root took it off its host?"""
        return any(each.is_of(UNINSTALLED) for each in self.weaknesses)
