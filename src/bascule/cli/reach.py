"""Access to one port of one machine for the caller: an existing grant, or a new one.

A live grant is used again when it covers the address that we come from and has half a
minute left; else one is asked for (``asking``) and waited for. Whoever has one waits for nothing
else: neither the policies nor the modules of asking. The address to connect to is of the
family that was granted (EDGES A22); where a gateway leads to the port, it is the gateway's.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from bascule.cli.here import is_here
from bascule.cli.show import SSH_PORT, door_to
from bascule.client.access import AccessRequest, GrantedPort, list_requests
from bascule.client.located import Located
from bascule.domain.net import Address, AddressPrefix, is_within
from bascule.domain.ways_in import Door
from bascule.errors import Conflict, EnforcementFailed, InvalidInput, NotFound

if TYPE_CHECKING:
    from bascule.client.connection import Connection

LEAST_LEFT = timedelta(seconds=30)
_TRIES = 3  # where what is found is closed before it can be used


class Way(NamedTuple):
    """Where to connect to, and what lets us in there."""

    door: Door
    port: GrantedPort
    request_id: str
    is_closed_by_run: bool = False  # by the end of the wished run, if it is the last


class Wish(NamedTuple):
    """What was said about the access, all of it optional."""

    port: int | None = None  # None: 22, or the only one offered
    span: timedelta | None = None
    why: str = ""
    policy_name: str = ""
    family: int = 0  # 4 or 6; 0 is either
    is_live_only: bool = False  # ask for nothing new
    is_emergency: bool = False  # if one has to be asked for
    starts_at: datetime | None = None  # ask for something new that opens then
    up_to: timedelta | None = None  # that is to be approved with it
    run_id: str = ""  # whose end closes what it opens (``ssh_close``); empty: nothing does


def reach(connection: Connection, machine: Located, wish: Wish) -> Way:
    """Make sure that the port is open for us, and say where to connect to.

    Raises RequestDenied, EnforcementFailed, NotFound when no address fits.
    """
    for _ in range(_TRIES):
        mine = list_requests(connection, is_live=True, is_mine=True, machine=machine.id)
        found = None
        if wish.starts_at is None:
            found = _fitting(connection, mine, machine, wish.port or SSH_PORT, wish.family)
        request, granted = found or _by_policies(connection, mine, machine, wish)
        is_closed_by_run = bool(wish.run_id)
        if request in mine:
            if request.closes_unused and not _use(connection, request, wish.run_id):
                continue  # it was closed meanwhile
            is_closed_by_run = is_closed_by_run and request.closes_unused
        door = door_to(machine.name, machine.addresses, granted, wish.family)
        return Way(door, granted, request.id, is_closed_by_run)
    raise EnforcementFailed(f"Access to {machine.name} was closed as soon as it was found.")


def _use(connection: Connection, request: AccessRequest, run_id: str) -> bool:
    """Use what a run of ``bascule ssh --close`` opened, by such a run or so that none closes it (EDGES J14).

    False: it is over.
    """
    from bascule.client import runs  # noqa: PLC0415  # reason: what no run opened needs none of it

    try:
        if run_id:
            runs.put_run(connection, request.id, run_id)
        else:
            runs.keep(connection, request.id)
    except (Conflict, NotFound):
        return False
    return True


def _by_policies(
    connection: Connection, mine: Sequence[AccessRequest], machine: Located, wish: Wish
) -> tuple[AccessRequest, GrantedPort]:
    """The port that policies offer: granted already, or asked for."""
    from bascule.cli.asking import ask, require_tcp, ssh_port  # noqa: PLC0415  # reason: slow to load, a live grant needs none of it
    from bascule.client.policies import get_machine_rules  # noqa: PLC0415  # reason: as above

    rules = get_machine_rules(connection, machine.id)
    number = wish.port or ssh_port(rules)
    require_tcp(rules, number)
    found = _fitting(connection, mine, machine, number, wish.family)
    if found is not None and wish.starts_at is None:
        return found
    if wish.is_live_only:
        raise EnforcementFailed(f"{machine.name} port {number} is not open for you.")
    answer = ask(connection, rules, number, wish)
    return next(each for each in _ports_of([answer], machine) if each[1].protocol != "UDP")


def _fitting(
    connection: Connection,
    mine: Iterable[AccessRequest],
    machine: Located,
    number: int,
    family: int,
) -> tuple[AccessRequest, GrantedPort] | None:
    """A grant of mine that lets this host in for a while yet; the longest."""
    fitting = [
        (request, port)
        for request, port in _ports_of(mine, machine)
        if port.number == number
        and port.row.was_read_back
        and port.protocol != "UDP"
        and port.ends_at - connection.now() >= LEAST_LEFT
        and _covers(port.sources, connection.caller, family)
    ]
    return max(fitting, key=lambda each: each[1].ends_at, default=None)


def _ports_of(
    requests: Iterable[AccessRequest], machine: Located
) -> Iterable[tuple[AccessRequest, GrantedPort]]:
    return (
        (each, port) for each in requests for host, port in each.ports() if host.id == machine.id
    )


def _covers(sources: Iterable[str], caller: Address | None, family: int) -> bool:
    """Do they let us in: the address that the server sees, or another one of this host?"""
    try:
        granted = [AddressPrefix.parse(source) for source in sources]
    except InvalidInput:
        return False
    if caller is not None and family in (0, caller.version):
        return is_within([AddressPrefix.of(caller)], granted) or _names_us(granted, family)
    return _names_us(granted, family)


def _names_us(granted: Iterable[AddressPrefix], family: int) -> bool:
    """A loopback address is everybody's own, and no machine sees us come from it."""
    singles = (
        network.network_address
        for prefix in granted
        for network in prefix.networks
        if network.prefixlen == network.max_prefixlen and family in (0, network.version)
    )
    return any(not address.is_loopback and is_here(address) for address in singles)
