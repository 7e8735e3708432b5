"""Whoever holds all of a role for certain may do whatever it allows (EDGES B4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.containment import is_within
from bascule.domain.roles import Permission, RoleDefinition

WORDS = st.sampled_from(["a", "b", "A", "ab", "read", "write", "*", "a*", "*b", "**"])
PATTERNS = st.lists(WORDS, min_size=1, max_size=4).map("/".join)
ACTIONS = st.lists(
    st.sampled_from(["a", "b", "ab", "aab", "c", "read", "write"]), min_size=1, max_size=5
).map("/".join)


@st.composite
def roles(draw: st.DrawFn, name: str) -> RoleDefinition:
    permissions = draw(
        st.lists(
            st.builds(
                Permission,
                st.lists(PATTERNS, max_size=3).map(tuple),
                st.lists(PATTERNS, max_size=2).map(tuple),
            ),
            max_size=2,
        ).map(tuple)
    )
    return RoleDefinition(name, name, "", False, permissions, ())


@given(roles("low"), st.lists(roles("high"), max_size=3), st.lists(ACTIONS, max_size=20))
def test_a_yes_is_never_wrong(
    low: RoleDefinition, high: list[RoleDefinition], actions: list[str]
) -> None:
    if is_within(low, high):
        for action in actions:
            assert not low.allows(action) or any(each.allows(action) for each in high)


@given(PATTERNS, PATTERNS, st.lists(PATTERNS, max_size=2), st.lists(ACTIONS, max_size=20))
def test_the_same_where_a_yes_is_likely(
    wanted: str, excluded: str, exempt: list[str], actions: list[str]
) -> None:
    low = RoleDefinition("low", "", "", False, (Permission((wanted,), tuple(exempt)),), ())
    high = RoleDefinition("high", "", "", False, (Permission(("*",), (excluded,)),), ())
    if is_within(low, [high]):
        for action in actions:
            assert not low.allows(action) or high.allows(action)


@given(roles("low"))
def test_everybody_holds_what_he_holds(low: RoleDefinition) -> None:
    again = RoleDefinition("other", "", "", False, low.permissions, ())
    assert is_within(low, [again])
