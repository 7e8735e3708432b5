"""First start: the subscription, its resource group and location, the administrator."""

from __future__ import annotations

from dataclasses import replace

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
    """Give the administrator this secret; every earlier one stops working.

    An earlier one of another id too: it is in nobody's hands, or in the wrong ones.
    """
    earlier = [each for each in tx.credentials() if each.display_name == ADMINISTRATOR]
    for each in earlier:
        tx.put_credential(replace(each, is_enabled=False))
    tx.put_credential(Credential(client_id, ADMINISTRATOR, secret_hash, None))
    if earlier:
        act.record(tx, AdministratorRecovered(client_id))
