"""What is signed between agents and servers (EDGES I1): one text for one message, and no other."""

from __future__ import annotations

import base64
from itertools import combinations
from pathlib import Path

import pytest

from bascule.identity.trust_key import TRUST_KEY, TrustKey
from bascule.protocol.signed import (
    Kind,
    Pinned,
    enrolment_text,
    is_signed,
    text_of,
    token_key,
    token_public,
)

SAID = (Kind.ANSWER, "uid", "nonce", 200, b"{}")
OTHERS = (
    (Kind.LINE, "uid", "nonce", 200, b"{}"),
    (Kind.ANSWER, "another", "nonce", 200, b"{}"),
    (Kind.ANSWER, "uid", "another", 200, b"{}"),
    (Kind.ANSWER, "uid", "nonce", 401, b"{}"),
    (Kind.ANSWER, "uid", "nonce", 200, b"{ }"),
)


@pytest.fixture
def key(tmp_path: Path) -> TrustKey:
    return TrustKey(tmp_path)


def test_what_was_signed_is_of_its_server(key: TrustKey) -> None:
    assert Pinned(key.public_key).is_of(*SAID, key.sign(*SAID))


@pytest.mark.parametrize("other", OTHERS)
def test_a_signature_counts_for_nothing_else(
    key: TrustKey, other: tuple[Kind, str, str, int, bytes]
) -> None:
    assert not Pinned(key.public_key).is_of(*other, key.sign(*SAID))


def test_another_servers_key_signs_for_nobody_here(key: TrustKey, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    other = TrustKey(tmp_path / "other")
    assert not Pinned(key.public_key).is_of(*SAID, other.sign(*SAID))


@pytest.mark.parametrize("signature", ["", "=", "é", "A" * 86, "A" * 1000, "A\nA"])
def test_what_is_no_signature_is_none(key: TrustKey, signature: str) -> None:
    assert not Pinned(key.public_key).is_of(*SAID, signature)


@pytest.mark.parametrize("public", ["", "A", "A" * 43 + "AA", "not base64!"])
def test_what_is_no_key_verifies_nothing(key: TrustKey, public: str) -> None:
    assert not Pinned(public).is_of(*SAID, key.sign(*SAID))


def test_no_two_messages_have_one_text() -> None:
    """Whoever chooses a uid or nonce cannot move the border between two fields."""
    texts = [
        text_of(Kind.ANSWER, "a", "b", 1, b""),
        text_of(Kind.ANSWER, 'a","b', "", 1, b""),
        text_of(Kind.ANSWER, "a\n", "b", 1, b""),
        text_of(Kind.ANSWER, "a", "\nb", 1, b""),
        enrolment_text("a", "b", "c"),
        enrolment_text('a","b', "c", ""),
    ]
    assert all(one != other for one, other in combinations(texts, 2))


def test_the_key_stays_and_is_nobody_elses(tmp_path: Path, key: TrustKey) -> None:
    assert TrustKey(tmp_path).public_key == key.public_key
    assert (tmp_path / TRUST_KEY).stat().st_mode & 0o777 == 0o600
    assert len(base64.urlsafe_b64decode(key.public_key + "=")) == 32


def test_a_token_is_proved_by_its_holder_alone() -> None:
    """What is sent and stored of a token proves nothing."""
    text = enrolment_text("uid", "A" * 43, "nonce")
    sent = token_public("bascule-enrol.one")

    def signed(token: str) -> str:
        return base64.urlsafe_b64encode(token_key(token).sign(text)).decode().rstrip("=")

    assert is_signed(sent, signed("bascule-enrol.one"), text)
    for other in (sent, "bascule-enrol.two", ""):
        assert not is_signed(sent, signed(other), text)
