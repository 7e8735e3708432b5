"""Sinks: how a target is written, and what becomes of one whose receiver fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.delivery import (
    LONGEST_ASKED,
    LONGEST_WAIT,
    REFUSALS,
    SECRET_OVERLAP,
    Answer,
    Form,
    Outcome,
    Progress,
    Sink,
    SinkKind,
    SinkSecrets,
    SinkState,
    Stretch,
    Transport,
    advance,
    check_form,
    fall_back,
    longest_wait,
    parse_level,
    parse_target,
    wait_after,
)
from bascule.errors import InvalidInput
from tests.samples import NOW

SECOND = timedelta(seconds=1)
HERE = Progress("s", 10)
ONE = Stretch(11, 11, 1)


@pytest.mark.parametrize(
    ("text", "written", "shown", "kind"),
    [
        (
            "https://hooks.example/in",
            "https://hooks.example/in",
            "https://hooks.example/…",
            "webhook",
        ),
        ("HTTPS://Hooks.Example", "https://hooks.example/", "https://hooks.example/", "webhook"),
        ("https://h.example?k=1", "https://h.example/?k=1", "https://h.example/…", "webhook"),
        (
            "https://h.example:8443/a%2Fb",
            "https://h.example:8443/a%2Fb",
            "https://h.example:8443/…",
            "webhook",
        ),
        (
            "https://[2001:DB8::1]:443/",
            "https://[2001:db8::1]/",
            "https://[2001:db8::1]/",
            "webhook",
        ),
        (
            "syslog+tls://siem.example",
            "syslog+tls://siem.example",
            "syslog+tls://siem.example",
            "syslog",
        ),
        (
            "syslog+tcp://10.0.0.1:1514/",
            "syslog+tcp://10.0.0.1:1514",
            "syslog+tcp://10.0.0.1:1514",
            "syslog",
        ),
        ("syslog+udp://h:514", "syslog+udp://h", "syslog+udp://h", "syslog"),
        ("file:record.jsonl", "file:record.jsonl", "file:record.jsonl", "file"),
    ],
)
def test_a_target_and_how_it_is_shown(text: str, written: str, shown: str, kind: str) -> None:
    """A webhook's path is often its secret, so it is shown nowhere."""
    target = parse_target(text)
    assert (str(target), target.shown, str(target.kind)) == (written, shown, kind)
    assert parse_target(written) == target


@pytest.mark.parametrize(
    "text",
    [
        "",
        "http://hooks.example/",
        "https://",
        "https:///path",
        "https://user@hooks.example/",
        "https://user:pass@hooks.example/",
        "https://hooks.example/#part",
        "https://hooks.example\\@inside/",
        "https://hooks.example/a b",
        "https://hooks.example/\r\nHost: inside",
        "https://hooks.example\n",
        "https://hooks.example:0/",
        "https://hooks.example:65536/",
        "https://hooks.example:22/",
        "https://hooks.example:80/",
        "https://[fe80::1%25eth0]/",
        "https://hooks.exämple/",
        "https://hooks.example/…",
        "https://" + "a" * 2048,
        "syslog+tls://siem.example/path",
        "syslog://siem.example",
        "ftp://siem.example",
        "file:",
        "file:../record",
        "file:/etc/passwd",
        "file:a/b",
        "file:.hidden",
        "file:" + "a" * 65,
    ],
)
def test_what_is_no_target(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        parse_target(text, "properties.target")
    assert caught.value.specific_code == "InvalidSinkTarget"
    assert caught.value.target == "properties.target"


def test_forms_by_kind() -> None:
    assert check_form(SinkKind.SYSLOG, None) is Form.CEF
    assert check_form(SinkKind.SYSLOG, Form.OCSF) is Form.OCSF
    assert check_form(SinkKind.WEBHOOK, None) is Form.RECORD
    with pytest.raises(
        InvalidInput, match="A webhook sink sends record or slack or teams, not cef"
    ):
        check_form(SinkKind.WEBHOOK, Form.CEF)


def test_levels() -> None:
    assert (parse_level("Informational"), parse_level("critical")) == (1, 5)
    with pytest.raises(InvalidInput, match="'warning' is not a level"):
        parse_level("warning")


def test_what_a_sink_wants() -> None:
    sink = Sink("s", "s", parse_target("file:f"), Form.RECORD, NOW)
    assert sink.wants("Any", 1)
    some = replace(sink, kinds=("GrantOpened",), level=3)
    assert some.wants("GrantOpened", 3)
    assert not some.wants("GrantOpened", 2)
    assert not some.wants("GrantEnded", 5)
    assert some.wants("EmergencyAccess", 1), "no sink is limited to less"


def test_two_secrets_are_valid_for_a_day_and_neither_shows() -> None:
    first = SinkSecrets("a-secret")
    assert first.valid(NOW) == ("a-secret",)
    both = first.rotated("b-secret", NOW)
    assert both.valid(NOW) == ("b-secret", "a-secret")
    assert both.valid(NOW + SECRET_OVERLAP - SECOND) == ("b-secret", "a-secret")
    assert both.valid(NOW + SECRET_OVERLAP) == ("b-secret",)
    assert both.rotated("c", NOW).valid(NOW) == ("c", "b-secret")
    assert "secret'" not in repr(both)


def test_waits_grow_to_a_bound_and_jitter_is_full() -> None:
    assert [longest_wait(n) / SECOND for n in (0, 1, 2, 3, 10, 11, 10_000)] == [
        1,
        1,
        2,
        4,
        512,
        600,
        600,
    ]
    assert wait_after(4, 0.0) == timedelta()
    assert wait_after(4, 0.5) == 4 * SECOND
    assert wait_after(10_000, 0.999) < LONGEST_WAIT
    assert wait_after(1, 0.0, 30 * SECOND) == 30 * SECOND
    assert wait_after(1, 0.9, timedelta(days=30)) == LONGEST_ASKED


def test_what_was_taken_moves_the_place_and_ends_a_row_of_failures() -> None:
    failed = replace(HERE, failures=3, refusals=2, next_try_at=NOW, last_error="HTTP 500")
    moved = advance(failed, Stretch(15, 14, 2), NOW)
    assert (moved.position, moved.delivered_position, moved.delivered_at) == (15, 14, NOW)
    assert (moved.failures, moved.refusals, moved.next_try_at) == (0, 0, None)
    assert moved.last_error == "HTTP 500"  # the last one is still to be seen
    passed = advance(failed, Stretch(15), NOW)
    assert passed == replace(failed, position=15)


def test_what_fails_waits_where_it_is_for_ever() -> None:
    progress = HERE
    for number in range(1, 100):
        progress = fall_back(progress, ONE, Outcome(Answer.LATER, "HTTP 500"), NOW, 0.5)
        assert (progress.failures, progress.position, progress.state) == (number, 10, "active")
    assert progress.next_try_at == NOW + LONGEST_WAIT / 2
    assert (progress.last_error, progress.last_error_at) == ("HTTP 500", NOW)


def test_a_receiver_that_is_gone_disables() -> None:
    gone = fall_back(HERE, ONE, Outcome(Answer.GONE, "HTTP 410"), NOW, 0.5)
    assert (gone.state, gone.position, gone.next_try_at) == (SinkState.DISABLED, 10, None)


def test_a_refused_event_parks_after_some_tries() -> None:
    refused = Outcome(Answer.REFUSED, "HTTP 400")
    progress = HERE
    for _ in range(REFUSALS - 1):
        progress = fall_back(progress, ONE, refused, NOW, 0.5)
        assert progress.state is SinkState.ACTIVE
        assert progress.next_try_at is not None
    progress = fall_back(progress, ONE, refused, NOW, 0.5)
    assert (progress.state, progress.position, progress.next_try_at) == ("parked", 10, None)


def test_a_refused_batch_is_taken_apart_first() -> None:
    """So that the position that parks it is one event's."""
    refused = Outcome(Answer.REFUSED, "HTTP 413")
    apart = fall_back(HERE, Stretch(30, 30, 20), refused, NOW, 0.5)
    assert (apart.alone_until, apart.refusals, apart.state) == (30, 0, "active")


def test_due_whatever_the_clock_does() -> None:
    assert HERE.is_due(NOW)
    waiting = replace(HERE, next_try_at=NOW + 10 * SECOND)
    assert not waiting.is_due(NOW)
    assert waiting.is_due(NOW + 10 * SECOND)
    assert waiting.is_due(NOW - timedelta(days=365)), "the clock was set back"


def test_resuming_forgets_what_stopped_it() -> None:
    parked = replace(HERE, state=SinkState.PARKED, refusals=5, failures=7, last_error="HTTP 400")
    again = parked.resumed()
    assert (again.state, again.position, again.refusals, again.failures) == ("active", 10, 0, 0)
    assert parked.resumed(4).position == 4


def test_transports_have_kinds() -> None:
    without_host = {Transport.FILE, Transport.MAILTO, Transport.PEOPLE}
    by_host = set(Transport) - without_host
    assert {parse_target(f"{each}://h").transport for each in by_host} == by_host


@pytest.mark.parametrize(
    ("text", "transport", "path"),
    [
        ("mailto:on-call@example.com", Transport.MAILTO, "on-call@example.com"),
        ("MAIL:people", Transport.PEOPLE, ""),
    ],
)
def test_mail_is_a_target(text: str, transport: Transport, path: str) -> None:
    target = parse_target(text)
    assert (target.transport, target.path, target.kind) == (transport, path, SinkKind.MAIL)
    assert parse_target(str(target)) == target
    assert check_form(SinkKind.MAIL, None) is Form.MAIL


@pytest.mark.parametrize(
    "text", ["mailto:", "mailto:a", "mailto:a@b?bcc=c@d", "mail:anna@example.com"]
)
def test_mail_that_is_no_target(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_target(text)


def test_people_are_told_what_concerns_them_unless_kinds_are_named() -> None:
    chat = Sink("i", "chat", parse_target("https://h/x"), Form.SLACK, NOW)
    assert chat.is_filtered
    assert chat.wants("AccessWaiting", 1)
    assert not chat.wants("GrantEnded", 5)
    people = replace(chat, target=parse_target("mail:people"), form=Form.MAIL)
    assert people.wants("GrantEnded", 1)
    assert not people.wants("MachineChanged", 5)
    named = replace(people, kinds=("MachineChanged",))
    assert named.wants("MachineChanged", 1)
    assert not named.wants("GrantEnded", 5)
