"""Text from elsewhere is one line that reads as it is."""

from __future__ import annotations

import pytest

from bascule.domain.plain import clean


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("é ü 漢字 \U0001f600", "é ü 漢字 \U0001f600"),
        ("a\x1b[31mb\x07", "a[31mb"),
        ("one\r\n\ttwo\u2028three", "one two three"),
        ("user\u202egpj.exe", "usergpj.exe"),
        ("a\u200bb\ud800c\U000e0041d", "abcd"),
        (7, "7"),
    ],
)
def test_what_hides_is_taken_out_and_the_rest_stays(given: object, shown: str) -> None:
    assert clean(given) == shown
