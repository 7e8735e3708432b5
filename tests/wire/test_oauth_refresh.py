"""Refresh tokens: used once, and a second use ends the family (RFC 9700 section 4.14)."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.clients import AZURE_POWERSHELL
from bascule.domain.principals import User
from bascule.domain.tokens import FAMILY_LIFE, REFRESH_LIFE, RETRY_GRACE
from bascule.services import tokens
from tests.wire.browsing import Browser, Program, add_user
from tests.wire.house import BASE, House
from tests.wire.test_oauth import claims_in, refused

GONE = (400, "invalid_grant", 70043)


@pytest.fixture
def anna(house: House) -> User:
    return add_user(house)


@pytest.fixture
def program(house: House) -> Program:
    return Program(house)


@pytest.fixture
def body(house: House, anna: User, program: Program) -> dict[str, Any]:
    return program.signed_in(Browser(house))


class TestRotation:
    def test_each_use_gives_a_successor(self, program: Program, body: dict[str, Any]) -> None:
        token = body["refresh_token"]
        seen = {token}
        for _ in range(3):
            answer = program.refresh(token).json()
            assert program.may_call(answer["access_token"]) == 200
            assert claims_in(answer["id_token"])["upn"] == "anna@example.com"
            token = answer["refresh_token"]
            assert token not in seen
            seen.add(token)

    def test_it_is_redeemed_for_another_audience_at_another_tenants_path(
        self, program: Program, body: dict[str, Any]
    ) -> None:
        """As az does: one token for ARM and the Graph, from organizations to the tenant."""
        form = {
            "grant_type": "refresh_token",
            "client_id": program.client_id,
            "refresh_token": body["refresh_token"],
            "scope": f"{BASE}/graph//.default offline_access openid profile",
        }
        graph = program.ask(form, "organizations").json()
        assert claims_in(graph["access_token"])["aud"] == f"{BASE}/graph"
        assert program.may_call(graph["access_token"]) == 401
        arm = program.refresh(graph["refresh_token"]).json()
        assert program.may_call(arm["access_token"]) == 200

    def test_a_retry_gets_the_same_successor(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        first = program.refresh(body["refresh_token"]).json()["refresh_token"]
        house.clock.pass_time(RETRY_GRACE.total_seconds() - 1)
        assert program.refresh(body["refresh_token"]).json()["refresh_token"] == first
        assert house.events("TokenFamilyRevoked") == []

    def test_a_retry_after_the_successor_was_used_gets_that_ones_successor(
        self, program: Program, body: dict[str, Any]
    ) -> None:
        """Two programs with one cache: whoever is late still ends up with the live token."""
        first = program.refresh(body["refresh_token"]).json()["refresh_token"]
        second = program.refresh(first).json()["refresh_token"]
        assert program.refresh(body["refresh_token"]).json()["refresh_token"] == second

    def test_a_late_second_use_ends_everything(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        new = program.refresh(body["refresh_token"]).json()
        house.clock.pass_time(RETRY_GRACE.total_seconds())
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert refused(program.refresh(new["refresh_token"])) == GONE
        assert program.may_call(new["access_token"]) == 401
        assert program.may_call(body["access_token"]) == 401
        assert house.events("TokenFamilyRevoked") == ["TokenFamilyRevoked"]

    def test_a_thief_who_is_first_is_found_out_by_the_owner(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        stolen = program.refresh(body["refresh_token"]).json()
        house.clock.pass_time(3600)
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert refused(program.refresh(stolen["refresh_token"])) == GONE

    def test_within_the_grace_there_is_but_one_live_token(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        """A thief in the grace shares the successor; whoever uses it second is noticed."""
        mine = program.refresh(body["refresh_token"]).json()["refresh_token"]
        theirs = program.refresh(body["refresh_token"]).json()["refresh_token"]
        house.clock.pass_time(600)
        assert program.refresh(theirs).status_code == 200
        house.clock.pass_time(600)
        assert refused(program.refresh(mine)) == GONE


class TestEnds:
    @pytest.mark.parametrize(("seconds", "status"), [(-1, 200), (0, 400)])
    def test_unused_it_lasts_ninety_days(
        self, house: House, program: Program, body: dict[str, Any], seconds: int, status: int
    ) -> None:
        house.clock.pass_time(REFRESH_LIFE.total_seconds() + seconds)
        assert program.refresh(body["refresh_token"]).status_code == status

    def test_however_much_it_is_used_a_year(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        token = body["refresh_token"]
        for _ in range(7):
            house.clock.pass_time(FAMILY_LIFE.total_seconds() / 8)
            token = program.refresh(token).json()["refresh_token"]
        house.clock.pass_time(FAMILY_LIFE.total_seconds() / 8)
        assert refused(program.refresh(token)) == GONE

    def test_of_another_client_it_is_nobodys(self, program: Program, body: dict[str, Any]) -> None:
        answer = program.refresh(body["refresh_token"], client_id=AZURE_POWERSHELL)
        assert refused(answer) == GONE
        assert program.refresh(body["refresh_token"]).status_code == 200

    def test_a_wrong_scope_does_not_spend_it(self, program: Program, body: dict[str, Any]) -> None:
        answer = program.refresh(body["refresh_token"], scope="https://evil.example/.default")
        assert refused(answer) == (400, "invalid_scope", 70011)
        assert program.refresh(body["refresh_token"]).status_code == 200

    def test_a_disabled_user_has_none(
        self, house: House, program: Program, body: dict[str, Any], anna: User
    ) -> None:
        from dataclasses import replace

        house.do(lambda tx, _: tx.put_user(replace(anna, is_enabled=False)))
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert program.may_call(body["access_token"]) == 401

    def test_a_deleted_user_has_none(
        self, house: House, program: Program, body: dict[str, Any], anna: User
    ) -> None:
        house.do(lambda tx, _: tx.delete_principal(anna.id))
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert program.may_call(body["access_token"]) == 401

    def test_the_oldest_of_many_gives_way(
        self,
        house: House,
        program: Program,
        body: dict[str, Any],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(tokens, "MOST_FAMILIES", 3)
        browser = Browser(house)
        browser.sign_in()
        kept = []
        for _ in range(3):
            house.clock.pass_time(1)
            kept.append(program.redeem(program.code(browser)).json()["refresh_token"])
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert [program.refresh(token).status_code for token in kept] == [200] * 3


class TestRevocation:
    """RFC 7009."""

    def revoke(self, program: Program, **form: str) -> int:
        path = f"/{program.tenant}/oauth2/v2.0/revoke"
        whole = {"client_id": program.client_id, **form}
        return int(program.client.post(path, data=whole).status_code)

    def test_it_ends_the_family(self, program: Program, body: dict[str, Any]) -> None:
        assert self.revoke(program, token=body["refresh_token"]) == 200
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert program.may_call(body["access_token"]) == 401

    def test_a_client_id_is_the_same_in_capitals(
        self, program: Program, body: dict[str, Any]
    ) -> None:
        """Else the program says that it signed out, and its tokens live on."""
        shouted = program.client_id.upper()
        assert shouted != program.client_id
        refreshed = program.refresh(body["refresh_token"], client_id=shouted)
        assert refreshed.status_code == 200
        token = refreshed.json()["refresh_token"]
        assert self.revoke(program, token=token, client_id=shouted) == 200
        assert refused(program.refresh(token)) == GONE
        assert program.may_call(refreshed.json()["access_token"]) == 401

    def test_what_is_none_of_the_clients_is_not_told(
        self, program: Program, body: dict[str, Any]
    ) -> None:
        assert self.revoke(program, token="x") == 200
        other = {"client_id": AZURE_POWERSHELL, "token": body["refresh_token"]}
        assert self.revoke(program, **other) == 200
        assert program.refresh(body["refresh_token"]).status_code == 200

    def test_without_a_token_it_is_refused(self, program: Program) -> None:
        assert self.revoke(program) == 400

    def test_people_end_all_of_theirs_by_the_api(
        self, house: House, program: Program, body: dict[str, Any]
    ) -> None:
        path = f"{house.subscription}/providers/Bascule.Identity/me/signOut"
        params = {"api-version": "2026-11-01"}
        assert house.client.post(path, params=params).status_code == 409
        client = house.client_of(body["access_token"])
        assert client.post(path, params=params).status_code == 204
        assert refused(program.refresh(body["refresh_token"])) == GONE
        assert client.post(path, params=params).status_code == 401


class TestBearer:
    """EDGES B5: what is no access token opens nothing."""

    @pytest.mark.parametrize("kind", ["id_token", "refresh_token"])
    def test_the_others_are_refused(
        self, program: Program, body: dict[str, Any], kind: str
    ) -> None:
        assert program.may_call(body[kind]) == 401
