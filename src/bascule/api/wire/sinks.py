"""Sinks on the wire: what their owner says of them, and how things stand with them.

No answer holds a secret, but for the one of the act that made it; a webhook's path may be one
too, so a target is shown as ``Target.shown``. ``sinkId`` is what metrics call it, which show no names.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, TypeVar

from pydantic import Field

from bascule.api.wire.fields import Body, Count, LongText, Text, Truth
from bascule.domain.delivery import (
    LEVELS,
    Form,
    Outcome,
    SinkState,
    parse_level,
    parse_target,
)
from bascule.domain.times import format_utc
from bascule.errors import InvalidInput
from bascule.services.sinks import LONGEST_CA, SinkDraft, SinkView

SINK_TYPE = "Bascule.Audit/sinks"
Word = TypeVar("Word", bound=StrEnum)


class SinkProperties(Body):
    target: Text | None = None
    format: Text | None = None
    kinds: list[Text] | None = None
    level: Text | None = None
    batch: Count | None = None
    ca_certificates: LongText | None = None
    from_beginning: Truth | None = None

    def draft(self) -> SinkDraft:
        at = "properties"
        if self.ca_certificates and len(self.ca_certificates) > LONGEST_CA:
            raise InvalidInput(
                f"caCertificates: at most {LONGEST_CA} characters.", target=f"{at}.caCertificates"
            )
        return SinkDraft(
            None if self.target is None else parse_target(self.target, f"{at}.target"),
            None if self.format is None else _form(self.format, f"{at}.format"),
            None if self.kinds is None else tuple(self.kinds),
            None if self.level is None else parse_level(self.level, f"{at}.level"),
            self.batch,
            self.ca_certificates,
            self.from_beginning or False,
        )


class SinkBody(Body):
    properties: SinkProperties


class ResumeBody(Body):
    skip: Truth | None = None  # pass over the event that parked it
    after: (
        Annotated[Count, Field(description="Send all events after this position again.")] | None
    ) = None


def _form(word: str, target: str) -> Form:
    found = next((each for each in Form if each == word.casefold()), None)
    if found is None:
        raise InvalidInput(
            f"{word[:40]!r} is not a format. Formats are: {', '.join(Form)}.",
            code="InvalidSinkFormat",
            target=target,
        )
    return found


def sink_json(subscription_id: str, view: SinkView) -> dict[str, Any]:
    sink, progress = view.sink, view.progress
    secret = {"secret": view.secret} if view.secret else {}
    return {
        "id": f"/subscriptions/{subscription_id}/providers/{SINK_TYPE}/{sink.name}",
        "name": sink.name,
        "type": SINK_TYPE,
        "properties": {
            "sinkId": sink.id,
            "kind": str(sink.target.kind),
            "target": sink.target.shown,
            "format": str(sink.form),
            "kinds": list(sink.kinds),
            "level": LEVELS[sink.level - 1],
            "batch": sink.batch,
            "hasCaCertificates": bool(sink.ca_certificates),
            "createdAt": format_utc(sink.created_at),
            "state": str(progress.state),
            "position": progress.position,
            "lagEvents": view.lag_events,
            "lagSeconds": int(view.lag.total_seconds()),
            "deliveredPosition": progress.delivered_position or None,
            "deliveredAt": _instant(progress.delivered_at),
            "failures": progress.failures,
            "nextTryAt": _instant(progress.next_try_at),
            "lastError": progress.last_error or None,
            "lastErrorAt": _instant(progress.last_error_at),
            "parkedPosition": progress.position + 1 if progress.state is SinkState.PARKED else None,
            "previousSecretUntil": _instant(view.previous_until),
            **secret,
        },
    }


def outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {"properties": {"answer": outcome.answer.value, "said": outcome.said}}


def _instant(at: datetime | None) -> str | None:
    return None if at is None else format_utc(at)
