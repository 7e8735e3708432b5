"""Cards for Teams in Microsoft's own renderer: all is valid, and what people wrote stays text (EDGES J11)."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Playwright

from bascule.domain.delivery import CHAT_KINDS, Form
from bascule.services.chat_batches import MOST_LISTED, batch_parcel
from tests.e2e.portal.chromium import PROGRAM
from tests.unit.test_services_chat import HOSTILE, PORTAL, REQUEST_ID, body_of, link_of, request_of

SCRIPT = Path(__file__).parent / "cards" / "node_modules" / "adaptivecards" / "dist"
OURS = f"{PORTAL}/portal/requests/{REQUEST_ID}"
TEXTS = [
    *HOSTILE,
    "**bold** _it_ [x](javascript:alert(1)) <b>b</b> <img src=x onerror=alert(1)>",
    "{{{DATE(2030-01-31T06:00:00Z, SHORT)}} ${expression} {{TIME(2030-01-31T06:00:00Z)}}",
]
_SHOW = """(card) => {
  const read = new AdaptiveCards.SerializationContext();
  const made = new AdaptiveCards.AdaptiveCard();
  const opened = [];
  made.onExecuteAction = (action) => opened.push(action.url);
  made.parse(card, read);
  const found = made.validateProperties().validationEvents.map((each) => each.message);
  for (let i = 0; i < read.eventCount; i++) found.push(read.getEventAt(i).message);
  const drawn = made.render();
  document.body.replaceChildren(drawn);
  const all = [...drawn.querySelectorAll('*')];
  drawn.querySelectorAll('a, button').forEach((each) => each.click());
  return {found, opened, text: drawn.innerText, tags: [...new Set(all.map((each) => each.tagName))],
    links: [...drawn.querySelectorAll('a')].map((each) => each.getAttribute('href'))};
}"""


@pytest.fixture(scope="module")
def blank(playwright: Playwright) -> Iterator[Page]:
    """An empty page with the renderer, in a browser of its own."""
    program, script = shutil.which(PROGRAM), SCRIPT / "adaptivecards.min.js"
    if program is None or not script.is_file():
        pytest.skip(f"needs {PROGRAM} and adaptivecards: make install-dev with Node.js and npm")
    browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
    opened = browser.new_page()
    opened.add_script_tag(path=script)
    yield opened
    browser.close()


def show(blank: Page, body: dict[str, Any]) -> Any:
    """Draw the card of a message, press all that can be pressed, and say what is seen."""
    (attachment,) = body["attachments"]
    card = attachment["content"]
    shown = blank.evaluate(_SHOW, card)
    assert shown["found"] == []
    assert set(shown["tags"]) <= {"DIV", "SPAN", "A", "BUTTON"}
    assert set(shown["links"]) | set(shown["opened"]) <= {OURS}
    seen = " ".join(shown["text"].split())
    for run in (run for row in card["body"] for run in row["inlines"]):
        assert " ".join(run["text"].split()) in seen, "as it was written"
    return shown


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("kind", CHAT_KINDS)
def test_each_card_is_shown_and_opens_one_page(blank: Page, kind: str, text: str) -> None:
    data = {"request_id": REQUEST_ID, **dict.fromkeys(("reason", "note", "why", "what"), text)}
    shown = show(blank, body_of(link_of(kind, data, text), request_of(text, text), Form.TEAMS))
    assert shown["opened"] == [OURS]
    of_policy = link_of(kind, {"policy": text, "why": text}, text)
    assert show(blank, body_of(of_policy, None, Form.TEAMS))["opened"] == []


def test_a_function_that_somebody_wrote_is_not_run(blank: Page) -> None:
    wrote = "{{DATE(2030-01-31T06:00:00Z, SHORT)}}"
    link = link_of("AccessNotApproved", {"request_id": REQUEST_ID, "reason": wrote})
    shown = show(blank, body_of(link, request_of(wrote), Form.TEAMS))
    assert "{ {DATE(2030-01-31T06:00:00Z, SHORT)}}" in shown["text"]


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("many", [2, 100])
def test_each_line_of_a_batch_opens_its_page(blank: Page, many: int, text: str) -> None:
    data = {"request_id": REQUEST_ID, "reason": text}
    told = [(link_of("AccessNotApproved", data, text), request_of(text, text))] * many
    shown = show(blank, json.loads(batch_parcel(told, Form.TEAMS, PORTAL).messages[0]))
    assert shown["opened"] == [OURS] * min(many, MOST_LISTED)
