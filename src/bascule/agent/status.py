"""What ``bascule agent status`` tells of the rules on this host."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bascule.domain.held import Held, HeldLease
from bascule.domain.weaknesses import Weakness
from bascule.reconcile.reconciler import Outcome


def held_status(held: Held, outcome: Outcome | None, fault: str, now: float) -> dict[str, Any]:
    """Closed ports and openings; those that were not read back open are waiting, with the reason.

    ``outcome`` is of the last pass, ``fault`` why it could not manage the firewall.
    """
    live = {key: each for key, each in held.leases.items() if each.deadline > now}
    why = {key: _why_it_waits(held, outcome, fault, key, each) for key, each in live.items()}
    told = {key: _opening(key, lease, now) for key, lease in live.items()}
    return {
        "refused": held.is_refused,
        "generation": held.generation,
        "enforcing": not fault and outcome is not None,
        "closed": [str(port) for port in sorted(closed.port for closed in held.closed)],
        "open": [each for key, each in told.items() if not why[key]],
        "waiting": [{**each, "why": why[key]} for key, each in told.items() if why[key]],
    }


def behind_status(held: Held, outcome: Outcome | None, now: float) -> list[dict[str, Any]]:
    """The same of each machine behind this host; ``inForce`` are ids of grants that were read back."""
    return [
        {
            "machineUid": uid,
            "name": place.name,
            "addresses": [str(each) for each in place.addresses],
            "formerAddresses": sorted(str(each) for each in place.former),
            "generation": place.held.generation,
            "closed": [str(port) for port in sorted(each.port for each in place.held.closed)],
            "open": {
                key: round(lease.deadline - now, 1)
                for key, lease in place.held.leases.items()
                if lease.deadline > now
            },
            "byRoot": [
                _opening(key, lease, now)
                for key, lease in place.held.leases.items()
                if lease.is_local and lease.deadline > now
            ],
            "inForce": sorted(outcome.behind[uid].in_force)
            if outcome is not None and uid in outcome.behind
            else [],
        }
        for uid, place in held.behind.items()
    ]


def findings(found: Iterable[Weakness]) -> list[dict[str, Any]]:
    """For ``bascule doctor``, which says them in words."""
    return [{"code": each.code, "arguments": dict(each.arguments)} for each in found]


def _opening(grant_id: str, lease: HeldLease, now: float) -> dict[str, Any]:
    return {
        "grantId": grant_id,
        "ports": [str(port) for port in lease.ports],
        "sources": [str(source) for source in lease.sources],
        "seconds": round(lease.deadline - now, 1),
        "local": lease.is_local,
        **({"addresses": [str(each) for each in lease.at]} if lease.at else {}),
    }


def _why_it_waits(
    held: Held, outcome: Outcome | None, fault: str, grant_id: str, lease: HeldLease
) -> str:
    """Empty for one that was read back open, and for one whose port we do not close."""
    if fault or outcome is None:
        return fault or "the firewall has not been read yet"
    closed = {each.port for each in held.closed}
    if grant_id in outcome.in_force or closed.isdisjoint(lease.ports):
        return ""
    return outcome.refused or "it was not read back from the firewall"
