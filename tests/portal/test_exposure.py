"""The pages Exposure and Overview: what they show, to whom, and of which moment."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape

import pytest

from bascule.domain.actions import MACHINE_READ, POLICY_READ
from bascule.domain.exposure import DAY, HOUR, PortTime
from bascule.domain.times import format_utc
from bascule.portal.port_hours import HEIGHT, port_hours
from bascule.services.exposure import Day, Summary
from bascule.services.sweep import note_silence, sweep
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.samples import NOW
from tests.wire.house import House, port_rule
from tests.wire.test_exposure import SHUT_22, opened, prepared

PATH = "/portal/exposure"


@pytest.fixture
def web(house: House) -> House:
    """web-1 keeps 22 shut and lets somebody in, db-1 keeps nothing shut."""
    opened(prepared(house))
    return house


def rows(html: str) -> list[str]:
    """The rows of the first table, as read."""
    table = html[html.index('id="exposure-now"') :]
    return [text_of(row) for row in re.findall(r"<tr>(.*?)</tr>", table, re.DOTALL)][1:]


def links(html: str) -> list[str]:
    return [unescape(each) for each in re.findall(r'href="([^"]+)"', html)]


def test_now_tells_who_is_let_in_and_from_where(web: House) -> None:
    html = owner(web).page(PATH)
    (row,) = rows(html)[:1]
    for word in ("web-1", "22", "198.51.100.7", "deploy"):
        assert word in row
    assert "db-1" not in html[html.index("exposure-now") : html.index("port-hours")]


def test_a_past_moment_is_told_by_its_own_time(web: House) -> None:
    """Before the port was opened nobody was let in; and nobody counted the tabs."""
    then = web.clock.now() - timedelta(seconds=60)
    html = owner(web).page(f"{PATH}?at={format_utc(then)}")
    assert "No access was open" in text_of(html)
    assert 'class="count"' not in html
    assert "Blocked attempts by source" not in text_of(html)
    utc = f"{then:%Y-%m-%dT%H:%M}"
    assert f'value="{utc}"' in html
    assert rows(owner(web, "o2@example.com").page(f"{PATH}?tab=all&at={utc}"))


@pytest.mark.parametrize("at", ["yesterday", "2999-01-01T00:00", "2030-13-01T00:00", "' or 1"])
def test_a_moment_that_is_none_is_refused_in_words_and_now_is_shown(web: House, at: str) -> None:
    html = owner(web).page(f"{PATH}?at={at}", status=400)
    assert "This failed" in text_of(html)
    assert "web-1" in text_of(html)
    french = owner(web, "f@example.com").page(f"{PATH}?at={at}", status=400, language="fr")
    assert any(word in text_of(french) for word in ("Choisissez un jour", "se consulte pour"))


def test_before_the_history_nothing_is_said_to_be_known(web: House) -> None:
    html = owner(web).page(f"{PATH}?at=1999-01-01T00:00")
    assert "Nothing is known about that time" in text_of(html)


def test_machines_that_keep_nothing_shut_lead_to_being_enabled(web: House) -> None:
    html = owner(web).page(f"{PATH}?tab=bare")
    (row,) = rows(html)[:1]
    assert "db-1" in row
    assert "everything that the host admits" in row
    assert any(
        each.startswith("/portal/jit/configure?machine=") and "db-1" in each for each in links(html)
    )


def test_a_machine_with_a_policy_needs_its_agent_and_no_other_policy(web: House) -> None:
    rules = f"{web.machine('db-1')}/providers/Bascule.Access/machineRules/default"
    web.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}})
    anna = owner(web)
    html = anna.page(f"{PATH}?tab=bare")
    assert "Enrol its agent" in html
    assert "/portal/points/enrol/default/db-1" in links(html)
    assert not any("/portal/jit/configure" in each for each in links(html))
    assert anna.get("/portal/points/enrol/default/db-1").status_code == 200
    web.enrol("db-1")
    assert "its agent does not enforce it" in anna.page(f"{PATH}?tab=bare")


def test_what_has_ended_unheard_is_listed_apart_and_not_counted(web: House) -> None:
    """EDGES E9: on the pages Exposure, Overview and Open now."""
    web.clock.pass_time(3600 + 60)
    web.do(sweep)
    web.do(lambda tx, act: note_silence(tx, act, None))
    anna = owner(web)
    html = anna.page(PATH)
    assert "Ended, not confirmed" in html
    assert html.index('id="exposure-ended"') < html.index("198.51.100.7")
    assert "0:00" not in anna.page("/portal")
    shown = anna.page("/portal/open")
    assert "Nothing is open" in shown
    assert shown.index('id="open-ended"') < shown.index("198.51.100.7")
    assert "Terminés, non confirmés" in anna.page("/portal/open", language="fr")


def test_what_root_opened_is_shown_in_the_list_of_machines(web: House) -> None:
    uid = str(web.call("GET", web.machine("web-1")).json()["properties"]["vmId"])
    agent = web.client_of(web.agent_token(uid))
    roots = {"port": "22/tcp", "sources": ["192.0.2.9"], "seconds": 900, "id": "local-1"}
    web.report(agent, uid, closed=SHUT_22, heldLocally=[roots])
    shown = text_of(owner(web).page("/portal/jit"))
    assert "root on the host" in shown
    assert "Open" in shown


def test_all_machines_have_their_ports_and_hours(web: House) -> None:
    html = owner(web).page(f"{PATH}?tab=all")
    db, first = rows(html)[:2]
    assert "nothing is kept closed" in db
    assert "22 open to somebody" in first


def test_french_is_whole(web: House) -> None:
    for tab in ("open", "bare", "all"):
        words = text_of(owner(web, f"{tab}@example.com").page(f"{PATH}?tab={tab}", language="fr"))
        for english in ("Machine:", "Virtual", "Port-hours", "Nothing", "Show", "somebody"):
            assert english not in words
        assert "Heures-port" in words


def test_a_list_goes_on_where_the_page_ends(web: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bascule.portal.pages.exposure._PER_PAGE", 1)
    person = owner(web)
    html = person.page(f"{PATH}?tab=all")
    assert "db-1" in rows(html)[0]
    (following,) = [each for each in links(html) if "after=" in each]
    assert "web-1" in rows(person.page(following))[0]


# -- who is shown what ------------------------------------------------------------------------


def test_only_machines_that_may_be_read_are_shown(web: House) -> None:
    reader = somebody(web, "r@example.com", web.machine("db-1"), MACHINE_READ)
    for page in (PATH, f"{PATH}?tab=all", "/portal"):
        html = reader.page(page)
        assert "web-1" not in html
        assert "198.51.100.7" not in html
    bare = reader.page(f"{PATH}?tab=bare")
    assert "db-1" in rows(bare)[0]
    assert "/portal/jit/configure" not in bare, "who may not enable is told what is missing"
    assert "You lack this right here" in text_of(bare)


def test_who_may_not_read_requests_is_not_told_who_was_let_in(web: House) -> None:
    html = somebody(web, "r@example.com", web.machine("web-1"), MACHINE_READ).page(PATH)
    assert "somebody" in rows(html)[0]
    assert "deploy" not in html
    assert "/portal/requests/" not in html
    both = somebody(web, "b@example.com", web.machine("web-1"), MACHINE_READ, POLICY_READ)
    assert "deploy" in both.page(PATH)


def test_who_holds_no_role_gets_no_exposure(web: House) -> None:
    nobody = Person(web, "n@example.com")
    assert "web-1" not in nobody.page(PATH, status=403)
    start = nobody.page("/portal")
    assert "web-1" not in start
    assert "You may not see any machines" in text_of(start)


def test_a_stranger_is_sent_to_sign_in(web: House) -> None:
    answer = web.client_of(None).get(PATH, follow_redirects=False)
    assert answer.status_code == 303
    assert "web-1" not in answer.text


# -- the overview -----------------------------------------------------------------------------


def cards(html: str) -> dict[str, str]:
    found = re.findall(r'<a class="card" href="([^"]+)">(.*?)</a>', html, re.DOTALL)
    return {unescape(to): text_of(inner) for to, inner in found}


def test_the_overview_tells_how_things_stand(web: House) -> None:
    html = owner(web).page("/portal")
    found = cards(html)
    assert found["/portal/open"] == "Open now 1 on 1 machine"
    assert found["/portal/exposure?tab=bare"].startswith("Unprotected machines 1 of 2 machines")
    assert found["/portal/points"].startswith("Agents connected 1 / 1")
    assert found["/portal/activity"] == "Requests, last 7 days 1"
    assert found["/portal/exposure#knocking"] == "Blocked attempts, 24 hours 0"


def test_a_silent_agent_is_counted_as_offline(web: House) -> None:
    web.clock.pass_time(120)
    web.do(lambda tx, act: note_silence(tx, act, None))
    assert "1 away" in cards(owner(web).page("/portal"))["/portal/points"]


def test_a_fresh_installation_leads_to_the_first_steps(house: House) -> None:
    assert "/portal/welcome/machine" in owner(house).page("/portal")
    reader = somebody(house, "r@example.com", house.subscription, MACHINE_READ)
    html = reader.page("/portal")
    assert "/portal/welcome/machine" not in html
    assert "There is no machine yet" in text_of(html)


def test_requests_of_others_are_counted_for_who_may_read_the_record_alone(web: House) -> None:
    reader = somebody(web, "r@example.com", web.subscription, MACHINE_READ)
    assert cards(reader.page("/portal"))["/portal/activity"] == "Your requests, last 7 days 0"


def test_the_overview_in_french(web: House) -> None:
    words = text_of(owner(web).page("/portal", language="fr"))
    for word in ("Machines sans protection 1 sur 2 machines", "Demandes"):
        assert word in words
    assert "Open now" not in words


# -- the chart --------------------------------------------------------------------------------


def summary(*times: PortTime) -> Summary:
    days = tuple(Day(NOW + n * DAY, NOW + (n + 1) * DAY, time) for n, time in enumerate(times))
    whole = sum(times, PortTime())
    return Summary(NOW, NOW, NOW + len(times) * DAY, whole, days, 0, 0, 0, 0, 0, 0, 0, 0)


def test_what_is_open_stands_on_the_ground_and_shut_upon_it() -> None:
    chart = port_hours(summary(PortTime(10 * HOUR, 5 * HOUR), PortTime(), PortTime(4 * HOUR)))
    first, nothing, shut = chart.bars
    assert chart.most == 10
    assert (first.open_top, first.open_height) == (HEIGHT / 2, HEIGHT / 2)
    assert (first.closed_top, first.closed_height) == (0, HEIGHT / 2)
    assert nothing.closed_height == nothing.open_height == 0
    assert (shut.open_height, shut.closed_height) == (0, 0.4 * HEIGHT)
    assert chart.share == 5 / 14


def test_what_is_there_is_seen_and_nothing_is_no_share() -> None:
    chart = port_hours(summary(PortTime(1000 * HOUR, timedelta(seconds=5))))
    assert chart.bars[0].open_height == 2
    assert chart.bars[0].closed_top >= 0
    assert port_hours(summary()).share == 0
    assert port_hours(summary()).bars == ()
