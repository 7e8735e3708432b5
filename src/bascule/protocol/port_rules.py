"""A port rule as JSON: as Azure writes it with Bascule's additions, and flat.

The flat form is part of ETags and of what is recorded of a policy, so the order of its fields is
fixed. What is not here: the check of what a caller sent (``api.wire.policies``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bascule.domain.net import AddressPrefix
from bascule.domain.policy import PortRule
from bascule.domain.times import format_duration
from bascule.protocol.rules import stages_json


def rule_json(rule: PortRule) -> dict[str, Any]:
    return {
        "number": rule.number,
        "protocol": str(rule.protocol),
        **sources_json(rule.sources, rule.is_source_list),
        "maxRequestAccessDuration": format_duration(rule.max_duration),
        "bascule": {
            "onExpiry": str(rule.on_expiry),
            "justificationRequired": rule.justification_required,
            **_drain_json(rule),
            **_public_json(rule),
            **_approval_json(rule),
        },
    }


def flat_rule_json(rule: PortRule) -> dict[str, Any]:
    return {
        "number": rule.number,
        "protocol": str(rule.protocol),
        "sources": [str(source) for source in rule.sources],
        "maxRequestAccessDuration": format_duration(rule.max_duration),
        "onExpiry": str(rule.on_expiry),
        "justificationRequired": rule.justification_required,
        **_drain_json(rule),
        **_public_json(rule),
        **_approval_json(rule),
    }


def _approval_json(rule: PortRule) -> dict[str, object]:
    return {"approval": {"stages": stages_json(rule.approval)}} if rule.approval else {}


def _drain_json(rule: PortRule) -> dict[str, object]:
    return {} if rule.drain_for is None else {"drainFor": format_duration(rule.drain_for)}


def _public_json(rule: PortRule) -> dict[str, object]:
    """Nothing where none is named: ETags of such policies stay as they are."""
    told: dict[str, object] = {}
    if rule.public_port is not None:
        told["publicPort"] = rule.public_port
    if rule.public_address is not None:
        told["publicIpAddress"] = str(rule.public_address)
    return told


def sources_json(sources: Sequence[AddressPrefix], is_source_list: bool) -> dict[str, object]:
    """One prefix or a list, in the form in which it was written (CONTRACT 1.4)."""
    if is_source_list or len(sources) != 1:
        return {"allowedSourceAddressPrefixes": [str(source) for source in sources]}
    return {"allowedSourceAddressPrefix": str(sources[0])}
