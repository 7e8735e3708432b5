"""What a host cannot do is said by name: which program is too old, and what that means."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from bascule.domain.weaknesses import TABLE_UNOWNED
from bascule.drivers.linux import facts, flushers, sockets
from bascule.drivers.nftables import features, library
from bascule.drivers.nftables.library import Context
from bascule.errors import ConfigurationError, EnforcementFailed


class Refusing(Context):
    """A library that takes nothing, without a kernel behind it."""

    def __init__(self, words: str) -> None:
        self._words = words

    def run(self, text: str) -> str:
        raise EnforcementFailed(f"nftables refused: {self._words}")

    def check(self, text: str) -> None:
        self.run(text)


class Unowning(Context):
    """One that takes everything but a table's owner."""

    def __init__(self) -> None:
        pass

    def run(self, text: str) -> str:
        if "owner" in text:
            raise EnforcementFailed("nftables refused: syntax error, unexpected owner")
        return ""

    def check(self, text: str) -> None:
        self.run(text)


def versions(monkeypatch: pytest.MonkeyPatch, kernel: str, nft: str) -> None:
    monkeypatch.setattr(facts, "kernel_version", lambda: kernel)
    monkeypatch.setattr(facts, "nft_version", lambda: nft)


@pytest.mark.parametrize(
    ("kernel", "nft", "words"),
    [
        ("5.4.0-42-generic", "1.0.2", "Linux 5.4.0-42-generic is older than 5.10"),
        ("5.15.0", "0.9.8", "nftables 0.9.8 is older than 1.0"),
        ("4.19.0", "0.9.0", "Linux 4.19.0 is older than 5.10 and nftables 0.9.0 is older than 1.0"),
    ],
)
def test_what_is_too_old_to_keep_ports_shut_is_named(
    monkeypatch: pytest.MonkeyPatch, kernel: str, nft: str, words: str
) -> None:
    versions(monkeypatch, kernel, nft)
    with pytest.raises(ConfigurationError) as caught:
        features.probe(Refusing("syntax error, unexpected fib"))
    assert caught.value.message == f"Bascule cannot keep any port of this host closed: {words}."
    assert "unexpected fib" in str(caught.value.advice)


@pytest.mark.parametrize(
    ("kernel", "nft"), [("6.12.0-1-amd64", "1.1.3"), ("unheard of", "unknown")]
)
def test_a_module_that_is_missing_is_not_taken_for_an_old_kernel(
    monkeypatch: pytest.MonkeyPatch, kernel: str, nft: str
) -> None:
    versions(monkeypatch, kernel, nft)
    with pytest.raises(ConfigurationError, match="cannot hold our rules: nftables refused"):
        features.probe(Refusing("No such file or directory"))


def test_a_table_that_cannot_be_owned_is_a_weakness(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, "6.1.0-18-amd64", "1.0.9")
    monkeypatch.setattr(flushers, "flusher", lambda: "nftables.service")

    def none(ports: Sequence[int] | None = None) -> list[sockets.Connection]:
        return []

    monkeypatch.setattr(sockets, "local_connections", none)
    found = features.probe(Unowning())
    assert not found.is_owned
    assert found.weaknesses[0] == TABLE_UNOWNED(kernel="6.1.0-18-amd64", nftables="1.0.9")
    assert found.flushed_by == "nftables.service"


def test_a_kernel_without_netfilter_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library would end the process, without a word of what that means."""

    def refused(*_: object) -> None:
        raise OSError(93, "Protocol not supported")

    monkeypatch.setattr(library, "_load", object)
    monkeypatch.setattr("bascule.drivers.nftables.library.socket.socket", refused)
    with pytest.raises(ConfigurationError, match="has no netfilter"):
        Context()
