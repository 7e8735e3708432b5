"""The host's guard file: TOML, written by its root, read at the agent's start.

    ports = ["22/tcp", "3389"]          # what may be opened at all; a bare number is both
    sources = ["10.0.0.0/8"]            # from where
    max_duration = "PT2H"               # how long a lease may be
    release = false                     # may a server let a closed port go?

An absent key bounds nothing, but that where any bound is set a release, which opens a port
to everybody for ever, needs ``release = true``. A file that is there and cannot be read admits nothing at
all: the host's last word is never lost in silence.
"""

from __future__ import annotations

import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from bascule.domain.bounds import GUARD_FILE, Guard
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol, parse_port_number
from bascule.domain.times import parse_duration
from bascule.errors import ConfigurationError, InvalidInput

log = structlog.get_logger("bascule.agent")

DEFAULT_PATH = Path(GUARD_FILE)
_KEYS = {"ports", "sources", "max_duration", "release"}


def load_guard(path: Path) -> Guard:
    """The guard in ``path``; an absent file bounds nothing. Raises ConfigurationError."""
    try:
        data = tomllib.loads(path.read_text())
    except FileNotFoundError as error:
        if any(each.is_symlink() and not each.exists() for each in (path, *path.parents)):
            raise ConfigurationError(
                f"The guard file {path} cannot be read: it is a dangling link."
            ) from error
        return Guard()
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"The guard file {path} cannot be read: {error}.") from error
    try:
        return _parse(data)
    except (InvalidInput, TypeError, ValueError) as error:
        raise ConfigurationError(f"The guard file {path} is invalid: {error}.") from error


def closed_guard(problem: str) -> Guard:
    """What admits nothing, for a file that cannot be used."""
    return Guard(ports=(), sources=(), may_release=False, problem=problem)


def guard_of_host(path: Path) -> Guard:
    """The guard in ``path``; one that cannot be read admits nothing, and that is logged and told."""
    try:
        return load_guard(path)
    except ConfigurationError as error:
        log.error("guard file refused: nothing will be opened", why=error.message)
        return closed_guard(error.message)


def _parse(data: dict[str, Any]) -> Guard:
    unknown = set(data) - _KEYS
    if unknown:
        raise ValueError(
            f"unknown key {', '.join(sorted(unknown))}; known: {', '.join(sorted(_KEYS))}"
        )
    ports = _listed(data, "ports")
    sources = _listed(data, "sources")
    longest = _longest(data.get("max_duration"))
    release = data.get("release", not data)
    if not isinstance(release, bool):
        raise TypeError(f"release must be true or false, not {release!r}")
    return Guard(
        may_release=release,
        ports=None if ports is None else tuple(key for text in ports for key in parse_ports(text)),
        sources=None if sources is None else tuple(AddressPrefix.parse(text) for text in sources),
        max_duration=longest,
    )


def _longest(text: object) -> timedelta | None:
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f'max_duration must be a text such as "PT2H", not {text!r}')
    longest = parse_duration(text)
    if not longest:
        raise ValueError(
            "max_duration must be longer than zero; to allow nothing, write ports = []"
        )
    return longest


def _listed(data: dict[str, Any], key: str) -> list[Any] | None:
    """A key's list; a bare text is refused, it would be read letter by letter."""
    value = data.get(key)
    if value is not None and not isinstance(value, list):
        raise TypeError(f"{key} must be a list, not {value!r}")
    return value


def parse_ports(text: str) -> tuple[PortKey, ...]:
    """``22/tcp``, ``53/udp`` or ``22``, which is both."""
    number, _, protocol = str(text).partition("/")
    if not number.isascii() or not number.isdigit():
        raise InvalidInput(f"{text!r} is not a port; write 22, 22/tcp or 53/udp.")
    parse_port_number(int(number))
    wanted = [TransportProtocol(protocol.upper())] if protocol else list(TransportProtocol)
    return tuple(PortKey(each, int(number)) for each in wanted)
