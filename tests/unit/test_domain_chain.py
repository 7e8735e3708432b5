"""Links and checkpoints: what a hash and a signature cover, and that it comes back the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.chain import (
    GENESIS,
    ChainHead,
    Checkpoint,
    checkpoint_json,
    export_statement,
    link_after,
    link_hash,
    read_checkpoint,
)
from bascule.errors import InvalidInput
from tests.samples import NOW

RECORD = {"kind": "AgentCameBack", "data": {"machine": "web-1"}}
SIGNED = Checkpoint(ChainHead(3, "ab" * 32), NOW, "key", "sig")


def test_a_link_follows_its_head() -> None:
    first = link_after(ChainHead(), RECORD)
    assert (first.position, first.hash) == (1, link_hash(GENESIS, 1, RECORD))
    second = link_after(first.head, RECORD)
    assert second.head == ChainHead(2, link_hash(first.hash, 2, RECORD))
    assert second.hash != first.hash, "the same event at another place is another link"


def test_the_hash_does_not_depend_on_the_order_of_keys() -> None:
    """The store may give a record's keys back in another order."""
    turned = dict(reversed(RECORD.items()))
    assert link_hash(GENESIS, 1, RECORD) == link_hash(GENESIS, 1, turned)


def test_a_known_hash() -> None:
    """The arithmetic is fixed: a later version must verify what an older one wrote."""
    assert link_hash(GENESIS, 1, {"b": 1, "a": "é"}) == (
        "f3e608dc06fc6f996ddec257ba01c4714790282ee0216794c3912591048d536e"
    )


def test_the_hash_covers_the_place() -> None:
    assert link_hash(GENESIS, 1, RECORD) != link_hash(GENESIS, 2, RECORD)


def test_a_lone_surrogate_does_not_stop_the_chain() -> None:
    """JSON can carry half a character; somebody's justification must not end the sealing."""
    assert link_hash(GENESIS, 1, {"a": "\ud800"}) != link_hash(GENESIS, 1, {"a": "?"})


def test_a_checkpoint_is_read_as_it_was_written() -> None:
    assert read_checkpoint(checkpoint_json(SIGNED)) == SIGNED
    assert "signature" not in checkpoint_json(replace(SIGNED, signature=""))


@pytest.mark.parametrize("lacking", ["at", "hash", "keyId", "position", "signature"])
def test_a_checkpoint_without_a_part_is_none(lacking: str) -> None:
    data = checkpoint_json(SIGNED)
    del data[lacking]
    with pytest.raises(KeyError):
        read_checkpoint(data)


def test_a_checkpoint_at_no_time_is_none() -> None:
    with pytest.raises(InvalidInput):
        read_checkpoint({**checkpoint_json(SIGNED), "at": "yesterday"})


@pytest.mark.parametrize(
    "other",
    [
        replace(SIGNED, head=ChainHead(4, SIGNED.head.hash)),
        replace(SIGNED, head=ChainHead(3, "cd" * 32)),
        replace(SIGNED, key_id="other"),
    ],
)
def test_the_statement_covers_all_but_the_signature(other: Checkpoint) -> None:
    assert other.statement() != SIGNED.statement()
    assert replace(SIGNED, signature="else").statement() == SIGNED.statement()


def test_a_header_and_a_checkpoint_cannot_stand_for_each_other() -> None:
    """Each kind of statement begins with its own words."""
    header = checkpoint_json(replace(SIGNED, signature=""))
    assert export_statement({**header, "signature": "x"}) != SIGNED.statement()
    assert export_statement({**header, "signature": "x"}) == export_statement(header)
