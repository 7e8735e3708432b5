"""Speaking to the agent on this very host, over its control socket.

The socket is the agent's (``agent.control``): 0600, one JSON object a line each way. Used
by ``bascule agent ...`` and by whatever is about to close a port under somebody's feet.
"""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Any

from bascule.domain.weaknesses import Weakness
from bascule.errors import BasculeError, ConfigurationError, InvalidInput, ServerUnreachable

DEFAULT_STATE = Path("/var/lib/bascule-agent")
DEFAULT_CONTROL = Path("/run/bascule/agent.sock")
CONTROL_NAME = "agent.sock"
TOKEN_VARIABLE = "BASCULE_ENROLMENT_TOKEN"  # noqa: S105  # reason: a name, not a secret
ANSWER_SECONDS = 15.0
AGENT_BUSY = "AgentBusy"  # the code of a command that was not begun: it may be given again


def control_path(state: Path = DEFAULT_STATE) -> Path:
    """Where the agent of that state directory listens."""
    if state == DEFAULT_STATE and DEFAULT_CONTROL.parent.is_dir():
        return DEFAULT_CONTROL
    return state / CONTROL_NAME


def find_control(state: Path = DEFAULT_STATE) -> Path:
    """Where an agent answers: the service's, one run by hand, or the server's own.

    When none does, where it would listen.
    """
    if state == DEFAULT_STATE:
        for path in (DEFAULT_CONTROL, state / CONTROL_NAME):
            if is_answering(path):
                return path
    return control_path(state)


def is_answering(path: Path) -> bool:
    """Does somebody listen there, even if not for us?"""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
    except PermissionError:
        return True
    except OSError:  # nobody, or a path longer than unix(7) allows
        return False
    return True


def machine_uid_here() -> str:
    """Which machine the agent on this host guards; empty when none says so."""
    try:
        return str(tell_agent(find_control(), {"command": "status"})["status"]["machineUid"])
    except (BasculeError, KeyError):
        return ""


def answers_elsewhere_here() -> list[Weakness]:
    """What the agent on this host says of answers that do not go back through its machine's gateways;
    empty where none says so, or this caller may not ask.
    """
    try:
        told = tell_agent(find_control(), {"command": "status"})["status"]["answersElsewhere"]
        return [Weakness(str(each["code"]), dict(each["arguments"])) for each in told]
    except (BasculeError, KeyError, TypeError, ValueError):
        return []


def tell_agent(path: Path, message: dict[str, Any]) -> dict[str, Any]:
    """One command to the agent; raises ServerUnreachable when none listens."""
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(ANSWER_SECONDS)
            connection.connect(str(path))
            with connection.makefile("rw", encoding="utf-8") as stream:
                stream.write(json.dumps(message) + "\n")
                stream.flush()
                answer: dict[str, Any] = json.loads(stream.readline())
    except PermissionError as error:
        raise ConfigurationError(f"You may not use {path}.", advice="Run this as root.") from error
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else "") or str(error)
        raise ServerUnreachable(
            f"No agent answers at {path}: {why}.",
            advice="Check that an agent runs here: systemctl status bascule-agent. If its state "
            "is in another directory, give --state DIR.",
        ) from error
    if not answer.get("ok"):
        raise InvalidInput(
            str(answer.get("error")),
            advice=str(answer.get("advice", "")),
            code=str(answer.get("code", "")),
        )
    return answer


def open_on_this_host(
    path: Path, protocol: str, number: int, source: str, seconds: float, machine: str = ""
) -> dict[str, Any]:
    """Have the agent open a port by root's word, time-boxed (EDGES A25). ``machine``: of a machine
    behind this host.

    ``isClosed`` in the answer: is the port closed here at all, so that it closes again by itself?
    """
    return tell_agent(
        path,
        {
            "command": "open",
            "protocol": protocol,
            "number": number,
            "sources": [source],
            "seconds": seconds,
            "machine": machine,
        },
    )


def close_on_this_host(
    path: Path, protocol: str, number: int, sources: list[str], machine: str = ""
) -> dict[str, Any]:
    """Have the agent end what root opened of a port; no source: whoever it was opened for."""
    return tell_agent(
        path,
        {
            "command": "close",
            "protocol": protocol,
            "number": number,
            "sources": sources,
            "machine": machine,
        },
    )
