"""Sessions, codes, families and refresh tokens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from bascule.domain.places import TakenPlace
from bascule.domain.principals import User
from bascule.domain.tokens import (
    DEVICE_LIFE,
    FAMILY_LIFE,
    HALF_LIFE,
    REFRESH_LIFE,
    SESSION_IDLE,
    SESSION_LIFE,
    AuthorizationCode,
    DeviceCode,
    DeviceState,
    Flow,
    Origin,
    RefreshToken,
    Session,
    SignIn,
    TokenFamily,
)
from bascule.errors import Conflict
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import NOW, read, write

PROOF = SignIn("u-1", 3, NOW, ("pwd", "otp", "mfa"))
SECOND = timedelta(seconds=1)


def _put_user(store: Store) -> None:
    user = User("u-1", "anna@example.com", "Anna", True, NOW, 3)
    write(store, lambda tx: tx.put_user(user))


def _device(name: str = "d", **changes: object) -> DeviceCode:
    made = DeviceCode(name, f"CODE{name}", "az", "aud", "192.0.2.1", NOW)
    return replace(made, **changes)  # type: ignore[arg-type]  # reason: passed through


class TokenContract:
    def test_what_is_put_comes_back_whole(self, store: Store) -> None:
        _put_user(store)
        half = Session("s", PROOF, NOW, is_whole=False)
        for session in (half, replace(half, is_whole=True, seen_at=NOW + SECOND)):
            write(store, lambda tx: tx.put_session(session))
            assert read(store, lambda r: r.session("s")) == session
        code = AuthorizationCode("c", "az", "http://localhost:1", "x", "n", "aud", PROOF, NOW)
        for each in (code, replace(code, is_used=True, family_id="f")):
            write(store, lambda tx: tx.put_authorization_code(each))
            assert read(store, lambda r: r.authorization_code("c")) == each
        approved = _device(
            polled_at=NOW, interval=10 * SECOND, state=DeviceState.APPROVED, sign_in=PROOF
        )
        for device in (_device(), approved):
            write(store, lambda tx: tx.put_device_code(device))
            assert read(store, lambda r: r.device_code("d")) == device
            assert read(store, lambda r: r.device_code_of("CODEd")) == device

    def test_a_family_and_its_tokens(self, store: Store) -> None:
        _put_user(store)
        family = TokenFamily("f", "az", Flow.DEVICE, PROOF, NOW, "seed")
        tokens = [RefreshToken(f"t{n}", "f", n, NOW, NOW + SECOND) for n in (1, 2, 3)]

        def work(tx: Transaction) -> None:
            tx.put_token_family(family)
            for token in tokens:
                tx.put_refresh_token(token)

        write(store, work)
        assert read(store, lambda r: r.token_family("f")) == family
        assert read(store, lambda r: r.refresh_token("t2")) == tokens[1]
        assert list(read(store, lambda r: r.token_families_of("u-1"))) == [family]
        write(store, lambda tx: tx.forget_refresh_tokens("f", 3))
        found = [read(store, lambda r: r.refresh_token(each.hash)) for each in tokens]
        assert found == [None, None, tokens[2]]
        revoked = replace(family, is_revoked=True)
        write(store, lambda tx: tx.put_token_family(revoked))
        assert read(store, lambda r: r.token_family("f")) == revoked
        assert list(read(store, lambda r: r.token_families_of("u-1"))) == []

    def test_sessions_of_a_user_and_the_codes_of_one_of_them(self, store: Store) -> None:
        _put_user(store)
        later = replace(PROOF, at=NOW + SECOND)
        place = Origin("192.0.2.1", "Firefox")
        old = Session("s1", PROOF, NOW, id="i1", origin=place, seen_from="192.0.2.2")
        new = Session("s2", later, NOW, id="i2")
        family = TokenFamily(
            *("f", "az", Flow.DEVICE, PROOF, NOW, "seed"),
            origin=place,
            seen_at=NOW + SECOND,
            seen_from="192.0.2.3",
        )

        def work(tx: Transaction) -> None:
            tx.put_token_family(family)
            for session, name in ((old, "c1"), (new, "c2")):
                tx.put_session(session)
                proof = session.sign_in
                tx.put_authorization_code(
                    AuthorizationCode(name, "az", "r", "x", "", "a", proof, NOW)
                )

        write(store, work)
        assert list(read(store, lambda r: r.sessions_of("u-1"))) == [new, old]
        assert list(read(store, lambda r: r.sessions_of("u-2"))) == []
        assert read(store, lambda r: r.token_family("f")) == family
        write(store, lambda tx: tx.forget_codes_of("u-1", NOW))
        codes = ("c1", "c2")
        found = [read(store, lambda r: r.authorization_code(each)) for each in codes]
        assert [each is not None for each in found] == [False, True]
        write(store, lambda tx: tx.forget_codes_of("u-1"))
        assert read(store, lambda r: r.authorization_code("c2")) is None

    def test_what_is_not_there_is_nothing(self, store: Store) -> None:
        found = read(
            store,
            lambda r: (
                r.session("x"), r.authorization_code("x"), r.device_code("x"),
                r.device_code_of("x"), r.token_family("x"), r.refresh_token("x"),
            ),
        )  # fmt: skip
        assert set(found) == {None}

    def test_a_user_code_is_one_devices(self, store: Store) -> None:
        write(store, lambda tx: tx.put_device_code(_device("a", user_code="SAME")))
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_device_code(_device("b", user_code="SAME")))

    def test_nothing_is_kept_of_a_user_who_is_not_there(self, store: Store) -> None:
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_session(Session("s", PROOF, NOW)))

    def test_device_codes_that_wait_are_listed_oldest_first(self, store: Store) -> None:
        _put_user(store)
        for n, (client, address) in enumerate((("az", "1"), ("az", "2"), ("ps", "1"))):
            at = NOW + (3 - n) * SECOND
            device = _device(str(n), client_id=client, address=address, created_at=at)
            write(store, lambda tx: tx.put_device_code(device))
        for state in (DeviceState.APPROVED, DeviceState.REFUSED, DeviceState.USED):
            done = _device(str(state), state=state, created_at=NOW + SECOND)
            write(store, lambda tx: tx.put_device_code(done))
        expected = [
            TakenPlace("2", "1", NOW + SECOND + DEVICE_LIFE),
            TakenPlace("1", "2", NOW + 2 * SECOND + DEVICE_LIFE),
            TakenPlace("0", "1", NOW + 3 * SECOND + DEVICE_LIFE),
        ]
        assert read(store, lambda r: r.waiting_device_codes(NOW)) == expected
        assert read(store, lambda r: r.waiting_device_codes(NOW + SECOND)) == expected[1:]
        assert read(store, lambda r: r.waiting_device_codes(NOW, "az")) == expected[1:]
        assert read(store, lambda r: r.waiting_device_codes(NOW, "az", "1")) == expected[2:]
        write(store, lambda tx: tx.delete_device_code("1"))
        assert read(store, lambda r: r.waiting_device_codes(NOW)) == [expected[0], expected[2]]

    def test_a_user_who_goes_takes_everything_along(self, store: Store) -> None:
        for forget in (
            lambda tx: tx.forget_sign_ins_of("u-1"),
            lambda tx: tx.delete_principal("u-1"),
        ):
            _put_user(store)
            write(store, self._fill)
            write(store, forget)
            assert set(self._all_of(store)) == {None}

    def _fill(self, tx: Transaction) -> None:
        tx.put_session(Session("s", PROOF, NOW))
        tx.put_authorization_code(AuthorizationCode("c", "az", "r", "x", "", "a", PROOF, NOW))
        tx.put_device_code(_device(sign_in=PROOF, state=DeviceState.APPROVED))
        tx.put_token_family(TokenFamily("f", "az", Flow.BROWSER, PROOF, NOW, "seed"))
        tx.put_refresh_token(RefreshToken("t", "f", 1, NOW))

    def _all_of(self, store: Store) -> tuple[object, ...]:
        return read(
            store,
            lambda r: (
                r.session("s"), r.authorization_code("c"), r.device_code("d"),
                r.token_family("f"), r.refresh_token("t"),
            ),
        )  # fmt: skip

    def test_half_a_session_is_forgotten_when_its_time_is_over(self, store: Store) -> None:
        _put_user(store)
        write(store, lambda tx: tx.put_session(Session("s", PROOF, NOW)))
        write(store, lambda tx: tx.put_session(Session("h", PROOF, NOW, False, "h")))
        for after, is_there in ((HALF_LIFE - SECOND, True), (HALF_LIFE, False)):
            write(store, lambda tx: tx.forget_ended(NOW + after))
            assert (read(store, lambda r: r.session("h")) is not None) is is_there
        assert read(store, lambda r: r.session("s")) is not None

    def test_what_has_ended_is_forgotten(self, store: Store) -> None:
        _put_user(store)
        write(store, self._fill)
        for after, left in (
            (SESSION_IDLE - SECOND, 4),  # the code is over by then
            (SESSION_IDLE, 3),
            (SESSION_LIFE, 3),
            (2 * DEVICE_LIFE, 3),
            (REFRESH_LIFE - SECOND, 2),
            (REFRESH_LIFE, 1),
            (FAMILY_LIFE, 0),
        ):
            write(store, lambda tx: tx.forget_ended(NOW + after))
            found = [each for each in self._all_of(store) if each is not None]
            assert len(found) <= left, after
        assert set(self._all_of(store)) == {None}

    def test_an_assertion_is_used_once_by_its_holder(self, store: Store) -> None:
        assert write(store, lambda tx: tx.use_assertion("m-1", "j", NOW))
        assert not write(store, lambda tx: tx.use_assertion("m-1", "j", NOW + SECOND))
        assert write(store, lambda tx: tx.use_assertion("m-1", "J", NOW))
        assert write(store, lambda tx: tx.use_assertion("m-2", "j", NOW + SECOND))
        used = [
            write(store, lambda tx: tx.assertions_used(holder, NOW + after))
            for holder, after in (("m-1", 0 * SECOND), ("m-3", SECOND), ("m-2", 0 * SECOND))
        ]
        assert used == [2, 0, 0], "what ends later is not among them"
        write(store, lambda tx: tx.forget_assertions(NOW))
        assert not write(store, lambda tx: tx.use_assertion("m-2", "j", NOW))
        assert write(store, lambda tx: tx.assertions_used("m-1", NOW)) == 0
