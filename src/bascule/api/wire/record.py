"""Bascule.Audit on the wire: the key, checkpoints, verdicts, and what retention did."""

from __future__ import annotations

from typing import Any

from bascule.api.wire.fields import Body, EndTime
from bascule.domain.chain import ChainHead, Checkpoint, checkpoint_json
from bascule.domain.proof import Verdict
from bascule.services.record import Signer
from bascule.services.retention import Pruned

CHECKPOINT_TYPE = "Bascule.Audit/checkpoints"
KEY_TYPE = "Bascule.Audit/key"


class PruneBody(Body):
    before: EndTime


def key_resource(subscription_id: str, key: Signer) -> dict[str, Any]:
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{KEY_TYPE}",
        "name": key.key_id,
        "type": KEY_TYPE,
        "properties": {"keyId": key.key_id, "algorithm": "Ed25519", "publicKey": key.public_key},
    }


def checkpoint_resource(subscription_id: str, checkpoint: Checkpoint) -> dict[str, Any]:
    name = str(checkpoint.head.position)
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{CHECKPOINT_TYPE}/{name}",
        "name": name,
        "type": CHECKPOINT_TYPE,
        "properties": checkpoint_json(checkpoint),
    }


def head_json(head: ChainHead) -> dict[str, Any]:
    return {"position": head.position, "hash": head.hash}


def verdict_json(verdict: Verdict) -> dict[str, Any]:
    found = verdict.break_
    return {
        "properties": {
            "isIntact": verdict.is_intact,
            "begin": head_json(verdict.begin),
            "verifiedThrough": head_json(verdict.head),
            "events": verdict.count,
            "checkpoints": verdict.checkpoints,
            "verifiedAt": verdict.exported_at,
            "keyId": verdict.key_id,
            "firstBreak": None
            if found is None
            else {"kind": str(found.kind), "position": found.position, "message": found.message},
            "notes": list(verdict.notes),
        }
    }


def pruned_json(done: Pruned) -> dict[str, Any]:
    fact, kept = done.fact, done.kept
    return {
        "properties": {
            "before": fact.before,
            "deletedThrough": {"position": fact.through, "hash": fact.checkpoint_hash},
            "events": fact.events,
            "keptForSink": None if kept is None else {"position": kept.position, "sink": kept.sink},
        }
    }
