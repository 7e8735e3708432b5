"""One initiate call: machines, ports, times, justification.

Source: JitNetworkAccessPolicyInitiateRequest, api-version 2020-01-01. An omitted source
means the address that the call came from, filled in at the border where it is known.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix

MAXIMUM_JUSTIFICATION = 1024  # characters


@dataclass(frozen=True, slots=True)
class RequestedPort:
    number: int
    sources: tuple[AddressPrefix, ...]  # never empty
    ends_at: datetime  # aware UTC, microseconds
    ends_at_text: str  # the caller's own spelling of it, up to seven fractional digits
    is_source_list: bool = False  # written as allowedSourceAddressPrefixes on the wire


@dataclass(frozen=True, slots=True)
class RequestedMachine:
    machine_id: ResourceId
    ports: tuple[RequestedPort, ...]


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """What was asked, by whom, why."""

    id: str
    policy_id: ResourceId
    requestor_id: str  # principal id
    requestor: str  # for people to read
    justification: str | None
    started_at: datetime
    machines: tuple[RequestedMachine, ...]
