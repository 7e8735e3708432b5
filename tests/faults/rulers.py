"""People who may change what others may do, and people who answer requests that wait.

An answer is given up when the connection breaks, like a request; what an administrator does is
repeated until it is answered.
"""

from __future__ import annotations

import contextlib
from typing import assert_never

from bascule.client import access, approval
from bascule.client.access_rules import delete_rule, put_rule
from bascule.client.connection import Connection
from bascule.client.principals import USERS, add_member, change_principal, remove_member
from bascule.client.roles import assign, list_assignments, unassign
from bascule.domain.builtin_roles import OWNER
from bascule.domain.scopes import Scope, subscription_scope
from bascule.errors import (
    AuthenticationFailed,
    Conflict,
    Forbidden,
    NotFound,
)
from bascule.protocol.rules import stages_json
from tests.faults.history import Answered, History, Ordered, Ruled, Trusted, boottime
from tests.faults.people import AWAY, until_done
from tests.faults.schedule import (
    MEMBERS,
    STAGES,
    Answer,
    GiveRole,
    GiveVoice,
    Ruling,
    SetRule,
    TakeRole,
    TakeVoice,
)
from tests.faults.world import World


class Approver:
    """A user who answers what waits, whether asked or not: what it is about is read by another."""

    def __init__(
        self, world: World, history: History, name: str, reader: Connection, *, is_kept: bool
    ) -> None:
        self._world = world
        self._history = history
        self._name = name
        self._reader = reader
        self._is_kept = is_kept

    def answer(self, wanted: Answer) -> None:
        try:
            asked = self._found_waiting(wanted.person)
            if asked is None:
                return
            connection = self._world.of_approver(self._name, is_kept=self._is_kept)
        except (*AWAY, AuthenticationFailed):  # disabled meanwhile: nothing is said
            return
        said = (asked[0], wanted.person, wanted.is_yes, asked[1])
        record = Answered(self._name, *said, boottime())
        self._history.answers.append(record)
        with connection:
            self._say(connection, record)

    def _found_waiting(self, person: str) -> tuple[str, str] | None:
        """The id and the digest of the latest that waits for people: one with a start may wait for that
        alone.
        """
        for asked in self._history.waiting_of(person):
            found = access.get_request(self._reader, asked.request_id).approval
            if found is not None:
                return asked.request_id, found.digest
            if asked.starts_at is None:
                self._history.complain(f"{asked.tag} was told to wait, and waits for nobody")
        return None

    def _say(self, connection: Connection, record: Answered) -> None:
        try:
            if record.is_yes:
                approval.approve(connection, record.request_id, record.digest)
            else:
                approval.deny(connection, record.request_id, record.digest, "not now")
        except (Forbidden, NotFound, Conflict) as error:
            record.denied = error.code
        except AuthenticationFailed as error:
            self._world.forget_token(self._name)
            record.denied = error.code or "AuthenticationFailed"
        except AWAY:
            return
        record.answered = boottime()


class Administrator:
    """Who takes rights away and gives them back, and writes the rules of all machines' policy."""

    def __init__(self, world: World, history: History, connection: Connection) -> None:
        self._world = world
        self._history = history
        self._connection = connection

    def act(self, wanted: Ruling) -> None:
        match wanted:
            case TakeRole(person) | GiveRole(person):
                self._set_role(person, is_given=isinstance(wanted, GiveRole))
            case SetRule(person, asks):
                self.set_rule(person, asks)
            case TakeVoice(person, is_disabled):
                if self._history.has_voice(person):
                    self._set_voice(Trusted(person, False, is_disabled, boottime()))
            case GiveVoice(person):
                self.give_voice(person)
            case _:
                assert_never(wanted)

    def _set_role(self, person: str, *, is_given: bool) -> None:
        record = Ruled(person, is_given, boottime())
        self._history.ruled.append(record)
        work = self._give if is_given else self._take
        until_done(self._history, record, lambda: work(self._world.principal(person)))

    def set_rule(self, person: str, asks: str) -> None:
        """What this person asks for waits for these stages, at every machine."""
        due, policy, name = STAGES[asks], self._world.policy(), f"for-{person}"
        rule = {
            "effect": "approve",
            "conditions": {"users": [self._world.principal(person)]},
            "stages": stages_json(self._world.stages(due)),
        }

        def work() -> None:
            if due:
                put_rule(self._connection, policy, name, rule)
            else:
                delete_rule(self._connection, policy, name)

        record = Ordered(person, due, boottime())
        self._history.ordered.append(record)
        until_done(self._history, record, work)

    def give_voice(self, person: str) -> None:
        """To whom it was taken."""
        done = [each for each in self._history.trusted if each.person == person]
        if done and not done[-1].is_given:
            self._set_voice(Trusted(person, True, done[-1].is_disabled, boottime()))

    def _set_voice(self, record: Trusted) -> None:
        self._history.trusted.append(record)
        user = self._world.principal(record.person)
        groups = [
            self._world.principal(each) for each, of in MEMBERS.items() if record.person in of
        ]

        def work() -> None:
            if record.is_disabled:
                enabled = {"accountEnabled": record.is_given}
                change_principal(self._connection, USERS, user, enabled)
                return
            for group in groups:
                (add_member if record.is_given else remove_member)(self._connection, group, user)

        until_done(self._history, record, work)
        if record.is_disabled:
            self._world.forget_token(record.person)

    def _give(self, principal: str) -> None:
        with contextlib.suppress(Conflict):  # the try before was heard
            assign(self._connection, self._everything, OWNER.id, principal)

    def _take(self, principal: str) -> None:
        for each in list(list_assignments(self._connection, self._everything, principal)):
            unassign(self._connection, each)

    @property
    def _everything(self) -> Scope:
        return subscription_scope(self._connection.subscription_id)
