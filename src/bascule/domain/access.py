"""Who calls: principals, and the kinds of them that a route takes (EDGES A13).

Azure's role-based access control joins here in a later piece of work; today each route
declares the kinds of principal it admits and nothing else is open to anybody.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class PrincipalKind(StrEnum):
    SERVICE = "ServicePrincipal"  # a program, or a person through an administrator's secret
    AGENT = "Agent"  # an enforcement point; reaches its own machine's agent routes alone


@dataclass(frozen=True, slots=True)
class Subject:
    """The caller, authenticated."""

    principal_id: str  # a GUID; an agent's is its machine's uid
    kind: PrincipalKind
    name: str  # for people to read: display name
    address: str = ""  # where the call came from, as the server sees it
    client: str = ""  # the program that called, by its own word (RFC 9110 10.1.5)
