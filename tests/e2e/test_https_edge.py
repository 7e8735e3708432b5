"""The edge of the server as strangers meet it: TLS, names, patience, crowds, renewal, stop.

Each test talks to a real process on loopback (``patient``). Where patience is what is tested,
its times are short (``edge``): 1 s for handshake and headers, 1.5 s for a body, 2 s between
requests.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SYSTEM_PYTHON = Path("/usr/bin/python3")
CROWD_ADDRESS = "127.0.0.2"
PROXY = "127.0.0.9"
BALANCER = "127.0.0.10"


@dataclass
class Edge:
    process: subprocess.Popen[str]
    port: int
    ca_file: Path

    def trust(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.ca_file)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    def plain(self, source: str = "127.0.0.1") -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), 10, source_address=(source, 0))

    def connect(self, source: str = "127.0.0.1") -> ssl.SSLSocket:
        return self.trust().wrap_socket(self.plain(source), server_hostname="localhost")

    def get(
        self, path: str, headers: dict[str, str] | None = None, source: str = "127.0.0.1"
    ) -> tuple[int, Any, dict[str, str]]:
        connection = http.client.HTTPSConnection(
            "localhost", self.port, timeout=20, context=self.trust(), source_address=(source, 0)
        )
        try:
            connection.request("GET", path, headers=headers or {})
            answer = connection.getresponse()
            names = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, json.loads(answer.read()), names
        finally:
            connection.close()


Start = Callable[..., Edge]


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def begin(
        life: float = 3600.0,
        patience: str = "real",
        names: tuple[str, ...] = (),
        before: tuple[str, ...] = (),
    ) -> Edge:
        data = tmp_path_factory.mktemp("edge") / "data"
        how = [str(data), str(life), patience, "127.0.0.1:0", *names]
        process = subprocess.Popen(
            [*before, sys.executable, "-m", "tests.e2e.edge", *how],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout is not None
        said = process.stdout.readline().split()
        assert said[:1] == ["listening"], "the server did not start"
        return Edge(process, int(said[1]), data / "ca.pem")

    yield begin
    for process in started:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


@pytest.fixture(scope="module")
def edge(start: Start) -> Edge:
    return start(patience="short")


@pytest.fixture(scope="module")
def patient(start: Start) -> Edge:
    return start(names=("jit.example",))


def seconds_until_closed(connection: socket.socket, began: float, drip: bytes = b"") -> float:
    """How long after ``began`` the server still keeps a connection on which at most ``drip``
    comes, again and again."""
    connection.settimeout(0.25)
    while time.monotonic() - began < 15:
        try:
            if drip:
                connection.send(drip)
            if connection.recv(1000) == b"":
                break
        except TimeoutError:
            continue
        except OSError:
            break
    connection.close()
    return time.monotonic() - began


def seconds_until_all_is_read(connection: socket.socket) -> float:
    """How long there is something to be read; 15 when it has no end."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        while connection.recv(65_536) and time.monotonic() - began < 15:
            pass
    connection.close()
    return time.monotonic() - began


class TestCertificate:
    @pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
    def test_the_systems_python_verifies_it_with_the_ca_file_alone(
        self, patient: Edge, name: str
    ) -> None:
        """Debian 13's Python 3.13 sets VERIFY_X509_STRICT (EDGES A29)."""
        if not SYSTEM_PYTHON.exists():
            pytest.skip("there is no /usr/bin/python3")
        program = (
            "import ssl, sys, urllib.request as r;"
            "c = ssl.create_default_context(cafile=sys.argv[2]);"
            "print(r.urlopen(sys.argv[1], context=c).status)"
        )
        url = f"https://{name}:{patient.port}/hello"
        done = subprocess.run(
            [SYSTEM_PYTHON, "-c", program, url, patient.ca_file],
            capture_output=True, text=True, check=False, timeout=30,
        )  # fmt: skip
        assert done.stdout.strip() == "200", done.stderr

    def test_a_client_that_does_not_know_the_ca_refuses(self, patient: Edge) -> None:
        with pytest.raises(ssl.SSLCertVerificationError), patient.plain() as plain:
            ssl.create_default_context().wrap_socket(plain, server_hostname="localhost")

    def test_another_name_is_not_vouched_for(self, patient: Edge) -> None:
        with pytest.raises(ssl.SSLCertVerificationError, match="not valid for"):
            patient.trust().wrap_socket(patient.plain(), server_hostname="other.example")

    def test_no_version_below_1_2_is_spoken(self, patient: Edge) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.minimum_version = ssl.TLSVersion.TLSv1
        with pytest.warns(DeprecationWarning, match="deprecated"):
            context.maximum_version = ssl.TLSVersion.TLSv1_1
        with pytest.raises((ssl.SSLError, ConnectionError)), patient.plain() as plain:
            context.wrap_socket(plain)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_1_2_and_1_3_are(self, patient: Edge, version: ssl.TLSVersion) -> None:
        context = patient.trust()
        context.minimum_version = context.maximum_version = version
        with patient.plain() as raw, context.wrap_socket(raw, server_hostname="localhost") as tls:
            assert (tls.version() or "").replace(".", "_") == version.name

    def test_plain_http_is_not_answered(self, patient: Edge) -> None:
        with patient.plain() as plain:
            plain.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert b"HTTP/1.1 200" not in plain.recv(1000)


V2 = b"\r\n\r\n\x00\r\nQUIT\n"  # begins a header of version 2


def through_balancer(edge: Edge, header: bytes, source: str = BALANCER) -> tuple[int, str]:
    """Status and the caller that the server saw, of a call that begins with this header."""
    with edge.plain(source) as plain:
        plain.settimeout(20)
        plain.sendall(header)
        with edge.trust().wrap_socket(
            plain, server_hostname="localhost", do_handshake_on_connect=False
        ) as secured:  # else it is left unclosed when the handshake fails
            secured.do_handshake()
            secured.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = http.client.HTTPResponse(secured)
            answer.begin()
            return answer.status, json.loads(answer.read())["caller"]


class TestOrigin:
    """EDGES A21 and A23."""

    @pytest.mark.parametrize(
        ("host", "base"),
        [
            ("localhost", "https://localhost"),
            ("LOCALHOST:8443", "https://localhost:8443"),
            ("127.0.0.1:1", "https://127.0.0.1:1"),
            ("[::1]:9", "https://[::1]:9"),
            ("jit.example:443", "https://jit.example"),
        ],
    )
    def test_urls_are_by_the_name_that_was_used(self, patient: Edge, host: str, base: str) -> None:
        status, body, _ = patient.get("/hello", {"Host": host})
        assert (status, body["base"]) == (200, base)

    @pytest.mark.parametrize(
        "host", ["evil.example", "localhost.evil.example", "127.0.0.2", "", "a@localhost", "::1"]
    )
    def test_another_host_is_misdirected(self, patient: Edge, host: str) -> None:
        status, body, _ = patient.get("/hello", {"Host": host})
        assert (status, body["error"]["code"]) == (421, "MisdirectedRequest")

    def test_a_forged_forwarding_header_counts_for_nothing(self, patient: Edge) -> None:
        forged = {"X-Forwarded-For": "198.51.100.1", "X-Forwarded-Host": "evil.example"}
        status, body, _ = patient.get("/hello", forged)
        assert (status, body["caller"]) == (200, "127.0.0.1")
        assert body["base"] == f"https://localhost:{patient.port}"

    def test_the_configured_proxys_does(self, patient: Edge) -> None:
        said = {"X-Forwarded-For": "203.0.113.5, 198.51.100.1", "X-Forwarded-Host": "jit.example"}
        status, body, _ = patient.get("/hello", said, source=PROXY)
        assert (status, body) == (200, {"base": "https://jit.example", "caller": "198.51.100.1"})

    @pytest.mark.parametrize(
        ("header", "caller"),
        [
            (b"PROXY TCP4 198.51.100.1 192.0.2.1 4000 8443\r\n", "198.51.100.1"),
            (b"PROXY TCP6 2001:db8::7 2001:db8::1 4000 8443\r\n", "2001:db8::7"),
            (b"PROXY TCP6 ::ffff:198.51.100.1 ::ffff:192.0.2.1 4000 8443\r\n", "198.51.100.1"),
            (
                V2 + b"\x21\x11\0\x0c" + b"\xc6\x33\x64\x01" + b"\xc0\0\2\1" + b"\0\7\0\7",
                "198.51.100.1",
            ),
            (V2 + b"\x21\x11\0\x10" + b"\xc6\x33\x64\x01" + b"\0" * 12, "198.51.100.1"),  # a TLV
            (V2 + b"\x20\0\0\0", ""),  # its own call
            (b"PROXY UNKNOWN\r\n", ""),
        ],
    )
    def test_a_balancer_says_who_calls(self, patient: Edge, header: bytes, caller: str) -> None:
        """An address that is not known must not become the balancer's."""
        status, caller_told = through_balancer(patient, header)
        assert (status, caller_told) == (200, caller)

    # Where the server has hung up already, ssl leaves its half-made socket to the collector.
    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    @pytest.mark.parametrize(
        "header",
        [
            b"",
            b"PROXY TCP4 2001:db8::7 192.0.2.1 4000 8443\r\n",
            b"PROXY TCP4 ::ffff:198.51.100.1 192.0.2.1 4000 8443\r\n",
            b"PROXY TCP4 198.51.100.1 192.0.2.1\r\n",
            b"PROXY TCP4 somebody 192.0.2.1 4000 8443\r\n",
            b"PROXY " + b"x" * 200,
            V2 + b"\x11\x11\0\x0c" + b"\1" * 12,  # version 1 in a header of version 2
            V2 + b"\x21\x11\0\4" + b"\1" * 4,  # too short for what it says
            V2 + b"\x21\x31\0\x0c" + b"\1" * 12,  # AF_UNIX
            V2 + b"\x21\x11\xff\xff",
        ],
    )
    def test_a_balancer_without_a_right_header_is_not_answered(
        self, patient: Edge, header: bytes
    ) -> None:
        """Else the balancer would be taken for the caller."""
        with pytest.raises(OSError):  # ssl.SSLError is one
            through_balancer(patient, header)

    @pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
    def test_from_others_such_a_header_is_no_handshake(self, patient: Edge) -> None:
        """Nobody else says who calls."""
        with pytest.raises(OSError):
            through_balancer(
                patient, b"PROXY TCP4 198.51.100.1 192.0.2.1 4000 8443\r\n", "127.0.0.1"
            )

    def test_whom_a_balancer_calls_for_has_the_bounds_of_its_own_address(
        self, start: Start
    ) -> None:
        """Of 64 connections one address may keep 8 waiting: its oldest are cut for the next. The
        balancer's own are not bounded so.
        """
        edge = start(patience="long", before=("prlimit", "--nofile=320"))
        header = b"PROXY TCP4 198.51.100.%d 192.0.2.1 4000 8443\r\n"
        with contextlib.ExitStack() as kept:
            opened = [kept.enter_context(edge.plain(BALANCER)) for _ in range(12)]
            for plain in opened:
                plain.sendall(header % 1)
                time.sleep(0.05)  # so that the first is the oldest
            for plain in opened[:4]:
                plain.settimeout(10)
                assert plain.recv(1) == b""
            opened[-1].settimeout(0.2)
            with pytest.raises(TimeoutError):
                opened[-1].recv(1)
            assert through_balancer(edge, header % 2) == (200, "198.51.100.2")

    def test_the_server_does_not_say_what_it_runs_on(self, patient: Edge) -> None:
        assert "server" not in patient.get("/hello")[2]


class TestPatience:
    """EDGES A27: handshake and headers have one time, a body another."""

    def test_a_silent_connection_is_closed(self, edge: Edge) -> None:
        began = time.monotonic()
        assert 0.7 < seconds_until_closed(edge.plain(), began) < 10

    def test_so_is_one_that_shakes_hands_and_says_nothing(self, edge: Edge) -> None:
        began = time.monotonic()
        assert 0.7 < seconds_until_closed(edge.connect(), began) < 10

    def test_headers_that_drip_are_cut_off(self, edge: Edge) -> None:
        began = time.monotonic()
        connection = edge.connect()
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n")
        assert 0.7 < seconds_until_closed(connection, began, b"X-Slow: 1\r\n") < 10

    def test_so_are_a_second_requests(self, edge: Edge) -> None:
        connection = edge.connect()
        began = time.monotonic()
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n")
        assert 0.7 < seconds_until_closed(connection, began, b"X-Slow: 1\r\n") < 10

    def test_a_body_that_drips_is_cut_off(self, edge: Edge) -> None:
        connection = edge.connect()
        began = time.monotonic()
        connection.sendall(
            b"POST /echo HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n"
        )
        assert 1.2 < seconds_until_closed(connection, began, b"x") < 10

    def test_an_idle_connection_is_closed_later(self, edge: Edge) -> None:
        connection = edge.connect()
        began = time.monotonic()
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
        assert 1.7 < seconds_until_closed(connection, began) < 10

    def test_a_wait_longer_than_all_of_these_is_answered(self, edge: Edge) -> None:
        assert edge.get("/wait?seconds=3")[1] == {"waited": 3.0}

    def test_headers_without_end_are_cut_off_by_their_size(self, edge: Edge) -> None:
        connection = edge.connect()
        connection.sendall(b"GET /hello HTTP/1.1\r\nHost: localhost\r\n")
        with pytest.raises(OSError):  # noqa: PT012  # reason: whichever of the two meets the end
            connection.sendall(b"X-Long: " + b"a" * 100_000)
            if connection.recv(1) == b"":
                raise ConnectionResetError
        connection.close()

    def test_two_requests_in_one_packet_are_both_answered(self, edge: Edge) -> None:
        connection = edge.connect()
        one = b"GET /wait?seconds=0.2 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(one + one)
        connection.settimeout(5)
        answers = b""
        while answers.count(b'{"waited"') < 2:
            answers += connection.recv(1000)
        connection.close()
        assert answers.count(b"HTTP/1.1 200") == 2

    def test_requests_without_end_are_cut_off_by_their_number(self, edge: Edge) -> None:
        """However few bytes they are, each would be kept until those before it are answered."""
        connection = edge.connect()
        connection.sendall(b"GET /wait?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n" * 50)
        assert seconds_until_closed(connection, time.monotonic()) < 10
        assert edge.get("/hello")[0] == 200

    def test_an_answer_that_nobody_reads_is_cut_off(self, edge: Edge) -> None:
        connection = edge.connect()
        connection.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
        time.sleep(6)
        assert seconds_until_all_is_read(connection) < 10

    def test_one_that_is_read_slowly_is_not(self, edge: Edge) -> None:
        """A busy machine, which reads more slowly than that, may try again."""

        def is_kept() -> bool:
            with contextlib.suppress(OSError), edge.connect() as connection:
                connection.sendall(b"GET /flood HTTP/1.1\r\nHost: localhost\r\n\r\n")
                began = time.monotonic()
                while time.monotonic() - began < 4:
                    wanted = 2_000_000
                    while wanted > 0:
                        wanted -= len(connection.recv(65_536)) or wanted
                    time.sleep(0.2)
                return connection.recv(1) == b"x"
            return False

        assert any(is_kept() for _ in range(3))

    def test_a_large_body_in_time_is_taken(self, patient: Edge) -> None:
        connection = http.client.HTTPSConnection("localhost", patient.port, context=patient.trust())
        connection.request("POST", "/echo", b"x" * 700_000)
        assert json.loads(connection.getresponse().read()) == {"bytes": 700_000}
        connection.close()


async def _many_waits(edge: Edge, count: int, seconds: float) -> list[bytes]:
    """The first lines of the answers to ``count`` waits at once, from the crowd's address."""
    few_shaking_hands = asyncio.Semaphore(50)
    request = f"GET /wait?seconds={seconds} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()

    async def one() -> bytes:
        async with few_shaking_hands:
            reader, writer = await asyncio.open_connection(
                "127.0.0.1", edge.port, ssl=edge.trust(), server_hostname="localhost",
                local_addr=(CROWD_ADDRESS, 0), ssl_handshake_timeout=60,
            )  # fmt: skip
            writer.write(request)
            await writer.drain()
        status = await reader.readline()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        return status

    return await asyncio.gather(*(one() for _ in range(count)))


@pytest.mark.slow
class TestCrowd:
    """EDGES A27: 2,000 silent connections and 1,000 waits from one address.

    The server may have 2,500 open files: unbounded, this crowd would take them all. Its
    patience is long, so that it is not time that makes room.
    """

    def test_others_are_served_and_so_is_the_crowds_own_address(self, start: Start) -> None:
        edge = start(patience="long", before=("prlimit", "--nofile=2500:2500"))
        silent = [edge.plain(CROWD_ADDRESS) for _ in range(2000)]

        async def crowd() -> tuple[list[bytes], list[float]]:
            waits = asyncio.create_task(_many_waits(edge, 1000, 12))
            served = []
            for source in ("127.0.0.1", CROWD_ADDRESS, "127.0.0.1", "127.0.0.1"):
                await asyncio.sleep(1.5)
                began = time.monotonic()
                status, _, _ = await asyncio.to_thread(edge.get, "/hello", None, source)
                assert status == 200
                served.append(time.monotonic() - began)
            return await waits, served

        answers, served = asyncio.run(crowd())
        for each in silent:
            each.close()
        assert max(served) < 9  # two shared cores; without bounds nobody leaves before then
        assert answers.count(b"HTTP/1.1 200 OK\r\n") == 1000


class TestRenewal:
    """EDGES A26: without a restart, and without a break for who is connected."""

    def test_a_new_certificate_is_served_while_an_old_stream_goes_on(self, start: Start) -> None:
        edge = start(9.0)
        stream = edge.connect()
        stream.sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        seen: set[object] = set()
        tried = 0
        began = time.monotonic()
        while time.monotonic() - began < 14:
            with edge.connect() as connection:
                shown = connection.getpeercert() or {}
                seen.add(shown["serialNumber"])
                tried += 1
            assert stream.recv(65536)
            time.sleep(0.3)
        stream.close()
        assert 2 <= len(seen) < tried
        assert edge.get("/hello")[0] == 200
        assert edge.process.poll() is None


class TestStop:
    @pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
    def test_soon_although_a_stream_and_a_wait_are_open(
        self, start: Start, number: signal.Signals
    ) -> None:
        """They have three seconds; the wait alone would take a minute."""
        edge = start()
        open_ones = [edge.connect() for _ in range(3)]
        open_ones[0].sendall(b"GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n")
        open_ones[1].sendall(b"GET /wait?seconds=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert open_ones[0].recv(1000)
        edge.process.send_signal(number)
        try:
            assert edge.process.wait(20) == 0
        finally:
            for connection in open_ones:
                connection.close()

    def test_at_once_when_nothing_is_open(self, start: Start) -> None:
        """Not after the three seconds that open ones have; a busy machine may try again."""

        def seconds_to_stop() -> float:
            edge = start()
            began = time.monotonic()
            edge.process.terminate()
            assert edge.process.wait(20) == 0
            return time.monotonic() - began

        assert any(seconds_to_stop() < 2.9 for _ in range(3))
