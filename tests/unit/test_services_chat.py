"""What a chat is told: Slack's own models and Adaptive Cards' schema read it, and markup stays text."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from bascule.domain.chain import Link
from bascule.domain.delivery import CHAT_KINDS, Form
from bascule.domain.facts.kinds import FACTS
from bascule.domain.ids import ResourceId, machine_id
from bascule.domain.net import AddressPrefix
from bascule.domain.request import AccessRequest, RequestedMachine, RequestedPort
from bascule.services.chat import LONGEST_TEXT, chat_parcel, said_of

PORTAL = "https://bascule.example"
NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
SUBSCRIPTION = "00000000-0000-4000-8000-000000000001"
REQUEST_ID = "3f2a91c0-0000-4000-8000-000000000001"
HOSTILE = [
    "<!channel> <https://evil.example|click> *bold* `x` & co",
    "[click](https://evil.example) **bold**\r\nBcc: all@example.com",
    "\x1b[31mred\x00\u202egnp.exe",
    "x" * 5000,
]


def link_of(kind: str, data: dict[str, Any], actor: str = "Ann") -> Link:
    record = {
        "id": "e",
        "at": "2030-01-31T12:00:00.0000000Z",
        "kind": kind,
        "actor": {"name": actor, "kind": "User", "principal_id": "p", "address": "", "client": ""},
        "resourceId": "",
        "correlationId": "",
        "data": data,
    }
    return Link(7, record, "")


def request_of(justification: str, requestor: str = "Ben") -> AccessRequest:
    policy = ResourceId.parse(
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/default/providers/Microsoft.Security/"
        "locations/local/jitNetworkAccessPolicies/default"
    )
    port = RequestedPort(22, (AddressPrefix.parse("192.0.2.7"),), NOW, "2030-01-31T12:00:00Z")
    machine = RequestedMachine(machine_id(SUBSCRIPTION, "default", "db-1"), (port,))
    return AccessRequest(REQUEST_ID, policy, "q", requestor, justification, NOW, (machine,))


def body_of(link: Link, request: AccessRequest | None, form: Form) -> dict[str, Any]:
    parcel = chat_parcel(link, request, form, PORTAL)
    assert parcel.headers["content-type"].startswith("application/json")
    read: dict[str, Any] = json.loads(parcel.messages[0])
    return read


def texts(value: object) -> list[str]:
    if isinstance(value, dict):
        return [each for inner in value.values() for each in texts(inner)]
    if isinstance(value, list):
        return [each for inner in value for each in texts(inner)]
    return [value] if isinstance(value, str) else []


def test_a_chat_is_told_of_kinds_that_there_are() -> None:
    assert set(CHAT_KINDS) <= set(FACTS)


def test_what_waits_is_told_with_all_that_matters_and_a_link() -> None:
    data = {
        "request_id": REQUEST_ID,
        "asked": ["rule two"],
        "pending_until": "2030-02-01T12:00:00Z",
    }
    said = said_of(link_of("AccessWaiting", data, "Ben"), request_of("ticket 4711"))
    assert said.title == "Approval needed"
    facts = dict(said.facts)
    assert facts["For"] == "Ben"
    assert facts["Opens"] == "db-1 port 22 from 192.0.2.7"
    assert facts["Requested because"] == "ticket 4711"
    assert said.path == f"/portal/requests/{REQUEST_ID}"


@pytest.mark.parametrize("hostile", HOSTILE)
def test_slack_reads_the_blocks_and_parses_nothing_that_people_wrote(hostile: str) -> None:
    data = {"request_id": REQUEST_ID, "reason": hostile}
    link = link_of("AccessNotApproved", data, hostile)
    body = body_of(link, request_of(hostile, hostile), Form.SLACK)
    blocks = Block.parse_all(body["blocks"])
    assert len(blocks) == len(body["blocks"]) <= 50
    for block in blocks:
        assert block is not None
        block.validate_json()
    parsed = [
        each
        for block in body["blocks"]
        for each in [block.get("text"), *block.get("fields", ()), *block.get("elements", ())]
        if each and each["type"] == "mrkdwn"
    ]
    (link_text,) = parsed
    assert link_text["text"].startswith(f"<{PORTAL}/portal/requests/{REQUEST_ID}|")
    assert "<" not in body["text"]
    assert all(len(each) <= LONGEST_TEXT * 4 and "\n" not in each for each in texts(body))


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_card_shows_what_people_wrote_as_it_is(hostile: str) -> None:
    """A TextBlock and a FactSet are read as Markdown; there is none, and one action opens our page."""
    data = {"request_id": REQUEST_ID, "reason": hostile}
    body = body_of(link_of("AccessNotApproved", data, hostile), request_of(hostile), Form.TEAMS)
    (attachment,) = body["attachments"]
    card = attachment["content"]
    assert {each["type"] for each in card["body"]} == {"RichTextBlock"}
    runs = [run for each in card["body"] for run in each["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    assert all("\n" not in run["text"] and "\x1b" not in run["text"] for run in runs)
    (action,) = card["actions"]
    assert action["type"] == "Action.OpenUrl"
    assert action["url"] == f"{PORTAL}/portal/requests/{REQUEST_ID}"


def test_an_event_without_a_request_has_no_link() -> None:
    body = body_of(link_of("SinkTest", {"sink": "chat", "what": "a test"}), None, Form.SLACK)
    assert "http" not in json.dumps(body)
    card = body_of(link_of("SinkTest", {"sink": "chat"}), None, Form.TEAMS)
    assert "actions" not in card["attachments"][0]["content"]
