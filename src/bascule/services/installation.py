"""First start: the subscription, its resource group and location, the administrator."""

from __future__ import annotations

from bascule.domain.events import AdministratorRecovered, InstallationCreated
from bascule.interfaces import Credential, Installation, Transaction
from bascule.services.act import Act, new_id

DEFAULT_RESOURCE_GROUP = "default"
DEFAULT_LOCATION = "local"
ADMINISTRATOR = "administrator"


def ensure_installation(tx: Transaction, act: Act) -> Installation:
    """The installation, made on the first call; safe to repeat after any crash."""
    existing = tx.installation()
    if existing is not None:
        return existing
    made = Installation(new_id(), new_id(), DEFAULT_LOCATION, act.now)
    tx.create_installation(made)
    tx.add_resource_group(DEFAULT_RESOURCE_GROUP)
    act.record(tx, InstallationCreated(made.tenant_id, made.subscription_id))
    return made


def set_administrator(tx: Transaction, act: Act, client_id: str, secret_hash: str) -> None:
    """Give the administrator this secret; an earlier one of the same id stops working."""
    is_known = tx.credential(client_id) is not None
    tx.put_credential(Credential(client_id, ADMINISTRATOR, secret_hash, None))
    if is_known:
        act.record(tx, AdministratorRecovered(client_id))
