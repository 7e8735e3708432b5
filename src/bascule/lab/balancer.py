"""The lab's balancer: sends each new connection to the next replica that is ready. TLS passes through.

Run in the host that the lab calls ``server`` as ``python -m bascule.lab.balancer CA_FILE NAME...``, with the
socket on the machine's 127.0.0.1 handed to it (sd_listen_fds(3)). Each connection to a replica begins with
the PROXY protocol's header, version 1, so that the replica knows who calls. Connections go to the replicas
in turn. A replica that failed two checks of ``/readyz`` gets no new ones, and its open ones are cut so that
their clients connect elsewhere: a paused replica would keep them open. When none is ready, those that
answer at all are used: they say why.
What is not here: which replicas there are (``topology``).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import signal
import socket
import ssl
import sys
from dataclasses import dataclass, field
from http import HTTPStatus

from bascule.lab.topology import SERVER_PORT

CHECK_SECONDS = 1.0  # between two checks of a replica
ANSWER_SECONDS = 3.0  # for the answer to one
FALL = 2  # failed checks in turn until it is not ready
CONNECT_SECONDS = 1.0
_PIECE = 65536
_BACKLOG = 4096
_OWN_CALL = b"PROXY UNKNOWN\r\n"


@dataclass(eq=False, slots=True)
class Replica:
    """One server behind the balancer, as the last check found it."""

    name: str
    is_answering: bool = False
    is_ready: bool = False
    connections: set[asyncio.StreamWriter] = field(default_factory=set)

    def let_go(self) -> None:
        for each in list(self.connections):
            each.transport.abort()


class Turns:
    """Which replica is next; pure."""

    def __init__(self, replicas: list[Replica]) -> None:
        self._order = list(replicas)  # the last that had a turn is last

    def candidates(self) -> list[Replica]:
        """In the order in which to try them."""
        ready = [each for each in self._order if each.is_ready]
        answering = [each for each in self._order if each.is_answering]
        return ready or answering or list(self._order)

    def has_another(self, replica: Replica) -> bool:
        return any(each.is_ready for each in self._order if each is not replica)

    def took(self, replica: Replica) -> None:
        self._order.remove(replica)
        self._order.append(replica)


def header_of(peer: tuple[str, int], own: tuple[str, int]) -> bytes:
    """Section 2.1 of the PROXY protocol."""
    family = "TCP6" if ":" in peer[0] else "TCP4"
    return f"PROXY {family} {peer[0]} {own[0]} {peer[1]} {own[1]}\r\n".encode("ascii")


class Balancer:
    def __init__(self, names: list[str], ca_file: str) -> None:
        self._replicas = [Replica(name) for name in names]
        self._turns = Turns(self._replicas)
        self._ca_file = ca_file

    async def run(self, listeners: list[socket.socket]) -> None:
        servers = [
            await asyncio.start_server(self._serve, sock=each, backlog=_BACKLOG)
            for each in listeners
        ]
        stopped = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
        checks = [asyncio.create_task(self._watch(each)) for each in self._replicas]
        await stopped.wait()
        for server in servers:
            server.close()
        for check in checks:
            check.cancel()
        for replica in self._replicas:
            replica.let_go()

    # -- connections ----------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer, own = (writer.get_extra_info(name)[:2] for name in ("peername", "sockname"))
        try:
            for replica in self._turns.candidates():
                self._turns.took(replica)  # before it answers: the next caller goes elsewhere
                with contextlib.suppress(OSError):
                    await self._join(replica, reader, writer, header_of(peer, own))
                    return
        finally:
            writer.transport.abort() if writer.transport.is_closing() else writer.close()

    async def _join(
        self,
        replica: Replica,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        header: bytes,
    ) -> None:
        """Raise OSError when it is not reached, before a byte of the caller was taken."""
        async with asyncio.timeout(CONNECT_SECONDS):
            far_reader, far_writer = await asyncio.open_connection(replica.name, SERVER_PORT)
        replica.connections.add(far_writer)
        try:
            far_writer.write(header)
            with contextlib.suppress(OSError):
                async with asyncio.TaskGroup() as both:
                    both.create_task(_pump(reader, far_writer))
                    both.create_task(_pump(far_reader, writer))
        except* OSError:
            pass  # either side is gone: both connections end
        finally:
            replica.connections.discard(far_writer)
            far_writer.transport.abort()

    # -- checks ---------------------------------------------------------------------------

    async def _watch(self, replica: Replica) -> None:
        failed = 0
        while True:
            was_ready = replica.is_ready
            status = await self._status(replica)
            failed = 0 if status == HTTPStatus.OK else failed + 1
            replica.is_answering = status is not None
            replica.is_ready = failed == 0 or (was_ready and failed < FALL)
            if replica.is_ready != was_ready:
                words = "is ready" if replica.is_ready else f"is not ready: {status or 'no answer'}"
                sys.stderr.write(f"{replica.name} {words}\n")
                sys.stderr.flush()
            if not replica.is_ready and self._turns.has_another(replica):
                replica.let_go()
            await asyncio.sleep(CHECK_SECONDS)

    async def _status(self, replica: Replica) -> int | None:
        """Of ``/readyz``; None: no answer."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                return await self._ask(replica)
        except (OSError, ValueError, IndexError):  # TimeoutError and ssl.SSLError are OSErrors
            return None

    async def _ask(self, replica: Replica) -> int:
        trust = ssl.create_default_context(cafile=self._ca_file)
        reader, writer = await asyncio.open_connection(replica.name, SERVER_PORT)
        try:
            writer.write(_OWN_CALL)
            await writer.start_tls(trust, server_hostname=replica.name)
            writer.write(
                f"GET /readyz HTTP/1.1\r\nHost: {replica.name}\r\nConnection: close\r\n\r\n".encode()
            )
            return int((await reader.readline()).split()[1])
        finally:
            writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Until its end, which is passed on alone: the other direction may go on."""
    while data := await reader.read(_PIECE):
        writer.write(data)
        await writer.drain()
    writer.write_eof()


def _listeners() -> list[socket.socket]:
    made = [socket.socket(fileno=3)] if int(os.environ.get("LISTEN_FDS", "0")) else []
    for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):  # noqa: S104  # reason: all addresses of a namespace of ours
        made.append(socket.create_server((address, SERVER_PORT), family=family, backlog=_BACKLOG))
    return made


def main(arguments: list[str]) -> int:
    ca_file, *names = arguments
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(Balancer(names, ca_file).run(_listeners()))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
