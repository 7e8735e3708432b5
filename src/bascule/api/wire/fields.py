"""Single fields: JSON values turned into domain values, or refused with a sentence.

Rules: a boolean is no number and a float no port, though Python would let both pass; a
whole number may come as a string (azapi sends ``"22"``); a text that is not Unicode
(a lone surrogate) is refused, because nothing could store it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, NamedTuple, TypeVar

from pydantic import BaseModel, ConfigDict, PlainValidator, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from bascule.domain.ids import ResourceId, is_guid
from bascule.domain.machine import OnExpiry, OsType
from bascule.domain.net import (
    Address,
    AddressPrefix,
    RuleProtocol,
    parse_address,
    parse_port_number,
)
from bascule.domain.times import format_utc, parse_duration, parse_instant
from bascule.errors import InvalidInput

T = TypeVar("T")

_WHOLE = re.compile(r"[+-]?[0-9]{1,18}")
_UTC_OF_AT_MOST_SEVEN_DIGITS = re.compile(r"[^.]{19}(?:\.[0-9]{1,7})?Z")
LARGEST_COUNT = 2**53 - 1  # what JSON numbers carry exactly (RFC 8259 section 6)
LONGEST_TEXT = 2048
LONGEST_DURATION = timedelta(days=366)  # beyond it adding to now could leave the calendar


class Body(BaseModel):
    """A JSON object as a caller sends it: camelCase, unknown fields ignored."""

    model_config = ConfigDict(alias_generator=to_camel, extra="ignore", frozen=True)

    def has(self, field: str) -> bool:
        """Was the field sent at all, be it as null?"""
        return field in self.model_fields_set


class StrictBody(Body):
    """One whose unknown fields are refused: one that is misspelt could be what narrows it."""

    model_config = ConfigDict(alias_generator=to_camel, extra="forbid", frozen=True)


class Instant(NamedTuple):
    """An instant with the caller's own spelling, which is echoed (CONTRACT 1.6.7)."""

    at: datetime
    text: str


def refuse(message: str, code: str = "InvalidRequestContent") -> PydanticCustomError:
    """The error that a validator raises; the message never is a template."""
    return PydanticCustomError(code, "{message}", {"message": message})


def _field(parse: Callable[[object], T]) -> PlainValidator:
    def validate(value: object) -> T:
        if value is None:
            raise refuse("is required; null counts as absent.", "MissingField")
        try:
            return parse(value)
        except InvalidInput as error:
            raise refuse(error.message, error.specific_code) from None

    return PlainValidator(validate)


def shown(value: object) -> str:
    """A JSON value as an error message may repeat it: short, on one line, ASCII."""
    return json.dumps(value, default=str)[:80]


def read_text(value: object) -> str:
    if not isinstance(value, str):
        raise InvalidInput(f"must be a text, not {shown(value)}.")
    if not value.isprintable() and any(
        letter == "\0" or "\ud800" <= letter <= "\udfff" for letter in value
    ):
        raise InvalidInput("must be Unicode text without NUL and without half surrogate pairs.")
    return value


def read_whole_number(value: object) -> int:
    if isinstance(value, str) and _WHOLE.fullmatch(value):
        return int(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"must be a whole number, not {shown(value)}.")
    return value


def _count(value: object) -> int:
    number = read_whole_number(value)
    if not 0 <= number <= LARGEST_COUNT:
        raise InvalidInput(f"must be a whole number from 0 to {LARGEST_COUNT}.")
    return number


def _port_number(value: object) -> int:
    try:
        number = read_whole_number(value)
    except InvalidInput:
        raise InvalidInput(
            f"must be a whole number from 1 to 65535, not {shown(value)}.", code="InvalidPort"
        ) from None
    return parse_port_number(number)


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"must be true or false, not {shown(value)}.")
    return value


def _choice(kind: type[T], words: dict[str, T]) -> Callable[[object], T]:
    def parse(value: object) -> T:
        found = words.get(value.casefold()) if isinstance(value, str) else None
        if found is None:
            offered = ", ".join(str(word) for word in words.values())
            raise InvalidInput(
                f"must be one of {offered}, not {shown(value)}.", code=f"Invalid{kind.__name__}"
            )
        return found

    return parse


def _text_of(limit: int) -> Callable[[object], str]:
    def parse(value: object) -> str:
        text = read_text(value)
        if len(text) > limit:
            raise InvalidInput(f"has {len(text)} characters; at most {limit} are allowed.")
        return text

    return parse


def _instant(value: object) -> Instant:
    text = read_text(value)
    at = parse_instant(text)
    return Instant(at, text if _UTC_OF_AT_MOST_SEVEN_DIGITS.fullmatch(text) else format_utc(at))


def _guid(value: object) -> str:
    text = read_text(value)
    if not is_guid(text):
        raise InvalidInput(f"must be a GUID, not {shown(value)}.")
    return text.lower()


def _machine_id(value: object) -> ResourceId:
    return ResourceId.parse_machine(read_text(value))


def _prefix(value: object) -> AddressPrefix:
    return AddressPrefix.parse(read_text(value))


def _address(value: object) -> Address:
    return parse_address(read_text(value))


def _duration(value: object) -> timedelta:
    span = parse_duration(read_text(value))
    if span > LONGEST_DURATION:
        raise InvalidInput(
            f"{shown(value)} is too long. The maximum is P1D (1 day).",
            code="InvalidDuration",
        )
    return span


def _as(json_type: str, **more: object) -> WithJsonSchema:
    return WithJsonSchema({"type": json_type, **more})


def field_of(
    parse: Callable[[object], object], json_type: str, **more: object
) -> tuple[PlainValidator, WithJsonSchema]:
    """What annotates a field that is read by this function."""
    return _field(parse), _as(json_type, **more)


PortNumber = Annotated[
    int, _field(_port_number), _as("integer", minimum=1, maximum=65535, examples=[22])
]
Count = Annotated[int, _field(_count), _as("integer", minimum=0, maximum=LARGEST_COUNT)]
Truth = Annotated[bool, _field(_truth), _as("boolean")]
Text = Annotated[str, _field(_text_of(LONGEST_TEXT)), _as("string", maxLength=LONGEST_TEXT)]
LongText = Annotated[str, _field(read_text), _as("string")]
Guid = Annotated[str, _field(_guid), _as("string", format="uuid")]
MachineId = Annotated[ResourceId, _field(_machine_id), _as("string")]
Prefix = Annotated[AddressPrefix, _field(_prefix), _as("string", examples=["192.0.2.0/24"])]
HostAddress = Annotated[Address, _field(_address), _as("string", examples=["192.0.2.7"])]
Duration = Annotated[timedelta, _field(_duration), _as("string", examples=["PT3H"])]
EndTime = Annotated[Instant, _field(_instant), _as("string", format="date-time")]
Protocol = Annotated[
    RuleProtocol,
    _field(_choice(RuleProtocol, {each.casefold(): each for each in RuleProtocol})),
    _as("string", enum=[str(each) for each in RuleProtocol]),
]
Expiry = Annotated[
    OnExpiry,
    _field(_choice(OnExpiry, {each.casefold(): each for each in OnExpiry})),
    _as("string", enum=[str(each) for each in OnExpiry]),
]
OsKind = Annotated[
    OsType,
    _field(_choice(OsType, {each.casefold(): each for each in OsType})),
    _as("string", enum=[str(each) for each in OsType]),
]
