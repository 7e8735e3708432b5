"""What ``bascule machine add`` changed of a machine that existed, in words and for programs."""

from __future__ import annotations

from collections.abc import Mapping

from bascule.client.machines import Machine
from bascule.domain.classify import MANAGED_TAG, UNMANAGED

_NAMES = {"addresses": "address", "osType": "operating system", "location": "location"}


def changes_json(before: Machine, after: Machine) -> dict[str, dict[str, object]]:
    """``from`` and ``to`` of each setting that differs, by its name in ``machine show -o json``; and
    ``isManaged``.
    """
    was, now = _settings(before), _settings(after)
    return {key: {"from": was[key], "to": now[key]} for key in was if was[key] != now[key]}


def changes_words(before: Machine, after: Machine) -> str:
    """As in: its address changed from 192.0.2.1 to 192.0.2.2; empty when nothing changed."""
    parts = []
    for key, change in changes_json(before, after).items():
        if key == "isManaged":
            parts.append("its ports are managed now" if change["to"] else "it is only listed now")
            continue
        was, now = (_value(change[end]) for end in ("from", "to"))
        parts.append(f"its {_NAMES[key]} changed from {was} to {now}")
    return "; ".join(parts)


def _settings(machine: Machine) -> Mapping[str, object]:
    return {
        "addresses": list(machine.addresses),
        "osType": machine.os_type,
        "location": machine.location,
        "isManaged": machine.tags.get(MANAGED_TAG) != UNMANAGED,
    }


def _value(setting: object) -> str:
    told = " and ".join(map(str, setting)) if isinstance(setting, list) else str(setting)
    return told or "none"
