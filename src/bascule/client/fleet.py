"""Enrolling agents: the one-time token that makes a host a machine's enforcement point."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import flag, inner, instant, text
from bascule.client.versions import BASCULE_VERSION
from bascule.domain.ids import ResourceId

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class Enrolment:
    token: str  # a secret until it is used or its time is over
    expires_at: datetime | None
    machine_uid: str
    ca_fingerprint: str  # SHA-256 hex of the CA's DER
    command: str  # what runs the agent on the host

    def __repr__(self) -> str:
        return f"Enrolment(machine_uid={self.machine_uid!r}, expires_at={self.expires_at!r})"


def enrol(
    connection: Connection, machine: ResourceId, *, replaces: bool, valid_minutes: int
) -> Enrolment:
    """Make a token for one machine's agent; ``replaces`` lets it take an enrolled key's place."""
    answer = connection.call(
        "POST",
        f"{machine}/providers/Bascule.Fleet/enrolments",
        BASCULE_VERSION,
        body={"replace": replaces, "validMinutes": valid_minutes},
    )
    properties = inner(answer.body, "properties")
    return Enrolment(
        token=text(properties, "token"),
        expires_at=instant(properties, "expiresAt"),
        machine_uid=text(properties, "machineUid"),
        ca_fingerprint=text(properties, "caFingerprint", ""),
        command=text(properties, "command"),
    )


def believe_point(connection: Connection, machine: ResourceId) -> bool:
    """Have the reports of a machine's agent believed again; False when they were."""
    path = f"{machine}/providers/Bascule.Fleet/enforcementPoints/default/believe"
    return flag(connection.call("POST", path, BASCULE_VERSION).body, "isChanged")
