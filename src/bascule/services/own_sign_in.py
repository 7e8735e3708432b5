"""A person's own ways of signing in, and what an administrator may do about them.

EDGES B4, B13. A token alone changes none of them: changing one's own needs the current password
or a factor again, so that a stolen token does not give permanent access. An administrator can
set passwords and remove factors of users who hold no more rights than they do, but not their
own in this way. Secrets are answered once and never again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from math import ceil
from typing import Protocol, TypeVar

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.facts.fact import Fact
from bascule.domain.facts.sign_in import (
    FactorEnrolled,
    FactorRemoved,
    PasswordSet,
    RecoveryCodesMade,
)
from bascule.domain.names import parse_display_name
from bascule.domain.passwords import problems_of
from bascule.domain.principals import User
from bascule.domain.sign_in import (
    FactorKind,
    Passkey,
    RecoveryCodes,
    StoredPassword,
    TotpFactor,
)
from bascule.errors import (
    BasculeError,
    Conflict,
    Forbidden,
    InvalidInput,
    NotFound,
    TooManyRequests,
)
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.inventory import InventoryReads
from bascule.interfaces.principals import PrincipalWrites
from bascule.interfaces.proofs import Ceremony, NewTotp
from bascule.interfaces.providers import ProviderReads
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads
from bascule.interfaces.sign_in import SignInWrites
from bascule.sentences import sentence
from bascule.services.act import Act
from bascule.services.makers import note_password
from bascule.services.owners import OwnerReads, check_owner_left
from bascule.services.principal_rights import are_owners, check_may_change, identity_id
from bascule.services.sign_in import (
    KeyAnswer,
    Proof,
    Refusal,
    SignIn,
    SignInRefused,
    Visit,
    WayInReads,
)
from bascule.services.users import KIND, find_user


class WayInWrites(
    EventWrites, InventoryReads, MakerWrites, PrincipalWrites, SignInWrites, Protocol
):
    """The same, to change them, and the record."""


class OthersWayInWrites(
    EventWrites,
    InventoryReads,
    MakerWrites,
    PrincipalWrites,
    ProviderReads,
    RoleReads,
    SignInWrites,
    Protocol,
):
    """Another user's ways to sign in, and the right to change them."""


T = TypeVar("T")

ENROLMENT_LIFE = timedelta(minutes=10)  # from a secret shown to its first right code
MOST_PASSKEYS = 20  # of one user


@dataclass(frozen=True, slots=True)
class WaysIn:
    """How a user may sign in; no secrets."""

    user: User
    password: StoredPassword | None
    totp: TotpFactor | None
    passkeys: Sequence[Passkey]
    recovery_codes: RecoveryCodes | None


def ways_in(reader: WayInReads, user_id: str) -> WaysIn:
    user = find_user(reader, user_id)
    return WaysIn(
        user,
        reader.password(user.id),
        reader.totp(user.id, is_active=True),
        reader.passkeys_of(user.id),
        reader.recovery_codes(user.id),
    )


class Caller(Protocol):
    """The user who changes their own; authorised again here, because a body may come late."""

    @property
    def subject(self) -> Subject: ...

    async def perform(self, work: Callable[[WayInWrites, Act], T]) -> T: ...


class OwnSignIn:
    """Use cases of people about themselves. Use from one event loop."""

    def __init__(self, sign_in: SignIn) -> None:
        self._sign_in, self._services, self._proofs = sign_in, sign_in.services, sign_in.proofs

    async def change_password(
        self, caller: Caller, proof: Proof, password: str, visit: Visit
    ) -> None:
        """Take a new password; every token of the user is void from then on."""
        user = await self._user(caller.subject)
        check_password(password, user)
        await self._prove(user, proof, visit)
        hashed = await self._proofs.passwords.hash(password)
        await caller.perform(lambda tx, act: set_password(tx, act, user.id, hashed))

    async def begin_totp(self, caller: Caller, proof: Proof, visit: Visit) -> NewTotp:
        """A new secret, which counts from its first right code on; until then an old one does."""
        user = await self._user(caller.subject)
        await self._prove(user, proof, visit)
        made = self._proofs.totp.new(user)

        def work(tx: SignInWrites, act: Act) -> None:
            tx.put_totp(TotpFactor(user.id, False, made.sealed, act.now))

        await caller.perform(work)
        return made

    async def confirm_totp(self, caller: Caller, code: str) -> None:
        """Take the first code; raise InvalidInput for a wrong one, Conflict when nothing waits."""
        user = await self._user(caller.subject)

        def work(tx: WayInWrites, act: Act) -> None:
            waiting = tx.totp(user.id, is_active=False)
            if waiting is None or act.now >= waiting.created_at + ENROLMENT_LIFE:
                raise Conflict(
                    "No one-time password is waiting for its first code.",
                    code="NoEnrolment",
                    advice="Start the enrolment again. Enter its first code within ten minutes.",
                )
            step = self._proofs.totp.step(user.id, waiting.sealed, code, act.now)
            if step is None:
                raise InvalidInput(
                    "The code is wrong.",
                    code="WrongCode",
                    target="code",
                    advice="Enter the code that the app shows now. If it is still wrong, set the "
                    "device's clock automatically.",
                )
            tx.delete_totp(user.id, is_active=False)
            tx.put_totp(replace(waiting, is_active=True, last_step=step))
            _record(tx, act, user, FactorEnrolled(user.id, user.name, FactorKind.TOTP))

        await caller.perform(work)

    async def remove_totp(self, caller: Caller, proof: Proof, visit: Visit) -> bool:
        user = await self._user(caller.subject)
        await self._prove(user, proof, visit)
        return await caller.perform(lambda tx, act: _remove_totp(tx, act, user))

    async def make_recovery_codes(
        self, caller: Caller, proof: Proof, visit: Visit
    ) -> Sequence[str]:
        """A new set, to be shown once; the earlier one is void."""
        user = await self._user(caller.subject)
        await self._prove(user, proof, visit)
        made = self._proofs.recovery.new(user.id)

        def work(tx: WayInWrites, act: Act) -> None:
            tx.put_recovery_codes(user.id, [digest for _, digest in made], act.now)
            _record(tx, act, user, RecoveryCodesMade(user.id, user.name, len(made)))

        await caller.perform(work)
        return [code for code, _ in made]

    async def begin_passkey(self, subject: Subject, proof: Proof, visit: Visit) -> Ceremony:
        """What the browser needs to have an authenticator make a passkey."""
        user = await self._user(subject)
        await self._prove(user, proof, visit)
        present = await self._services.read(lambda reader: reader.passkeys_of(user.id))
        if len(present) >= MOST_PASSKEYS:
            raise Conflict(
                sentence("You have {count} passkeys, which is the maximum.", count=len(present)),
                code="TooManyPasskeys",
                advice="Remove one that you do not use.",
            )
        return self._proofs.passkeys.begin_registration(user, present, self._services.clock.now())

    async def finish_passkey(self, caller: Caller, key: KeyAnswer, label: str) -> Passkey:
        """Keep what the authenticator made; the ticket shows that ``begin_passkey`` had a proof."""
        user = await self._user(caller.subject)
        parse_display_name(label, "name")

        def work(tx: WayInWrites, act: Act) -> Passkey:
            finish = self._proofs.passkeys.finish_registration
            challenge, made = finish(key.ticket, key.answer, key.origin, act.now)
            is_ours = challenge.user_id == user.id
            if not is_ours or not tx.use_challenge(challenge.challenge, challenge.ends_at, act.now):
                raise InvalidInput(
                    "The ticket belongs to another user or was already used.",
                    code="InvalidTicket",
                    advice="Start the enrolment of the passkey again.",
                )
            if tx.passkey(made.id) is not None:
                raise Conflict("This passkey is already enrolled.", code="PasskeyExists")
            named = replace(made, name=label)
            tx.put_passkey(named)
            _record(tx, act, user, FactorEnrolled(user.id, user.name, FactorKind.PASSKEY, label))
            return named

        return await caller.perform(work)

    async def remove_passkey(
        self, caller: Caller, passkey_id: str, proof: Proof, visit: Visit
    ) -> None:
        user = await self._user(caller.subject)
        await self._prove(user, proof, visit)

        def work(tx: WayInWrites, act: Act) -> None:
            passkey = tx.passkey(passkey_id)
            if passkey is None or passkey.user_id != user.id:
                raise NotFound("You have no such passkey.", code="PasskeyNotFound")
            _remove_passkeys(tx, act, user, [passkey])

        await caller.perform(work)

    async def begin_proof(self, subject: Subject) -> Ceremony:
        """What the browser needs to ask one of the user's passkeys for a fresh proof."""
        user = await self._user(subject)
        present = await self._services.read(lambda reader: reader.passkeys_of(user.id))
        if not present:
            raise Conflict("You have no passkey.", code="PasskeyNotFound")
        return self._proofs.passkeys.begin_assertion(user.id, present, self._services.clock.now())

    async def ways_in(self, subject: Subject) -> WaysIn:
        user = await self._user(subject)
        return await self._services.read(lambda reader: ways_in(reader, user.id))

    # -- for all of them ----------------------------------------------------------------

    async def _user(self, subject: Subject) -> User:
        if subject.kind is not PrincipalKind.USER:
            raise Forbidden(
                "This is only for people; you are a service principal.",
                advice="To manage a service principal's credentials: bascule sp.",
            )
        return await self._services.read(lambda reader: find_user(reader, subject.principal_id))

    async def _prove(self, user: User, proof: Proof, visit: Visit) -> None:
        """Raise Forbidden, or TooManyRequests, unless the proof is right now."""
        refused = await self._sign_in.prove(user, proof, visit)
        if refused is not None:
            raise refusal(refused)


def refusal(refused: SignInRefused) -> BasculeError:
    """A refused proof as an error, for whoever is signed in already."""
    if refused.retry_after is not None:
        seconds = ceil(refused.retry_after.total_seconds())
        return TooManyRequests(
            "Too many attempts."
            if refused.reason is Refusal.TOO_OFTEN
            else "The server is busy checking passwords.",
            advice=sentence("Try again in {seconds} s.", seconds=seconds),
            retry_after=seconds,
        )
    return Forbidden(
        "The proof is wrong. Nothing was changed.",
        code="ProofRefused",
        target="proof",
        advice="Give your current password or a new code. If you have neither, ask an administrator to "
        "set a password for you."
        if refused.reason is Refusal.WRONG
        else "Sign in again.",
    )


# -- in a transaction, for others too ---------------------------------------------------


def check_password(password: str, user: User, target: str = "password") -> None:
    """Raise InvalidInput unless the user may choose this password."""
    problems = problems_of(password, (user.name, user.display_name))
    if problems:
        raise InvalidInput.of([replace(each, target=target) for each in problems])


def set_password(tx: WayInWrites, act: Act, user_id: str, hashed: str) -> User:
    """Keep a password's hash; unless it is the first, every token of the user is void."""
    user = find_user(tx, user_id)
    is_first = tx.password(user.id) is None
    tx.put_password(StoredPassword(user.id, hashed, act.now))
    note_password(tx, act, user.id, is_first=is_first)
    if not is_first:
        user = replace(user, epoch=user.epoch + 1)
        tx.put_user(user)
    _record(tx, act, user, PasswordSet(user.id, user.name, is_first))
    return user


def set_password_of(
    tx: OthersWayInWrites, act: Act, subject: Subject, user_id: str, hashed: str
) -> User:
    """Set another's password; raise Forbidden (EDGES B4) or NotFound."""
    user = find_user(tx, user_id)
    _check_another(tx, act, subject, user)
    return set_password(tx, act, user.id, hashed)


def remove_factors_of(tx: OthersWayInWrites, act: Act, subject: Subject, user_id: str) -> bool:
    """Take all second factors of another away; False when there were none.

    For somebody who lost them. The user is signed out everywhere, and signs in by the
    password alone until something is enrolled again.
    """
    user = find_user(tx, user_id)
    _check_another(tx, act, subject, user)
    is_owner = are_owners(tx, [user.id])
    codes = tx.recovery_codes(user.id)
    had_totp = _remove_totp(tx, act, user)
    passkeys = tx.passkeys_of(user.id)
    _remove_passkeys(tx, act, user, passkeys)
    if codes is not None:
        tx.put_recovery_codes(user.id, [], act.now)
        _record(tx, act, user, FactorRemoved(user.id, user.name, FactorKind.RECOVERY_CODE))
    if not (had_totp or passkeys or codes):
        return False
    tx.put_user(replace(user, epoch=user.epoch + 1))
    if is_owner:
        check_owner_left(tx, act)
    return True


def _check_another(tx: OwnerReads, act: Act, subject: Subject, user: User) -> None:
    if subject.principal_id == user.id:
        raise Forbidden(
            "This route changes other users. Changing how you sign in yourself needs a fresh "
            "proof.",
            advice="Use .../providers/Bascule.Identity/me instead.",
        )
    check_may_change(tx, act, subject, user.id)


def _remove_totp(tx: WayInWrites, act: Act, user: User) -> bool:
    tx.delete_totp(user.id, is_active=False)
    if tx.totp(user.id, is_active=True) is None:
        return False
    tx.delete_totp(user.id, is_active=True)
    _record(tx, act, user, FactorRemoved(user.id, user.name, FactorKind.TOTP))
    return True


def _remove_passkeys(tx: WayInWrites, act: Act, user: User, passkeys: Sequence[Passkey]) -> None:
    for each in passkeys:
        tx.delete_passkey(each.id)
        _record(tx, act, user, FactorRemoved(user.id, user.name, FactorKind.PASSKEY, each.name))


def _record(tx: WayInWrites, act: Act, user: User, fact: Fact) -> None:
    act.record(tx, fact, identity_id(tx, KIND, user.id))
