"""One sink's syslog transport: TLS (RFC 5425), TCP with octet counting (RFC 6587), UDP (RFC 5426).

Syslog has no acknowledgement. Over TCP and TLS a message counts as delivered when the
receiver's kernel has acknowledged its bytes (SIOCOUTQ, tcp(7)) and the connection still stands:
a collector that dies with what it had not read loses that. Over UDP it counts when it was sent:
what the network loses is lost, and nobody hears of it.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import ssl
import struct
import termios
from collections.abc import Sequence

from bascule.domain.delivery import Answer, Outcome, Target, Transport
from bascule.domain.net import AddressPrefix
from bascule.interfaces.delivery import Parcel
from bascule.outward.resolve import NotAllowed, NotFound, Resolver, judged_addresses
from bascule.outward.trust import trust

SEND_SECONDS = 30.0  # for one page, connecting and acknowledgement with it
CONNECT_SECONDS = 10.0
LEAST_LOOK, LONGEST_LOOK = 0.001, 0.05  # seconds between looks at what is acknowledged
SILENCE_SECONDS = 0.02  # in which a host without a listener says so (ICMP)
_UNACKNOWLEDGED = termios.TIOCOUTQ  # the same number as SIOCOUTQ


class SyslogLine:
    """A connection to one receiver, kept open."""

    def __init__(
        self,
        target: Target,
        ca_certificates: str,
        allowed: Sequence[AddressPrefix],
        resolve: Resolver,
    ) -> None:
        self._target = target
        self._trust = trust(ca_certificates)
        self._allowed = allowed
        self._resolve = resolve
        self._stream: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._turn = asyncio.Lock()  # an operator's test may come between

    async def carry(self, parcel: Parcel) -> Outcome:
        send = self._datagrams if self._target.transport is Transport.UDP else self._counted
        try:
            async with asyncio.timeout(SEND_SECONDS), self._turn:
                return await send(parcel)
        except (NotAllowed, NotFound) as error:
            return Outcome(Answer.LATER, str(error))
        except TimeoutError:
            await self.close()
            return Outcome(Answer.LATER, f"not taken within {SEND_SECONDS:.0f} seconds")
        except ssl.SSLCertVerificationError as error:
            return Outcome(
                Answer.LATER, f"its certificate is not trusted: {error.verify_message[:200]}"
            )
        except OSError as error:
            await self.close()
            return Outcome(Answer.LATER, f"it cannot be reached ({type(error).__name__})")

    async def close(self) -> None:
        if self._stream is None:
            return
        _, writer = self._stream
        self._stream = None
        writer.transport.abort()

    async def _judged(self) -> Sequence[str]:
        target = self._target
        return await judged_addresses(target.host, target.port, self._allowed, self._resolve)

    # -- TCP and TLS ---------------------------------------------------------------------

    async def _counted(self, parcel: Parcel) -> Outcome:
        reader, writer = await self._connected()
        framed = b"".join(b"%d %b" % (len(each), each) for each in parcel.messages)
        writer.write(framed)
        await writer.drain()
        await _acknowledged(writer)
        if reader.at_eof() or writer.transport.is_closing():
            await self.close()
            return Outcome(Answer.LATER, "it closed the connection")
        return Outcome(Answer.TAKEN, "sent")

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._stream is not None:
            reader, writer = self._stream
            if not reader.at_eof() and not writer.transport.is_closing():
                return self._stream
            await self.close()
        addresses = await self._judged()
        for address in addresses[:-1]:
            try:
                return await self._connect(address)
            except (OSError, TimeoutError):
                continue
        return await self._connect(addresses[-1])

    async def _connect(self, address: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        is_secure = self._target.transport is Transport.TLS
        async with asyncio.timeout(CONNECT_SECONDS):
            self._stream = await asyncio.open_connection(
                address,
                self._target.port,
                limit=4096,
                ssl=self._trust if is_secure else None,
                server_hostname=self._target.host if is_secure else None,
            )
        _, writer = self._stream
        writer.transport.set_write_buffer_limits(0)  # drained means: all of it is the kernel's
        return self._stream

    # -- UDP -----------------------------------------------------------------------------

    async def _datagrams(self, parcel: Parcel) -> Outcome:
        address = (await self._judged())[0]
        loop = asyncio.get_running_loop()
        transport, listener = await loop.create_datagram_endpoint(
            _Listener, remote_addr=(address, self._target.port)
        )
        try:
            for message in parcel.messages:
                transport.sendto(message)
            await asyncio.sleep(SILENCE_SECONDS)
        finally:
            transport.close()
        if listener.error is not None:
            return Outcome(Answer.LATER, f"it cannot be reached ({type(listener.error).__name__})")
        return Outcome(Answer.TAKEN, "sent; datagrams are not acknowledged")


class _Listener(asyncio.DatagramProtocol):
    """Hears of a port that nobody listens at."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    def error_received(self, exc: Exception) -> None:
        self.error = exc


async def _acknowledged(writer: asyncio.StreamWriter) -> None:
    """Wait until the peer's kernel has it all; the caller bounds the time."""
    wait = LEAST_LOOK
    found: socket.socket | None = writer.get_extra_info("socket")
    while found is not None and not writer.transport.is_closing():
        left = struct.unpack("i", fcntl.ioctl(found.fileno(), _UNACKNOWLEDGED, bytes(4)))[0]
        if left == 0:
            return
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_LOOK)
