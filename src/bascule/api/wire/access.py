"""Bodies of Bascule.Access: extend and release. The others are with what they carry."""

from __future__ import annotations

from collections.abc import Collection

from pydantic import Field

from bascule.api.wire.fields import Body, PortNumber, Protocol
from bascule.api.wire.requests import MOST_PORTS, EndBody
from bascule.domain.net import PortKey, RuleProtocol


class ExtendBody(EndBody):
    """A new end: an instant, or a duration from now."""


class PortBody(Body):
    number: PortNumber
    protocol: Protocol | None = None  # absent: *

    def keys(self, held: Collection[PortKey]) -> list[PortKey]:
        """The ports meant; ``*`` is what is ``held`` of TCP and UDP, both when neither is."""
        protocol = self.protocol or RuleProtocol.ALL
        keys = [PortKey(transport, self.number) for transport in protocol.transports]
        return [key for key in keys if key in held] or keys


class ReleaseBody(Body):
    ports: list[PortBody] | None = Field(default=None, max_length=MOST_PORTS)
