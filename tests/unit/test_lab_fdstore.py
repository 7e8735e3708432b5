"""The service manager's side of the fd store: what is kept, what is closed, what is handed on."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest

from bascule.lab.fdstore import (
    FdStore,
    is_fd_name,
    is_same_socket,
    listen_environment,
    parse_notice,
)


class Ledger:
    """A store over made-up descriptors that remembers what was closed."""

    def __init__(self, limit: int = 64) -> None:
        self.closed: list[int] = []
        self.store = FdStore(limit, self.closed.append, lambda one, other: one % 100 == other % 100)

    @property
    def names(self) -> list[tuple[str, int]]:
        return [(entry.name, entry.fd) for entry in self.store.entries]

    def say(self, text: str, *fds: int) -> None:
        self.store.accept(parse_notice(text.encode()), fds)


def test_notice_is_lines_of_names_and_values() -> None:
    assert parse_notice(b"READY=1\nSTATUS=a=b\nnonsense\nREADY=2\n") == {
        "READY": "2",
        "STATUS": "a=b",
    }
    assert parse_notice(b"\xff\xfe") == {}


def test_stored_descriptors_keep_their_order_and_names() -> None:
    ledger = Ledger()
    ledger.say("FDSTORE=1\nFDNAME=owner", 7)
    ledger.say("FDSTORE=1\nFDNAME=second", 8, 9)
    assert ledger.names == [("owner", 7), ("second", 8), ("second", 9)]
    assert ledger.closed == []


@pytest.mark.parametrize("text", ["READY=1", "FDSTORE=0\nFDNAME=x", "BARRIER=1", ""])
def test_what_nobody_stores_is_closed(text: str) -> None:
    """A barrier is over for its sender when its descriptor is closed; nothing may leak."""
    ledger = Ledger()
    ledger.say(text, 7, 8)
    assert ledger.names == []
    assert ledger.closed == [7, 8]


def test_removal_closes_all_of_that_name_and_no_other() -> None:
    ledger = Ledger()
    ledger.say("FDSTORE=1\nFDNAME=old", 7, 8)
    ledger.say("FDSTORE=1\nFDNAME=new", 9)
    ledger.say("FDSTOREREMOVE=1\nFDNAME=old")
    assert ledger.names == [("new", 9)]
    assert ledger.closed == [7, 8]
    ledger.say("FDSTOREREMOVE=1")
    assert ledger.names == [("new", 9)]


def test_same_socket_is_kept_once() -> None:
    ledger = Ledger()
    ledger.say("FDSTORE=1\nFDNAME=a", 7)
    ledger.say("FDSTORE=1\nFDNAME=b", 107)
    assert ledger.names == [("a", 7)]
    assert ledger.closed == [107]


def test_no_more_is_kept_than_the_limit() -> None:
    ledger = Ledger(limit=2)
    ledger.say("FDSTORE=1", 1, 2, 3)
    assert ledger.names == [("stored", 1), ("stored", 2)]
    assert ledger.closed == [3]


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [("nft-owner-12", True), ("a b", True), ("", False), ("a:b", False), ("a\tb", False),
     ("\u00e9", False), ("x" * 255, True), ("x" * 256, False)],
)  # fmt: skip
def test_name_that_would_break_the_list_is_not_used(name: str, is_allowed: bool) -> None:
    """LISTEN_FDNAMES is joined by colons: one in a name would shift all that follow."""
    assert is_fd_name(name) is is_allowed
    ledger = Ledger()
    ledger.say(f"FDSTORE=1\nFDNAME={name}", 7)
    assert ledger.names == [(name if is_allowed else "stored", 7)]


def test_descriptor_is_polled_unless_the_service_says_no() -> None:
    store = Ledger().store
    (one,) = store.accept({"FDSTORE": "1"}, [1])
    (two,) = store.accept({"FDSTORE": "1", "FDPOLL": "0"}, [2])
    assert (one.is_polled, two.is_polled) == (True, False)


def test_clear_leaves_nothing() -> None:
    ledger = Ledger()
    ledger.say("FDSTORE=1", 7, 8)
    ledger.store.clear()
    assert ledger.names == []
    assert sorted(ledger.closed) == [7, 8]


def test_handing_over_names_each_descriptor_in_order() -> None:
    assert listen_environment(["listen", "nft-owner-1"]) == {
        "LISTEN_FDS": "2",
        "LISTEN_FDNAMES": "listen:nft-owner-1",
    }
    assert listen_environment([]) == {}


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def test_socket_is_known_again_through_another_descriptor(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    one, other = pair
    copy = os.dup(one.fileno())
    try:
        assert is_same_socket(one.fileno(), copy)
        assert not is_same_socket(one.fileno(), other.fileno())
    finally:
        os.close(copy)
