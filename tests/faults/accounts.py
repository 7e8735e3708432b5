"""Several people, who sign in as service principals of their own, before the server's start.

``python -m tests.faults.accounts DATA ENDPOINT``. The API makes no principals yet: they are
written into the store of a data directory that no server runs on, with the administrator that
the server would have made.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

from bascule.bootstrap.data_directory import ADMIN_FILE, DATABASE, AdminFile, open_data_directory
from bascule.identity.tls import CertificateKeeper
from bascule.interfaces import Credential, Transaction
from bascule.services.act import Act, Services
from bascule.services.clocks import SystemClock
from bascule.services.fleet import hash_token
from bascule.services.hub import Hub
from bascule.store.open import open_store
from tests.faults.schedule import PEOPLE

FILE = "people.json"  # name -> client id and secret


def make_people(data: Path, endpoint: str, names: tuple[str, ...]) -> None:
    """Make the data directory and write the people's credentials beside it."""
    lock = open_data_directory(data)
    keeper = CertificateKeeper(data, ())
    keeper.ensure(SystemClock().now())  # whoever reads admin.json reads the CA next
    store = open_store(data / DATABASE)
    made = {
        name: {"client_id": f"person-{name}", "client_secret": AdminFile.new_secret()}
        for name in names
    }

    def work(tx: Transaction, act: Act) -> None:
        AdminFile(data / ADMIN_FILE).ensure(tx, act, endpoint, keeper.ca_file)
        for name, each in made.items():
            secret = hash_token(each["client_secret"])
            tx.put_credential(Credential(each["client_id"], name, secret, None))

    asyncio.run(Services(store, SystemClock(), Hub()).perform(work))
    store.close()
    os.close(lock)
    (data.parent / FILE).write_text(json.dumps(made))


if __name__ == "__main__":
    make_people(Path(sys.argv[1]), sys.argv[2], PEOPLE)
