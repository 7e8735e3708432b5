"""Back-off under attack (EDGES B8): guessers are slowed, owners are not, memory is bounded."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bascule.domain.sign_in import network_of, wide_network_of
from bascule.services.sign_in_limits import (
    ACCOUNT,
    ACCOUNT_BY_STRANGERS,
    CODE_ACCOUNT,
    CODE_BY_STRANGERS,
    KNOWN,
    KNOWN_CODE,
    KNOWN_KEY,
    NETWORK,
    PAIR,
    WIDE_NETWORK,
    Admitted,
    Attempt,
    SignInLimits,
)

HOME, OFFICE = "192.0.2.1", "198.51.100.1"


def attempt(account: str, address: str, *, is_known: bool = False) -> Attempt:
    return Attempt(account, network_of(address), wide_network_of(address), is_known=is_known)


def is_let(limits: SignInLimits, tried: Attempt, now: float = 0.0) -> bool:
    return isinstance(limits.try_password(tried, now), Admitted)


def let(limits: SignInLimits, tried: Attempt, times: int, now: float = 0.0) -> int:
    return sum(is_let(limits, tried, now) for _ in range(times))


def test_one_account_from_one_place() -> None:
    limits = SignInLimits()
    assert let(limits, attempt("anna", OFFICE), 50) == PAIR.burst
    assert limits.try_password(attempt("ANNA", OFFICE), 0) == timedelta(seconds=PAIR.every)
    assert limits.try_password(attempt("anna", OFFICE), 45) == timedelta(seconds=15)
    assert let(limits, attempt("anna", OFFICE), 50, PAIR.every) == 1
    assert let(limits, attempt("anna", OFFICE), 50, 100 * PAIR.every) == PAIR.burst


def test_never_an_absolute_lock() -> None:
    """However long somebody hammers: whoever waits as told is let in."""
    limits = SignInLimits()
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
    limits = SignInLimits()
    accounts = [attempt(f"user{number}", OFFICE) for number in range(500)]
    assert sum(is_let(limits, each) for each in accounts) == NETWORK.burst
    hour = sum(is_let(limits, each, 7.2 * number) for number, each in enumerate(accounts))
    assert hour <= 3600 / NETWORK.every + 1
    assert is_let(limits, attempt("user0", HOME), 3600)  # nobody's account was worn out by it
    assert is_let(limits, attempt("user400", HOME), 3600)


def test_a_refused_source_wears_out_no_account() -> None:
    limits = SignInLimits()
    let(limits, attempt("x", OFFICE), 5)
    for number in range(1000):
        is_let(limits, attempt(f"filler{number}", OFFICE))
        is_let(limits, attempt("anna", OFFICE))
    most = ACCOUNT_BY_STRANGERS.burst
    left = sum(is_let(limits, attempt("anna", f"203.0.113.{number}")) for number in range(most))
    assert most - left <= PAIR.burst


def test_many_places_on_one_account_slow_strangers_and_not_its_owner() -> None:
    limits = SignInLimits()
    strangers = [f"10.{number // 256}.{number % 256}.1" for number in range(2000)]
    let_in = sum(is_let(limits, attempt("anna", address)) for address in strangers)
    assert let_in == ACCOUNT_BY_STRANGERS.burst
    assert not is_let(limits, attempt("anna", "203.0.113.9"))
    assert let(limits, attempt("anna", HOME, is_known=True), 50) == KNOWN.burst  # her own share
    assert is_let(limits, attempt("bert", "203.0.113.9"))


def test_strangers_who_never_stop_take_nothing_from_the_owners_share() -> None:
    """A try of theirs each second of a day, and she finds her five whenever she comes."""
    limits = SignInLimits()
    for second in range(3600):
        is_let(limits, attempt("anna", f"10.0.{second % 250}.1"), second)
        if second % 1200 == 1199:
            known = attempt("anna", HOME, is_known=True)
            assert let(limits, known, 50, second) == KNOWN.burst


def test_whoever_is_known_stays_within_what_the_account_admits() -> None:
    """EDGES E5: a stolen mark makes no more guesses possible than there were."""
    limits = SignInLimits()
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
    limits = SignInLimits()
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
    limits = SignInLimits()
    assert let(limits, attempt("anna", OFFICE, is_known=True), 50) == KNOWN.burst + PAIR.burst
    assert let(limits, attempt("anna", HOME, is_known=True), 50) == PAIR.burst


def test_a_whole_ipv6_network_is_one_source_and_so_is_its_customer() -> None:
    limits = SignInLimits()
    in_one = [attempt(f"u{n}", f"2001:db8:1:1::{n:x}") for n in range(1, 200)]
    assert sum(is_let(limits, each) for each in in_one) == NETWORK.burst
    in_many = [attempt(f"v{n}", f"2001:db8:2:{n:x}::1") for n in range(200)]
    assert sum(is_let(limits, each) for each in in_many) == WIDE_NETWORK.burst
    assert is_let(limits, attempt("w", "2001:db8:3::1"))


def test_what_was_right_is_given_back_and_resets_nothing() -> None:
    limits = SignInLimits()
    assert let(limits, attempt("anna", OFFICE), PAIR.burst - 1) == PAIR.burst - 1
    for _ in range(100):  # one's own right password does not pay for guesses at another's
        right = limits.try_password(attempt("anna", OFFICE), 0)
        assert isinstance(right, Admitted)
        limits.give_back(right)
    assert let(limits, attempt("anna", OFFICE), 5) == 1
    victims = [attempt(f"user{number}", OFFICE) for number in range(100)]
    assert sum(is_let(limits, each) for each in victims) == NETWORK.burst - PAIR.burst


def test_codes_are_guessed_more_slowly_still() -> None:
    limits = SignInLimits()
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
    limits = SignInLimits()
    outcomes = [limits.try_key(attempt("", OFFICE), 0) for _ in range(50)]
    assert sum(isinstance(each, Admitted) for each in outcomes) == NETWORK.burst
    assert isinstance(limits.try_key(attempt("", HOME), 0), Admitted)


def test_memory_is_bounded_and_a_flood_resets_nothing() -> None:
    limits = SignInLimits(most=300)
    victim = attempt("anna", OFFICE)
    let(limits, victim, PAIR.burst)
    for number in range(5000):
        is_let(limits, attempt(f"user{number}", f"10.{number // 256}.{number % 256}.1"))
    assert len(limits) <= 300 + 5  # and the shared ones
    assert not is_let(limits, victim)
    for name in ("bert", "carl", "dora"):  # whatever strangers fill, each has their own
        assert let(limits, attempt(name, HOME, is_known=True), 50) >= KNOWN.burst


def test_buckets_that_are_full_again_make_room() -> None:
    limits = SignInLimits(most=300)
    for number in range(200):
        is_let(limits, attempt(f"user{number}", f"10.0.{number}.1"))
    later = 10_000.0
    assert is_let(limits, attempt("new", "203.0.113.1"), later)
    assert len(limits) <= 10


@pytest.mark.parametrize("name", ["x" * 100_000, "\ud800", ""])
def test_a_name_takes_no_more_room_than_another(name: str) -> None:
    limits = SignInLimits()
    is_let(limits, attempt(name, OFFICE))
    assert all(len(key[1]) < 100 for key in limits._full_at)
