"""A sealed line: what was changed on the way does not open (EDGES I1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent.link import ChangedOnTheWay, Identity
from bascule.agent.shaking import CHANGED, Shaking, note_change
from bascule.errors import ServerUnreachable
from bascule.identity.trust_key import TrustKey
from bascule.protocol.line import Proof, Sealed, seal_text, sealed_text
from bascule.protocol.seal import TAG, Ephemeral, NotSealed, Seal
from bascule.protocol.signed import Kind, is_signed

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TEXTS = (b'{"kind":"beat"}', b"{}", b"", "é".encode())


@pytest.fixture
def ends() -> tuple[Seal, Seal]:
    """The agent's and the server's."""
    agent, server = Ephemeral(), Ephemeral()
    return (
        agent.seal(server.public, b"said", is_agent=True),
        server.seal(agent.public, b"said", is_agent=False),
    )


def test_both_ends_understand_each_other(ends: tuple[Seal, Seal]) -> None:
    for own, other in (ends, ends[::-1]):
        for text in TEXTS:
            message = own.close(text)
            assert message[TAG:] == text
            assert message.decode()  # a text frame is UTF-8
            assert other.open(message) == text


@pytest.mark.parametrize("change", [b"x", b"{} ", b"", b"{"])
def test_what_was_changed_does_not_open(ends: tuple[Seal, Seal], change: bytes) -> None:
    message = ends[0].close(b"{}")
    for forged in (message[:TAG] + change, change, message[1:], b"A" * TAG + b"{}", message[:TAG]):
        with pytest.raises(NotSealed):
            ends[1].open(forged)
    assert ends[1].open(message) == b"{}"


def test_each_opens_once_and_in_order(ends: tuple[Seal, Seal]) -> None:
    one, two = ends[0].close(b"1"), ends[0].close(b"2")
    with pytest.raises(NotSealed):
        ends[1].open(two)
    assert ends[1].open(one) == b"1"
    with pytest.raises(NotSealed):
        ends[1].open(one)
    assert ends[1].open(two) == b"2"


def test_nothing_is_sent_back(ends: tuple[Seal, Seal]) -> None:
    message = ends[0].close(b"{}")
    with pytest.raises(NotSealed):
        ends[0].open(message)


def test_another_connection_or_another_word_has_other_keys() -> None:
    agent, server = Ephemeral(), Ephemeral()
    message = agent.seal(server.public, b"said", is_agent=True).close(b"{}")
    for other in (
        server.seal(agent.public, b"not said", is_agent=False),
        server.seal(Ephemeral().public, b"said", is_agent=False),
        Ephemeral().seal(agent.public, b"said", is_agent=False),
    ):
        with pytest.raises(NotSealed):
            other.open(message)


@pytest.mark.parametrize("key", ["", "A" * 42, "A" * 43, "no key!", "é" * 43])
def test_what_is_no_key_of_a_connection_seals_nothing(key: str) -> None:
    """Zeros among them: whoever sends those would know the secret."""
    with pytest.raises(NotSealed):
        Ephemeral().seal(key, b"", is_agent=True)


# -- the agent's end


@pytest.fixture
def trust(tmp_path: Path) -> TrustKey:
    return TrustKey(tmp_path)


def shaking(trust: TrustKey) -> Shaking:
    return Shaking(Identity("https://s", "t", "uid", bytes(32), trust.public_key, is_through=True))


def sealed_by(key: TrustKey, proof: Proof, challenge: str, uid: str = "uid") -> tuple[Sealed, Seal]:
    own = Ephemeral()
    text = seal_text(sealed_text("t", uid, challenge, proof.public_key, proof.key), own.public)
    signature = key.sign(Kind.LINE, uid, proof.key, 0, text)
    return Sealed(own.public, signature), own.seal(proof.key, text, is_agent=False)


def test_a_line_is_sealed_by_both_keys(trust: TrustKey) -> None:
    agent = shaking(trust)
    proof = agent.proof("c" * 43)
    named = ("t", "uid", "c" * 43, proof.public_key, proof.key)
    assert is_signed(proof.public_key, proof.signature, sealed_text(*named))
    sealed, server = sealed_by(trust, proof, "c" * 43)
    agent.take(sealed)
    assert agent.open(server.close(b"{}")) == b"{}"
    assert server.open(agent.close(b"{}")) == b"{}"
    with pytest.raises(ChangedOnTheWay):
        agent.take(sealed)


@pytest.mark.parametrize("how", ["another key", "another uid", "another challenge", "no signature"])
def test_an_agent_seals_with_its_server_alone(trust: TrustKey, tmp_path: Path, how: str) -> None:
    (tmp_path / "other").mkdir()
    key = TrustKey(tmp_path / "other") if how == "another key" else trust
    agent = shaking(trust)
    proof = agent.proof("c" * 43)
    challenge = "d" * 43 if how == "another challenge" else "c" * 43
    sealed, _ = sealed_by(key, proof, challenge, "db" if how == "another uid" else "uid")
    with pytest.raises(ChangedOnTheWay):
        agent.take(Sealed(sealed.key, "") if how == "no signature" else sealed)


def test_before_a_proof_nothing_is_sealed(trust: TrustKey) -> None:
    with pytest.raises(ChangedOnTheWay):
        shaking(trust).take(Sealed("k" * 43, "s" * 86))


def test_before_the_seal_a_refusal_is_of_nobody(trust: TrustKey) -> None:
    told = {"kind": "refused", "id": "", "status": 401, "code": "AgentKeyRefused", "message": "x"}
    with pytest.raises(ServerUnreachable, match="somebody on the way"):
        shaking(trust).open(json.dumps(told).encode())


@pytest.mark.parametrize("kind", ["welcome", "beat", "state", "hint", "taken", "of a newer server"])
def test_before_the_seal_nothing_else_is_heard(trust: TrustKey, kind: str) -> None:
    with pytest.raises(NotSealed):
        shaking(trust).open(json.dumps({"kind": kind}).encode())


def test_what_was_changed_is_noted_and_what_ended_is_not() -> None:
    noted = list[tuple[str, str]]()
    for error in (ChangedOnTheWay("why"), ServerUnreachable("gone"), None):
        note_change(lambda condition, reason: noted.append((condition, reason)), error)
    assert noted == [(CHANGED, "why")]
