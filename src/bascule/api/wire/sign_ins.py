"""Bascule.Identity: what is signed in as somebody, as people know it again; never a secret."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bascule.domain.times import format_utc
from bascule.services.sign_ins import LiveSignIn


def sign_ins_json(live: Sequence[LiveSignIn], current: str = "") -> dict[str, Any]:
    return {"value": [sign_in_json(each, is_current=each.id == current) for each in live]}


def sign_in_json(live: LiveSignIn, *, is_current: bool) -> dict[str, Any]:
    return {
        "id": live.id,
        "kind": str(live.kind),
        "clientId": live.client_id or None,
        "clientName": live.client or None,
        "flow": live.flow or None,
        "methods": list(live.methods),
        "address": live.origin.address,
        "userAgent": live.origin.program,
        "beganAt": format_utc(live.began_at),
        "lastSeenAt": format_utc(live.seen_at),
        "lastSeenFrom": live.seen_from or live.origin.address,
        "endsAt": format_utc(live.ends_at),
        "isCurrent": is_current,
    }
