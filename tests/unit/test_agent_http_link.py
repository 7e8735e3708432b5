"""What a server answers a call, and what the agent makes of it: over TLS, by its own link."""

from __future__ import annotations

import hashlib
import ssl
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from bascule.agent import http_link
from bascule.agent.answers import DEEPEST, LARGEST_ANSWER, MOST_VALUES, read_object
from bascule.agent.enrolment import EnrolmentToken, enrol, load_identity, trust_of
from bascule.agent.http_link import HttpLink
from bascule.agent.link import KeyRefused, NotGuarded
from bascule.clocks import SystemClock
from bascule.errors import AuthenticationFailed, ServerUnreachable
from bascule.protocol.report import Report
from tests.e2e.hostile_server import UID, Evil, Here, HostileServer, attacks, gives, says, state

pytestmark = pytest.mark.sockets
T = TypeVar("T")
REPORT = Report(1, frozenset())
LARGE = 24  # MB
PEAK = 96 * 1024 * 1024  # bytes: what 8 MiB may become for a moment


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[HostileServer]:
    with HostileServer(Here(), tmp_path / "hostile") as made:
        yield made


@pytest.fixture
def link(hostile: HostileServer, tmp_path: Path) -> Iterator[HttpLink]:
    hostile.enrol(tmp_path / "state")
    identity = load_identity(tmp_path / "state")
    assert identity is not None
    made = HttpLink(identity, trust_of(tmp_path / "state"), SystemClock())
    yield made
    made.close()


def ask(link: HttpLink) -> object:
    return link.fetch_state(lambda: None)


def tell(link: HttpLink) -> object:
    return link.send_report(REPORT)


def test_an_honest_server_is_heard(link: HttpLink) -> None:
    assert ask(link)
    assert tell(link) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda link: link.fetch_behind("app"),
        lambda link: link.report_behind("app", REPORT),
    ],
)
def test_a_machine_that_was_unbound_since_it_was_named_is_named_no_more(
    hostile: HostileServer, link: HttpLink, call: Callable[[HttpLink], object]
) -> None:
    """What it holds open ends in the next pass, not only after the next poll."""
    hostile.evils["state"] = says({**state(1), "guards": {"app": 3, "sql": 5}})
    ask(link)
    assert link.named() == {"app": 3, "sql": 5}
    unbound = says({"error": {"code": "NotBound", "message": "No."}}, 403)
    hostile.evils |= {"state": unbound, "report": unbound}
    with pytest.raises(NotGuarded):
        call(link)
    assert link.named() == {"sql": 5}


TOKEN = {"access_token": "a", "expires_in": 3600}
ODD: list[tuple[str, Evil, Callable[[HttpLink], object]]] = [
    ("state", says({"error": "no"}, 500), ask),
    ("state", says({"error": ["no"]}, 401), ask),
    ("state", says({"error": {"code": {"a": 1}}}, 500), ask),
    ("state", says(["no"], 500), ask),
    ("state", says({}, 200), ask),
    ("state", says({**state(1), "closed": {}}), ask),
    ("state", says({**state(1), "closed": 7}), ask),
    ("state", says({**state(1), "generation": 10**30}), ask),
    ("state", gives(b"\xff\xfe", 200), ask),
    ("state", gives(b"[" * 100_000, 200), ask),
    ("state", gives(b'{"generation": NaN}', 200), ask),
    ("report", says({"generation": "7"}), tell),
    ("report", says({"generation": None}), tell),
    ("report", says({"generation": 1e300}), tell),
    ("report", says({"generation": 10**400}), tell),
    ("report", says({"generation": True}), tell),
    ("report", says([1]), tell),
    ("token", says({"error_codes": 700024}, 400), ask),
    ("token", says({"error_codes": None}, 400), ask),
    ("token", says({"error": "invalid_client", "error_description": ["x"]}, 200), ask),
    ("token", says({**TOKEN, "access_token": "a\r\nX: b"}), ask),
    ("token", says({**TOKEN, "access_token": 7}), ask),
    ("token", says({**TOKEN, "access_token": ""}), ask),
    ("token", says({**TOKEN, "access_token": "\u20ac"}), ask),
    ("token", says({**TOKEN, "expires_in": "3600"}), ask),
    ("token", says({**TOKEN, "expires_in": float("inf")}), ask),
    ("token", says({**TOKEN, "expires_in": float("nan")}), ask),
    ("token", says({**TOKEN, "expires_in": 10**12}), ask),
    ("token", says({"error_codes": [700024], "timestamp": "9999-12-31T23:59:59Z"}, 400), ask),
    ("token", says({"error_codes": [700024], "timestamp": 5}, 400), ask),
]


@pytest.mark.parametrize(("route", "evil", "call"), ODD, ids=map(str, range(len(ODD))))
def test_an_answer_of_an_unexpected_form_is_an_error_of_ours(
    hostile: HostileServer,
    link: HttpLink,
    route: str,
    evil: Evil,
    call: Callable[[HttpLink], object],
) -> None:
    """Not a fault in the middle of a pass: it is said, and asked again (EDGES E4)."""
    hostile.evils[route] = evil
    with pytest.raises(ServerUnreachable):
        call(link)


def test_a_key_is_refused_by_name_and_in_few_words(hostile: HostileServer, link: HttpLink) -> None:
    refusal = {"error": "invalid_client", "error_description": "x" * 1_000_000}
    hostile.evils["token"] = says(refusal, 401)
    with pytest.raises(KeyRefused) as caught:
        ask(link)
    assert len(caught.value.message) < 1000


def peak_of(work: Callable[[], object]) -> int:
    """The most bytes that Python held at a time meanwhile."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", sorted(attacks(1)))
def test_no_answer_takes_much_memory(
    hostile: HostileServer, link: HttpLink, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One state of 60 MB took 1.5 GB of a host (EDGES E4)."""
    monkeypatch.setattr(http_link, "WITHIN", 5.0)  # where size alone would take longer to end it
    route, evil = attacks(LARGE)[name]
    hostile.evils[route] = evil
    calls = {"state": ask, "token": ask, "report": tell}

    def attacked() -> None:
        with pytest.raises(ServerUnreachable):
            calls[route](link)

    assert peak_of(attacked) < PEAK
    assert hostile.asked[route] == 1


def test_enrolment_has_the_same_bounds(hostile: HostileServer, tmp_path: Path) -> None:
    der = ssl.PEM_cert_to_DER_cert(hostile.ca_pem)
    token = EnrolmentToken(UID, hashlib.sha256(der).hexdigest(), "A" * 43, "bascule-enrol.x")
    (tmp_path / "new").mkdir()

    def refused_by(evil: Evil, error: type[Exception]) -> int:
        hostile.evils["enrol"] = evil

        def attempt() -> None:
            with pytest.raises(error):
                enrol(tmp_path / "new", hostile.url, token, SystemClock())

        return peak_of(attempt)

    _, evil = attacks(LARGE)["a large state"]
    assert refused_by(evil, ServerUnreachable) < PEAK
    assert refused_by(says({"error": "no"}, 400), AuthenticationFailed)
    assert refused_by(says({"tenantId": "x" * 10_000, "machineId": "y"}), ServerUnreachable)
    assert refused_by(says({"machineId": "y"}), ServerUnreachable)
    del hostile.evils["enrol"]
    hostile.evils["healthz"] = evil
    assert refused_by(says({}), ServerUnreachable) < PEAK
    hostile.evils["ca.pem"] = evil
    assert refused_by(says({}), ServerUnreachable) < PEAK


def test_json_is_bounded_before_it_is_parsed() -> None:
    deep = b'{"a":' + b"[" * (DEEPEST - 1) + b"]" * (DEEPEST - 1) + b"}"
    assert read_object(deep)
    many = b'{"a":[' + b"1," * (MOST_VALUES - 3) + b"1]}"
    assert len(many) < LARGEST_ANSWER
    assert read_object(many)
    for content in (
        b'{"a":' + b"[" * DEEPEST + b"]" * DEEPEST + b"}",
        b'{"a":' + b'{"b":' * DEEPEST + b"1" + b"}" * DEEPEST + b"}",
        b'{"a":[' + b"1," * MOST_VALUES + b"1]}",
        b'{"a":[' + b"{}," * MOST_VALUES + b"{}]}",
        b"[]",
        b"",
        b"nothing",
    ):
        with pytest.raises(ValueError):
            read_object(content)
