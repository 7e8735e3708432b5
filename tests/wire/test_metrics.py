"""/metrics: who may read it, what it counts, and what it never names (EDGES I8)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import text as sql

from bascule.api.metrics import FRESH_SECONDS, Metrics
from bascule.api.routes.metrics import metrics_of
from bascule.domain.actions import METRICS_READ
from bascule.domain.builtin_roles import READER, SECURITY_ADMIN
from bascule.errors import Unavailable
from bascule.services.meters import BOUNDS, Histogram
from bascule.store.sql_store import SqlStore
from tests.wire.house import CALLER, JIT, House, port_rule
from tests.wire.somebody import holder_of, somebody
from tests.wire.test_initiate import asked, initiate, put
from tests.wire.test_sinks import HOOK, open_house
from tests.wire.test_sinks import put as put_sink

__all__ = ["open_house"]  # a fixture

LABELS = {"version", "outcome", "move", "kind", "le", "certificate", "state", "sink", "rows"}


@pytest.fixture(autouse=True)
def counted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule.api.metrics.FRESH_SECONDS", 0.0)


@pytest.fixture
def web(house: House) -> House:
    house.add_machine("web-1")
    put(house, port_rule())
    return house


def samples(house: House, client: Any = None) -> Mapping[str, float]:
    answer = (client or house.client).get("/metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        sample.name
        + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): float(
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def test_metrics_need_a_token_and_the_action_at_the_subscription(web: House) -> None:
    assert web.client_of(None).get("/metrics").status_code == 401
    assert web.enrol("web-1").get("/metrics").status_code == 403
    nothing = somebody(web, web.subscription, "Microsoft.Compute/virtualMachines/read")
    assert nothing.get("/metrics").status_code == 403
    of_a_group = somebody(web, web.group, METRICS_READ)
    assert of_a_group.get("/metrics").status_code == 403
    assert holder_of(web, SECURITY_ADMIN).get("/metrics").status_code == 403
    assert samples(web, somebody(web, web.subscription, METRICS_READ))
    assert samples(web, holder_of(web, READER))


def test_a_grant_from_its_request_to_its_end(web: House) -> None:
    agent, uid = (
        web.enrol("web-1"),
        web.call("GET", web.machine("web-1"), version="2024-07-01").json()["properties"]["vmId"],
    )
    ends = {"endTimeUtc": "2030-01-01T12:01:00Z"}
    (port,) = initiate(web, asked(**ends)).json()["virtualMachines"][0]["ports"]
    assert port["status"] == "Initiating"
    found = samples(web)
    assert found["bascule_requests_total{outcome=accepted}"] == 1
    assert found["bascule_grants_current{state=opening}"] == 1
    assert found["bascule_states_behind"] == 1
    assert found["bascule_generations_behind_max"] >= 1
    web.clock.pass_time(2)
    leased = [
        each["grantId"] for each in agent.get(f"/bascule/points/{uid}/state").json()["leases"]
    ]
    web.report(agent, uid, *leased)
    found = samples(web)
    assert found["bascule_grants_total{move=opened}"] == 1
    assert found["bascule_grants_current{state=opening}"] == 0
    assert found["bascule_grants_current{state=open}"] == 1
    assert found["bascule_grant_opening_seconds_count"] == 1
    assert found["bascule_grant_opening_seconds_sum"] == 2
    assert found["bascule_grant_opening_seconds_bucket{le=1.0}"] == 0
    assert found["bascule_grant_opening_seconds_bucket{le=2.5}"] == 1
    assert found["bascule_guarded_machines{state=reporting}"] == 1
    assert found["bascule_guarded_machines{state=silent}"] == 0
    web.clock.pass_time(60)  # two seconds beyond its end
    web.sweep()
    assert samples(web)["bascule_grants_current{state=closing}"] == 1
    web.clock.pass_time(1)
    web.report(agent, uid)
    found = samples(web)
    assert found["bascule_grants_total{move=expired}"] == 1
    assert found["bascule_grants_total{move=closed}"] == 1
    assert found["bascule_grants_current{state=closing}"] == 0
    assert found["bascule_grant_closing_seconds_sum"] == 3
    assert found["bascule_states_behind"] == 0


def test_what_is_refused_or_only_tried_is_no_access(web: House) -> None:
    before = samples(web)
    assert initiate(web, asked(number=23)).status_code == 400
    kinds = {name: many for name, many in samples(web).items() if "kind=Policy" in name}
    machines = [{"id": web.machine("web-1"), "ports": [port_rule(), port_rule(80)]}]
    preview = web.call(
        "PUT",
        web.policy(),
        {"properties": {"virtualMachines": machines}},
        JIT,
        params={"dryRun": "true"},
    )
    assert preview.status_code == 200, preview.text
    assert {name: many for name, many in samples(web).items() if "kind=Policy" in name} == kinds
    found = samples(web)
    name = "bascule_requests_total{outcome=refused}"
    assert found[name] - before[name] >= 1
    assert found["bascule_grants_current{state=opening}"] == 0


def test_no_label_names_a_person_a_machine_or_an_address(web: House) -> None:
    initiate(web, asked())
    text = web.client.get("/metrics").text
    labels = set(re.findall(r'[{,]([a-zA-Z_]+)="', text))
    assert labels <= LABELS
    for secret in ("web-1", CALLER, web.administrator, web.installation.subscription_id):
        assert secret not in text


def test_a_sink_is_known_by_its_id_alone(open_house: House) -> None:
    made = put_sink(open_house, "siem-berlin", target=HOOK)
    assert made.status_code == 201, made.text
    sink_id = open_house.see(lambda reader: reader.sinks()[0].id)
    assert samples(open_house)[f"bascule_sink_active{{sink={sink_id}}}"] == 1
    text = open_house.client.get("/metrics").text
    assert "siem-berlin" not in text
    assert "hooks.example" not in text


def test_a_damaged_row_hides_no_other_count(open_house: House) -> None:
    assert put_sink(open_house, "siem", target=HOOK).status_code == 201
    whole = samples(open_house)
    assert whole["bascule_rows_damaged{rows=sinks}"] == 0
    assert whole["bascule_rows_damaged{rows=endings}"] == 0
    damage = sql("UPDATE sinks SET form = 'of-a-newer-version'")
    open_house.do(lambda tx, _: tx._connection.execute(damage))
    found = samples(open_house)
    assert found["bascule_database_up"] == 1
    assert found["bascule_rows_damaged{rows=sinks}"] == 1
    assert found["bascule_rows_damaged{rows=endings}"] == 1
    missing = {each.partition("{")[0] for each in whole.keys() - found.keys()}
    assert missing == {"bascule_sink_lag_events", "bascule_sink_lag_seconds", "bascule_sink_active"}


def test_where_the_database_goes_away_among_its_counts_nothing_is_called_damaged(
    open_house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> Any:
        raise Unavailable("The database is away.")

    monkeypatch.setattr("bascule.services.counts.view_sinks", fails)
    said = text_without_a_token(open_house)
    assert "bascule_database_up 0.0" in said
    assert "bascule_rows_damaged" not in said


def text_without_a_token(house: House) -> str:
    """As the listener of its own serves it."""

    async def made() -> bytes:
        return (await metrics_of(house.state)())[0]

    return asyncio.run(made()).decode()


def test_without_its_database_the_listener_still_tells(
    web: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(self: SqlStore, work: Any) -> Any:
        del self, work
        raise Unavailable("The database is away.")

    assert "bascule_database_up 1.0" in text_without_a_token(web)
    monkeypatch.setattr(SqlStore, "read", fails)
    text = text_without_a_token(web)
    assert "bascule_database_up 0.0" in text
    assert "bascule_machines" not in text
    assert 'bascule_build_info{version="' in text


def test_a_server_whose_record_was_moved_does_not_count_it(web: House) -> None:
    web.services.fitness.has_moved = True
    assert "bascule_database_up 0.0" in text_without_a_token(web)


def test_a_count_that_takes_too_long_is_not_begun_twice(
    web: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = []

    async def never(self: SqlStore, work: Any) -> Any:
        del self
        begun.append(work)
        await asyncio.sleep(60)

    monkeypatch.setattr("bascule.api.metrics.COUNT_WITHIN", 0.05)
    monkeypatch.setattr(SqlStore, "read", never)
    metrics = Metrics(web.state)

    async def ask() -> list[bytes]:
        return [await metrics.text() for _ in range(3)]

    assert all(b"bascule_database_up 0.0" in text for text in asyncio.run(ask()))
    assert len(begun) == 1


def test_many_askers_cost_one_read(web: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule.api.metrics.FRESH_SECONDS", FRESH_SECONDS)
    metrics, read, reads = Metrics(web.state), SqlStore.read, []

    async def counted(self: SqlStore, work: Any) -> Any:
        reads.append(work)
        return await read(self, work)

    monkeypatch.setattr(SqlStore, "read", counted)

    async def ask() -> None:
        await asyncio.gather(*(metrics.text() for _ in range(20)))
        await metrics.text()

    asyncio.run(ask())
    assert len(reads) == 1


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(-5.0, 0), (0.0, 0), (BOUNDS[0], 0), (0.051, 1), (1e9, len(BOUNDS))]
)
def test_a_time_is_counted_once_its_bound_inclusive(seconds: float, bucket: int) -> None:
    one = Histogram()
    one.add(seconds)
    assert [index for index, many in enumerate(one.counts) if many] == [bucket]
    assert one.seconds == max(0.0, seconds)
