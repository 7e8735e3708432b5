"""Request access for later, and with its extensions (EDGES J8, J9): by the form."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bascule.domain.ids import is_guid
from bascule.domain.request import AccessRequest
from tests.portal.asking import ask, filled, form_path, guard, live, put_policy
from tests.portal.visiting import Person, owner, text_of
from tests.wire.house import CALLER, JIT, House, port_rule

# Is an address the server's own? It is asked of the kernel, by binding to it.
pytestmark = pytest.mark.sockets

SSH = "0.0.22"
PATH = "/portal/jit/request"
_DIGEST = re.compile(r'name="digest" value="([^"]+)"')
NOON = datetime(2030, 1, 1, 12, tzinfo=UTC)  # the house's clock


def later(day: str = "2030-01-01", time: str = "23:00", zone: str = "UTC") -> dict[str, Any]:
    return {"start_day": day, "start_time": time, "start_zone": zone}


def made(house: House, request_id: str) -> AccessRequest:
    assert is_guid(request_id)
    found = house.see(lambda reader: reader.request(request_id))
    assert found is not None
    return found


def nothing_was_made(house: House) -> bool:
    return live(house) == [] and house.events("AccessRequested", "AccessScheduled") == []


def put_approval(house: House) -> Person:
    """Who approves from now on."""
    bob = Person(house, "bob@example.com")
    stages = [{"approvers": {"users": [bob.user.id]}, "needed": 1}]
    put_policy(house, {"web-1": [port_rule(bascule={"approval": {"stages": stages}})]})
    return bob


@pytest.fixture
def olga(house: House) -> Person:
    guard(house)
    assert house.clock.now() == NOON
    return owner(house)


# -- the start ---------------------------------------------------------------------------


def test_a_start_to_come_is_scheduled_and_opens_nothing_before(house: House, olga: Person) -> None:
    request = made(house, ask(olga, house, **later()))
    assert (request.state, request.starts_at) == ("scheduled", NOON + timedelta(hours=11))
    (port,) = request.machines[0].ports
    assert [str(each) for each in port.sources] == [CALLER]  # the address that the form showed
    assert port.ends_at == NOON + timedelta(hours=11, minutes=10)
    assert live(house) == []
    house.sweep()
    assert live(house) == []
    shown = text_of(olga.page(f"/portal/requests/{request.id}"))
    assert "2030-01-01 23:00" in shown


def test_it_is_in_the_zone_that_the_form_names(house: House, olga: Person) -> None:
    html = olga.page(form_path(house, "web-1"))
    assert '<input type="hidden" name="start_zone" value="UTC" data-zone>' in html
    request = made(house, ask(olga, house, **later(zone="Europe/Paris")))
    assert request.starts_at == NOON + timedelta(hours=10)


def test_without_a_start_it_is_as_before(house: House, olga: Person) -> None:
    """The zone alone, which the form always sends, asks for nothing."""
    one = made(house, ask(olga, house))
    two = made(house, ask(olga, house, **later("", ""), up_to=""))
    for each in (one, two):
        assert (each.starts_at, each.has_waited) == (None, False)
        assert each.machines[0].ports[0].up_to is None
    assert one.machines == two.machines
    assert house.events("AccessScheduled") == []
    assert live(house) != []


@pytest.mark.parametrize(
    ("start", "why"),
    [
        (later(time="11:59"), "is over"),
        (later(time="12:00"), "is over"),
        (later(day="2029-12-31"), "is over"),
        (later(day="2030-02-01"), "at most 30 days ahead"),
        (later(day="9999-12-31"), "at most 30 days ahead"),
        (later(day="9999-12-31", zone="America/New_York"), "not a day and a time"),
        (later(day="0001-01-01", time="00:00", zone="Asia/Tokyo"), "not a day and a time"),
        (later(day=""), "both a day and a time"),
        (later(time=""), "both a day and a time"),
        (later(day="2030-02-30"), "not a day and a time"),
        (later(day="20300102"), "not a day and a time"),
        (later(time="25:00"), "not a day and a time"),
        (later(time="23:00+05:00"), "not a day and a time"),
        (later(zone=""), "is not a time zone"),
        (later(zone="Mars/Olympus"), "is not a time zone"),
        (later(zone="../../etc/passwd"), "is not a time zone"),
        (later(zone="Europe"), "is not a time zone"),
    ],
)
def test_a_start_that_is_none_is_refused_and_the_form_kept(
    house: House, olga: Person, start: dict[str, str], why: str
) -> None:
    html = olga.page(form_path(house, "web-1"))
    answer = olga.send(PATH, filled(html, SSH, justification="for tonight", **start))
    assert answer.status_code == 400
    assert why in text_of(answer.text)
    for name in ("start_day", "start_time", "start_zone"):
        assert f'name="{name}" value="{start[name]}"' in answer.text
    assert 'value="0.0.22" id="on-0-0-22" checked' in answer.text
    assert "for tonight" in answer.text
    assert answer.text.count('aria-invalid="true"') == 2
    assert nothing_was_made(house)


@pytest.mark.parametrize(
    ("day", "time", "why"),
    [("2030-03-31", "02:30", "does not exist"), ("2030-10-27", "02:30", "comes twice")],
)
def test_a_time_that_the_clocks_leave_out_or_repeat_is_refused(
    house: House, day: str, time: str, why: str
) -> None:
    guard(house)
    house.clock.pass_time((datetime.fromisoformat(f"{day}T00:00Z") - NOON).total_seconds())
    house.client = house.client_of(house.service_token())
    olga = owner(house)
    html = olga.page(form_path(house, "web-1"))
    answer = olga.send(PATH, filled(html, SSH, **later(day, time, "Europe/Paris")))
    assert answer.status_code == 400
    assert f"{time} {why} in Europe/Paris on {day}" in text_of(answer.text)
    assert nothing_was_made(house)
    clear = made(house, ask(olga, house, **later(day, "04:30", "Europe/Paris")))
    assert clear.state == "scheduled"


def test_a_start_needs_a_source(house: House, olga: Person) -> None:
    html = olga.page(form_path(house, "web-1"))
    none = olga.send(PATH, filled(html, SSH, source__0__0__22="range", **later()))
    other = olga.send(PATH, filled(html, SSH, **later()) | {"my_address": "203.0.113.77"})
    assert (none.status_code, other.status_code) == (400, 400)
    assert "Enter an address or a range" in text_of(none.text)
    assert "The form showed 203.0.113.77" in text_of(other.text)
    assert nothing_was_made(house)


def test_many_addresses_are_asked_about_before_it_is_scheduled(house: House, olga: Person) -> None:
    wide = {"source__0__0__22": "range", "range__0__0__22": "198.51.0.0/16"}
    html = olga.page(form_path(house, "web-1"))
    answer = olga.send(PATH, filled(html, SSH, **wide, **later()))
    assert answer.status_code == 200
    assert 'name="start_day" value="2030-01-01"' in answer.text
    assert nothing_was_made(house)
    assert made(house, ask(olga, house, **wide, **later(), confirmed="1")).state == "scheduled"


def test_a_form_sent_twice_schedules_once(house: House, olga: Person) -> None:
    fields = filled(olga.page(form_path(house, "web-1")), SSH, **later(), once="1" * 32)
    first, second = olga.send(PATH, fields), olga.send(PATH, fields)
    assert first.headers["location"] == second.headers["location"]
    assert house.events("AccessScheduled") == ["AccessScheduled"]


# -- with its extensions -----------------------------------------------------------------


def test_extensions_are_asked_for_where_people_may_have_to_approve(
    house: House, olga: Person
) -> None:
    assert 'name="up_to"' not in olga.page(form_path(house, "web-1"))
    put_approval(house)
    assert 'name="up_to"' in olga.page(form_path(house, "web-1"))
    request = made(house, ask(olga, house, up_to="2:00"))
    assert request.state == "waiting"
    assert request.machines[0].ports[0].up_to == timedelta(hours=2)
    assert "up to 2 h" in text_of(olga.page(f"/portal/requests/{request.id}")).replace("\xa0", " ")


@pytest.mark.parametrize(
    ("up_to", "why"),
    [
        ("0:09", "With its extensions it ends earlier"),
        ("3:01", "cannot be approved for longer"),
        ("two hours", "is not a duration"),
    ],
)
def test_extensions_that_cannot_be_are_refused_and_the_form_kept(
    house: House, olga: Person, up_to: str, why: str
) -> None:
    put_approval(house)
    html = olga.page(form_path(house, "web-1"))
    answer = olga.send(PATH, filled(html, SSH, up_to=up_to, **later()))
    assert answer.status_code == 400
    assert why in text_of(answer.text)
    assert f'name="up_to" value="{up_to}"' in answer.text
    assert 'name="start_time" value="23:00"' in answer.text
    assert nothing_was_made(house)


def test_an_extension_offers_what_was_approved(house: House, olga: Person) -> None:
    bob = put_approval(house)
    request_id = ask(olga, house, up_to="2:00")
    digest = _DIGEST.search(bob.page(f"/portal/requests/{request_id}"))
    assert digest is not None
    answer = bob.send(f"/portal/requests/{request_id}/approve", {"digest": digest[1]})
    assert answer.status_code == 303
    assert 'value="1:55"' in olga.page(f"/portal/requests/{request_id}")
    path = f"/portal/requests/{request_id}/extend"
    assert olga.send(path, {"time": "2:01"}).status_code == 400
    assert olga.send(path, {"time": "1:55"}).status_code == 303
    (grant,) = live(house)
    assert grant.ends_at == NOON + timedelta(hours=1, minutes=55)
    shown = olga.page(f"/portal/requests/{request_id}")
    assert "as was approved with its extensions" in text_of(shown)
    assert f'action="{path}"' not in shown


# -- the lists ---------------------------------------------------------------------------


def test_what_is_scheduled_is_listed_by_day_and_start(house: House, olga: Person) -> None:
    tab = "/portal/approvals?tab=scheduled"
    assert "Nothing is scheduled" in text_of(olga.page(tab))
    assert "Rien n’est programmé" in text_of(olga.page(tab, language="fr"))
    starts = [("2030-01-03", "07:00"), ("2030-01-02", "23:59"), ("2030-01-02", "00:00")]
    asked = [ask(olga, house, **later(day, time)) for day, time in starts]
    for page in (tab, "/portal/open"):
        html = olga.page(page)
        body = re.search(r"<tbody data-by-day>.*?</tbody>", html, re.DOTALL)
        assert body
        rows = [
            text_of(each)[:5] if 'class="day"' not in each else text_of(each)
            for each in re.findall(r"<tr.*?</tr>", body[0], re.DOTALL)
        ]
        assert rows == ["2030-01-02", "00:00", "23:59", "2030-01-03", "07:00"]
        assert "Days and times are in the time zone UTC ." in text_of(html)
        assert all(f'id="scheduled-{each}"' in html for each in asked)
    assert live(house) == []


def test_what_is_scheduled_is_listed_to_whoever_may_see_it(house: House, olga: Person) -> None:
    request_id = ask(olga, house, **later(), justification="a secret reason")
    nora = Person(house, "nora@example.com")
    html = nora.page("/portal/approvals?tab=scheduled")
    assert request_id not in html
    assert "a secret reason" not in html
    assert request_id in owner(house, "other@example.com").page("/portal/approvals?tab=scheduled")


def test_extensions_that_nobody_approved_are_said_to_have_changed_nothing(
    house: House, olga: Person
) -> None:
    request_id = initiated(house, upTo="PT1H")
    assert "Nobody had to approve this" in text_of(olga.page(f"/portal/requests/{request_id}"))
    plain = initiated(house)
    assert "Nobody had to approve this" not in text_of(olga.page(f"/portal/requests/{plain}"))


def initiated(house: House, **port: str) -> str:
    """By the program that set the house up, for ten minutes."""
    asked = {"number": 22, "allowedSourceAddressPrefix": "192.0.2.7", "duration": "PT10M", **port}
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [asked]}]}
    answer = house.call("POST", f"{house.policy()}/initiate", body, JIT)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["bascule"]["requestId"])
