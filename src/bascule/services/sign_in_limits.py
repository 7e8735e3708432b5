"""How often a proof may be tried: limits that stop guessing and do not lock owners out (EDGES B8).

Sources: NIST SP 800-63B section 3.2.2 (rate limiting), RFC 6585 section 4 (429).
Every bucket is a generic cell rate algorithm: one instant, so many tries at once, one more
every so often, never an absolute lock. A try takes from each of its buckets or from none,
so that a source that is refused wears out nobody's account; a right one is given back.

* A try is counted with its network, with the account as it is tried from there, and with
  the account as everybody together tries it.
* Whoever brings proof of an earlier sign-in as this very account (EDGES E5) is counted with
  that account's own bucket in place of the network's. A part of what the account admits is
  kept for it, so that neither neighbours nor strangers can use it up. When that bucket is
  empty the visitor is one of the network like any other.

Names are counted as they are typed, known or not, so that the answer tells nobody which
exist. The buckets are in the database, so that the limits hold over a restart and over all servers of an
installation (EDGES H2). They are named by an HMAC: whoever has the database alone learns no
name from it, and no password that was typed as one. Whoever has to wait causes no write. The number of buckets is
bounded: when there are so many that are still filling, new ones share one. A clock that is set back makes
nobody wait longer by more than it was set back. What is not here: hashing, which has a bound of its own.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bascule.interfaces.sign_in import SignInCountReads, SignInCountWrites
from bascule.services.act import Services

MOST_BUCKETS = 50_000
CLOCKS_DIFFER = timedelta(minutes=5)  # of two servers, or of one that is set back a little
# Of any bucket. One that says more is from before the clock was set back.
LONGEST_FILLING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Allowance:
    """``burst`` tries at once, and one more every ``every`` seconds."""

    burst: int
    every: float
    deepest: int = 0  # tries that the bucket holds, if others may take more of it than ``burst``

    @property
    def span(self) -> timedelta:
        return timedelta(seconds=self.every)

    @property
    def longest(self) -> timedelta:
        """From empty to full."""
        return max(self.burst, self.deepest) * self.span


PAIR = Allowance(5, 60)  # one account from one network
NETWORK = Allowance(20, 15)  # all accounts from one network
WIDE_NETWORK = Allowance(60, 5)  # all accounts from an IPv6 /48
ACCOUNT = Allowance(20, 60)  # one account, by whomever
# The same bucket: what is left of it is for the known.
ACCOUNT_BY_STRANGERS = Allowance(15, 60, ACCOUNT.burst)
KNOWN = Allowance(5, 120)  # one account by all who are known: too slow to keep ACCOUNT full
KNOWN_KEY = Allowance(5, 60)  # passkeys and recovery codes, which nobody guesses, likewise
# Of the million codes three are right at a time, so codes are guessed more slowly.
CODE_PAIR = Allowance(5, 60)
CODE_ACCOUNT = Allowance(10, 300)
CODE_BY_STRANGERS = Allowance(7, 300, CODE_ACCOUNT.burst)
KNOWN_CODE = Allowance(3, 600)

Key = tuple[str, str]  # kind of bucket, whose
Charge = tuple[Key, Allowance]
Way = tuple[Charge, ...]


@dataclass(frozen=True, slots=True)
class Attempt:
    """Who is claimed to try, and from where."""

    account: str  # as typed, or an id
    network: str  # domain.sign_in.network_of
    wide_network: str  # domain.sign_in.wide_network_of
    is_known: bool = False  # is it proved to have signed in as this account before?


@dataclass(frozen=True, slots=True)
class Admitted:
    """A try under way; give it back when it was right."""

    charges: tuple[Charge, ...]


class SignInLimits:
    """The buckets of one purpose. Use from one event loop."""

    def __init__(
        self, services: Services, key: bytes, purpose: str, most: int = MOST_BUCKETS
    ) -> None:
        """``key`` is this installation's; ``purpose`` keeps these apart from other buckets."""
        self._services, self._key, self._purpose, self._most = services, key, purpose, most

    async def try_password(self, attempt: Attempt) -> Admitted | timedelta:
        """Count a password; a timedelta is how long to wait instead."""
        return await self._admit(password_ways(attempt))

    async def wait_for_password(self, attempt: Attempt) -> timedelta | None:
        """How long a password would have to wait, if at all. It is not counted."""
        seen = await self._see(password_ways(attempt))
        return seen if isinstance(seen, timedelta) else None

    async def try_code(self, attempt: Attempt) -> Admitted | timedelta:
        """Count a one-time password, tried by somebody who knew the password."""
        return await self._admit(code_ways(attempt))

    async def try_key(self, attempt: Attempt) -> Admitted | timedelta:
        """Count what nobody guesses, a passkey or recovery code: by network, or as known."""
        return await self._admit(key_ways(attempt))

    async def give_back(self, admitted: Admitted) -> None:
        await self._services.perform(lambda tx, _: self.give_back_in(tx, admitted))

    def give_back_in(self, tx: SignInCountWrites, admitted: Admitted) -> None:
        """The same, in a transaction that does more."""
        places = {self._place(key): allowance for key, allowance in admitted.charges}
        kept = tx.sign_in_counts(tuple(places))
        tx.put_sign_in_counts(
            {place: full_at - places[place].span for place, full_at in kept.items()}
        )

    async def _admit(self, ways: Sequence[Way]) -> Admitted | timedelta:
        seen = await self._see(ways)
        if isinstance(seen, timedelta):
            return seen
        return await self._services.perform(lambda tx, act: self._take(tx, ways, act.now))

    async def _see(self, ways: Sequence[Way]) -> Counted | timedelta:
        clock = self._services.clock
        return await self._services.read_few(lambda reader: self._look(reader, ways, clock.now()))

    def _take(
        self, tx: SignInCountWrites, ways: Sequence[Way], now: datetime
    ) -> Admitted | timedelta:
        found = self._look(tx, ways, now)
        if isinstance(found, timedelta):
            return found
        tx.forget_sign_in_counts(now, now + LONGEST_FILLING)
        tx.put_sign_in_counts({self._place(key): at for key, at in found.full_at.items()})
        return found.admitted

    def _look(
        self, reader: SignInCountReads, ways: Sequence[Way], now: datetime
    ) -> Counted | timedelta:
        keys = {self._place(key): key for way in ways for key, _ in (*way, *_shared(way))}
        kept = {keys[place]: at for place, at in reader.sign_in_counts(tuple(keys)).items()}
        latest = now + LONGEST_FILLING
        return count(ways, kept, now, lambda: reader.has_sign_in_counts(self._most, now, latest))

    def _place(self, key: Key) -> str:
        """The name of a bucket in the database."""
        text = " ".join((self._purpose, *key))
        return hmac.digest(self._key, text.encode(errors="replace"), "sha256").hex()


@dataclass(frozen=True, slots=True)
class Counted:
    admitted: Admitted
    full_at: Mapping[Key, datetime]  # of each bucket that was charged, from now on


def count(
    ways: Sequence[Way],
    kept: Mapping[Key, datetime],
    now: datetime,
    is_crowded: Callable[[], bool],
) -> Counted | timedelta:
    """Count by the first of the ways that has room; else how long until one has.

    ``kept`` says when buckets are full again; one that it does not name is full. The last way is
    everybody's. Those before it are of people who are known: few, one a user, so that their
    buckets are kept apart whatever strangers have filled.
    """
    waits = []
    for way in ways:
        is_few = way is not ways[-1]
        is_new = not is_few and any(key not in kept for key, _ in way)
        has_room = not (is_new and is_crowded())
        found = tuple(
            (key if is_few or has_room or key in kept else _shared_key(key), allowance)
            for key, allowance in way
        )
        wait = max(_wait(kept.get(key, now), allowance, now) for key, allowance in found)
        if wait <= timedelta(0):
            full_at = {
                key: _sound(kept.get(key, now), allowance, now) + allowance.span
                for key, allowance in found
            }
            return Counted(Admitted(found), full_at)
        waits.append(wait)
    return min(waits)


def _sound(full_at: datetime, allowance: Allowance, now: datetime) -> datetime:
    """When it is full again. What no count can have written, but for CLOCKS_DIFFER, is from before
    the clock was set back: to believe it would lock everybody out for as long.
    """
    return full_at if now < full_at <= now + allowance.longest + CLOCKS_DIFFER else now


def _wait(full_at: datetime, allowance: Allowance, now: datetime) -> timedelta:
    room_at = _sound(full_at, allowance, now) - (allowance.burst - 1) * allowance.span
    return room_at - now


def _shared_key(key: Key) -> Key:
    """The bucket that new ones of a kind share while there is no room."""
    return key[0], ""


def _shared(way: Way) -> Sequence[Charge]:
    return [(_shared_key(key), allowance) for key, allowance in way]


def password_ways(attempt: Attempt) -> Sequence[Way]:
    name = _short(attempt.account)
    by_network = (
        (("pair", f"{name} {attempt.network}"), PAIR),
        (("account", name), ACCOUNT_BY_STRANGERS),
        *_by_network(attempt),
    )
    known = (("known", name), KNOWN), (("account", name), ACCOUNT)
    return (known, by_network) if attempt.is_known else (by_network,)


def code_ways(attempt: Attempt) -> Sequence[Way]:
    name = _short(attempt.account)
    by_network = (
        (("code pair", f"{name} {attempt.network}"), CODE_PAIR),
        (("code account", name), CODE_BY_STRANGERS),
    )
    known = (("known code", name), KNOWN_CODE), (("code account", name), CODE_ACCOUNT)
    return (known, by_network) if attempt.is_known else (by_network,)


def key_ways(attempt: Attempt) -> Sequence[Way]:
    known = ((("known key", _short(attempt.account)), KNOWN_KEY),)
    return (known, _by_network(attempt)) if attempt.is_known else (_by_network(attempt),)


def _by_network(attempt: Attempt) -> Way:
    own = (("network", attempt.network), NETWORK)
    if not attempt.wide_network:
        return (own,)
    return own, (("wide network", attempt.wide_network), WIDE_NETWORK)


def _short(account: str) -> str:
    """A name of fixed length for whatever was typed."""
    return hashlib.sha256(account.casefold().encode(errors="replace")).hexdigest()[:32]
