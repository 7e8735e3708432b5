"""Many events for one chat: at most MOST_A_MINUTE messages a minute, above that one message for all that wait.

What may never be put together with others, muted or delayed (``domain.delivery.NEVER_MUTED``, EDGES J11) is
a message of its own at once; what stands before it in the record goes at once too, as one message, so that
the order stays. What waits is not taken: the sink's position stays before it, and a server that dies meanwhile
loses nothing. A batch lists its first MOST_LISTED events, each with its link, and counts all by what happened.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from bascule.domain.chain import Link
from bascule.domain.delivery import NEVER_MUTED, Form
from bascule.domain.request import AccessRequest
from bascule.interfaces.delivery import Parcel
from bascule.services.chat import (
    JSON,
    Said,
    card_of,
    chat_parcel,
    entities,
    one_line,
    plain,
    said_of,
    text_run,
)

BATCHED = frozenset({Form.SLACK, Form.TEAMS})
MOST_A_MINUTE = 5
MINUTE = 60.0  # seconds
MOST_LISTED = 15  # a Teams message holds 28 KB, and a text here up to 300 characters of 4 bytes
_OPEN = "Open the request in Bascule"

Told = tuple[Link, AccessRequest | None]


class Pace:
    """When one chat was written to, in seconds since boot. Forgotten with its process: then less is put together."""

    def __init__(self) -> None:
        self._sent: deque[float] = deque(maxlen=MOST_A_MINUTE)

    def note(self, at: float) -> None:
        self._sent.append(at)

    def sent(self, at: float) -> int:
        """Messages of the last minute; never more than MOST_A_MINUTE."""
        return sum(1 for each in self._sent if at - each < MINUTE)


def count_now(links: Sequence[Link], sent: int, alone_until: int, *, is_all: bool) -> int:
    """How many of the first go now as one message; 0: they wait until there is room.

    ``links`` are what the chat wants, at least one; ``sent`` are messages of the last minute; events up to
    ``alone_until`` are tried one by one. ``is_all``: nothing that the chat may want is behind ``links``.
    """
    run = len(list(takewhile(lambda each: _may_wait(each, alone_until), links)))
    if run == 0:
        return 1
    room = MOST_A_MINUTE - sent
    if run <= room:
        return 1
    return run if room > 0 or run < len(links) or not is_all else 0


def _may_wait(link: Link, alone_until: int) -> bool:
    return link.record["kind"] not in NEVER_MUTED and link.position > alone_until


def batch_parcel(told: Sequence[Told], form: Form, portal: str) -> Parcel:
    """One call of a chat's webhook for all of these, at least one."""
    if len(told) == 1:
        return chat_parcel(*told[0], form, portal)
    said = [said_of(link, request) for link, request in told]
    body = _slack(said, portal) if form is Form.SLACK else _teams(said, portal)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Parcel((content,), JSON)


def _title(said: Sequence[Said]) -> str:
    return f"{len(said)} events"


def _counts(said: Sequence[Said]) -> str:
    return one_line(", ".join(f"{each}: {n}" for each, n in Counter(s.title for s in said).items()))


def _line(said: Said) -> str:
    return one_line(f"{said.title}: " + "; ".join(text for _, text in said.facts[:3]))


def _more(said: Sequence[Said]) -> str:
    left = len(said) - MOST_LISTED
    return f"and {left} more: see the requests in Bascule" if left > 0 else ""


def _slack(said: Sequence[Said], portal: str) -> dict[str, Any]:
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": plain(_title(said))},
        {"type": "section", "text": plain(_counts(said))},
    ]
    for each in said[:MOST_LISTED]:
        fields = [plain(_line(each))]
        if each.path:
            fields.append({"type": "mrkdwn", "text": f"<{entities(portal + each.path)}|{_OPEN}>"})
        blocks.append({"type": "section", "fields": fields})
    if _more(said):
        blocks.append({"type": "section", "text": plain(_more(said))})
    return {"text": entities(f"{_title(said)}. {_counts(said)}"), "blocks": blocks}


def _teams(said: Sequence[Said], portal: str) -> dict[str, Any]:
    title = text_run(_title(said), weight="bolder", size="large")
    rows: list[list[dict[str, Any]]] = [[title], [text_run(_counts(said))]]
    for each in said[:MOST_LISTED]:
        row: list[dict[str, Any]] = [text_run(_line(each))]
        if each.path:
            action = {"type": "Action.OpenUrl", "title": _OPEN, "url": portal + each.path}
            row.append(text_run(" "))
            row.append(text_run(_OPEN, selectAction=action))
        rows.append(row)
    if _more(said):
        rows.append([text_run(_more(said))])
    return card_of([{"type": "RichTextBlock", "spacing": "small", "inlines": row} for row in rows])
