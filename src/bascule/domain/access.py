"""Who calls: principals, the kinds of them, and the caller.

What a caller may do is ``roles``, read anew where it counts; whether it is who it says is ``identity``'s affair.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum


class PrincipalKind(StrEnum):
    """Azure's words for kinds of principal, and one of ours."""

    USER = "User"
    GROUP = "Group"  # holds roles, never calls
    SERVICE = "ServicePrincipal"  # a program
    AGENT = "Agent"  # an enforcement point; reaches its own machine's agent routes alone


CALLERS = frozenset({PrincipalKind.USER, PrincipalKind.SERVICE})  # whom roles let in


@dataclass(frozen=True, slots=True)
class Subject:
    """The caller, authenticated."""

    principal_id: str  # a GUID; an agent's is its machine's uid
    kind: PrincipalKind
    name: str  # a user's principal name, else a display name
    address: str = ""  # where the call came from, as the server sees it
    client: str = ""  # the program that called, by its own word (RFC 9110 10.1.5)
    factor_at: datetime | None = None  # when they last showed a second factor; None: not known
    credential_id: str = ""  # of the secret or certificate by which a program called
    credential_ends_at: datetime | None = None  # None: never, or there is none

    def factor_age(self, now: datetime) -> timedelta | None:
        """How old their second factor is; None: not known, also where clocks say that it is yet to come."""
        if self.factor_at is None or self.factor_at > now:
            return None
        return now - self.factor_at
