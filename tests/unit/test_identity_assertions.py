"""Assertions used once, within bounds; secrets compared by their hash alone."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bascule.agent.enrolment import parse_token
from bascule.client.assertion import LIFE_SECONDS, make_assertion
from bascule.identity import assertions
from bascule.identity.assertions import LONGEST_LIFE, UsedAssertions, Why, check_assertion
from bascule.identity.secrets import is_same_secret, new_enrolment_token, new_secret, sha256_hex

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(minutes=5)


def use(used: UsedAssertions, token_id: str, at: datetime = NOW, ends: datetime = LATER) -> str:
    return used.use("m-1", token_id, at, ends, at)


class TestUsedAssertions:
    def test_once_and_no_more(self) -> None:
        used = UsedAssertions(NOW)
        assert use(used, "a") == ""
        assert "used before" in use(used, "a")
        assert use(used, "b") == ""

    def test_two_holders_may_have_one_id(self) -> None:
        used = UsedAssertions(NOW)
        assert use(used, "a") == ""
        assert used.use("m-2", "a", NOW, LATER, NOW) == ""

    def test_what_has_ended_is_forgotten(self) -> None:
        used = UsedAssertions(NOW)
        for number in range(100):
            use(used, str(number))
        assert len(used) == 100
        assert use(used, "last", LATER, LATER + timedelta(minutes=5)) == ""
        assert len(used) == 1

    def test_one_holder_cannot_fill_the_memory(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(assertions, "USED_PER_KEY", 10)
        used = UsedAssertions(NOW)
        said = [use(used, str(number)) for number in range(12)]
        assert said[:10] == [""] * 10
        assert "more than 10" in said[10]
        assert len(used) == 10
        assert used.use("m-2", "a", NOW, LATER, NOW) == ""
        assert use(used, "again", LATER, LATER + timedelta(minutes=5)) == ""

    def test_a_clock_that_goes_back_does_not_bring_one_back(self) -> None:
        used = UsedAssertions(NOW)
        use(used, "a")
        use(used, "b", LATER, LATER + timedelta(minutes=5))  # "a" is forgotten now
        assert "may have been used" in use(used, "a")

    def test_one_from_before_the_memory_is_refused_to_the_second(self) -> None:
        used = UsedAssertions(NOW + timedelta(milliseconds=700))
        assert use(used, "a", NOW) == ""
        assert "before this server started" in use(used, "b", NOW - timedelta(seconds=1))


class TestMaker:
    def test_what_the_agent_makes_is_what_the_server_takes(self) -> None:
        key = Ed25519PrivateKey.generate()
        public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()
        text = make_assertion(
            key.private_bytes_raw(), "m-1", "https://x/t", int(NOW.timestamp()), "j"
        )
        for stored in (public, public.rstrip("=")):
            assert (
                check_assertion(text, "m-1", stored, "https://x/t".__eq__, UsedAssertions(NOW), NOW)
                is None
            )
        assert timedelta(seconds=LIFE_SECONDS) <= LONGEST_LIFE

    def test_a_damaged_stored_key_admits_nobody(self) -> None:
        key = Ed25519PrivateKey.generate()
        text = make_assertion(key.private_bytes_raw(), "m-1", "a", int(NOW.timestamp()), "j")
        for stored in ("", "AAAA", "not base64 at all"):
            refused = check_assertion(text, "m-1", stored, lambda _: True, UsedAssertions(NOW), NOW)
            assert refused is not None
            assert refused.why is Why.NOT_THE_KEY

    def test_it_is_light(self) -> None:
        """Agents import it; JOSE libraries and the server's stay away."""
        program = (
            "import sys, bascule.client.assertion;"
            "print([m for m in ('joserfc', 'fastapi', 'pydantic', 'sqlalchemy') if m in sys.modules])"
        )
        done = subprocess.run(
            [sys.executable, "-c", program], capture_output=True, text=True, check=True
        )
        assert done.stdout.strip() == "[]"


class TestSecrets:
    def test_only_the_secret_itself_is_the_same(self) -> None:
        secret = new_secret()
        assert is_same_secret(secret, sha256_hex(secret))
        for other in ("", secret[:-1], secret + " ", sha256_hex(secret), new_secret()):
            assert not is_same_secret(other, sha256_hex(secret))

    def test_each_has_256_bits(self) -> None:
        made = {new_secret() for _ in range(100)}
        assert len(made) == 100
        assert all(len(base64.urlsafe_b64decode(each + "=")) == 32 for each in made)

    def test_none_looks_like_an_option(self) -> None:
        """``az login -p SECRET`` fails when it does, as one in 64 would."""
        assert not [each for each in (new_secret() for _ in range(3000)) if each[0] == "-"]

    def test_an_enrolment_token_names_its_machine_and_pins_the_ca(self) -> None:
        text = new_enrolment_token("m-1", "ab" * 32)
        read = parse_token(text)
        assert (read.machine_uid, read.ca_fingerprint) == ("m-1", "ab" * 32)
        body = text.partition(".")[2]
        assert json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["s"]
        assert new_enrolment_token("m-1", "ab" * 32) != text
