"""First start: the subscription, its resource group and location, the administrator."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import OWNER
from bascule.domain.facts.installation import AdministratorRecovered, InstallationCreated
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.errors import NotFound
from bascule.interfaces.inventory import Installation, InventoryReads, InventoryWrites
from bascule.interfaces.principals import PrincipalReads, PrincipalWrites
from bascule.interfaces.record import EventWrites
from bascule.interfaces.roles import RoleWrites
from bascule.services.act import Act, new_id
from bascule.services.losses import LossWrites, end_unheld


class InstallationWrites(EventWrites, InventoryWrites, RoleWrites, Protocol):
    """The installation and its record."""


class AdministratorWrites(LossWrites, InstallationWrites, PrincipalWrites, Protocol):
    """The same, with the administrator and what is lost with the one before."""


DEFAULT_RESOURCE_GROUP = "default"
DEFAULT_LOCATION = "local"
ADMINISTRATOR = "administrator"


def ensure_installation(tx: InstallationWrites, act: Act) -> Installation:
    """The installation, made on the first call; safe to repeat after any crash."""
    existing = tx.installation()
    if existing is not None:
        return existing
    made = Installation(new_id(), new_id(), DEFAULT_LOCATION, act.now)
    tx.create_installation(made)
    tx.add_resource_group(DEFAULT_RESOURCE_GROUP)
    act.record(tx, InstallationCreated(made.tenant_id, made.subscription_id))
    return made


def subscription_of(reader: InventoryReads) -> str:
    """The subscription's id; raise NotFound before there is an installation."""
    installation = reader.installation()
    if installation is None:
        raise NotFound("There is no installation yet.")
    return installation.subscription_id


def set_administrator(tx: AdministratorWrites, act: Act, client_id: str, secret_hash: str) -> None:
    """Give the administrator this secret and make it Owner; every earlier one stops working.

    An earlier one of another id too: it is in nobody's hands, or in the wrong ones.
    """
    client_id = client_id.lower()
    earlier = [each for each in _all_services(tx) if each.display_name == ADMINISTRATOR]
    for principal in earlier:
        tx.put_service_principal(replace(principal, is_enabled=False))
        for credential in tx.credentials_of(principal.id):
            tx.delete_credential(credential.key_id)
    tx.put_service_principal(ServicePrincipal(client_id, ADMINISTRATOR, True, act.now))
    tx.put_credential(
        Credential(new_id(), client_id, CredentialKind.SECRET, secret_hash, "", act.now, None)
    )
    _make_owner(tx, act, client_id)
    gone = [each.id for each in earlier if each.id != client_id]
    end_unheld(tx, act, gone, "recovery of the administrator")


def recover_administrator(
    tx: AdministratorWrites, act: Act, client_id: str, secret_hash: str
) -> None:
    """The same on an installation that exists already: on record, deleted before or not."""
    set_administrator(tx, act, client_id, secret_hash)
    act.record(tx, AdministratorRecovered(client_id.lower()))


def _all_services(tx: PrincipalReads) -> Iterator[ServicePrincipal]:
    after = ""
    while page := tx.service_principals(after):
        yield from page
        after = page[-1].id


def _make_owner(tx: InstallationWrites, act: Act, client_id: str) -> None:
    installation = ensure_installation(tx, act)
    scope = subscription_scope(installation.subscription_id)
    held = tx.role_assignments_of([client_id])
    if any(each.role_id == OWNER.id and each.scope == scope for each in held):
        return
    tx.add_role_assignment(
        RoleAssignment(new_id(), scope, OWNER.id, client_id, PrincipalKind.SERVICE, "", act.now, "")
    )
