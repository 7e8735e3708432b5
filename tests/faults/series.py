"""Many runs on one lab, one after the other; and the lab made ready for them."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bascule.client.record import sign_now, verification
from bascule.lab.resources import read_admin
from bascule.lab.topology import Shape
from tests.e2e.lab_world import LabWorld
from tests.faults.history import History, boottime
from tests.faults.people import Owner
from tests.faults.run import Run, Verdict
from tests.faults.schedule import MACHINES, Schedule
from tests.faults.second import bind_both
from tests.faults.settle import WITHIN, settle
from tests.faults.world import PLAIN, World
from tests.support.own import mark


@contextlib.contextmanager
def fault_lab(name: str = "", shape: Shape = PLAIN) -> Iterator[World]:
    """A lab of its own with the base rules in force; gone afterwards."""
    # In memory where there is such a place: a disk that stalls is none of the faults made here.
    memory = Path("/dev/shm")
    place = memory if memory.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="bascule-faults-", dir=place) as folder:
        world = World(LabWorld(name or mark("f"), Path(folder)), shape)
        try:
            world.up()
            with world.connection() as admin:
                subscription = read_admin(world.folder)["subscription_id"]
                bind_both(world.topology, admin, subscription)
            prepare(world)
            yield world
        finally:
            world.down()


def prepare(world: World) -> None:
    """Set the base rules and wait until all machines have them."""
    with world.connection() as admin:
        owner = Owner(world, History(0, boottime()), admin)
        for name in MACHINES:
            owner.set_rules(name, "base")

        left = settle(
            world, admin, None, seconds=30 * (1 if world.topology.database is None else 2)
        )
        assert not left, left


def broken_record(world: World) -> str:
    """What the server finds broken when it reads its whole record back; empty: nothing."""
    with world.connection() as admin:
        sign_now(admin)
        said = verification(admin)
    return "" if said["isIntact"] else f"the record is broken: {dict(said)}"


def run(world: World, schedule: Schedule, within: float = WITHIN) -> Verdict:
    """Do one schedule; ``within``: seconds to settle."""
    with world.connection() as admin:
        return Run(world, schedule, admin, within).go()
