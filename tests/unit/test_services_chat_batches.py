"""Many events for one chat become one message; what may not wait is sent at once and by itself (EDGES J11)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from slack_sdk.models.blocks import Block

from bascule.domain.chain import Link
from bascule.domain.delivery import NEVER_MUTED, Form, Sink, parse_target
from bascule.services.chat_batches import MOST_A_MINUTE, MOST_LISTED, Pace, batch_parcel, count_now
from tests.unit.test_services_chat import (
    HOSTILE,
    NOW,
    PORTAL,
    REQUEST_ID,
    link_of,
    request_of,
    texts,
)


def links(*kinds: str) -> list[Link]:
    return [replace(link_of(kind, {}), position=n) for n, kind in enumerate(kinds, 1)]


def ordinary(many: int) -> list[Link]:
    return links(*["GrantOpened"] * many)


def test_few_go_one_by_one_and_many_as_one() -> None:
    for many in range(1, MOST_A_MINUTE + 1):
        assert count_now(ordinary(many), 0, 0, is_all=True) == 1
    assert count_now(ordinary(6), 0, 0, is_all=True) == 6
    assert count_now(ordinary(2), 4, 0, is_all=True) == 2
    assert count_now(ordinary(1), 4, 0, is_all=True) == 1


def test_what_has_no_room_waits_and_is_not_taken() -> None:
    assert count_now(ordinary(30), MOST_A_MINUTE, 0, is_all=True) == 0
    assert count_now(ordinary(1), MOST_A_MINUTE, 0, is_all=True) == 0


@pytest.mark.parametrize("kind", sorted(NEVER_MUTED))
@pytest.mark.parametrize("sent", range(MOST_A_MINUTE + 1))
def test_what_is_never_delayed_is_sent_by_itself_and_waits_for_nothing(
    kind: str, sent: int
) -> None:
    """At the front, and behind what would wait: that goes at once then."""
    assert count_now(links(kind, "GrantOpened", kind), sent, 0, is_all=True) == 1
    many = ["GrantOpened"] * 30
    assert count_now(links(*many, kind, *many), sent, 0, is_all=True) == 30
    assert count_now(ordinary(30), sent, 0, is_all=False) == 30, "it may stand behind the page"
    for form in ("slack", "teams"):
        target = parse_target("https://chat.example/in")
        sink = Sink("s", "chat", target, Form(form), NOW, kinds=("GrantOpened",), level=5)
        assert sink.wants(kind, 1), "no choice mutes it"


def test_what_was_refused_in_a_batch_is_tried_one_by_one() -> None:
    assert count_now(ordinary(30), MOST_A_MINUTE, 30, is_all=True) == 1


def test_a_minute_counts_from_each_message() -> None:
    pace = Pace()
    for second in range(10):
        pace.note(second)
    assert pace.sent(10) == MOST_A_MINUTE
    assert [pace.sent(60 + second) for second in range(4, 11)] == [5, 4, 3, 2, 1, 0, 0]


def told(many: int, text: str) -> list[Any]:
    data = {"request_id": REQUEST_ID, "reason": text}
    return [(link_of("AccessNotApproved", data, text), request_of(text, text))] * many


def body_of(many: int, text: str, form: Form) -> dict[str, Any]:
    parcel = batch_parcel(told(many, text), form, PORTAL)
    assert len(parcel.messages) == 1
    assert len(parcel.messages[0]) < 28 * 1024, "the bound of Teams"
    read: dict[str, Any] = json.loads(parcel.messages[0])
    assert json.dumps(read).count(f"{PORTAL}/portal/requests/{REQUEST_ID}") == min(
        many, MOST_LISTED
    )
    assert all("\n" not in each and "\x1b" not in each for each in texts(read))
    return read


@pytest.mark.parametrize("many", [2, MOST_LISTED, MOST_LISTED + 1, 100])
@pytest.mark.parametrize("hostile", [*HOSTILE, "\U0001f600" * 5000])
def test_slack_reads_a_batch_and_parses_nothing_that_people_wrote(many: int, hostile: str) -> None:
    body = body_of(many, hostile, Form.SLACK)
    for block in Block.parse_all(body["blocks"]):
        assert block is not None
        block.validate_json()
    parsed = [
        each["text"]
        for block in body["blocks"]
        for each in [block.get("text"), *block.get("fields", ())]
        if each and each["type"] == "mrkdwn"
    ]
    link = f"<{PORTAL}/portal/requests/{REQUEST_ID}|Open the request in Bascule>"
    assert set(parsed) == {link}
    assert "<" not in body["text"]
    assert f"Denied: {many}" in body["text"]
    assert (f"and {many - MOST_LISTED} more" in json.dumps(body)) == (many > MOST_LISTED)


@pytest.mark.parametrize("many", [2, 100])
@pytest.mark.parametrize("hostile", [*HOSTILE, "\U0001f600" * 5000])
def test_a_card_of_a_batch_has_runs_of_text_and_links_alone(many: int, hostile: str) -> None:
    (attachment,) = body_of(many, hostile, Form.TEAMS)["attachments"]
    card = attachment["content"]
    assert {each["type"] for each in card["body"]} == {"RichTextBlock"}
    runs = [run for each in card["body"] for run in each["inlines"]]
    assert {run["type"] for run in runs} == {"TextRun"}
    actions = [run["selectAction"] for run in runs if "selectAction" in run]
    assert {each["type"] for each in actions} == {"Action.OpenUrl"}
    assert {each["url"] for each in actions} == {f"{PORTAL}/portal/requests/{REQUEST_ID}"}
    assert "actions" not in card
