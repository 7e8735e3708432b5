"""A service principal that holds a few actions at one scope, and nothing else."""

from __future__ import annotations

import uuid

from starlette.testclient import TestClient

from bascule.domain.access import PrincipalKind
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import ROOT, Scope
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.wire.house import House

PROOF = "ab" * 32


def somebody(house: House, scope: str, *actions: str) -> TestClient:
    """A client of a caller who may do these actions at that scope alone."""
    key, now = str(uuid.uuid4()), house.clock.now()
    permissions = (Permission(actions),)
    role = RoleDefinition(key, f"role {key}", "", False, permissions, (ROOT,), now, now)
    house.do(lambda tx, _: tx.put_custom_role(role))
    return holder_of(house, role, scope)


def holder_of(house: House, role: RoleDefinition, scope: str = "") -> TestClient:
    """A client of a caller who holds this role alone; at the subscription, unless it is said."""
    principal, assignment, key = (str(uuid.uuid4()) for _ in range(3))
    now, place = house.clock.now(), Scope(scope or house.subscription)

    def make(tx: Transaction, _: Act) -> None:
        tx.put_service_principal(ServicePrincipal(principal, f"sp-{principal[:8]}", True, now))
        tx.put_credential(Credential(key, principal, CredentialKind.SECRET, PROOF, "", now, None))
        kind = PrincipalKind.SERVICE
        tx.add_role_assignment(
            RoleAssignment(assignment, place, role.id, principal, kind, "", now, "")
        )

    house.do(make)
    client = house.client_of(house.token(principal, PrincipalKind.SERVICE, PROOF))
    client.params = client.params.set("api-version", "2025-05-01")
    return client
