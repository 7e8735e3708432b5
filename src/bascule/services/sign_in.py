"""Signing in: the password first, then an enrolled second factor; or a passkey alone.

EDGES B8, B13. The page that asks (``api``) calls ``begin``, and while the answer names
factors, one of ``verify_totp``, ``verify_recovery_code`` or ``finish_assertion`` with it.
Rules: a try is counted before anything is hashed or looked at; whoever is wrong is told
neither what was wrong nor whether the account exists, by no count, delay or answer (EDGES E5:
what is known of an account changes how it is tried only for a browser that brings the mark of a
sign-in as this account); the state of the account is read again
in the transaction that lets somebody in, and that transaction holds the event.
What is not here: sessions, codes and tokens (whoever calls keeps them), and enrolment of
factors (``services.factors``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, TypeVar

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts import sign_in as facts
from bascule.domain.principals import User
from bascule.domain.sign_in import (
    FactorKind,
    Method,
    StoredPassword,
    network_of,
    wide_network_of,
)
from bascule.errors import TooManyRequests
from bascule.interfaces.principals import PrincipalReads
from bascule.interfaces.proofs import Ceremony, PasswordVerdict, Proofs
from bascule.interfaces.sign_in import SignInReads, SignInWrites
from bascule.services.act import Act, Services, actor_of
from bascule.services.denials import Denials
from bascule.services.second_factors import (
    FactorWrites,
    factors_of,
    take_passkey,
    take_recovery_code,
    take_totp,
)
from bascule.services.sign_in_limits import Admitted, Attempt, SignInLimits


class WayInReads(PrincipalReads, SignInReads, Protocol):
    """Users and their ways to sign in."""


class SignInTryWrites(FactorWrites, Protocol):
    """The same, to sign in, and the record."""


T = TypeVar("T")

LONGEST_NAME = 256  # characters; a longer one is nobody's
LONGEST_KEY_ID = 1366  # characters of a passkey's id (identity.passkeys)
PASSWORD_COUNTS_FOR = timedelta(minutes=10)  # to show the second factor
HASHING_TAKES = timedelta(seconds=3)  # what whoever finds no room is told to wait


class Refusal(StrEnum):
    WRONG = "wrong"  # name, password or code
    TOO_OFTEN = "tooOften"  # this account or network has to wait
    BUSY = "busy"  # the server has too many passwords to check
    STALE = "stale"  # the password was shown too long ago, or things have changed: begin anew


@dataclass(frozen=True, slots=True)
class Visit:
    """Where somebody comes from."""

    address: str  # as the server sees it
    client: str = ""  # the program, by its own word
    correlation_id: str = ""
    mark: str = ""  # ``interfaces.proofs.BrowserMarks``; programs have none


@dataclass(frozen=True, slots=True)
class PasswordAccepted:
    """The password was right, or an external provider vouched for the user.

    Keep it where the visitor cannot change it.
    """

    user: User
    factors: tuple[FactorKind, ...]  # one of which is to be shown too; empty: signed in
    accepted_at: datetime
    first: Method = Method.PASSWORD  # or ELSEWHERE

    @property
    def methods(self) -> tuple[Method, ...]:
        """How somebody is signed in whose ``factors`` are empty."""
        return (self.first,)


@dataclass(frozen=True, slots=True)
class SignedIn:
    user: User
    methods: tuple[Method, ...]
    factor_at: datetime | None = (
        None  # when a one-time password or passkey was shown; None: none was
    )


@dataclass(frozen=True, slots=True)
class SignInRefused:
    reason: Refusal
    retry_after: timedelta | None = None  # set for TOO_OFTEN and BUSY: answer 429


@dataclass(frozen=True, slots=True)
class KeyAnswer:
    """An authenticator's answer to one of our challenges."""

    ticket: str  # as ``Ceremony`` gave it
    answer: Mapping[str, Any]  # PublicKeyCredential as JSON
    origin: str  # where the page was served: the base URL that it was asked by


@dataclass(frozen=True, slots=True)
class Proof:
    """One proof, of somebody who is signed in already."""

    kind: FactorKind | None  # None: the password
    text: str = ""  # password or code
    key: KeyAnswer | None = None


@dataclass(frozen=True, slots=True)
class _Account:
    """What is known of the account before a password is looked at."""

    user: User | None
    password: StoredPassword | None


@dataclass(frozen=True, slots=True)
class _Tried:
    seen: _Account
    verdict: PasswordVerdict
    admitted: Admitted


_METHODS: Mapping[FactorKind | None, tuple[Method, ...]] = {  # after what was shown first
    FactorKind.TOTP: (Method.ONE_TIME_PASSWORD, Method.SEVERAL),
    FactorKind.RECOVERY_CODE: (Method.ONE_TIME_PASSWORD, Method.SEVERAL),
    FactorKind.PASSKEY: (Method.KEY, Method.SEVERAL),
    None: (Method.KEY, Method.SEVERAL),  # a passkey alone: the key, and what unlocked it
}


class SignIn:
    """What the sign-in page asks. Use from one event loop."""

    def __init__(self, services: Services, proofs: Proofs, denials: Denials) -> None:
        """``denials`` counts refusals by source, which has its share of events."""
        self.services, self.proofs = services, proofs
        self._denials = denials
        self._limits = SignInLimits(services, proofs.count_key, "sign-in")
        self._owed = Denials()  # its own: who has a factor uses up no refusals

    async def begin(
        self, user_name: str, password: str, visit: Visit
    ) -> PasswordAccepted | SignInRefused:
        """Take a name and a password; with no factors enrolled that is all."""
        is_known = await self._is_known(user_name, visit)
        tried = await self._try_password(user_name, password, visit, is_known=is_known)
        if isinstance(tried, SignInRefused):
            return tried
        shown = tried.seen.password
        seen, verdict = tried.seen, tried.verdict
        if shown is None or not verdict.is_right:
            return await self._refuse(visit, Refusal.WRONG, "password", seen.user)
        new_hash = await self._renewed(password) if verdict.is_outdated else ""

        def work(tx: SignInTryWrites, act: Act) -> PasswordAccepted | None:
            self._limits.give_back_in(tx, tried.admitted)
            user = tx.user(shown.user_id)
            if user is None or not user.is_enabled or tx.password(user.id) != shown:
                return None
            if new_hash:
                tx.put_password(StoredPassword(user.id, new_hash, shown.set_at))
            accepted = PasswordAccepted(user, factors_of(tx, user.id), act.now)
            if not accepted.factors:
                let_in(tx, act, user, accepted.methods, visit)
            return accepted

        accepted = await self._as(seen.user, visit, work)
        if accepted is None:
            return await self._refuse(visit, Refusal.WRONG, "account", seen.user)
        if accepted.factors:
            await self.record_owed(accepted, visit)
        return accepted

    async def verify_totp(
        self, accepted: PasswordAccepted, code: str, visit: Visit
    ) -> SignedIn | SignInRefused:
        """Take a one-time password after the password; each counts once."""
        return await self._second(accepted, Proof(FactorKind.TOTP, code), visit)

    async def verify_recovery_code(
        self, accepted: PasswordAccepted, code: str, visit: Visit
    ) -> SignedIn | SignInRefused:
        """Take a recovery code after the password; each counts once."""
        return await self._second(accepted, Proof(FactorKind.RECOVERY_CODE, code), visit)

    async def begin_assertion(self, accepted: PasswordAccepted | None) -> Ceremony:
        """What the browser needs to ask for a passkey: this user's, or any (None)."""
        user_id = accepted.user.id if accepted else ""
        present = await self.services.read(
            lambda reader: reader.passkeys_of(user_id) if user_id else ()
        )
        return self.proofs.passkeys.begin_assertion(user_id, present, self.services.clock.now())

    async def finish_assertion(
        self,
        accepted: PasswordAccepted | None,
        ticket: str,
        answer: Mapping[str, Any],
        origin: str,
        visit: Visit,
    ) -> SignedIn | SignInRefused:
        """Take the authenticator's answer: after the password, or alone (None).

        ``origin`` is where the page was served: the base URL that it was asked by.
        """
        key = KeyAnswer(ticket, answer, origin)
        if accepted is None:
            return await self._by_key_alone(key, visit)
        return await self._second(accepted, Proof(FactorKind.PASSKEY, key=key), visit)

    async def prove(self, user: User, proof: Proof, visit: Visit) -> SignInRefused | None:
        """Take one fresh proof of somebody who is signed in already; None when it is right."""
        if proof.kind is not None:
            accepted = PasswordAccepted(user, (), self.services.clock.now())
            outcome = await self._second(accepted, proof, visit, is_entry=False)
            return outcome if isinstance(outcome, SignInRefused) else None
        tried = await self._try_password(user.name, proof.text, visit, is_known=True)
        if isinstance(tried, SignInRefused):
            return tried
        if tried.verdict.is_right:
            await self._limits.give_back(tried.admitted)
        seen = tried.seen.user
        is_right = tried.verdict.is_right and seen is not None and seen.id == user.id
        return None if is_right else await self._refuse(visit, Refusal.WRONG, "password", user)

    async def _by_key_alone(self, key: KeyAnswer, visit: Visit) -> SignedIn | SignInRefused:
        attempt = _attempt("", visit)
        if (owner := await self._marked_owner(key, visit)) is not None:
            attempt = _attempt(owner.id, visit, is_known=True)
        admitted = await self._limits.try_key(attempt)
        if isinstance(admitted, timedelta):
            return await self._refuse(visit, Refusal.TOO_OFTEN, "passkey", None, admitted)

        def work(tx: SignInTryWrites, act: Act) -> SignedIn | None:
            user = take_passkey(self.proofs, tx, act, "", key.ticket, key.answer, key.origin)
            if user is None or not user.is_enabled:
                return None
            self._limits.give_back_in(tx, admitted)
            act.actor = actor_of(subject_of(user, visit))  # known only now
            let_in(tx, act, user, _METHODS[None], visit)
            return SignedIn(user, _METHODS[None], act.now)

        signed_in = await self._as(None, visit, work)
        if signed_in is None:
            return await self._refuse(visit, Refusal.WRONG, "passkey", None)
        return signed_in

    async def _second(
        self, accepted: PasswordAccepted, proof: Proof, visit: Visit, *, is_entry: bool = True
    ) -> SignedIn | SignInRefused:
        kind = proof.kind or FactorKind.TOTP
        is_known = not is_entry or await self._is_known(accepted.user.name, visit)
        attempt = _attempt(accepted.user.id, visit, is_known=is_known)
        count = self._limits.try_code if kind is FactorKind.TOTP else self._limits.try_key
        admitted = await count(attempt)
        if isinstance(admitted, timedelta):
            return await self._refuse(visit, Refusal.TOO_OFTEN, kind, accepted.user, admitted)

        def work(tx: SignInTryWrites, act: Act) -> SignedIn | Refusal:
            user = _as_accepted(tx, accepted, act.now)
            if user is None:
                return Refusal.STALE
            if not self._take(tx, act, user, proof):
                return Refusal.WRONG
            self._limits.give_back_in(tx, admitted)
            methods = (accepted.first, *_METHODS[kind])
            if is_entry:
                let_in(tx, act, user, methods, visit)
            # A recovery code is for whoever has lost the factor: it proves none.
            is_factor = kind is not FactorKind.RECOVERY_CODE
            return SignedIn(user, methods, act.now if is_factor else None)

        outcome = await self._as(accepted.user, visit, work)
        if isinstance(outcome, Refusal):
            return await self._refuse(visit, outcome, kind, accepted.user)
        return outcome

    def _take(self, tx: SignInTryWrites, act: Act, user: User, proof: Proof) -> bool:
        if proof.key is not None:
            key = proof.key
            owner = take_passkey(self.proofs, tx, act, user.id, key.ticket, key.answer, key.origin)
            return owner is not None
        if proof.kind is FactorKind.RECOVERY_CODE:
            return take_recovery_code(self.proofs, tx, act, user, proof.text)
        return take_totp(self.proofs, tx, act, user, proof.text)

    # -- counting -----------------------------------------------------------------------

    async def _try_password(
        self, account: str, password: str, visit: Visit, *, is_known: bool
    ) -> _Tried | SignInRefused:
        """Count the try, then look the account up, then hash. Of a right one the caller gives the
        count back.

        In this order the answer to whoever has to wait comes as fast for any name.
        """
        passwords = self.proofs.passwords
        attempt = _attempt(account, visit, is_known=is_known)
        admitted: Admitted | timedelta | None
        if passwords.has_room(is_known=is_known):
            admitted = await self._limits.try_password(attempt)
        else:  # a flood keeps no writer busy
            admitted = await self._limits.wait_for_password(attempt)
        if isinstance(admitted, timedelta):
            return await self._refuse(visit, Refusal.TOO_OFTEN, "password", account, admitted)
        if admitted is None:
            return SignInRefused(Refusal.BUSY, HASHING_TAKES)
        seen = await self.services.read(lambda reader: _account_of(reader, account))
        stored = seen.password.hash if seen.password else None
        try:
            verdict = await passwords.verify(stored, password, is_known=is_known)
        except TooManyRequests as error:
            await self._limits.give_back(admitted)
            return SignInRefused(Refusal.BUSY, timedelta(seconds=error.retry_after))
        return _Tried(seen, verdict, admitted)

    async def marked(self, visit: Visit) -> User | None:
        """Whose mark the browser brings, if it still holds: no proof that this is the user."""
        left = self.proofs.marks.sign_in(visit.mark, self.services.clock.now())
        if left is None:
            return None
        user = await self.services.read_few(lambda reader: reader.user(left.user_id))
        return user if left.holds_for(user) else None

    async def _is_known(self, account: str, visit: Visit) -> bool:
        """Does the browser bring the mark of a sign-in as this account, which still holds?

        The account that the mark names is looked up, never the one that was typed.
        """
        user = await self.marked(visit)
        return user is not None and user.name.casefold() == account.casefold()

    async def _marked_owner(self, key: KeyAnswer, visit: Visit) -> User | None:
        """Whose mark the browser brings, if the passkey that it names is the same user's."""
        user, given = await self.marked(visit), key.answer.get("id")
        if user is None or not isinstance(given, str):
            return None
        passkey = await self.services.read_few(
            lambda reader: reader.passkey(given[:LONGEST_KEY_ID])
        )
        return user if passkey is not None and passkey.user_id == user.id else None

    async def _renewed(self, password: str) -> str:
        """A hash with today's parameters; empty when the server has no time for it now."""
        try:
            return await self.proofs.passwords.hash(password)
        except TooManyRequests:
            return ""

    # -- what goes on record ------------------------------------------------------------

    async def _as(
        self, user: User | None, visit: Visit, work: Callable[[SignInTryWrites, Act], T]
    ) -> T:
        subject = subject_of(user, visit)
        return await self.services.perform(work, subject, visit.correlation_id)

    async def record_owed(self, accepted: PasswordAccepted, visit: Visit) -> None:
        """Put on record that a second factor is owed, in bounded number as refusals are.

        Whoever knows a password alone gets no further; its owner sees that somebody does.
        """
        if self._owed.is_recorded(visit.address, self.services.clock.now()):
            user = accepted.user
            fact = facts.SecondFactorOwed(user.id, user.name, str(accepted.first))
            await self._as(None, visit, lambda tx, act: act.record_denied(tx, fact, self._owed))

    async def _refuse(
        self,
        visit: Visit,
        reason: Refusal,
        what: str,
        who: User | str | None,
        retry_after: timedelta | None = None,
    ) -> SignInRefused:
        """Refuse, and put it on record unless the source has had its share of this minute.

        ``who`` may be what was typed, which may be a password: it is recorded only when somebody
        has that name, and looked up only when it is recorded.
        """
        if self._denials.is_recorded(visit.address, self.services.clock.now()):

            def work(tx: SignInTryWrites, act: Act) -> None:
                user = _user_of(tx, who) if isinstance(who, str) else who
                name = user.name if user else ""
                act.record_denied(tx, facts.SignInRefused(name, what, str(reason)), self._denials)

            await self._as(None, visit, work)
        return SignInRefused(reason, retry_after)


def _account_of(reader: WayInReads, user_name: str) -> _Account:
    user = _user_of(reader, user_name)
    return _Account(user, reader.password(user.id if user else ""))  # looked up for any name


def _user_of(reader: PrincipalReads, user_name: str) -> User | None:
    return reader.user_by_name(user_name) if len(user_name) <= LONGEST_NAME else None


def _as_accepted(reader: PrincipalReads, accepted: PasswordAccepted, now: datetime) -> User | None:
    """The user, if the password that was accepted still is one that counts."""
    age = now - accepted.accepted_at
    user = reader.user(accepted.user.id)
    is_as_it_was = user is not None and user.is_enabled and user.epoch == accepted.user.epoch
    return user if is_as_it_was and age <= PASSWORD_COUNTS_FOR else None


def let_in(
    tx: SignInTryWrites, act: Act, user: User, methods: tuple[Method, ...], visit: Visit
) -> None:
    """Remember where from, and put it on record; the session is whoever's who calls."""
    remember_network(tx, act, user, visit)
    act.record(tx, facts.SignInSucceeded(user.id, user.name, tuple(map(str, methods))))


def remember_network(tx: SignInWrites, act: Act, user: User, visit: Visit) -> None:
    """Somebody signed in from there: codes and places that run out leave it last (EDGES E6)."""
    if network := network_of(visit.address):
        tx.put_known_network(user.id, network, act.now)


def _attempt(account: str, visit: Visit, *, is_known: bool = False) -> Attempt:
    return Attempt(
        account, network_of(visit.address), wide_network_of(visit.address), is_known=is_known
    )


def subject_of(user: User | None, visit: Visit) -> Subject:
    """Who is proved to act; nobody, as long as nothing is proved."""
    user_id, name = (user.id, user.name) if user else ("", "")
    return Subject(user_id, PrincipalKind.USER, name, visit.address, visit.client)
