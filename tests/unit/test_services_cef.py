"""CEF and syslog: what somebody typed begins no field, ends no message and hides nothing."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.domain.chain import ChainHead, Link, link_after
from bascule.domain.delivery import Form
from bascule.domain.event import SYSTEM, Actor, Event
from bascule.domain.facts import agents, grants, machines, policies, record
from bascule.domain.facts.calls import CallerDenied
from bascule.domain.facts.fact import Fact
from bascule.services.cef import CUT, cef_line, escape_header, escape_value
from bascule.services.syslog_text import LONGEST_MESSAGE, syslog_message
from tests.contracts.store.samples import FACTS, a_fact, a_grant
from tests.samples import NOW, WEB
from tests.syslog_text import read_cef, read_message

ANY_TEXT = st.text(st.characters(codec=None), max_size=400)  # half surrogates too
NASTY = "a|b\\c=d\r\ne suser=root\u202eoot\u2028CEF:0|x\x00\x1b[31m\ud800"


def sealed(fact: Fact, actor: Actor = SYSTEM, resource: str = str(WEB)) -> Link:
    record = Event("e-1", NOW, actor, resource, fact, "c-1").record()
    return link_after(ChainHead(6, "ab" * 32), json.loads(json.dumps(record)))


@pytest.mark.parametrize("kind", FACTS, ids=lambda each: each.__name__)
def test_every_kind_is_a_line_and_a_message(kind: type[Fact]) -> None:
    link = sealed(a_fact(kind))
    cef = read_cef(cef_line(link, {}))
    assert (cef.version, cef.vendor, cef.product) == ("CEF:0", "Bascule", "Bascule")
    assert (cef.signature, cef.fields["act"]) == (kind.__name__,) * 2
    assert (cef.fields["externalId"], cef.fields["cs2"]) == ("7", link.hash)
    assert 0 <= cef.severity <= 10
    for form in (Form.CEF, Form.OCSF):
        message = read_message(syslog_message(link, {}, form, "bascule.example"))
        assert (message.facility, message.app, message.kind) == (13, "bascule", kind.__name__)
        assert 2 <= message.severity <= 6
        if form is Form.OCSF:
            assert json.loads(message.body)["metadata"]["sequence"] == 7


def test_escapes() -> None:
    assert escape_header("a|b\\c=d\n") == "a\\|b\\\\c=d<U+000A>"
    assert escape_value("a|b\\c=d\r\n") == "a|b\\\\c\\=d\\r\\n"
    assert escape_value("\u202e\x1b\ud800\U000e0041") == "<U+202E><U+001B><U+D800><U+E0041>"
    assert escape_value("élan 日本") == "élan 日本"


def test_what_somebody_typed_stays_in_its_field() -> None:
    typed = grants.AccessRequested("r", "p", ("m",), NASTY)
    actor = Actor("id", NASTY, "User", "192.0.2.7", NASTY)
    line = cef_line(sealed(typed, actor), {})
    cef = read_cef(line)
    shown = "a|b\\c=d\r\ne suser=root<U+202E>oot<U+2028>CEF:0|x<U+0000><U+001B>[31m<U+D800>"
    assert cef.fields["msg"] == cef.fields["suser"] == shown
    assert cef.fields["src"] == "192.0.2.7"
    assert line.encode().decode().isprintable()


@given(ANY_TEXT, ANY_TEXT, ANY_TEXT)
def test_no_text_makes_a_field(why: str, name: str, path: str) -> None:
    for fact in (grants.AccessRequested("r", "p", ("m",), why), CallerDenied("GET", path, why)):
        link = sealed(fact, Actor("id", name, "User", "2001:db8::1", path), path)
        cef = read_cef(cef_line(link, {}))
        assert cef.fields.keys() <= {
            "rt",
            "externalId",
            "cat",
            "act",
            "outcome",
            "suid",
            "suser",
            "spriv",
            "c6a2",
            "c6a2Label",
            "requestClientApplication",
            "dhost",
            "reason",
            "msg",
            "requestMethod",
            "request",
            *(f"cs{n}" for n in range(1, 7)),
            *(f"cs{n}Label" for n in range(1, 7)),
        }
        assert cef.fields["act"] == type(fact).__name__
        assert (cef.fields["c6a2"], "src" in cef.fields) == ("2001:db8::1", False)
        for form in (Form.CEF, Form.OCSF):
            data = syslog_message(link, {}, form, name)
            assert len(data) <= LONGEST_MESSAGE
            message = read_message(data)
            assert b"\n" not in data
            if form is Form.CEF:
                assert message.body.startswith(b"CEF:0|")


@given(st.text(st.sampled_from("\u202e=\\|\n x\U000e0041"), max_size=9000))
def test_the_longest_of_texts_fits_and_the_hash_stays(why: str) -> None:
    link = sealed(grants.AccessRequested("r", "p", ("m",), why), Actor("i", why, "User"), "/" + why)
    for form in (Form.CEF, Form.OCSF):
        data = syslog_message(link, {}, form, "h")
        assert len(data) <= LONGEST_MESSAGE
        assert link.hash.encode() in data
        body = read_message(data).body
        if form is Form.CEF:
            assert read_cef(body.decode()).fields["externalId"] == "7"
        else:
            assert json.loads(body)["metadata"]["uid"] == "e-1"


def test_a_cut_shows() -> None:
    long = grants.AccessRequested("r", "p", ("m",), "x" * 5000)
    fields = read_cef(cef_line(sealed(long), {})).fields
    assert len(fields["msg"]) == 1023
    assert fields["msg"].endswith(CUT)
    rules = policies.PolicyCreated("p", "y" * 100_000)
    event = json.loads(read_message(syslog_message(sealed(rules), {}, Form.OCSF, "h")).body)
    assert event["unmapped"]["isShortened"] is True
    assert "data" not in event["unmapped"]


def test_a_grant_says_for_whom_where_and_until_when() -> None:
    grant = a_grant()
    opened = grants.GrantOpened(grant.id, grant.request_id, str(WEB))
    agent = Actor("u", "web-1", "Agent", "10.0.0.1")
    fields = read_cef(cef_line(sealed(opened, agent), {grant.id: grant})).fields
    said = {key: fields[key] for key in ("duser", "dpt", "dhost", "suser", "outcome", "cs4")}
    assert said == {
        "duser": "Ada Lovelace",
        "dpt": "22",
        "dhost": "web-1",
        "suser": "web-1",
        "outcome": "success",
        "cs4": "192.0.2.7, 2001:db8::/64",
    }
    assert int(fields["end"]) - int(fields["start"]) == 3_600_000
    local = agents.OpenedLocally(str(WEB), "3389/tcp", ("192.0.2.9",), 900)
    assert read_cef(cef_line(sealed(local), {})).fields["dpt"] == "3389"


def test_a_name_that_syslog_cannot_say_is_nil() -> None:
    assert (
        read_message(syslog_message(sealed(a_fact(machines.PortClosed)), {}, Form.CEF, "")).host
        == "-"
    )
    odd = syslog_message(sealed(a_fact(machines.PortClosed)), {}, Form.CEF, "host name\n\u202e")
    assert read_message(odd).host == "hostname"


def test_severity_follows_what_happened() -> None:
    def both(fact: Fact) -> tuple[int, int]:
        link = sealed(fact)
        return read_cef(cef_line(link, {})).severity, read_message(
            syslog_message(link, {}, Form.CEF, "h")
        ).severity

    assert both(a_fact(machines.MachineAdded)) == (1, 6)
    assert both(a_fact(record.RecordBroken)) == (10, 2)
    assert both(CallerDenied("GET", "/x", "no")) == (5, 4)


def test_the_readers_can_fail() -> None:
    wrong: list[Any] = [
        (read_cef, "CEF:0|a|b|c|d|e|1"),
        (read_cef, "CEF:0|a|b|c|d|e|1|k=v=w"),
        (read_cef, "CEF:0|a|b|c|d|e|1|k=a\\b"),
        (read_cef, "CEF:0|a|b|c|d|e|1|k=a\nb"),
        (read_cef, "CEF:0|a|b|c|d|e|1|k=a k=b"),
        (read_message, b"<14>1 2030-01-31T12:00:00.1234567Z h a - k - m"),
        (read_message, b"<192>1 - h a - k - m"),
        (read_message, b"<14>1 - h a - " + b"k" * 33 + b" - m"),
        (read_message, b'<14>1 - h a - k [o v="]"] m'),
    ]
    for read, text in wrong:
        with pytest.raises(ValueError):
            read(text)
    assert dataclasses.is_dataclass(read_message(b"<14>1 - h a - k - m"))
