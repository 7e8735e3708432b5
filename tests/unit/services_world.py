"""A small installation in memory for tests of use cases: real store, set clock."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import OWNER
from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId, machine_id, policy_id
from bascule.domain.machine import Machine, OnExpiry
from bascule.domain.net import AddressPrefix, RuleProtocol, parse_address
from bascule.domain.policy import MachineRules, Policy, PortRule
from bascule.domain.principals import ServicePrincipal
from bascule.domain.request import RequestedMachine, RequestedPort
from bascule.domain.roles import RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope, subscription_scope
from bascule.domain.times import format_utc
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.report import Report
from bascule.services import fleet, machines, policies, reports, requests
from bascule.services.act import Act, Services, new_id
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation
from bascule.store.sql_store import SqlStore
from tests.support.stores import new_store

T = TypeVar("T")


class SetClock:
    """A Clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.wall = datetime(2030, 1, 1, 12, 0, tzinfo=UTC)
        self.boot = 5000.0

    def now(self) -> datetime:
        return self.wall

    def monotonic(self) -> float:
        return self.boot

    def boottime(self) -> float:
        return self.boot

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.boot += seconds


ANNA = Subject("aaaaaaaa-0000-4000-8000-000000000001", PrincipalKind.SERVICE, "anna", "192.0.2.1")
BERT = Subject("bbbbbbbb-0000-4000-8000-000000000002", PrincipalKind.SERVICE, "bert", "192.0.2.2")


class World:
    """An installation with machines web-1 and db-1, both enrolled."""

    def __init__(self, store: SqlStore | None = None) -> None:
        """``store`` is new; None: in memory."""
        self.clock = SetClock()
        self.store = store or new_store()
        self.services = Services(self.store, self.clock, Hub())
        self.installation = self.do(ensure_installation)
        for subject in (ANNA, BERT):
            self.add_owner(subject)
        self.web = self.add_machine("web-1", "10.0.0.1")
        self.db = self.add_machine("db-1", "10.0.0.2")
        self.tokens: dict[str, str] = {}
        for machine in (self.web, self.db):
            self.enrol(machine)

    def close(self) -> None:
        self.store.close()

    def add_owner(self, subject: Subject) -> None:
        """A service principal that may do everything."""
        self.add_principal(subject)
        self.do(lambda tx, act: tx.add_role_assignment(self.assignment(act, subject, OWNER)), None)

    def add_principal(self, subject: Subject) -> None:
        """A service principal that holds nothing."""
        made = ServicePrincipal(subject.principal_id, subject.name, True, self.clock.wall)
        self.do(lambda tx, _: tx.put_service_principal(made), None)

    def assignment(
        self, act: Act, subject: Subject, role: RoleDefinition, scope: Scope | None = None
    ) -> RoleAssignment:
        """Of a role to a service principal, at the subscription unless a scope is given."""
        whole = subscription_scope(self.installation.subscription_id)
        return RoleAssignment(
            new_id(),
            scope or whole,
            role.id,
            subject.principal_id,
            PrincipalKind.SERVICE,
            "",
            act.now,
            "",
        )

    def do(self, work: Callable[[Transaction, Act], T], subject: Subject | None = ANNA) -> T:
        return asyncio.run(self.services.perform(work, subject))

    def see(self, work: Callable[[Reader], T]) -> T:
        return asyncio.run(self.services.read(work))

    def machine_id(self, name: str) -> ResourceId:
        return machine_id(self.installation.subscription_id, "default", name)

    def policy_id(self, name: str = "default") -> ResourceId:
        return policy_id(self.installation.subscription_id, "default", "local", name)

    def add_machine(self, name: str, address: str) -> Machine:
        draft = machines.MachineDraft(addresses=(parse_address(address),))
        return self.do(
            lambda tx, act: machines.put_machine(tx, act, self.machine_id(name), draft, "local")
        )[0]

    def enrol(self, machine: Machine, key: str = "key-1", *, replaces: bool = False) -> object:
        token = f"token-{machine.uid}-{key}"
        self.do(
            lambda tx, act: fleet.create_enrolment(
                tx, act, machine.id, lambda _: token, timedelta(minutes=5), replaces=replaces
            )
        )
        return self.do(lambda tx, act: fleet.enrol(tx, act, token, key, "test"), None)

    def put(self, *rules: MachineRules, name: str = "default") -> None:
        policy = Policy(self.policy_id(name), "Basic", rules)
        self.do(lambda tx, act: policies.put_policy(tx, act, ANNA, policy))

    def ask(
        self,
        machine: Machine,
        number: int = 22,
        seconds: float = 600,
        source: str = "192.0.2.1",
        subject: Subject = ANNA,
        policy: str = "default",
        why: str | None = None,
    ) -> object:
        ends = self.clock.wall + timedelta(seconds=seconds)
        port = RequestedPort(number, (AddressPrefix.parse(source),), ends, format_utc(ends))
        asked = (RequestedMachine(machine.id, (port,)),)
        return self.do(
            lambda tx, act: requests.initiate(tx, act, self.policy_id(policy), asked, why, subject),
            subject,
        )

    def granted(self, *arguments: object, **keywords: object) -> Grant:
        """Ask and expect exactly one grant."""
        answer = self.ask(*arguments, **keywords)  # type: ignore[arg-type]  # reason: passed through
        assert isinstance(answer, requests.Initiated), answer
        (grant,) = answer.grants
        return grant

    def grant(self, grant: Grant) -> Grant:
        """The grant as it now is."""
        return next(
            each
            for each in self.see(lambda tx: tx.grants_of([grant.request_id]))
            if each.id == grant.id
        )

    def report(
        self, machine: Machine, *in_force: str, generation: int | None = None, **more: object
    ) -> int:
        """A report of the newest generation, with these grants read back in force."""
        known = self.see(lambda tx: tx.generation(machine.uid))
        report = Report(
            generation if generation is not None else known,
            frozenset(in_force),
            **more,  # type: ignore[arg-type]  # reason: passed through
        )
        return self.do(lambda tx, act: reports.take_report(tx, act, machine.uid, report), None)

    def kinds(self) -> list[str]:
        """Names of all facts on record, oldest first."""
        from bascule.domain.facts.fact import fact_name
        from bascule.interfaces.record import EventFilter

        rows = self.see(lambda tx: tx.events(EventFilter(), newest_first=False))
        return [fact_name(event.fact) for _, event in rows]


def rules(
    machine: Machine,
    *numbers: int,
    sources: str = "*",
    longest: timedelta = timedelta(hours=3),
    on_expiry: OnExpiry = OnExpiry.KEEP,
    protocol: RuleProtocol = RuleProtocol.TCP,
    justification_required: bool = False,
) -> MachineRules:
    """Port rules of one machine, alike but for the number."""
    prefixes = tuple(AddressPrefix.parse(text) for text in sources.split(","))
    return MachineRules(
        machine.id,
        tuple(
            PortRule(number, protocol, prefixes, longest, on_expiry, justification_required)
            for number in numbers
        ),
    )
