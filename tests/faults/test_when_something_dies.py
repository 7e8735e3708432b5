"""ARCHITECTURE's table "When something dies", row by row, on real processes, packets and files.

Each test kills, cuts, fills, jumps or tampers, and then looks at three things: who gets
through, what the database answers, and what is on record. The clock's row is for the most
part in ``e2e/test_time_left``.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from bascule.agent.timetable import LONGEST_RETRY
from bascule.client import access, machines, policies
from bascule.clocks import SystemClock
from bascule.errors import AuthenticationFailed, BasculeError, Unavailable
from bascule.lab.processes import boot_id
from tests.e2e.lab_world import until
from tests.e2e.small_world import SmallWorld, rule, sleep_until
from tests.netns.conftest import why_not
from tests.netns.network import STRANGER

pytestmark = pytest.mark.root

_UNOWNED = """
import bascule.bootstrap as bootstrap
from bascule.drivers.nftables import open_driver
from bascule.drivers.nftables.host import NftablesHost
NftablesHost.open = lambda self: open_driver(use_owner=False)
bootstrap.main()
"""
UNOWNED = (sys.executable, "-c", _UNOWNED)  # the agent as on a kernel that cannot own a table


@pytest.fixture
def world(tmp_path: Path) -> Iterator[SmallWorld]:
    if why := why_not():
        pytest.skip(why)
    with SmallWorld(tmp_path) as made:
        yield made


# -- the control plane is killed at any instruction -------------------------------------------


def test_a_server_killed_at_any_moment_keeps_what_it_said_and_nothing_by_halves(
    world: SmallWorld,
) -> None:
    """Six kills at chance moments under requests; what was answered is there, what is there is
    whole (request, grant and their events), and what was open ended on time."""
    world.network.echo(22)
    world.start(rule(22))
    chance = random.Random(4)
    acknowledged: list[str] = []
    is_over = threading.Event()
    numbers = itertools.count(1)

    def keep_asking() -> None:
        while not is_over.is_set():
            source = f"192.0.2.{next(numbers) % 250}"
            try:
                acknowledged.append(world.request(22, 2, source, wait=0))
            except BasculeError:
                world.forget_connection()
                time.sleep(0.05)  # no server: it is to start, not to share its processor

    asking = threading.Thread(target=keep_asking)
    asking.start()
    try:
        for _ in range(6):
            time.sleep(chance.uniform(0.02, 0.4))
            assert world.server is not None
            world.server.kill()
            assert not world.lets_in(22)
            world.start_server(is_awaited=False)
            said = len(acknowledged)
            assert until(lambda said=said: len(acknowledged) > said, 20), world.logs()  # type: ignore[misc]  # reason: mypy infers no default
    finally:
        is_over.set()
        asking.join()
    world.forget_connection()
    assert until(world.is_served, 20)
    found = {each.id: each for each in world.ask(access.list_requests)}
    assert set(acknowledged) <= set(found)
    on_record = {each.data["request_id"] for each in world.events("AccessRequested")}
    granted = {each.data["request_id"] for each in world.events("GrantCreated")}
    assert on_record == granted == set(found)
    # After six outages its agent may ask again as late as LONGEST_RETRY, and then it reports.
    longest = LONGEST_RETRY + 20
    assert until(lambda: not world.ask(lambda c: access.list_requests(c, is_live=True)), longest)
    listed = world.network.host.run("nft", "list", "set", "inet", "bascule", "g4")
    assert "192.0.2" not in listed


def test_a_dead_server_leaves_no_door_ajar(world: SmallWorld) -> None:
    world.network.echo(22)
    world.start(rule(22))
    made = world.request(22, 10)
    end = world.end_of(made)
    assert world.server is not None
    world.server.kill()
    assert world.lets_in(22)
    assert not world.lets_stranger_in(22)
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    world.start_server()
    world.wait_state(made, "closed", 45)  # the agent tries again after 20 s at the latest
    (ended,) = (e for e in world.events("GrantEnded") if e.data["request_id"] == made)
    assert ended.data["reason"] == "Expired"


# -- the agent is killed, stopped, or cut off --------------------------------------------------


def test_silent_agent_and_cut_network(world: SmallWorld) -> None:
    """The line between host and server is cut for 65 s: what is open ends on time, what is new
    fails with its reason and never opens, and both the silence and its end are on record."""
    world.network.echo(22)
    world.network.echo(23)
    world.start(rule(22), rule(23))
    long, short = world.request(22, 600), world.request(23, 5)
    began = time.monotonic()
    world.network.host.nft(
        "table inet cut {\nchain out {\ntype filter hook output priority 0;\n"
        "ip daddr 10.78.0.2 drop\n}\n}\n"
    )
    late = world.request(23, 600, source="10.77.0.9", wait=0)
    assert world.port_of(late).state == "opening"
    assert world.lets_in(22)
    sleep_until(began + 5.3)
    assert not world.lets_in(23)
    assert until(lambda: world.port_of(long).state == "notConfirmed", 40)
    assert world.port_of(long).not_confirmed_since is not None
    assert until(lambda: world.events("AgentWentSilent"), 20)
    assert until(lambda: world.port_of(late).state == "failed", 60)
    assert "has been away since" in world.port_of(late).failure
    world.network.host.nft("delete table inet cut\n")
    assert until(lambda: world.events("AgentCameBack"), 45), world.logs()
    world.wait_state(long, "open")
    world.wait_state(short, "closed")
    assert world.port_of(late).state == "failed"
    assert "10.77.0.9" not in world.network.host.run("nft", "list", "table", "inet", "bascule")
    assert len(world.events("AgentWentSilent")) == len(world.events("AgentCameBack")) == 1


def test_silence_while_no_server_ran_is_not_the_agents(world: SmallWorld) -> None:
    """A server that was away for longer than the bound accuses nobody when it is back."""
    world.network.echo(22)
    world.start(rule(22))
    assert world.server is not None
    world.server.kill()
    with closing(sqlite3.connect(world.data / "bascule.db")) as database:
        database.execute("UPDATE agents SET last_contact_at = last_contact_at - 60000000")
        database.commit()
    began = SystemClock().now()
    world.start_server()

    def is_heard() -> bool:
        point = world.machine().point
        contact = point.last_contact_at if point is not None else None
        return contact is not None and contact > began

    assert until(is_heard, 90), world.logs()
    assert not world.events("AgentWentSilent")
    assert not world.events("AgentCameBack")


def test_an_agent_stopped_past_the_end_opens_nothing_when_it_goes_on(world: SmallWorld) -> None:
    world.network.echo(22)
    world.start(rule(22))
    made = world.request(22, 10)
    end = world.end_of(made)
    assert world.agent is not None
    world.agent.pause()
    try:
        assert world.lets_in(22)
        sleep_until(end + 0.25)
        assert not world.lets_in(22)
    finally:
        world.agent.go_on()
    world.wait_state(made, "closed")
    assert not world.lets_in(22)


def test_a_flush_between_two_agents_opens_nothing(world: SmallWorld) -> None:
    """Nobody starts an agent here: the stored socket alone keeps the table (EDGES A5)."""
    world.network.echo(22)
    world.start(rule(22))
    if world.network.host.run("nft", "list", "table", "inet", "bascule").count("owner") == 0:
        pytest.skip("needs nftables 1.1 and kernel 6.9: the table cannot be owned")
    world.request(22, 600)
    world.wait_enforced()
    assert world.agent is not None
    world.agent.kill()
    world.network.host.nft("table inet others {\n}\n")
    world.network.host.run("nft", "flush", "ruleset")
    listed = world.network.host.run("nft", "list", "tables")
    assert "others" not in listed, "the flush was one"
    assert not world.lets_stranger_in(22)
    assert world.lets_in(22), "what was granted is neither opened wider nor lost"
    assert not world.agent.is_alive


# -- the state is empty, older, damaged, or names fewer ports ----------------------------------


def test_a_server_from_an_older_backup(world: SmallWorld) -> None:
    """It is behind its agent: what lives ends, what is shut stays shut and is listed, and the
    generation goes on above the agent's (EDGES A8, A10)."""
    for port in (22, 23, 24):
        world.network.echo(port)
    world.start(rule(22), rule(24))
    world.set_rules(rule(22))
    assert world.ask(lambda c: policies.release_ports(c, world.machine_id, [])) == [(24, "TCP")]
    kept = world.request(22, 600, source="10.77.0.9")
    world.wait_enforced()
    assert world.lets_stranger_in(24)
    assert world.server is not None
    backup = world.folder / "backup.db"
    with (
        closing(sqlite3.connect(world.data / "bascule.db")) as source,
        closing(sqlite3.connect(backup)) as target,
    ):
        source.backup(target)
    world.set_rules(rule(22), rule(23), rule(24))  # shut again, and then forgotten
    world.request(22, 600)
    world.request(23, 600)
    world.wait_enforced()
    assert world.lets_in(22)
    assert world.lets_in(23)
    before = world.machine().point
    world.server.kill()
    for name in ("bascule.db", "bascule.db-wal", "bascule.db-shm"):
        (world.data / name).unlink(missing_ok=True)
    shutil.copy(backup, world.data / "bascule.db")
    world.start_server()
    assert until(lambda: world.events("GenerationOvertaken"), 30), world.logs()
    world.wait_enforced()
    assert not world.lets_in(22)
    assert not world.lets_in(23)
    assert not world.lets_stranger_in(24), "the backup's release is older than its closing"
    after = world.machine()
    assert after.point is not None
    assert before is not None
    assert after.point.generation > before.generation
    assert world.port_of(kept).state == "closed"
    assert until(lambda: {each.number for each in world.machine().claimed_ports} == {23, 24})
    assert {each.number for each in world.machine().closed_ports} == {22}
    status = world.ask(lambda c: policies.release_ports(c, world.machine_id, []))
    assert sorted(status) == [(23, "TCP"), (24, "TCP")]
    assert until(lambda: world.lets_stranger_in(23))
    assert until(lambda: world.lets_stranger_in(24))
    assert not world.lets_stranger_in(22)


@pytest.mark.parametrize("damaged", ["newest", "both"])
def test_damaged_state(world: SmallWorld, damaged: str) -> None:
    """EDGES A6: of the generation before only what was shut; with neither, management ports."""
    for port in (23, 3389):
        world.network.echo(port)
    world.start(rule(23))
    world.request(23, 600)
    world.wait_enforced()
    assert world.lets_in(23)
    assert world.agent is not None
    world.agent.kill()
    world.manager.store.clear()
    world.network.host.run("nft", "flush", "ruleset")  # as at boot: the kernel knows nothing
    assert world.lets_stranger_in(23)
    names = ["held.json"] + ["held.previous.json"] * (damaged == "both")
    for name in names:
        path = world.state / name
        path.write_bytes(path.read_bytes()[:-40] + b"damage")
    assert world.server is not None
    world.server.kill()  # so that the state on disk alone decides
    world.start_agent()
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60)
    if damaged == "newest":
        assert not world.lets_in(23), "the grants of a damaged state are not restored"
        assert not world.lets_stranger_in(23)
    else:
        assert not world.lets_stranger_in(3389)
    world.start_server()
    assert until(lambda: world.events("AgentReported"), 30), world.logs()
    said = " ".join(str(each.data) for each in world.events("AgentReported"))
    assert ("is damaged" if damaged == "newest" else "no saved state can be read") in said
    world.wait_enforced()
    assert until(lambda: world.lets_in(23), LONGEST_RETRY + 20), (
        "the server knows the grant: it lives on"
    )
    assert not world.lets_stranger_in(23)
    if damaged == "both":
        assert until(
            lambda: 3389 in {each.number for each in world.machine().claimed_ports},
            LONGEST_RETRY + 20,
        )
        assert not world.lets_stranger_in(3389)


def test_a_lost_state_directory_opens_nothing_that_the_kernel_shuts(world: SmallWorld) -> None:
    """EDGES A10: the files are gone, not damaged, and the server is away; the first load of the
    agent that starts is a whole rule set."""
    world.network.echo(23)  # none of the ports that are shut when nothing is known
    world.start(rule(23))
    assert world.agent is not None
    assert world.server is not None
    world.server.kill()
    world.agent.kill()
    for path in world.state.glob("held*.json"):
        path.unlink()
    assert not world.lets_stranger_in(23)
    world.start_agent()
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60), world.agent_log()
    assert not world.lets_stranger_in(23)


# -- the host reboots --------------------------------------------------------------------------


def _boot(folder: Path, identity: str, uptime: float) -> tuple[str, ...]:
    """Wrap a program into another boot: its own identity, and a boot clock at ``uptime``."""
    file = folder / f"boot-{identity[:4]}"
    file.write_text(identity + "\n")
    shift = int(uptime - time.clock_gettime(time.CLOCK_BOOTTIME))
    script = f'mount --bind {file} /proc/sys/kernel/random/boot_id; exec "$@"'
    return ("unshare", "-m", "--time", "--boottime", str(shift), "--fork", "sh", "-c", script, "sh")


def test_reboot_restores_what_has_time_left_and_nothing_else(world: SmallWorld) -> None:
    for port in (22, 23):
        world.network.echo(port)
    world.start(rule(22), rule(23))
    closed_at = world.end_of(world.request(23, 3))
    long = world.request(22, 15)
    end = world.end_of(long)
    world.wait_enforced()
    assert world.agent is not None
    assert world.server is not None
    world.agent.kill(signal.SIGTERM)
    world.server.kill()
    world.manager.store.clear()
    world.network.host.run("nft", "flush", "ruleset")
    sleep_until(closed_at + 0.5)
    world.start_agent(_boot(world.folder, "11111111-0000-4000-8000-000000000001", 20))
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60), world.agent_log()
    assert world.lets_in(22)
    assert not world.lets_in(23)
    assert not world.lets_stranger_in(22)
    sleep_until(end + 0.25)
    assert not world.lets_in(22)
    world.start_server()
    world.wait_state(long, "closed", LONGEST_RETRY + 20)


def test_reboot_with_a_clock_that_is_behind_restores_no_grant(world: SmallWorld) -> None:
    """Nobody can say how long the host was off: shut, and wait for the server."""
    world.network.echo(22)
    world.start(rule(22))
    world.request(22, 600)
    world.wait_enforced()
    assert world.agent is not None
    assert world.server is not None
    world.agent.kill(signal.SIGTERM)
    world.server.kill()
    world.manager.store.clear()
    world.network.host.run("nft", "flush", "ruleset")
    _write_saved(world.state, savedAt=time.time() + 3600)  # noqa: TID251  # reason: the file's own unit
    world.start_agent(_boot(world.folder, "22222222-0000-4000-8000-000000000002", 20))
    assert until(lambda: world.agent_log().count("rules are in place") == 2, 60), world.agent_log()
    assert not world.lets_in(22)
    assert not world.lets_stranger_in(22)
    world.start_server()
    assert until(lambda: world.lets_in(22), LONGEST_RETRY + 20), "the server says how much is left"

    def is_reported() -> bool:
        return any("clock is behind" in str(each.data) for each in world.events("AgentReported"))

    assert until(is_reported, 30), "it said so with its next report"


def _write_saved(state: Path, **changes: object) -> None:
    from bascule.agent.memory import _checksum

    path = state / "held.json"
    body = json.loads(json.loads(path.read_text())["body"]) | changes
    text = json.dumps(body, sort_keys=True)
    path.write_text(json.dumps({"checksum": _checksum(text), "body": text}))


def test_the_boot_id_of_the_wrap_is_another(tmp_path: Path) -> None:
    """Else the two tests above would show nothing."""
    if why := why_not():
        pytest.skip(why)
    identity = "33333333-0000-4000-8000-000000000003"
    show = (
        "import time; print(open('/proc/sys/kernel/random/boot_id').read().strip(), "
        "int(time.clock_gettime(time.CLOCK_BOOTTIME)))"
    )
    began = time.monotonic()
    done = subprocess.run(
        [*_boot(tmp_path, identity, 20), sys.executable, "-c", show],
        capture_output=True,
        text=True,
        check=True,
    )
    shown, uptime = done.stdout.split()
    assert shown == identity != boot_id()
    assert 19 <= int(uptime) <= 21 + time.monotonic() - began


# -- the database is unavailable ---------------------------------------------------------------


def _small_disk(folder: Path, kilobytes: int) -> tuple[str, ...]:
    """Wrap a program so that ``folder`` is a small disk of its own."""
    folder.mkdir(mode=0o700, exist_ok=True)
    script = f'mount -t tmpfs -o size={kilobytes}k,mode=0700 none {folder}; exec "$@"'
    return ("unshare", "-m", "sh", "-c", script, "sh")


def _fill(pid: int, folder: Path) -> Path:
    """Fill the disk that a process sees there; the file to delete again."""
    seen = Path(f"/proc/{pid}/root{folder}")
    ballast = seen / "ballast"
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 4096)
        except OSError:
            pass
    return ballast


def test_full_disk_of_the_server(world: SmallWorld) -> None:
    """Requests answer 503 and say so, expiry goes on, and all is well when there is room."""
    world.network.echo(22)
    world.start_server(_small_disk(world.data, 4096), is_awaited=False)
    assert world.server is not None
    seen = Path(f"/proc/{world.server.pid}/root{world.data}")
    assert until((seen / "admin.json").exists, 60)
    for name in ("admin.json", "ca.pem"):
        assert until((seen / name).exists)
        shutil.copy(seen / name, world.data / name)
    assert until(world.is_served, 60)
    world.add_machine()
    world.set_rules(rule(22))
    world.start_agent()
    world.wait_enforced()
    made = world.request(22, 12)
    end = world.end_of(made)
    ballast = _fill(world.server.pid, world.data)

    def use_up() -> None:
        for number in range(200):  # what room is left in its files goes first
            world.request(22, 600, source=f"192.0.2.{number}", wait=0)

    with pytest.raises(Unavailable, match="database"):
        use_up()
    assert world.lets_in(22)
    sleep_until(end + 0.25)
    assert not world.lets_in(22), "the kernel ends it, whatever the database does"
    assert world.server.is_alive
    ballast.unlink()
    world.wait_state(made, "closed", 15)
    assert world.request(22, 60)
    assert world.lets_in(22)


def test_database_that_cannot_be_written(world: SmallWorld) -> None:
    """Locked by another process for longer than the server waits: 503, and then well again."""
    world.network.echo(22)
    world.start(rule(22))
    made = world.request(22, 4)
    end = world.end_of(made)
    with closing(sqlite3.connect(world.data / "bascule.db", isolation_level=None)) as thief:
        thief.execute("BEGIN IMMEDIATE")
        with pytest.raises(Unavailable, match="database"):
            world.request(22, 60, source="192.0.2.7")
        assert world.is_served(), "reading goes on"
        sleep_until(end + 0.25)
        assert not world.lets_in(22)
        thief.execute("ROLLBACK")
    world.wait_state(made, "closed", 15)
    assert not [e for e in world.events("GrantCreated") if "192.0.2.7" in str(e.data)]


def test_full_disk_of_the_host(world: SmallWorld) -> None:
    """The agent closes what is new although it can keep nothing, and says so."""
    for port in (22, 23):
        world.network.echo(port)
    world.start_server()
    world.add_machine()
    world.set_rules(rule(22))
    agent = world.start_agent(_small_disk(world.state, 256))
    world.wait_enforced()
    ballast = _fill(agent.pid, world.state)
    world.set_rules(rule(22), rule(23))
    world.wait_enforced()
    assert not world.lets_stranger_in(23)
    made = world.request(23, 60)
    assert world.lets_in(23)
    world.ask(lambda c: access.revoke(c, made, kill=False))
    world.wait_state(made, "closed")
    assert agent.is_alive
    said = [each.data for each in world.events("AgentReported")]
    assert sum("cannot be saved, so it would be lost" in str(each) for each in said) == 1, said
    ballast.unlink()
    kept = Path(f"/proc/{agent.pid}/root{world.state}/held.json")
    assert until(lambda: "23" in json.loads(json.loads(kept.read_text())["body"])["held"].__str__())


# -- somebody edits our rules ------------------------------------------------------------------


def test_edits_by_hand_are_healed_and_named(world: SmallWorld) -> None:
    """On a kernel where the table can be written by others: each kind of edit, back in seconds,
    and an event that names it."""
    world.network.echo(22)
    world.start_server()
    world.add_machine()
    world.set_rules(rule(22))
    world.start_agent(program=UNOWNED)
    world.wait_enforced()
    assert not world.lets_stranger_in(22)
    edits = (
        ("delete table inet bascule\n", "is missing"),
        ("flush chain inet bascule delivered\n", "chain delivered lacks"),
        ("insert rule inet bascule granted accept\n", "chain granted has"),
        ("add chain inet bascule back_door\n", "chain back_door is not ours"),
        ("delete element inet bascule closed { tcp . 22 }\n", "22/tcp was not closed"),
        (
            f"add element inet bascule g4 {{ {STRANGER} . tcp . 22 timeout 60s }}\n",
            f"open for {STRANGER}",
        ),
    )
    for number, (text, named) in enumerate(edits, 1):
        world.network.host.nft(text)
        assert until(lambda number=number: len(world.events("DriftHealed")) >= number, 30), text  # type: ignore[misc]  # reason: mypy infers no default
        assert not world.lets_stranger_in(22), text
        assert named in str(world.events("DriftHealed")[number - 1].data), text
    made = world.request(22, 60)
    world.network.host.run("nft", "flush", "ruleset")
    assert until(lambda: world.lets_in(22) and not world.lets_stranger_in(22), 20)
    assert world.port_of(made).state == "open"


# -- first start, and a lost administrator -----------------------------------------------------


def test_first_start_killed_anywhere_goes_on(world: SmallWorld) -> None:
    """EDGES A26: one installation's first start, killed as each of its files appears."""
    names = ("ca.key", "ca.pem", "server.pem", "bascule.db", "bascule.db-wal", "admin.json")
    came = 0
    own = os.getpriority(os.PRIO_PROCESS, 0)
    os.setpriority(os.PRIO_PROCESS, 0, -10)  # on a busy machine, too, this looks before more comes
    for name in names:
        file = world.data / name
        if file.exists():
            continue  # it came before the kill that was meant for the one before it
        came += 1
        server = world.start_server(is_awaited=False)
        os.setpriority(os.PRIO_PROCESS, server.pid, 10)
        deadline = time.monotonic() + 60
        while not file.exists():
            assert time.monotonic() < deadline, f"{name} does not come: {world.logs()}"
            time.sleep(0.001)
        server.kill()
    os.setpriority(os.PRIO_PROCESS, 0, own)
    assert came > len(names) // 2
    world.start_server()
    assert world.is_served()
    assert len(world.events("InstallationCreated")) == 1
    leftovers = [each.name for each in world.data.iterdir() if each.name.startswith(".")]
    assert len(leftovers) <= 6
    for path in world.data.iterdir():
        if path.name.endswith((".key", ".json")):
            assert path.stat().st_mode & 0o077 == 0, path


def test_admin_recover_voids_the_old_secret_and_is_on_record(world: SmallWorld) -> None:
    world.start_server()
    assert world.server is not None
    refused = world.on_host("admin", "recover", "--data", str(world.data), check=False)
    assert refused.returncode != 0
    assert "Another server runs" in refused.stderr
    before = world.admin
    world.server.kill(signal.SIGTERM)
    world.on_host("admin", "recover", "--data", str(world.data))
    after = world.admin
    assert after["client_secret"] != before["client_secret"]
    assert (world.data / "admin.json").stat().st_mode & 0o777 == 0o600
    world.forget_connection()
    world.start_server()
    old = world.admin | {"client_secret": before["client_secret"]}
    _refuses(world, old)
    (world.data / "admin.json").write_text(json.dumps(after))
    world.forget_connection()
    assert world.is_served()
    assert len(world.events("AdministratorRecovered")) == 1
    (world.data / "admin.json").unlink()  # lost altogether: the one before is voided all the same
    world.server.kill(signal.SIGTERM)
    world.on_host("admin", "recover", "--data", str(world.data))
    newest = world.admin
    world.forget_connection()
    world.start_server()
    _refuses(world, after)  # which nobody has any more
    (world.data / "admin.json").write_text(json.dumps(newest))
    world.forget_connection()
    assert world.is_served()
    assert len(world.events("AdministratorRecovered")) == 2


def _refuses(world: SmallWorld, admin: dict[str, str]) -> None:
    """A server that answers does not take this secret."""
    (world.data / "admin.json").write_text(json.dumps(admin))
    world.forget_connection()
    with pytest.raises(AuthenticationFailed):
        world.ask(machines.list_machines)
