"""Single fields on the wire: what is taken, and how it is written back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from bascule.api.wire import fields
from bascule.api.wire.problems import path_of, problems_of
from bascule.domain.net import AddressPrefix

ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
FIELDS = [
    fields.PortNumber,
    fields.Count,
    fields.Truth,
    fields.Text,
    fields.Guid,
    fields.MachineId,
    fields.Prefix,
    fields.HostAddress,
    fields.Duration,
    fields.EndTime,
    fields.Protocol,
    fields.Expiry,
    fields.OsKind,
]


@pytest.mark.parametrize(
    ("field", "sent", "taken"),
    [
        (fields.PortNumber, 22, 22),
        (fields.PortNumber, "22", 22),
        (fields.PortNumber, "+22", 22),
        (fields.PortNumber, 65535, 65535),
        (fields.Count, 0, 0),
        (fields.Count, 2**53 - 1, 2**53 - 1),
        (fields.Prefix, "::ffff:192.0.2.0/120", AddressPrefix.parse("192.0.2.0/24")),
        (fields.Truth, False, False),
    ],
)
def test_what_is_taken(field: Any, sent: object, taken: object) -> None:
    assert TypeAdapter(field).validate_python(sent) == taken


@pytest.mark.parametrize("field", FIELDS)
@given(value=ANY_JSON)
def test_any_json_is_taken_or_refused_with_a_sentence(field: Any, value: object) -> None:
    """No value of any kind escapes as another exception: each would be a 500."""
    try:
        TypeAdapter(field).validate_python(value)
    except ValidationError as error:
        (problem,) = problems_of(
            {**finding, "loc": ("body", "field", *finding["loc"])} for finding in error.errors()
        )
        assert problem.target == "field"
        assert problem.message.startswith("field: ")
        assert problem.message.endswith(".")
        assert len(problem.message) < 600
        problem.message.encode()  # no half surrogate pair is repeated


@pytest.mark.parametrize(
    ("steps", "path"),
    [
        ((), ""),
        (("properties",), "properties"),
        (
            ("properties", "virtualMachines", 0, "ports", 12, "number"),
            "properties.virtualMachines[0].ports[12].number",
        ),
        ((0, "a"), "[0].a"),
    ],
)
def test_paths(steps: tuple[str | int, ...], path: str) -> None:
    assert path_of(steps) == path


def test_the_example_of_a_message() -> None:
    """What a person reads who wrote a port wrongly."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(fields.PortNumber).validate_python("ssh")
    (finding,) = caught.value.errors()
    (problem,) = problems_of([{**finding, "loc": ("body", "ports", 0, "number")}])
    assert problem.message == 'ports[0].number: must be a whole number from 1 to 65535, not "ssh".'
    assert problem.code == "InvalidPort"
