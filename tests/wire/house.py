"""The whole HTTP face over a store in memory, a clock that is set, and callers who are known.

No socket and no TLS: the application is called as ASGI. What is not here: a running server
(``test_azure_sdk``).
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from fastapi import APIRouter
from starlette.testclient import TestClient

from bascule.api.app import build_app
from bascule.api.context import AppState
from bascule.api.origin import Names, Proxies
from bascule.api.packages import read_packages
from bascule.domain.access import PrincipalKind
from bascule.domain.facts.fact import fact_name
from bascule.domain.net import parse_address
from bascule.identity.authenticate import name_of_proof
from bascule.identity.oidc import RelyingParty
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.proofs import IdentityProofs
from bascule.identity.provider_http import HttpsProvider
from bascule.identity.record_key import RecordKey
from bascule.identity.sealing import Sealer
from bascule.identity.tls import CertificateKeeper
from bascule.identity.tokens import Person as SignedIn
from bascule.identity.tokens import TokenIssuer
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Reader
from bascule.interfaces.tickets import TicketCarrier
from bascule.services.act import Services
from bascule.services.denials import Denials
from bascule.services.hub import Hub
from bascule.services.installation import ensure_installation, set_administrator
from bascule.services.retention import mark_clock
from bascule.services.sign_in import SignIn
from bascule.services.sweep import sweep
from bascule.services.tickets import TicketDesk
from bascule.store.sql_store import SqlStore
from tests.support.enrolling import enrol_body
from tests.support.stores import new_store
from tests.unit.services_world import SetClock

T = TypeVar("T")

BASE = "https://localhost"
NAMES = ("localhost", "127.0.0.1")
SECRET_HASH = "5e" * 32
CALLER = "198.51.100.7"
PROXY = "198.51.100.99"
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)  # Argon2id, for tests
PUBLIC_KEY = "A" * 43  # 32 zero bytes, base64url
JIT, COMPUTE, BASCULE = "2020-01-01", "2024-07-01", "2026-11-01"


REPLICAS = int(os.environ.get("BASCULE_TEST_REPLICAS", "1"))


class Balancer:
    """An application that gives each call to the next of several; of two alike in a row, one goes
    elsewhere too.
    """

    def __init__(self, apps: Sequence[Any]) -> None:
        self._apps = apps
        self._next = 0
        self._last: dict[tuple[str, str], int] = {}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        alike = scope["method"], scope["path"]
        if self._last.get(alike) == self._next:
            self._next = (self._next + 1) % len(self._apps)
        self._last[alike] = chosen = self._next
        self._next = (chosen + 1) % len(self._apps)
        await self._apps[chosen](scope, receive, send)


@cache
def issuer_of(data_dir: Path) -> TokenIssuer:
    """One for all houses of a folder: a private key is slow to read, being checked."""
    return TokenIssuer(data_dir)


class House:
    """One installation and a client for each kind of caller."""

    def __init__(
        self,
        data_dir: Path,
        faces: Sequence[APIRouter] = (),
        store: SqlStore | None = None,
        replicas: int = REPLICAS,
        packages: Path | None = None,
        tickets: TicketCarrier | None = None,
    ) -> None:
        """``store`` is new; None: in memory. Of several ``replicas``, each with a memory of its own,
        every call goes to the next one.
        """
        self.clock = SetClock()
        self._packages = None if packages is None else read_packages(packages)
        self.store = store or new_store()
        self.tickets, self._sealer = tickets, Sealer(data_dir)
        self.services = self._services()
        self.installation = self.do(ensure_installation)
        self.do(lambda tx, act: mark_clock(tx, act, self.clock.boottime()))
        self.administrator = str(uuid.uuid4())
        self.do(lambda tx, act: set_administrator(tx, act, self.administrator, SECRET_HASH))
        keeper = CertificateKeeper(data_dir, NAMES)
        keeper.ensure(self.clock.now())
        several = [self._services() for _ in range(replicas - 1)]
        self.states = [self._state_of(each, data_dir, keeper) for each in (self.services, *several)]
        self.state = self.states[0]
        apps = [build_app(each, faces=faces) for each in self.states]
        self.app: Any = apps[0] if replicas == 1 else Balancer(apps)
        self.subscription = f"/subscriptions/{self.installation.subscription_id}"
        self.group = f"{self.subscription}/resourceGroups/default"
        self.client = self.client_of(self.service_token())

    def _services(self) -> Services:
        carrier = self.tickets
        desk = None if carrier is None else TicketDesk(carrier, self.clock, self._sealer)
        return Services(self.store, self.clock, Hub(), desk=desk)

    def _state_of(self, services: Services, data_dir: Path, keeper: CertificateKeeper) -> AppState:
        sealer = Sealer(data_dir)
        return AppState(
            packages=self._packages,
            services=services,
            installation=self.installation,
            tokens=issuer_of(data_dir),
            names=Names(NAMES),
            proxies=Proxies.at(parse_address(PROXY)),
            ca_file=keeper.ca_file,
            record_key=RecordKey(data_dir),
            trust_key=TrustKey(data_dir),
            sign_in=SignIn(
                services,
                IdentityProofs(data_dir, NAMES[0], Argon2Passwords(QUICK)),
                Denials(),
            ),
            relying_party=RelyingParty(HttpsProvider(), sealer, self.clock),
            form_key=sealer.derive("forms"),
        )

    def close(self) -> None:
        self.store.close()

    # -- callers ------------------------------------------------------------------------

    def client_of(self, token: str | None, address: str = CALLER) -> TestClient:
        client = TestClient(self.app, BASE, raise_server_exceptions=False, client=(address, 40000))
        if token is not None:
            client.headers["Authorization"] = f"Bearer {token}"
        return client

    def service_token(self) -> str:
        return self.token(self.administrator, PrincipalKind.SERVICE, SECRET_HASH)

    def agent_token(self, uid: str) -> str:
        return self.token(uid, PrincipalKind.AGENT, PUBLIC_KEY)

    def token(
        self,
        principal_id: str,
        kind: PrincipalKind,
        proof: str,
        person: SignedIn | None = None,
    ) -> str:
        return self.state.tokens.issue(
            principal_id,
            kind,
            name_of_proof(proof),
            self.installation.tenant_id,
            self.state.realm.issuer(BASE),
            BASE,
            str(uuid.uuid4()),
            self.clock.now(),
            person,
        )

    def call(
        self, method: str, path: str, body: Any = None, version: str = BASCULE, **more: Any
    ) -> Any:
        """Call as the administrator; ``path`` may begin below the subscription."""
        if not path.startswith("/subscriptions"):
            path = self.subscription + path
        params = {"api-version": version, **more.pop("params", {})}
        if body is not None:
            more["json"] = body
        return self.client.request(method, path, params=params, **more)

    # -- the world ----------------------------------------------------------------------

    def do(self, work: Callable[..., T]) -> T:
        return asyncio.run(self.services.perform(work))

    def see(self, work: Callable[[Reader], T]) -> T:
        return asyncio.run(self.services.read(work))

    def events(self, *kinds: str) -> list[str]:
        found = self.see(lambda reader: reader.events(EventFilter(kinds=kinds), limit=1000))
        return [fact_name(event.fact) for _, event in found]

    def sweep(self) -> None:
        self.do(sweep)

    def machine(self, name: str) -> str:
        return f"{self.group}/providers/Microsoft.Compute/virtualMachines/{name}"

    def policy(self, name: str = "default", location: str = "local") -> str:
        return (
            f"{self.group}/providers/Microsoft.Security/locations/{location}"
            f"/jitNetworkAccessPolicies/{name}"
        )

    def add_machine(self, name: str, **body: Any) -> str:
        """Put a machine in the inventory; returns its uid."""
        answer = self.call("PUT", self.machine(name), body, COMPUTE)
        assert answer.status_code in (200, 201), answer.text
        return str(answer.json()["properties"]["vmId"])

    def enrol(self, name: str) -> TestClient:
        """Enrol the machine's agent; returns a client that holds the agent's token."""
        made = self.call(
            "POST", f"{self.machine(name)}/providers/Bascule.Fleet/enrolments", {"replace": True}
        ).json()["properties"]
        stranger = self.client_of(None)
        answer = stranger.post("/bascule/enrol", json=enrol_body(made["token"], PUBLIC_KEY))
        assert answer.status_code == 200, answer.text
        return self.client_of(self.agent_token(made["machineUid"]))

    def report(self, agent: TestClient, uid: str, *in_force: str, **more: Any) -> Any:
        """Report the state that the agent is told, with these grants in force."""
        state = agent.get(f"/bascule/points/{uid}/state").json()
        body = {"generation": state["generation"], "inForce": list(in_force), **more}
        answer = agent.post(f"/bascule/points/{uid}/report", json=body)
        assert answer.status_code == 200, answer.text
        return state


def port_rule(number: int = 22, **more: Any) -> dict[str, Any]:
    return {
        "number": number,
        "protocol": "TCP",
        "allowedSourceAddressPrefix": "*",
        "maxRequestAccessDuration": "PT3H",
        **more,
    }
