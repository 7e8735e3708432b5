"""``python -m tests.upgrades``: make the sample of this program's revision.

To be called by whoever adds a revision.
"""

from __future__ import annotations

import gzip
import tempfile
from pathlib import Path
from unittest import mock

from bascule.services.seal import seal
from bascule.services.sweep import sweep
from bascule.store.migrations import REVISION
from bascule.store.open import open_store
from tests.unit import services_world
from tests.unit.services_world import World, rules
from tests.upgrades import FOLDER


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "bascule.db"
        with mock.patch.object(services_world, "new_store", return_value=open_store(path)):
            world = World()
        try:
            world.put(rules(world.web, 22), rules(world.db, 22, 3389))
            opened = world.granted(world.web)
            world.report(world.web, opened.id)
            world.granted(world.db)
            world.ask(world.db, 23)  # refused
            world.clock.pass_time(61)
            world.report(world.web, opened.id)
            world.do(sweep)
            world.do(lambda tx, _: seal(tx), None)
        finally:
            world.close()
        kept = FOLDER / f"{REVISION}.db.gz"
        kept.write_bytes(gzip.compress(path.read_bytes(), mtime=0))


if __name__ == "__main__":
    main()
