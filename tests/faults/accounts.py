"""Several people, who sign in as service principals of their own, before the server's start; on
PostgreSQL, where replicas share one store, the administrator makes them when the lab is up.

``python -m tests.faults.accounts DATA ENDPOINT``. They are written into the store of a data
directory that no server runs on, with the administrator that the server would have made, and
are owners like it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from bascule.bootstrap.data_directory import ADMIN_FILE, DATABASE, AdminFile, open_data_directory
from bascule.client.connection import Connection
from bascule.client.principals import (
    GROUPS,
    SERVICES,
    USERS,
    add_credential,
    add_member,
    create_principal,
    credential_body,
    set_password,
)
from bascule.client.roles import assign
from bascule.clocks import SystemClock
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import OWNER
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.identity.tls import CertificateKeeper
from bascule.interfaces.store import Transaction
from bascule.services.act import Act, Services, new_id
from bascule.services.fleet import hash_token
from bascule.services.hub import Hub
from bascule.store.open import open_store
from tests.faults.schedule import APPROVERS, BOTH, MEMBERS, PEOPLE

FILE = "people.json"  # name -> client id and secret
APPROVERS_FILE = "approvers.json"  # the ids of users and groups by name
DOMAIN = "faults.example"
PASSWORD = "quite-another-horse-81 staple"


def make_people(data: Path, endpoint: str, names: tuple[str, ...]) -> None:
    """Make the data directory and write the people's credentials beside it."""
    lock = open_data_directory(data)
    keeper = CertificateKeeper(data, ())
    keeper.ensure(SystemClock().now())  # whoever reads admin.json reads the CA next
    store = open_store(data / DATABASE)
    made = {
        name: {"client_id": new_id(), "client_secret": AdminFile.new_secret()} for name in names
    }

    def work(tx: Transaction, act: Act) -> None:
        installation = AdminFile(data / ADMIN_FILE).ensure(tx, act, endpoint, keeper.ca_file)
        scope = subscription_scope(installation.subscription_id)
        for name, each in made.items():
            person, secret = each["client_id"], hash_token(each["client_secret"])
            tx.put_service_principal(ServicePrincipal(person, name, True, act.now))
            tx.put_credential(
                Credential(new_id(), person, CredentialKind.SECRET, secret, "", act.now, None)
            )
            service = PrincipalKind.SERVICE
            tx.add_role_assignment(
                RoleAssignment(new_id(), scope, OWNER.id, person, service, "", act.now, "")
            )

    asyncio.run(Services(store, SystemClock(), Hub()).perform(work))
    store.close()
    os.close(lock)
    (data.parent / FILE).write_text(json.dumps(made))


def ask_for_people(admin: Connection, folder: Path) -> None:
    whole = subscription_scope(admin.subscription_id)
    made = {}
    for name in PEOPLE:
        service = create_principal(admin, SERVICES, {"displayName": name})
        secret = add_credential(admin, service.id, credential_body("faults", None)).secret
        assign(admin, whole, OWNER.id, service.id)
        made[name] = {"client_id": service.id, "client_secret": secret}
    (folder / FILE).write_text(json.dumps(made))


def ask_for_approvers(admin: Connection, folder: Path) -> None:
    """Users and groups, and the role of whoever asks as well."""
    ids: dict[str, str] = {}
    for name in APPROVERS:
        user = create_principal(admin, USERS, {"userPrincipalName": f"{name}@{DOMAIN}"})
        set_password(admin, user.id, PASSWORD)
        ids[name] = user.id
    for name, members in MEMBERS.items():
        ids[name] = create_principal(admin, GROUPS, {"displayName": name}).id
        for member in members:
            add_member(admin, ids[name], ids[member])
    assign(admin, subscription_scope(admin.subscription_id), OWNER.id, ids[BOTH])
    (folder / APPROVERS_FILE).write_text(json.dumps(ids))


if __name__ == "__main__":
    make_people(Path(sys.argv[1]), sys.argv[2], PEOPLE)
