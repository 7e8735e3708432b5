"""Audit facts as types, and the arithmetic of the hash chain that proves their order.

A fact is in the past tense and frozen. Every field is meant to be read by an auditor: no
field of a fact ever holds a secret, and a field that nobody put here is not recorded.

The chain (RFC 6962 has the idea, this is its simplest form): each record's hash covers
the hash before it and the record's canonical JSON (sorted keys, no blanks, all but ASCII
escaped; docs/record.md), so that editing, removing or moving one shows from there on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, ClassVar, TypeVar

from bascule.domain.times import format_utc

T = TypeVar("T")
GENESIS = "0" * 64  # the hash before the first record


MOST_PLACES = 20  # machines at which one event is found


class Fact:
    """Marker of every audit fact; ``name`` is what the record calls it."""

    name: ClassVar[str] = "Fact"
    __slots__ = ()


def fact_name(fact: Fact) -> str:
    return type(fact).__name__


def sort_of(fact: Fact) -> str:
    """Its name, an end's with the reason: what activity is told apart and counted by."""
    name = fact_name(fact)
    return f"{name}.{fact.reason}" if isinstance(fact, GrantEnded) else name


def places_of(fact: Fact) -> tuple[tuple[str, ...], int]:
    """The machines at which a refusal is found beside its own resource, and how many it
    concerns in all: it is about a policy, or a call, and its machines are what is looked at.
    """
    if isinstance(fact, (AccessDenied, CallerDenied)):
        return fact.machines, len(fact.machines) + fact.more_machines
    return (), 0


@dataclass(frozen=True, slots=True)
class InstallationCreated(Fact):
    tenant_id: str
    subscription_id: str


@dataclass(frozen=True, slots=True)
class AdministratorRecovered(Fact):
    client_id: str


@dataclass(frozen=True, slots=True)
class SetUpLinkMade(Fact):
    """A link by which the first person of the installation can be made."""

    ends_at: str


@dataclass(frozen=True, slots=True)
class SetUpLinkUsed(Fact):
    user_id: str  # who was made by it, an owner
    user: str


@dataclass(frozen=True, slots=True)
class SetUpRefused(Fact):
    """Somebody came with a set-up link that is none, or none any more."""

    reason: str


@dataclass(frozen=True, slots=True)
class CallerDenied(Fact):
    """Authentication or authorisation failed."""

    method: str
    path: str
    reason: str
    machines: tuple[str, ...] = ()  # at which the right was missing, the first MOST_PLACES
    more_machines: int = 0  # besides those


@dataclass(frozen=True, slots=True)
class SignInSucceeded(Fact):
    user_id: str
    user: str
    methods: tuple[str, ...]  # RFC 8176


@dataclass(frozen=True, slots=True)
class SignInRefused(Fact):
    user: str  # empty when nobody has the name that was typed, which may be a password
    what: str  # was shown: password, totp, passkey, recoveryCode
    reason: str


@dataclass(frozen=True, slots=True)
class SecondFactorOwed(Fact):
    """What comes first was right, and a second factor was asked for: nobody is in yet."""

    user_id: str
    user: str
    shown: str  # RFC 8176: pwd, or fed at an external provider


@dataclass(frozen=True, slots=True)
class PasswordSet(Fact):
    user_id: str
    user: str
    is_first: bool  # else it took the place of another, and every token of the user is void


@dataclass(frozen=True, slots=True)
class FactorEnrolled(Fact):
    user_id: str
    user: str
    factor: str  # totp or passkey
    label: str = ""  # a passkey's name


@dataclass(frozen=True, slots=True)
class FactorRemoved(Fact):
    user_id: str
    user: str
    factor: str  # totp, passkey or recoveryCode
    label: str = ""  # a passkey's name


@dataclass(frozen=True, slots=True)
class RecoveryCodesMade(Fact):
    user_id: str
    user: str
    count: int


@dataclass(frozen=True, slots=True)
class RecoveryCodeUsed(Fact):
    user_id: str
    user: str
    left: int


@dataclass(frozen=True, slots=True)
class DenialsCounted(Fact):
    """More was denied to one source in a minute than stands in events of its own."""

    source: str  # an address, of IPv6 its /64; the id of a principal; * for all further sources
    minute: str  # its beginning; of *, perhaps that of an hour
    count: int  # all of that time; of *, what neither an event nor another count tells of


@dataclass(frozen=True, slots=True)
class ResourceGroupCreated(Fact):
    group: str


@dataclass(frozen=True, slots=True)
class ResourceGroupDeleted(Fact):
    group: str


@dataclass(frozen=True, slots=True)
class MachineAdded(Fact):
    machine: str
    uid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineChanged(Fact):
    machine: str
    uid: str
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class MachineDeleted(Fact):
    machine: str
    uid: str


@dataclass(frozen=True, slots=True)
class PolicyCreated(Fact):
    policy: str
    rules: str  # the machines and ports, as the wire writes them


@dataclass(frozen=True, slots=True)
class PolicyChanged(Fact):
    policy: str
    rules: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class PolicyDeleted(Fact):
    policy: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class RoleCreated(Fact):
    role_id: str
    role: str  # its name
    rules: str  # permissions and assignable scopes as JSON


@dataclass(frozen=True, slots=True)
class RoleChanged(Fact):
    role_id: str
    role: str  # its name
    rules: str
    previous_role: str
    previous_rules: str


@dataclass(frozen=True, slots=True)
class RoleDeleted(Fact):
    role_id: str
    role: str  # its name
    previous_rules: str


@dataclass(frozen=True, slots=True)
class RoleAssigned(Fact):
    assignment_id: str
    role_id: str
    role: str
    scope: str
    principal_id: str
    principal: str  # its name at that time
    principal_kind: str
    description: str


@dataclass(frozen=True, slots=True)
class RoleUnassigned(Fact):
    assignment_id: str
    role_id: str
    role: str
    scope: str
    principal_id: str
    principal: str
    principal_kind: str
    cause: str  # which act took it away


@dataclass(frozen=True, slots=True)
class PortClosed(Fact):
    machine: str
    port: str
    on_expiry: str


@dataclass(frozen=True, slots=True)
class PortReleased(Fact):
    machine: str
    port: str
    by: str  # which act released it


@dataclass(frozen=True, slots=True)
class PortLeftPolicies(Fact):
    """No policy names the port any more; it stays shut."""

    machine: str
    port: str


@dataclass(frozen=True, slots=True)
class PricingChanged(Fact):
    """The plan that just-in-time access belongs to was switched at a subscription or group."""

    scope: str
    tier: str  # that holds there now: Standard is on, Free is off
    previous_tier: str
    is_enforced: bool  # no group below can differ
    is_inherited: bool  # the scope's own setting was taken away


@dataclass(frozen=True, slots=True)
class AccessRequested(Fact):
    request_id: str
    policy: str
    machines: tuple[str, ...]
    justification: str


@dataclass(frozen=True, slots=True)
class AccessDenied(Fact):
    policy: str
    reasons: tuple[str, ...]
    machines: tuple[str, ...] = ()  # that were asked for, the first MOST_PLACES
    more_machines: int = 0  # besides those
    ports: tuple[str, ...] = ()  # numbers that were asked for, the first MOST_PLACES
    sources: tuple[str, ...] = ()  # likewise
    justification: str = ""


@dataclass(frozen=True, slots=True)
class GrantCreated(Fact):
    grant_id: str
    request_id: str
    machine: str
    port: str
    sources: tuple[str, ...]
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantOpened(Fact):
    """Its enforcement point read it back in force."""

    grant_id: str
    request_id: str
    machine: str


@dataclass(frozen=True, slots=True)
class GrantExtended(Fact):
    grant_id: str
    request_id: str
    machine: str
    previous_end: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantShortened(Fact):
    """A policy's shorter maximum cut its end."""

    grant_id: str
    request_id: str
    machine: str
    previous_end: str
    ends_at: str


@dataclass(frozen=True, slots=True)
class GrantEnded(Fact):
    grant_id: str
    request_id: str
    machine: str
    reason: str  # StatusReason
    cause: str  # which act or rule ended it
    kills_sessions: bool = False


@dataclass(frozen=True, slots=True)
class GrantFailed(Fact):
    grant_id: str
    request_id: str
    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class GrantClosed(Fact):
    """Its enforcement point read it back shut."""

    grant_id: str
    request_id: str
    machine: str
    sessions_alive: int | None  # None: they could not be counted


@dataclass(frozen=True, slots=True)
class SessionsCut(Fact):
    """Somebody had cut what a grant had admitted, after its end."""

    grant_id: str
    request_id: str
    machine: str


@dataclass(frozen=True, slots=True)
class EnrolmentCreated(Fact):
    machine: str
    enrolment_id: str
    expires_at: str
    replaces: bool


@dataclass(frozen=True, slots=True)
class EnrolmentRefused(Fact):
    machine: str
    why: str


@dataclass(frozen=True, slots=True)
class AgentEnrolled(Fact):
    machine: str
    uid: str
    key_fingerprint: str


@dataclass(frozen=True, slots=True)
class AgentRemoved(Fact):
    """An enforcement point's key is refused from now on; what it keeps shut stays shut."""

    machine: str
    machine_uid: str


@dataclass(frozen=True, slots=True)
class AgentWentSilent(Fact):
    machine: str
    last_contact_at: str


@dataclass(frozen=True, slots=True)
class AgentCameBack(Fact):
    machine: str


@dataclass(frozen=True, slots=True)
class GenerationOvertaken(Fact):
    """An agent had applied more than this server knows: the server is from an older backup."""

    machine: str
    server_generation: int
    agent_generation: int


@dataclass(frozen=True, slots=True)
class AgentDoubted(Fact):
    """An agent had applied more than this server knows, again and with nothing that explains it, or
    told of more changes than a host makes (then its generation is not above the server's):
    nothing that it reports is believed until an owner has looked.
    """

    machine: str
    server_generation: int
    agent_generation: int


@dataclass(frozen=True, slots=True)
class AgentBelieved(Fact):
    """An owner has looked: what the agent reports is believed again."""

    machine: str
    machine_uid: str


@dataclass(frozen=True, slots=True)
class DriftHealed(Fact):
    machine: str
    what: str


@dataclass(frozen=True, slots=True)
class OpenedLocally(Fact):
    """Root on the host opened a port without the server."""

    machine: str
    port: str
    sources: tuple[str, ...]
    seconds: int


@dataclass(frozen=True, slots=True)
class AgentReported(Fact):
    """Something else that an enforcement point wants on record."""

    machine: str
    what: str


@dataclass(frozen=True, slots=True)
class NotesWithheld(Fact):
    """An enforcement point says more in a minute than goes on record."""

    machine: str
    at_least: int  # what was left out of the report at which this was noticed


@dataclass(frozen=True, slots=True)
class RecordPruned(Fact):
    """Old events were deleted by retention; a signed checkpoint stands for them."""

    before: str  # the date that was asked for
    through: int  # position of the last one deleted
    checkpoint_hash: str
    events: int  # how many were deleted
    is_on_host: bool = False  # by bascule admin, for which the floor does not hold


@dataclass(frozen=True, slots=True)
class ClockLeapt(Fact):
    """The wall clock and the time since boot do not agree; retention waits."""

    last_seen: str  # the wall clock when they last agreed
    seconds: int  # that it moved since; of a server that was off too


@dataclass(frozen=True, slots=True)
class ClockConfirmed(Fact):
    """Somebody on the server's own host said that the clock is right."""

    at: str


@dataclass(frozen=True, slots=True)
class RecordBroken(Fact):
    """The server's own look at the chain found it broken."""

    position: int
    kind: str
    what: str


@dataclass(frozen=True, slots=True)
class RecordDisputed(Fact):
    """An enforcement point has seen another chain than this server tells of (EDGES B9)."""

    machine: str
    what: str


@dataclass(frozen=True, slots=True)
class SinkAdded(Fact):
    """The record is sent to one more place from now on."""

    sink: str
    target: str  # without a webhook's path
    settings: str  # as the wire writes them


@dataclass(frozen=True, slots=True)
class SinkChanged(Fact):
    sink: str
    target: str
    what: str  # which act: settings, secret, paused, resumed
    settings: str = ""


@dataclass(frozen=True, slots=True)
class SinkRemoved(Fact):
    sink: str
    target: str
    position: int  # how far it had got


@dataclass(frozen=True, slots=True)
class SinkDisabled(Fact):
    """Its receiver said that it is gone."""

    sink: str
    target: str
    position: int
    why: str


@dataclass(frozen=True, slots=True)
class SinkParked(Fact):
    """An event was refused too often; nothing is sent until an operator says how to go on."""

    sink: str
    target: str
    position: int  # of the refused event
    why: str


@dataclass(frozen=True, slots=True)
class SinkSkipped(Fact):
    """Events that a sink does not get: retention deleted them, or an operator said so."""

    sink: str
    first: int  # position
    last: int
    why: str


@dataclass(frozen=True, slots=True)
class UserCreated(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class UserChanged(Fact):
    user_id: str
    user: str
    display_name: str
    previous_user: str
    previous_display_name: str


@dataclass(frozen=True, slots=True)
class UserDisabled(Fact):
    user_id: str
    user: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class UserEnabled(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class UserDeleted(Fact):
    user_id: str
    user: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class GroupCreated(Fact):
    group_id: str
    group: str


@dataclass(frozen=True, slots=True)
class GroupChanged(Fact):
    group_id: str
    group: str
    description: str
    previous_group: str
    previous_description: str


@dataclass(frozen=True, slots=True)
class GroupDeleted(Fact):
    group_id: str
    group: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class MemberAdded(Fact):
    group_id: str
    group: str
    member_id: str
    member: str


@dataclass(frozen=True, slots=True)
class MembershipEnded(Fact):
    """The time was over for which an external provider had vouched for it (EDGES B3)."""

    group_id: str
    group: str
    member_id: str
    member: str
    provider_id: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class MemberRemoved(Fact):
    group_id: str
    group: str
    member_id: str
    member: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class ServicePrincipalCreated(Fact):
    principal_id: str
    service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalChanged(Fact):
    principal_id: str
    service_principal: str
    previous_service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalDisabled(Fact):
    principal_id: str
    service_principal: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class ServicePrincipalEnabled(Fact):
    principal_id: str
    service_principal: str


@dataclass(frozen=True, slots=True)
class ServicePrincipalDeleted(Fact):
    principal_id: str
    service_principal: str
    grants_ended: int


@dataclass(frozen=True, slots=True)
class CredentialAdded(Fact):
    """Which one and until when; never what it is."""

    principal_id: str
    service_principal: str
    key_id: str
    kind: str  # secret or certificate
    display_name: str
    expires_at: str


@dataclass(frozen=True, slots=True)
class CredentialRemoved(Fact):
    principal_id: str
    service_principal: str
    key_id: str
    kind: str
    display_name: str


@dataclass(frozen=True, slots=True)
class ProviderAdded(Fact):
    """People may sign in through this external provider from now on."""

    provider: str
    issuer: str
    settings: str  # as the wire writes them; never the client secret


@dataclass(frozen=True, slots=True)
class ProviderChanged(Fact):
    provider: str
    issuer: str
    settings: str
    previous_settings: str


@dataclass(frozen=True, slots=True)
class ProviderRemoved(Fact):
    provider: str
    issuer: str
    identities: int  # that it vouched for


@dataclass(frozen=True, slots=True)
class IdentityLinked(Fact):
    """Somebody at a provider is this user from now on."""

    provider: str
    issuer: str
    subject: str
    user_id: str
    user: str
    how: str  # by hand, by invitation, or as a new user


@dataclass(frozen=True, slots=True)
class IdentityUnlinked(Fact):
    provider: str
    issuer: str
    subject: str
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class IdentityInvited(Fact):
    """Whoever first proves this address at the provider becomes this user, once."""

    provider: str
    email: str
    user_id: str
    user: str
    until: str


@dataclass(frozen=True, slots=True)
class IdentityInvitationWithdrawn(Fact):
    provider: str
    email: str
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class ProviderGroupsChanged(Fact):
    """A provider's word put a user into other groups than the last one did."""

    provider: str
    user_id: str
    user: str
    groups: tuple[str, ...]  # ids
    previous_groups: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ExternalSignInRefused(Fact):
    """Somebody came back from a provider and was not let in."""

    provider: str
    subject: str  # empty: who it was is not proved
    why: str


@dataclass(frozen=True, slots=True)
class SignedIn(Fact):
    """A program was given a person's tokens."""

    user_id: str
    user: str
    client: str  # what people call the program
    client_id: str
    flow: str  # browser, device code, password
    methods: tuple[str, ...]  # RFC 8176


@dataclass(frozen=True, slots=True)
class TokenFamilyRevoked(Fact):
    """All tokens of one sign-in of one program are void."""

    user_id: str
    user: str
    client_id: str
    why: str
    is_theft: bool  # a token or a code came a second time: somebody has a copy


@dataclass(frozen=True, slots=True)
class SessionEnded(Fact):
    """A browser is signed out before its time."""

    user_id: str
    user: str
    session_id: str  # as it is listed
    began_at: str
    address: str  # that it began from
    why: str


@dataclass(frozen=True, slots=True)
class SignedOutEverywhere(Fact):
    user_id: str
    user: str


@dataclass(frozen=True, slots=True)
class DeviceCodeApproved(Fact):
    user_id: str
    user: str
    client_id: str
    device_address: str


@dataclass(frozen=True, slots=True)
class DeviceCodeRefused(Fact):
    user_id: str
    user: str
    client_id: str
    device_address: str


@dataclass(frozen=True, slots=True)
class SigningKeyRotated(Fact):
    previous_key_id: str
    key_id: str
    is_previous_void: bool  # what it signed was refused from then on


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it; the system itself has an empty principal id."""

    principal_id: str = ""
    name: str = "bascule"
    kind: str = "System"
    address: str = ""
    client: str = ""  # the program that called, by its own word


SYSTEM = Actor()


@dataclass(frozen=True, slots=True)
class Event:
    """A fact with its circumstances, as it is stored."""

    id: str
    at: datetime
    actor: Actor
    resource_id: str  # ARM id of what it is about; empty for the installation
    fact: Fact
    correlation_id: str = ""

    def record(self) -> dict[str, object]:
        """The event as plain values, which is also what the chain covers."""
        return {
            "id": self.id,
            "at": format_utc(self.at),
            "kind": fact_name(self.fact),
            "actor": asdict(self.actor),
            "resourceId": self.resource_id,
            "correlationId": self.correlation_id,
            "data": asdict(self.fact),  # type: ignore[call-overload]  # reason: every Fact is a dataclass
        }


def grouped(rows: Sequence[T], request_of: Callable[[T], str]) -> list[T]:
    """The same rows; those of one request stand together, where the first of them stood."""
    together: dict[object, list[T]] = {}
    for n, row in enumerate(rows):
        together.setdefault(request_of(row) or n, []).append(row)
    return [row for of_one in together.values() for row in of_one]


def has_form(record: Mapping[str, Any]) -> bool:
    """Is it in the form that ``Event.record`` gives? Not so a row that somebody damaged."""
    actor, data = record.get("actor"), record.get("data")
    return (
        _are_texts(record, "id", "at", "kind", "resourceId", "correlationId")
        and isinstance(actor, dict)
        and _are_texts(actor, "principal_id", "name", "kind", "address")
        and isinstance(data, dict)
    )


def _are_texts(values: Mapping[str, Any], *names: str) -> bool:
    return all(isinstance(values.get(name), str) for name in names)


def chain_hash(previous: str, record: Mapping[str, object]) -> str:
    """The hash of ``record`` as the next one after ``previous`` (64 hex digits)."""
    # In ASCII alone: half a character in somebody's text must not stop the chain.
    body = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(f"{previous}\n{body}".encode()).hexdigest()


def first_broken(
    links: Iterable[tuple[Mapping[str, object], str]], previous: str = GENESIS
) -> int | None:
    """Index of the first record whose stored hash is not what it should be, or None."""
    for index, (record, stored) in enumerate(links):
        if chain_hash(previous, record) != stored:
            return index
        previous = stored
    return None
