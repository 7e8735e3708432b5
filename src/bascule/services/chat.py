"""Events as messages for people: Slack's Block Kit, and an Adaptive Card for Microsoft Teams.

Sources: Slack's *incoming webhooks*, *Block Kit* (section, header and context blocks; ``plain_text`` is not
parsed, in ``mrkdwn`` ``&``, ``<`` and ``>`` are written as entities), and the Adaptive Cards schema 1.4 in the
envelope that a Teams workflow *when a Teams webhook request is received* takes. A ``TextRun`` of a
``RichTextBlock`` is shown as it is, but for functions of dates; a ``TextBlock`` would be read as Markdown.

A message has a link to the request's page, with its id and nothing that acts (EDGES J11): approving happens
there or on the command line. What people wrote is cut to LONGEST_TEXT characters and one line, and is never
read as markup. What is not here: which events a chat is told (``domain.delivery``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bascule.domain.chain import Link
from bascule.domain.delivery import Form
from bascule.domain.plain import clean
from bascule.domain.request import AccessRequest, RequestedMachine
from bascule.interfaces.delivery import Parcel
from bascule.services.ocsf import kind_of_record
from bascule.words import msgid

LONGEST_TEXT = 300  # characters of one text
MOST_LINES = 10  # of one fact, such as machines
_CUT = "…"
_TITLES: Mapping[str, str] = {
    "AccessWaiting": msgid("Approval needed"),
    "AccessApproved": msgid("Approved"),
    "AccessSelfApproved": msgid("Own request approved"),
    "AccessNotApproved": msgid("Denied"),
    "AccessNotAllowed": msgid("Not allowed any more"),
    "AccessEscalated": msgid("Nobody decided so far: others are asked too"),
    "AccessLapsed": msgid("Nobody decided in time"),
    "AccessWithdrawn": msgid("Withdrawn"),
    "EmergencyAccess": msgid("Emergency access used"),
    "EmergencyReviewed": msgid("Emergency access reviewed"),
    "RulesLoosened": msgid("Rules of access loosened"),
    "AccessStartsSoon": msgid("Access starts soon"),
    "GrantOpened": msgid("Port open"),
    "GrantEndsSoon": msgid("Access ends soon"),
    "GrantFailed": msgid("Port did not open"),
    "InstallationRestored": msgid("Installation restored from a backup"),
    "SinkTest": msgid("Test message"),
}
# Fields of events that say more than the request itself.
_FIELDS: Mapping[str, str] = {
    "reason": msgid("Reason"),
    "reasons": msgid("Reasons"),
    "note": msgid("Note"),
    "shortened": msgid("Shortened to"),
    "why": msgid("Why"),
    "what": msgid("What"),
    "asked": msgid("Asked"),
    "pending_until": msgid("Waits until"),
    "asked_since": msgid("Asked since"),
    "starts_at": msgid("Starts at"),
    "ends_at": msgid("Ends at"),
}


STARTS_SOON = "AccessStartsSoon"
JSON = {"content-type": "application/json; charset=utf-8"}


class Said(NamedTuple):
    """One event in words."""

    title: str
    facts: tuple[tuple[str, str], ...]  # label and text, in order
    path: str  # of the page of its request; empty: it has none


def said_of(link: Link, request: AccessRequest | None) -> Said:
    """What happened, who did it, to what; ``request`` is the one that it is of."""
    record = link.record
    data: Mapping[str, Any] = record["data"]
    facts = [(msgid("By"), record["actor"].get("name") or "Bascule")]
    if request is not None:
        facts += [
            (msgid("For"), request.requestor),
            (msgid("Opens"), _lines(_machine_words(each) for each in request.machines)),
        ]
        if request.justification:
            facts.append((msgid("Requested because"), request.justification))
    elif "policy" in data:
        facts.append((msgid("Policy"), str(data["policy"]).rpartition("/")[2]))
    facts += [(label, _value(data[name])) for name, label in _FIELDS.items() if data.get(name)]
    title = _TITLES.get(record["kind"]) or kind_of_record(record).display
    path = f"/portal/requests/{request.id}" if request is not None else ""
    return Said(title, tuple((label, one_line(text)) for label, text in facts), path)


def is_over(link: Link, request: AccessRequest | None, now: datetime) -> bool:
    """Is it no longer true, and of no use? A start that was withdrawn, lapsed, or has come: a receiver may
    have been away until then.
    """
    is_start = link.record["kind"] == STARTS_SOON
    return is_start and (request is None or not request.is_starting_soon(now))


def chat_parcel(link: Link, request: AccessRequest | None, form: Form, portal: str) -> Parcel:
    """One call of a chat's webhook; ``portal`` is this installation's address, such as https://host."""
    said = said_of(link, request)
    url = portal + said.path if said.path else ""
    body = slack_body(said, url) if form is Form.SLACK else teams_body(said, url)
    content = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()
    return Parcel((content,), JSON)


def slack_body(said: Said, url: str) -> dict[str, Any]:
    """Block Kit, with the whole as one text for notifications."""
    first = f"{said.title}: " + ", ".join(text for _, text in said.facts[:3])
    blocks: list[dict[str, Any]] = [
        {"type": "header", "text": plain(said.title)},
        *({"type": "section", "fields": [plain(label), plain(text)]} for label, text in said.facts),
    ]
    if url:
        link = {"type": "mrkdwn", "text": f"<{entities(url)}|Open the request in Bascule>"}
        blocks.append({"type": "context", "elements": [link]})
    return {"text": entities(first), "blocks": blocks}


def teams_body(said: Said, url: str) -> dict[str, Any]:
    """An Adaptive Card in the envelope of a workflow."""
    rows = [
        {
            "type": "RichTextBlock",
            "spacing": "small",
            "inlines": [
                text_run(f"{label}: ", weight="bolder"),
                text_run(text),
            ],
        }
        for label, text in said.facts
    ]
    title = text_run(said.title, weight="bolder", size="large")
    actions = [{"type": "Action.OpenUrl", "title": "Open the request in Bascule", "url": url}]
    return card_of([{"type": "RichTextBlock", "inlines": [title]}, *rows], actions if url else [])


def text_run(text: str, **more: object) -> dict[str, Any]:
    """Text of a card that is shown as it is; two braces begin a function (``{{DATE(..)}}``) and are parted."""
    return {"type": "TextRun", "text": re.sub(r"\{(?=\{)", "{ ", text), **more}


def card_of(body: Sequence[Mapping[str, Any]], actions: Sequence[Any] = ()) -> dict[str, Any]:
    """An Adaptive Card in its envelope."""
    card: dict[str, Any] = {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "body": list(body),
    }
    if actions:
        card["actions"] = list(actions)
    attachment = {
        "contentType": "application/vnd.microsoft.card.adaptive",
        "contentUrl": None,
        "content": card,
    }
    return {"type": "message", "attachments": [attachment]}


def one_line(text: object) -> str:
    """Bounded, without control characters, never empty: Slack refuses empty texts."""
    line = " ".join(clean(text).split()) or "-"
    return line if len(line) <= LONGEST_TEXT else line[: LONGEST_TEXT - 1] + _CUT


def _machine_words(machine: RequestedMachine) -> str:
    ports = ", ".join(
        f"{port.number} from {', '.join(map(str, port.sources))}" for port in machine.ports
    )
    return f"{machine.machine_id.name} port {ports}"


def _lines(texts: Iterable[str]) -> str:
    found = list(texts)
    more = [f"and {len(found) - MOST_LINES} more"] if len(found) > MOST_LINES else []
    return "; ".join(found[:MOST_LINES] + more)


def _value(value: object) -> str:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _lines(map(str, value))
    return str(value)


def plain(text: str) -> dict[str, Any]:
    """A text of Slack that is shown as it is."""
    return {"type": "plain_text", "text": text, "emoji": False}


def entities(text: str) -> str:
    """A text in Slack's mrkdwn that is no markup of a link or a mention."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
