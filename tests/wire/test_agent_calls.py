"""Calls that agents sign, and answers that are signed for them (EDGES I1)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.protocol.calls import CallProof, call_text, digest_of_body, write_header
from bascule.protocol.enrolment import base64url
from bascule.protocol.signed import Kind, Pinned, public_of
from tests.support.enrolling import enrol_body
from tests.wire.house import BASE, CALLER, PROXY, House

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
NONCE = "n" * 20


class Agent:
    """Signs its calls; ``by`` is the address of its peer."""

    def __init__(self, house: House, name: str = "web-1") -> None:
        self.house = house
        self.uid = house.add_machine(name)
        made = house.call(
            "POST",
            f"{house.machine(name)}/providers/Bascule.Fleet/enrolments",
            {"throughProxy": True},
        ).json()["properties"]
        body = enrol_body(made["token"], public_of(KEY))
        assert house.client_of(None).post("/bascule/enrol", json=body).status_code == 200
        self.nonces = 0

    def proof(self, method: str, path: str, body: bytes = b"", **more: Any) -> CallProof:
        self.nonces += 1
        now = int(self.house.clock.now().timestamp())
        made = CallProof(public_of(KEY), now, f"{NONCE}{self.nonces}", digest_of_body(body), "")
        made = replace(made, **more)
        text = call_text(self.house.installation.tenant_id, self.uid, method, path, made)
        return replace(made, signature=base64url(KEY.sign(text)))

    def send(
        self, method: str, path: str, proof: CallProof | str, body: bytes = b"", by: str = PROXY
    ) -> Any:
        header = proof if isinstance(proof, str) else write_header(proof)
        headers = {"Authorization": header, "X-Forwarded-For": CALLER}
        if body:
            headers["Content-Type"] = "application/json"
        client = self.house.client_of(None, by)
        return client.request(method, f"{BASE}{path}", content=body, headers=headers)

    @property
    def base(self) -> str:
        return f"/bascule/points/{self.uid}"

    def report(self, version: str = "1", **more: Any) -> Any:
        body = json.dumps({"generation": 0, "inForce": [], "agentVersion": version}).encode()
        path = f"{self.base}/report"
        return self.send("POST", path, self.proof("POST", path, body, **more), body)

    @property
    def version(self) -> str:
        found = self.house.see(lambda reader: reader.enforcement_point(self.uid))
        assert found is not None
        return found.agent_version


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    yield made
    made.close()


@pytest.fixture
def agent(house: House) -> Agent:
    return Agent(house)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


def test_a_state_is_signed_for_its_question(house: House, agent: Agent) -> None:
    path = f"{agent.base}/state?seen=0&told=0&knows=udp"
    proof = agent.proof("GET", path)
    for by in (PROXY, CALLER):
        answer = agent.send("GET", path, proof, by=by)
        assert answer.status_code == 200, answer.text
        said = (Kind.ANSWER, agent.uid, proof.question, 200, answer.content)
        pinned = Pinned(house.state.trust_key.public_key)
        assert pinned.is_of(*said, answer.headers["bascule-signature"])
    assert "bascule-signature" not in house.client_of(None).get(f"{agent.base}/state").headers


def test_a_report_counts_once(agent: Agent) -> None:
    body = json.dumps({"generation": 0, "inForce": [], "agentVersion": "one"}).encode()
    path = f"{agent.base}/report"
    proof = agent.proof("POST", path, body)
    assert agent.send("POST", path, proof, body).status_code == 200
    assert agent.report("two").status_code == 200
    assert code_of(agent.send("POST", path, proof, body)) == (401, "CallNotProved")
    assert agent.version == "two"


@pytest.mark.parametrize("seconds", [-301, 301, -(2**40), 2**40])
def test_a_report_of_another_time_is_refused(house: House, agent: Agent, seconds: int) -> None:
    house.clock.pass_time(3600)
    now = int(house.clock.now().timestamp())
    for near in (-300, 300):
        assert agent.report("near", time=now + near).status_code == 200
    answer = agent.report("far", time=max(0, now + seconds))
    assert code_of(answer) == (401, "CallNotProved")
    assert agent.version == "near"


def test_another_body_is_refused(agent: Agent) -> None:
    path = f"{agent.base}/report"
    body = json.dumps({"generation": 0, "inForce": [], "agentVersion": "one"}).encode()
    proof = agent.proof("POST", path, body)
    answer = agent.send("POST", path, proof, body.replace(b"one", b"two"))
    assert code_of(answer) == (401, "CallNotProved")
    assert agent.version != "two"


@pytest.mark.parametrize("what", ["public_key", "time", "nonce", "digest", "signature"])
def test_a_proof_that_was_changed_is_refused(agent: Agent, what: str) -> None:
    path = f"{agent.base}/state"
    other = public_of(Ed25519PrivateKey.generate())
    changed: dict[str, Any] = {
        "public_key": other,
        "time": 1,
        "nonce": "m" * 20,
        "digest": "0" * 64,
        "signature": "A" * 86,
    }
    proof = replace(agent.proof("GET", path), **{what: changed[what]})
    assert code_of(agent.send("GET", path, proof)) == (401, "CallNotProved")


@pytest.mark.parametrize(
    "header",
    ["Bascule-Agent", "Bascule-Agent e30", "Bascule-Agent %", f"Bascule-Agent {'A' * 9999}"],
)
def test_what_is_no_proof_is_refused(agent: Agent, header: str) -> None:
    assert agent.send("GET", f"{agent.base}/state", header).status_code == 401


def test_another_key_is_told_that_it_is_none_of_this_point(house: House, agent: Agent) -> None:
    """True of the key that is named, and signed with it."""
    path, mine = f"{agent.base}/state", Ed25519PrivateKey.generate()
    proof = agent.proof("GET", path, public_key=public_of(mine))
    text = call_text(house.installation.tenant_id, agent.uid, "GET", path, proof)
    answer = agent.send("GET", path, replace(proof, signature=base64url(mine.sign(text))))
    assert code_of(answer) == (401, "RevokedToken")
    signature = answer.headers["bascule-signature"]
    pinned = Pinned(house.state.trust_key.public_key)
    said = (Kind.ANSWER, agent.uid, proof.question, 401, answer.content)
    assert pinned.is_of(*said, signature)
    own = f"{proof.nonce}.{public_of(KEY)}"
    assert not pinned.is_of(Kind.ANSWER, agent.uid, own, 401, answer.content, signature)


def test_it_reaches_its_own_machine_alone(house: House, agent: Agent) -> None:
    other = house.add_machine("db-1")
    path = f"/bascule/points/{other}/state"
    assert agent.send("GET", path, agent.proof("GET", path)).status_code == 401
    path = f"{agent.base}/state?machine={other}"
    assert agent.send("GET", path, agent.proof("GET", path)).status_code == 403
    path = house.machine("web-1")
    assert agent.send("GET", path, agent.proof("GET", path)).status_code == 401


def test_a_token_of_an_agent_counts_for_nothing_through_a_proxy(house: House) -> None:
    uid = house.add_machine("web-1")
    house.enrol("web-1")
    token = house.agent_token(uid)
    path = f"/bascule/points/{uid}/state"
    assert house.client_of(token).get(path).status_code == 200
    answer = house.client_of(token, PROXY).get(path, headers={"X-Forwarded-For": CALLER})
    assert code_of(answer) == (403, "SealRequired")
    assert "--through-proxy" in answer.text


def test_without_a_proxy_no_token_is_made_for_one(tmp_path: Path) -> None:
    from bascule.api.origin import Proxies  # reason: for this test alone

    house = House(tmp_path)
    object.__setattr__(house.state, "proxies", Proxies())
    house.add_machine("web-1")
    path = f"{house.machine('web-1')}/providers/Bascule.Fleet/enrolments"
    answer = house.call("POST", path, {"throughProxy": True})
    assert code_of(answer) == (409, "NoProxy")
    assert house.call("POST", path, {"throughProxy": False}).status_code == 200
    house.close()
