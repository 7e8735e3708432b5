"""Becoming a machine's agent: whoever is refused, or dies half-way, remains who he was."""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent.enrolment import (
    EnrolmentToken,
    enrol,
    is_begun,
    is_enrolled_by,
    load_identity,
    parse_token,
    trust_of,
)
from bascule.agent.install import unit_text
from bascule.clocks import SystemClock
from bascule.domain.desired import DesiredState
from bascule.drivers.nftables.host import NftablesHost
from bascule.errors import AuthenticationFailed, ConfigurationError, ServerUnreachable
from bascule.protocol.codec import encode
from bascule.protocol.enrolment import base64url
from bascule.protocol.signed import Kind, text_of
from bascule.protocol.state import State
from tests.unit.client.test_connection import Site

pytestmark = pytest.mark.sockets

ACCEPTED = (200, {"tenantId": "t", "machineId": "/m", "machineUid": "uid"})
REFUSED = (403, {"error": {"message": "the token is not known"}})
CLOCK = SystemClock()
STATE_PATH = "/bascule/points/uid/state"
STATE = encode(State(DesiredState("uid-web", 1, frozenset(), {}, ())))

NEEDS = NftablesHost.needs.unit


KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUST = base64url(KEY.public_key().public_bytes_raw())


def signed(path: str, asked: bytes, status: int, content: bytes) -> dict[str, str]:
    """As the server of these tokens signs its answer to an enrolment."""
    if path != "/bascule/enrol":
        return {}
    text = text_of(Kind.ANSWER, "uid", json.loads(asked)["nonce"], status, content)
    return {"Bascule-Signature": base64url(KEY.sign(text))}


def accept(site: Site) -> None:
    site.heads = signed
    site.answers |= {"/bascule/enrol": ACCEPTED, "/healthz": (200, {}), STATE_PATH: (200, STATE)}


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "site").mkdir()
    made = Site(tmp_path / "site")
    accept(made)
    yield made
    made.close()


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    made.mkdir()
    return made


def token(site: Site, secret: str) -> EnrolmentToken:
    body = json.dumps({"u": "uid", "c": site.fingerprint, "s": secret, "k": TRUST}).encode()
    return parse_token("bascule-enrol." + base64.urlsafe_b64encode(body).decode())


class Killed(BaseException):
    """What ends a process before its next line."""


def _die() -> None:
    raise Killed


def test_a_refusal_is_said_once(site: Site, state: Path) -> None:
    words = "The enrolment was refused: the token was used already."
    site.answers["/bascule/enrol"] = (403, {"error": {"message": words}})
    with pytest.raises(AuthenticationFailed) as caught:
        enrol(state, site.url, token(site, "first"), CLOCK)
    assert caught.value.message == words
    site.answers["/bascule/enrol"] = (403, {})
    with pytest.raises(AuthenticationFailed) as caught:
        enrol(state, site.url, token(site, "first"), CLOCK)
    assert caught.value.message == "The enrolment was refused: HTTP 403."


@pytest.mark.parametrize("answer", [REFUSED, (503, {}), (200, "no json")])
def test_who_is_not_accepted_remains_who_he_was(
    site: Site, state: Path, answer: tuple[int, object]
) -> None:
    """A wrong token typed over a working agent must not take its key."""
    before = enrol(state, site.url, token(site, "first"), CLOCK)
    site.answers["/bascule/enrol"] = answer
    with pytest.raises((AuthenticationFailed, ServerUnreachable)):
        enrol(state, site.url, token(site, "wrong"), CLOCK)
    assert load_identity(state) == before
    trust_of(state)


def test_another_server_is_not_trusted_before_it_has_accepted(
    site: Site, state: Path, tmp_path: Path
) -> None:
    enrol(state, site.url, token(site, "first"), CLOCK)
    other = Site(tmp_path, "127.0.0.1")
    try:
        other.answers |= {"/bascule/enrol": REFUSED, "/healthz": (200, {})}
        with pytest.raises(AuthenticationFailed):
            enrol(state, other.url, token(other, "other"), CLOCK)
        trusted = [each["serialNumber"] for each in trust_of(state).get_ca_certs()]
        accept(other)
        enrol(state, other.url, token(other, "other"), CLOCK)
        now = [each["serialNumber"] for each in trust_of(state).get_ca_certs()]
    finally:
        other.close()
    assert len(trusted) == len(now) == 1
    assert trusted != now


def test_whom_the_server_does_not_answer_takes_nobody_s_place(site: Site, state: Path) -> None:
    """It took the key and refuses it: by another URL, say, than the one that it signs for."""
    before = enrol(state, site.url, token(site, "first"), CLOCK)
    taken: list[str] = []
    again = token(site, "second")
    for broken, answer in (("/t/oauth2/v2.0/token", (401, {"error": "invalid_client"})), (
        STATE_PATH, (500, {}),
    )):  # fmt: skip
        well = site.answers[broken]
        site.answers[broken] = answer
        with pytest.raises(ServerUnreachable, match="did not answer it") as caught:
            enrol(state, site.url, again, CLOCK, lambda: taken.append("taken"))
        assert "same token" in caught.value.advice
        site.answers[broken] = well
    assert not taken
    assert load_identity(state) == before
    after = enrol(state, site.url, again, CLOCK)
    assert after == load_identity(state) != before


def test_a_server_by_another_name_is_not_told_the_token(site: Site, state: Path) -> None:
    site.answers["/healthz"] = (421, {})
    with pytest.raises(ServerUnreachable, match="not one of this server's names") as caught:
        enrol(state, site.url, token(site, "first"), CLOCK)
    assert "--name" in caught.value.advice
    assert "/bascule/enrol" not in site.seen


def test_an_enrolment_cut_short_goes_on_with_the_same_key(site: Site, state: Path) -> None:
    """The server may have bound the key: with another one the token is refused as used."""
    before = enrol(state, site.url, token(site, "first"), CLOCK)
    again = token(site, "second")
    assert not is_begun(state, again)
    assert not is_enrolled_by(state, again)
    with pytest.raises(Killed):
        enrol(state, site.url, again, CLOCK, _die)
    assert load_identity(state) == before
    assert is_begun(state, again)
    drafted = json.loads((state / "enrolment.json").read_text())["privateKey"]
    after = enrol(state, site.url, again, CLOCK)
    assert after == load_identity(state) != before
    assert base64.urlsafe_b64encode(after.private_key).decode() == drafted
    assert not is_begun(state, again)
    assert is_enrolled_by(state, again)
    assert enrol(state, site.url, again, CLOCK) == after, "and once more, after it was taken"
    assert sorted(path.name for path in state.iterdir()) == ["identity.json"]


@pytest.mark.parametrize(
    ("damaged", "why"),
    [
        ("null", "cannot be read"),
        ("[]", "cannot be read"),
        ("[" * 100_000, "cannot be read"),
        ('{"tenantId": "t"}', "cannot be read"),
        (
            '{"tenantId": "t", "server": "s", "machineUid": "m", "privateKey": null}',
            "cannot be read",
        ),
        (
            '{"tenantId": "t", "server": "s", "machineUid": "m", "privateKey": "", "ca": "none"}',
            "CA certificate that cannot be read",
        ),
    ],
)
def test_a_damaged_identity_is_said(state: Path, damaged: str, why: str) -> None:
    state.mkdir(exist_ok=True)
    (state / "identity.json").write_text(damaged)
    with pytest.raises(ConfigurationError, match=why) as caught:
        _ = load_identity(state), trust_of(state)
    assert "identity.json" in caught.value.message
    assert "--replace" in caught.value.advice


def test_an_identity_without_its_ca_trusts_nobody(site: Site, state: Path) -> None:
    enrol(state, site.url, token(site, "first"), CLOCK)
    data = json.loads((state / "identity.json").read_text())
    del data["ca"]
    (state / "identity.json").write_text(json.dumps(data))
    with pytest.raises(ConfigurationError, match="no CA"):
        trust_of(state)


def test_a_service_may_write_where_its_state_is(tmp_path: Path) -> None:
    """ProtectSystem=strict: elsewhere it may not, and would never start."""
    usual = unit_text(
        (sys.executable, "-m", "bascule.bootstrap"), Path("/var/lib/bascule-agent"), NEEDS
    ).splitlines()
    assert "StateDirectory=bascule-agent" in usual
    assert not [line for line in usual if line.startswith("ReadWritePaths=")]
    text = unit_text(
        (sys.executable, "-m", "bascule.bootstrap"), Path("/srv/it's a state"), NEEDS
    ).splitlines()
    assert 'ReadWritePaths="/srv/it\'s a state"' in text
    (command,) = (line for line in text if line.startswith("ExecStart="))
    assert command.endswith('--state "/srv/it\'s a state"')
    assert "StateDirectory=bascule-agent" not in text, "nothing is left there that nobody uses"
    relative = unit_text((sys.executable, "-m", "bascule.bootstrap"), Path("here"), NEEDS)
    assert f"ReadWritePaths={Path('here').absolute()}" in relative
    for odd in ("/srv/a\nb", "/srv/100%", '/srv/"'):
        with pytest.raises(ConfigurationError):
            unit_text((sys.executable, "-m", "bascule.bootstrap"), Path(odd), NEEDS)


@pytest.mark.parametrize("spoilt", ["nonce", "key", "content", "status", "none"])
def test_an_answer_that_the_tokens_server_did_not_sign_changes_nothing(
    site: Site, state: Path, spoilt: str
) -> None:
    """I1: whoever ends TLS in between may answer in its place."""

    def forged(path: str, asked: bytes, status: int, content: bytes) -> dict[str, str]:
        if path != "/bascule/enrol" or spoilt == "none":
            return {}
        nonce = "of-another-question" if spoilt == "nonce" else json.loads(asked)["nonce"]
        key = Ed25519PrivateKey.generate() if spoilt == "key" else KEY
        content += b" " if spoilt == "content" else b""
        text = text_of(Kind.ANSWER, "uid", nonce, status + (spoilt == "status"), content)
        return {"Bascule-Signature": base64url(key.sign(text))}

    site.heads = forged
    with pytest.raises(ServerUnreachable, match="did not sign"):
        enrol(state, site.url, token(site, "first"), CLOCK)
    assert load_identity(state) is None


def test_the_token_is_never_sent(site: Site, state: Path) -> None:
    sent: list[bytes] = []

    def heard(path: str, asked: bytes, status: int, content: bytes) -> dict[str, str]:
        sent.append(path.encode() + asked)
        return signed(path, asked, status, content)

    site.heads = heard
    made = token(site, "the-secret")
    identity = enrol(state, site.url, made, CLOCK)
    assert identity.trust_key == TRUST
    everything = b"\n".join(sent)
    for secret in (made.text, made.text.partition(".")[2], "the-secret"):
        assert secret.encode() not in everything
