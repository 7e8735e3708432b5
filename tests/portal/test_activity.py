"""The activity log's page: who sees what, filters, pages, the CSV, the chain, new rows."""

from __future__ import annotations

import asyncio
import csv
import io
import re
from types import SimpleNamespace

import pytest

from bascule.api.activity_filter import displays
from bascule.domain.actions import ACTIVITY_READ, MACHINE_READ
from bascule.domain.chain import ChainHead
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts.agents import AgentWentSilent
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact, Unknown
from bascule.domain.facts.grants import GrantOpened
from bascule.domain.facts.machines import MachineDeleted
from bascule.domain.roles import NO_RIGHTS
from bascule.interfaces.record import EventFilter
from bascule.portal.pages import activity
from bascule.services.record import verify_record
from bascule.services.seal import seal_all
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import JIT, House, port_rule

_ROW = re.compile(r'<tr id="event-(\d+)"[^>]*>.*?</tr>', re.DOTALL)


@pytest.fixture
def lived_in(house: House) -> House:
    """Two machines, a policy on one, a request and a refusal."""
    house.add_machine("web-1")
    house.add_machine("db-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    body = {"properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    for number, status in ((22, 202), (23, 400)):
        port = {"number": number, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        asked = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}]}
        answer = house.call(
            "POST", f"{house.policy()}/initiate", {**asked, "justification": "=1+1"}, JIT
        )
        assert answer.status_code == status, answer.text
    return house


def rows(html: str) -> list[str]:
    return [text_of(match[0]) for match in _ROW.finditer(html)]


def ids(html: str) -> list[str]:
    return [match[1] for match in _ROW.finditer(html)]


def record(house: House, fact: Fact, actor: Actor = SYSTEM, resource: str = "") -> None:
    at = house.clock.now()
    event = Event(f"id-{fact}"[:60], at, actor, resource, fact)
    house.do(lambda tx, _: tx.record(event))


def verified(house: House) -> None:
    asyncio.run(seal_all(house.services, house.state.record_key))
    asyncio.run(verify_record(house.services, house.state.record_key))


def test_the_log_says_who_did_what_where_and_how_it_ended(lived_in: House) -> None:
    olga = owner(lived_in)
    page = olga.page("/portal/activity")
    first, *rest = rows(page)
    assert first.startswith("Sign in Succeeded")
    refused = "Initiate JIT Network Access Policy administrator · web-1 · 23 from 192.0.2.7 · =1+1"
    (row,) = [row for row in rest if row.startswith(refused)]
    assert "Failed" in row
    assert "default JIT policy" in row
    (granted,) = [row for row in rest if row.startswith("Grant access to port")]
    assert re.match(
        r"Grant access to port administrator · 22/tcp from 192\.0\.2\.7 "
        r"until 2030-01-01 13:00:00 · =1\+1 · Request Accepted 2030-01-01 12:00:00 ",
        granted,
    ), granted
    assert "web-1 Virtual machine" in granted
    french = olga.page("/portal/activity", language="fr")
    assert len(rows(french)) == len(rows(page))
    denied = "Lancer une stratégie d\N{RIGHT SINGLE QUOTATION MARK}accès réseau JAT"
    assert any(denied in row and "23 depuis 192.0.2.7" in row for row in rows(french))
    assert "Événements par jour (UTC)" in text_of(french)


def test_an_event_of_a_newer_program_is_shown_by_its_code(house: House) -> None:
    """EDGES F2: as something bad, in the log and on its own page."""
    record(house, Unknown("ProbeMoved", {"probe": "p-7"}))
    olga = owner(house)
    page = olga.page("/portal/activity")
    named = dict(zip(ids(page), rows(page), strict=True))
    (place,) = [at for at, row in named.items() if row.startswith("Unknown event ProbeMoved")]
    french = olga.page("/portal/activity", language="fr")
    assert any(row.startswith("Événement inconnu ProbeMoved") for row in rows(french))
    own = text_of(olga.page(f"/portal/activity/events/{place}"))
    assert "ProbeMoved" in own
    assert "probe: p-7" in own
    assert '"level": "Error"' in own


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("machine=db-1", {"Create or Update Virtual Machine"}),
        ("operation=Deny+call", set()),
        (
            "status=failed&operation=Initiate+JIT+Network+Access+Policy",
            {"Initiate JIT Network Access Policy"},
        ),
        ("status=Failed&operation=Create+user", set()),
        ("person=nobody%40example.com", set()),
        ("since=2001-01-01T00:00&until=2001-01-02T00:00", set()),
    ],
)
def test_filters_of_the_page_keep_what_they_say(
    lived_in: House, query: str, kept: set[str]
) -> None:
    page = owner(lived_in).page(f"/portal/activity?{query}")
    found = {name for name in displays() for row in rows(page) if row.startswith(f"{name} ")}
    assert found == kept
    assert len(rows(page)) >= len(kept)
    assert ("No events match these filters" in text_of(page)) == (not kept)


@pytest.mark.parametrize(
    "query",
    [
        "machine=..%2Fx",
        "operation=Fly",
        "status=Nice",
        "span=1000y",
        "since=yesterday",
        "since=9999-12-31T23:59",
        "since=2030-02-01T00:00&until=2030-01-01T00:00",
        "after=x",
        "after=2030-01-01T00:00:00Z~99999999999999999999999",
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_never_left_out(
    lived_in: House, query: str
) -> None:
    """Leaving it out would show more than was asked for."""
    olga = owner(lived_in)
    page = olga.page(f"/portal/activity?{query}", 400)
    assert rows(page) == []
    assert 'role="alert"' in page
    if not query.startswith("after"):
        assert olga.get(f"/portal/activity/csv?{query}").status_code == 400
        assert olga.get(f"/portal/activity/news?seen=0&{query}").status_code == 400


def test_pages_meet_and_the_chart_counts_all_of_them(
    lived_in: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    olga = owner(lived_in)
    whole = olga.page("/portal/activity")
    total = len(ids(whole))
    assert f"{total} events" in text_of(whole)
    monkeypatch.setattr(activity, "PAGE", 3)
    found: list[str] = []
    path = "/portal/activity"
    for _ in range(total):
        page = olga.page(path)
        found += ids(page)
        assert f"{total} events" in text_of(page)
        match = re.search(r'rel="next" href="([^"]+)"', page)
        if match is None:
            break
        path = match[1].replace("&amp;", "&")
    assert found == ids(whole)


@pytest.mark.parametrize("query", ["", "machine=web-1", "status=Failed", "span=24h", "machine=no"])
def test_the_csv_is_exactly_the_filtered_rows(
    lived_in: House, query: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.services.activity.PAGE", 2)
    olga = owner(lived_in)
    verified(lived_in)
    shown = ids(olga.page(f"/portal/activity?{query}"))
    answer = olga.get(f"/portal/activity/csv?{query}")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="activity-')
    table = list(csv.DictReader(io.StringIO(answer.text)))
    positions = lived_in.see(lambda reader: reader.seals_of([int(each) for each in shown]))
    assert [row["position"] for row in table] == [
        str(positions[int(each)].position) for each in shown
    ]


def test_no_cell_of_the_csv_is_a_formula(lived_in: House) -> None:
    text = owner(lived_in).get("/portal/activity/csv").text
    table = list(csv.DictReader(io.StringIO(text)))
    assert "'=1+1" in {row["justification"] for row in table}
    assert not [cell for row in table for cell in row.values() if cell.startswith(("=", "+", "@"))]


def test_who_reads_one_machines_activity_sees_no_other_anywhere(lived_in: House) -> None:
    """On the page, in the count, in the CSV, by an event's own address, in what is new."""
    one = somebody(lived_in, "one@example.com", lived_in.machine("web-1"), ACTIVITY_READ)
    olga = owner(lived_in)
    page = one.page("/portal/activity")
    seen = ids(page)
    assert seen
    assert all("web-1" in row for row in rows(page))
    assert f"{len(seen)} events" in text_of(page)
    assert "Verified" not in text_of(page)
    assert "not been read back" not in text_of(page)
    csv_rows = list(csv.DictReader(io.StringIO(one.get("/portal/activity/csv").text)))
    # The refusal is about the policy, and concerns this machine alone.
    assert {row["resourceId"] for row in csv_rows} == {
        lived_in.machine("web-1"),
        lived_in.policy(),
    }
    assert {row["machine"] for row in csv_rows} == {"web-1"}
    assert rows(one.page("/portal/activity?machine=db-1")) == []
    assert rows(one.page(f"/portal/activity?machine={lived_in.subscription}")) == rows(page)
    for sequence in ids(olga.page("/portal/activity")):
        status = 200 if sequence in seen else 404
        one.page(f"/portal/activity/events/{sequence}", status)
    record(lived_in, MachineDeleted("db-1", "uid"), resource=lived_in.machine("db-1"))
    assert one.get("/portal/activity/news?seen=0").text == f"{len(seen)} new events, show"


def test_who_may_read_nothing_is_told_so_and_gets_nothing(lived_in: House) -> None:
    none = Person(lived_in, "none@example.com")
    assert "No events that you may see yet" in text_of(none.page("/portal/activity"))
    assert len(none.get("/portal/activity/csv").text.splitlines()) == 1
    assert none.get("/portal/activity/news?seen=0").text == ""
    other = somebody(lived_in, "o@example.com", lived_in.subscription, MACHINE_READ)
    assert "No events that you may see yet" in text_of(other.page("/portal/activity"))
    other.page("/portal/activity/events/1", 404)


def test_new_events_are_offered_in_words(lived_in: House, monkeypatch: pytest.MonkeyPatch) -> None:
    olga = owner(lived_in)
    match = re.search(r'data-news="([^"]+)"', olga.page("/portal/activity?machine=db-1"))
    assert match
    path = match[1].replace("&amp;", "&")
    assert olga.get(path).text == ""
    record(lived_in, MachineDeleted("web-1", "uid"), resource=lived_in.machine("web-1"))
    assert olga.get(path).text == "", "the filter holds for what is new too"
    record(lived_in, MachineDeleted("db-1", "uid"), resource=lived_in.machine("db-1"))
    assert olga.get(path).text == "1 new event, show"
    assert olga.client.get(path, headers={"Accept-Language": "fr"}).text == (
        "1 nouvel événement, afficher"
    )
    monkeypatch.setattr(activity, "MOST_NEWS", 2)
    many = olga.get("/portal/activity/news?seen=0").text
    assert many == "More than 2 new events, show"
    assert olga.get("/portal/activity/news?seen=-1").status_code == 400


def test_an_event_shows_azures_json_and_its_place(lived_in: House) -> None:
    olga = owner(lived_in)
    sequence = ids(olga.page("/portal/activity?operation=Create+or+Update+Virtual+Machine"))[0]
    path = f"/portal/activity/events/{sequence}"
    assert "Not in the hash chain yet" in text_of(olga.page(path))
    asyncio.run(seal_all(lived_in.services, lived_in.state.record_key))
    assert "has not been verified" in text_of(olga.page(path))
    verified(lived_in)
    page = text_of(olga.page(path))
    assert "Verified when the record was last checked" in page
    assert '"operationName": { "value": "Microsoft.Compute/virtualMachines/write"' in page
    place = lived_in.see(lambda reader: reader.seals_of([int(sequence)]))[int(sequence)]
    assert f"Number {place.position}" in page
    assert place.hash in page
    assert "Vérifié lors de la dernière relecture" in text_of(olga.page(path, language="fr"))


def test_an_instant_within_an_event_is_shown_in_the_readers_zone(house: House) -> None:
    """What an unknown program wrote beside it stays text."""
    noon = "2030-01-01T12:00:00.0000000Z"
    record(house, Unknown("ProbeMoved", {"probe": f"<b>p-7</b> since {noon}"}))
    olga = owner(house)
    listed = olga.page("/portal/activity")
    (sequence,) = [
        at for at, row in zip(ids(listed), rows(listed), strict=True) if "ProbeMoved" in row
    ]
    page = olga.page(f"/portal/activity/events/{sequence}")
    assert f'&lt;b&gt;p-7&lt;/b&gt; since <time datetime="{noon}" data-form="second"' in page
    assert "<b>p-7" not in page


def test_a_broken_chain_is_said_at_the_top_and_at_what_lies_behind(lived_in: House) -> None:
    olga = owner(lived_in)
    verified(lived_in)
    page = text_of(olga.page("/portal/activity"))
    assert "Verified: no event up to number" in page
    asyncio.run(seal_all(lived_in.services, lived_in.state.record_key))
    head = lived_in.see(lambda reader: reader.chain_head())
    record(lived_in, MachineDeleted("web-1", "uid"), resource=lived_in.machine("web-1"))
    forged = ChainHead(head.position + 1, "0" * 64)
    (sequence, _), *_ = lived_in.see(lambda reader: reader.unsealed())
    lived_in.do(lambda tx, _: tx.add_seals([(sequence, forged)]))
    asyncio.run(verify_record(lived_in.services, lived_in.state.record_key))
    page = text_of(olga.page("/portal/activity"))
    assert f"The record is broken from number {forged.position} on" in page
    assert "is broken here" in text_of(olga.page(f"/portal/activity/events/{sequence}"))


def test_what_hides_in_names_is_not_shown(lived_in: House) -> None:
    actor = Actor("p", "eve\u202egpj.exe<script>", "User", "192.0.2.9", "x\x1b[31m")
    record(lived_in, CallerDenied("GET", "/subscriptions/s/providers/A.B/<b>x</b>", "no"), actor)
    page = owner(lived_in).page("/portal/activity?operation=Deny+call")
    assert "\u202e" not in page
    assert "evegpj.exe&lt;script&gt;" in page
    assert "<b>x</b>" not in page


def test_a_download_ends_with_the_session_or_the_right_that_it_began_with(
    lived_in: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.services.activity.PAGE", 1)
    olga = owner(lived_in)
    whole = olga.get("/portal/activity/csv").text
    monkeypatch.setattr(activity, "rights_of", lambda *_: NO_RIGHTS)
    assert len(olga.get("/portal/activity/csv").text) < len(whole)
    monkeypatch.undo()
    monkeypatch.setattr("bascule.services.activity.PAGE", 1)
    ended = SimpleNamespace(visitor_of=lambda *_: None)
    monkeypatch.setattr("bascule.portal.pages.activity.sessions", ended)
    assert len(olga.get("/portal/activity/csv").text) < len(whole)


def test_a_row_leads_to_its_request_and_those_of_one_stand_together(lived_in: House) -> None:
    (fact,) = [
        event.fact
        for _, event in lived_in.do(lambda tx, _: tx.events(EventFilter(kinds=("GrantCreated",))))
    ]
    path = f"/portal/requests/{fact.request_id}"
    olga = owner(lived_in)
    page = olga.page("/portal/activity")
    assert page.count(f'href="{path}"') == 2, "of AccessRequested and of GrantCreated"
    record(lived_in, MachineDeleted("db-1", "uid"), resource=lived_in.machine("db-1"))
    record(lived_in, GrantOpened(fact.grant_id, fact.request_id, "m"))
    plain = [row for row in rows(olga.page("/portal/activity")) if "Request" in row]
    assert len(plain) == 3
    together = olga.page("/portal/activity?by=request")
    where = [n for n, row in enumerate(rows(together)) if "Request" in row]
    assert where == list(range(where[0], where[0] + 3)), "one after the other"
    assert together.count('class="begins"') == 1
    assert sorted(ids(together)) == sorted(ids(olga.page("/portal/activity")))
    assert "by=request" in olga.page("/portal/activity?by=request&machine=web-1")


def test_contact_that_was_lost_is_no_success(lived_in: House) -> None:
    record(lived_in, AgentWentSilent("web-1", "x"), resource=lived_in.machine("web-1"))
    (row,) = [
        row
        for row in rows(owner(lived_in).page("/portal/activity"))
        if row.startswith("Lose contact with agent")
    ]
    assert "Failed" in row
    assert "Succeeded" not in row


def test_the_csv_says_operation_status_machine_port_and_source(lived_in: House) -> None:
    text = owner(lived_in).get("/portal/activity/csv").text
    table = {row["kind"]: row for row in csv.DictReader(io.StringIO(text))}

    def told(kind: str) -> list[str]:
        return [table[kind][name] for name in ("operation", "status", "machine", "port", "source")]

    initiate = "Initiate JIT Network Access Policy"
    assert told("AccessDenied") == [initiate, "Failed", "web-1", "23", "192.0.2.7"]
    assert told("AccessRequested") == [initiate, "Accepted", "web-1", "22/tcp", "192.0.2.7"]
    assert told("GrantCreated")[2:] == ["web-1", "22/tcp", "192.0.2.7"]
    assert told("PolicyCreated")[2:] == ["", "", ""]


def test_the_filters_say_that_they_want_whole_names(lived_in: House) -> None:
    """The other lists find a part of a name; the log reads an index of whole ones."""
    olga = owner(lived_in)
    for language, hint in (("en", "full name, or ID"), ("fr", "nom complet, ou ID")):
        page = olga.page("/portal/activity", language=language)
        fields = re.findall(r'name="(machine|person)"[^>]* placeholder="([^"]+)"', page)
        assert fields == [("machine", hint), ("person", hint)]


def test_a_call_refused_at_a_machine_says_which(lived_in: House) -> None:
    path = f"{lived_in.policy()}/initiate"
    actor = Actor("x", "eve", "User", "192.0.2.66")
    record(lived_in, CallerDenied("POST", path, "no", (lived_in.machine("web-1"),)), actor)
    page = owner(lived_in).page("/portal/activity?machine=web-1")
    (row,) = [row for row in rows(page) if "eve · web-1" in row]
    assert row.startswith("Denied: ")
