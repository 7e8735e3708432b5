"""What a sign-in leaves behind, and the public clients: what holds, until when, for whom."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from bascule.domain.clients import AZURE_CLI, PUBLIC_CLIENTS, client_name, loopback_origin
from bascule.domain.principals import User
from bascule.domain.tokens import (
    CODE_LIFE,
    DEVICE_LIFE,
    EARLY,
    FAMILY_LIFE,
    HALF_LIFE,
    POLL_INTERVAL,
    REFRESH_LIFE,
    RETRY_GRACE,
    SESSION_IDLE,
    SESSION_LIFE,
    SESSION_NOTED,
    AuthorizationCode,
    DeviceCode,
    DeviceState,
    Flow,
    Poll,
    RefreshToken,
    Session,
    SignIn,
    TokenFamily,
)

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
TICK = timedelta(microseconds=1)
ANNA = User("u-1", "anna@example.com", "Anna", True, NOW, epoch=3)
SIGN_IN = SignIn("u-1", 3, NOW, ("pwd",))


@pytest.mark.parametrize(
    ("user", "holds"),
    [
        (ANNA, True),
        (None, False),
        (replace(ANNA, is_enabled=False), False),
        (replace(ANNA, epoch=4), False),
        (replace(ANNA, epoch=2), False),
        (replace(ANNA, id="u-2"), False),
    ],
)
def test_a_sign_in_holds_for_its_user_of_its_epoch(user: User | None, holds: bool) -> None:
    family = TokenFamily("f", "c", Flow.BROWSER, SIGN_IN, NOW, "seed")
    assert SIGN_IN.holds_for(user) is holds
    assert family.holds(user, NOW) is holds
    assert not replace(family, is_revoked=True).holds(user, NOW)
    assert not family.holds(user, NOW + FAMILY_LIFE)


class TestSession:
    @pytest.mark.parametrize(
        ("seen", "now", "holds"),
        [
            (timedelta(), SESSION_IDLE - TICK, True),
            (timedelta(), SESSION_IDLE, False),
            (SESSION_LIFE - TICK, SESSION_LIFE - TICK, True),
            (SESSION_LIFE - TICK, SESSION_LIFE, False),
        ],
    )
    def test_it_has_two_ends(self, seen: timedelta, now: timedelta, holds: bool) -> None:
        assert Session("h", SIGN_IN, NOW + seen).holds_at(NOW + now) is holds

    def test_half_of_one_lasts_ten_minutes_whatever_it_is_used(self) -> None:
        half = Session("h", SIGN_IN, NOW + HALF_LIFE, is_whole=False)
        assert half.holds_at(NOW + HALF_LIFE - TICK)
        assert not half.holds_at(NOW + HALF_LIFE)

    def test_its_use_is_noted_now_and_then(self) -> None:
        session = Session("h", SIGN_IN, NOW)
        assert not session.is_to_be_noted(NOW + SESSION_NOTED - TICK)
        assert session.is_to_be_noted(NOW + SESSION_NOTED)


CODE = AuthorizationCode("h", "c", "http://localhost:1", "x", "", "a", SIGN_IN, NOW)


@pytest.mark.parametrize(
    ("code", "client", "redirect", "challenge", "after", "why"),
    [
        (CODE, "c", "http://localhost:1", "x", CODE_LIFE - TICK, ""),
        (CODE, "c", "http://localhost:1", "x", CODE_LIFE, "expired"),
        (replace(CODE, is_used=True), "c", "http://localhost:1", "x", TICK, "used before"),
        (CODE, "d", "http://localhost:1", "x", TICK, "another client"),
        (CODE, "c", "http://localhost:1/", "x", TICK, "redirect_uri"),
        (CODE, "c", "http://localhost:1", "y", TICK, "code_verifier"),
    ],
)
def test_a_code_is_bound_to_all_that_it_was_made_for(
    code: AuthorizationCode, client: str, redirect: str, challenge: str, after: timedelta, why: str
) -> None:
    said = code.misfit(client, redirect, challenge, NOW + after)
    assert (why in said) if why else said == ""


class TestDeviceCode:
    CODE = DeviceCode("h", "BCDFGHJK", "c", "a", "192.0.2.1", NOW)

    @pytest.mark.parametrize(
        ("changes", "client", "after", "poll", "state"),
        [
            ({}, "c", TICK, Poll.PENDING, DeviceState.PENDING),
            ({}, "d", TICK, Poll.UNKNOWN, DeviceState.PENDING),
            ({}, "c", DEVICE_LIFE, Poll.EXPIRED, DeviceState.PENDING),
            ({"state": DeviceState.USED}, "c", TICK, Poll.UNKNOWN, DeviceState.USED),
            ({"state": DeviceState.REFUSED}, "c", TICK, Poll.REFUSED, DeviceState.REFUSED),
            ({"state": DeviceState.APPROVED}, "c", TICK, Poll.READY, DeviceState.USED),
            ({"state": DeviceState.APPROVED}, "d", TICK, Poll.UNKNOWN, DeviceState.APPROVED),
            ({"state": DeviceState.APPROVED}, "c", DEVICE_LIFE, Poll.EXPIRED, DeviceState.APPROVED),
        ],
    )
    def test_a_poll(
        self,
        changes: dict[str, DeviceState],
        client: str,
        after: timedelta,
        poll: Poll,
        state: DeviceState,
    ) -> None:
        said, code = replace(self.CODE, state=changes.get("state", DeviceState.PENDING)).polled(
            client, NOW + after
        )
        assert (said, code.state) == (poll, state)

    def test_too_early_a_poll_slows_down_and_gets_nothing(self) -> None:
        approved = replace(self.CODE, state=DeviceState.APPROVED, polled_at=NOW)
        said, code = approved.polled("c", NOW + POLL_INTERVAL - EARLY - TICK)
        assert (said, code.state) == (Poll.SLOW_DOWN, DeviceState.APPROVED)
        assert code.interval > POLL_INTERVAL
        said, code = approved.polled("c", NOW + POLL_INTERVAL - EARLY)
        assert said is Poll.READY

    def test_it_waits_until_it_is_answered_or_over(self) -> None:
        assert self.CODE.is_waiting(NOW + DEVICE_LIFE - TICK)
        assert not self.CODE.is_waiting(NOW + DEVICE_LIFE)
        assert not replace(self.CODE, state=DeviceState.APPROVED).is_waiting(NOW)


def test_a_refresh_token_lasts_and_may_be_repeated_for_a_moment() -> None:
    token = RefreshToken("h", "f", 1, NOW)
    assert not token.has_expired(NOW + REFRESH_LIFE - TICK)
    assert token.has_expired(NOW + REFRESH_LIFE)
    assert not token.may_be_repeated(NOW)
    used = replace(token, used_at=NOW)
    assert used.may_be_repeated(NOW + RETRY_GRACE - TICK)
    assert not used.may_be_repeated(NOW + RETRY_GRACE)


def test_public_clients_are_the_three_that_are_listed() -> None:
    assert len(PUBLIC_CLIENTS) == 3
    assert client_name(AZURE_CLI) == "Azure CLI or an Azure SDK"
    assert client_name("x") is None


@pytest.mark.parametrize(
    ("uri", "origin"),
    [
        ("http://localhost:8400", "http://localhost:8400"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1"),
        ("http://localhost:65535", "http://localhost:65535"),
        ("http://localhost:65536", None),
        ("http://localhost:08400", None),
        ("http://localhost", None),
        ("https://localhost:8400", None),
        ("http://localhost:8400/x", None),
        ("http://localhost:8400\n", None),
        ("http://evil.example:8400", None),
    ],
)
def test_redirects_lead_to_loopback(uri: str, origin: str | None) -> None:
    assert loopback_origin(uri) == origin
