"""The way out, against real receivers on loopback: what is reached, what is not, what it means."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bascule.domain.chain import Link
from bascule.domain.delivery import Answer, Form, Outcome, Sink, parse_target
from bascule.domain.net import AddressPrefix
from bascule.interfaces.delivery import Parcel
from bascule.outward import webhook
from bascule.outward.carriers import Carriers
from bascule.services.cloudevents import new_secret, webhook_parcel
from tests.receivers import (
    NAME,
    Certificate,
    Datagrams,
    closes,
    collector,
    datagrams,
    drips,
    hook,
    huge,
    make_certificate,
    slow,
    status,
)
from tests.samples import NOW
from tests.unit.services_world import SetClock

T = TypeVar("T")
LOOPBACK = (AddressPrefix.parse("127.0.0.0/8"), AddressPrefix.parse("::1"))
SYSLOG = b"<110>1 2030-01-31T12:00:00Z h bascule - k - "


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    folder = tmp_path_factory.mktemp("certificate")
    return make_certificate(folder, NAME, "127.0.0.1", "::1", "localhost")


def a_sink(target: str, ca: str = "", form: Form = Form.RECORD) -> Sink:
    return Sink("s-1", "sink", parse_target(target), form, NOW, ca_certificates=ca)


def a_parcel(*keys: str, text: str = "x") -> Parcel:
    record = {"id": "e-1", "kind": "PortClosed", "at": "2030-01-31T12:00:00.0000000Z"}
    full = {**record, "resourceId": "/r", "data": {"text": text}}
    return webhook_parcel([Link(7, full, "ab")], "/s", keys or (new_secret(),), NOW, is_batch=False)


def resolving(*addresses: str) -> Callable[[str, int], Awaitable[Sequence[str]]]:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses

    return resolve


def carriers(allowed: Sequence[AddressPrefix] = LOOPBACK, **more: Any) -> Carriers:
    more.setdefault("resolve", resolving("127.0.0.1"))
    return Carriers(SetClock(), allowed, **more)


def send(way: Carriers, sink: Sink, *parcels: Parcel) -> list[Outcome]:
    async def go() -> list[Outcome]:
        try:
            return [await way.carry(sink, each) for each in parcels]
        finally:
            await way.close()

    return asyncio.run(go())


# -- webhooks --------------------------------------------------------------------------------


def test_a_call_reaches_the_named_receiver_signed(certificate: Certificate) -> None:
    old, new = new_secret(), new_secret()
    with hook(certificate) as server:
        sink = a_sink(f"https://{NAME}:{server.port}/in/a%2Fb?key=1", certificate.pem)
        said = send(carriers(), sink, a_parcel(new, old), a_parcel(new))
    assert [each.answer for each in said] == [Answer.TAKEN] * 2
    first, second = server.calls
    assert first.path == "/in/a%2Fb?key=1"
    assert first.headers["host"] == f"{NAME}:{server.port}"
    assert first.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert first.is_signed_with(new)
    assert first.is_signed_with(old)
    assert not second.is_signed_with(old)
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == "e-1"
    assert "cookie" not in first.headers
    assert "authorization" not in first.headers
    (event,) = first.events
    assert (event["specversion"], event["id"], event["type"]) == (
        "1.0",
        "e-1",
        "bascule.record.PortClosed.v1",
    )


@pytest.mark.parametrize(
    ("code", "answer"),
    [
        (200, Answer.TAKEN),
        (202, Answer.TAKEN),
        (204, Answer.TAKEN),
        (301, Answer.LATER),
        (302, Answer.LATER),
        (307, Answer.LATER),
        (308, Answer.LATER),
        (400, Answer.REFUSED),
        (401, Answer.LATER),
        (403, Answer.LATER),
        (404, Answer.LATER),
        (408, Answer.LATER),
        (410, Answer.GONE),
        (413, Answer.REFUSED),
        (422, Answer.REFUSED),
        (429, Answer.LATER),
        (500, Answer.LATER),
        (503, Answer.LATER),
    ],
)
def test_what_a_status_means(certificate: Certificate, code: int, answer: Answer) -> None:
    with hook(certificate) as server:
        server.answer = status(code, Location=f"https://{NAME}:{server.port}/elsewhere")
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        (said,) = send(carriers(), sink, a_parcel())
    assert said.answer is answer
    assert said.said.startswith(f"HTTP {code}")
    assert len(server.calls) == 1, "no redirect is followed"


def test_a_receiver_may_ask_for_time(certificate: Certificate) -> None:
    with hook(certificate) as server:
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        waits = []
        for text in ("120", "Tue, 01 Jan 2030 12:05:00 GMT", "soon", "-5", "9" * 30):
            server.answer = status(429, Retry_After=text)
            waits += [each.wait for each in send(carriers(), sink, a_parcel())]
    assert waits == [
        timedelta(seconds=120),
        timedelta(minutes=5),
        None,
        None,
        timedelta(days=1),
    ]


def test_a_receiver_that_closes_is_tried_later(certificate: Certificate) -> None:
    with hook(certificate) as server:
        server.answer = closes
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        (said,) = send(carriers(), sink, a_parcel())
    assert said.answer is Answer.LATER


def test_a_slow_receiver_costs_its_own_sink_a_bounded_time(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "CALL_SECONDS", 0.5)
    with hook(certificate) as server:
        server.answer = slow(2)
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        (said,) = send(carriers(), sink, a_parcel())
    assert said.answer is Answer.LATER
    assert "no answer within" in said.said or "did not answer in time" in said.said


@pytest.mark.parametrize("answering", [huge, drips], ids=["huge", "drips"])
def test_an_endless_answer_is_not_read(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, answering: Any
) -> None:
    monkeypatch.setattr(webhook, "BODY_SECONDS", 0.5)
    with hook(certificate) as server:
        server.answer = answering
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        said = send(carriers(), sink, a_parcel())
    assert said == [Outcome(Answer.TAKEN, "HTTP 200")], "the status counts, the body is nobody's"


def test_what_a_receiver_writes_is_kept_nowhere(certificate: Certificate) -> None:
    def talks(handler: Any) -> None:
        handler.send_response(500, "inside secret\x1b[31m")
        handler.send_header("content-length", "6")
        handler.send_header("set-cookie", "a=b")
        handler.end_headers()
        handler.wfile.write(b"secret")

    with hook(certificate) as server:
        server.answer = talks
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        said = send(carriers(), sink, a_parcel(), a_parcel())
    assert {each.said for each in said} <= {
        "HTTP 500",
        "the connection failed (RemoteProtocolError)",
    }
    assert all("cookie" not in call.headers for call in server.calls)


def test_another_names_certificate_and_an_unknown_ca_are_refused(
    certificate: Certificate, tmp_path: Path
) -> None:
    other = make_certificate(tmp_path, "other.example")
    with hook(other) as server:
        url = f"https://{NAME}:{server.port}/"
        (wrong_name,) = send(carriers(), a_sink(url, other.pem), a_parcel())
        (wrong_ca,) = send(carriers(), a_sink(url, certificate.pem), a_parcel())
        (no_ca,) = send(carriers(), a_sink(url), a_parcel())
    for said in (wrong_name, wrong_ca, no_ca):
        assert said.answer is Answer.LATER
        assert "certificate is not trusted" in said.said
    assert server.calls == []


def test_a_name_that_leads_inside_is_not_connected_to(certificate: Certificate) -> None:
    with hook(certificate) as server:
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        (said,) = send(carriers(()), sink, a_parcel())
        assert said.answer is Answer.LATER
        assert "is loopback" in said.said
        assert "--allow-sink-network" in said.said
        mixed = carriers((), resolve=resolving("8.8.8.8", "127.0.0.1"))
        (said,) = send(mixed, sink, a_parcel())
        assert "is loopback" in said.said, "one bad address refuses all"
    assert server.calls == []


def test_a_name_that_is_bound_anew_leads_nowhere_else(certificate: Certificate) -> None:
    """DNS rebinding: judged is what is connected to, and each connection is judged."""
    asked: list[str] = []

    async def rebinding(host: str, port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.2"] if len(asked) == 1 else ["127.0.0.1"]

    allowed = (AddressPrefix.parse("127.0.0.2"),)
    with (
        hook(certificate, "127.0.0.2") as server,
        hook(certificate, "127.0.0.1", server.port) as inside,
    ):
        way = carriers(allowed, resolve=rebinding)
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        first, second = send(way, sink, a_parcel(), a_parcel())
    assert (first.answer, second.answer) == (Answer.TAKEN, Answer.LATER)
    assert asked == [NAME, NAME], "the name is asked for once a call, and only by us"
    assert (len(server.calls), inside.calls) == (1, [])


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "[64:ff9b::7f00:1]",
        "10.0.0.1",
        "[fd00::1]",
        "169.254.169.254",
        "0.0.0.0",
        "[::]",
        "[fe80::1]",
        "224.0.0.1",
        "[2002:7f00:1::]",
    ],
)
def test_an_address_that_is_not_global_is_refused_when_it_is_set(host: str) -> None:
    for scheme in ("https", "syslog+tls", "syslog+tcp", "syslog+udp"):
        assert "--allow-sink-network" in carriers(()).objection(a_sink(f"{scheme}://{host}"))
    assert carriers(()).objection(a_sink("https://8.8.8.8/")) == ""


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "localhost"])
def test_an_odd_spelling_of_loopback_is_loopback(host: str, certificate: Certificate) -> None:
    """The system's own resolver takes them, so they are judged behind it."""
    from bascule.outward.resolve import system_addresses

    with hook(certificate) as server:
        way = carriers((), resolve=system_addresses)
        (said,) = send(way, a_sink(f"https://{host}:{server.port}/", certificate.pem), a_parcel())
    assert said.answer is Answer.LATER
    assert server.calls == []
    assert "loopback" in said.said or "no address" in said.said


def test_a_proxy_of_the_environment_is_not_used(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as trap:
        trap.bind(("127.0.0.1", 0))
        trap.listen()
        for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{trap.getsockname()[1]}")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        with hook(certificate) as server:
            sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
            (said,) = send(carriers(), sink, a_parcel())
        assert said.answer is Answer.TAKEN
        trap.setblocking(False)
        with pytest.raises(BlockingIOError):
            trap.accept()


def test_ipv6_is_reached_by_address(certificate: Certificate) -> None:
    with hook(certificate, "::1") as server:
        way = carriers(resolve=resolving("::1"))
        sink = a_sink(f"https://[::1]:{server.port}/", certificate.pem)
        (said,) = send(way, sink, a_parcel())
    assert said.answer is Answer.TAKEN
    assert server.calls[0].headers["host"] == f"[::1]:{server.port}"


def test_the_next_address_is_tried_when_one_cannot_be_connected_to(
    certificate: Certificate,
) -> None:
    with hook(certificate) as server:
        way = carriers(resolve=resolving("127.0.0.3", "127.0.0.1"))
        sink = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        (said,) = send(way, sink, a_parcel())
    assert said.answer is Answer.TAKEN


def test_a_name_without_an_address_is_tried_later() -> None:
    async def nothing(host: str, port: int) -> Sequence[str]:
        raise socket.gaierror(8, "unknown")

    for resolve in (nothing, resolving(), resolving(*(f"8.8.8.{n}" for n in range(40)))):
        for target in ("https://a.example/", "syslog+tcp://a.example", "syslog+udp://a.example"):
            (said,) = send(carriers(resolve=resolve), a_sink(target), a_parcel())
            assert said.answer is Answer.LATER
            assert "a.example" in said.said


def test_two_sinks_at_one_address_share_no_connection(
    certificate: Certificate, tmp_path: Path
) -> None:
    """A connection's certificate was checked for one name alone."""
    with hook(certificate) as server:
        way = carriers()
        one = a_sink(f"https://{NAME}:{server.port}/", certificate.pem)
        two = Sink(
            "s-2",
            "two",
            parse_target(f"https://bad.example:{server.port}/"),
            Form.RECORD,
            NOW,
            ca_certificates=certificate.pem,
        )

        async def go() -> list[Outcome]:
            try:
                return [await way.carry(one, a_parcel()), await way.carry(two, a_parcel())]
            finally:
                await way.close()

        first, second = asyncio.run(go())
    assert (first.answer, second.answer) == (Answer.TAKEN, Answer.LATER)
    assert len(server.calls) == 1


def test_what_is_no_ca_is_refused_when_it_is_set() -> None:
    assert "cannot be used" in carriers().objection(a_sink("https://a.example/", "no PEM"))
    (said,) = send(carriers(), a_sink("https://a.example/", "no PEM"), a_parcel())
    assert said.answer is Answer.LATER


# -- syslog ----------------------------------------------------------------------------------


def messages(*texts: str) -> Parcel:
    return Parcel(tuple(SYSLOG + each.encode() for each in texts))


def heard(server: Any, count: int) -> list[bytes]:
    from tests.e2e.lab_world import until

    until(lambda: len(server.messages) >= count, 30)
    return [each.removeprefix(SYSLOG) for each in server.messages]


@pytest.mark.parametrize("is_secure", [False, True], ids=["tcp", "tls"])
def test_messages_are_counted_and_the_connection_is_kept(
    certificate: Certificate, is_secure: bool
) -> None:
    with collector(certificate if is_secure else None) as server:
        scheme = "syslog+tls" if is_secure else "syslog+tcp"
        sink = a_sink(f"{scheme}://{NAME}:{server.port}", certificate.pem)
        said = send(carriers(), sink, messages("one\ntwo", "é"), messages("three"))
        assert [each.answer for each in said] == [Answer.TAKEN] * 2
        assert heard(server, 3) == [b"one\ntwo", "é".encode(), b"three"]
        assert len(server.open) == 1


def test_a_collector_that_was_restarted_is_connected_to_again() -> None:
    with collector() as server:
        sink = a_sink(f"syslog+tcp://{NAME}:{server.port}")
        way = carriers()

        async def go() -> list[Outcome]:
            said = [await way.carry(sink, messages("one"))]
            await asyncio.sleep(0.2)
            server.cut()
            await asyncio.sleep(0.2)
            said.append(await way.carry(sink, messages("two")))
            await way.close()
            return said

        said = asyncio.run(go())
        assert [each.answer for each in said] == [Answer.TAKEN] * 2
        assert heard(server, 2) == [b"one", b"two"]


def test_a_collector_that_does_not_read_holds_the_place(monkeypatch: pytest.MonkeyPatch) -> None:
    """What its kernel has not acknowledged does not count as delivered."""
    monkeypatch.setattr("bascule.outward.syslog.SEND_SECONDS", 1.0)
    with socket.socket() as deaf:
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        sink = a_sink(f"syslog+tcp://{NAME}:{deaf.getsockname()[1]}")
        (said,) = send(carriers(), sink, Parcel((SYSLOG + b"x" * 20_000_000,)))
    assert said == Outcome(Answer.LATER, "not taken within 1 seconds")


def test_a_sink_that_was_moved_is_sent_to_its_new_place() -> None:
    """The line to the old one is open, and must not be kept."""
    with collector() as old, collector() as new:
        way = carriers()

        async def go() -> list[Outcome]:
            try:
                return [
                    await way.carry(a_sink(f"syslog+tcp://{NAME}:{each.port}"), messages(text))
                    for each, text in ((old, "one"), (new, "two"), (old, "three"))
                ]
            finally:
                await way.close()

        assert [each.answer for each in asyncio.run(go())] == [Answer.TAKEN] * 3
        assert heard(old, 2) == [b"one", b"three"]
        assert heard(new, 1) == [b"two"]


@pytest.mark.parametrize("scheme", ["syslog+tls", "https"])
def test_a_sink_with_another_ca_trusts_the_old_line_no_more(
    certificate: Certificate, tmp_path: Path, scheme: str
) -> None:
    """Whoever distrusts a CA must not be sent on over what it had certified."""
    other = make_certificate(tmp_path, "other.example")
    opened = collector(certificate) if scheme == "syslog+tls" else hook(certificate)
    parcel = messages("x") if scheme == "syslog+tls" else a_parcel()
    with opened as server:
        way = carriers()

        async def go() -> list[Outcome]:
            sink = a_sink(f"{scheme}://{NAME}:{server.port}/".rstrip("/"), certificate.pem)
            try:
                return [
                    await way.carry(each, parcel)
                    for each in (sink, sink, replace(sink, ca_certificates=other.pem), sink)
                ]
            finally:
                await way.close()

        said = asyncio.run(go())
    assert [each.answer for each in said] == [
        Answer.TAKEN,
        Answer.TAKEN,
        Answer.LATER,
        Answer.TAKEN,
    ]
    assert "certificate is not trusted" in said[2].said


def test_a_collector_that_is_away_or_false(
    certificate: Certificate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bascule.outward.syslog.SILENCE_SECONDS", 1.0)  # for the ICMP to come
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        (said,) = send(carriers(), a_sink(f"syslog+tcp://{NAME}:{port}"), messages("x"))
        assert said.answer is Answer.LATER
    (said,) = send(carriers(), a_sink(f"syslog+udp://{NAME}:{port}"), messages("x", "y"))
    assert said.answer is Answer.LATER
    other = make_certificate(tmp_path, "other.example")
    with collector(other) as server:
        sink = a_sink(f"syslog+tls://{NAME}:{server.port}", other.pem)
        (said,) = send(carriers(), sink, messages("x"))
        assert "certificate is not trusted" in said.said
        (said,) = send(carriers(()), sink, messages("x"))
        assert "--allow-sink-network" in said.said
        assert server.messages == []


def test_datagrams_hold_a_message_each() -> None:
    with datagrams() as found:
        sink = a_sink(f"syslog+udp://{NAME}:{found.port}")
        (said,) = send(carriers(), sink, messages("one", "two"))
        assert said.answer is Answer.TAKEN
        assert heard(found, 2) == [b"one", b"two"]
        assert isinstance(found, Datagrams)


# -- files -----------------------------------------------------------------------------------


def lines(*numbers: int) -> Parcel:
    return Parcel(tuple(json.dumps({"n": n}).encode() + b"\n" for n in numbers))


def test_a_file_is_appended_to_and_begun_anew_after_rotation(tmp_path: Path) -> None:
    sink = a_sink("file:record.jsonl")
    way = carriers(folder=tmp_path)
    path = tmp_path / "record.jsonl"
    assert send(way, sink, lines(1, 2), lines(3)) == [Outcome(Answer.TAKEN, "written")] * 2
    path.rename(tmp_path / "record.jsonl.1")
    send(way, sink, lines(4))
    assert path.read_text() == '{"n": 4}\n'
    assert (tmp_path / "record.jsonl.1").read_text() == '{"n": 1}\n{"n": 2}\n{"n": 3}\n'
    assert path.stat().st_mode & 0o007 == 0


def test_a_shipper_may_read_by_its_group_whatever_the_umask(tmp_path: Path) -> None:
    """Under the unit of docs/operations.md, which has UMask=0077, none could."""
    sink, path = a_sink("file:record.jsonl"), tmp_path / "record.jsonl"
    previous = os.umask(0o077)
    try:
        send(carriers(folder=tmp_path), sink, lines(1))
        assert stat.S_IMODE(path.stat().st_mode) == 0o640
        path.chmod(0o600)
        send(carriers(folder=tmp_path), sink, lines(2))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, "what somebody set stays"
    finally:
        os.umask(previous)
    assert path.read_text() == '{"n": 1}\n{"n": 2}\n'


def test_a_torn_line_spoils_no_other(tmp_path: Path) -> None:
    path = tmp_path / "record.jsonl"
    path.write_bytes(b'{"n": 1}\n{"n": ')
    send(carriers(folder=tmp_path), a_sink("file:record.jsonl"), lines(2))
    assert path.read_bytes() == b'{"n": 1}\n{"n": \n{"n": 2}\n'


def test_no_other_file_is_written(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("mine")
    folder = tmp_path / "sinks"
    folder.mkdir()
    (folder / "link").symlink_to(secret)
    os.mkfifo(folder / "fifo")
    (folder / "folder").mkdir()
    for name in ("link", "fifo", "folder"):
        (said,) = send(carriers(folder=folder), a_sink(f"file:{name}"), lines(1))
        assert said.answer is Answer.LATER, name
    assert secret.read_text() == "mine"


def test_without_a_folder_there_are_no_files() -> None:
    assert "--sink-directory" in carriers().objection(a_sink("file:f"))
    (said,) = send(carriers(), a_sink("file:f"), lines(1))
    assert said.answer is Answer.LATER
