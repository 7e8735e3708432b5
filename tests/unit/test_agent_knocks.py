"""What an agent tells of blocked attempts: each once, whatever the kernel's counts do."""

from __future__ import annotations

from datetime import timedelta

from bascule.agent.knocks import LOOK_SECONDS, MOST_AT_ONCE, MOST_KEPT, KnockTally
from bascule.domain.knocks import LONGEST_AGE, OTHERS
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.driver import Blocked

SSH = PortKey(TransportProtocol.TCP, 22)
RDP = PortKey(TransportProtocol.TCP, 3389)
LIFE = 600.0  # seconds that the kernel remembers a source
Told = dict[tuple[str, PortKey | None], int]


def seen(source: str, packets: int, port: PortKey = SSH, remaining: float = LIFE) -> Blocked:
    return Blocked(source, port, packets, timedelta(seconds=remaining))


class Kernel:
    """A tally that looks at what a test says the kernel has."""

    def __init__(self) -> None:
        self.tally = KnockTally()
        self.now = 1000.0
        self.readings = 0

    def look(self, total: int, *blocked: Blocked, seldom: bool = False) -> None:
        def read() -> tuple[Blocked, ...]:
            self.readings += 1
            return blocked

        (self.tally.look_seldom if seldom else self.tally.look)(total, read, self.now)

    def tell(self) -> Told:
        """Report one batch, which the server takes."""
        batch = self.tally.batch(self.now)
        self.tally.forget(batch)
        return {(each.source, each.port): each.attempts for each in batch}


def test_only_what_is_new_is_told() -> None:
    kernel = Kernel()
    kernel.look(0)
    kernel.look(3, seen("192.0.2.7", 2), seen("2001:db8::7", 1))
    assert kernel.tell() == {("192.0.2.7", SSH): 2, ("2001:db8::7", SSH): 1}
    assert kernel.tell() == {}
    kernel.look(8, seen("192.0.2.7", 6), seen("2001:db8::7", 1), seen("192.0.2.7", 1, RDP))
    assert kernel.tell() == {("192.0.2.7", SSH): 4, ("192.0.2.7", RDP): 1}


def test_what_an_agent_finds_when_it_starts_counts_as_told() -> None:
    """Who ran before it told that; what came meanwhile came nobody knows when."""
    kernel = Kernel()
    kernel.look(90, seen("192.0.2.7", 80))
    assert kernel.tell() == {}
    kernel.look(92, seen("192.0.2.7", 82))
    assert kernel.tell() == {("192.0.2.7", SSH): 2}


def test_nothing_is_read_while_the_counter_stands_still() -> None:
    kernel = Kernel()
    for _ in range(3):
        kernel.look(5, seen("192.0.2.7", 5))
    assert kernel.readings == 1


def test_a_source_that_was_forgotten_and_comes_back_begins_anew() -> None:
    kernel = Kernel()
    kernel.look(0)
    kernel.look(5, seen("192.0.2.7", 5), seen("192.0.2.8", 0))
    kernel.tell()
    kernel.now += LIFE + 1
    kernel.look(7, seen("192.0.2.7", 2))
    assert kernel.tell() == {("192.0.2.7", SSH): 2}, "counted from nothing"


def test_one_that_comes_back_with_the_same_count_is_told_again() -> None:
    """A slow scanner sends one packet each time the kernel has just forgotten him."""
    kernel = Kernel()
    kernel.look(0)
    kernel.look(1, seen("192.0.2.7", 1, remaining=5.0))
    assert kernel.tell() == {("192.0.2.7", SSH): 1}
    kernel.now += 15
    kernel.look(2, seen("192.0.2.7", 1, remaining=592.0))
    assert kernel.tell() == {("192.0.2.7", SSH): 1}


def test_one_that_only_stays_is_not_told_again() -> None:
    kernel = Kernel()
    kernel.look(0)
    kernel.look(1, seen("192.0.2.7", 1, remaining=600.0))
    kernel.tell()
    kernel.now += 15
    kernel.look(2, seen("192.0.2.7", 1, remaining=585.0), seen("192.0.2.8", 1))
    assert kernel.tell() == {("192.0.2.8", SSH): 1}
    kernel.now += 700  # a suspend, in which the kernel's timers stood still
    kernel.look(3, seen("192.0.2.7", 1, remaining=580.0), seen("192.0.2.8", 2))
    assert kernel.tell() == {("192.0.2.8", SSH): 1}


def test_a_table_made_anew_counts_from_nothing() -> None:
    kernel = Kernel()
    kernel.look(100, seen("192.0.2.7", 100))
    kernel.look(3, seen("192.0.2.7", 2))
    assert kernel.tell() == {("192.0.2.7", SSH): 2, (OTHERS, None): 1}


def test_what_has_no_source_is_others() -> None:
    """More sources than the kernel's set holds, or forgotten before anybody looked."""
    kernel = Kernel()
    kernel.look(0)
    kernel.look(10, seen("192.0.2.7", 4))
    assert kernel.tell() == {("192.0.2.7", SSH): 4, (OTHERS, None): 6}


def test_a_packet_between_two_readings_is_nobody_elses() -> None:
    """The counter is read first: a packet that comes then is counted by source already."""
    kernel = Kernel()
    kernel.look(0)
    kernel.look(3, seen("192.0.2.7", 4))
    kernel.look(4, seen("192.0.2.7", 4))
    kernel.look(5, seen("192.0.2.7", 5))
    assert kernel.tell() == {("192.0.2.7", SSH): 5}


def test_a_batch_is_bounded_and_the_rest_comes_with_the_next() -> None:
    kernel = Kernel()
    kernel.look(0)
    sources = [f"10.0.{each // 250}.{each % 250}" for each in range(MOST_AT_ONCE + 10)]
    kernel.look(len(sources), *(seen(each, 1) for each in sources))
    first, second = kernel.tell(), kernel.tell()
    assert (len(first), len(second)) == (MOST_AT_ONCE, 10)
    assert [source for source, _ in [*first, *second]] == sources


def test_what_the_server_did_not_take_is_told_again_with_its_age() -> None:
    kernel = Kernel()
    kernel.look(0)
    kernel.look(1, seen("192.0.2.7", 1))
    kernel.tally.batch(kernel.now)  # it was on its way when the server died
    kernel.now += 30
    (again,) = kernel.tally.batch(kernel.now)
    assert (again.source, again.age) == ("192.0.2.7", timedelta(seconds=30))


def test_while_the_server_is_away_it_is_looked_seldom_and_kept_by_its_time() -> None:
    """Before the kernel forgets who it was; in the hour in which it was."""
    kernel = Kernel()
    kernel.look(0, seldom=True)
    for second in range(0, 7200, 2):
        kernel.now = 1000.0 + second
        kernel.look(second, seen("192.0.2.7", second), seldom=True)
    assert kernel.readings <= 7200 / LOOK_SECONDS + 2
    told = kernel.tally.batch(kernel.now)
    assert {each.source for each in told} == {"192.0.2.7"}
    assert len(told) == 9, "a quarter of an hour together"
    assert max(each.age for each in told) > timedelta(minutes=100)
    assert sum(each.attempts for each in told) > 7000


def test_what_is_kept_meanwhile_is_bounded() -> None:
    kernel = Kernel()
    kernel.look(0)
    sources = [f"10.{each // 62500}.{each // 250 % 250}.{each % 250}" for each in range(5000)]
    kernel.look(5000, *(seen(each, 1) for each in sources))
    told: list[Told] = []
    while batch := kernel.tell():
        told.append(batch)
    named = [each for batch in told for each in batch if each != (OTHERS, None)]
    assert len(named) == MOST_KEPT
    assert sum(batch.get((OTHERS, None), 0) for batch in told) == 5000 - MOST_KEPT


def test_what_is_older_than_a_day_is_given_up() -> None:
    kernel = Kernel()
    kernel.look(0)
    kernel.look(1, seen("192.0.2.7", 1))
    kernel.now += LONGEST_AGE.total_seconds() + 1
    kernel.look(2, seen("192.0.2.8", 1))
    assert kernel.tell() == {("192.0.2.8", SSH): 1}
