"""Lines about strangers are bounded, and what is left out is counted (EDGES E1)."""

from __future__ import annotations

from structlog.testing import capture_logs

from bascule.api.sampling import SPAN, Sampler


class Log:
    def __init__(self) -> None:
        self.now = 0.0
        self.sampler = Sampler("calls", 3, 10, lambda: self.now)

    def written(self, address: str, count: int) -> int:
        return sum(self.sampler.is_written(address) for _ in range(count))


def test_a_network_has_a_share_and_leaves_another_its_own() -> None:
    log = Log()
    assert log.written("192.0.2.1", 100) == 3
    assert log.written("192.0.2.2", 1) == 1
    assert log.written("2001:db8::1", 2) + log.written("2001:db8::2", 2) == 3


def test_all_together_have_a_bound() -> None:
    log = Log()
    assert sum(log.written(f"192.0.2.{number}", 3) for number in range(100)) == 10


def test_the_next_minute_has_its_own_and_says_what_was_left_out() -> None:
    log = Log()
    log.written("192.0.2.1", 100)
    log.now += SPAN
    with capture_logs() as lines:
        assert log.written("192.0.2.1", 1) == 1
    assert lines == [
        {"event": "lines left out", "what": "calls", "count": 97, "log_level": "warning"}
    ]
    log.now += SPAN
    with capture_logs() as lines:
        log.written("192.0.2.1", 1)
    assert lines == []
