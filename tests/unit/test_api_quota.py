"""What one network may begin in a span of time (EDGES B8)."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bascule.api.oauth import quota
from bascule.api.oauth.quota import Quota

MINUTE = timedelta(minutes=1)


def test_so_many_of_a_network_until_the_span_is_over() -> None:
    made = Quota(MINUTE, 2, 3)
    assert [made.take("192.0.2.1", 70.0) for _ in range(3)] == [None, None, timedelta(seconds=50)]
    assert made.take("192.0.2.2", 70.0) is None
    assert made.take("192.0.2.1", 120.0) is None


def test_the_networks_of_one_customer_share_a_bound() -> None:
    made = Quota(MINUTE, 2, 3)
    assert made.take("2001:db8:1:a::1", 0.0) is None
    assert made.take("2001:db8:1:a::2", 0.0) is None
    assert made.take("2001:db8:1:a::3", 0.0) is not None, "the /64 has had its share"
    assert made.take("2001:db8:1:b::1", 0.0) is None, "which was not counted against the /48"
    assert made.take("2001:db8:1:c::1", 0.0) is not None
    assert made.take("2001:db8:2::1", 0.0) is None


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quota, "MOST_NETWORKS", 2)
    made = Quota(MINUTE, 2, 3)
    answers = [made.take(f"192.0.2.{n}", 0.0) for n in range(4)]
    assert answers == [None, None, MINUTE, MINUTE]
    assert made.take("192.0.2.0", 0.0) is None, "one that is counted already goes on"


def test_whoever_is_known_has_a_share_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """EDGES E5: neighbours take nothing from it, nor does a flood of networks."""
    monkeypatch.setattr(quota, "MOST_NETWORKS", 2)
    made = Quota(MINUTE, 2, 3)
    for n in range(9):
        made.take(f"192.0.2.{n}", 0.0)
    assert [made.take_own("anna", 0.0) for _ in range(6)] == [True] * 5 + [False]
    assert made.take_own("bert", 0.0)
    assert made.take_own("anna", 60.0), "in the next span"
