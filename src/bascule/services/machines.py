"""The inventory: machines come, change and go (EDGES A12)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, TypeVar

from bascule.domain.classify import canonical_tags
from bascule.domain.facts.machines import (
    MachineAdded,
    MachineChanged,
    MachineDeleted,
    MachineTagged,
)
from bascule.domain.ids import ResourceId
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import Machine, OsType
from bascule.domain.net import Address
from bascule.domain.scopes import resource_scope
from bascule.errors import NotFound, PreconditionFailed
from bascule.interfaces.approvals import ApprovalWrites
from bascule.interfaces.closed_ports import ClosedPortWrites
from bascule.interfaces.exposure import ExposureWrites
from bascule.interfaces.inventory import InventoryReads, MachineWrites
from bascule.interfaces.policies import PolicyReads, PolicyWrites
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.replicas import ListeningReads
from bascule.interfaces.roles import RoleReads
from bascule.sentences import sentence
from bascule.services import public_ports
from bascule.services.access_rules import check_may_lift, check_may_tag, follow_tags, subject_of
from bascule.services.act import Act, new_id
from bascule.services.assignments import AssignmentWrites, forget_scope
from bascule.services.bindings import BindingActWrites, lose_point
from bascule.services.grants import end_grants, touch
from bascule.services.own_ports import check_addresses
from bascule.services.policies import NO_PRECONDITION, Precondition, write_policy
from bascule.services.timeline import machine_came, machine_went


class MachineFactWrites(
    EventWrites,
    ExposureWrites,
    InventoryReads,
    ListeningReads,
    MachineWrites,
    ApprovalWrites,
    PolicyReads,
    PrincipalReads,
    RoleReads,
    Protocol,
):
    """Machines, and what follows from a new one."""


class MachineEndWrites(
    BindingActWrites,
    AssignmentWrites,
    ApprovalWrites,
    ClosedPortWrites,
    ListeningReads,
    MachineWrites,
    PolicyWrites,
    Protocol,
):
    """Machines, and all that ends with one."""


@dataclass(frozen=True, slots=True)
class MachineDraft:
    """What a PUT says; None is absent and keeps what is stored."""

    location: str | None = None
    os_type: OsType | None = None
    addresses: tuple[Address, ...] | None = None
    tags: Mapping[str, str] | None = None


def put_machine(
    tx: MachineFactWrites,
    act: Act,
    machine_id: ResourceId,
    draft: MachineDraft,
    default_location: str,
    precondition: Precondition = NO_PRECONDITION,
) -> tuple[Machine, bool]:
    """Create or change a machine; True when it is new. Its uid never changes.

    Raises InvalidInput for an address with which a policy would cut the server off, and
    PreconditionFailed.
    """
    before = tx.machine(machine_id)
    _check_precondition(before, precondition)
    groups = {name.casefold(): name for name in tx.resource_groups()}
    if machine_id.resource_group.casefold() not in groups:
        raise NotFound(
            sentence(
                "Resource group {group} does not exist. Existing groups: {groups}.",
                group=repr(machine_id.resource_group),
                groups=", ".join(groups.values()),
            ),
            code="ResourceGroupNotFound",
        )
    machine = Machine(
        id=before.id if before else machine_id,
        uid=before.uid if before else new_id(),
        location=draft.location or (before.location if before else default_location),
        os_type=draft.os_type or (before.os_type if before else OsType.LINUX),
        addresses=_first(draft.addresses, before.addresses if before else None, ()),
        tags=canonical_tags(_first(draft.tags, before.tags if before else None, {})),
        created_at=before.created_at if before else act.now,
    )
    if before is not None:
        came = set(machine.addresses) - set(before.addresses)
        check_addresses(tx, act, machine, sorted(came, key=str))
    subject = subject_of(act.actor)
    if before is not None and subject is not None:
        check_may_tag(tx, act, subject, before, machine)
    tx.put_machine(machine)
    if before is not None:
        tx.judge_anew(machines=[machine.id])
        follow_tags(tx, act, before, machine)
    if before is None:
        machine_came(tx, act, machine)
    addresses = tuple(str(address) for address in machine.addresses)
    made = MachineAdded if before is None else MachineChanged
    act.record(tx, made(str(machine.id), machine.uid, addresses), machine.id)
    tags, previous = _tag_texts(machine), _tag_texts(before)
    if tags != previous:
        act.record(tx, MachineTagged(str(machine.id), machine.uid, tags, previous), machine.id)
    return machine, before is None


def etag_of(machine: Machine) -> str:
    """A strong ETag over all that a PUT can change, and nothing else."""
    said = [
        machine.location,
        str(machine.os_type),
        [str(address) for address in machine.addresses],
        sorted(machine.tags.items()),
    ]
    return f'"{hashlib.sha256(json.dumps(said).encode()).hexdigest()[:32]}"'


def _check_precondition(before: Machine | None, precondition: Precondition) -> None:
    """As ``policies.check_precondition`` (RFC 9110 13.1)."""
    if precondition.is_if_none_match and before is not None:
        raise PreconditionFailed("The machine exists already (If-None-Match: *).")
    wanted = precondition.if_match
    if wanted and (before is None or wanted not in ("*", etag_of(before))):
        raise PreconditionFailed(
            "The machine was changed by somebody else in the meantime. Nothing was written.",
            advice="Read it again, apply your change to the current version, and send it with the "
            "new ETag.",
        )


def _tag_texts(machine: Machine | None) -> tuple[str, ...]:
    tags = machine.tags if machine else {}
    return tuple(f"{name}={value}" for name, value in sorted(tags.items()))


T = TypeVar("T")


def _first(*values: T | None) -> T:
    return next(value for value in values if value is not None)


def delete_machine(tx: MachineEndWrites, act: Act, machine_id: ResourceId) -> bool:
    """End its grants, take it out of its policies, forget its agent and the roles assigned
    at it; False when unknown.

    Nothing on the host opens by this: its agent's key is refused from now on, closes
    every opening and keeps the ports closed.
    """
    machine = tx.machine(machine_id)
    if machine is None:
        return False
    naming = tx.policies_naming(machine.id)
    for stored in naming:
        subject = subject_of(act.actor)
        if subject is not None:
            check_may_lift(tx, act, subject, stored.policy, stored.policy.without(machine.id))
    tx.judge_anew(machines=[machine.id])
    end_grants(
        tx,
        act,
        tx.live_grants([machine.uid]),
        StatusReason.USER_REQUESTED,
        f"deletion of {machine.id}",
    )
    for stored in naming:
        write_policy(tx, act, stored.policy.without(machine.id), stored, [])
    forget_scope(tx, act, resource_scope(machine.id), f"deletion of {machine.id}")
    lose_point(tx, act, machine.uid)
    public_ports.leave(tx, act, machine)
    touch(tx, act, machine.uid)  # its agent's line ends, at other processes too
    machine_went(tx, act, machine)
    tx.delete_machine(machine.uid)
    act.record(tx, MachineDeleted(str(machine.id), machine.uid), machine.id)
    return True
