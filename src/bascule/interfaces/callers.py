"""Who calls, and where: each question of the guard before a route, asked at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bascule.domain.machine import EnforcementPoint, Machine
from bascule.domain.principals import Credential, ServicePrincipal, User
from bascule.domain.tokens import TokenFamily


class CallerReads(Protocol):
    def service_caller(
        self, principal_id: str
    ) -> tuple[ServicePrincipal, Sequence[Credential]] | None:
        """A service principal with all its credentials."""
        ...

    def user_caller(self, user_id: str, family_id: str) -> tuple[User, TokenFamily | None] | None:
        """A user, and the sign-in that a token came of."""
        ...

    def agent_caller(self, uid: str) -> tuple[Machine, EnforcementPoint] | None:
        """A machine with its own agent; None when either is missing."""
        ...

    def spelt(self, group: str, location: str) -> tuple[str | None, str | None]:
        """A resource group and a location as they are spelt here; None: there is none."""
        ...
