"""Is the world what it should be? Asked when all is healed, until it is or patience ends.

Read from the kernels by nft; what should be comes from live requests and the model.
"""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Iterable, Sequence

from bascule.client.access import AccessRequest, GrantedPort, list_requests
from bascule.client.connection import Connection
from bascule.client.machines import ONLINE, get_machine
from bascule.client.policies import release_ports
from bascule.errors import BasculeError
from tests.faults.history import boottime
from tests.faults.kernels import TABLE, Element, Kernel, Rulesets
from tests.faults.model import Model
from tests.faults.schedule import AGENTS, BEHIND, MACHINES, PUBLIC
from tests.faults.supervisor import PORTS
from tests.faults.world import World

WITHIN = 40.0  # seconds after the last healing: twice as long as an agent may wait to ask again
STREAM_BACK = 25.0
AT_ONCE = 1.0
UNUSED_PORT = 9
ENDING = 1.0  # an opening with less left may be gone already, or be there still
LAPSED = 1.0  # seconds within which a waiting that is over is ended, and a start opens
EXACT = 0.5  # seconds by which a kernel may end later than the grant says


def settle(
    world: World, connection: Connection, model: Model | None, seconds: float = WITHIN
) -> list[str]:
    """Wait until nothing differs; what still does after ``seconds`` is returned.

    Without a model, closed ports are not looked at.
    """
    deadline = boottime() + seconds
    while True:
        try:
            found = list(differences(world, connection, model))
            found = found or [f"{each} does not serve" for each in world.not_serving()]
        except BasculeError as error:
            found = [f"the server does not answer: {error.message}"]
        if not found or boottime() > deadline:
            return found
        time.sleep(0.1)


def hear_at_once(world: World, connection: Connection) -> list[str]:
    """Wait until all machines are told of a change at once: their lines are back.

    The change lets a port go that nobody ever shut. What still waits for a poll is returned.
    """
    deadline = boottime() + STREAM_BACK
    left = list(MACHINES)
    while left and boottime() < deadline:
        machine = world.machine(left[0])
        release_ports(connection, machine, [(UNUSED_PORT, "TCP")])
        patience = boottime() + AT_ONCE
        while boottime() < patience:
            point = get_machine(connection, machine).point
            if point is not None and point.observed_generation == point.generation:
                left.pop(0)
                deadline = boottime() + STREAM_BACK  # for the next one
                break
            time.sleep(0.03)
    return [f"{name} is told of changes by its polls alone" for name in left]


def differences(world: World, connection: Connection, model: Model | None) -> Iterable[str]:
    for name in AGENTS:
        if not world.is_ready(name):
            yield f"the agent of {name} is not there, or not connected"
    for name in MACHINES:
        point = get_machine(connection, world.machine(name)).point
        if point is None or point.state != ONLINE:
            yield f"the agent of {name} is not online"
        elif point.observed_generation != point.generation:
            yield f"{name} is at {point.observed_generation}, not at {point.generation}"
    before = list_requests(connection, is_live=True)
    now = connection.now().timestamp()
    yield from _waits_on(before, now)
    read: Rulesets = {}
    for name in MACHINES:
        for at, kernel in world.kernels(name, read).items():
            where = name if at == name else f"{at}, for {name},"
            yield from _tables(where, kernel)
            if model is not None:
                yield from _closed(name, where, kernel, model)
            live = list(_held_at(at, name, before))
            yield from _openings(where, kernel.openings, live, now)
            if at in BEHIND.get(name, ()):
                yield from _led(name, where, kernel, live, now)


def _waits_on(live: Iterable[AccessRequest], now: float) -> Iterable[str]:
    for each in live:
        if each.is_waiting and each.approval is not None:
            until = each.approval.pending_until
            if until.timestamp() < now - LAPSED:
                yield f"request {each.id} waits on beyond {until}"
        start = each.starts_at if each.is_scheduled else None
        if start is not None and start.timestamp() < now - LAPSED:
            yield f"request {each.id} waits on beyond its start {start}"


def _tables(name: str, kernel: Kernel) -> Iterable[str]:
    if kernel.tables != {TABLE}:
        yield f"{name} has the tables {sorted(kernel.tables)}"


def _closed(name: str, where: str, kernel: Kernel, model: Model) -> Iterable[str]:
    shut, either = model.closed(name)
    if kernel.closed - either != shut - either:
        yield f"{where} shuts {sorted(kernel.closed)} instead of {sorted(shut)} ({sorted(either)})"


def _held_at(at: str, name: str, live: Iterable[AccessRequest]) -> Iterable[GrantedPort]:
    """The live grants of a machine that a point is to hold: not those for which it was withdrawn."""
    for request in live:
        for machine, port in request.ports():
            is_withdrawn = (at, "withdrawn") in {(each.name, each.state) for each in port.points}
            if machine.id.name == name and port.is_live and not is_withdrawn:
                yield port


def _openings(
    where: str, openings: Iterable[Element], live: Iterable[GrantedPort], now: float
) -> Iterable[str]:
    """Elements and live grants are the same, each ending when it should."""
    wanted: dict[tuple[str, int], float] = {}
    for port in live:
        for source in port.sources:
            key = (_network(source), port.number)
            left = port.ends_at.timestamp() - now
            wanted[key] = max(left, wanted.get(key, left))
    held = {(_network(each.source), each.port): each.remaining for each in openings}
    for key, left in wanted.items():
        if left > ENDING and key not in held:
            yield f"{where} lacks the opening {key}, which has {left:.1f} s left"
    for key, left in held.items():
        if key not in wanted and left > ENDING:
            yield f"{where} has the opening {key} for {left:.1f} s, and no grant says so"
        elif key in wanted and left > wanted[key] + EXACT:
            yield f"{where} has the opening {key} for {left:.1f} s instead of {wanted[key]:.1f} s"


def _led(
    name: str, where: str, kernel: Kernel, live: Sequence[GrantedPort], now: float
) -> Iterable[str]:
    """Whoever is let in is led there by the public port that the policy names, and nobody else."""
    for number, each in kernel.led:
        if PUBLIC.get((name, each.port), number) != number:
            yield f"{where} leads from public port {number} to {each.port}"
    for port in PORTS:
        led = [each for _, each in kernel.led if each.port == port]
        here = [each for each in live if each.number == port]
        yield from _openings(f"{where} by a public port", led, here, now)


def _network(source: str) -> str:
    return str(ipaddress.ip_network(source))
