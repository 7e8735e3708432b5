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
exist. Memory is bounded: when the table is full of buckets that are still filling, new ones
share one. Time is the clock's boot time, which nobody sets back. What is not here: hashing,
which has a bound of its own, and the counts of other replicas.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

MOST_BUCKETS = 50_000


@dataclass(frozen=True, slots=True)
class Allowance:
    """``burst`` tries at once, and one more every ``every`` seconds."""

    burst: int
    every: float


PAIR = Allowance(5, 60)  # one account from one network
NETWORK = Allowance(20, 15)  # all accounts from one network
WIDE_NETWORK = Allowance(60, 5)  # all accounts from an IPv6 /48
ACCOUNT = Allowance(20, 60)  # one account, by whomever
ACCOUNT_BY_STRANGERS = Allowance(15, 60)  # the same bucket: what is left is for the known
KNOWN = Allowance(5, 120)  # one account by all who are known: too slow to keep ACCOUNT full
KNOWN_KEY = Allowance(5, 60)  # passkeys and recovery codes, which nobody guesses, likewise
# Of the million codes three are right at a time, so codes are guessed more slowly.
CODE_PAIR = Allowance(5, 60)
CODE_ACCOUNT = Allowance(10, 300)
CODE_BY_STRANGERS = Allowance(7, 300)
KNOWN_CODE = Allowance(3, 600)

_Key = tuple[str, str]
_Charge = tuple[_Key, Allowance]
_Way = tuple[_Charge, ...]


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

    charges: tuple[_Charge, ...]


class SignInLimits:
    """The buckets of one process. Use from one event loop."""

    def __init__(self, most: int = MOST_BUCKETS) -> None:
        self._most = most
        self._full_at: dict[_Key, float] = {}  # when the bucket is full again
        self._swept_at = float("-inf")

    def __len__(self) -> int:
        return len(self._full_at)

    def try_password(self, attempt: Attempt, now: float) -> Admitted | timedelta:
        """Count a password; a timedelta is how long to wait instead."""
        return self._admit(_password_ways(attempt), now)

    def try_code(self, attempt: Attempt, now: float) -> Admitted | timedelta:
        """Count a one-time password, tried by somebody who knew the password."""
        return self._admit(_code_ways(attempt), now)

    def try_key(self, attempt: Attempt, now: float) -> Admitted | timedelta:
        """Count what nobody guesses, a passkey or recovery code: by network, or as known."""
        return self._admit(_key_ways(attempt), now)

    def give_back(self, admitted: Admitted) -> None:
        for key, allowance in admitted.charges:
            if key in self._full_at:
                self._full_at[key] -= allowance.every

    def _admit(self, ways: Sequence[_Way], now: float) -> Admitted | timedelta:
        """Count by the first of the ways that has room; else how long until one has.

        The last way is everybody's. Those before it are of people who are known: few, one a
        user, so that their buckets are kept apart whatever strangers have filled.
        """
        waits = []
        for way in ways:
            is_few = way is not ways[-1]
            found = tuple(
                (key if is_few else self._place(key, now), allowance) for key, allowance in way
            )
            wait = max(self._wait(key, allowance, now) for key, allowance in found)
            if wait <= 0:
                for key, allowance in found:
                    self._full_at[key] = max(self._full_at.get(key, now), now) + allowance.every
                return Admitted(found)
            waits.append(wait)
        return timedelta(seconds=min(waits))

    def _wait(self, key: _Key, allowance: Allowance, now: float) -> float:
        full_at = max(self._full_at.get(key, now), now)
        return full_at + allowance.every - (now + allowance.burst * allowance.every)

    def _place(self, key: _Key, now: float) -> _Key:
        """The bucket itself, or the one that new ones share while there is no room."""
        if key in self._full_at:
            return key
        if len(self._full_at) >= self._most and now > self._swept_at + 1:
            self._swept_at = now
            self._full_at = {kept: at for kept, at in self._full_at.items() if at > now}
        return key if len(self._full_at) < self._most else (key[0], "")


def _password_ways(attempt: Attempt) -> Sequence[_Way]:
    name = _short(attempt.account)
    by_network = (
        (("pair", f"{name} {attempt.network}"), PAIR),
        (("account", name), ACCOUNT_BY_STRANGERS),
        *_by_network(attempt),
    )
    known = (("known", name), KNOWN), (("account", name), ACCOUNT)
    return (known, by_network) if attempt.is_known else (by_network,)


def _code_ways(attempt: Attempt) -> Sequence[_Way]:
    name = _short(attempt.account)
    by_network = (
        (("code pair", f"{name} {attempt.network}"), CODE_PAIR),
        (("code account", name), CODE_BY_STRANGERS),
    )
    known = (("known code", name), KNOWN_CODE), (("code account", name), CODE_ACCOUNT)
    return (known, by_network) if attempt.is_known else (by_network,)


def _key_ways(attempt: Attempt) -> Sequence[_Way]:
    known = ((("known key", _short(attempt.account)), KNOWN_KEY),)
    return (known, _by_network(attempt)) if attempt.is_known else (_by_network(attempt),)


def _by_network(attempt: Attempt) -> _Way:
    own = (("network", attempt.network), NETWORK)
    if not attempt.wide_network:
        return (own,)
    return own, (("wide network", attempt.wide_network), WIDE_NETWORK)


def _short(account: str) -> str:
    """A name of fixed length for whatever was typed."""
    return hashlib.sha256(account.casefold().encode(errors="replace")).hexdigest()[:32]
