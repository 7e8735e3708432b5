"""docs/guarantees.md says what the table says, and a promise without a test is found out."""

from __future__ import annotations

import pytest

from tools import guarantees
from tools.guarantees import Group, Promise

TEST = "tests/unit/test_services.py::test_udp_is_always_kill"


def groups(*promises: Promise) -> tuple[Group, ...]:
    return (Group("A group", promises),)


def test_the_page_is_what_the_table_gives() -> None:
    """Else: make promises."""
    assert guarantees.PAGE.read_text(encoding="utf-8") == guarantees.page(guarantees.load())


def test_a_sound_promise() -> None:
    assert guarantees.problems(groups(Promise("p", "l", (TEST,))), frozenset({TEST})) == []


@pytest.mark.parametrize(
    ("promise", "word"),
    [
        (Promise("p", "l", ()), "no test shows"),
        (Promise("p", "", (TEST,)), "no limits"),
        (Promise("p", "l", (TEST, TEST + "_once_more")), "_once_more"),
    ],
)
def test_what_is_wrong_with_a_promise(promise: Promise, word: str) -> None:
    (said,) = guarantees.problems(groups(promise), frozenset({TEST}))
    assert word in said


def test_pytest_is_asked_which_tests_there_are() -> None:
    """By node id, and for a test of many cases by its name alone too."""
    known = guarantees.collected(["tests/unit/test_services.py"])
    assert TEST in known
    assert "tests/unit/test_services.py::test_a_port_that_a_put_stops_naming_stays_shut" in known
    assert TEST + "_once_more" not in known


def test_the_page_has_every_promise_with_its_limits_and_tests() -> None:
    page = guarantees.page(groups(Promise("It holds.", "Not at sea.", (TEST,))))
    assert "**1. It holds.**" in page
    assert "*Limits:* Not at sea." in page
    assert (
        "* [unit/test_services](../tests/unit/test_services.py): `test_udp_is_always_kill`" in page
    )
