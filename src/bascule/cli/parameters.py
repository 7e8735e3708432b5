"""What options take: durations, ports, sources, machines; wrong ones are usage errors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

from bascule.cli.spans import parse_span, show_span
from bascule.domain.net import Address, AddressPrefix, parse_address, parse_port_number
from bascule.errors import BasculeError, InvalidInput

F = TypeVar("F", bound=Callable[..., Any])

MY_ADDRESS = "me"
_PROTOCOLS = {"tcp": "TCP", "udp": "UDP", "*": "*"}


@dataclass(frozen=True, slots=True)
class Port:
    number: int
    protocol: str  # TCP, UDP or *


class PublicPortType(click.ParamType[tuple[Address | None, int]]):
    """``2222``, ``198.51.100.7:2222`` or ``[2001:db8::7]:2222``; the address is None where none is."""

    name = "public port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[Address | None, int]:
        if isinstance(value, tuple):
            return value
        address, _, number = str(value).rpartition(":")
        try:
            if not (number.isascii() and number.isdecimal()):
                raise InvalidInput(f"{value} is no port, and no address with a port.")
            is_bracketed = address.startswith("[") and address.endswith("]")
            at = (
                parse_address(address.strip("[]") if is_bracketed else address) if address else None
            )
            if at is not None and (at.version == 6) is not is_bracketed:
                raise InvalidInput(f"{value} is no address with a port: write [2001:db8::7]:2222.")
            return at, parse_port_number(int(number))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class SpanType(click.ParamType[timedelta]):
    """``90s 5m 1h30m 2h 1d`` or ISO 8601, within bounds when there are some."""

    name = "duration"

    def __init__(
        self, shortest: timedelta = timedelta(0), longest: timedelta = timedelta.max
    ) -> None:
        self.shortest = shortest
        self.longest = longest

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> timedelta:
        if isinstance(value, timedelta):
            return value
        try:
            span = parse_span(str(value))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)
        if not self.shortest <= span <= self.longest:
            bounds = f"{show_span(self.shortest)} to {show_span(self.longest)}"
            self.fail(f"{value} is not within {bounds}.", param, ctx)
        return span


class PortNumberType(click.ParamType[int]):
    """A port's number alone: a request names the number, the policy's rule the protocol."""

    name = "port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        word = str(value)
        if not (word.isascii() and word.isdigit() and len(word) <= 5):
            self.fail(f"{word!r} is not a port number (1 to 65535).", param, ctx)
        try:
            return parse_port_number(int(word))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class PortType(click.ParamType[Port]):
    """``22``, ``22/tcp``, ``53/udp``, ``53/*``; a bare number is TCP."""

    name = "port"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> Port:
        if isinstance(value, Port):
            return value
        number, _, protocol = str(value).partition("/")
        spelled = _PROTOCOLS.get(protocol.lower() if "/" in str(value) else "tcp")
        if spelled is None:
            self.fail(f"{value!r}: the protocol is tcp, udp or *, as in 22/tcp.", param, ctx)
        return Port(PortNumberType().convert(number, param, ctx), spelled)


class SourceType(click.ParamType[str]):
    """An address or prefix in its normal form, ``*``, or ``me``."""

    name = "source"

    def __init__(self, *, takes_me: bool) -> None:
        self.takes_me = takes_me

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> str:
        if self.takes_me and str(value).lower() == MY_ADDRESS:
            return MY_ADDRESS
        try:
            return str(AddressPrefix.parse(str(value)))
        except InvalidInput as error:
            self.fail(error.message, param, ctx)


class MachineType(click.ParamType[str]):
    """A machine's name or id; completed from the server's list."""

    name = "machine"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002  # reason: click's signature
        param: click.Parameter,  # noqa: ARG002  # reason: click's signature
        incomplete: str,
    ) -> list[CompletionItem]:
        return [CompletionItem(name) for name in machines_beginning(incomplete)]


def machines_beginning(start: str) -> list[str]:
    """Names for a shell to complete; none where the server cannot be asked."""
    from bascule.cli.connect import connect  # noqa: PLC0415  # reason: only completion needs it
    from bascule.client.machines import list_machines  # noqa: PLC0415  # reason: as above

    try:
        with connect() as connection:
            names = {machine.name for machine in list_machines(connection)}
    except BasculeError:
        return []  # a shell that completes has no place for an error
    return sorted(name for name in names if name.startswith(start))


SPAN = SpanType()
PORT = PortType()
PORT_NUMBER = PortNumberType()
MACHINE = MachineType()


def ports_option(default: str = "", *, is_required: bool = False) -> Callable[[F], F]:
    """``--port``, handed over as ``ports``; ``default`` is what help says of it."""
    more = f" Default: {default}." if default else ""
    return click.option(
        *("-p", "--port", "ports"),
        type=PORT,
        multiple=True,
        metavar="PORT",
        required=is_required,
        help=f"22, 22/tcp, 53/udp or 53/*; repeatable.{more}",
    )
