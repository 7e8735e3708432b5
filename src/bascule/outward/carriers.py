"""The one ``Carrier``: a line to each sink, opened when something is to be sent."""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Protocol

from bascule.domain.delivery import Answer, Outcome, Sink, SinkKind
from bascule.domain.net import AddressPrefix
from bascule.interfaces.clock import Clock
from bascule.interfaces.delivery import Parcel
from bascule.outward.lines import FileLine
from bascule.outward.mail import MailLine, Relay
from bascule.outward.resolve import Resolver, refusal, system_addresses
from bascule.outward.syslog import SyslogLine
from bascule.outward.trust import trust
from bascule.outward.webhook import WebhookLine


class _Line(Protocol):
    async def carry(self, parcel: Parcel) -> Outcome: ...

    async def close(self) -> None: ...


class Carriers:
    """``networks`` may be reached although they are not global; ``folder`` holds files; ``relay`` takes mail."""

    def __init__(
        self,
        clock: Clock,
        networks: Sequence[AddressPrefix] = (),
        folder: Path | None = None,
        resolve: Resolver = system_addresses,
        relay: Relay | None = None,
    ) -> None:
        self._clock = clock
        self._networks = tuple(networks)
        self._folder = folder
        self._resolve = resolve
        self._relay = relay
        self._lines: dict[str, tuple[Sink, _Line]] = {}  # by sink id

    def objection(self, sink: Sink) -> str:
        if sink.target.kind is SinkKind.FILE:
            if self._folder is not None:
                return ""
            return (
                "This server has no folder for file sinks. Its administrator can set one: bascule "
                "serve --sink-directory DIR."
            )
        if sink.target.kind is SinkKind.MAIL:
            if self._relay is not None:
                return ""
            return (
                "This server has no relay for mail. Its administrator can set one: bascule serve "
                "--mail-relay smtp://HOST:PORT --mail-from ADDRESS."
            )
        try:
            trust(sink.ca_certificates)
        except ValueError as error:
            return str(error)
        try:
            address = ip_address(sink.target.host)
        except ValueError:
            return ""  # a name: judged whenever it is connected to
        return refusal(sink.target.host, address, self._networks)

    async def carry(self, sink: Sink, parcel: Parcel) -> Outcome:
        known = self._lines.get(sink.id)
        if known is None or known[0] != sink:  # new, or its owner changed it
            await self.forget(sink.id)
            objection = self.objection(sink)
            if objection:  # by now: whoever runs the server may have set it otherwise since
                return Outcome(Answer.LATER, objection)
            known = self._lines[sink.id] = (sink, self._open(sink))
        return await known[1].carry(parcel)

    async def forget(self, sink_id: str) -> None:
        known = self._lines.pop(sink_id, None)
        if known is not None:
            await known[1].close()

    async def close(self) -> None:
        for sink_id in list(self._lines):
            await self.forget(sink_id)

    def _open(self, sink: Sink) -> _Line:
        target = sink.target
        if target.kind is SinkKind.FILE and self._folder is not None:
            return FileLine(self._folder / target.path)
        if target.kind is SinkKind.MAIL and self._relay is not None:
            return MailLine(target, self._relay)
        if target.kind is SinkKind.SYSLOG:
            return SyslogLine(target, sink.ca_certificates, self._networks, self._resolve)
        return WebhookLine(target, sink.ca_certificates, self._networks, self._clock, self._resolve)
