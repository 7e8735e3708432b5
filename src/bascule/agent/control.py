"""The agent's control socket: root on the host speaks to the agent that lives there.

A Unix stream socket, 0600, one JSON object a line each way. Who may connect is who may
write the file: root, or the user that the agent runs as.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import socket
import threading
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, TypedDict, TypeVar

import structlog

from bascule.agent.by_root import Order
from bascule.agent.loop import AgentLoop
from bascule.domain.net import AddressPrefix, PortKey, TransportProtocol
from bascule.errors import BasculeError, InvalidInput, ServerUnreachable

log = structlog.get_logger("bascule.agent")

T = TypeVar("T")

LONGEST_LINE = 4096
LAST_ANSWER_SECONDS = 2.0
ACCEPT_RETRY = 0.5  # seconds, when there is no descriptor left
LONGEST_OPENING = timedelta(days=1)
HasGone = Callable[[], bool]  # the caller has disconnected
Handler = Callable[[Mapping[str, Any], HasGone], Mapping[str, Any]]


class Uninstalled(TypedDict):
    opened: list[str]  # ports that nothing of ours closes any more
    rules: str  # what was removed: "the nftables table ..."
    state: str  # the state directory, without our files now; whoever asked removes it
    told: bool  # the server has taken a last report of it


class ControlSocket:
    """Listening from the start, in a thread of its own."""

    def __init__(self, path: Path, handle: Handler) -> None:
        """Raises OSError, also for a path that is longer than unix(7) allows."""
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        previous = os.umask(0o177)
        try:
            self._listener.bind(str(path))
        except OSError:
            self._listener.close()
            raise
        finally:
            os.umask(previous)
        self._listener.listen(8)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._accept, args=(handle,), name="control")
        self._thread.daemon = True
        self._thread.start()

    def close(self) -> None:
        """Stop, after the call in progress has been answered."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # accept(2) returns, close(2) would not do
        self._thread.join(LAST_ANSWER_SECONDS)
        self._listener.close()

    def _accept(self, handle: Handler) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError as error:
                if not self._closing.is_set():  # EMFILE, ECONNABORTED: it passes
                    log.warning("control socket: no connection could be accepted", why=str(error))
                    self._closing.wait(ACCEPT_RETRY)
                continue
            with connection:
                connection.settimeout(10.0)
                with contextlib.suppress(OSError):
                    _answer(connection, handle)


def _answer(connection: socket.socket, handle: Handler) -> None:
    with connection.makefile("rwb") as stream:
        line = stream.readline(LONGEST_LINE)
        if _has_hung_up(connection):
            return  # the caller was told that nobody answers: nothing is done later (EDGES A25)
        try:
            answer: Mapping[str, Any] = {
                "ok": True,
                **handle(json.loads(line), lambda: _has_hung_up(connection)),
            }
        except BasculeError as error:
            answer = {
                "ok": False,
                "error": error.message,
                "advice": error.advice,
                "code": error.specific_code,
            }
        except (ValueError, KeyError, TypeError) as error:
            answer = {"ok": False, "error": f"That command cannot be read: {error}.", "advice": ""}
        except Exception as error:  # noqa: BLE001  # reason: this thread must outlive any command
            log.error("control command failed", why=f"{type(error).__name__}: {error}")
            answer = {"ok": False, "error": f"The agent failed: {error}.", "advice": ""}
        stream.write(json.dumps(answer).encode() + b"\n")
        stream.flush()


def _has_hung_up(connection: socket.socket) -> bool:
    """Has the caller disconnected? A caller that only closed its sending side has not."""
    waiting = select.poll()
    waiting.register(connection, 0)  # POLLHUP is told unasked (poll(2))
    return any(event & select.POLLHUP for _, event in waiting.poll(0))


def handler_for(loop: AgentLoop, uninstall: Callable[[], Uninstalled]) -> Handler:
    """What the socket understands: status, open, close, acceptServer, uninstall. The loop does nothing
    whose caller has gone before it begins.
    """

    def handle(message: Mapping[str, Any], has_gone: HasGone) -> Mapping[str, Any]:
        def ask(work: Callable[[], T]) -> T:
            def unless_gone() -> T:
                if has_gone():
                    raise ServerUnreachable("The caller has disconnected. Nothing was done.")
                return work()

            return loop.ask(unless_gone)

        what = message["command"]
        if what == "status":
            return {"status": ask(loop.status)}
        if what == "open":
            duration = _duration(float(message["seconds"]))
            order = Order(_port(message), _sources(message), duration, _machine(message))
            opened = ask(lambda: loop.by_root.open(order))
            return {
                "grantId": opened.grant_id,
                "isClosed": opened.is_closed,
                "place": opened.place,
            }
        if what == "close":
            port, sources, machine = _port(message), _sources(message), _machine(message)
            return {"closed": ask(lambda: loop.by_root.close(port, sources, machine))}
        if what == "acceptServer":
            return {"number": ask(loop.accept_server)}
        if what == "uninstall":
            return {**ask(uninstall)}
        raise InvalidInput(f"The agent does not know the command {what!r}.")

    return handle


def _port(message: Mapping[str, Any]) -> PortKey:
    return PortKey(TransportProtocol(message["protocol"]), int(message["number"]))


def _sources(message: Mapping[str, Any]) -> tuple[AddressPrefix, ...]:
    return tuple(AddressPrefix.parse(text) for text in message["sources"])


def _machine(message: Mapping[str, Any]) -> str:
    return str(message.get("machine", ""))  # a command of before names none


def _duration(seconds: float) -> timedelta:
    """Time-boxed (EDGES A25): whoever asks, an opening by root's word has its bounds here."""
    if not 1 <= seconds <= LONGEST_OPENING.total_seconds():  # a NaN is within nothing
        raise InvalidInput("An opening lasts from 1 second to 1 day.", target="--for")
    return timedelta(seconds=seconds)
