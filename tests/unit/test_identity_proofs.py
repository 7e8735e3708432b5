"""Real proofs: Argon2id, AES-GCM, RFC 6238, recovery codes, and a passkey made in software."""

from __future__ import annotations

import asyncio
import os
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from argon2 import PasswordHasher

from bascule.domain.principals import User
from bascule.domain.sign_in import Passkey
from bascule.errors import ConfigurationError, Conflict, InvalidInput, TooManyRequests
from bascule.identity.passkeys import WebAuthnPasskeys
from bascule.identity.passwords import Argon2Passwords
from bascule.identity.recovery import RecoveryCodeBook
from bascule.identity.sealing import SEALING_KEY, Sealer
from bascule.identity.totp import TotpCodes
from bascule.interfaces.proofs import PasswordVerdict
from tests.support.authenticator import Authenticator

NOW = datetime(2030, 1, 1, 12, 0, 15, tzinfo=UTC)  # in the middle of a step
ANNA = User("0000000a-0000-4000-8000-000000000000", "anna", "Anna", True, NOW)
BERT = replace(ANNA, id="0000000b-0000-4000-8000-000000000000", name="bert")
QUICK = PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
ORIGIN = "https://localhost"
RIGHT = PasswordVerdict(is_right=True)
WRONG = PasswordVerdict(is_right=False)


# -- passwords --------------------------------------------------------------------------


def verdict(desk: Argon2Passwords, stored: str | None, password: str) -> PasswordVerdict:
    return asyncio.run(desk.verify(stored, password, is_known=False))


def test_a_password_and_no_other() -> None:
    desk = Argon2Passwords(QUICK)
    stored = asyncio.run(desk.hash("correct horse"))
    assert stored.startswith("$argon2id$v=19$m=64,t=1,p=1$")
    assert stored != asyncio.run(desk.hash("correct horse"))  # salted
    assert verdict(desk, stored, "correct horse") == RIGHT
    for wrong in ("correct horsE", "correct horse ", "", "x" * 10_000, "\ud800"):
        assert verdict(desk, stored, wrong) == WRONG


def test_one_password_in_two_spellings_of_unicode() -> None:
    desk = Argon2Passwords(QUICK)
    stored = asyncio.run(desk.hash("caf\u00e9 au lait"))
    assert verdict(desk, stored, "cafe\u0301 au lait") == RIGHT


def test_what_is_too_long_is_never_cut_to_fit() -> None:
    desk = Argon2Passwords(QUICK)
    stored = asyncio.run(desk.hash("z" * 256))
    assert verdict(desk, stored, "z" * 256) == RIGHT
    assert verdict(desk, stored, "z" * 257) == WRONG
    assert verdict(desk, asyncio.run(desk.hash("")), "z" * 257) == WRONG


def test_nobodys_hash_costs_the_same_and_is_right_for_nothing() -> None:
    """Not a clock but the parameters: Argon2's cost is what the encoded hash says."""
    desk = Argon2Passwords()
    real = asyncio.run(desk.hash("correct horse"))
    assert real.split("$")[:4] == desk._nobodys.split("$")[:4]
    assert [len(part) for part in real.split("$")] == [
        len(part) for part in desk._nobodys.split("$")
    ]
    assert real.startswith("$argon2id$v=19$m=65536,t=3,p=4$")  # RFC 9106, second option
    assert verdict(desk, None, "correct horse") == WRONG
    assert verdict(desk, None, "") == WRONG


def test_a_hash_of_other_parameters_is_to_be_renewed() -> None:
    stored = asyncio.run(Argon2Passwords(QUICK).hash("correct horse"))
    stronger = Argon2Passwords(PasswordHasher(time_cost=2, memory_cost=64, parallelism=1))
    outdated = PasswordVerdict(is_right=True, is_outdated=True)
    assert verdict(stronger, stored, "correct horse") == outdated
    assert verdict(stronger, stored, "wrong horse") == WRONG


def test_what_is_no_hash_is_right_for_nothing() -> None:
    for damaged in ("", "x", "$argon2id$v=19$m=64,t=1,p=1$AAAA", "$2b$12$abc"):
        assert verdict(Argon2Passwords(QUICK), damaged, "x") == WRONG


class _SlowHasher:
    """Counts how many run at once, and lets them go when it is told."""

    memory_cost, time_cost, parallelism, salt_len, hash_len = 64, 1, 1, 16, 32

    def __init__(self) -> None:
        self.gate, self.both_begun = threading.Event(), threading.Event()
        self.lock = threading.Lock()
        self.running = self.most = self.done = 0

    def verify(self, _stored: str, _password: bytes) -> bool:
        with self.lock:
            self.running += 1
            self.most = max(self.most, self.running)
            if self.most == 2:
                self.both_begun.set()
        assert self.gate.wait(30)
        with self.lock:
            self.running -= 1
            self.done += 1
        return True

    def check_needs_rehash(self, _stored: str) -> bool:
        return False


def test_hashes_under_way_are_bounded_and_known_people_have_places() -> None:
    slow = _SlowHasher()
    desk = Argon2Passwords(slow, at_once=2, most_waiting=3, kept_for_known=2)  # type: ignore[arg-type]  # reason: a stand-in

    async def crowd() -> None:
        strangers = [asyncio.create_task(desk.verify("h", "p", is_known=False)) for _ in range(5)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests) as refused:
            await desk.verify("h", "p", is_known=False)
        assert refused.value.retry_after > 0
        known = [asyncio.create_task(desk.verify("h", "p", is_known=True)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            await desk.verify("h", "p", is_known=True)
        assert await asyncio.to_thread(slow.both_begun.wait, 30)
        slow.gate.set()
        assert await asyncio.gather(*strangers, *known) == [RIGHT] * 7
        assert await desk.verify("h", "p", is_known=False) == RIGHT  # room again

    asyncio.run(crowd())
    assert slow.most == 2
    assert slow.done == 8


def test_the_event_loop_goes_on_while_a_hash_is_made() -> None:
    slow = _SlowHasher()
    desk = Argon2Passwords(slow)  # type: ignore[arg-type]  # reason: a stand-in

    async def both() -> None:
        hashing = asyncio.create_task(desk.verify("h", "p", is_known=False))
        await asyncio.sleep(0.01)
        assert not hashing.done()
        slow.gate.set()
        assert await hashing == RIGHT

    asyncio.run(both())


# -- sealing ----------------------------------------------------------------------------


def test_a_seal_is_for_one_purpose_and_one_key(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path)
    sealed = sealer.seal("totp/anna", b"secret")
    assert sealed != sealer.seal("totp/anna", b"secret")
    assert "secret" not in sealed
    assert Sealer(tmp_path).open("totp/anna", sealed) == b"secret"  # after a restart
    assert sealer.open("totp/bert", sealed) is None
    (tmp_path / "other").mkdir()
    assert Sealer(tmp_path / "other").open("totp/anna", sealed) is None


@pytest.mark.parametrize("broken", ["", "A", "AAAA", "\u00e9", "A" * 100, "=", "*" * 40])
def test_what_is_no_seal_opens_nothing(tmp_path: Path, broken: str) -> None:
    assert Sealer(tmp_path).open("p", broken) is None


def test_a_changed_seal_opens_nothing(tmp_path: Path) -> None:
    sealer = Sealer(tmp_path)
    sealed = sealer.seal("p", b"secret")
    for place in range(0, len(sealed) - 1, 5):
        letter = "A" if sealed[place] != "A" else "B"
        assert sealer.open("p", sealed[:place] + letter + sealed[place + 1 :]) is None


def test_the_sealing_key_is_its_owners_alone_and_whole(tmp_path: Path) -> None:
    Sealer(tmp_path)
    path = tmp_path / SEALING_KEY
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(path.read_bytes()) == 32
    path.write_bytes(b"short")
    with pytest.raises(ConfigurationError, match="damaged"):
        Sealer(tmp_path)


# -- one-time passwords -----------------------------------------------------------------


def test_rfc_6238s_own_example(tmp_path: Path) -> None:
    """Appendix B, SHA-1, the last six of eight digits: T = 37037036 at 1111111109."""
    sealer = Sealer(tmp_path)
    sealed = sealer.seal(f"totp/{ANNA.id}", b"GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ")
    codes = TotpCodes(sealer)
    at = datetime.fromtimestamp(1_111_111_109, UTC)
    assert codes.step(ANNA.id, sealed, "081804", at) == 37_037_036
    assert codes.step(ANNA.id, sealed, " 081 804 ", at) == 37_037_036
    assert codes.step(ANNA.id, sealed, "081805", at) is None
    assert codes.step(BERT.id, sealed, "081804", at) is None  # sealed for anna


def test_the_steps_beside_the_present_one_count_and_no_others(tmp_path: Path) -> None:
    codes = TotpCodes(Sealer(tmp_path))
    made = codes.new(ANNA)
    app = pyotp.TOTP(made.secret)
    step = int(NOW.timestamp()) // 30
    for off, is_right in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        code = app.generate_otp(step + off)
        found = codes.step(ANNA.id, made.sealed, code, NOW)
        assert (found == step + off) is is_right, off


def test_a_new_secret_is_as_apps_read_it(tmp_path: Path) -> None:
    codes = TotpCodes(Sealer(tmp_path))
    made = codes.new(ANNA)
    assert made.uri == f"otpauth://totp/Bascule:anna?secret={made.secret}&issuer=Bascule"
    assert len(made.secret) == 32  # 160 bits
    assert made.secret not in made.sealed
    assert codes.new(ANNA).secret != made.secret


@pytest.mark.parametrize("code", ["", "12345", "1234567", "12345a", "\u0661" * 6, "-12345"])
def test_what_is_no_code(tmp_path: Path, code: str) -> None:
    codes = TotpCodes(Sealer(tmp_path))
    assert codes.step(ANNA.id, codes.new(ANNA).sealed, code, NOW) is None


# -- recovery codes ---------------------------------------------------------------------


def test_recovery_codes_are_many_long_and_read_from_paper() -> None:
    book = RecoveryCodeBook()
    made = book.new(ANNA.id)
    assert len({code for code, _ in made}) == 10
    for code, digest in made:
        assert len(code.replace("-", "")) == 16  # 80 bits
        assert set(code) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ-")
        assert book.digest(ANNA.id, code) == digest
        assert book.digest(ANNA.id, code.lower().replace("-", " ")) == digest
        assert book.digest(ANNA.id, code.replace("0", "O").replace("1", "l")) == digest
        assert book.digest(BERT.id, code) != digest
        assert code not in digest
    assert book.digest(ANNA.id, "\ud800") not in {digest for _, digest in made}


# -- passkeys ---------------------------------------------------------------------------


@pytest.fixture
def passkeys(tmp_path: Path) -> WebAuthnPasskeys:
    return WebAuthnPasskeys(Sealer(tmp_path), "localhost")


def enrolled(passkeys: WebAuthnPasskeys, device: Authenticator, **odd: Any) -> Passkey:
    ceremony = passkeys.begin_registration(ANNA, [], NOW)
    answer = device.create(ceremony.options, **odd)
    return passkeys.finish_registration(ceremony.ticket, answer, ORIGIN, NOW)[1]


@pytest.mark.parametrize("attests", [False, True])
def test_a_passkey_enrols_and_proves(passkeys: WebAuthnPasskeys, attests: bool) -> None:
    device = Authenticator()
    passkey = enrolled(passkeys, device, attests=attests)
    assert (passkey.user_id, passkey.sign_count) == (ANNA.id, 1)
    ceremony = passkeys.begin_assertion(ANNA.id, [passkey], NOW)
    assert [each["id"] for each in ceremony.options["allowCredentials"]] == [passkey.id]
    assert ceremony.options["userVerification"] == "required"
    challenge = passkeys.challenge(ceremony.ticket, NOW)
    assert challenge is not None
    assert passkeys.count(challenge, passkey, device.get(ceremony.options), ORIGIN) == 2


def test_what_is_asked_of_an_authenticator(passkeys: WebAuthnPasskeys) -> None:
    present = Passkey("AAAA", ANNA.id, "", "", 0, NOW)
    options = passkeys.begin_registration(ANNA, [present], NOW).options
    assert options["rp"] == {"id": "localhost", "name": "Bascule"}
    assert options["authenticatorSelection"]["userVerification"] == "required"
    assert options["attestation"] == "none"
    assert [each["id"] for each in options["excludeCredentials"]] == ["AAAA"]


@pytest.mark.parametrize(
    "odd",
    [
        {"origin": "https://evil.example"},
        {"origin": "https://localhost:8443"},
        {"rp_id": "evil.example"},
        {"verifies": False},
        {"kind": "webauthn.create"},
        {"sign_count": 1},  # as when it was enrolled: a copy of the key
        {"sign_count": 0},
        {"user_handle": "AAAA"},
    ],
)
def test_an_assertion_that_is_not_right(passkeys: WebAuthnPasskeys, odd: dict[str, Any]) -> None:
    device = Authenticator()
    passkey = enrolled(passkeys, device)
    ceremony = passkeys.begin_assertion(ANNA.id, [passkey], NOW)
    challenge = passkeys.challenge(ceremony.ticket, NOW)
    assert challenge is not None
    assert passkeys.count(challenge, passkey, device.get(ceremony.options, **odd), ORIGIN) is None
    assert passkeys.count(challenge, passkey, device.get(ceremony.options), ORIGIN) is not None


def test_another_challenge_or_another_key_is_not_right(passkeys: WebAuthnPasskeys) -> None:
    device, other = Authenticator(), Authenticator()
    passkey, others = enrolled(passkeys, device), enrolled(passkeys, other)
    first, second = (passkeys.begin_assertion("", [], NOW) for _ in range(2))
    challenge = passkeys.challenge(first.ticket, NOW)
    assert challenge is not None
    assert passkeys.count(challenge, passkey, device.get(second.options), ORIGIN) is None
    assert passkeys.count(challenge, passkey, other.get(first.options), ORIGIN) is None
    assert passkeys.count(challenge, others, device.get(first.options), ORIGIN) is None
    forged = other.get(first.options)
    forged["id"] = forged["rawId"] = passkey.id  # another's name on one's own signature
    assert passkeys.count(challenge, passkey, forged, ORIGIN) is None


def test_a_key_that_does_not_count_may_stay_at_zero(passkeys: WebAuthnPasskeys) -> None:
    """Passkeys that are synchronised do (Level 3, section 6.1.1)."""
    device = Authenticator(counts=False)
    passkey = enrolled(passkeys, device)
    ceremony = passkeys.begin_assertion("", [], NOW)
    challenge = passkeys.challenge(ceremony.ticket, NOW)
    assert challenge is not None
    assert passkeys.count(challenge, passkey, device.get(ceremony.options), ORIGIN) == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"origin": "https://evil.example"},
        {"rp_id": "evil.example"},
        {"verifies": False},
        {"kind": "webauthn.get"},
    ],
)
def test_an_enrolment_that_is_not_right(passkeys: WebAuthnPasskeys, odd: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput) as refused:
        enrolled(passkeys, Authenticator(), **odd)
    assert refused.value.specific_code == "InvalidPasskey"


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"id": 5},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": None},
        {"id": "AAAA", "rawId": "AAAA", "type": "public-key", "response": {}},
        {"id": "A", "rawId": "A", "response": {"userHandle": 7, "clientDataJSON": "A"}},
    ],
)
def test_nonsense_is_refused_in_our_words(passkeys: WebAuthnPasskeys, answer: Any) -> None:
    passkey = enrolled(passkeys, Authenticator())
    asked = passkeys.begin_assertion("", [], NOW)
    challenge = passkeys.challenge(asked.ticket, NOW)
    assert challenge is not None
    assert passkeys.count(challenge, passkey, answer, ORIGIN) is None
    ticket = passkeys.begin_registration(ANNA, [], NOW).ticket
    with pytest.raises(InvalidInput):
        passkeys.finish_registration(ticket, answer, ORIGIN, NOW)


def test_tickets_end_and_are_for_one_thing(passkeys: WebAuthnPasskeys) -> None:
    asked = passkeys.begin_assertion(ANNA.id, [], NOW)
    found = passkeys.challenge(asked.ticket, NOW + timedelta(seconds=299))
    assert found is not None
    assert found.user_id == ANNA.id
    assert passkeys.challenge(asked.ticket, NOW + timedelta(seconds=300)) is None
    registering = passkeys.begin_registration(ANNA, [], NOW)
    assert passkeys.challenge(registering.ticket, NOW) is None
    answer = Authenticator().create(registering.options)
    with pytest.raises(InvalidInput, match="ticket"):
        passkeys.finish_registration(asked.ticket, answer, ORIGIN, NOW)
    late = NOW + timedelta(minutes=5)
    with pytest.raises(InvalidInput, match="ticket"):
        passkeys.finish_registration(registering.ticket, answer, ORIGIN, late)
    assert passkeys.challenge(os.urandom(40).hex(), NOW) is None


@pytest.mark.parametrize("address", ["192.0.2.1", "[2001:db8::1]"])
def test_a_server_without_a_name_offers_none(tmp_path: Path, address: str) -> None:
    nameless = WebAuthnPasskeys(Sealer(tmp_path), address)
    with pytest.raises(Conflict, match="name"):
        nameless.begin_registration(ANNA, [], NOW)
    with pytest.raises(Conflict, match="name"):
        nameless.begin_assertion("", [], NOW)
