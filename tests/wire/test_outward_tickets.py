"""Calls to ticket systems, against real HTTPS on loopback: what is read, what is not, what is not reached."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from bascule.clocks import SystemClock
from bascule.domain.net import AddressPrefix
from bascule.domain.tickets import Answered, Question, TicketAnswer, TicketCheck, question
from bascule.errors import TooManyRequests
from bascule.identity.sealing import Sealer
from bascule.interfaces.tickets import CallFailed
from bascule.outward import tickets
from bascule.outward.tickets import LARGEST_ANSWER, TicketCalls
from bascule.services.cloudevents import new_secret
from bascule.services.tickets import MOST_AT_ONCE_AT_ONE, MOST_AT_ONCE_OF_ONE, TicketDesk
from tests.receivers import (
    NAME,
    Answering,
    Certificate,
    Handler,
    closes,
    drips,
    hook,
    huge,
    make_certificate,
)
from tests.support.own import free_port
from tests.unit.services_world import SetClock

ROOT = Path(__file__).parents[2]
LOOPBACK = (AddressPrefix.parse("127.0.0.0/8"),)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("certificate"), NAME)


def says(body: bytes, code: int = 200, **headers: str) -> Answering:
    def answer(handler: Handler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name, value)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def agrees(handler: Handler) -> None:
    told = json.loads(handler.server.calls[-1].body)
    body = {"nonce": told["nonce"], "digest": told["digest"], "answer": "yes", "text": "ok"}
    says(json.dumps(body).encode())(handler)


def calls(*addresses: str, allowed: Sequence[AddressPrefix] = LOOPBACK) -> TicketCalls:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return addresses or ("127.0.0.1",)

    return TicketCalls(allowed, resolve)


def a_check(port: int, ca: str = "", sealed: str = "", host: str = NAME) -> TicketCheck:
    return TicketCheck(
        "CHG[0-9]+", f"https://{host}:{port}/check", ca_certificates=ca, sealed_secret=sealed
    )


def call(way: TicketCalls, check: TicketCheck) -> bytes:
    return asyncio.run(way.call(check, {"webhook-id": "n"}, b"{}"))


def why_not(way: TicketCalls, check: TicketCheck) -> str:
    with pytest.raises(CallFailed) as failed:
        call(way, check)
    return str(failed.value)


def test_an_answer_is_read_and_the_call_is_signed(certificate: Certificate, tmp_path: Path) -> None:
    sealer, secret = Sealer(tmp_path), new_secret()
    desk = TicketDesk(calls(), SetClock(), sealer)
    with hook(certificate) as server:
        server.answer = agrees
        asked = a_question(server.port, certificate, desk.seal(secret))
        found = asyncio.run(desk.ask([asked], "alice"))
    assert found[asked.digest].answer is TicketAnswer.YES
    (came,) = server.calls
    assert came.is_signed_with(secret)
    assert not came.is_signed_with(new_secret())
    assert came.headers["host"] == f"{NAME}:{server.port}"


def a_question(port: int, certificate: Certificate, sealed: str, ticket: str = "CHG1") -> Question:
    return question(
        a_check(port, certificate.pem, sealed), "/p", ticket, json.dumps({"machines": []})
    )


@pytest.mark.parametrize("code", [201, 204, 301, 302, 307, 308, 400, 401, 404, 500, 503])
def test_any_other_status_is_no_answer(certificate: Certificate, code: int) -> None:
    """A redirect is not followed, wherever it leads."""
    with hook(certificate) as server, hook(certificate) as other:
        server.answer = says(b"{}", code, location=f"https://{NAME}:{other.port}/")
        assert (
            why_not(calls(), a_check(server.port, certificate.pem)) == f"It answered HTTP {code}."
        )
    assert other.calls == []


@pytest.mark.parametrize("answer", [closes, huge, drips, says(b"x" * (LARGEST_ANSWER + 1))])
def test_an_answer_without_end_is_cut_off(
    certificate: Certificate, answer: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tickets, "CALL_SECONDS", 1.0)
    began = time.monotonic()  # reason: sockets wait by the real clock
    with hook(certificate) as server:
        server.answer = answer
        assert why_not(calls(), a_check(server.port, certificate.pem))
        assert time.monotonic() - began < 3  # reason: as above


@pytest.mark.parametrize(
    "address", ["10.0.0.1", "169.254.169.254", "192.168.1.1", "0.0.0.0", "::1", "::ffff:127.0.0.1"]
)
def test_no_address_inside_is_reached(certificate: Certificate, address: str) -> None:
    """One of several is enough to refuse all: DNS rebinding."""
    with hook(certificate) as server:
        for addresses in ((address,), ("127.0.0.1", address)):
            words = why_not(calls(*addresses), a_check(server.port, certificate.pem))
            assert "--allow-sink-network" in words or "unspecified" in words or "mapped" in words
    assert server.calls == []


def test_the_name_is_looked_up_for_each_call_and_judged_each_time(certificate: Certificate) -> None:
    told = [["127.0.0.1"], ["10.0.0.1"]]

    async def resolve(host: str, port: int) -> Sequence[str]:
        return told.pop(0)

    way = TicketCalls(LOOPBACK, resolve)
    with hook(certificate) as server:
        server.answer = says(b"{}")
        check = a_check(server.port, certificate.pem)
        assert call(way, check) == b"{}"
        assert "10.0.0.1" in why_not(way, check)


def test_without_the_operators_word_loopback_is_not_reached(certificate: Certificate) -> None:
    with hook(certificate) as server:
        assert "loopback" in why_not(calls(allowed=()), a_check(server.port, certificate.pem))
    assert server.calls == []


def test_a_certificate_of_another_is_not_taken(certificate: Certificate, tmp_path: Path) -> None:
    other = make_certificate(tmp_path, "other.example")
    with hook(certificate) as server, hook(other) as stranger:
        for port, ca in (
            (server.port, ""),
            (server.port, other.pem),
            (stranger.port, other.pem),
        ):
            assert why_not(calls(), a_check(port, ca)).startswith("It was not reached:")
    assert server.calls == stranger.calls == []


def test_a_lost_key_asks_nobody(certificate: Certificate, tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
    sealed = TicketDesk(calls(), SetClock(), Sealer(tmp_path / "a")).seal(new_secret())
    desk = TicketDesk(calls(), SetClock(), Sealer(tmp_path / "b"))
    with hook(certificate) as server:
        asked = a_question(server.port, certificate, sealed)
        (answered,) = asyncio.run(desk.ask([asked], "alice")).values()
    assert (answered.answer, server.calls) == (TicketAnswer.UNAVAILABLE, [])
    assert "secret cannot be opened" in answered.text


class Stuck:
    """A carrier that never answers for one system, and at once for the other."""

    def __init__(self) -> None:
        self.under_way: list[str] = []
        self.most: dict[str, int] = {}

    def objection(self, check: TicketCheck) -> str:
        return ""

    async def call(self, check: TicketCheck, headers: Any, body: bytes) -> bytes:
        host = check.target.host
        self.under_way.append(host)
        self.most[host] = max(self.most.get(host, 0), self.under_way.count(host))
        try:
            await asyncio.sleep(0.5 if host == "slow.example" else 0)
        finally:
            self.under_way.remove(host)
        raise CallFailed("It did not answer.")


def test_a_slow_system_takes_no_place_of_others(tmp_path: Path) -> None:
    """EDGES J12: however many ask it."""
    carrier = Stuck()
    desk = TicketDesk(carrier, SetClock(), Sealer(tmp_path))
    sealed = desk.seal(new_secret())

    def at(host: str, n: int) -> Question:
        return question(a_check(443, "", sealed, host), "/p", f"CHG{n}", "{}")

    async def go() -> float:
        loop = asyncio.get_running_loop()
        many = [asyncio.create_task(desk.ask([at("slow.example", n)], f"p{n}")) for n in range(40)]
        await asyncio.sleep(0.05)
        began = loop.time()
        await desk.ask([at("quick.example", 0)], "alice")
        took = loop.time() - began
        for each in many:
            each.cancel()
        await asyncio.gather(*many, return_exceptions=True)
        return took

    assert asyncio.run(go()) < 0.3
    assert carrier.most["slow.example"] == MOST_AT_ONCE_AT_ONE


def test_one_person_takes_no_place_of_others(tmp_path: Path) -> None:
    carrier = Stuck()
    desk = TicketDesk(carrier, SetClock(), Sealer(tmp_path))
    sealed = desk.seal(new_secret())
    asked = [
        question(a_check(443, "", sealed, "slow.example"), "/p", f"CHG{n}", "{}") for n in range(5)
    ]

    async def go() -> list[object]:
        asking = (desk.ask([each], "mallory") for each in asked)
        return list(await asyncio.gather(*asking, return_exceptions=True))

    found = asyncio.run(go())
    refused = [each for each in found if isinstance(each, TooManyRequests)]
    assert len(refused) == len(asked) - MOST_AT_ONCE_OF_ONE
    assert carrier.most["slow.example"] == MOST_AT_ONCE_OF_ONE


def test_one_request_may_ask_several_systems(tmp_path: Path) -> None:
    """Its questions are one use of its person's places."""
    desk = TicketDesk(Stuck(), SetClock(), Sealer(tmp_path))
    sealed = desk.seal(new_secret())
    asked = [
        question(a_check(443, "", sealed, f"{n}.example"), f"/p{n}", "CHG1", "{}")
        for n in range(MOST_AT_ONCE_OF_ONE + 2)
    ]
    found = asyncio.run(desk.ask(asked, "anna"))
    assert {each.text for each in found.values()} == {"It did not answer."}


def test_the_example_of_the_page_answers(certificate: Certificate, tmp_path: Path) -> None:
    """docs/approval.md: the ticket system that is printed there, run as it stands."""
    page = (ROOT / "docs" / "approval.md").read_text()
    program = page.split("```python\n")[1].split("```")[0]
    (tmp_path / "system.py").write_text(program)
    sealer, secret, port = Sealer(tmp_path), new_secret(), free_port()
    running = subprocess.Popen(  # reason: the page's own program
        [sys.executable, "system.py", secret, str(port), str(certificate.file)], cwd=tmp_path
    )
    desk = TicketDesk(calls(), SystemClock(), sealer)

    def ask(ticket: str, name: str, key: str) -> Answered:
        asked = json.dumps({"requestor": {"id": "a", "name": name}})
        check = a_check(port, certificate.pem, desk.seal(key))
        wanted = question(check, "/p", ticket, asked)
        return asyncio.run(desk.ask([wanted], ""))[wanted.digest]

    answered = ask("CHG0012345", "anna@example.com", secret)
    try:
        for _ in range(100):
            answered = ask("CHG0012345", "anna@example.com", secret)
            if answered.answer is not TicketAnswer.UNAVAILABLE:
                break
            time.sleep(0.1)
        assert answered.answer is TicketAnswer.YES
        other = ask("CHG0012345", "eve@example.com", secret)
        assert (other.answer, other.text) == (TicketAnswer.NO, "not your change")
        assert ask("CHG0012345", "anna@example.com", new_secret()).text == "It answered HTTP 401."
    finally:
        running.kill()
        running.wait()
