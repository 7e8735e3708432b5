"""Who may write policies and machines' rules (EDGES B2).

Closing a port or letting one go is a matter of the machine: beside the right to the policy
it takes the right to write every machine that is named before or after.
"""

from __future__ import annotations

from typing import Protocol

from bascule.domain.access import Subject
from bascule.domain.actions import MACHINE_WRITE, POLICY_WRITE
from bascule.domain.ids import ResourceId
from bascule.domain.policy import Policy
from bascule.domain.scopes import resource_scope
from bascule.errors import Part, Place
from bascule.interfaces.policies import PolicyReads, StoredPolicy
from bascule.services.act import Act
from bascule.services.request_rights import sight_of
from bascule.services.rights import Needed, RightsReads, check, denial, missing_of, rights_of


class PolicyRightsReads(RightsReads, PolicyReads, Protocol):
    """What is held at the machines of a policy."""


def check_may_write(
    reader: PolicyRightsReads,
    act: Act,
    subject: Subject,
    wanted: ResourceId,
    action: str,
    new: Policy | None = None,
) -> None:
    """Raise Forbidden unless the subject holds the action at the policy's scope, and may write
    each machine that ``new`` names or that is named there now.
    """
    named = [
        Needed(
            MACHINE_WRITE,
            resource_scope(each.machine_id),
            Place(Part.MACHINE, m, is_in_policy=True),
        )
        for m, each in enumerate(new.machines if new else ())
    ]
    check(reader, subject, act.now, [Needed(action, resource_scope(wanted)), *named])
    before = reader.policy(wanted)
    if before is not None:
        _check_machines(reader, act, subject, before)


def check_may_set_rules(
    reader: RightsReads, act: Act, subject: Subject, machine_id: ResourceId
) -> None:
    """Raise Forbidden unless the subject may write this machine and what policies say of it."""
    scope = resource_scope(machine_id)
    check(reader, subject, act.now, [Needed(POLICY_WRITE, scope), Needed(MACHINE_WRITE, scope)])


def _check_machines(reader: RightsReads, act: Act, subject: Subject, before: StoredPolicy) -> None:
    """A machine that the subject may not see in the policy is not named by the refusal."""
    rights = rights_of(reader, subject.principal_id, act.now)
    named = [each.machine_id for each in before.policy.machines]
    needed = [Needed(MACHINE_WRITE, resource_scope(each)) for each in named]
    missing = missing_of(rights, needed)
    if missing:
        seen = sight_of(rights, subject.principal_id).narrow(before).policy
        keys = {each.machine_id.key for each in seen.machines}
        told = [each for each in missing if each.scope.key in keys]
        hidden = [Needed(MACHINE_WRITE, resource_scope(before.policy.id))]
        raise denial(reader, subject, told or hidden)
