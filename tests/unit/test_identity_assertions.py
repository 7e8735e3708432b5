"""Assertions by the right key and from after the start; secrets compared by their hash alone."""

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
from bascule.identity.assertions import (
    LONGEST_LIFE,
    AssertionRefused,
    OneUse,
    Why,
    check_assertion,
)
from bascule.identity.secrets import is_same_secret, new_enrolment_token, new_secret, sha256_hex

NOW = datetime(2030, 5, 17, 12, 0, tzinfo=UTC)
AUDIENCE = "https://x/t"


class TestStart:
    """The database may have been restored before the server started."""

    @pytest.mark.parametrize(("seconds", "is_right"), [(0, True), (-1, False)])
    def test_one_from_before_it_is_refused_to_the_second(
        self, seconds: int, is_right: bool
    ) -> None:
        key = Ed25519PrivateKey.generate()
        public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()
        made_at = int(NOW.timestamp()) + seconds
        text = make_assertion(key.private_bytes_raw(), "m-1", AUDIENCE, made_at, "j")
        since = NOW + timedelta(milliseconds=700)
        checked = check_assertion(text, "m-1", public, AUDIENCE.__eq__, since, since)
        if is_right:
            ends_at = NOW + timedelta(seconds=LIFE_SECONDS)
            assert checked == OneUse("m-1", "j", ends_at)
        else:
            assert isinstance(checked, AssertionRefused)
            assert "before this server started" in checked.message


class TestMaker:
    def test_what_the_agent_makes_is_what_the_server_takes(self) -> None:
        key = Ed25519PrivateKey.generate()
        public = base64.urlsafe_b64encode(key.public_key().public_bytes_raw()).decode()
        text = make_assertion(
            key.private_bytes_raw(), "m-1", "https://x/t", int(NOW.timestamp()), "j"
        )
        for stored in (public, public.rstrip("=")):
            checked = check_assertion(text, "m-1", stored, "https://x/t".__eq__, NOW, NOW)
            assert isinstance(checked, OneUse)
        assert timedelta(seconds=LIFE_SECONDS) <= LONGEST_LIFE

    def test_a_damaged_stored_key_admits_nobody(self) -> None:
        key = Ed25519PrivateKey.generate()
        text = make_assertion(key.private_bytes_raw(), "m-1", "a", int(NOW.timestamp()), "j")
        for stored in ("", "AAAA", "not base64 at all"):
            refused = check_assertion(text, "m-1", stored, lambda _: True, NOW, NOW)
            assert isinstance(refused, AssertionRefused)
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
        text = new_enrolment_token("m-1", "ab" * 32, "k" * 43)
        read = parse_token(text)
        assert (read.machine_uid, read.ca_fingerprint) == ("m-1", "ab" * 32)
        body = text.partition(".")[2]
        assert json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))["s"]
        assert new_enrolment_token("m-1", "ab" * 32, "k" * 43) != text
