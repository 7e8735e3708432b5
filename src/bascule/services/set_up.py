"""The first person of a fresh installation, made by a link that works once (EDGES C0).

The link is shown to whoever starts the server, and stands in the data directory. It lets
its bearer make one user who is Owner at the subscription, signed in at once; for a quarter of
an hour, once, and only as long as no user and no group is Owner. Whoever comes with another
text, with one that has ended or was used, or after somebody else, is told the same.
What is not here: the file and what is printed (``bootstrap``), the pages (``portal``).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil
from typing import Protocol

from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import OWNER
from bascule.domain.facts import installation as facts
from bascule.domain.names import parse_display_name, parse_user_name
from bascule.domain.passwords import problems_of
from bascule.domain.principals import User
from bascule.domain.scopes import subscription_scope
from bascule.domain.set_up import SetUpLink
from bascule.domain.sign_in import Method, network_of, wide_network_of
from bascule.domain.times import format_utc
from bascule.domain.tokens import Origin
from bascule.errors import BasculeError, Conflict, InvalidInput, Problem, TooManyRequests
from bascule.interfaces.approvals import MakerWrites
from bascule.interfaces.inventory import InventoryReads, MachineReads
from bascule.interfaces.policies import PolicyReads
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.proofs import Proofs
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleReads, RoleWrites
from bascule.interfaces.set_up import SetUpReads, SetUpWrites
from bascule.interfaces.sign_in import SignInWrites
from bascule.interfaces.tokens import TokenWrites
from bascule.sentences import sentence
from bascule.services import sessions
from bascule.services.act import Act, Services, actor_of, new_id
from bascule.services.assignments import AssignmentDraft, put_assignment
from bascule.services.denials import of_strangers
from bascule.services.installation import subscription_of
from bascule.services.own_sign_in import set_password
from bascule.services.sign_in import Visit, let_in, subject_of
from bascule.services.sign_in_limits import Attempt, SignInLimits
from bascule.services.tokens import hash_of, new_text
from bascule.services.users import create_user


class UnownedReads(InventoryReads, PrincipalReads, RoleReads, SetUpReads, Protocol):
    """Whether anybody owns the installation, and the link to do so."""


class SetUpLinkWrites(UnownedReads, EventWrites, SetUpWrites, Protocol):
    """The same, to make a link."""


class FirstOwnerWrites(
    SetUpLinkWrites,
    MachineReads,
    MakerWrites,
    PolicyReads,
    PrincipalWrites,
    RoleWrites,
    SignInWrites,
    TokenWrites,
    Protocol,
):
    """The first owner, a way in and a session."""


@dataclass(frozen=True, slots=True)
class FirstOwner:
    """What the person who opened the link enters about themselves."""

    name: str
    display_name: str  # empty: the name
    password: str

    def __repr__(self) -> str:
        return f"FirstOwner({self.name!r})"


@dataclass(frozen=True, slots=True)
class SetUpDone:
    user: User
    session: str  # the text of its cookie, nowhere else


@dataclass(frozen=True, slots=True)
class SetUpEnded:
    """No such link, or none any more: the answer to whoever guesses, too."""


ENDED = SetUpEnded()


def is_unowned(reader: UnownedReads) -> bool:
    """Is nobody Owner at the subscription but service principals?

    A group counts, whoever is in it, and so does a user who is disabled: somebody has
    decided there who owns this.
    """
    scope = subscription_scope(subscription_of(reader))
    return all(
        reader.service_principal(each.principal_id) is not None
        for each in reader.role_assignments_with(OWNER.id)
        if each.scope == scope
    )


def make_link(tx: SetUpLinkWrites, act: Act) -> tuple[str, SetUpLink]:
    """A new link's text, this once, and what is kept of it; raise Conflict where owners are."""
    if not is_unowned(tx):
        raise Conflict(
            "This installation already has an owner. A set-up link works only without one.",
            code="AlreadySetUp",
            advice="Sign in as the owner. If nobody can sign in: bascule admin recover.",
        )
    text = new_text()
    link = SetUpLink(hash_of(text), act.now)
    tx.put_set_up_link(link)
    act.record(tx, facts.SetUpLinkMade(format_utc(link.ends_at)))
    return text, link


def link_of(reader: UnownedReads, text: str, now: datetime) -> SetUpLink | None:
    """The link of this text, if it opens anything at ``now``."""
    link = reader.set_up_link(hash_of(text))
    is_good = link is not None and link.holds_at(now) and is_unowned(reader)
    return link if is_good else None


class SetUp:
    """What the pages of the first visit ask. Use from one event loop."""

    def __init__(
        self, services: Services, proofs: Proofs, on_used: Callable[[], None] = lambda: None
    ) -> None:
        """``on_used`` is called after the link was taken: whatever else shows it can go."""
        self._services, self._proofs, self._on_used = services, proofs, on_used
        self._limits = SignInLimits(services, proofs.count_key, "set-up")
        self._denials = of_strangers()

    async def find(self, text: str, visit: Visit) -> SetUpLink | SetUpEnded:
        """The link, if it opens anything; raise TooManyRequests for whoever tries on and on."""
        found = await self._try(text, visit)
        return found or await self._refuse(visit)

    async def make_owner(
        self, text: str, owner: FirstOwner, visit: Visit, previous: Sequence[str] = ()
    ) -> SetUpDone | SetUpEnded:
        """Make the user, an Owner, and sign it in; the link is spent with that and not before.

        ``previous`` are session cookies that the browser came with. Raises InvalidInput that
        says all that is wrong, Conflict for a name that is taken, TooManyRequests.
        """
        if await self._try(text, visit) is None:
            return await self._refuse(visit)
        _check(owner)
        hashed = await self._proofs.passwords.hash(owner.password)

        def work(tx: FirstOwnerWrites, act: Act) -> SetUpDone | None:
            link = link_of(tx, text, act.now)  # asked again: two may have come at once
            if link is None or not tx.take_set_up_link(link.hash):
                return None
            return _make(tx, act, owner, hashed, visit, previous)

        nobody = subject_of(None, visit)
        done = await self._services.perform(work, nobody, visit.correlation_id)
        if done is None:
            return await self._refuse(visit)
        self._on_used()
        return done

    async def _try(self, text: str, visit: Visit) -> SetUpLink | None:
        """Look the text up; a wrong one is counted with its network.

        A right one is never limited: nobody guesses 256 bits, and other people's tries take
        nothing from its owner.
        """
        now = self._services.clock.now()
        found = await self._services.read(lambda reader: link_of(reader, text, now))
        if found is not None:
            return found
        network, wide = network_of(visit.address), wide_network_of(visit.address)
        attempt = Attempt("", network, wide)
        admitted = await self._limits.try_key(attempt)
        if isinstance(admitted, timedelta):
            seconds = ceil(admitted.total_seconds())
            raise TooManyRequests(
                "Too many tries.",
                advice=sentence("Try again in {seconds} s.", seconds=seconds),
                retry_after=seconds,
            )
        return None

    async def _refuse(self, visit: Visit) -> SetUpEnded:
        """One answer for all; on record unless the source has had its share of this minute."""
        if self._denials.is_recorded(visit.address, self._services.clock.now()):
            fact = facts.SetUpRefused("the link is invalid or no longer valid")
            nobody = subject_of(None, visit)
            await self._services.perform(
                lambda tx, act: act.record_denied(tx, fact, self._denials),
                nobody,
                visit.correlation_id,
            )
        return ENDED


def _make(
    tx: FirstOwnerWrites,
    act: Act,
    owner: FirstOwner,
    hashed: str,
    visit: Visit,
    previous: Sequence[str],
) -> SetUpDone:
    user = create_user(tx, act, owner.name, owner.display_name)
    subject = subject_of(user, visit)
    act.actor = actor_of(subject)  # known only now
    act.record(tx, facts.SetUpLinkUsed(user.id, user.name))
    user = set_password(tx, act, user.id, hashed)
    draft = AssignmentDraft(OWNER.id, user.id, PrincipalKind.USER)
    scope = subscription_scope(subscription_of(tx))
    put_assignment(tx, act, subject, new_id(), scope, draft)
    let_in(tx, act, user, (Method.PASSWORD,), visit)
    origin = Origin(visit.address, visit.client)
    session = sessions.begin(tx, act, user, (Method.PASSWORD,), previous, origin)
    if session is None:  # nobody else can have changed a user of this transaction
        raise Conflict("The user was changed while it was being created.", advice="Try again.")
    return SetUpDone(user, session)


def _check(owner: FirstOwner) -> None:
    """Raise InvalidInput with all that is wrong, by the field of the form."""
    problems: list[Problem] = []
    try:
        parse_user_name(owner.name, "name")
    except BasculeError as error:
        problems.append(Problem(error.specific_code, error.message, error.target))
    try:
        parse_display_name(owner.display_name, "displayName", is_required=False)
    except BasculeError as error:
        problems.append(Problem(error.specific_code, error.message, error.target))
    problems += problems_of(owner.password, (owner.name, owner.display_name))
    if problems:
        raise InvalidInput.of(problems)
