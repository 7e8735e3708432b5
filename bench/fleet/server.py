"""The measured server: a revision's own program over a data directory that holds the fleet."""

from __future__ import annotations

import base64
import json
import os
import resource
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bench.fleet.agent import key_of, uid_of
from bench.fleet.tls import Address
from bench.series import median
from bench.standing import Broken

PER_POLICY = 100  # machines
SPARE_DESCRIPTORS = 1024  # the server's own files, askers, connections that are given up
MOST_DESCRIPTORS = 65_536
_START_SECONDS = 120.0
_NOT_COMPILED = "PYTHONDONTWRITEBYTECODE"  # with it, a start takes three times as long
_FLUSHES = 50
_SEED = Path(__file__).with_name("seed.py")
_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Program:
    """A tree and the Python that runs it."""

    name: str
    source: Path
    python: str
    module: str = "bascule.bootstrap"  # or another that runs it

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name != _NOT_COMPILED}
        return kept | {"PYTHONPATH": f"{self.source / 'src'}{os.pathsep}{self.source}"}


class Server:
    """The server's process: start, kill, and the CPU and memory that it has used."""

    def __init__(self, program: Program, folder: Path, port: int, database: str = "") -> None:
        """``database`` is an address of PostgreSQL; empty: SQLite."""
        self._program, self.port, self._database = program, port, database
        folder.mkdir(parents=True, exist_ok=True)
        self.data, self._log = folder / "data", folder / "server.log"
        self._compiled = folder / "compiled"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def one(self) -> Server:
        """That which is killed; ``Replicas`` has several."""
        return self

    @property
    def addresses(self) -> tuple[Address, ...]:
        return (("127.0.0.1", self.port),)

    @property
    def admin(self) -> dict[str, str]:
        """The first owner: tenant_id, subscription_id, client_id, client_secret."""
        found: dict[str, str] = json.loads((self.data / "admin.json").read_text())
        return found

    def fill(self, agents: int) -> None:
        """Let it make its data directory, stop it, and write the fleet into the database."""
        self.start()
        self.wait()
        self.stop()
        keys = "".join(f"{uid_of(each)} {_public_key(each)}\n" for each in range(agents))
        done = subprocess.run(
            [
                self._program.python,
                str(_SEED),
                str(self.data),
                str(PER_POLICY),
                *([self._database] if self._database else []),
            ],
            env=self._program.environment,
            input=keys,
            text=True,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise Broken(
                f"bench/fleet/seed.py could not fill the database of {self._program.name}. It may "
                f"need a change for that store: {done.stderr.strip()[-1500:]}"
            )

    def invite(self) -> str:
        """A token with which another server joins."""
        command = [self._program.python, "-m", self._program.module, "admin", "replica", "invite"]
        done = subprocess.run(
            [*command, "--data", str(self.data), "--endpoint", f"https://127.0.0.1:{self.port}"],
            env=self._program.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Broken(f"No other server can join {self._program.name}: {done.stderr.strip()}")
        return done.stdout

    def start(self, *more: str) -> None:
        """As it is installed: its modules are compiled once, not at each start."""
        command = [self._program.python, "-m", self._program.module, "serve"]
        if self._database:
            more = ("--database", self._database, *more)
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--data", str(self.data), "--listen", f"127.0.0.1:{self.port}", *more],
                env=self._program.environment | {"PYTHONPYCACHEPREFIX": str(self._compiled)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,  # Ctrl-C is ours to act on
            )

    def is_listening(self) -> bool:
        """Is its port listened on? Asked of the kernel, which costs the server nothing.

        Raises Broken when it has ended.
        """
        process = self._running()
        if process.poll() is not None:
            raise Broken(f"{self._program.name} ended by itself: {self.said()}")
        wanted = f"0100007F:{self.port:04X} 00000000:0000 0A"
        return wanted in Path("/proc/net/tcp").read_text()

    def wait(self) -> None:
        """Until it listens; raises Broken."""
        deadline = time.monotonic() + _START_SECONDS
        while time.monotonic() < deadline:
            if self.is_listening():
                return
            time.sleep(0.05)
        raise Broken(f"{self._program.name} did not listen on port {self.port}: {self.said()}")

    def ready(self) -> None:
        """Start, and wait until it listens."""
        self.start()
        self.wait()

    def kill(self) -> None:
        process = self._running()
        process.kill()
        process.wait(30)

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(15)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(30)

    def said(self) -> str:
        """The end of what it wrote."""
        return self._log.read_text(errors="replace")[-1500:] if self._log.exists() else ""

    def cpu_seconds(self) -> float:
        """Of it and its children, user and system."""
        return sum(cpu_seconds_of(pid) for pid in self._pids())

    def database_cpu_seconds(self) -> float:
        """SQLite is a part of the server."""
        return 0.0

    def memory_mb(self) -> float:
        """Resident, of it and its children."""
        return sum(_resident(pid) for pid in self._pids()) / 2**20

    def anonymous_mb(self) -> float:
        """Of these, what is no file's: without the pages of the database that are mapped."""
        return sum(_anonymous(pid) for pid in self._pids()) / 2**20

    def open_files(self) -> int:
        return sum(1 for pid in self._pids() for _ in Path(f"/proc/{pid}/fd").iterdir())

    def send(self, number: int) -> None:
        """A signal."""
        self._running().send_signal(number)

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise Broken(f"{self._program.name} was not started")
        return self._process

    def _pids(self) -> list[int]:
        return with_children(self._running().pid)


def with_children(pid: int) -> list[int]:
    """A process and all below it."""
    pids = [pid]
    for each in pids:  # which grows meanwhile
        for task in Path(f"/proc/{each}/task").glob("*/children"):
            with suppress(OSError):  # it has ended
                pids += [int(child) for child in task.read_text().split()]
    return pids


def cpu_seconds_of(pid: int) -> float:
    """User and system; 0.0 when it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICK


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE


def _anonymous(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("RssAnon:"):  # proc_pid_status(5), in KiB
            return int(line.split()[1]) * 1024
    raise Broken(f"process {pid} is gone")


def _public_key(number: int) -> str:
    key = Ed25519PrivateKey.from_private_bytes(key_of(number)).public_key().public_bytes_raw()
    return base64.urlsafe_b64encode(key).decode().rstrip("=")


def free_port() -> int:
    """A port of the loopback that nobody has now."""
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", 0))
        port: int = trial.getsockname()[1]
        return port


def flush_ms(folder: Path) -> float:
    """Median time to flush 4 KiB to disk here; on a busy machine it is ten times longer."""
    times: list[float] = []
    with (folder / "flushed").open("wb", buffering=0) as file:
        for _ in range(_FLUSHES):
            file.write(bytes(4096))
            began = time.perf_counter()
            os.fdatasync(file.fileno())
            times.append((time.perf_counter() - began) * 1000)
    return median(times)


@contextmanager
def standing(program: Program, folder: Path, port: int, agents: int) -> Iterator[Server]:
    """A server with so many machines, just started; it is stopped at the end of the block."""
    folder.mkdir(parents=True)
    server = Server(program, folder, port)
    try:
        server.fill(agents)
        server.ready()
        yield server
    finally:
        server.stop()


def allow_descriptors(agents: int, connections: int) -> None:
    """Let this process and those that it starts hold so many connections of each agent.

    Raises Broken where the hard limit is below that and may not be raised.
    """
    needed = agents * connections + SPARE_DESCRIPTORS
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(needed, min(hard, MOST_DESCRIPTORS))
    try:
        if wanted > soft:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    except (OSError, ValueError):
        raise Broken(
            f"{agents} agents that hold {connections} connections each need {needed} open files in "
            f"one process. The hard limit here is {hard}, and this process may not raise it: raise "
            f"it (ulimit -n {needed}, as root or in a container's settings), or ask for at most "
            f"{(hard - SPARE_DESCRIPTORS) // connections} agents."
        ) from None
