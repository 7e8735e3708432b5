"""An installation over SQLite with a record of some length, in a data directory."""

from __future__ import annotations

import asyncio
from pathlib import Path
from unittest import mock

from bascule.identity.record_key import RecordKey
from bascule.services.seal import seal_all
from bascule.services.sweep import sweep
from bascule.store.open import open_store
from tests.unit import services_world
from tests.unit.services_world import World, rules


def fill(data: Path) -> None:
    data.mkdir(mode=0o700)
    store = open_store(data / "bascule.db")
    with mock.patch.object(services_world, "new_store", return_value=store):
        world = World()
    world.put(rules(world.web, 22), rules(world.db, 22, 3389))
    opened = world.granted(world.web)
    world.report(world.web, opened.id)
    world.granted(world.db)
    world.ask(world.db, 23)  # refused
    world.clock.pass_time(61)
    world.report(world.web, opened.id)
    world.do(sweep)
    asyncio.run(seal_all(world.services, RecordKey(data)))
    world.granted(world.db)  # not sealed yet
    world.close()
