"""Whoever ends TLS between agents and a server changes nothing (EDGES I1).

A real server, real links of agents, and a proxy between them that edits, replays, delays, exchanges,
reuses and invents. Each time, nothing changes at either end, and the agent says why.
"""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent.enrolment import enrol, load_identity, parse_token, trust_of
from bascule.agent.http_link import HttpLink
from bascule.agent.line_link import LineLink
from bascule.agent.link import ChangedOnTheWay, Identity, KeyRefused
from bascule.agent.witness import Witness
from bascule.clocks import SystemClock
from bascule.errors import AuthenticationFailed, BasculeError, ServerUnreachable
from bascule.protocol.enrolment import base64url
from bascule.protocol.line import Sealed, write
from bascule.protocol.report import Report
from bascule.protocol.signed import public_of
from tests.support.enrolling import enrol_body
from tests.support.hostile_proxy import Answer, Asked, HostileProxy
from tests.unit.client.test_connection import certificate
from tests.unit.test_agent_line import Ear, Shifting
from tests.wire.running import Server, running

pytestmark = [pytest.mark.sockets, pytest.mark.filterwarnings("ignore::ResourceWarning")]
REFUSAL = {"error": {"code": "AgentUnknown", "message": "Gone."}}


class Place:
    """A server, the proxy, and the agents of two machines that come through it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        path, self.proxy_ca = certificate(folder, "proxy", "127.0.0.1")
        ca = folder / "data" / "ca.pem"
        self.proxy = HostileProxy(server.endpoint, ca, path)
        self.web, self.db = self.enrol("web-1"), self.enrol("db-1")

    def machine(self, name: str) -> str:
        return f"{self.server.group}/providers/Microsoft.Compute/virtualMachines/{name}"

    def token(self, name: str, **more: Any) -> str:
        self.server.call("PUT", self.machine(name), {})
        path = f"{self.machine(name)}/providers/Bascule.Fleet/enrolments"
        made = self.server.call("POST", path, {"replace": True, "throughProxy": True, **more})
        return str(made["properties"]["token"])

    def enrol(self, name: str) -> Identity:
        state = self.folder / name
        state.mkdir(exist_ok=True)
        token = parse_token(self.token(name))
        return enrol(state, self.proxy.url, token, SystemClock(), proxy_ca=self.proxy_ca)

    def call_link(self, name: str, clock: SystemClock | None = None) -> HttpLink:
        state = self.folder / name
        identity = load_identity(state)
        assert identity is not None
        return HttpLink(identity, trust_of(state), clock or SystemClock())

    @contextmanager
    def line(self, name: str) -> Iterator[tuple[LineLink, Ear, list[BaseException]]]:
        """A link whose one line is followed by a thread; how it ended, once it has."""
        state = self.folder / name
        identity = load_identity(state)
        assert identity is not None
        link = LineLink(identity, trust_of(state), SystemClock(), Witness())
        ear, ended, over = Ear(), list[BaseException](), threading.Event()

        def listen() -> None:
            try:
                link.listen(ear, over.is_set)
            except BasculeError as error:
                ended.append(error)

        thread = threading.Thread(target=listen, daemon=True)
        thread.start()
        try:
            yield link, ear, ended
        finally:
            over.set()
            link.close()
            thread.join(10)

    def point(self, name: str) -> dict[str, Any]:
        """What the server knows of the agent."""
        path = f"{self.machine(name)}/providers/Bascule.Fleet/enforcementPoints"
        (found,) = self.server.call("GET", path)["value"]
        return dict(found["properties"])


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("through")
    with running(folder, "--proxy", "127.0.0.1") as server:
        made = Place(server, folder)
        yield made
        made.proxy.close()


@pytest.fixture(autouse=True)
def honest(place: Place) -> Iterator[None]:
    place.proxy.honest()
    yield
    place.proxy.honest()


def until(what: list[BaseException]) -> BaseException:
    deadline = time.monotonic() + 30
    while not what:
        assert time.monotonic() < deadline, "the line did not end"
        time.sleep(0.02)
    return what[0]


def ask(place: Place, name: str = "web-1") -> Any:
    link = place.call_link(name)
    try:
        return link.fetch_state(lambda: None)
    finally:
        link.close()


def report(place: Place, clock: SystemClock | None = None, version: str = "") -> int:
    link = place.call_link("web-1", clock)
    try:
        return link.send_report(Report(0, frozenset(), agent_version=version))
    finally:
        link.close()


# -- an honest proxy


def test_calls_and_lines_pass(place: Place) -> None:
    assert ask(place).machine_uid == place.web.machine_uid
    report(place, version="by call")
    assert place.point("web-1")["agentVersion"] == "by call"
    with place.line("web-1") as (link, ear, _):
        ear.wait("line")
        assert link.fetch_state(lambda: None).machine_uid == place.web.machine_uid
        link.send_report(Report(0, frozenset(), agent_version="by line"))
    assert place.point("web-1")["agentVersion"] == "by line"


def test_nothing_of_use_to_the_proxy_is_sent(place: Place) -> None:
    token = place.token("third")
    (place.folder / "third").mkdir()
    enrol(
        place.folder / "third",
        place.proxy.url,
        parse_token(token),
        SystemClock(),
        proxy_ca=place.proxy_ca,
    )
    seen = "\n".join(f"{asked}" for asked, _ in place.proxy.calls)
    secret = json.loads(base64.urlsafe_b64decode(token.partition(".")[2] + "=="))["s"]
    assert token not in seen
    assert secret not in seen
    assert "Bearer" not in seen
    assert "client_assertion" not in seen
    assert "Bascule-Agent" in seen


# -- what it does with answers


def other_answer(place: Place, asked: Asked) -> Answer:
    """What the server says to the other agent, just now."""
    ask(place, "db-1")
    return place.proxy.calls[-1][1]


@pytest.mark.parametrize(
    "how", ["edited", "status", "unsigned", "other key", "replayed", "swapped"]
)
def test_an_answer_that_was_changed_is_not_taken(place: Place, how: str) -> None:
    first = ask(place)
    kept = place.proxy.calls[-1][1]
    place.proxy.calls.clear()
    ask(place, "db-1")
    swapped = place.proxy.calls[-1][1]
    unsigned = {k: v for k, v in kept.headers.items() if k != "bascule-signature"}
    forged = base64url(Ed25519PrivateKey.generate().sign(b"anything"))

    def change(_: Asked, answer: Answer) -> Answer:
        return {
            "edited": replace(
                answer, content=answer.content.replace(b'"closed":[]', b'"closed":[ ]')
            ),
            "status": replace(answer, status=201),
            "unsigned": replace(answer, headers=unsigned),
            "other key": replace(answer, headers={**unsigned, "bascule-signature": forged}),
            "replayed": kept,
            "swapped": swapped,
        }[how]

    place.proxy.on_answer = change
    with pytest.raises(ServerUnreachable) as caught:
        ask(place)
    assert isinstance(caught.value, ChangedOnTheWay) or how == "status"
    place.proxy.honest()
    assert ask(place) == first


@pytest.mark.parametrize("code", ["AgentUnknown", "RevokedToken", "AgentKeyRefused"])
def test_only_the_server_says_that_a_key_is_refused(place: Place, code: str) -> None:
    """Else whoever is in between could end all that is open."""
    content = json.dumps({"error": {"code": code, "message": "Gone."}}).encode()
    place.proxy.on_call = lambda _: Answer(401, {}, content)
    with pytest.raises(ServerUnreachable):
        ask(place)


def test_a_refusal_of_another_key_is_not_the_agents(place: Place) -> None:
    """The proxy asks with a key of its own and the agent's nonce: the server's true and signed answer is
    of that key, and so of no use.
    """
    from bascule.protocol.calls import call_text, read_header, write_header

    mine = Ed25519PrivateKey.generate()

    def as_itself(asked: Asked) -> Asked:
        proof = read_header(asked.headers["Authorization"])
        assert proof is not None
        proof = replace(proof, public_key=public_of(mine))
        where = (place.web.tenant_id, place.web.machine_uid, asked.method, asked.path)
        signature = base64url(mine.sign(call_text(*where, proof)))
        header = write_header(replace(proof, signature=signature))
        return replace(asked, headers={**asked.headers, "Authorization": header})

    place.proxy.on_call = as_itself
    with pytest.raises(ServerUnreachable):
        ask(place)
    assert place.proxy.calls[-1][1].status == 401
    assert "RevokedToken" in place.proxy.calls[-1][1].content.decode()


def test_an_agent_that_was_replaced_is_told_so_by_the_server(place: Place) -> None:
    """The honest case of the one before."""
    old = place.enrol("old")
    state = place.folder / "old"
    kept = (state / "identity.json").read_text()
    place.enrol("old")
    (state / "identity.json").write_text(kept)
    with pytest.raises(KeyRefused):
        ask(place, "old")
    with place.line("old") as (_, _, ended):
        assert isinstance(until(ended), KeyRefused)
    assert old.machine_uid


# -- what it does with calls


@pytest.mark.parametrize("how", ["body", "path", "query", "method", "header"])
def test_a_call_that_was_changed_is_refused(place: Place, how: str) -> None:
    report(place, version="before")

    def change(asked: Asked) -> Asked:
        other = place.db.machine_uid
        return {
            "body": replace(asked, body=asked.body.replace(b"after!", b"forged")),
            "path": replace(asked, path=asked.path.replace(place.web.machine_uid, other)),
            "query": replace(asked, path=f"{asked.path}?machine={other}"),
            "method": replace(asked, path=asked.path.replace("report", "state")),
            "header": replace(
                asked, headers={**asked.headers, "Authorization": "Bascule-Agent e30"}
            ),
        }[how]

    place.proxy.on_call = change
    with pytest.raises(ServerUnreachable):
        report(place, version="after!")
    assert place.proxy.calls[-1][1].status in (401, 405)
    assert place.point("web-1")["agentVersion"] == "before"


def test_a_report_counts_once(place: Place) -> None:
    report(place, version="first")
    (asked, answer) = place.proxy.calls[-1]
    assert (asked.method, answer.status) == ("POST", 200)
    report(place, version="second")
    again = place.proxy.forward(asked)
    assert (again.status, json.loads(again.content)["error"]["code"]) == (401, "CallNotProved")
    assert place.point("web-1")["agentVersion"] == "second"


def test_a_report_that_was_held_back_is_too_old(place: Place) -> None:
    report(place, version="in time")
    late = Shifting()
    late.turned = -SystemClock().now().resolution * 301_000_000  # as if it had been signed then
    with pytest.raises(ServerUnreachable):
        report(place, late, version="late")
    assert place.point("web-1")["agentVersion"] == "in time"


def test_a_wrong_clock_of_the_host_does_not_matter(place: Place) -> None:
    """Once a signed state has told the server's time."""
    late = Shifting()
    late.turned = -SystemClock().now().resolution * 86_400_000_000
    link = place.call_link("web-1", late)
    link.fetch_state(lambda: None)
    link.send_report(Report(0, frozenset(), agent_version="of a day ago"))
    link.close()
    assert place.point("web-1")["agentVersion"] == "of a day ago"


# -- what it does with lines


def changed(place: Place, how: str, number: int, down: bool) -> None:
    """Have the proxy do that with the message of that number in one direction."""
    seen = list[bytes]()

    def act(text: bytes) -> list[bytes]:
        seen.append(text)
        if len(seen) != number + 1:
            return [text]
        return {
            "edited": [text.replace(b":", b": ", 1)],
            "repeated": [text, text],
            "left out": [],
            "unsealed": [text[43:]],
            "exchanged": [seen[number - 1]],
        }[how]

    if down:
        place.proxy.down = act
    else:
        place.proxy.up = act


def talk(link: LineLink) -> None:
    link.fetch_state(lambda: None)
    link.send_report(Report(0, frozenset(), agent_version="after!"))
    link.fetch_state(lambda: None)


@pytest.mark.parametrize("how", ["edited", "repeated", "left out", "unsealed", "exchanged"])
@pytest.mark.parametrize("down", [True, False], ids=["by the server", "by the agent"])
def test_a_message_that_was_changed_ends_the_line(
    place: Place, how: str, down: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the server: challenge, seal, welcome, beat, state. From the agent: proof, ask, report."""
    monkeypatch.setattr("bascule.agent.line.WITHIN", 3.0)
    report(place, version="before")
    changed(place, how, 4 if down else 2, down)
    with place.line("web-1") as (link, ear, ended):
        ear.wait("line")
        with pytest.raises(ServerUnreachable):
            talk(link)
        if how == "left out":  # seen with the next message
            with contextlib.suppress(ServerUnreachable):
                link.send_report(Report(0, frozenset(), agent_version="after!"))
        error = until(ended)
    assert not isinstance(error, KeyRefused)
    if down and how != "left out":
        assert isinstance(error, ChangedOnTheWay)
    if not (down or how == "repeated"):
        assert place.point("web-1")["agentVersion"] == "before"


@pytest.mark.parametrize("number", [0, 1])
@pytest.mark.parametrize("code", ["AgentUnknown", "AgentKeyRefused"])
def test_a_forged_refusal_ends_the_line_and_nothing_else(
    place: Place, number: int, code: str
) -> None:
    refusal = json.dumps({"kind": "refused", "id": "", "status": 401, "code": code, "message": "x"})
    seen = list[bytes]()

    def act(text: bytes) -> list[bytes]:
        seen.append(text)
        return [refusal.encode()] if len(seen) == number + 1 else [text]

    place.proxy.down = act
    with place.line("web-1") as (_, ear, ended):
        error = until(ended)
    assert isinstance(error, ServerUnreachable)
    assert not isinstance(error, KeyRefused)
    assert ear.heard == []


def test_a_seal_of_the_proxys_own_is_not_taken(place: Place) -> None:
    def act(text: bytes) -> list[bytes]:
        if b'"sealed"' not in text:
            return [text]
        return [write(Sealed(public_of(Ed25519PrivateKey.generate()), "A" * 86))]

    place.proxy.down = act
    with place.line("web-1") as (_, ear, ended):
        assert isinstance(until(ended), ChangedOnTheWay)
    assert ear.heard == []


def test_a_proof_that_was_changed_is_no_refusal_of_the_key(place: Place) -> None:
    """The server says nothing of the key, which the proxy could have had it say otherwise."""

    def act(text: bytes) -> list[bytes]:
        told = json.loads(text) if text.startswith(b"{") else {}
        if told.get("kind") == "proof":
            told["signature"] = "A" * 86
            return [json.dumps(told).encode()]
        return [text]

    place.proxy.up = act
    with place.line("web-1") as (_, ear, ended):
        error = until(ended)
    assert isinstance(error, ServerUnreachable)
    assert not isinstance(error, KeyRefused)
    assert ear.heard == []


def test_a_seal_for_another_key_is_of_no_use(place: Place) -> None:
    """The proxy names a key of its own in the agent's proof: the refusal that follows is sealed for it."""

    def act(text: bytes) -> list[bytes]:
        told = json.loads(text) if text.startswith(b"{") else {}
        if told.get("kind") == "proof":
            told["publicKey"] = public_of(Ed25519PrivateKey.generate())
            return [json.dumps(told).encode()]
        return [text]

    place.proxy.up = act
    with place.line("web-1") as (_, ear, ended):
        assert isinstance(until(ended), ChangedOnTheWay)
    assert ear.heard == []


def test_a_line_of_another_connection_cannot_be_replayed(place: Place) -> None:
    with place.line("web-1") as (link, ear, _):
        ear.wait("line")
        link.fetch_state(lambda: None)
    before = [text for way, text in place.proxy.lines if way == "down"]
    place.proxy.honest()
    count = iter(range(100))
    place.proxy.down = lambda text: [before[number]] if (number := next(count)) else [text]
    with place.line("web-1") as (_, ear, ended):
        assert isinstance(until(ended), ChangedOnTheWay)
    assert ear.heard == []


def test_lines_of_two_agents_cannot_be_exchanged(place: Place) -> None:
    """Each is answered what the server says to the other."""
    texts: dict[str, list[bytes]] = {"web-1": [], "db-1": []}
    with place.line("db-1") as (_, ear, _):
        ear.wait("line")
        texts["db-1"] = [text for way, text in place.proxy.lines if way == "down"]
    place.proxy.honest()
    count = iter(range(100))
    place.proxy.down = lambda text: [texts["db-1"][n] if (n := next(count)) == 1 else text]
    with place.line("web-1") as (_, ear, ended):
        assert isinstance(until(ended), ChangedOnTheWay)
    assert ear.heard == []


# -- enrolment


def test_it_enrols_no_key_of_its_own(place: Place) -> None:
    token = place.token("fourth")
    state = place.folder / "fourth"
    state.mkdir()
    mine = public_of(Ed25519PrivateKey.generate())

    def change(asked: Asked) -> Asked:
        if asked.path != "/bascule/enrol":
            return asked
        return replace(
            asked, body=json.dumps({**json.loads(asked.body), "publicKey": mine}).encode()
        )

    place.proxy.on_call = change
    with pytest.raises(AuthenticationFailed):
        enrol(state, place.proxy.url, parse_token(token), SystemClock(), proxy_ca=place.proxy_ca)
    assert load_identity(state) is None
    seen = json.loads(place.proxy.calls[-1][0].body)
    for body in (
        enrol_body(seen["tokenKey"], mine),  # with all that it saw
        {**seen, "publicKey": mine},
        {**seen, "nonce": "n" * 24},
    ):
        told = Asked("POST", "/bascule/enrol", {"Content-Type": "application/json"}, b"")
        answer = place.proxy.forward(replace(told, body=json.dumps(body).encode()))
        assert answer.status == 403
    path = f"{place.machine('fourth')}/providers/Bascule.Fleet/enforcementPoints"
    assert place.server.call("GET", path)["value"] == []
    place.proxy.honest()
    enrol(state, place.proxy.url, parse_token(token), SystemClock(), proxy_ca=place.proxy_ca)


def test_it_makes_nobody_believe_that_they_are_enrolled(place: Place) -> None:
    token = place.token("fifth")
    state = place.folder / "fifth"
    state.mkdir()
    told = {"machineUid": "m", "machineId": "/m", "tenantId": place.web.tenant_id}
    forged = Answer(200, {}, json.dumps(told).encode())
    place.proxy.on_call = lambda asked: forged if asked.path == "/bascule/enrol" else asked
    with pytest.raises(ServerUnreachable, match="did not sign"):
        enrol(state, place.proxy.url, parse_token(token), SystemClock(), proxy_ca=place.proxy_ca)
    assert load_identity(state) is None


def test_an_agent_that_was_not_told_of_a_proxy_accepts_none(place: Place) -> None:
    token = parse_token(place.token("sixth", throughProxy=False))
    state = place.folder / "sixth"
    state.mkdir()
    with pytest.raises(ServerUnreachable):
        enrol(state, place.proxy.url, token, SystemClock())
    assert [asked.path for asked, _ in place.proxy.calls] == ["/bascule/ca.pem"]


def test_without_the_proxys_ca_nothing_is_told(place: Place) -> None:
    """Its certificate is of nobody whom the system's store knows."""
    token = parse_token(place.token("seventh"))
    state = place.folder / "seventh"
    state.mkdir()
    with pytest.raises(ServerUnreachable):
        enrol(state, place.proxy.url, token, SystemClock())
    assert [asked.path for asked, _ in place.proxy.calls] == ["/bascule/ca.pem"]
