"""The host's guard file: TOML, written by its root, read at the agent's start.

    ports = ["22/tcp", "3389"]          # what may be opened at all; a bare number is both
    sources = ["10.0.0.0/8"]            # from where
    max_duration = "PT2H"               # how long a lease may be
    max_drain = "PT10M"                 # how long connections may stay beyond it
    release = false                     # may a server let a closed port go?

On a gateway also:

    networks = ["10.1.0.0/16"]          # behind it: where machines are that it may open
    public_addresses = ["198.51.100.7"] # of its own, at which public ports may stand for theirs
    public_ports = "20000-20999"        # which ports; both ends inclusive

An absent key bounds nothing, but that where any bound is set a release, which opens a port
to everybody for ever, needs ``release = true``. Without ``networks`` nothing is opened behind a
gateway, and without the two others no public port stands for any. A file that is there and cannot be
read admits nothing at all: the host's last word is never lost in silence.
"""

from __future__ import annotations

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import structlog

from bascule.domain.bounds import GUARD_FILE, Forwarding, Guard
from bascule.domain.net import (
    Address,
    AddressPrefix,
    PortKey,
    TransportProtocol,
    parse_address,
    parse_port_number,
)
from bascule.domain.times import parse_duration
from bascule.errors import ConfigurationError, InvalidInput

log = structlog.get_logger("bascule.agent")

DEFAULT_PATH = Path(GUARD_FILE)
_RANGE = re.compile(r"([0-9]{1,5})-([0-9]{1,5})")
_PUBLIC = ("public_addresses", "public_ports")
_KEYS = {"ports", "sources", "max_duration", "max_drain", "release", "networks", *_PUBLIC}


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
    except (OSError, ValueError, RecursionError) as error:  # the last: tomllib's, of deep nesting
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
        forwarding=_forwarding(data),
        max_drain=_longest_drain(data.get("max_drain")),
    )


def _forwarding(data: dict[str, Any]) -> Forwarding | None:
    networks, addresses = _listed(data, "networks"), _listed(data, "public_addresses")
    named = [key for key in _PUBLIC if key in data]
    if len(named) == 1:
        raise ValueError(f"{named[0]} needs the other of {' and '.join(_PUBLIC)} beside it")
    if networks is None:
        if named:
            raise ValueError(f"{' and '.join(named)} need networks, the machines' own, beside them")
        return None
    first, last = _range(data["public_ports"]) if named else (0, 0)
    return Forwarding(
        tuple(AddressPrefix.parse(_text("networks", each)) for each in networks),
        tuple(_public(_text("public_addresses", each)) for each in addresses or ()),
        first,
        last,
    )


def _text(key: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{key} must be a list of texts, not of {value!r}")
    return value


def _public(text: str) -> Address:
    address = parse_address(text)
    if (
        address.is_loopback
        or address.is_unspecified
        or address.is_multicast
        or address.is_link_local
        or str(address) == "255.255.255.255"
    ):
        raise ValueError(f"{address} is no address at which a gateway is reached")
    return address


def _range(value: object) -> tuple[int, int]:
    """The first and the last port of a text such as "20000-20999"."""
    match = _RANGE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f'public_ports must be a text such as "20000-20999", not {value!r}')
    first, last = (parse_port_number(int(each)) for each in match.groups())
    if first > last:
        raise ValueError(f"public_ports begin at {first}, after their end at {last}")
    return first, last


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


def _longest_drain(text: object) -> timedelta | None:
    """Zero is admitted: connections end with their lease."""
    if text is None:
        return None
    if not isinstance(text, str):
        raise TypeError(f'max_drain must be a text such as "PT10M", not {text!r}')
    return parse_duration(text)


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
