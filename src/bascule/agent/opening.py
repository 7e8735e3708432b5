"""Opening and closing a port by root's word: by the agent, or in its place when it is dead."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bascule.agent.by_root import Opened, Order, close_without_agent, open_without_agent
from bascule.agent.guard_file import guard_of_host
from bascule.agent.run import lock_state
from bascule.agent.service_manager import ServiceManager
from bascule.client.host_agent import AGENT_BUSY, close_on_this_host, open_on_this_host
from bascule.clocks import SystemClock
from bascule.domain.bounds import Guard
from bascule.domain.net import AddressPrefix, PortKey
from bascule.errors import (
    ConfigurationError,
    EnforcementFailed,
    InvalidInput,
    ServerUnreachable,
)
from bascule.interfaces.driver import HostDriver, HostParts

T = TypeVar("T")

AGENT_PATIENCE = 6.0  # seconds in which a service manager has started one anew
BUSY_PATIENCE = 60.0  # seconds; a pass that waits for the network is over by then
STOP_FIRST = (
    "Stop its remaining processes first: systemctl stop bascule-agent, any 'bascule "
    "agent run', or a server that runs with --this-host. Then try again."
)


@dataclass(frozen=True, slots=True)
class Place:
    """Where the agent of this host keeps what it knows, and where it listens."""

    state: Path
    control: Path
    guard: Path


def open_here(parts: HostParts, place: Place, order: Order) -> Opened:
    """Open a port for a while."""

    def by_the_agent() -> Opened:
        answer = open_on_this_host(
            place.control,
            order.port.protocol,
            order.port.number,
            str(order.sources[0]),
            order.duration.total_seconds(),
            order.machine,
        )
        return Opened(
            str(answer.get("grantId", "")),
            bool(answer.get("isClosed", True)),
            str(answer.get("place", "")),
        )

    def alone(driver: HostDriver, guard: Guard) -> Opened:
        return open_without_agent(
            driver, place.state, SystemClock(), order, ServiceManager(None), guard
        )

    return _by_agent_or_alone(parts, place, by_the_agent, alone)


def close_here(
    parts: HostParts,
    place: Place,
    port: PortKey,
    sources: tuple[AddressPrefix, ...],
    machine: str,
) -> list[str]:
    """End what root opened of a port; a sentence for each opening that was ended."""

    def by_the_agent() -> list[str]:
        named = [str(each) for each in sources]
        answer: dict[str, Any] = close_on_this_host(
            place.control, port.protocol, port.number, named, machine
        )
        return [str(each) for each in answer["closed"]]

    def alone(driver: HostDriver, guard: Guard) -> list[str]:
        clock, keeper = SystemClock(), ServiceManager(None)
        return [
            *close_without_agent(driver, place.state, clock, port, sources, machine, keeper, guard)
        ]

    return _by_agent_or_alone(parts, place, by_the_agent, alone)


def _by_agent_or_alone(
    parts: HostParts,
    place: Place,
    by_the_agent: Callable[[], T],
    alone: Callable[[HostDriver, Guard], T],
) -> T:
    try:
        return _ask_agent(by_the_agent)
    except ServerUnreachable:
        return _without_agent(parts, place, by_the_agent, alone)


def _ask_agent(ask: Callable[[], T]) -> T:
    """Ask again for a while when it is busy."""
    patience = time.monotonic() + BUSY_PATIENCE
    is_said = False
    while True:
        try:
            return ask()
        except InvalidInput as error:
            if error.specific_code != AGENT_BUSY or time.monotonic() >= patience:
                raise
        except KeyboardInterrupt:
            click.echo("It may have been done all the same: see bascule agent status.", err=True)
            raise
        if not is_said:
            click.echo("The agent is busy; trying again for up to a minute.", err=True)
            is_said = True
        time.sleep(0.2)


def _without_agent(
    parts: HostParts,
    place: Place,
    by_the_agent: Callable[[], T],
    alone: Callable[[HostDriver, Guard], T],
) -> T:
    """No agent answers: take the table over, or wait for one that is just starting."""
    clock = SystemClock()
    refusal = ""
    for is_last in (False, True):
        lock = -1
        try:
            lock = lock_state(place.state)
            done = alone(parts.firewall().open(), guard_of_host(place.guard))
        except (ConfigurationError, EnforcementFailed) as error:
            refusal = error.message
        else:
            click.echo(
                "No agent is running. This command took over its rules; the other ports stay "
                "closed."
            )
            return done
        finally:
            if lock >= 0:  # an agent that is just starting wants it
                os.close(lock)
        if not is_last:
            deadline = clock.boottime() + AGENT_PATIENCE
            while clock.boottime() < deadline:
                with contextlib.suppress(ServerUnreachable):
                    return _ask_agent(by_the_agent)
                time.sleep(0.2)
    raise EnforcementFailed(
        f"No agent answers, and its rules could not be taken over: {refusal}",
        advice=STOP_FIRST,
    )
