"""Which addresses a session has proved: its own, lately, and not without bound."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.services import session_addresses
from bascule.services.session_addresses import PROVED_FOR, ProvedAddresses

NOW = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def test_a_session_proves_for_itself_alone() -> None:
    kept = ProvedAddresses()
    kept.note("a", "192.0.2.1", NOW)
    kept.note("a", "2001:db8::1", NOW + SECOND)
    kept.note("b", "192.0.2.9", NOW)
    kept.note("b", "", NOW)
    assert kept.of("a", NOW + SECOND) == ("2001:db8::1", "192.0.2.1")
    assert kept.of("b", NOW) == ("192.0.2.9",)
    assert kept.of("c", NOW) == ()


def test_a_proof_grows_old_unless_it_is_used() -> None:
    kept = ProvedAddresses()
    kept.note("a", "192.0.2.1", NOW)
    assert kept.of("a", NOW + PROVED_FOR - SECOND) == ("192.0.2.1",)
    assert kept.of("a", NOW + PROVED_FOR) == ()
    kept.note("a", "192.0.2.1", NOW + PROVED_FOR)
    assert kept.of("a", NOW + PROVED_FOR + SECOND) == ("192.0.2.1",)


def test_what_is_kept_has_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_addresses, "MOST_SESSIONS", 2)
    monkeypatch.setattr(session_addresses, "MOST_ADDRESSES", 2)
    kept = ProvedAddresses()
    for session in ("a", "b"):
        for address in ("192.0.2.1", "192.0.2.2", "192.0.2.1", "192.0.2.3"):
            kept.note(session, address, NOW)
    assert kept.of("a", NOW) == ("192.0.2.3", "192.0.2.1")
    kept.note("a", "192.0.2.4", NOW)
    kept.note("c", "192.0.2.1", NOW)
    assert kept.of("b", NOW) == ()
    assert kept.of("a", NOW) == ("192.0.2.4", "192.0.2.3")
