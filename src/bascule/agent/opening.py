"""Opening a port of this host without the server: by the agent, or in its place when it is dead."""

from __future__ import annotations

import contextlib
import os
import time
from datetime import timedelta
from pathlib import Path

import click

from bascule.agent.local_openings import open_without_agent
from bascule.agent.run import lock_state
from bascule.agent.service_manager import ServiceManager
from bascule.client.host_agent import AGENT_BUSY, open_on_this_host
from bascule.clocks import SystemClock
from bascule.domain.net import AddressPrefix, PortKey
from bascule.errors import (
    ConfigurationError,
    EnforcementFailed,
    InvalidInput,
    ServerUnreachable,
)
from bascule.interfaces.driver import HostParts

AGENT_PATIENCE = 6.0  # seconds in which a service manager has started one anew
BUSY_PATIENCE = 60.0  # seconds; a pass that waits for the network is over by then
STOP_FIRST = (
    "Stop its remaining processes first: systemctl stop bascule-agent, any 'bascule "
    "agent run', or a server that runs with --this-host. Then try again."
)


def open_here(
    parts: HostParts,
    state: Path,
    control: Path,
    key: PortKey,
    prefix: AddressPrefix,
    seconds: float,
) -> bool:
    """Open a port for a while; returns whether it is closed here at all."""
    try:
        return _ask_agent(control, key, prefix, seconds)
    except ServerUnreachable:
        return _open_without_agent(parts, state, control, key, prefix, seconds)


def _ask_agent(control: Path, key: PortKey, prefix: AddressPrefix, seconds: float) -> bool:
    """Have the agent open a port, again for a while when it is busy; is the port closed here?"""
    patience = time.monotonic() + BUSY_PATIENCE
    is_said = False
    while True:
        try:
            answer = open_on_this_host(control, key.protocol, key.number, str(prefix), seconds)
        except InvalidInput as error:
            if error.specific_code != AGENT_BUSY or time.monotonic() >= patience:
                raise
        else:
            return bool(answer.get("isClosed", True))
        if not is_said:
            click.echo("The agent is busy; trying again for up to a minute.", err=True)
            is_said = True
        time.sleep(0.2)


def _open_without_agent(
    parts: HostParts,
    state: Path,
    control: Path,
    key: PortKey,
    prefix: AddressPrefix,
    seconds: float,
) -> bool:
    """No agent answers: take the table over, or wait for one that is just starting.

    Is the port closed here?
    """
    clock = SystemClock()
    refusal = ""
    for is_last in (False, True):
        lock = -1
        try:
            lock = lock_state(state)
            is_closed = open_without_agent(
                parts.firewall().open(),
                state,
                clock,
                key,
                (prefix,),
                timedelta(seconds=seconds),
                ServiceManager(None),
            )
        except (ConfigurationError, EnforcementFailed) as error:
            refusal = error.message
        else:
            click.echo(
                "No agent is running. This command took over its rules; the other ports stay "
                "closed."
            )
            return is_closed
        finally:
            if lock >= 0:  # an agent that is just starting wants it
                os.close(lock)
        if not is_last:
            deadline = clock.boottime() + AGENT_PATIENCE
            while clock.boottime() < deadline:
                with contextlib.suppress(ServerUnreachable):
                    return _ask_agent(control, key, prefix, seconds)
                time.sleep(0.2)
    raise EnforcementFailed(
        f"No agent answers, and its rules could not be taken over: {refusal}",
        advice=STOP_FIRST,
    )
