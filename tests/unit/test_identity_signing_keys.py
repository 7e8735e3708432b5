"""Rotation of signing keys: old tokens verify until they are over, and no longer."""

from __future__ import annotations

import json
import stat
from datetime import timedelta
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from bascule.errors import AuthenticationFailed, ConfigurationError
from bascule.identity.signing_keys import RETIRED_KEYS, SIGNING_KEY, VERIFIES_FOR, SigningKeys
from bascule.identity.tokens import TokenIssuer
from tests.unit.test_identity_tokens import NOW, REALM, issued, parts

HOUR = timedelta(hours=1)


def kid_of(token: str) -> str:
    return str(parts(token)[0]["kid"])


class TestRotation:
    def test_new_tokens_are_by_the_new_key_and_old_ones_still_verify(self, tmp_path: Path) -> None:
        tokens = TokenIssuer(tmp_path)
        old = issued(tokens)
        before, made = tokens.rotate(NOW)
        new = issued(tokens)
        assert (kid_of(old), kid_of(new)) == (before, made)
        for each in (tokens, TokenIssuer(tmp_path)):  # in this process, and after a restart
            assert each.verify(old, REALM, NOW + HOUR - timedelta(seconds=1)).id == "t-1"
            assert each.verify(new, REALM, NOW).id == "t-1"
            assert [key["kid"] for key in each.jwks(NOW)["keys"]] == [made, before]

    def test_whoever_stole_the_old_key_can_sign_nothing_for_long(self, tmp_path: Path) -> None:
        """Its tokens may claim any end; the key's own end counts."""
        tokens = TokenIssuer(tmp_path)
        stolen = RSAKey.import_key((tmp_path / SIGNING_KEY).read_bytes())
        header, claims = parts(issued(tokens))
        forged = jwt.encode(header, {**claims, "exp": claims["exp"] + 10**9}, stolen)
        tokens.rotate(NOW)
        assert tokens.verify(forged, REALM, NOW + VERIFIES_FOR - timedelta(seconds=1)).id == "t-1"
        for each in (tokens, TokenIssuer(tmp_path)):
            with pytest.raises(AuthenticationFailed, match="not from this server"):
                each.verify(forged, REALM, NOW + VERIFIES_FOR)
            assert len(each.jwks(NOW + VERIFIES_FOR)["keys"]) == 1

    def test_forgetting_the_old_key_voids_its_tokens_at_once(self, tmp_path: Path) -> None:
        tokens = TokenIssuer(tmp_path)
        old = issued(tokens)
        tokens.verify(old, REALM, NOW)
        tokens.rotate(NOW, forget=True)
        with pytest.raises(AuthenticationFailed, match="not from this server"):
            tokens.verify(old, REALM, NOW)

    def test_no_private_half_of_an_old_key_is_kept(self, tmp_path: Path) -> None:
        keys = SigningKeys(tmp_path)
        for _ in range(3):
            keys.rotate(NOW)
        kept = json.loads((tmp_path / RETIRED_KEYS).read_text())["keys"]
        assert len(kept) == 3
        assert not {"d", "p", "q", "dp", "dq", "qi"} & {name for key in kept for name in key}
        for name in (RETIRED_KEYS, SIGNING_KEY):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600

    def test_those_that_are_over_are_dropped_at_the_next(self, tmp_path: Path) -> None:
        keys = SigningKeys(tmp_path)
        keys.rotate(NOW)
        keys.rotate(NOW + VERIFIES_FOR)
        assert len(json.loads((tmp_path / RETIRED_KEYS).read_text())["keys"]) == 1

    def test_one_that_is_killed_half_way_has_changed_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tokens = TokenIssuer(tmp_path)
        old = issued(tokens)

        def die(*_: object, **_more: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("bascule.identity.signing_keys.RSAKey.generate_key", die)
        with pytest.raises(KeyboardInterrupt):
            tokens.rotate(NOW)
        monkeypatch.undo()
        again = TokenIssuer(tmp_path)
        assert len(again.jwks(NOW)["keys"]) == 1
        assert again.verify(old, REALM, NOW).id == "t-1"
        assert kid_of(issued(again)) == kid_of(old)

    @pytest.mark.parametrize("content", ["", "{}", '{"keys": [{}]}', '{"keys": [7]}', "[]"])
    def test_a_damaged_list_says_what_to_do(self, tmp_path: Path, content: str) -> None:
        (tmp_path / RETIRED_KEYS).write_text(content)
        with pytest.raises(ConfigurationError, match="damaged") as caught:
            SigningKeys(tmp_path)
        assert "must sign in again" in caught.value.advice
