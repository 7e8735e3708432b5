"""Addresses of mail, and who hears after one was changed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.mail import (
    CODE_LIFE,
    OLD_ADDRESS_HEARS,
    MailChoice,
    Unconfirmed,
    parse_mail_address,
)
from bascule.errors import InvalidInput

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
BEN = MailChoice("ben", "ben@example.com", "fr", asked=True, own=False)


def test_the_address_before_hears_too_for_seven_days() -> None:
    moved = BEN.moved("new@example.com", NOW)
    assert (moved.language, moved.asked, moved.own) == ("fr", True, False)
    last = NOW + OLD_ADDRESS_HEARS - timedelta(microseconds=1)
    assert moved.addresses(last) == ("new@example.com", "ben@example.com")
    assert moved.addresses(NOW + OLD_ADDRESS_HEARS) == ("new@example.com",)


def test_a_second_change_does_not_silence_the_address_before_both() -> None:
    twice = BEN.moved("evil1@example.com", NOW).moved("evil2@example.com", NOW)
    assert twice.addresses(NOW) == ("evil2@example.com", "ben@example.com")
    later = NOW + OLD_ADDRESS_HEARS
    assert twice.moved("next@example.com", later).addresses(later)[1] == "evil2@example.com"


def test_wanting_none_silences_the_address_after_seven_days_and_no_sooner() -> None:
    none = BEN.moved("", NOW)
    assert none.addresses(NOW) == ("ben@example.com",)
    assert none.moved("evil@example.com", NOW).addresses(NOW) == (
        "evil@example.com",
        "ben@example.com",
    )
    assert none.addresses(NOW + OLD_ADDRESS_HEARS) == ()


def test_the_same_address_again_changes_nothing() -> None:
    moved = BEN.moved("new@example.com", NOW)
    assert moved.moved("new@example.com", NOW + timedelta(days=1)) == moved
    assert BEN.addresses(NOW) == ("ben@example.com",)


def test_a_code_is_good_for_an_hour() -> None:
    assert Unconfirmed("ben", "ben@example.com", NOW).until == NOW + CODE_LIFE


@pytest.mark.parametrize(
    "address",
    ["a@b", "anna.b+c@mail.example.com", "x" * 64 + "@example.com"],
)
def test_addresses_that_are_taken(address: str) -> None:
    assert parse_mail_address(address) == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "anna",
        "@example.com",
        "anna@",
        "a b@example.com",
        "anna@example.com\r\nBcc: x@y",
        "<a@b.c>",
        "anna@-x.com",
        "anna@x..com",
        "a@b,c@d",
        '"a b"@example.com',
        "x" * 65 + "@example.com",
        "a@" + "b" * 250,
        "änna@example.com",
        "=?utf-8?q?x?=@b.c",
    ],
)
def test_addresses_that_are_refused(address: str) -> None:
    with pytest.raises(InvalidInput):
        parse_mail_address(address)
