"""The gate in a whole lab: exact ends over deaths, a table that never lets go, own ports.

EDGES A4, A5, A9, A10, A21, A24 on real agents, packets and HTTP. A lab of its own: what is
done here leaves traces.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.client import access, audit, machines, policies
from bascule.client.connection import Connection, trust_file
from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId, policy_id
from bascule.domain.policy import PortRule
from bascule.errors import InvalidInput
from tests.e2e.conftest import _why_not
from tests.e2e.lab_world import LabWorld, until
from tests.e2e.small_world import rule, sleep_until
from tests.support.own import mark

pytestmark = [pytest.mark.root, pytest.mark.leak]

_KNOCK = """
import select, socket, sys, time
address, seconds, wait = sys.argv[1], float(sys.argv[2]), float(sys.argv[3])
end = time.monotonic() + seconds
while time.monotonic() < end and not select.select([sys.stdin], [], [], 0)[0]:
    began = time.monotonic()
    try:
        socket.create_connection((address, 22), wait).close()
        print(began, 1, flush=True)
    except OSError:
        print(began, 0, flush=True)
    time.sleep(0.03)
"""


class Bench:
    """A lab and its administrator, who speaks through the machine's own loopback."""

    def __init__(self, lab: LabWorld) -> None:
        self.lab = lab
        self.info = lab.info()
        admin = self.info["admin"]
        self.connection = Connection(
            self.info["endpoint"],
            self.info["subscription_id"],
            Credentials(self.info["tenant_id"], admin["client_id"], admin["client_secret"]),
            trust_file(Path(self.info["ca_file"])),
            SystemClock(),
        )

    def id(self, name: str) -> ResourceId:
        (found,) = (each["id"] for each in self.info["machines"] if each["name"] == name)
        return ResourceId.parse_machine(found)

    @property
    def policy(self) -> ResourceId:
        return policy_id(self.info["subscription_id"], "default", "local", "default")

    def address(self, name: str) -> str:
        found: str = next(each for each in self.info["machines"] if each["name"] == name)[
            "addresses"
        ][0]
        return found

    def request(self, name: str, seconds: float, source: str = "10.203.0.10") -> str:
        asked = access.PortRequest(22, timedelta(seconds=seconds), None, source)
        made = access.initiate(self.connection, self.policy, self.id(name), [asked])
        access.get_request(self.connection, made, 10)
        return made

    def set_rules(self, name: str, *ports: PortRule) -> None:
        policies.put_machine_rules(self.connection, self.id(name), ports, "default")

    def machine(self, name: str) -> machines.Machine:
        return machines.get_machine(self.connection, self.id(name))

    def settle(self, name: str) -> None:
        def is_so() -> bool:
            point = self.machine(name).point
            return point is not None and point.observed_generation >= point.generation

        assert until(is_so, 20)

    def events(self, kind: str) -> list[audit.AuditEvent]:
        return list(audit.events(self.connection, audit.Wanted(kind=kind), 1000))

    @contextlib.contextmanager
    def knocking(
        self, host: str, name: str, seconds: float, wait: float = 0.15
    ) -> Iterator[Callable[..., list[tuple[float, bool]]]]:
        """Knock all the while from a host; afterwards say when, and whether it was let in.

        Given ``is_told``, it ends at once, else after ``seconds``.
        """
        argv = self.lab.argv(
            "exec", host, "--", sys.executable, "-c", _KNOCK,
            self.address(name), str(seconds), str(wait),
        )  # fmt: skip
        with subprocess.Popen(
            argv,
            env=self.lab.environment,
            stdin=subprocess.PIPE,  # closed: it is told to end
            stdout=subprocess.PIPE,
            pipesize=1 << 20,  # nobody reads until the end: a full pipe would stop it
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            stdin, stdout = process.stdin, process.stdout
            first = stdout.readline()  # it has begun

            def results(*, is_told: bool = False) -> list[tuple[float, bool]]:
                assert process.poll() is None or not is_told, "it ended too early"
                if is_told:
                    stdin.close()
                pairs = (line.split() for line in (first + stdout.read()).splitlines())
                return [(float(at), let_in == "1") for at, let_in in pairs]

            try:
                yield results
            finally:
                process.kill()


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    if why := _why_not():
        pytest.skip(why)
    lab = LabWorld(mark("g"), tmp_path_factory.mktemp("gate"))
    try:
        lab.must_come_up()
        made = Bench(lab)
        yield made
        made.connection.close()
    finally:
        lab.down()


def test_five_seconds_are_five_seconds_although_all_of_us_are_killed(bench: Bench) -> None:
    """A9: open at 4 s, shut at 5.25 s, with kill -9 of server and agents at second 1; and shut
    after another tool's flush."""
    lab = bench.lab
    pids = lab.info()["pids"]
    with (
        bench.knocking("client", "web-1", 60) as from_client,
        bench.knocking("stranger", "web-1", 60) as from_stranger,
    ):
        made = bench.request("web-1", 5)
        ((_, port),) = access.get_request(bench.connection, made).ports()
        left = (port.ends_at - SystemClock().now()).total_seconds()
        end = time.monotonic() + left
        assert until(
            lambda: access.get_request(bench.connection, made).ports()[0][1].state == "open", 3
        )
        sleep_until(end - 4)
        killed = time.monotonic()
        for pid in (pids["server"], *pids["agents"].values()):
            lab.kill(pid)
        sleep_until(end + 0.3)
        lab.on("web-1", "nft", "flush", "ruleset")
        sleep_until(end + 3)
        knocks = from_client(is_told=True)
        strangers = from_stranger(is_told=True)
    opened = next(at for at, let_in in knocks if let_in)
    assert opened < killed < end - 1, "open before all of us died"
    during = [let_in for at, let_in in knocks if opened <= at <= end - 1.0]
    assert len(during) > 20
    assert all(during)
    assert len([at for at, _ in knocks if at > end + 0.25]) > 5
    assert not [at - end for at, let_in in knocks if let_in and at > end + 0.25]
    assert len(strangers) > 20
    assert not any(let_in for _, let_in in strangers)
    assert until(lambda: _is_served(bench), 20)
    assert until(
        lambda: access.get_request(bench.connection, made).ports()[0][1].state == "closed", 30
    )


def _is_served(bench: Bench) -> bool:
    try:
        machines.list_machines(bench.connection)
    except Exception:  # noqa: BLE001  # reason: whatever a server that starts answers
        return False
    return True


def test_the_table_never_lets_go(bench: Bench) -> None:
    """A5: a flusher in a tight loop while the agent reloads a hundred times and is killed and
    started three times over, its socket kept by the supervisor."""
    lab = bench.lab
    assert until(lambda: _is_served(bench), 20)
    bench.request("web-1", 300)
    flusher = subprocess.Popen(
        lab.argv(
            "exec",
            "web-1",
            "--",
            "sh",
            "-c",
            "(timeout --foreground 300 sh -c 'while :; do nft flush ruleset 2>/dev/null; done') &"
            "timeout --foreground 300 sh -c 'while :; do echo flush ruleset; done' | nft -i >/dev/null 2>&1",
        ),
        env=lab.environment,
        start_new_session=True,
    )
    try:
        with (
            bench.knocking("stranger", "web-1", 170, wait=0.05) as from_stranger,
            bench.knocking("client", "web-1", 170, wait=2.0) as from_client,
        ):
            for number in range(50):
                if number % 16 == 0:
                    _flushes(lab, flusher)
                bench.set_rules("web-1", rule(22), rule(2222))
                bench.set_rules("web-1", rule(22))
                policies.release_ports(bench.connection, bench.id("web-1"), [(2222, "TCP")])
                if number % 16 == 15:
                    lab.kill(lab.info()["pids"]["agents"]["web-1"])
                time.sleep(0.1)
            strangers, clients = from_stranger(is_told=True), from_client(is_told=True)
    finally:
        os.killpg(flusher.pid, signal.SIGKILL)
        flusher.wait()
    assert len(strangers) > 50
    assert not [at for at, let_in in strangers if let_in]
    assert len(clients) > 30
    assert all(let_in for _, let_in in clients), "nor does the one who was granted lose the door"
    bench.settle("web-1")
    tables = lab.said("web-1", "nft", "list", "tables").splitlines()
    assert [each for each in tables if "bascule" in each] == ["table inet bascule"]


def _flushes(lab: LabWorld, flusher: subprocess.Popen[bytes]) -> None:
    """The flusher takes away what nobody owns."""
    assert flusher.poll() is None
    lab.said("web-1", "nft", "add table inet bystander")
    assert until(lambda: "bystander" not in lab.said("web-1", "nft", "list", "tables"), 20)


def test_a_port_that_policies_stop_naming_stays_shut(bench: Bench) -> None:
    """A10, line by line, by packets, in the API, in `status`, and on record."""
    lab = bench.lab
    bench.set_rules("db-1", rule(22))
    assert until(lambda: not lab.reaches("stranger", "db-1"))
    bench.set_rules("db-1", rule(2222))  # a PUT that stops naming 22
    bench.settle("db-1")
    assert not lab.reaches("stranger", "db-1")
    ports = {each.number: each for each in bench.machine("db-1").closed_ports}
    assert not ports[22].is_in_policy
    status = lab.said("client", "bascule", "status")
    assert "CLOSED, IN NO POLICY" in status
    assert "bascule machine release db-1" in status
    assert any("22" in str(each.data["port"]) for each in bench.events("PortLeftPolicies"))
    lab.said("client", "bascule", "policy", "remove", "db-1", "--yes")  # opens what it names: 2222
    bench.settle("db-1")
    assert not lab.reaches("stranger", "db-1"), "22 was not named by what was removed"
    lab.said("client", "bascule", "machine", "release", "db-1", "-p", "22", "--yes")
    assert until(lambda: lab.reaches("stranger", "db-1"))
    released = [each.data["port"] for each in bench.events("PortReleased")]
    assert "22/tcp" in released
    assert "2222/tcp" in released
    bench.set_rules("db-1", rule(22))
    assert until(lambda: not lab.reaches("stranger", "db-1"))
    policies.delete_machine_rules(bench.connection, bench.id("db-1"))
    assert until(lambda: lab.reaches("stranger", "db-1"))


def test_a_policy_on_the_servers_own_port_is_refused(bench: Bench) -> None:
    """A4: on the server's own host; any other port of it, and that port elsewhere, will do."""
    server = ResourceId.parse_machine(str(bench.id("web-1")).replace("web-1", "the-server"))
    machines.put_machine(bench.connection, server, ["10.203.0.2"], "Linux", "local")
    try:
        with pytest.raises(InvalidInput, match="This server itself listens"):
            policies.put_machine_rules(bench.connection, server, [rule(8443)], "other")
        policies.put_machine_rules(bench.connection, server, [rule(22)], "other")
        bench.set_rules("db-1", rule(8443))
    finally:
        machines.delete_machine(bench.connection, server)
        policies.delete_machine_rules(bench.connection, bench.id("db-1"))


def test_a_port_in_the_hosts_own_range(bench: Bench) -> None:
    """A4: refused once the agent has told its range; learnt later, shut, and the machine says so."""
    bench.settle("db-1")
    for bad in (rule(40000, "UDP"), rule(40000, on_expiry="kill")):
        with pytest.raises(InvalidInput, match="its own outbound connections"):
            bench.set_rules("db-1", bad)
    bench.set_rules("db-1", rule(40000), rule(20000, "UDP"))
    bench.settle("db-1")
    assert not _weaknesses(bench)
    namespace = next(each for each in bench.info["machines"] if each["name"] == "db-1")["namespace"]
    subprocess.run(
        ["ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_local_port_range=15000 60999"],
        check=True,
    )  # fmt: skip
    try:
        assert until(lambda: any("20000/udp" in each for each in _weaknesses(bench)), 30)
        closed = {each.number for each in bench.machine("db-1").closed_ports}
        assert 20000 in closed
    finally:
        subprocess.run(
            ["ip", "netns", "exec", namespace, "sysctl", "-qw", "net.ipv4.ip_local_port_range=32768 60999"],
            check=True,
        )  # fmt: skip
        policies.delete_machine_rules(bench.connection, bench.id("db-1"))


def _weaknesses(bench: Bench) -> tuple[str, ...]:
    point = bench.machine("db-1").point
    return tuple(each.text for each in point.weaknesses) if point is not None else ()


def test_my_address_through_the_machines_loopback_cannot_be_meant(bench: Bench) -> None:
    """A21: an omitted source is refused there, also with a forged header; named, it is taken."""
    body = {
        "virtualMachines": [
            {"id": str(bench.id("web-1")), "ports": [{"number": 22, "duration": "PT5M"}]}
        ]
    }
    for headers in ({}, {"X-Forwarded-For": "10.203.0.11"}, {"Forwarded": "for=10.203.0.11"}):
        status, answer = _post(
            bench, f"{bench.policy}/initiate?api-version=2020-01-01", body, headers
        )
        assert status == 400, answer
        assert answer["error"]["code"] == "SourceRequired"
        assert "--from" in json.dumps(answer)
    assert not bench.lab.reaches("stranger")


def _post(
    bench: Bench, path: str, body: object, headers: dict[str, str]
) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(  # noqa: S310  # reason: https, to our own lab
        bench.info["endpoint"] + path,
        json.dumps(body).encode(),
        {
            "Authorization": f"Bearer {bench.connection._bearer()}",
            "Content-Type": "application/json",
            **headers,
        },
        method="POST",
    )
    trust = trust_file(Path(bench.info["ca_file"]))
    try:
        with urllib.request.urlopen(request, context=trust, timeout=20) as answer:  # noqa: S310  # reason: as above
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def test_revoke_kill_cuts_what_was_admitted_and_what_was_under_way(bench: Bench) -> None:
    """A24: an ssh session lives over a plain revoke, which says so; with kill it is cut, and a
    handshake that began inside the lease is refused."""
    lab = bench.lab
    made = bench.request("web-1", 300)
    session = subprocess.Popen(
        lab.argv("exec", "client", "--", "ssh", "-o", "BatchMode=yes", "web-1", "sleep 300"),
        env=lab.environment,
    )
    try:
        assert until(lambda: _sessions(lab) >= 1)
        said = lab.said("client", "bascule", "revoke", made)
        assert "1 of its connections continues (" in said
        assert not lab.reaches("client")
        assert session.poll() is None
        bench.request("web-1", 300)
        with _slow_handshake(lab) as lose_no_more:
            assert until(lambda: _is_under_way(lab))
            lab.said("client", "bascule", "revoke", "--kill")
            lose_no_more()
            assert until(lambda: not _is_under_way(lab)), "it is destroyed, or was finished"
            time.sleep(0.5)
            assert _sessions(lab) == 0
        lab.said("client", "bascule", "revoke", made, "--kill")
        assert session.wait(20) != 0
    finally:
        session.kill()
        session.wait()


def test_what_a_grant_left_behind_is_cut_after_its_end(bench: Bench) -> None:
    """A24: a keep port's session outlives its grant; a cut that comes later ends it all the
    same, and is on record. From ``stranger`` and to db-1, which no other test here has cut."""
    lab, stranger = bench.lab, "10.203.0.11"
    bench.set_rules("db-1", rule(22))
    bench.settle("db-1")
    made = bench.request("db-1", 20, stranger)
    hold = (
        "import socket, sys; s = socket.create_connection((sys.argv[1], 22), 5); s.settimeout(100)\n"
        "while s.recv(64): print('in', flush=True)"
    )
    session = subprocess.Popen(
        lab.argv("exec", "stranger", "--", sys.executable, "-c", hold, bench.address("db-1")),
        env=lab.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    try:
        assert session.stdout is not None
        assert session.stdout.readline() == b"in\n"
        assert until(lambda: access.get_request(bench.connection, made).state == "closed", 40)
        assert not lab.reaches("stranger", "db-1")
        assert session.poll() is None, "it lives on"
        lab.said("client", "bascule", "revoke", made, "--kill")
        assert session.wait(10) != 0, "reset, not left to its end"
        cut = [each.data["request_id"] for each in bench.events("SessionsCut")]
        assert cut.count(made) == 1
    finally:
        session.kill()
        session.wait()
        if session.stdout is not None:
            session.stdout.close()


def _sessions(lab: LabWorld) -> int:
    found = lab.said("web-1", "ss", "-Htn", "state", "established", "sport = :22")
    return len([line for line in found.splitlines() if "10.203.0.10" in line])


def _is_under_way(lab: LabWorld) -> bool:
    return "SYN-RECV" in lab.said("web-1", "ss", "-Htna", "sport = :22")


@contextlib.contextmanager
def _slow_handshake(lab: LabWorld) -> Iterator[Callable[[], str]]:
    """A connection whose last ACK is lost until the yielded function is called: its other side
    stays in SYN-RECV and asks again."""
    lab.said(
        "client", "nft",
        "table ip slow { chain out { type filter hook output priority 0; "
        "tcp dport 22 tcp flags & (syn | ack) == ack drop; }; }",
    )  # fmt: skip
    probe = "import socket,sys,time; s=socket.create_connection((sys.argv[1],22),5); time.sleep(30)"
    process = subprocess.Popen(
        lab.argv("exec", "client", "--", sys.executable, "-c", probe, "10.203.0.21"),
        env=lab.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield lambda: lab.said("client", "nft", "delete table ip slow")
    finally:
        process.kill()
        process.wait()
        lab.on("client", "nft", "delete table ip slow")


def test_five_hundred_waits_hold_nothing(bench: Bench) -> None:
    """A17: while they wait the server has no more threads than before, and others are served;
    all are answered when what they wait for is settled."""
    pid = bench.lab.info()["pids"]["server"]
    ghost = ResourceId.parse_machine(str(bench.id("web-1")).replace("web-1", "ghost"))
    machines.put_machine(bench.connection, ghost, ["10.203.0.99"], "Linux", "local")
    policies.put_machine_rules(bench.connection, ghost, [rule(22)], "default")
    asked = access.PortRequest(22, timedelta(minutes=5), None, "10.203.0.78")
    pending = access.initiate(bench.connection, bench.policy, ghost, [asked])  # never opens
    threads, files = _threads(pid), _database_files(pid)
    waits = _WAITS.format(
        ca=bench.info["ca_file"],
        path=f"/subscriptions/{bench.info['subscription_id']}/providers/Bascule.Access"
        f"/accessRequests/{pending}?api-version=2026-11-01&waitSeconds=50",
        token=bench.connection._bearer(),
    )
    process = subprocess.Popen(
        bench.lab.argv("exec", "client", "--", sys.executable, "-c", waits),
        env=bench.lab.environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == "500 wait, 0 are answered"
        assert _threads(pid) <= threads + 4  # readers that had not begun yet
        assert _database_files(pid) <= files + 12
        began = time.monotonic()
        assert access.get_request(bench.connection, pending).state == "opening"
        assert time.monotonic() - began < 10  # not the minute that the waits have
        access.revoke(bench.connection, pending, kill=False)
        assert process.communicate(timeout=60)[0].strip() == "all are answered"
    finally:
        process.kill()
        process.communicate()
        machines.delete_machine(bench.connection, ghost)


def _threads(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/task").iterdir()))


def _database_files(pid: int) -> int:
    links = []
    for each in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            links.append(str(each.readlink()))
    return sum("bascule.db" in each for each in links)


_WAITS = """
import asyncio, ssl
trust = ssl.create_default_context(cafile="{ca}")
ask = "GET {path} HTTP/1.1\\r\\nHost: server:8443\\r\\nAuthorization: Bearer {token}\\r\\n\\r\\n"
asked, answered = [], []

async def one(gate):
    async with gate:
        reader, writer = await asyncio.open_connection("server", 8443, ssl=trust)
        writer.write(ask.encode())
        await writer.drain()
    asked.append(1)
    line = await reader.readline()
    assert b" 200 " in line, line
    answered.append(1)
    writer.close()

async def main():
    gate = asyncio.Semaphore(20)
    tasks = [asyncio.create_task(one(gate)) for _ in range(500)]
    while len(asked) < 500:
        await asyncio.sleep(0.05)
    await asyncio.sleep(0.5)
    print(len(asked), "wait,", len(answered), "are answered", flush=True)
    await asyncio.gather(*tasks)
    print("all are answered", flush=True)

asyncio.run(main())
"""


def test_policy_set_in_an_ssh_session_does_not_lock_its_user_out(bench: Bench) -> None:
    """A25: through sshd, and with an environment that sudo would have cleared. Last here: root's
    opening stays for a quarter of an hour."""
    lab = bench.lab
    policies.delete_machine_rules(bench.connection, bench.id("db-1"))
    policies.release_ports(bench.connection, bench.id("db-1"), [])
    assert until(lambda: lab.reaches("client", "db-1"))
    config = lab.said("client", "sh", "-c", "cat ~/.config/bascule/config.json")
    place = "/run/bascule/by-hand.json"
    lab.said("db-1", "sh", "-c", f"umask 077; printf %s '{config}' > {place}")
    command = (
        f"env -i BASCULE_CONFIG={place} HOME=/tmp PATH=$PATH PYTHONPATH=$PYTHONPATH "
        f"{sys.executable} -m bascule.bootstrap policy set db-1 -p 22; exit $?"
    )
    done = lab.on("client", "ssh", "-o", "BatchMode=yes", "10.203.0.22", command)
    assert done.returncode == 0, done.stderr
    assert "Port 22 stays open for it for 15 minutes" in done.stdout + done.stderr
    assert until(lambda: not lab.reaches("stranger", "db-1"))
    assert lab.reaches("client", "db-1")
    assert until(lambda: bench.events("OpenedLocally"))
