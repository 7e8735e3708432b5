"""How each candidate is asked to open its port: over one warm connection, or by its command.

Bascule is asked as a long-lived client asks it, by ``initiate`` on a TLS connection that stands, with a
token that is held; and once more by its command, ``bascule request``, which starts Python, reads its
profile, connects, and waits until the port is open. fwknop and firewalld have no long-lived client: their
own command is started for each question, and starting it is part of their time (``answered_p50_ms`` of
the results says how long it ran; fwknop's ends as soon as its packet is sent).
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from bascule.client.access import PortRequest, get_request, initiate
from bascule.client.connection import Connection, trust_file
from bascule.client.tokens import Credentials
from bascule.client.versions import BASCULE_VERSION
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId


class Asker(Protocol):
    """One way to ask; ``ask`` returns when the program that was asked is done."""

    def warm(self) -> None:
        """Do what a client in use has done already."""
        ...

    def ask(self) -> str:
        """Ask for the port; answer what ``promised_end`` needs."""
        ...

    def promised_end(self, answer: str, opened_at: float) -> float:
        """When the port ought to close, on ``time.perf_counter``; called when it is open."""
        ...


@dataclass(frozen=True, slots=True)
class BasculeQuestion:
    endpoint: str
    ca_file: str
    tenant_id: str
    subscription_id: str
    client_id: str
    client_secret: str
    policy: str  # resource id
    machine: str  # resource id
    port: int
    lease_seconds: float

    def __repr__(self) -> str:
        return f"BasculeQuestion({self.endpoint!r}, {self.machine!r}, {self.port})"


class BasculeAsker:
    """The first answer to ``initiate`` says *decided and kept*; the SYNs say *open*."""

    def __init__(self, question: BasculeQuestion) -> None:
        self._policy = ResourceId.parse(question.policy)
        self._machine = ResourceId.parse(question.machine)
        self._ports = [
            PortRequest(question.port, timedelta(seconds=question.lease_seconds), None, None)
        ]
        self._clock = SystemClock()
        self._connection = Connection(
            question.endpoint,
            question.subscription_id,
            Credentials(question.tenant_id, question.client_id, question.client_secret),
            trust_file(Path(question.ca_file)),
            self._clock,
        )

    def warm(self) -> None:
        self._connection.call("GET", "/healthz", BASCULE_VERSION)

    def ask(self) -> str:
        return initiate(self._connection, self._policy, self._machine, self._ports)

    def promised_end(self, answer: str, opened_at: float) -> float:
        """The server's own word, on the wall clock that we share with it."""
        del opened_at
        ends_at = get_request(self._connection, answer).ends_at
        if ends_at is None:
            raise ValueError(f"request {answer} has no end")
        return self._on_our_clock(ends_at)

    def _on_our_clock(self, instant: datetime) -> float:
        left = instant - self._clock.now()
        return time.perf_counter() + left.total_seconds()


@dataclass(frozen=True, slots=True)
class CommandQuestion:
    argv: Sequence[str]
    environment: Mapping[str, str] | None  # None: as where it is started
    lease_seconds: float


class CommandAsker:
    """Starts the candidate's own command and waits for its end."""

    def __init__(self, question: CommandQuestion) -> None:
        self._question = question

    def warm(self) -> None:
        """Nothing stays of a command between two questions."""

    def ask(self) -> str:
        done = subprocess.run(
            self._question.argv,
            env=self._question.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{self._question.argv[0]}: {done.stderr.strip()}")
        return ""

    def promised_end(self, answer: str, opened_at: float) -> float:
        """Its lease counted from when the port was seen open: it names no instant itself."""
        del answer
        return opened_at + self._question.lease_seconds
