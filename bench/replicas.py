"""People ask a lab of several replicas while its replicas are killed, or upgraded one by one.

    python -m bench.replicas [--minutes 2] [--people 50] [--replicas 3] [--from COMMIT]

Each person asks for port 22 of a machine from an address of their own, waits until it is open, ends it, and
begins again; a call that a dying server did not answer is made again, for RETRY_SECONDS at most. Without
``--from``, one replica after the other is killed with SIGKILL, and started again two seconds later. With
``--from``, the lab begins with the program of that commit, and its replicas are restarted one by one with this
one; if both have the same revision of the database, this one gets a further one that adds a column. Agents stay
those of the commit. It says how many calls failed after retry, what was wrong, and the slowest answer; the exit
code is 1 when anything failed or was wrong. *Wrong* is: the kernel does not have an opening that was said to be
open, or has one that was said to be closed; a request that was acknowledged is not there at the end; the record
does not verify. Needs root.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from bascule.client.access import PortRequest, get_request, initiate, list_requests, revoke
from bascule.client.connection import Connection, trust_file
from bascule.client.policies import put_machine_rules
from bascule.client.principals import SERVICES, add_credential, create_principal, credential_body
from bascule.client.roles import assign
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.builtin_roles import OWNER
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from bascule.domain.scopes import subscription_scope
from bascule.errors import Conflict, ServerUnreachable, Unavailable
from bench.standing import CHECKOUT, Broken
from tests.support.later import COMPATIBLE, copy_program

T = TypeVar("T")

NAME = "bench-replicas"
MACHINES = ("web-1", "db-1")
PORT = 22
LEASE = timedelta(minutes=5)
RETRY_SECONDS = 60.0  # for an answer, all tries together
OPEN_SECONDS = 60  # for a port to open or close
BETWEEN_SECONDS = 5.0  # two versions side by side
DOWN_SECONDS = 2.0  # between a kill and the next start
MAKERS = 8  # threads
MAKE_TRIES = 5
LOOK_EVERY = 5  # cycles of one person between two looks into the kernel


@dataclass
class Tally:
    """What came of it; written by all threads."""

    cycles: int = 0
    calls: int = 0
    retried: int = 0
    looks: int = 0
    failed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)  # seconds to an answer, retries and all
    openings: list[float] = field(default_factory=list)  # seconds from asking to open
    acknowledged: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def lines(self) -> list[str]:
        with self.lock:
            answers, openings = sorted(self.answers), sorted(self.openings)
        return [
            f"{self.cycles} times asked, opened and ended; {self.calls} calls, {self.retried} made again",
            f"{len(self.failed)} failed after retry, {len(self.wrong)} wrong ({self.looks} looks into a kernel)",
            f"answer: {_spread(answers)}",
            f"from asking to open: {_spread(openings)}",
            *(f"failed: {each}" for each in self.failed[:10]),
            *(f"wrong: {each}" for each in self.wrong[:10]),
        ]


def _spread(values: list[float]) -> str:
    if not values:
        return "none"
    middle, nearly = values[len(values) // 2], values[int(len(values) * 0.99)]
    return f"p50 {middle:.2f} s, p99 {nearly:.2f} s, slowest {values[-1]:.2f} s"


class Lab:
    """By its commands, with the program that is in ``code``."""

    def __init__(self, folder: Path, port: int, replicas: int) -> None:
        self._code = folder / "code"  # a link: programs that start later follow it
        self._port, self._replicas = port, replicas
        self._environment = {
            **os.environ,
            "XDG_STATE_HOME": str(folder / "state"),
            "PYTHONPATH": str(self._code),
        }
        self.info: Mapping[str, Any] = {}

    def use(self, code: Path) -> None:
        """Have programs that start from now on be those of this folder."""
        draft = self._code.with_name("code.new")
        draft.symlink_to(code)
        draft.replace(self._code)

    def command(self, *arguments: str) -> str:
        verb, *rest = arguments
        done = subprocess.run(
            [sys.executable, "-m", "bascule.bootstrap", "lab", verb, "--name", NAME, *rest],
            env=self._environment,
            cwd="/",  # not the checkout: its bench must not shadow anything
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise Broken(f"bascule lab {verb}: {(done.stderr + done.stdout).strip()[-2000:]}")
        return done.stdout

    @contextlib.contextmanager
    def up(self) -> Iterator[None]:
        self.command("down")
        try:
            more = ("--replicas", str(self._replicas), "--postgresql", "--port", str(self._port))
            self.command("up", "--detach", *more)
            self.info = json.loads(self.command("info", "-o", "json"))
            yield
        finally:
            self.command("down")

    def connect(self, client_id: str = "", client_secret: str = "") -> Connection:
        """As one of the people, or as the administrator."""
        info = self.info
        who = (
            {"client_id": client_id, "client_secret": client_secret} if client_id else info["admin"]
        )
        return Connection(
            info["endpoint"],
            info["subscription_id"],
            Credentials(info["tenant_id"], **who),
            trust_file(Path(info["ca_file"])),
            SystemClock(),
        )

    def machine(self, name: str) -> ResourceId:
        found = next(each for each in self.info["machines"] if each["name"] == name)
        return ResourceId.parse_machine(found["id"])

    def policy(self) -> ResourceId:
        info = self.info
        return policy_id(
            info["subscription_id"], info["resource_group"], info["location"], info["policy_name"]
        )

    def admits(self, machine: str, address: str) -> bool:
        """Does its kernel let this address in? Read by nft and by nothing of ours."""
        found = next(each for each in self.info["machines"] if each["name"] == machine)
        argv = [
            "ip",
            "netns",
            "exec",
            found["namespace"],
            "nft",
            "list",
            "table",
            "inet",
            "bascule",
        ]
        text = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
        return f"{address} . tcp . {PORT} " in text

    def revision(self) -> str:
        """Which one the database has, as an upgraded replica's host says it."""
        one = self.info["servers"][0]
        command = (
            "bascule",
            "admin",
            "database",
            "migrate",
            "--data",
            one["data_dir"],
            "--dry-run",
        )
        return self.command("exec", one["name"], "--", *command).strip()

    def wait_until_ready(self, server: str) -> None:
        """Until the balancer sends it calls, by its log."""
        log = Path(self.info["folder"]) / "logs" / "balancer.log"
        deadline = time.monotonic() + 120
        while True:
            mine = [line for line in log.read_text().splitlines() if line.startswith(f"{server} ")]
            if mine and mine[-1].endswith("is ready"):
                return
            if time.monotonic() > deadline:
                raise Broken(f"{server} does not become ready: {log}")
            time.sleep(0.2)


class Person(threading.Thread):
    """Asks, waits, ends; with an address of their own."""

    def __init__(
        self, lab: Lab, number: int, who: tuple[str, str], tally: Tally, is_over: threading.Event
    ) -> None:
        super().__init__(name=f"person {number}", daemon=True)
        self._lab, self._number, self._tally, self._is_over = lab, number, tally, is_over
        self._connection = lab.connect(*who)
        self._address = f"10.203.0.{100 + number}"
        self._chance = random.Random(number)

    def run(self) -> None:
        try:
            for turn in itertools.count(self._number):
                if self._is_over.is_set():
                    return
                self._cycle(MACHINES[turn % len(MACHINES)], does_look=turn % LOOK_EVERY == 0)
        except Exception as error:  # noqa: BLE001  # reason: whatever it is, it is counted as a failure
            with self._tally.lock:
                self._tally.failed.append(f"{self.name}: {type(error).__name__}: {error}")

    def _cycle(self, machine: str, *, does_look: bool) -> None:
        lab, connection = self._lab, self._connection
        began = time.monotonic()
        ports = [PortRequest(PORT, LEASE, None, self._address)]
        made = self._call(
            lambda: initiate(connection, lab.policy(), lab.machine(machine), ports, self.name)
        )
        with self._tally.lock:
            self._tally.acknowledged.add(made)
        self._wait(made, "open", until_closed=False)
        with self._tally.lock:
            self._tally.openings.append(time.monotonic() - began)
        if does_look:
            self._look(machine, is_open=True)
        self._call(lambda: self._revoke(made))
        self._wait(made, "closed", until_closed=True)
        if does_look:
            self._look(machine, is_open=False)
        with self._tally.lock:
            self._tally.cycles += 1

    def _revoke(self, request_id: str) -> None:
        with contextlib.suppress(Conflict):  # it was done, and the answer was lost
            revoke(self._connection, request_id, kill=False)

    def _wait(self, request_id: str, state: str, *, until_closed: bool) -> None:
        deadline = time.monotonic() + OPEN_SECONDS
        while True:
            found = self._call(
                lambda: get_request(self._connection, request_id, 10, until_closed=until_closed),
                is_waiting=True,
            )
            if found.state == state:
                return
            if found.state == "failed" or time.monotonic() > deadline:
                raise Broken(f"request {request_id[:8]} is {found.state}, not {state}")

    def _look(self, machine: str, *, is_open: bool) -> None:
        self._tally.looks += 1
        if self._lab.admits(machine, self._address) is not is_open:
            said = "open" if is_open else "closed"
            with self._tally.lock:
                self._tally.wrong.append(f"{self._address} at {machine} was said to be {said}")

    def _call(self, work: Callable[[], T], *, is_waiting: bool = False) -> T:
        """Again when nobody answered, or a server that is away said so."""
        began = time.monotonic()
        for tries in itertools.count():
            try:
                answer = work()
            except (ServerUnreachable, Unavailable):
                if time.monotonic() - began > RETRY_SECONDS:
                    raise
                time.sleep(self._chance.uniform(0.05, 0.3))
                continue
            with self._tally.lock:
                self._tally.calls += 1
                self._tally.retried += tries
                if not is_waiting:
                    self._tally.answers.append(time.monotonic() - began)
            return answer
        raise AssertionError("count() has no end")


def make_people(lab: Lab, number: int) -> list[tuple[str, str]]:
    """All at once: one after the other, 50 people would take minutes on a busy machine."""
    with lab.connect() as admin:
        for name in MACHINES:
            rule = PortRule(PORT, RuleProtocol.TCP, (AddressPrefix(None),), timedelta(hours=1))
            put_machine_rules(admin, lab.machine(name), [rule], lab.info["policy_name"])
    with ThreadPoolExecutor(MAKERS) as makers:
        return list(makers.map(lambda each: _make_person(lab, each), range(number)))


def _make_person(lab: Lab, number: int) -> tuple[str, str]:
    """Another of the name is made when an answer was lost."""
    for _ in range(MAKE_TRIES):
        with contextlib.suppress(ServerUnreachable, Unavailable):
            return _make_one(lab, number)
    raise Broken(f"person {number} could not be made")


def _make_one(lab: Lab, number: int) -> tuple[str, str]:
    with lab.connect() as admin:
        service = create_principal(admin, SERVICES, {"displayName": f"person {number}"})
        secret = add_credential(admin, service.id, credential_body("bench", None)).secret
        assign(admin, subscription_scope(admin.subscription_id), OWNER.id, service.id)
        return service.id, secret


def kill_in_turn(lab: Lab, until: float) -> str:
    """One after the other, each gone for a while; never two, for then nobody might answer."""
    names = [each["name"] for each in lab.info["servers"]]
    killed = 0
    for name in itertools.cycle(names):
        if time.monotonic() > until:
            break
        lab.command("stop", name, "--kill")
        time.sleep(DOWN_SECONDS)
        lab.command("start", name)
        killed += 1
        lab.wait_until_ready(name)
    return f"{killed} times a replica was killed"


def upgrade(lab: Lab, newer: Path, until: float) -> str:
    """One replica after the other is stopped, and started with the newer program."""
    lab.use(newer)
    took = []
    for each in lab.info["servers"]:
        time.sleep(BETWEEN_SECONDS)
        began = time.monotonic()
        lab.command("stop", each["name"])
        lab.command("start", each["name"])
        lab.wait_until_ready(each["name"])
        took.append(f"{each['name']} {time.monotonic() - began:.1f} s")
    time.sleep(max(0.0, until - time.monotonic()))
    return "upgraded: " + ", ".join(took)


def check_the_end(lab: Lab, tally: Tally) -> None:
    """All that was acknowledged is there, nothing is open, and the record is whole."""
    with lab.connect() as admin:
        known = {each.id for each in list_requests(admin)}
        tally.wrong += [f"request {each} is lost" for each in tally.acknowledged - known]
        left = [each.id for each in list_requests(admin, is_live=True)]
        tally.wrong += [f"request {each} is still live" for each in left if not tally.failed]
    try:
        lab.command("exec", lab.info["client"], "--", "bascule", "audit", "verify")
    except Broken as error:
        tally.wrong.append(f"the record: {error}")


def older_of(commit: str, folder: Path) -> Path:
    """Its package, for PYTHONPATH."""
    made = folder / "older"
    made.mkdir()
    packed = subprocess.run(
        ["git", "-C", CHECKOUT, "archive", commit, "src"], capture_output=True, check=True
    )
    subprocess.run(["tar", "-x", "-C", made], input=packed.stdout, check=True)
    return made / "src"


def newer_than(older: Path, folder: Path) -> Path:
    """Our own package, with a revision of the database that the older one does not have."""
    if _revision(older) != _revision(CHECKOUT / "src"):
        return CHECKOUT / "src"
    return copy_program(folder / "newer", COMPATIBLE)


def _revision(code: Path) -> str:
    text = (code / "bascule" / "store" / "migrations" / "__init__.py").read_text()
    found = [line for line in text.splitlines() if line.startswith("REVISION = ")]
    if not found:
        raise Broken("--from needs a commit whose databases say which programs may use them")
    return found[0]


def measure(lab: Lab, people: int, work: Callable[[], str]) -> Tally:
    tally, is_over = Tally(), threading.Event()
    who = make_people(lab, people)
    threads = [Person(lab, number, each, tally, is_over) for number, each in enumerate(who)]
    for each in threads:
        each.start()
    try:
        print(work(), flush=True)
    finally:
        is_over.set()
        for each in threads:
            each.join(RETRY_SECONDS + 2 * OPEN_SECONDS)
    tally.failed += [f"{each.name} has no answer" for each in threads if each.is_alive()]
    check_the_end(lab, tally)
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.replicas", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument("--people", type=int, default=50, choices=range(1, 101), metavar="1-100")
    parser.add_argument("--replicas", type=int, default=3)
    parser.add_argument("--port", type=int, default=8467, help="on this machine's 127.0.0.1")
    parser.add_argument("--from", dest="commit", default="", help="upgrade from this commit")
    given = parser.parse_args()
    memory = Path("/dev/shm")  # reason: a folder of its own in it
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as name:
        folder = Path(name)
        lab = Lab(folder, given.port, given.replicas)
        older = older_of(given.commit, folder) if given.commit else CHECKOUT / "src"
        lab.use(older)
        with lab.up():

            def work() -> str:
                until = time.monotonic() + given.minutes * 60
                if not given.commit:
                    return kill_in_turn(lab, until)
                return upgrade(lab, newer_than(older, folder), until)

            tally = measure(lab, given.people, work)
            if given.commit:
                print(lab.revision(), flush=True)
            if tally.failed or tally.wrong:
                shutil.copytree(
                    Path(lab.info["folder"]) / "logs", "bench-replicas-logs", dirs_exist_ok=True
                )
    print(f"{given.people} people, {given.replicas} replicas, {given.minutes:g} minutes")
    print("\n".join(tally.lines()), flush=True)
    return int(bool(tally.failed or tally.wrong))


if __name__ == "__main__":
    sys.exit(main())
