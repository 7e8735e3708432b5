"""What people, groups and programs may be called (EDGES A18)."""

from __future__ import annotations

import pytest

from bascule.domain.names import parse_display_name, parse_group_name, parse_user_name
from bascule.errors import InvalidInput


@pytest.mark.parametrize(
    "name", ["a", "anna", "Anna.B-c_d+e@example.com", "a" * 113, "anna@x", "42"]
)
def test_user_names(name: str) -> None:
    assert parse_user_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " anna",
        "anna\n",
        "a" * 114,
        "an na",
        "anna@",
        "@anna",
        "anna@x@y",
        ".anna",
        "anna.",
        "ann\u00e4",
        "\u0430nna",  # a Cyrillic letter that looks like ours
        "anna\u202egnp",
        "anna/../bert",
        "anna'b",
        "me",
        "ME",
        "11111111-2222-4333-8444-555555555555",
    ],
)
def test_what_is_no_user_name(name: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        parse_user_name(name, "here")
    assert refused.value.specific_code == "InvalidUserName"
    assert refused.value.target == "here"


@pytest.mark.parametrize("name", ["Admins", "Équipe réseau", "開発", "a b", "x" * 128])
def test_group_names(name: str) -> None:
    assert parse_group_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        " ",
        " Admins",
        "Admins ",
        "x" * 129,
        "Admins\t1",
        "Admins\u200b",
        "Admins\u202e",
        "Admins\ufe0f",
        "\u115f",
        "Admins\x1b[2J",
        "\uff21dmins",  # full-width: another spelling of the same name
        "\ud800",
    ],
)
def test_what_is_no_group_name(name: str) -> None:
    with pytest.raises(InvalidInput):
        parse_group_name(name)


def test_display_names() -> None:
    """They need not be unique, so another spelling does no harm; empty only where it may be."""
    assert parse_display_name("\uff21nna") == "\uff21nna"
    assert parse_display_name("", is_required=False) == ""
    for text in ("", "x" * 257, "a\u2066b"):
        with pytest.raises(InvalidInput):
            parse_display_name(text)
    with pytest.raises(InvalidInput):
        parse_display_name("a\nb", is_required=False)
