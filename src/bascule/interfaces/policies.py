"""What the store keeps of policies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bascule.domain.ids import ResourceId
from bascule.domain.policy import MachineRules, Policy
from bascule.domain.roles import Reach


@dataclass(frozen=True, slots=True)
class StoredPolicy:
    policy: Policy
    etag: str  # changes with kind, machines and port rules, with nothing else
    generations: Mapping[str, int]  # machine uid -> generation that carries this policy


class PolicyReads(Protocol):
    def policy(self, policy_id: ResourceId) -> StoredPolicy | None: ...

    def policies(
        self,
        resource_group: str | None = None,
        location: str | None = None,
        after: str = "",
        limit: int = 1000,
        within: Reach | None = None,
    ) -> Sequence[StoredPolicy]:
        """Ordered by id key; group and location compare without case; ``within`` keeps those
        that lie in these scopes themselves or name a machine that does.
        """
        ...

    def policies_naming(self, machine_id: ResourceId) -> Sequence[StoredPolicy]:
        """Ordered by id key."""
        ...

    def rules_at(
        self, machine_ids: Sequence[ResourceId]
    ) -> Sequence[tuple[ResourceId, MachineRules]]:
        """What policies say of these machines, each with its policy's id; those without a port
        are left out. Ordered by the keys of machine and policy. However large the policies
        are, no more of them is read.
        """
        ...


class PolicyWrites(PolicyReads, Protocol):
    def put_policy(self, stored: StoredPolicy) -> None: ...

    def delete_policy(self, policy_id: ResourceId) -> None: ...
