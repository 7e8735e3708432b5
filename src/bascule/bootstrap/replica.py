"""What a server does because others may use its database too: on PostgreSQL alone.

It says that it is there and where it listens, every few seconds until it stops. It tells the others
what it changed, hears what they changed, and looks for what it did not hear.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator, Callable, Collection, Mapping, MutableMapping
from dataclasses import replace
from pathlib import Path

import structlog

from bascule import __version__
from bascule.config import JOIN_VARIABLE, ServeSettings
from bascule.domain.net import Address
from bascule.errors import BasculeError, ConfigurationError
from bascule.interfaces.hints import Heard, Hints, HintState
from bascule.interfaces.replicas import Replica
from bascule.services.act import Services, new_id
from bascule.services.following import Following
from bascule.services.replicas import SEEN_EVERY, see
from bascule.store import migrations

log = structlog.get_logger("bascule.server")

# By name: what a part of ``/readyz`` tells.
ReadinessParts = MutableMapping[str, Callable[[], Mapping[str, object]]]
LEAVE_WITHIN = 2.0  # seconds: a database that is away does not hold up a stop


def this_replica(endpoint: str) -> Replica:
    return Replica(new_id(), socket.gethostname(), endpoint, __version__, migrations.REVISION)


def refuse_this_host() -> None:
    """Raise ConfigurationError: on a shared database, two hosts of one name would be taken for one
    machine.
    """
    raise ConfigurationError(
        "--this-host is for a server on SQLite: servers on one database of PostgreSQL would take "
        "hosts of the same name for one machine.",
        advice="Start the server without --this-host, and install an agent on that host: bascule "
        "agent install.",
    )


@contextlib.asynccontextmanager
async def among_replicas(
    services: Services,
    told: ReadinessParts | None = None,
    on_moved: Callable[[], None] = lambda: None,
    on_outdated: Callable[[], None] = lambda: None,
    own_addresses: Callable[[], Collection[Address]] = tuple,
) -> AsyncIterator[None]:
    """Be registered as a replica meanwhile. On SQLite this does nothing. ``told``: where ``/readyz``
    finds what it tells of this. ``on_moved``, ``on_outdated``: as of ``Following``.
    ``own_addresses``: of this host, asked again each time that the others are told.
    """
    replica = services.replica
    if replica is None:
        yield
        return

    def described() -> Replica:
        reachable = frozenset(filter(_is_reachable, own_addresses()))
        return replace(replica, ports=services.place.ports, addresses=reachable)

    await _say(services, described())
    loop = asyncio.get_running_loop()

    def hear(heard: Heard) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and all that listen
            loop.call_soon_threadsafe(services.hub.hear, heard)

    hints = services.store.hints(replica.uid, hear)
    services.hub.share(hints)
    seen = asyncio.create_task(_be_seen(services, described))

    def give_up() -> None:
        seen.cancel()
        on_outdated()

    following = Following(services, on_moved, give_up)
    if told is not None:
        told["hints"] = lambda: words_of(hints, following)
    tasks = (seen, asyncio.create_task(following.run()))
    try:
        yield
    finally:
        services.hub.share(None)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if hints is not None:
            await asyncio.to_thread(hints.close)
        with contextlib.suppress(BasculeError, TimeoutError):
            async with asyncio.timeout(LEAVE_WITHIN):
                await services.perform(lambda tx, _: tx.stop_replica(replica.uid))


def words_of(hints: Hints | None, following: Following) -> dict[str, object]:
    """What ``/readyz`` says: whole seconds, null where there is none."""
    state = HintState(None, None) if hints is None else hints.state

    def whole(seconds: float | None) -> int | None:
        return None if seconds is None else int(seconds)

    return {
        "connectedFor": whole(state.connected_for),
        "heardItself": whole(state.heard_itself),
        "behind": whole(following.behind),
    }


def _is_reachable(address: Address) -> bool:
    """Can it mean this host to another one? (EDGES A4)"""
    return not (address.is_loopback or address.is_link_local or address.is_unspecified)


async def _say(services: Services, replica: Replica, *, may_wait: bool = False) -> None:
    await services.perform(lambda tx, _: see(tx, replica), may_wait=may_wait)


async def _be_seen(services: Services, described: Callable[[], Replica]) -> None:
    while True:
        await asyncio.sleep(SEEN_EVERY.total_seconds())
        try:
            await _say(services, described(), may_wait=True)
        except BasculeError as error:
            log.error("this server could not say that it is there", why=error.message)
        except Exception:
            log.exception("this server could not say that it is there")


def joined(settings: ServeSettings, join_file: Path | None) -> ServeSettings:
    """The settings of a start that first becomes a replica, if a token says so."""
    if join_file is None and JOIN_VARIABLE not in os.environ:
        return settings
    from bascule.bootstrap.join import join_once

    return join_once(settings, join_file)
