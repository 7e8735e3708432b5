"""All that the decision on a request depends on, and no more: each row is read once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.policy import Policy


@dataclass(frozen=True, slots=True)
class AskedMachine:
    """A machine that somebody asks for."""

    machine: Machine
    point: EnforcementPoint | None  # all that guards it, as one; None: nothing does
    ports: int  # that its agent is told of: closed, or let go by name
    cuts: Sequence[Grant]  # that its agent is told of, because sessions are to be cut
    has_approval: bool = False  # does a policy with rules or approvals name it?


@dataclass(frozen=True, slots=True)
class Asked:
    machines: Mapping[ResourceId, AskedMachine]  # those that are there
    live: Sequence[Grant]  # opening and open ones on them, ordered by end


class AskedReads(Protocol):
    def asked_rules(self, policy_id: ResourceId, machines: Sequence[ResourceId]) -> Policy | None:
        """The policy with what it says of these machines, and of no other; None: there is none."""
        ...

    def asked(self, machines: Sequence[ResourceId], cut_since: datetime) -> Asked:
        """These machines; of cuts those of then and later, and those that the machine's points
        have not heard of, however long they were away.
        """
        ...
