"""Scopes: what lies within what, and what is no scope at all (EDGES B1)."""

from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.ids import machine_id
from bascule.domain.scopes import (
    ROOT,
    Scope,
    group_scope,
    is_below,
    resource_scope,
    subscription_scope,
)
from bascule.errors import InvalidInput

GUID = "0A1B2C3D-0000-4000-8000-000000000001"
WHOLE = subscription_scope(GUID)
RG1, RG10 = group_scope(GUID, "rg1"), group_scope(GUID, "rg10")
WEB1 = resource_scope(machine_id(GUID, "rg1", "web-1"))
WEB10 = resource_scope(machine_id(GUID, "rg1", "web-10"))


@pytest.mark.parametrize(
    ("above", "below", "is_in"),
    [
        (ROOT, ROOT, True),
        (ROOT, WHOLE, True),
        (ROOT, WEB1, True),
        (WHOLE, ROOT, False),
        (WHOLE, WHOLE, True),
        (WHOLE, RG1, True),
        (RG1, WHOLE, False),
        (RG1, WEB1, True),
        (WEB1, RG1, False),
        # A name that begins like another's is another name.
        (RG1, RG10, False),
        (RG10, RG1, False),
        (RG1, resource_scope(machine_id(GUID, "rg10", "web-1")), False),
        (WEB1, WEB10, False),
        # Case is no difference.
        (RG1, Scope(str(WEB1).upper()), True),
        (Scope(str(WEB1).upper()), WEB1, True),
        (Scope(str(RG1).upper()), RG10, False),
    ],
)
def test_what_lies_within_what(above: Scope, below: Scope, is_in: bool) -> None:
    assert above.contains(below) is is_in


def test_equality_ignores_case_and_nothing_else() -> None:
    assert Scope(str(RG1).upper()) == RG1
    assert len({RG1, Scope(str(RG1).upper()), RG10}) == 2
    assert str(RG1) == f"/subscriptions/{GUID.lower()}/resourceGroups/rg1"
    assert str(RG1) != RG1


@pytest.mark.parametrize("scope", [WHOLE, RG1, WEB1])
@pytest.mark.parametrize("end", ["", "/"])
def test_what_is_printed_is_parsed(scope: Scope, end: str) -> None:
    assert Scope.parse(f"{scope}{end}") == scope
    assert Scope.parse(str(scope).upper()) == scope


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "//",
        "rg1",
        "/subscriptions",
        "/subscriptions/not-a-guid",
        f"subscriptions/{GUID}",
        f"//subscriptions/{GUID}",
        f"/subscription/{GUID}",
        f"/subscriptions/{GUID}/rg1",
        f"/subscriptions/{GUID}/resourceGroups",
        f"/subscriptions/{GUID}/resourceGroups//",
        f"/subscriptions/{GUID}//resourceGroups/rg1",
        f"/subscriptions/{GUID}/resourceGroups/..",
        f"/subscriptions/{GUID}/resourceGroups/rg1/..",
        f"/subscriptions/{GUID}/resourceGroups/rg1/../rg10",
        f"/subscriptions/{GUID}/resourceGroups/rg1%2Frg10",
        f"/subscriptions/{GUID}/resourceGroups/rg1\n",
        f"/subscriptions/{GUID}/resourceGroups/*",
        f"/subscriptions/{GUID}/groups/rg1",
        f"/subscriptions/{GUID}/resourceGroups/rg1/providers",
        f"/subscriptions/{GUID}/resourceGroups/rg1/providers/Microsoft.Compute",
        f"/subscriptions/{GUID}/resourceGroups/rg1/providers/Microsoft.Compute/virtualMachines",
        f"{WEB1}/..",
        f"{WEB1}/extensions",
        f"{WEB1}%00",
        f"/subscriptions/{GUID}/providers/Microsoft.Compute/virtualMachines/web-1/a/b",
    ],
)
def test_what_is_no_scope(text: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Scope.parse(text, "properties.scope")
    assert refused.value.target == "properties.scope"


SEGMENTS = st.lists(st.text(string.ascii_lowercase + "01-.", min_size=1, max_size=3), max_size=4)


@given(SEGMENTS, SEGMENTS)
def test_within_is_a_prefix_of_whole_segments(a: list[str], b: list[str]) -> None:
    """Compared with the definition, segment by segment."""
    above, below = ("".join(f"/{each}" for each in parts) for parts in (a, b))
    assert is_below(below, above) is (b[: len(a)] == a)
