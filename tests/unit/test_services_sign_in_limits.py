"""Back-off under attack (EDGES B8): guessers are slowed, owners are not, memory is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.sign_in import network_of, wide_network_of
from bascule.services.sign_in_limits import (
    ACCOUNT,
    ACCOUNT_BY_STRANGERS,
    CLOCKS_DIFFER,
    CODE_ACCOUNT,
    CODE_BY_STRANGERS,
    KNOWN,
    KNOWN_CODE,
    KNOWN_KEY,
    LONGEST_FILLING,
    NETWORK,
    PAIR,
    WIDE_NETWORK,
    Admitted,
    Attempt,
    Counted,
    Key,
    SignInLimits,
    Way,
    code_ways,
    count,
    key_ways,
    password_ways,
)
from tests.unit.services_world import World

HOME, OFFICE = "192.0.2.1", "198.51.100.1"


BEGAN = datetime(2030, 1, 1, tzinfo=UTC)


class Buckets:
    """The arithmetic, over a memory in place of the database."""

    def __init__(self, most: int = 50_000) -> None:
        self.most = most
        self.full_at: dict[Key, datetime] = {}

    def try_password(self, tried: Attempt, now: float) -> Admitted | timedelta:
        return self._admit(password_ways(tried), now)

    def try_code(self, tried: Attempt, now: float) -> Admitted | timedelta:
        return self._admit(code_ways(tried), now)

    def try_key(self, tried: Attempt, now: float) -> Admitted | timedelta:
        return self._admit(key_ways(tried), now)

    def give_back(self, admitted: Admitted) -> None:
        for key, allowance in admitted.charges:
            self.full_at[key] -= allowance.span

    def _admit(self, ways: Sequence[Way], seconds: float) -> Admitted | timedelta:
        now = BEGAN + timedelta(seconds=seconds)

        def is_crowded() -> bool:
            self.full_at = {key: at for key, at in self.full_at.items() if at > now}
            return len(self.full_at) >= self.most

        found = count(ways, self.full_at, now, is_crowded)
        if isinstance(found, Counted):
            self.full_at |= found.full_at
            return found.admitted
        return found


def attempt(account: str, address: str, *, is_known: bool = False) -> Attempt:
    return Attempt(account, network_of(address), wide_network_of(address), is_known=is_known)


def is_let(limits: Buckets, tried: Attempt, now: float = 0.0) -> bool:
    return isinstance(limits.try_password(tried, now), Admitted)


def let(limits: Buckets, tried: Attempt, times: int, now: float = 0.0) -> int:
    return sum(is_let(limits, tried, now) for _ in range(times))


def test_one_account_from_one_place() -> None:
    limits = Buckets()
    assert let(limits, attempt("anna", OFFICE), 50) == PAIR.burst
    assert limits.try_password(attempt("ANNA", OFFICE), 0) == timedelta(seconds=PAIR.every)
    assert limits.try_password(attempt("anna", OFFICE), 45) == timedelta(seconds=15)
    assert let(limits, attempt("anna", OFFICE), 50, PAIR.every) == 1
    assert let(limits, attempt("anna", OFFICE), 50, 100 * PAIR.every) == PAIR.burst


def test_never_an_absolute_lock() -> None:
    """However long somebody hammers: whoever waits as told is let in."""
    limits = Buckets()
    now = 0.0
    for _ in range(1000):
        outcome = limits.try_password(attempt("anna", OFFICE), now)
        if isinstance(outcome, timedelta):
            assert outcome <= timedelta(seconds=PAIR.every)
        now += 1
    wait = limits.try_password(attempt("anna", OFFICE), now)
    assert isinstance(wait, timedelta)
    assert is_let(limits, attempt("anna", OFFICE), now + wait.total_seconds())


def test_spraying_many_accounts_from_one_place() -> None:
    limits = Buckets()
    accounts = [attempt(f"user{number}", OFFICE) for number in range(500)]
    assert sum(is_let(limits, each) for each in accounts) == NETWORK.burst
    hour = sum(is_let(limits, each, 7.2 * number) for number, each in enumerate(accounts))
    assert hour <= 3600 / NETWORK.every + 1
    assert is_let(limits, attempt("user0", HOME), 3600)  # nobody's account was worn out by it
    assert is_let(limits, attempt("user400", HOME), 3600)


def test_a_refused_source_wears_out_no_account() -> None:
    limits = Buckets()
    let(limits, attempt("x", OFFICE), 5)
    for number in range(1000):
        is_let(limits, attempt(f"filler{number}", OFFICE))
        is_let(limits, attempt("anna", OFFICE))
    most = ACCOUNT_BY_STRANGERS.burst
    left = sum(is_let(limits, attempt("anna", f"203.0.113.{number}")) for number in range(most))
    assert most - left <= PAIR.burst


def test_many_places_on_one_account_slow_strangers_and_not_its_owner() -> None:
    limits = Buckets()
    strangers = [f"10.{number // 256}.{number % 256}.1" for number in range(2000)]
    let_in = sum(is_let(limits, attempt("anna", address)) for address in strangers)
    assert let_in == ACCOUNT_BY_STRANGERS.burst
    assert not is_let(limits, attempt("anna", "203.0.113.9"))
    assert let(limits, attempt("anna", HOME, is_known=True), 50) == KNOWN.burst  # her own share
    assert is_let(limits, attempt("bert", "203.0.113.9"))


def test_strangers_who_never_stop_take_nothing_from_the_owners_share() -> None:
    """A try of theirs each second of a day, and she finds her five whenever she comes."""
    limits = Buckets()
    for second in range(3600):
        is_let(limits, attempt("anna", f"10.0.{second % 250}.1"), second)
        if second % 1200 == 1199:
            known = attempt("anna", HOME, is_known=True)
            assert let(limits, known, 50, second) == KNOWN.burst


def test_whoever_is_known_stays_within_what_the_account_admits() -> None:
    """EDGES E5: a stolen mark makes no more guesses possible than there were."""
    limits = Buckets()
    known = attempt("anna", HOME, is_known=True)
    strangers = [f"10.0.{number}.1" for number in range(250)]
    tried = sum(is_let(limits, attempt("anna", each)) for each in strangers)
    tried += let(limits, known, 50)
    assert tried == ACCOUNT.burst
    hours = 24
    for second in range(60, hours * 3600, 10):
        tried += is_let(limits, attempt("anna", strangers[second % 250]), second)
        tried += is_let(limits, known, second)
    assert tried <= ACCOUNT.burst + hours * 3600 / ACCOUNT.every


def test_neighbours_take_nothing_from_whoever_is_known() -> None:
    limits = Buckets()
    for number in range(500):
        is_let(limits, attempt(f"made-up-{number}", HOME))
        is_let(limits, attempt("anna", HOME))
        limits.try_key(attempt("", HOME), 0)
        limits.try_code(attempt("anna", HOME), 0)
    assert not is_let(limits, attempt("anna", HOME))
    known = attempt("anna", HOME, is_known=True)
    assert let(limits, known, 50) == KNOWN.burst
    assert sum(isinstance(limits.try_key(known, 0), Admitted) for _ in range(50)) == KNOWN_KEY.burst
    tried = sum(isinstance(limits.try_code(known, 0), Admitted) for _ in range(50))
    assert tried >= KNOWN_CODE.burst


def test_who_is_known_is_one_of_the_network_when_the_known_have_used_up_theirs() -> None:
    """A thief of her mark wears out the share of the known, and she is not shut out by that."""
    limits = Buckets()
    assert let(limits, attempt("anna", OFFICE, is_known=True), 50) == KNOWN.burst + PAIR.burst
    assert let(limits, attempt("anna", HOME, is_known=True), 50) == PAIR.burst


def test_a_whole_ipv6_network_is_one_source_and_so_is_its_customer() -> None:
    limits = Buckets()
    in_one = [attempt(f"u{n}", f"2001:db8:1:1::{n:x}") for n in range(1, 200)]
    assert sum(is_let(limits, each) for each in in_one) == NETWORK.burst
    in_many = [attempt(f"v{n}", f"2001:db8:2:{n:x}::1") for n in range(200)]
    assert sum(is_let(limits, each) for each in in_many) == WIDE_NETWORK.burst
    assert is_let(limits, attempt("w", "2001:db8:3::1"))


def test_what_was_right_is_given_back_and_resets_nothing() -> None:
    limits = Buckets()
    assert let(limits, attempt("anna", OFFICE), PAIR.burst - 1) == PAIR.burst - 1
    for _ in range(100):  # one's own right password does not pay for guesses at another's
        right = limits.try_password(attempt("anna", OFFICE), 0)
        assert isinstance(right, Admitted)
        limits.give_back(right)
    assert let(limits, attempt("anna", OFFICE), 5) == 1
    victims = [attempt(f"user{number}", OFFICE) for number in range(100)]
    assert sum(is_let(limits, each) for each in victims) == NETWORK.burst - PAIR.burst


def test_codes_are_guessed_more_slowly_still() -> None:
    limits = Buckets()
    strangers = [attempt("anna", f"10.0.{number}.1") for number in range(256)]
    tried = sum(isinstance(limits.try_code(each, 0), Admitted) for each in strangers)
    assert tried == CODE_BY_STRANGERS.burst
    known = attempt("anna", HOME, is_known=True)
    tried += sum(isinstance(limits.try_code(known, 0), Admitted) for _ in range(50))
    assert tried == CODE_ACCOUNT.burst
    day = 86_400
    tried = sum(
        isinstance(limits.try_code(strangers[second % 256], second), Admitted)
        for second in range(0, day, 20)
    )
    assert tried * 3 / 1_000_000 < 0.001  # a day's guesses at three codes of a million


def test_keys_are_counted_by_network_alone() -> None:
    limits = Buckets()
    outcomes = [limits.try_key(attempt("", OFFICE), 0) for _ in range(50)]
    assert sum(isinstance(each, Admitted) for each in outcomes) == NETWORK.burst
    assert isinstance(limits.try_key(attempt("", HOME), 0), Admitted)


def test_memory_is_bounded_and_a_flood_resets_nothing() -> None:
    limits = Buckets(most=300)
    victim = attempt("anna", OFFICE)
    let(limits, victim, PAIR.burst)
    for number in range(5000):
        is_let(limits, attempt(f"user{number}", f"10.{number // 256}.{number % 256}.1"))
    assert len(limits.full_at) <= 300 + 5  # and the shared ones
    assert not is_let(limits, victim)
    for name in ("bert", "carl", "dora"):  # whatever strangers fill, each has their own
        assert let(limits, attempt(name, HOME, is_known=True), 50) >= KNOWN.burst


def test_buckets_that_are_full_again_make_room() -> None:
    limits = Buckets(most=300)
    for number in range(200):
        is_let(limits, attempt(f"user{number}", f"10.0.{number}.1"))
    later = 10_000.0
    assert is_let(limits, attempt("new", "203.0.113.1"), later)
    assert len(limits.full_at) <= 10


def test_a_clock_that_is_set_back_locks_nobody_out() -> None:
    limits = Buckets()
    let(limits, attempt("anna", OFFICE), PAIR.burst, 3600)
    assert let(limits, attempt("anna", OFFICE), 50) == PAIR.burst, "and counts from then on"
    let(limits, attempt("bert", OFFICE), PAIR.burst, 30)
    assert let(limits, attempt("bert", OFFICE), 50) == 0, "a little is no reason to believe nothing"


# -- in the database ----------------------------------------------------------------------------


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def limits_of(world: World, purpose: str = "sign-in", most: int = 300) -> SignInLimits:
    """As one server has them."""
    return SignInLimits(world.services, b"k" * 32, purpose, most)


def tried(limits: SignInLimits, who: Attempt, times: int) -> int:
    found = [asyncio.run(limits.try_password(who)) for _ in range(times)]
    return sum(isinstance(each, Admitted) for each in found)


def test_all_servers_of_an_installation_count_together(world: World) -> None:
    here, there = limits_of(world), limits_of(world)
    assert tried(here, attempt("anna", OFFICE), 3) == 3
    assert tried(there, attempt("Anna", OFFICE), 50) == PAIR.burst - 3
    world.clock.pass_time(PAIR.every)
    assert tried(here, attempt("anna", OFFICE), 1) == 1
    assert tried(there, attempt("anna", OFFICE), 1) == 0


def test_what_was_right_is_given_back_to_all(world: World) -> None:
    here, there = limits_of(world), limits_of(world)
    for _ in range(3 * PAIR.burst):
        right = asyncio.run(here.try_password(attempt("anna", OFFICE)))
        assert isinstance(right, Admitted)
        asyncio.run(there.give_back(right))
    assert tried(there, attempt("anna", OFFICE), 50) == PAIR.burst


def test_what_is_of_another_purpose_is_counted_apart(world: World) -> None:
    assert tried(limits_of(world), attempt("anna", OFFICE), 50) == PAIR.burst
    assert tried(limits_of(world, "device code"), attempt("anna", OFFICE), 1) == 1


def test_whoever_has_to_wait_causes_no_write(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    limits = limits_of(world)
    tried(limits, attempt("anna", OFFICE), PAIR.burst)
    monkeypatch.setattr(world.services.store, "write", None)
    assert tried(limits, attempt("anna", OFFICE), 3) == 0


def test_rows_are_bounded_and_go_when_they_say_nothing(world: World) -> None:
    limits = limits_of(world, most=30)
    tried(limits, attempt("anna", OFFICE), PAIR.burst)
    for number in range(60):
        tried(limits, attempt(f"user{number}", f"10.0.{number}.1"), 1)
    now, latest = world.clock.now(), world.clock.now() + LONGEST_FILLING
    assert world.see(lambda r: r.has_sign_in_counts(30, now, latest))
    assert not world.see(lambda r: r.has_sign_in_counts(30 + 6, now, latest))
    assert tried(limits, attempt("anna", OFFICE), 1) == 0, "a flood resets nothing"
    assert tried(limits, attempt("bert", HOME, is_known=True), 50) >= KNOWN.burst
    world.clock.pass_time(10_000)
    tried(limits, attempt("new", "203.0.113.1"), 1)
    assert rows_of(world) == 3


def rows_of(world: World) -> int:
    ever = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)

    def has(many: int) -> bool:
        return world.see(lambda r: r.has_sign_in_counts(many, *ever))

    return next(many for many in range(1000) if not has(many + 1))


def test_what_was_counted_while_the_clock_was_ahead_makes_no_crowd(world: World) -> None:
    limits = limits_of(world, most=30)
    world.clock.pass_time(10 * 86_400)
    for number in range(60):
        tried(limits, attempt(f"user{number}", f"10.0.{number}.1"), 1)
    world.clock.wall -= timedelta(days=10)
    tried(limits, attempt("anna", OFFICE), 1)
    assert rows_of(world) == 3
    assert tried(limits, attempt("bert", OFFICE), 50) == PAIR.burst


def test_no_bucket_fills_for_longer_than_is_believed() -> None:
    known = attempt("anna", OFFICE, is_known=True)
    ways = [*password_ways(known), *code_ways(known), *key_ways(known)]
    longest = max(allowance.longest for way in ways for _, allowance in way)
    assert longest + CLOCKS_DIFFER <= LONGEST_FILLING


@pytest.mark.parametrize("name", ["x" * 100_000, "\ud800", "", "a\0b"])
def test_a_name_is_not_kept_and_takes_no_more_room_than_another(world: World, name: str) -> None:
    """A password that was typed as a name is not to be guessed from the database."""
    limits = limits_of(world)
    places = {limits._place(key) for way in password_ways(attempt(name, OFFICE)) for key, _ in way}
    assert tried(limits, attempt(name, OFFICE), 1) == 1
    assert set(world.see(lambda r: r.sign_in_counts(places))) == places
    assert {len(each) for each in places} == {64}
    other = SignInLimits(world.services, b"o" * 32, "sign-in")
    assert not places & {
        other._place(key) for way in password_ways(attempt(name, OFFICE)) for key, _ in way
    }
