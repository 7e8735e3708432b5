"""How deep JSON from elsewhere nests is judged before it is parsed (EDGES E1)."""

from __future__ import annotations

import contextlib
import json
import time

import pytest

from bascule.json_text import DEEPEST, TooDeep, check_depth, read_json


def nested(depth: int, opening: str = "[", closing: str = "]", inner: str = "") -> str:
    return opening * depth + inner + closing * depth


@pytest.mark.parametrize(
    "text",
    [
        nested(DEEPEST),
        nested(DEEPEST, '{"a":', "}", "1"),
        nested(DEEPEST - 1, "[", "]", "[],[],{}"),
        json.dumps({"text": "[" * 5000}),
        json.dumps({"[" * 5000: ['"', "\\", '\\"[' * 500]}),
        json.dumps([{"a": [1, "]"]}] * 2000),
        '"' + "\\\\" * 500 + '"',
        "null",
    ],
)
def test_what_nests_no_deeper_is_read(text: str) -> None:
    assert read_json(text) == json.loads(text)


@pytest.mark.parametrize(
    "text",
    [
        nested(DEEPEST + 1),
        nested(DEEPEST + 1, '{"a":', "}", "1"),
        nested(990),
        "[" + nested(DEEPEST) + "]",
        '["\\"",' + nested(DEEPEST, "[", "]", '"["') + "]",
        "[" * 100_000,
        nested(DEEPEST + 1, "[", "}"),
        '{"a":[' * 20 + "]}" * 20,
    ],
)
def test_what_nests_deeper_is_not(text: str) -> None:
    with pytest.raises(TooDeep):
        read_json(text)


@pytest.mark.parametrize("text", ["", "[", "]", "[}", '["', '"\\', "]" * 1000 + "[", '{"a"'])
def test_what_is_no_json_is_the_parsers_affair(text: str) -> None:
    check_depth(text)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated|Extra data"):
        read_json(text)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32-le", "latin-1"])
def test_bytes_are_utf_8(encoding: str) -> None:
    with pytest.raises(ValueError, match=r"decode|Expecting"):
        read_json('["é"]'.encode(encoding))


@pytest.mark.parametrize(
    "piece", ["[", "]", "[]", '"', '\\"', '"\\', "[1,", "[]]", "{}[", "\\", '""[']
)
def test_a_mebibyte_of_anything_is_judged_in_linear_time(piece: str) -> None:
    """Forty times as much takes about forty times as long; quadratic would be 1,600 times."""

    def seconds(size: int) -> float:
        text = piece * (size // len(piece))
        began = time.process_time()
        with contextlib.suppress(TooDeep):
            check_depth(text)
        return time.process_time() - began

    small = min(seconds(25_000) for _ in range(3))
    assert seconds(1_000_000) < max(0.005, small) * 400
