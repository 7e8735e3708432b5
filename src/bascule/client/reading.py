"""Reading JSON that a server sent: a field that the contract promises is there, or a clear error.

Source: the wire shapes of CONTRACT 1.4 with Bascule's additions. Unknown fields are passed
over, so that an older client goes on with a newer server. Text is kept as it came; who
prints it takes control characters out.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from bascule.domain.times import parse_instant
from bascule.errors import BasculeError, InvalidInput

Data = Mapping[str, Any]
E = TypeVar("E", bound=StrEnum)


class UnexpectedAnswer(BasculeError):
    """The server answered with something that is not in the contract."""

    code = "UnexpectedAnswer"


def _missing(key: str, wanted: str) -> UnexpectedAnswer:
    return UnexpectedAnswer(
        f"The server's answer has no {wanted} '{key}', which this client expects.",
        advice="Check that the endpoint is a Bascule server of this client's version: bascule "
        "version",
    )


def mapping(value: object, key: str = "answer") -> Data:
    if not isinstance(value, Mapping):
        raise _missing(key, "object")
    return value


def inner(data: Data, key: str) -> Data:
    """The object under ``key``; absent and null are an empty one."""
    value = data.get(key)
    return {} if value is None else mapping(value, key)


def items(data: Data, key: str) -> list[Any]:
    """The list under ``key``; absent and null are an empty one."""
    value = data.get(key)
    if value is None:
        return []
    if not isinstance(value, list):
        raise _missing(key, "list")
    return value


def objects(data: Data, key: str) -> list[Data]:
    return [mapping(each, key) for each in items(data, key)]


def text(data: Data, key: str, default: str | None = None) -> str:
    """The string under ``key``; ``default`` None means that it must be there."""
    value = data.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str):
        raise _missing(key, "text")
    return value


def texts(data: Data, key: str) -> tuple[str, ...]:
    return tuple(str(each) for each in items(data, key))


def number(data: Data, key: str, default: int | None = None) -> int:
    """The integer under ``key``; a bool is none."""
    value = data.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, int) or isinstance(value, bool):
        raise _missing(key, "number")
    return value


def decimal(data: Data, key: str) -> float:
    value = data.get(key)
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise _missing(key, "number")
    return float(value)


def member(kind: type[E], data: Data, key: str, default: E | None = None) -> E:
    """The member of an enumeration under ``key``; ``default`` None means that it must be there."""
    try:
        return kind(text(data, key, default))
    except ValueError:
        raise _missing(key, "known value") from None


def flag(data: Data, key: str) -> bool:
    """Absent and null are False."""
    return data.get(key) is True


def instant(data: Data, key: str) -> datetime | None:
    """The instant under ``key``; absent, null and empty are None."""
    value = data.get(key)
    if not value:
        return None
    try:
        return parse_instant(str(value))
    except InvalidInput:
        raise _missing(key, "instant") from None


def required_instant(data: Data, key: str) -> datetime:
    found = instant(data, key)
    if found is None:
        raise _missing(key, "instant")
    return found


def read_sources(port: Data) -> tuple[str, ...]:
    """Azure's two spellings of the same: one prefix, or a list of them."""
    single = text(port, "allowedSourceAddressPrefix", "")
    return (single,) if single else texts(port, "allowedSourceAddressPrefixes")
