"""Rows of gateways' public ports."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from ipaddress import ip_address
from typing import Any

from sqlalchemy import Row, bindparam, delete, exists, select, update

from bascule.domain.net import PortKey, PublicPort, TransportProtocol
from bascule.domain.public_ports import Claim
from bascule.errors import Conflict
from bascule.store import tables as t
from bascule.store.rows import Rows, slices
from bascule.store.tables.public_ports import public_ports

_IN_ORDER = (
    public_ports.c.point_uid,
    public_ports.c.address,
    public_ports.c.protocol,
    public_ports.c.number,
)
_OF = (
    select(public_ports)
    .where(public_ports.c.machine_uid.in_(bindparam("uids", expanding=True)))
    .order_by(*_IN_ORDER)
)
_AT = (
    select(public_ports).where(public_ports.c.point_uid == bindparam("point")).order_by(*_IN_ORDER)
)
_INSERT = public_ports.insert()
_RELEASED = bindparam("was_released", type_=public_ports.c.released_at.type)
_CHANGE = (
    update(public_ports)
    .where(
        *(column == bindparam(f"here_{column.name}") for column in _IN_ORDER),
        public_ports.c.machine_uid == bindparam("was_uid"),
        public_ports.c.machine_port == bindparam("was_port"),
        public_ports.c.released_at.is_not_distinct_from(_RELEASED),
    )
    .values({name: bindparam(name) for name in ("machine_uid", "machine_port", "released_at")})
)
_FORGET = delete(public_ports).where(
    public_ports.c.released_at < bindparam("before", type_=public_ports.c.released_at.type),
    ~exists().where(t.machines.c.uid == public_ports.c.machine_uid)
    | ~exists().where(t.agents.c.machine_uid == public_ports.c.point_uid),
)


class PublicPortReads(Rows):
    __slots__ = ()

    def public_ports_of(self, machine_uids: Sequence[str]) -> Sequence[Claim]:
        return [
            claim_of_row(row)
            for some in slices(machine_uids)
            for row in self._all(_OF, {"uids": some})
        ]

    def public_ports_at(self, point_uid: str) -> Sequence[Claim]:
        return [claim_of_row(row) for row in self._all(_AT, {"point": point_uid})]


class PublicPortWrites(PublicPortReads):
    __slots__ = ()

    def add_public_ports(self, claims: Sequence[Claim]) -> None:
        if claims:
            self._run(_INSERT, [{**_key(each), **_values(each)} for each in claims])

    def put_public_port(self, claim: Claim, was: Claim) -> None:
        here = {f"here_{name}": value for name, value in _key(claim).items()}
        before = {
            "was_uid": was.machine_uid,
            "was_port": was.port.number,
            "was_released": was.released_at,
        }
        if not self._run(_CHANGE, {**here, **before, **_values(claim)}):
            raise Conflict(
                f"Public port {claim.public} was given out or let go in the meantime.",
                advice="Ask again.",
            )

    def forget_public_ports(self, released_before: datetime) -> None:
        self._run(_FORGET, {"before": released_before})


def _key(claim: Claim) -> dict[str, Any]:
    return {
        "point_uid": claim.point_uid,
        "address": str(claim.public.address),
        "protocol": str(claim.port.protocol),
        "number": claim.public.number,
    }


def _values(claim: Claim) -> dict[str, Any]:
    return {
        "machine_uid": claim.machine_uid,
        "machine_port": claim.port.number,
        "released_at": claim.released_at,
    }


def claim_of_row(row: Row[Any]) -> Claim:
    return Claim(
        row.point_uid,
        PublicPort(ip_address(row.address), row.number),
        row.machine_uid,
        PortKey(TransportProtocol(row.protocol), row.machine_port),
        row.released_at,
    )
