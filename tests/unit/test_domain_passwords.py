"""What may be chosen as a password, and the neighbouring refusal."""

from __future__ import annotations

import pytest

from bascule.domain.passwords import LONGEST, SHORTEST, normalised, problems_of

NAMES = ("anna.berg@example.org", "Anna Berg")


@pytest.mark.parametrize(
    "good",
    [
        "x9!kq2mvb7Lp",  # just long enough
        "four words of mine",
        "    spaces count    ",
        "contrebasse à vapeur",
        "правильная лошадь",
        "abcabcabcabx",
        "123456789013",  # no row: two steps differ
        "passwords are a pain",  # has a common word in it, and is not made of it
        "annabelle dreams",  # begins like the name
        "q" * 11 + "w",
        "z" * (LONGEST - 1) + "y",
    ],
)
def test_may_be_chosen(good: str) -> None:
    assert problems_of(good, NAMES) == ()


@pytest.mark.parametrize(
    ("bad", "word"),
    [
        ("x9!kq2mvb7L", "at least 12"),
        ("", "at least 12"),
        ("\N{LATIN SMALL LIGATURE FFI}" * 3, "at least 12"),  # nine letters once it is normal
        ("x9!kq2mvb7" + "e\u0301", "at least 12"),  # é in two code points is one character
        ("z" * LONGEST + "y", "more than the maximum of 256"),
        ("passwordpassword", "easy to guess"),
        ("Password123456!", "easy to guess"),
        ("P@ssw0rd2026!!", "easy to guess"),
        ("!!!letmein!!!2024", "easy to guess"),
        ("123456789012", "easy to guess"),
        ("098765432109", "easy to guess"),
        ("aaaaaaaaaaaaaa", "easy to guess"),
        ("abcabcabcabc", "easy to guess"),
        ("qwertyuiopqwerty", "easy to guess"),
        ("poiuytrewqpoiu", "easy to guess"),
        ("correct horse battery staple", "easy to guess"),
        ("anna.berg@example.org", "easy to guess"),
        ("ANNA.BERG@example.org2026", "easy to guess"),
        ("anna.berg!1234567", "easy to guess"),
        ("AnnaBerg20262026", "easy to guess"),
        ("Anna Berg Anna Berg", "easy to guess"),
        ("\N{FULLWIDTH LATIN SMALL LETTER P}assword12345", "easy to guess"),
    ],
)
def test_may_not_be_chosen(bad: str, word: str) -> None:
    (problem,) = problems_of(bad, NAMES)
    assert word in problem.message
    assert problem.code == "InvalidPassword"
    assert not bad or bad not in problem.message


def test_short_names_forbid_nothing() -> None:
    """A name of two letters is in half of all passwords."""
    assert problems_of("al2026202620261", ("al", "")) == ()


def test_a_name_cannot_make_the_check_slow() -> None:
    """Linear in the password, whatever a name repeats: this would not end otherwise."""
    assert problems_of("1" * (LONGEST - 1) + "a", ("1" * 3, "1 1")) == ()


def test_one_password_typed_in_two_ways_is_one() -> None:
    assert normalised("cafe\u0301") == normalised("caf\u00e9")
    assert normalised("\uff41") == "a"
    assert SHORTEST < LONGEST
