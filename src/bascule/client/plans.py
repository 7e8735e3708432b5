"""The plan of a subscription or resource group: is just-in-time access on there?

Source: Microsoft.Security/pricings, plan ``VirtualMachines`` (CONTRACT 6.3).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from bascule.client.reading import Data, inner, instant, text
from bascule.client.versions import PRICING_VERSION

if TYPE_CHECKING:  # its libraries are slow to load, and only callers need them
    from bascule.client.connection import Connection


@dataclass(frozen=True, slots=True)
class Plan:
    """What holds at one scope."""

    tier: str  # Standard or Free
    is_inherited: bool
    is_enforced: bool  # a subscription's, on every group below
    set_at: datetime | None  # None: not told

    @property
    def is_on(self) -> bool:
        return self.tier == "Standard"


def get_plan(connection: Connection, group: str = "") -> Plan:
    return _read(connection.get(_path(connection, group), PRICING_VERSION))


def put_plan(connection: Connection, group: str, *, is_on: bool) -> Plan:
    body = {"properties": {"pricingTier": "Standard" if is_on else "Free"}}
    answer = connection.call("PUT", _path(connection, group), PRICING_VERSION, body=body)
    return _read(answer.body)


def reset_plan(connection: Connection, group: str) -> bool:
    """Let a group inherit the subscription's; False when it did already."""
    return connection.call("DELETE", _path(connection, group), PRICING_VERSION).status == 200


def _path(connection: Connection, group: str) -> str:
    place = (
        f"{connection.subscription}/resourceGroups/{group}" if group else connection.subscription
    )
    return f"{place}/providers/Microsoft.Security/pricings/VirtualMachines"


def _read(data: Data) -> Plan:
    properties = inner(data, "properties")
    return Plan(
        text(properties, "pricingTier"),
        text(properties, "inherited", "False") == "True",
        text(properties, "enforce", "False") == "True",
        instant(properties, "enablementTime"),
    )
