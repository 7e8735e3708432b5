"""Who may ask for machines, and who may see and revoke what others asked (EDGES B1).

Asking needs two actions at each machine named, all or nothing. One's own requests are one's
own: they may always be read and revoked, by whoever has lost every right too; cutting what is
over takes a right. Of others' requests, and of policies, is told what lies within the caller's
sight, and no more by a refusal than by an answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from bascule.domain.access import Subject
from bascule.domain.actions import EMERGENCY, INITIATE, POLICY_READ, REQUEST_REVOKE
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.policy import Policy
from bascule.domain.request import AccessRequest
from bascule.domain.roles import Reach, Rights
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.errors import Target
from bascule.interfaces.policies import StoredPolicy
from bascule.services.act import Act
from bascule.services.rights import Needed, RightsReads, denial, missing_of, rights_of

NEEDED_TO_ASK = (INITIATE, POLICY_READ)  # at each machine that is asked for
NEEDED_IN_EMERGENCY = (EMERGENCY, POLICY_READ)  # likewise


def needed_to_ask(*, is_emergency: bool) -> tuple[str, ...]:
    return NEEDED_IN_EMERGENCY if is_emergency else NEEDED_TO_ASK


@dataclass(frozen=True, slots=True)
class Sight:
    """What one caller may read of policies and requests."""

    principal_id: str
    reach: Reach  # of POLICY_READ

    def sees(self, resource: ResourceId) -> bool:
        """Does the caller hold the right at this machine or policy?"""
        return self.reach.covers(resource.key)

    def is_own(self, request: AccessRequest) -> bool:
        return request.requestor_id == self.principal_id

    def sees_request(self, request: AccessRequest) -> bool:
        """One's own always, others' with the right at each machine; with the right at all there
        is, where not every machine is known that was asked for.
        """
        if self.is_own(request):
            return True
        if request.left_out or not request.machines:
            return self.reach.covers(subscription_scope(request.policy_id.subscription_id).key)
        return all(self.sees(each.machine_id) for each in request.machines)

    def sees_any(self, policy: Policy) -> bool:
        """Does a list show this policy?"""
        return self.sees(policy.id) or any(self.sees(each.machine_id) for each in policy.machines)

    def narrow(self, stored: StoredPolicy) -> StoredPolicy:
        """The policy with the machines that may be seen: all, with the right at its scope."""
        policy = stored.policy
        if self.sees(policy.id):
            return stored
        shown = tuple(each for each in policy.machines if self.sees(each.machine_id))
        return replace(stored, policy=replace(policy, machines=shown))


def sight_of(rights: Rights, principal_id: str) -> Sight:
    return Sight(principal_id, rights.reach(POLICY_READ))


def check_may_ask(
    reader: RightsReads,
    subject: Subject,
    rights: Rights,
    policy: ResourceId,
    machines: Sequence[tuple[ResourceId, Target]],
    *,
    is_emergency: bool = False,
) -> None:
    """Raise Forbidden with every action that is missing at one of these machines, each with what
    named it; who names none asks for what the policy holds.
    """
    needed = [
        Needed(action, resource_scope(resource), target)
        for resource, target in machines or [(policy, "")]
        for action in needed_to_ask(is_emergency=is_emergency)
    ]
    missing = missing_of(rights, needed)
    if missing:
        raise denial(reader, subject, missing)


def check_may_know(
    reader: RightsReads,
    subject: Subject,
    rights: Rights,
    wanted: ResourceId,
    stored: StoredPolicy | None,
) -> None:
    """Raise Forbidden when the subject must not learn whether this policy is there: it sees
    nothing of it. Whoever may ask for a machine of it may know, and is not to be checked.
    """
    sight = sight_of(rights, subject.principal_id)
    if stored is not None and sight.sees_any(stored.policy):
        return
    if not sight.sees(wanted):
        raise denial(reader, subject, [Needed(POLICY_READ, resource_scope(wanted))])


def check_may_revoke(
    reader: RightsReads, act: Act, subject: Subject, request: AccessRequest
) -> None:
    """Raise Forbidden for another's request without the right at each of its machines."""
    rights = rights_of(reader, subject.principal_id, act.now)
    sight = sight_of(rights, subject.principal_id)
    if sight.is_own(request):
        return
    needed = [
        Needed(REQUEST_REVOKE, resource_scope(machine.machine_id)) for machine in request.machines
    ]
    missing = missing_of(rights, needed or [_hidden(request)])
    if missing:
        raise denial(
            reader, subject, missing if sight.sees_request(request) else [_hidden(request)]
        )


def what_may_be_cut(
    reader: RightsReads, act: Act, subject: Subject, ended: Sequence[Grant], *, must: bool
) -> Sequence[Grant]:
    """Those of these ended grants at whose machines the subject may still ask or revoke: a cut
    reaches whoever came from the same sources, and so takes more than to have asked once.

    With ``must`` raise Forbidden unless it may at each of them.
    """
    rights = rights_of(reader, subject.principal_id, act.now)
    missing: dict[ResourceId, Sequence[Needed]] = {}
    for machine in dict.fromkeys(grant.machine_id for grant in ended):
        scope = resource_scope(machine)
        if missing_of(rights, [Needed(REQUEST_REVOKE, scope)]):
            needed = [Needed(action, scope) for action in NEEDED_TO_ASK]
            missing[machine] = missing_of(rights, needed)
    lacking = [each for of_machine in missing.values() for each in of_machine]
    if lacking and must:
        raise denial(reader, subject, lacking)
    return [grant for grant in ended if not missing.get(grant.machine_id)]


def _hidden(request: AccessRequest) -> Needed:
    """What is missing, said without naming the machines of a request that may not be read."""
    return Needed(REQUEST_REVOKE, subscription_scope(request.policy_id.subscription_id))
