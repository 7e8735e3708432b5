"""Callers who hold roles: service principals with a client each."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

from starlette.testclient import TestClient

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope
from bascule.interfaces.store import Transaction
from tests.wire.house import House

AZ = "2022-04-01"


class Person:
    """A service principal with a client of its own."""

    def __init__(self, house: House, name: str, *held: tuple[str, str]) -> None:
        self.house = house
        self.id = str(uuid.uuid4())
        proof = uuid.uuid4().hex * 2
        now = house.clock.now()

        def work(tx: Transaction) -> None:
            tx.put_service_principal(ServicePrincipal(self.id, name, True, now))
            ends = now + timedelta(days=7)
            tx.put_credential(
                Credential(str(uuid.uuid4()), self.id, CredentialKind.SECRET, proof, "", now, ends)
            )

        house.do(lambda tx, _: work(tx))
        for role_id, scope in held:
            give(house, self.id, role_id, scope)
        token = house.token(self.id, PrincipalKind.SERVICE, proof)
        self.client: TestClient = house.client_of(token)

    def call(self, method: str, path: str, body: Any = None, **params: str) -> Any:
        more = {} if body is None else {"json": body}
        return self.client.request(method, path, params={"api-version": AZ, **params}, **more)


def give(house: House, principal_id: str, role_id: str, scope: str, kind: str = "") -> str:
    made = RoleAssignment(
        str(uuid.uuid4()),
        Scope(scope),
        role_id,
        principal_id,
        PrincipalKind(kind or "ServicePrincipal"),
        "",
        house.clock.now(),
        "",
    )
    house.do(lambda tx, _: tx.add_role_assignment(made))
    return made.id


def make_role(house: House, name: str, *actions: str) -> str:
    """A custom role; returns its id."""
    now = house.clock.now()
    made = RoleDefinition(
        str(uuid.uuid4()), name, "", False, (Permission(actions),), (), now, now, "", ""
    )
    house.do(lambda tx, _: tx.put_custom_role(made))
    return made.id
