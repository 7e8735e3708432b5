"""Which of the three tabs a machine belongs on, with every reason.

Source: the portal's tabs Configured, Not configured and Unsupported (CONTRACT 2.3), with
the reasons that the last one has there, read for firewalls of any make:

    Azure                                     here
    missing network security group            no enforcement point has been enrolled
    classic machine                           known, and not managed: inventory alone
    firewall that a manager controls          something empties the rules that it may not own; or
                                              a gateway in front is managed by something else
    the policy of subscription or group       the plan is off there

Rules: what nothing protects is never called configured, be it named by ten policies; a
policy that names a machine and no port of it does not configure it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntFlag, StrEnum
from itertools import product

MANAGED_TAG = "bascule-managed"
UNMANAGED = "false"  # that tag's value on a machine that is in the inventory alone


class MachineState(StrEnum):
    CONFIGURED = "configured"
    NOT_CONFIGURED = "notConfigured"
    UNSUPPORTED = "unsupported"


class UnsupportedCode(StrEnum):
    NOT_MANAGED = "NotManaged"
    NO_ENFORCEMENT_POINT = "NoEnforcementPoint"
    FIREWALL_FLUSHED = "FirewallFlushed"
    MANAGED_ELSEWHERE = "ManagedElsewhere"
    PLAN_OFF = "JitSwitchedOff"


class Trait(IntFlag):
    """The bits of ``Traits.code``, which stores keep, filter and count by."""

    ELSEWHERE = 32
    MANAGED = 16
    POINT = 8
    FLUSHED = 4
    PLAN = 2
    NAMED = 1


@dataclass(frozen=True, slots=True)
class Traits:
    """All that the state depends on: six answers of yes or no."""

    is_managed: bool
    has_point: bool
    is_flushed: bool
    is_plan_on: bool
    is_named: bool  # by a policy, with a port at least
    is_elsewhere: bool = False  # something else manages a gateway in front of it

    @property
    def code(self) -> int:
        """The six as bits of ``Trait``."""
        answers = {
            Trait.MANAGED: self.is_managed,
            Trait.POINT: self.has_point,
            Trait.FLUSHED: self.is_flushed,
            Trait.PLAN: self.is_plan_on,
            Trait.NAMED: self.is_named,
            Trait.ELSEWHERE: self.is_elsewhere,
        }
        return sum(bit for bit, is_so in answers.items() if is_so)

    @classmethod
    def of(cls, code: int) -> Traits:
        """What ``code`` stands for."""
        return cls(
            is_managed=bool(code & Trait.MANAGED),
            has_point=bool(code & Trait.POINT),
            is_flushed=bool(code & Trait.FLUSHED),
            is_plan_on=bool(code & Trait.PLAN),
            is_named=bool(code & Trait.NAMED),
            is_elsewhere=bool(code & Trait.ELSEWHERE),
        )


ALL_TRAITS = tuple(Traits(*bits) for bits in product((False, True), repeat=6))


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a machine is unsupported, and what to do about it."""

    code: UnsupportedCode
    message: str
    advice: str


@dataclass(frozen=True, slots=True)
class Named:
    """How the reasons call what they speak of."""

    machine: str
    flushed_by: str = ""
    flushed_at: str = ""  # the gateway where; empty: on the machine itself
    gateway: str = ""  # that something else manages
    managed_by: str = ""
    is_found: bool = False  # by the gateway's agent; else an owner said so
    plan_group: str = ""  # the group whose own setting holds; empty: the subscription's


@dataclass(frozen=True, slots=True)
class Classification:
    state: MachineState
    reasons: tuple[Reason, ...] = ()  # of UNSUPPORTED, never empty then


def is_managed(tags: Mapping[str, str]) -> bool:
    """Do a machine's tags leave it under management? They are canonical."""
    return tags.get(MANAGED_TAG) != UNMANAGED


def canonical_tags(tags: Mapping[str, str]) -> dict[str, str]:
    """Tags with ours in its one spelling: names of tags have no case in ARM."""
    return dict(_canonical(name, value) for name, value in tags.items())


def _canonical(name: str, value: str) -> tuple[str, str]:
    if name.strip().casefold() != MANAGED_TAG:
        return name, value
    return MANAGED_TAG, UNMANAGED if value.strip().casefold() == UNMANAGED else value


_BESIDE_TAGS = "\x1f"  # before and after each; no text of a tag has it


def tags_key(tags: Mapping[str, str]) -> str:
    """All tags in one text, without regard to case, that ``tag_part`` finds one in."""
    each = (f"{_plain(name)}={_plain(value)}" for name, value in sorted(tags.items()))
    return "".join(f"{_BESIDE_TAGS}{one}" for one in each) + _BESIDE_TAGS if tags else ""


def tag_part(wanted: str) -> str:
    """What the ``tags_key`` of a machine contains that has this tag: ``name=value``, or ``name`` with
    any value.
    """
    name, has_value, value = wanted.partition("=")
    end = f"={_plain(value)}{_BESIDE_TAGS}" if has_value else "="
    return f"{_BESIDE_TAGS}{_plain(name)}{end}"


def has_tag(tags: Mapping[str, str], wanted: str) -> bool:
    """Has a machine with these tags the wanted one? As lists of the server say it."""
    return tag_part(wanted) in tags_key(tags)


def _plain(text: str) -> str:
    return text.replace(_BESIDE_TAGS, " ").strip().casefold()


def state_of(traits: Traits) -> MachineState:
    if why_unsupported(traits):
        return MachineState.UNSUPPORTED
    return MachineState.CONFIGURED if traits.is_named else MachineState.NOT_CONFIGURED


def why_unsupported(traits: Traits) -> tuple[UnsupportedCode, ...]:
    """Every reason; none when the machine is supported."""
    found = (
        (not traits.is_managed, UnsupportedCode.NOT_MANAGED),
        # Of a machine that nobody manages no agent is missing.
        (traits.is_managed and not traits.has_point, UnsupportedCode.NO_ENFORCEMENT_POINT),
        (traits.has_point and traits.is_flushed, UnsupportedCode.FIREWALL_FLUSHED),
        (traits.has_point and traits.is_elsewhere, UnsupportedCode.MANAGED_ELSEWHERE),
        (not traits.is_plan_on, UnsupportedCode.PLAN_OFF),
    )
    return tuple(code for is_so, code in found if is_so)


def traits_in(state: MachineState) -> frozenset[int]:
    """The codes of all traits that amount to this state."""
    return frozenset(each.code for each in ALL_TRAITS if state_of(each) is state)


def classify(traits: Traits, named: Named) -> Classification:
    reasons = tuple(_reason(code, named) for code in why_unsupported(traits))
    return Classification(state_of(traits), reasons)


def _reason(code: UnsupportedCode, named: Named) -> Reason:
    machine = named.machine
    if code is UnsupportedCode.NOT_MANAGED:
        return Reason(
            code,
            f"{machine} is only listed, not managed: its tag {MANAGED_TAG} is false.",
            f"To manage it: bascule machine add {machine} --managed, then bascule machine enrol "
            f"{machine}.",
        )
    if code is UnsupportedCode.NO_ENFORCEMENT_POINT:
        return Reason(
            code,
            f"{machine} has no enforcement point: no agent is enrolled, so no port is closed.",
            f"To enrol an agent: bascule machine enrol {machine}.",
        )
    if code is UnsupportedCode.FIREWALL_FLUSHED:
        return Reason(
            code,
            f"{named.flushed_by} on {_flushed(named)} flushes the whole firewall, and Bascule cannot "
            f"own its table there. Each flush opens every port until the agent restores the rules.",
            f"Upgrade {named.flushed_at or 'the host'} to Linux 6.9 and nftables 1.1, or disable that "
            f"service.",
        )
    if code is UnsupportedCode.MANAGED_ELSEWHERE:
        by = "its agent found" if named.is_found else "an owner says so"
        undo = "Bascule" if named.is_found else "--nobody"
        return Reason(
            code,
            f"{named.gateway}, in front of {machine}, is managed by {named.managed_by} ({by}). Nothing "
            f"is configured or opened anew for {machine}; closed ports stay closed there.",
            f"If Bascule is to manage it: bascule machine managed-by {named.gateway} {undo}. To guard "
            f"{machine} without it: bascule machine not-behind {named.gateway} {machine}.",
        )
    if named.plan_group:
        where, option = f"resource group {named.plan_group}", f" --group {named.plan_group}"
    else:
        where, option = "the subscription", ""
    return Reason(
        code,
        f"Just-in-time access is switched off by the plan of {where}. Closed ports stay closed.",
        f"To switch it on: bascule plan on{option}.",
    )


def _flushed(named: Named) -> str:
    """The host whose firewall is flushed."""
    if not named.flushed_at:
        return named.machine
    return f"{named.flushed_at}, in front of {named.machine},"
