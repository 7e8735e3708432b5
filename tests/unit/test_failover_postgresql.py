"""A standby in the place of its primary, and what is not a failover (EDGES H5): real clusters."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner
from structlog.testing import capture_logs

from bascule.bootstrap.admin import admin
from bascule.bootstrap.database import Record
from bascule.domain.facts.installation import DatabaseAccepted
from bascule.domain.facts.kind import Severity
from bascule.domain.facts.kinds import kind_of
from bascule.errors import BasculeError, ConfigurationError, Unavailable
from bascule.interfaces.inventory import Installation
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from bascule.services.act import Act
from bascule.store.lineage import Lineage, Timeline
from bascule.store.postgresql import Place, place_of
from bascule.store.postgresql_open import open_postgresql
from bascule.store.sql_store import SqlStore
from tests.contracts.store.samples import close, read, write
from tests.support import postgresql
from tests.support.postgresql import Cluster

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)


@pytest.fixture
def primary() -> Iterator[Cluster]:
    made = Cluster()
    yield made
    made.remove()


@pytest.fixture
def standby(primary: Cluster) -> Iterator[Cluster]:
    primary.do("CREATE DATABASE ours")
    made = primary.standby()
    yield made
    made.remove()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "timeline.json"


def _either(primary: Cluster, standby: Cluster) -> Place:
    folders = f"{primary.folder},{standby.folder}"
    return place_of(f"host={folders} dbname=ours user=bascule")


def _opened(place: Place, file: Path) -> SqlStore:
    return open_postgresql(place, lineage=Lineage(file))


def _timeline(file: Path) -> int:
    found = json.loads(file.read_text())["timeline"]
    assert isinstance(found, int)
    return found


def test_a_promoted_standby_is_taken_up_and_the_old_primary_is_not(
    primary: Cluster, standby: Cluster, file: Path
) -> None:
    """Without a restart; and the old one lacks what was stored since, whoever starts on it."""
    place = _either(primary, standby)
    _made(primary.place("ours"), "t")
    with capture_logs() as lines:
        store = _opened(place, file)
    assert [each for each in lines if "may be lost over a failover" in each["event"]]
    write(store, lambda tx: tx.advance_generation("u"))
    assert _timeline(file) == 1
    postgresql.wait(lambda: _has_all(primary, standby))
    primary.stop()
    with pytest.raises(Unavailable):
        write(store, lambda tx: tx.advance_generation("u"))
    standby.promote()
    with capture_logs() as lines:
        postgresql.wait(lambda: _is_written(store))
    assert [each for each in lines if each["event"] == "a standby of the database was promoted"]
    assert read(store, lambda r: r.generation("u")) == 2
    assert _timeline(file) == 2
    # Both run, and the old primary is named first, as it was before.
    standby.stop()
    primary.start()
    with pytest.raises(Unavailable) as refusal:
        write(store, lambda tx: tx.advance_generation("u"))
    assert str(primary.folder) not in refusal.value.message, "the log has the reason"
    close(store)
    old = primary.place("ours")
    with pytest.raises(ConfigurationError, match="on timeline 1 of its cluster, and was on 2"):
        _opened(old, file)
    data = file.parent / "data"
    data.mkdir(mode=0o700)
    known = {"database": old.reach, "tenant_id": "t", "is_made": True}
    (data / "database.json").write_text(json.dumps(known))
    file.rename(data / file.name)
    done = CliRunner().invoke(admin, ["accept-database", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert "timeline 2" in done.output.splitlines()[0]
    assert "timeline 1" in done.output.splitlines()[1]
    again = _opened(old, data / file.name)
    assert read(again, lambda r: r.generation("u")) == 1, "the owner said so"
    close(again)


def _has_all(primary: Cluster, standby: Cluster) -> bool:
    ((sent,),) = primary.do("SELECT pg_current_wal_lsn()::text")
    ((there,),) = standby.do("SELECT pg_last_wal_replay_lsn()::text")
    return sent == there


def _is_written(store: SqlStore) -> bool:
    try:
        write(store, lambda tx: tx.advance_generation("u"))
    except Unavailable:
        return False
    return True


def test_with_a_synchronous_standby_nothing_is_said_to_be_in_danger(
    primary: Cluster, standby: Cluster, file: Path
) -> None:
    """Unless a session commits without waiting for it."""
    primary.do("ALTER SYSTEM SET synchronous_standby_names = '*'")
    primary.do("SELECT pg_reload_conf()")
    postgresql.wait(lambda: primary.do("SHOW synchronous_standby_names") == [("*",)])
    for commit, is_said in (("on", False), ("local", True)):
        primary.do(f"ALTER DATABASE ours SET synchronous_commit = {commit}")
        with capture_logs() as lines:
            close(_opened(primary.place("ours"), file))
        found = [each for each in lines if "may be lost over a failover" in each["event"]]
        assert bool(found) is is_said, commit


def test_a_database_of_another_cluster_is_refused(file: Path) -> None:
    """Such as one that was restored elsewhere: it may be older than what was acknowledged."""
    name = postgresql.cluster().make(postgresql.blank())
    place = postgresql.cluster().place(name)
    close(_opened(place, file))
    real = json.loads(file.read_text())
    Lineage(file).accept(Timeline("1", real["timeline"]))
    with pytest.raises(ConfigurationError, match="another cluster than before") as refusal:
        _opened(place, file)
    assert "accept-database" in refusal.value.advice
    assert json.loads(file.read_text())["system"] == "1", "a start that is refused changes nothing"
    postgresql.cluster().drop(name)


def _made(place: Place, tenant_id: str) -> None:
    """An installation in this database."""
    store = open_postgresql(place)
    made = Installation(tenant_id, "s", "local", datetime(2030, 1, 1, tzinfo=UTC))
    write(store, lambda tx: tx.create_installation(made))
    close(store)


def test_a_database_at_another_address_is_accepted(tmp_path: Path) -> None:
    """The server has never been there: the data directory says where it was before, and whose it is.
    A neighbour's database and an empty one stay refused, and what was known counts on.
    """
    known = {"database": f"host={tmp_path} dbname=ours", "tenant_id": "t", "is_made": True}
    (tmp_path / "database.json").write_text(json.dumps(known))
    tmp_path.chmod(0o700)
    seen = tmp_path / "timeline.json"
    earlier = Lineage(seen)
    earlier.accept(Timeline("1", 1))
    earlier.note_recorded(earlier.unrecorded)
    before = seen.read_text()
    cluster, command = postgresql.cluster(), ["accept-database", "--data", str(tmp_path)]
    ours, other = (cluster.make(postgresql.blank()) for _ in range(2))
    bare, empty = cluster.make(postgresql.blank()), cluster.make()
    _made(cluster.place(ours), "t")
    _made(cluster.place(other), "another")
    for name, why in ((other, "whose keys are not in"), (bare, "is empty"), (empty, "is empty")):
        done = CliRunner().invoke(admin, [*command, "--database", cluster.address(name)])
        assert isinstance(done.exception, ConfigurationError)
        assert why in done.exception.message
    assert CliRunner().invoke(admin, command).exit_code != 0, "nothing is there any more"
    assert seen.read_text() == before
    done = CliRunner().invoke(admin, [*command, "--database", cluster.address(ours)])
    assert done.exit_code == 0, done.output
    store = _opened(cluster.place(ours), seen)
    (fact,) = _accepted(store)
    assert fact.known == "cluster 1, timeline 1"
    assert fact.accepted == str(Lineage(seen)._read())
    assert (fact.host, kind_of(fact).severity) == (socket.gethostname(), Severity.HIGH)
    assert Lineage(seen).unrecorded == [], "on record, once"
    close(store)
    for name in (ours, other, bare, empty):
        cluster.drop(name)


def test_what_is_accepted_and_cannot_be_recorded_now_is_recorded_by_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a backup of an older revision, which only a start may upgrade."""
    cluster, data = postgresql.cluster(), tmp_path
    data.chmod(0o700)
    name = cluster.make(postgresql.blank())
    _made(cluster.place(name), "t")
    known = {"database": cluster.address(name), "tenant_id": "t", "is_made": True}
    (data / "database.json").write_text(json.dumps(known))
    seen = Lineage(data / "timeline.json")
    seen.accept(Timeline("1", 1))
    seen.note_recorded(seen.unrecorded)

    def refused(_: Record, **__: object) -> Store:
        raise ConfigurationError("The database has an older revision.")

    with monkeypatch.context() as patched:
        patched.setattr(Record, "open", refused)
        done = CliRunner().invoke(admin, ["accept-database", "--data", str(data)])
    assert done.exit_code == 0, done.output
    assert "at the server's next start. The database has an older revision." in done.output
    store = _opened(cluster.place(name), data / "timeline.json")
    assert _accepted(store) == []
    record = Record(data)
    for _ in range(2):
        write(store, lambda tx: record.put_on_record(tx, Act(datetime(2030, 1, 1, tzinfo=UTC))))
        record.note_recorded()
        assert [each.known for each in _accepted(store)] == ["cluster 1, timeline 1"]
    close(store)
    cluster.drop(name)


def _accepted(store: SqlStore) -> list[DatabaseAccepted]:
    kinds = EventFilter(kinds=(DatabaseAccepted.__name__,))
    found = [event.fact for _, event in read(store, lambda r: r.events(kinds))]
    return [fact for fact in found if isinstance(fact, DatabaseAccepted)]


def test_what_is_not_on_record_yet_outlives_a_failover(file: Path) -> None:
    seen = Lineage(file)
    seen.accept(Timeline("1", 5))
    seen.accept(Timeline("1", 4))
    seen.follow(Timeline("1", 6), "ours")
    first, second = Lineage(file).unrecorded
    assert first == ("unknown", "cluster 1, timeline 5")
    assert second == ("cluster 1, timeline 5", "cluster 1, timeline 4")
    Lineage(file).note_recorded([first, second])
    assert Lineage(file).unrecorded == []
    seen.follow(Timeline("1", 6), "ours")


def test_what_was_seen_before_a_move_counts_for_nothing_after_it_and_not_the_other_way_round(
    file: Path,
) -> None:
    """A move that was killed may leave the file of the cluster that was left."""
    Lineage(file, 2).accept(Timeline("1", 5))
    assert Lineage(file, 3).unrecorded == []
    with pytest.raises(ConfigurationError, match="another cluster"):
        Lineage(file, 2).follow(Timeline("2", 1), "ours")
    Lineage(file, 3).follow(Timeline("2", 1), "ours")
    for move in (2, 3):
        with pytest.raises(ConfigurationError, match="another cluster"):
            Lineage(file, move).follow(Timeline("1", 5), "ours")


@pytest.mark.parametrize(
    "damaged", ["{}", "[]", "5", '{"system": "1", "timeline": 5, "move": "x"}']
)
def test_a_damaged_file_is_refused(file: Path, damaged: str) -> None:
    file.write_text(damaged)
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Lineage(file).follow(Timeline("1", 5), "ours")
    assert file.read_text() == damaged


def test_what_is_accepted_while_a_server_starts_still_waits_to_be_recorded(tmp_path: Path) -> None:
    """A command accepts between a start's event and its note of it; and the same once more."""
    place = {"database": f"host={tmp_path} dbname=ours", "tenant_id": "t", "is_made": True}
    (tmp_path / "database.json").write_text(json.dumps(place))
    command = Lineage(tmp_path / "timeline.json")
    command.accept(Timeline("1", 5))
    command.accept(Timeline("1", 5))
    starting, (first, again) = Record(tmp_path), command.unrecorded
    recorded = list[object]()
    act = Act(datetime(2030, 1, 1, tzinfo=UTC))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Act, "record", lambda _, __, fact: recorded.append(fact))
        starting.put_on_record(cast("Transaction", None), act)
    command.accept(Timeline("1", 5))
    command.accept(Timeline("2", 1))
    starting.note_recorded()
    assert len(recorded) == 2
    assert again == ("cluster 1, timeline 5", "cluster 1, timeline 5")
    assert command.unrecorded == [again, ("cluster 1, timeline 5", "cluster 2, timeline 1")]
    Lineage(tmp_path / "timeline.json").follow(Timeline("2", 1), "ours")
    assert first not in command.unrecorded


def test_what_is_noted_as_recorded_leaves_the_timeline_as_it_is(file: Path) -> None:
    """A standby is promoted between: the old primary stays refused, whichever of the two follows."""
    server, command = Lineage(file), Lineage(file)
    command.accept(Timeline("1", 5))
    waiting = command.unrecorded
    _between(command, server, lambda: command.note_recorded(waiting), Timeline("1", 6))
    assert (_timeline(file), command.unrecorded) == (6, [])
    command.accept(Timeline("1", 6))
    _between(command, server, lambda: command.accept(Timeline("1", 6)), Timeline("1", 7))
    assert _timeline(file) == 7
    assert len(command.unrecorded) == 2
    with pytest.raises(ConfigurationError, match="on timeline 5 of its cluster, and was on 7"):
        Lineage(file).follow(Timeline("1", 5), "ours")


def _between(first: Lineage, second: Lineage, act: Callable[[], object], found: Timeline) -> None:
    """``second`` follows what it found while ``first`` has read the file and not written it."""
    write, others = first._write, list[threading.Thread]()

    def slowly(*given: Any) -> None:
        others.append(threading.Thread(target=second.follow, args=(found, "ours")))
        others[0].start()
        others[0].join(0.3)  # it would be done if it did not wait
        write(*given)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(first, "_write", slowly)
        act()
    others[0].join(10)


def test_a_server_refuses_what_lacks_what_a_command_has_seen(file: Path) -> None:
    """EDGES H5: the command connected to the promoted standby, and the server not again yet."""
    server = Lineage(file)
    server.follow(Timeline("1", 4), "ours")
    Lineage(file).follow(Timeline("1", 6), "ours")
    for old in (4, 5):
        with pytest.raises(ConfigurationError, match=f"on timeline {old} of .* and was on 6"):
            server.follow(Timeline("1", old), "ours")
    assert _timeline(file) == 6
    server.follow(Timeline("1", 6), "ours")


def test_a_server_and_a_command_write_what_they_see_at_once(file: Path) -> None:
    def see(_: int) -> None:
        Lineage(file).accept(Timeline("1", 5))

    with ThreadPoolExecutor(8) as several:
        list(several.map(see, range(200)))
    Lineage(file).follow(Timeline("1", 5), "ours")


def test_what_is_accepted_while_a_server_runs_is_taken_by_it(file: Path) -> None:
    seen = Lineage(file)
    seen.follow(Timeline("1", 5), "ours")
    Lineage(file).accept(Timeline("1", 4))
    for other in (Timeline("1", 3), Timeline("2", 4)):
        with pytest.raises(ConfigurationError):
            seen.follow(other, "ours")
    seen.follow(Timeline("1", 4), "ours")
    seen.follow(Timeline("1", 5), "ours")
    with pytest.raises(ConfigurationError):
        seen.follow(Timeline("1", 4), "ours")


@pytest.mark.parametrize("text", ["", "[]", '{"system":"1"}', '{"system":"1","timeline":"x"}'])
def test_a_file_that_says_nothing_is_not_taken_for_none(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(BasculeError, match="cannot be read"):
        Lineage(file).follow(Timeline("1", 1), "ours")
    assert file.read_text() == text
    Lineage(file).accept(Timeline("1", 1))
    Lineage(file).follow(Timeline("1", 1), "ours")


def test_what_a_server_has_seen_counts_without_a_file_too() -> None:
    seen = Lineage()
    seen.follow(Timeline("1", 4), "ours")
    seen.follow(Timeline("1", 5), "ours")
    for other in (Timeline("1", 4), Timeline("2", 5)):
        with pytest.raises(ConfigurationError):
            seen.follow(other, "ours")
    seen.follow(Timeline("1", 5), "ours")
