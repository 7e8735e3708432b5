"""Events as CloudEvents, and the signature of the call that brings them.

Sources: CloudEvents 1.0.2 with its JSON event format and JSON batch format, the Sequence
extension, and Standard Webhooks (the three headers; HMAC-SHA256 over id, timestamp and body).

``data`` is the event as an export of the record has it: ``event``, ``hash`` and ``position``,
so that a receiver that wants all kinds holds a copy of the chain, and can verify it. ``id`` is
the event's own: with ``source`` it tells a second delivery of the same event (at least once).
``webhook-id`` is the same for each try of the same events. A rotation signs with both secrets.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from bascule.domain.chain import Link
from bascule.interfaces.delivery import Parcel

SPEC_VERSION = "1.0"
TYPE_PREFIX, TYPE_VERSION = "bascule.record.", ".v1"
STRUCTURED = "application/cloudevents+json; charset=utf-8"
BATCHED = "application/cloudevents-batch+json; charset=utf-8"
SECRET_PREFIX = "whsec_"  # noqa: S105  # reason: what a secret begins with, not one
SECRET_BYTES = 32


def cloud_event(link: Link, source: str) -> dict[str, Any]:
    """One event of CloudEvents; ``source`` is this installation's record."""
    record = link.record
    subject = {"subject": record["resourceId"]} if record["resourceId"] else {}
    return {
        "specversion": SPEC_VERSION,
        "id": record["id"],
        "source": source,
        "type": f"{TYPE_PREFIX}{record['kind']}{TYPE_VERSION}",
        **subject,
        "time": record["at"],
        "sequence": f"{link.position:019d}",  # in the order of its text, as the extension asks
        "datacontenttype": "application/json",
        "data": {"event": record, "hash": link.hash, "position": link.position},
    }


def webhook_parcel(
    links: Sequence[Link], source: str, keys: Sequence[str], now: datetime, *, is_batch: bool
) -> Parcel:
    """One call; ``keys`` are the secrets that are valid, newest first."""
    events = [cloud_event(link, source) for link in links]
    body = json.dumps(events if is_batch else events[0], separators=(",", ":")).encode()
    first, last = links[0], links[-1]
    same = first is last
    message_id = first.record["id"] if same else f"{first.record['id']}.{last.record['id']}"
    timestamp = str(int(now.timestamp()))
    signatures = [f"v1,{signature(key, message_id, timestamp, body)}" for key in keys]
    headers = {
        "content-type": BATCHED if is_batch else STRUCTURED,
        "webhook-id": message_id,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(signatures),
    }
    return Parcel((body,), headers)


def new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def is_secret(text: str) -> bool:
    """Is it one as Standard Webhooks has them?"""
    try:
        key = base64.b64decode(text.removeprefix(SECRET_PREFIX), validate=True)
    except ValueError:
        return False
    return text.startswith(SECRET_PREFIX) and 24 <= len(key) <= 64


def signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    """Base64 of the HMAC-SHA256 of ``id.timestamp.body``."""
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
