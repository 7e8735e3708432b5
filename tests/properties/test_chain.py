"""The chain: any edit, removal from within, insertion or swap of records is found."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st

from bascule.domain.chain import ChainHead, Link, link_after
from bascule.domain.proof import FORMAT, VERSION, Break, Proof, line_of, link_line

Record = dict[str, object]

values = st.recursive(
    st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
records = st.dictionaries(st.text(max_size=4), values, min_size=1, max_size=4)
chains = st.lists(records, min_size=1, max_size=8)


def chained(facts: list[Record]) -> list[Link]:
    head, links = ChainHead(), []
    for fact in facts:
        links.append(link_after(head, fact))
        head = links[-1].head
    return links


def broken(links: list[Link], end: ChainHead) -> Break | None:
    """What breaks an export of these links first; its header was written before, and its
    signature counts as good.
    """
    ends = {
        name: {"position": head.position, "hash": head.hash}
        for name, head in (("begin", ChainHead()), ("end", end))
    }
    proof = Proof(lambda *_: True)
    proof.take(line_of({"header": {"format": FORMAT, "version": VERSION, **ends}}))
    for link in links:
        proof.take(link_line(link))
    return proof.verdict().break_


def first_broken(links: list[Link], end: ChainHead) -> int | None:
    found = broken(links, end)
    return None if found is None else found.position


@given(chains)
def test_an_untouched_chain_is_whole(facts: list[Record]) -> None:
    """No false alarm: an auditor who is called for nothing stops coming."""
    links = chained(facts)
    assert broken(links, links[-1].head) is None


@given(chains, st.data())
def test_an_edit_is_found_at_its_place(facts: list[Record], data: st.DataObject) -> None:
    """Any other value in any record."""
    links = chained(facts)
    end, at = links[-1].head, data.draw(st.integers(0, len(links) - 1))
    other = data.draw(records)
    assume(
        repr(sorted(other.items(), key=repr)) != repr(sorted(links[at].record.items(), key=repr))
    )
    links[at] = replace(links[at], record=other)
    assert first_broken(links, end) == at + 1


@given(chains, st.data())
def test_a_forged_hash_is_found(facts: list[Record], data: st.DataObject) -> None:
    """An edit with its own hash made right breaks at the next record, or at the signed end."""
    links = chained(facts)
    end, at = links[-1].head, data.draw(st.integers(0, len(links) - 1))
    before = links[at - 1].head if at else ChainHead()
    links[at] = link_after(before, {**links[at].record, "forged": "yes"})
    found = first_broken(links, end)
    assert found is not None
    assert found > at


@given(chains, st.data())
def test_a_removal_from_within_is_found(facts: list[Record], data: st.DataObject) -> None:
    """All but the last: a cut tail is found by whoever keeps the head (EDGES B9)."""
    links = chained(facts)
    assume(len(links) > 1)
    end, at = links[-1].head, data.draw(st.integers(0, len(links) - 2))
    del links[at]
    assert first_broken(links, end) == at + 1


@given(chains, st.data())
def test_a_swap_is_found(facts: list[Record], data: st.DataObject) -> None:
    """Order is part of the proof; even two equal records cannot change places unseen."""
    links = chained(facts)
    assume(len(links) > 1)
    end, at = links[-1].head, data.draw(st.integers(0, len(links) - 2))
    links[at], links[at + 1] = links[at + 1], links[at]
    assert first_broken(links, end) == at + 1


@given(chains, records, st.data())
def test_an_insertion_is_found(facts: list[Record], extra: Record, data: st.DataObject) -> None:
    """A record that was never made, put in with a hash of its own."""
    links = chained(facts)
    end, at = links[-1].head, data.draw(st.integers(0, len(links) - 1))
    links.insert(at, link_after(links[at - 1].head if at else ChainHead(), extra))
    assert broken(links, end) is not None
