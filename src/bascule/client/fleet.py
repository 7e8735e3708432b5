"""Enrolling agents: the one-time token that makes a host a machine's enforcement point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import flag, inner, instant, objects, text, texts
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
    install: str  # what installs it as a service on a host that has Bascule
    bare: str  # on a bare Debian; empty: the server hands out no packages

    def __repr__(self) -> str:
        return f"Enrolment(machine_uid={self.machine_uid!r}, expires_at={self.expires_at!r})"


def enrol(
    connection: Connection,
    machine: ResourceId,
    *,
    replaces: bool,
    valid_minutes: int,
    is_through: bool = False,
) -> Enrolment:
    """Make a token for one machine's agent; ``replaces`` lets it take an enrolled key's place.

    ``is_through``: the agent comes through a proxy that ends TLS.
    """
    wanted = {"replace": replaces, "validMinutes": valid_minutes}
    if is_through:
        wanted["throughProxy"] = True
    answer = connection.call(
        "POST",
        f"{machine}/providers/Bascule.Fleet/enrolments",
        BASCULE_VERSION,
        body=wanted,
    )
    properties = inner(answer.body, "properties")
    return Enrolment(
        token=text(properties, "token"),
        expires_at=instant(properties, "expiresAt"),
        machine_uid=text(properties, "machineUid"),
        ca_fingerprint=text(properties, "caFingerprint", ""),
        command=text(properties, "command"),
        install=text(properties, "installCommand"),
        bare=text(properties, "bareHostCommand", ""),
    )


@dataclass(frozen=True, slots=True)
class Point:
    """One enforcement point, as one machine has it."""

    uid: str  # of the machine whose agent it is
    state: str  # online, partlyOnline, offline, neverSeen
    addresses: tuple[str, ...]  # to which it forwards; empty: the machine's own agent, or not said
    former: tuple[str, ...]
    is_enforcing: bool
    gateway: ResourceId | None = None  # the machine whose agent it is; None: not told
    is_parallel: bool = False  # an alternative to the others that are so
    trusts_route: bool = False  # an owner says that answers come back through it


def points_of(connection: Connection, machine: ResourceId) -> tuple[Point, ...]:
    """All that guard a machine, its own agent first."""
    answer = connection.call("GET", _points(machine), BASCULE_VERSION)
    found = []
    for each in objects(answer.body, "value"):
        properties = inner(each, "properties")
        found.append(
            Point(
                text(each, "name"),
                text(properties, "state", ""),
                texts(properties, "addresses"),
                texts(properties, "formerAddresses"),
                instant(properties, "notEnforcedSince") is None,
                ResourceId.parse_machine(named)
                if (named := text(properties, "gatewayId", ""))
                else None,
                flag(properties, "parallel"),
                flag(properties, "trustRoute"),
            )
        )
    return tuple(found)


def bind(
    connection: Connection,
    machine: ResourceId,
    point_uid: str,
    addresses: Sequence[str],
    *,
    is_parallel: bool | None = None,
    trusts_route: bool | None = None,
) -> bool:
    """Have a gateway's agent guard a machine at these addresses; False: it did, perhaps at others, or
    in another order. ``is_parallel``, ``trusts_route`` None: as it is.
    """
    answer = connection.call(
        "PUT",
        f"{_points(machine)}/{point_uid}",
        BASCULE_VERSION,
        body={
            "addresses": list(addresses),
            "parallel": is_parallel,
            "trustRoute": trusts_route,
        },
    )
    return answer.status == 201


def unbind(connection: Connection, machine: ResourceId, point_uid: str) -> bool:
    """False: it was not bound."""
    path = f"{_points(machine)}/{point_uid}"
    return connection.call("DELETE", path, BASCULE_VERSION).status == 200


def release_addresses(
    connection: Connection, machine: ResourceId, point_uid: str, addresses: Sequence[str]
) -> tuple[str, ...]:
    """Have a gateway close nothing at former addresses of a machine; empty: at all. Those released."""
    answer = connection.call(
        "POST",
        f"{_points(machine)}/{point_uid}/releaseAddresses",
        BASCULE_VERSION,
        body={"addresses": list(addresses) or None},
    )
    return texts(answer.body, "released")


def _points(machine: ResourceId) -> str:
    return f"{machine}/providers/Bascule.Fleet/enforcementPoints"


def manage_point(connection: Connection, machine: ResourceId, by: str) -> tuple[str, bool]:
    """Say what manages a gateway (empty: nobody says); what is kept, and whether that is new."""
    answer = connection.call(
        "POST", f"{_points(machine)}/default/manage", BASCULE_VERSION, body={"managedBy": by}
    )
    return text(answer.body, "managedBy", ""), flag(answer.body, "isChanged")


def believe_point(connection: Connection, machine: ResourceId) -> bool:
    """Have the reports of a machine's agent believed again; False when they were."""
    path = f"{machine}/providers/Bascule.Fleet/enforcementPoints/default/believe"
    return flag(connection.call("POST", path, BASCULE_VERSION).body, "isChanged")
