"""How many statements a call runs: as many in a large fleet as in a small one.

BEGIN and COMMIT are apart. Where a count differs, print ``seen``: it lists the statements.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import INITIATE, POLICY_READ
from bascule.domain.knocks import Knock
from bascule.domain.lifecycle import StatusReason
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.identity.authenticate import find_principal
from bascule.interfaces.store import Reader, Transaction
from bascule.protocol.report import Report
from bascule.services import lines
from bascule.services.act import Act
from bascule.services.grants import end_grants
from bascule.services.seal import seal
from bascule.store import tables
from bascule.store.open import open_store
from bascule.store.sql_store import SqlStore
from bascule.store.tables.listing import listed_machines
from tests.support import postgresql
from tests.support.statements import OnPostgresql, OnSqlite, Planner, Statements, statements
from tests.support.stores import new_postgresql
from tests.wire.house import JIT, PUBLIC_KEY, House, port_rule
from tests.wire.somebody import somebody
from tests.wire.test_initiate import asked

# Tables of one row: to read all of it is to look it up.
ONE_ROW = {"access_stamp", "installation", "recent_window"}
NAMED = ("web-1", "web-2", "web-3")
OPENS, CLOSES = 8, 9  # of a report over a line
KNOCKS, NEW_KNOCKS = 5, 16  # of the counters in it; where their sources are new in that hour
NEVER = datetime(1970, 1, 1, tzinfo=UTC)


class Fleet:
    """A house on disk: three machines with agents, and many more; some policies' own of them."""

    def __init__(self, house: House, database: Planner, in_policy: int, machines: int) -> None:
        self.house, self.database = house, database
        self.uids = {name: house.add_machine(name) for name in NAMED}
        self._agents = {name: house.enrol(name) for name in NAMED}
        _add_machines(database, machines, house.machine("web-1"))
        self._put_policy("alone", "web-1")
        self._put_policy(
            "default", *NAMED, *(f"many-{2 * n}" for n in range(in_policy - len(NAMED)))
        )
        for name in NAMED:
            self.report(name)

    def _put_policy(self, name: str, *machines: str) -> None:
        rules = [{"id": self.house.machine(each), "ports": [port_rule()]} for each in machines]
        body = {"properties": {"virtualMachines": rules}}
        answer = self.house.call("PUT", self.house.policy(name), body, JIT)
        assert answer.status_code == 200, answer.text

    def initiate(
        self, *names: str, policy: str = "default", source: str = "203.0.113.9", by: Any = None
    ) -> Statements:
        """Ask for port 22 of these machines."""
        port = asked(allowedSourceAddressPrefix=source)
        machines = [{"id": self.house.machine(each), "ports": [port]} for each in names]
        path = f"{self.house.policy(policy)}/initiate"
        with statements() as seen:
            answer = (by or self.house.client).post(
                path, params={"api-version": JIT}, json={"virtualMachines": machines}
            )
        assert answer.status_code == 202, answer.text
        return seen

    def state(self, name: str = "web-1") -> tuple[dict[str, Any], Statements]:
        with statements() as seen:
            answer = self._agents[name].get(f"/bascule/points/{self.uids[name]}/state")
        assert answer.status_code == 200, answer.text
        return dict(answer.json()), seen

    def report(self, name: str = "web-1") -> Statements:
        """What the agent is told holds there."""
        told, _ = self.state(name)
        leased = [lease["grantId"] for lease in told["leases"]]
        body = {"generation": told["generation"], "inForce": leased, "closed": told["closed"]}
        with statements() as seen:
            answer = self._agents[name].post(f"/bascule/points/{self.uids[name]}/report", json=body)
        assert answer.status_code == 200, answer.text
        return seen

    def settle(self, name: str = "web-1", *sources: str) -> Statements:
        """The same report, over the agent's line; these sources tried its closed port."""
        uid = self.uids[name]
        told, _ = self.state(name)
        held = frozenset(str(lease["grantId"]) for lease in told["leases"])
        closed = frozenset({ClosedPort(PortKey(TransportProtocol.TCP, 22))})
        knocks = tuple(Knock(each, PortKey(TransportProtocol.TCP, 22), 3) for each in sources)
        report = Report(told["generation"], held, closed=closed, knocks=knocks)
        with statements() as seen:
            self.house.do(
                lambda tx, act: lines.settle(tx, act, uid, PUBLIC_KEY, report, "", act.now)
            )
        return seen

    def end(self, name: str, left: int) -> None:
        """End grants until so many live there."""

        def work(tx: Transaction, act: Act) -> None:
            live = tx.live_grants([self.uids[name]])
            end_grants(tx, act, live[left:], StatusReason.USER_REQUESTED, "it is done")

        self.house.do(work)

    def check(self, seen: Statements, most: int, but: frozenset[str] = frozenset()) -> None:
        assert len(seen) <= most, f"\n{seen}"
        assert seen.scanned(self.database) <= ONE_ROW | but


def _add_machines(database: Planner, count: int, like: str) -> None:
    """Copies of a machine, as rows; every other one in a region of its own."""
    new = {
        "uid": "'00000000-0000-4000-8000-' || CAST(100000000000 + n AS TEXT)",
        "machine_uid": "'00000000-0000-4000-8000-' || CAST(100000000000 + n AS TEXT)",
        "id_key": "replace(id_key, 'web-1', 'many-' || CAST(n AS TEXT))",
        "id": "replace(id, 'web-1', 'many-' || CAST(n AS TEXT))",
        "name_key": "'many-' || CAST(n AS TEXT)",
        "location": "CASE WHEN n % 2 = 1 THEN 'region-' || CAST(n AS TEXT) ELSE location END",
        "location_key": "CASE WHEN n % 2 = 1 THEN 'region-' || CAST(n AS TEXT) ELSE location_key END",
    }
    for table in (tables.machines, listed_machines):
        names = table.columns.keys()
        values = ", ".join(new.get(each, each) for each in names)
        database.do(
            f"INSERT INTO {table.name} ({', '.join(names)}) "  # noqa: S608  # reason: ours
            "WITH RECURSIVE many (n) AS "
            f"(SELECT 0 UNION ALL SELECT n + 1 FROM many WHERE n < {count - 1}) "
            f"SELECT {values} FROM {table.name}, many WHERE id_key = '{like.casefold()}'"
        )


SMALL, LARGE = (3, 100), (1000, 100_000)


@pytest.fixture(
    scope="module",
    params=[
        ("sqlite", *SMALL),
        ("sqlite", *LARGE),
        ("postgresql", *SMALL),
        ("postgresql", 1000, 10_000),
    ],
    ids=["small", "large", "small on PostgreSQL", "large on PostgreSQL"],
)
def fleet(
    request: pytest.FixtureRequest, data_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Fleet]:
    engine, in_policy, machines = request.param
    with ExitStack() as stack:
        database: Planner
        store: SqlStore
        if engine == "sqlite":
            path = tmp_path_factory.mktemp("fleet") / "bascule.db"
            store, database = open_store(path), OnSqlite(path)
        else:
            store = new_postgresql()
            address = postgresql.cluster().address(postgresql.database_of(store))
            database = stack.enter_context(closing(OnPostgresql(address)))
        house = stack.enter_context(closing(House(data_dir, store=store)))
        made = Fleet(house, database, in_policy, machines)
        if engine == "postgresql":
            database.do("ANALYZE")
        yield made


def test_an_initiate(fleet: Fleet) -> None:
    """Who asks, and where, twice; five reads to decide; five writes."""
    fleet.initiate("web-1", source="203.0.113.1")
    fleet.check(fleet.initiate("web-1", source="203.0.113.2"), 12)
    fleet.check(fleet.initiate("web-1", source="203.0.113.3", policy="alone"), 12)


def test_each_further_machine(fleet: Fleet) -> None:
    fleet.initiate("web-1")
    fleet.check(fleet.initiate("web-1", "web-2", source="203.0.113.4"), 13)
    fleet.check(fleet.initiate(*NAMED, source="203.0.113.5"), 14)


def test_what_is_replaced(fleet: Fleet) -> None:
    """Beside the new grant the older one ends, and its request follows."""
    fleet.initiate("web-1", source="203.0.113.6")
    fleet.report()
    fleet.check(fleet.initiate("web-1", source="203.0.113.6"), 15)


def test_whoever_asks_with_a_role_of_their_own(fleet: Fleet) -> None:
    """Custom, and at the machine alone; once their rights were worked out."""
    one = somebody(fleet.house, fleet.house.machine("web-1"), INITIATE, POLICY_READ)
    fleet.initiate("web-1", source="203.0.113.7", by=one)
    fleet.check(fleet.initiate("web-1", source="203.0.113.8", by=one), 12)


def test_a_person_is_found_by_one_statement(fleet: Fleet) -> None:
    """As a program is: with the sign-in that the token came of."""
    with statements() as seen:
        fleet.house.see(
            lambda reader: find_principal(
                reader, PrincipalKind.USER, "nobody", fleet.house.clock.now(), "f"
            )
        )
    fleet.check(seen, 1)


def test_a_state(fleet: Fleet) -> None:
    """Who asks; the point and its machine; ports; grants; the ends of the record."""
    fleet.house.do(lambda tx, _: seal(tx))
    fleet.initiate("web-1", source="203.0.113.30")
    fleet.check(fleet.state()[1], 5)


def test_a_proof_on_a_line(fleet: Fleet) -> None:
    """The point's key and what its line is told, in one."""
    with statements() as seen:
        found = fleet.house.see(lambda reader: lines.standing(reader, fleet.uids["web-1"]))
    assert found is not None
    fleet.check(seen, 1)


def test_a_question_on_a_line(fleet: Fleet) -> None:
    """The point, with the key that it must still have; ports; grants. The ends of the record."""
    fleet.house.do(lambda tx, _: seal(tx))
    fleet.initiate("web-1", source="203.0.113.32")
    uid, now = fleet.uids["web-1"], fleet.house.clock.now()
    found = fleet.house.see(lambda reader: lines.standing(reader, uid))
    assert found is not None

    def read(reader: Reader) -> None:
        wanted = lines.wanted(reader, uid, found.public_key, uid, now, None)
        assert wanted.desired.leases
        reader.record_ends()

    with statements() as seen:
        fleet.house.see(read)
    fleet.check(seen, 4)


def test_a_report_that_opens(fleet: Fleet) -> None:
    """By HTTP, which asks twice more who it is than a line does."""
    fleet.report()
    fleet.initiate("web-1", source="203.0.113.31")
    fleet.check(fleet.report(), OPENS + 2)
    fleet.initiate("web-1", source="203.0.113.33")
    seen = fleet.settle()
    fleet.check(seen, OPENS)
    if isinstance(fleet.database, OnSqlite):  # PostgreSQL reads all of so few
        plan = seen.plan(fleet.database, "FROM exposure_spans")
        assert "ix_exposure_spans_current (machine_uid=? AND kind=?)" in plan, "none that has ended"


def test_a_report_that_closes(fleet: Fleet) -> None:
    """One grant of several, then the last."""
    fleet.end("web-2", 0)
    fleet.settle("web-2")
    fleet.initiate("web-2", source="203.0.113.34")
    fleet.initiate("web-2", source="203.0.113.35")
    fleet.settle("web-2")
    for left in (1, 0):
        fleet.end("web-2", left)
        fleet.check(fleet.settle("web-2"), CLOSES)


def test_a_report_that_says_nothing_new(fleet: Fleet) -> None:
    fleet.settle("web-3")
    fleet.check(fleet.settle("web-3"), 1)


def test_a_report_of_counters_while_a_scan_lasts(fleet: Fleet) -> None:
    """The machine's rows, its group's and the whole fleet's together, however many sources there are."""
    fleet.settle("web-3")
    sources = [f"203.0.113.{number}" for number in range(5)]
    fleet.check(fleet.settle("web-3", *sources), 1 + NEW_KNOCKS)
    fleet.check(fleet.settle("web-3", *sources), 1 + KNOCKS)
    (seen,) = fleet.house.see(lambda reader: reader.knock_hours([fleet.uids["web-3"]], NEVER))
    assert seen[1] == 2 * 3 * len(sources)


def test_a_request_that_was_opened(fleet: Fleet) -> None:
    """When it was opened is looked up at its machine: what else the fleet records costs nothing."""
    fleet.report()
    fleet.house.clock.pass_time(1)
    fleet.initiate("web-1", source="203.0.113.32")
    fleet.report()
    newest = fleet.house.see(lambda reader: reader.requests(limit=1))[0].id
    path = f"/providers/Bascule.Access/accessRequests/{newest}"
    with statements() as seen:
        answer = fleet.house.call("GET", path)
    (port,) = answer.json()["properties"]["virtualMachines"][0]["ports"]
    assert port["bascule"]["openedAt"], answer.text
    fleet.check(seen, 9)
    if isinstance(fleet.database, OnSqlite):  # as above
        assert "ix_events_resource_key_at_kind" in seen.plan(fleet.database, "FROM events")
