"""Who calls: the kinds of principal, told apart by name on the wire and in the record."""

from __future__ import annotations

from dataclasses import FrozenInstanceError

import pytest

from bascule.domain.access import PrincipalKind, Subject


def test_the_kinds_have_azures_words() -> None:
    """They stand in tokens and audit records: a renamed kind would be nobody's."""
    assert [str(kind) for kind in PrincipalKind] == ["User", "Group", "ServicePrincipal", "Agent"]
    assert PrincipalKind("Agent") is PrincipalKind.AGENT


def test_a_subject_does_not_change_after_it_was_authenticated() -> None:
    """A caller who could become an agent on the way would be let in by the wrong door."""
    caller = Subject("p", PrincipalKind.SERVICE, "Alice", "192.0.2.10")
    with pytest.raises(FrozenInstanceError):
        caller.kind = PrincipalKind.AGENT  # type: ignore[misc]  # reason: it must fail
    assert Subject("p", PrincipalKind.SERVICE, "Alice").address == ""
