"""The chain: any edit, removal from within, insertion or swap of records is found."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from bascule.domain.chain import GENESIS, chain_hash, first_broken

Record = dict[str, object]
Links = list[tuple[Record, str]]

values = st.recursive(
    st.one_of(st.text(max_size=5), st.integers(), st.booleans(), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
records = st.dictionaries(st.text(max_size=4), values, min_size=1, max_size=4)
chains = st.lists(records, min_size=1, max_size=8)


def chained(facts: list[Record]) -> Links:
    links: Links = []
    previous = GENESIS
    for fact in facts:
        previous = chain_hash(previous, fact)
        links.append((fact, previous))
    return links


@given(chains)
def test_an_untouched_chain_is_whole(facts: list[Record]) -> None:
    """No false alarm: an auditor who is called for nothing stops coming."""
    assert first_broken(chained(facts)) is None


@given(chains, st.data())
def test_an_edit_is_found_at_its_place(facts: list[Record], data: st.DataObject) -> None:
    """Any other value in any record."""
    links = chained(facts)
    at = data.draw(st.integers(0, len(links) - 1))
    other = data.draw(records)
    assume(repr(sorted(other.items(), key=repr)) != repr(sorted(links[at][0].items(), key=repr)))
    links[at] = (other, links[at][1])
    assert first_broken(links) == at


@given(chains, st.data())
def test_a_forged_hash_is_found(facts: list[Record], data: st.DataObject) -> None:
    """An edit with its own hash made right breaks at the next record instead."""
    links = chained(facts)
    at = data.draw(st.integers(0, len(links) - 1))
    forged = {**links[at][0], "forged": "yes"}
    previous = links[at - 1][1] if at else GENESIS
    links[at] = (forged, chain_hash(previous, forged))
    assert first_broken(links) == (at + 1 if at + 1 < len(links) else None)
    assert links[at][1] != chained(facts)[at][1]  # the last one shows by its head, kept elsewhere


@given(chains, st.data())
def test_a_removal_from_within_is_found(facts: list[Record], data: st.DataObject) -> None:
    """All but the last: a cut tail is found by whoever keeps the head (EDGES B9)."""
    links = chained(facts)
    assume(len(links) > 1)
    at = data.draw(st.integers(0, len(links) - 2))
    del links[at]
    assert first_broken(links) == at


@given(chains, st.data())
def test_a_swap_is_found(facts: list[Record], data: st.DataObject) -> None:
    """Order is part of the proof; even two equal records cannot change places unseen."""
    links = chained(facts)
    assume(len(links) > 1)
    at = data.draw(st.integers(0, len(links) - 2))
    links[at], links[at + 1] = links[at + 1], links[at]
    assert first_broken(links) == at


@given(chains, records, st.data())
def test_an_insertion_is_found(facts: list[Record], extra: Record, data: st.DataObject) -> None:
    """A record that was never made, put in with a hash of its own."""
    links = chained(facts)
    at = data.draw(st.integers(0, len(links) - 1))
    previous = links[at - 1][1] if at else GENESIS
    links.insert(at, (extra, chain_hash(previous, extra)))
    assert first_broken(links) == at + 1
