"""What one side of the protocol writes, the other reads back the same; nothing else is taken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.bounds import Guard, Objection
from bascule.domain.capabilities import Capabilities
from bascule.domain.desired import CUT_FOR, Cut, DesiredState, Lease
from bascule.domain.durations import MAXIMUM_DURATION
from bascule.domain.knocks import LONGEST_AGE, OTHERS, Knock
from bascule.domain.plain import clean
from bascule.errors import InvalidInput
from bascule.protocol.codec import decode, encode, schema_of
from bascule.protocol.enrolment import Enrol, Enrolled, base64url
from bascule.protocol.report import Announced, LocalOpening, Report
from bascule.protocol.shape import LARGEST
from bascule.protocol.state import LONGEST_HASH, RecordMark, State
from tests.strategies import any_prefixes, closed_sets, instants, port_keys, prefix_sets

MILLISECOND = timedelta(milliseconds=1)
ids = st.text("0123456789abcdef-", min_size=1, max_size=64)
raw_texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
texts = raw_texts.map(clean)  # an agent's words as they are read
counts = st.one_of(st.integers(0, 3), st.integers(0, LARGEST))


def up_to(longest: timedelta) -> st.SearchStrategy[timedelta]:
    return st.integers(0, longest // MILLISECOND).map(lambda count: count * MILLISECOND)


some_ports = st.lists(port_keys, min_size=1, max_size=3, unique=True).map(tuple)
states = st.builds(
    State,
    st.builds(
        DesiredState,
        ids,
        counts,
        closed_sets,
        st.dictionaries(port_keys, counts, max_size=3),
        st.lists(
            st.builds(Lease, ids, some_ports, prefix_sets, up_to(MAXIMUM_DURATION), counts),
            max_size=3,
        ).map(tuple),
        st.lists(st.builds(Cut, ids, some_ports, prefix_sets, up_to(CUT_FOR)), max_size=3).map(
            tuple
        ),
    ),
    st.just("web-1"),
    st.none() | instants,
    st.none()
    | st.builds(
        RecordMark,
        counts,
        st.text("0123456789abcdef", max_size=LONGEST_HASH),
        st.none() | counts,
        st.none() | st.integers(1, 3650).map(lambda days: timedelta(days=days)),
        st.none() | st.text("0123456789abcdef", max_size=LONGEST_HASH),
    ),
)
knocks = st.one_of(
    st.builds(Knock, st.just(OTHERS), st.none(), counts, up_to(LONGEST_AGE)),
    st.builds(Knock, st.ip_addresses(v=4).map(str), port_keys, counts, up_to(LONGEST_AGE)),
)
guards = st.builds(
    Guard,
    st.none() | some_ports,
    st.none() | st.lists(any_prefixes, max_size=3).map(tuple),
    st.none() | up_to(MAXIMUM_DURATION),
    st.booleans(),
    texts,
)
openings = st.lists(
    st.builds(LocalOpening, texts, st.lists(texts, max_size=3).map(tuple), counts, texts),
    max_size=3,
).map(tuple)
several = st.lists(texts, max_size=3).map(tuple)
reports = st.builds(
    Report,
    counts,
    st.frozensets(ids, max_size=3),
    st.none() | st.tuples(st.integers(1, 65535), st.integers(1, 65535)),
    counts,
    st.lists(knocks, max_size=3).map(tuple),
    st.none() | st.dictionaries(ids, counts, max_size=3),
    facts=st.dictionaries(texts, texts, max_size=3),
    agent_version=texts,
    drift=several,
    local_openings=openings,
    notes=several,
    disputes=several,
    clock=st.none() | instants,
    closed=closed_sets,
    guard=st.none() | guards,
    driver=texts,
    capabilities=st.from_type(Capabilities),
    refused=st.dictionaries(ids, st.sampled_from(Objection), max_size=3),
    held_locally=openings,
    ends=st.dictionaries(ids, up_to(MAXIMUM_DURATION), max_size=3),
)
keys = st.binary(min_size=32, max_size=32).map(base64url)
nonces = st.text("0123456789abcdef", min_size=16, max_size=64)
proofs = st.binary(min_size=64, max_size=64).map(base64url)
messages = st.one_of(
    states,
    reports,
    st.builds(Announced, counts),
    st.builds(Enrol, keys, ids, keys, nonces, proofs, texts),
    st.builds(Enrolled, ids, ids, ids, st.none() | instants),
)


@given(messages)
def test_what_is_written_is_read(message: object) -> None:
    """Through JSON's text, as it goes over the wire."""
    told = json.loads(json.dumps(encode(message)))
    assert decode(type(message), told) == message


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place inside a JSON value."""
    yield path
    if isinstance(value, dict | list):
        for step in value if isinstance(value, dict) else range(len(value)):
            yield from paths(value[step], (*path, step))


anything: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    raw_texts,
    st.just("\ud800"),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(raw_texts, st.none(), max_size=2),
)


@given(st.data(), messages)
def test_whatever_stands_somewhere_is_read_or_refused_by_name(
    data: st.DataObject, message: object
) -> None:
    """No other error leaves the codec, wherever in a message what stands (EDGES E1, E4)."""
    told = encode(message)
    *way, last = data.draw(st.sampled_from(list(paths(told))[1:]))
    inside: Any = told
    for step in way:
        inside = inside[step]
    inside[last] = data.draw(anything)
    try:
        read = decode(type(message), told)
    except InvalidInput:
        return
    assert decode(type(message), encode(read)) == read


@pytest.mark.parametrize("kind", [State, Report, Announced, Enrol, Enrolled])
def test_a_schema_names_each_field(kind: type) -> None:
    told = schema_of(kind)
    assert told["type"] == "object"
    assert set(told["required"]) <= set(told["properties"])


@given(messages)
def test_what_is_sent_is_as_the_schema_says(message: object) -> None:
    jsonschema_rs.validate(schema_of(type(message)), json.loads(json.dumps(encode(message))))
