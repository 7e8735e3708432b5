"""Lines over a small installation in memory: the server's own protocol, a transport that remembers,
a clock that is set, and a peer that speaks as an agent, or as nobody should.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar, cast

import uvicorn
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from uvicorn.server import ServerState

from bascule.api.connections import Bounds, Crowd
from bascule.api.lines import Lines
from bascule.api.networks import AgentNetworks, KnownNetworks
from bascule.api.origin import Names, Proxies
from bascule.api.protocol import LineHouse, PatientProtocol
from bascule.api.sampling import Sampler
from bascule.api.turns import Turn
from bascule.domain.access import Subject
from bascule.domain.features import KNOWN
from bascule.domain.held import Held, hold
from bascule.domain.machine import Machine
from bascule.identity.trust_key import TrustKey
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.enrolment import base64url
from bascule.protocol.frames import Frames, Opcode, close_reason, frame
from bascule.protocol.line import (
    LARGEST_STATE,
    Ask,
    Beat,
    Challenge,
    Echo,
    FromAgent,
    FromServer,
    Proof,
    Refused,
    Reported,
    Taken,
    Told,
    Welcome,
    from_server,
    signed_text,
    write,
)
from bascule.protocol.report import Report
from bascule.services.act import Act
from bascule.services.denials import Denials
from tests.unit.services_world import ANNA, World

T = TypeVar("T")
M = TypeVar("M")

BOUNDS = Bounds(in_all=64, per_address=32, waiting_per_address=16)
FLOOR = timedelta(days=30)
READ = "r" * 64  # a digest
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def key_of(number: int) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)


def public_of(key: Ed25519PrivateKey) -> str:
    return base64url(key.public_key().public_bytes_raw())


class Transport(asyncio.Transport):
    """Remembers what was written; ``backlog``: its peer reads nothing."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self.written = bytearray()
        self.is_closed = self.is_aborted = False
        self.lingers = False  # its peer does not answer TLS's goodbye
        self._is_lost = False
        self.protocol: asyncio.BaseProtocol | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self.is_closed:
            self.written += data

    def close(self) -> None:
        self.is_closed = True
        if not self.lingers:
            self._lose()

    def abort(self) -> None:
        self.is_closed = self.is_aborted = True
        self._lose()

    def _lose(self) -> None:
        if not self._is_lost and self.protocol is not None:
            self._is_lost = True
            self._loop.call_soon(self.protocol.connection_lost, None)

    def is_closing(self) -> bool:
        return self.is_closed

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self.protocol = protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return {"peername": ("192.0.2.77", 40000), "sockname": ("192.0.2.1", 8443)}.get(
            name, default
        )

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class LineWorld(World):
    """Everything runs in one loop, so that what a change wakes goes on after it."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        super().__init__()
        self.key = key_of(1)
        self.enrol(self.web, public_of(self.key), replaces=True)
        self._folder = tempfile.TemporaryDirectory()
        self.trust_key = TrustKey(Path(self._folder.name))
        self.crowd = Crowd(BOUNDS)
        self.turn: Turn | None = None  # in which the next connections come up
        self.start()

    def start(self) -> None:
        """As a process that has just begun: of lines and agents it knows what is stored."""
        self.lines = Lines(
            self.services,
            self.installation.tenant_id,
            FLOOR,
            Denials(),
            Sampler("strangers"),
            KnownNetworks(),
            AgentNetworks(),
            self.trust_key,
        )
        self.house = LineHouse(self.lines, Names(("localhost",)), Proxies())

    def close(self) -> None:
        self.settle()
        super().close()
        self.loop.close()
        self._folder.cleanup()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run_until_complete(work)

    def do(self, work: Callable[[Transaction, Act], T], subject: Subject | None = ANNA) -> T:
        return self.run(self.services.perform(work, subject))

    def see(self, work: Callable[[Reader], T]) -> T:
        return self.run(self.services.read(work))

    def settle(self) -> None:
        """Let everything that was begun finish."""

        async def wait() -> None:
            while tasks := asyncio.all_tasks() - {asyncio.current_task()}:
                await asyncio.wait(tasks)

        self.run(wait())

    def connect(self, uid: str = "", *, headers: str = "", path: str = "") -> Peer:
        return Peer(self, path or f"/bascule/points/{uid or self.web.uid}/line", headers)

    def live(self, machine: Machine | None = None, key: Ed25519PrivateKey | None = None) -> Peer:
        """A line that was proved."""
        peer = self.connect((machine or self.web).uid)
        peer.prove(key or self.key)
        return peer

    def contact(self, machine: Machine | None = None) -> float | None:
        """Seconds since the last stored contact, after storing what is kept."""
        self.run(self.services.store_contacts())
        point = self.see(lambda reader: reader.agent_of((machine or self.web).uid))
        assert point is not None
        if point.last_contact_at is None:
            return None
        return (self.clock.wall - point.last_contact_at).total_seconds()


class Peer:
    """The other end of a line."""

    def __init__(self, world: LineWorld, path: str, headers: str) -> None:
        self.world = world
        self.transport = Transport(world.loop)
        place = world.crowd.admit("192.0.2.77", lambda: None)
        assert place is not None
        place.turn = world.turn
        config = uvicorn.Config(_no_app, http="httptools", ws="none", lifespan="off")
        self.transport.protocol = protocol = PatientProtocol(
            config,
            ServerState(),
            {},
            world.loop,
            place,
            BOUNDS,
            world.loop.time() + 10,
            world.house,
        )
        protocol.connection_made(self.transport)
        self._frames = Frames(is_masked=False, largest=LARGEST_STATE)
        self.head = ""
        self._heard: list[FromServer] = []
        self.close: tuple[int, str] | None = None
        self.pongs = 0
        self.nonces = 0
        ask = (
            f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
            f"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n"
            f"{headers}\r\n"
        )
        self.send(ask.encode())

    # -- bytes

    def send(self, data: bytes) -> None:
        """Bytes arrive at the server."""

        async def arrive() -> None:
            if not self.transport.is_closed:
                cast("asyncio.Protocol", self.transport.protocol).data_received(data)

        self.world.run(arrive())
        self.world.settle()

    def resume(self) -> None:
        """The peer reads again what was held back for it."""

        async def resume() -> None:
            self.line.resume_writing()

        self.world.run(resume())
        self.world.settle()

    def say(self, message: FromAgent) -> None:
        self.send(frame(Opcode.TEXT, write(message), is_masked=True))

    def say_raw(self, told: object) -> None:
        self.send(frame(Opcode.TEXT, json.dumps(told).encode(), is_masked=True))

    def heard(self) -> list[FromServer]:
        """What came since this was asked last."""
        self.world.settle()
        data = bytes(self.transport.written)
        self.transport.written.clear()
        if not self.head and data:
            head, _, data = data.partition(b"\r\n\r\n")
            self.head = head.decode()
            if " 101 " not in self.head:
                self.body = data
                return []
        for opcode, content in self._frames.feed(data):
            if opcode is Opcode.CLOSE:
                self.close = close_reason(content)
            elif opcode is Opcode.PONG:
                self.pongs += 1
            else:
                message = from_server(json.loads(content))
                assert message is not None
                self._heard.append(message)
        heard, self._heard = self._heard, []
        return heard

    def only(self, kind: type[M]) -> M:
        """The one message of that kind that came; others are let go."""
        (found,) = [each for each in self.heard() if isinstance(each, kind)]
        return found

    def all_of(self, kind: type[M]) -> list[M]:
        return [each for each in self.heard() if isinstance(each, kind)]

    @property
    def is_over(self) -> bool:
        self._heard = self.heard()
        return self.transport.is_closed

    @property
    def close_code(self) -> int:
        assert self.is_over
        return self.close[0] if self.close is not None else 0

    # -- as an agent does

    def sign(self, key: Ed25519PrivateKey, challenge: str, uid: str = "") -> Proof:
        text = signed_text(self.world.installation.tenant_id, uid or self.world.web.uid, challenge)
        return Proof(base64url(key.sign(text)), "1", KNOWN)

    def prove(self, key: Ed25519PrivateKey, uid: str = "") -> Welcome:
        challenge = self.only(Challenge).text
        self.say(self.sign(key, challenge, uid))
        heard = self.heard()
        self.welcome = next(each for each in heard if isinstance(each, Welcome))
        self.first_beat = next(each for each in heard if isinstance(each, Beat))
        return self.welcome

    def tick(self) -> None:
        """The ticker comes to this line."""

        async def tick() -> None:
            self.line.beat()

        self.world.run(tick())
        self.world.settle()

    def beat(self) -> Beat:
        self.tick()
        return self.only(Beat)

    @property
    def line(self) -> Any:
        return self.transport.protocol

    def nonce(self) -> str:
        self.nonces += 1
        return f"nonce-{self.nonces:012}"

    def echo(
        self,
        beat: Beat,
        read: str = READ,
        acknowledged: str = READ,
        nonce: str = "",
        generations: dict[str, int] | None = None,
    ) -> str:
        nonce = nonce or self.nonce()
        held = beat.generations if generations is None else generations
        self.say(Echo(beat.number, nonce, held, read, acknowledged))
        return nonce

    def report(
        self, beat: Beat | None, *in_force: str, digest: str = READ, machine: str = "", **more: Any
    ) -> Taken | Refused:
        uid = machine or self.world.web.uid
        generation = more.pop("generation", self.line.generations.get(uid, 0))
        report = Report(generation, frozenset(in_force), digest=digest, **more)
        self.say(Reported("r", 0 if beat is None else beat.number, report, machine))
        heard = [each for each in self.heard() if isinstance(each, Taken | Refused)]
        (answer,) = [each for each in heard if each.id == "r"]
        return answer

    def ask(self, nonce: str = "", **more: Any) -> Told:
        self.say(Ask(nonce or self.nonce(), knows=KNOWN, **more))
        return self.only(Told)


async def _no_app(scope: object, receive: object, send: object) -> None:
    """What is not a line is no matter here."""


@contextmanager
def line_world() -> Iterator[LineWorld]:
    made = LineWorld()
    try:
        yield made
    finally:
        made.close()


def held_after(told: Told, sent_at: float, now: float, held: Held | None = None) -> Held:
    """What an agent holds that sent the nonce then."""
    return hold(held or Held(), told.state.desired, sent_at, now)
