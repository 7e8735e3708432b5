"""docs/delivery.md: its check of a signature is right, and its tables are those of the code."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bascule.domain.chain import Link
from bascule.domain.delivery import FORMS, KINDS, LEVELS, Transport
from bascule.outward.webhook import _REFUSALS
from bascule.services.cef import cef_line
from bascule.services.cloudevents import new_secret, webhook_parcel
from tests.contracts.store.samples import a_grant

PAGE = (Path(__file__).parents[2] / "docs" / "delivery.md").read_text(encoding="utf-8")
RECORD: dict[str, Any] = {
    "id": "e-1",
    "at": "2030-01-31T17:00:00.0000000Z",
    "kind": "GrantOpened",
    "actor": {
        "principal_id": "p",
        "name": "n",
        "kind": "User",
        "address": "192.0.2.1",
        "client": "c",
    },
    "resourceId": "/providers/Microsoft.Compute/virtualMachines/web-1",
    "correlationId": "c-1",
    "data": {
        "grant_id": "grant-1",
        "why": "w",
        "justification": "j",
        "method": "GET",
        "path": "/p",
    },
}


def is_ours() -> Callable[..., bool]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    found: dict[str, Any] = {}
    exec(program, found)  # noqa: S102  # reason: the page's own program is what is tested
    checked: Callable[..., bool] = found["is_ours"]
    return checked


def test_the_pages_check_takes_our_calls_and_no_others() -> None:
    check, old, new = is_ours(), new_secret(), new_secret()
    now = datetime.fromtimestamp(time.time(), UTC)  # noqa: TID251  # reason: the page's program reads it
    link = Link(7, RECORD, "ab")
    parcel = webhook_parcel([link, link], "/s", (new, old), now, is_batch=True)
    (body,), headers = parcel.messages, dict(parcel.headers)
    assert check(headers, body, new)
    assert check(headers, body, old)
    assert not check(headers, body, new_secret())
    assert not check(headers, body + b" ", new)
    assert not check({**headers, "webhook-id": "other"}, body, new)
    later = str(int(headers["webhook-timestamp"]) + 1)
    assert not check({**headers, "webhook-timestamp": later}, body, new)
    past = datetime.fromtimestamp(now.timestamp() - 600, UTC)
    stale = webhook_parcel([link], "/s", (new,), past, is_batch=False)
    assert not check(stale.headers, stale.messages[0], new)


def test_the_targets_are_those_that_there_are() -> None:
    rows = re.findall(
        r"^\| `([a-z+]+):(?://)?(?:[A-Z]|people).*?` \|.*\| (`\w+`) \| (.*?) \|$",
        PAGE,
        re.MULTILINE,
    )
    assert {row[0] for row in rows} == set(Transport)
    for scheme, usual, others in rows:
        first, *more = FORMS[KINDS[Transport(scheme)]]
        assert usual == f"`{first}`"
        assert re.findall(r"`(\w+)`", others) == [str(each) for each in more]
    assert all(f"`{level}`" in PAGE for level in LEVELS)


def test_the_refusals_are_those_of_the_code() -> None:
    row = next(line for line in PAGE.splitlines() if line.startswith("| 400,"))
    assert {int(each) for each in re.findall(r"\b[45]\d\d\b", row)} == _REFUSALS


def test_every_field_of_cef_is_on_the_page() -> None:
    grant = a_grant()
    lines = [cef_line(Link(7, RECORD, "ab"), grants) for grants in ({}, {grant.id: grant})]
    actor = {**RECORD["actor"], "address": "2001:db8::1"}
    lines.append(cef_line(Link(7, {**RECORD, "actor": actor}, "ab"), {}))
    table = "\n".join(line for line in PAGE.splitlines() if line.startswith("| `"))
    for key in {key for line in lines for key in re.findall(r" (\w+)=", line)}:
        if not key.endswith("Label"):
            assert f"`{key}`" in table, key
