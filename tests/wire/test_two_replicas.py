"""Two servers behind a balancer that gives every second call to the other (ADR 26, EDGES H1, H2).

Each has a memory of its own. ``BASCULE_TEST_REPLICAS=2`` does the same for every test of this folder and
of the portal's.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bascule.api.app import build_app
from bascule.api.oauth import external
from bascule.api.oauth.external import ASKING_TAKES, Renewals
from bascule.domain.builtin_roles import READER
from bascule.domain.clients import AZURE_CLI
from bascule.domain.principals import User
from bascule.domain.providers import ExternalIdentity, IdentityProvider
from bascule.domain.tokens import Flow, Origin, SignIn
from bascule.errors import AuthenticationFailed
from bascule.identity.oidc import Tokens
from bascule.interfaces.store import Transaction
from bascule.services import tokens
from bascule.services.act import Act
from bascule.services.external_sign_in import METHODS
from bascule.services.sign_in_limits import PAIR
from bascule.services.tokens import Issued, NotIssued
from tests.wire import test_oauth_code, test_oauth_device, test_oauth_refresh
from tests.wire.browsing import PASSWORD, Browser, Program, add_user
from tests.wire.house import Balancer, House
from tests.wire.people import Person
from tests.wire.test_oauth import Agent, Desk, refused
from tests.wire.test_oauth_certificate import Holder
from tests.wire.test_oauth_device import Device
from tests.wire.test_oauth_password import ask as ask_by_password
from tests.wire.test_oauth_refresh import GONE


@pytest.fixture
def house(data_dir: Path) -> Iterator[House]:
    made = House(data_dir, replicas=2)
    yield made
    made.close()


def at_each(house: House, method: str, path: str, token: str, **more: Any) -> list[int]:
    """The same call at both."""
    client = house.client_of(token)
    return [client.request(method, path, **more).status_code for _ in house.states]


# -- Azure's ways to sign in --------------------------------------------------------------------


def test_a_device_code_from_the_device_to_its_tokens(house: House) -> None:
    walk = test_oauth_device.TestDeviceCode()
    walk.test_from_the_device_to_its_tokens(house, add_user(house), Device(house))


def test_a_code_with_pkce_from_the_program_to_its_tokens(house: House) -> None:
    walk = test_oauth_code.TestCode()
    walk.test_from_the_program_to_its_tokens(house, add_user(house))


def test_refreshing_and_the_theft_of_a_refresh_token(house: House) -> None:
    add_user(house)
    program = Program(house)
    body = program.signed_in(Browser(house))
    test_oauth_refresh.TestRotation().test_each_use_gives_a_successor(program, body)
    house.clock.pass_time(3600)
    assert refused(program.refresh(body["refresh_token"])) == GONE, "used long ago: stolen"
    assert at_each(house, "GET", house.subscription, body["access_token"]) == [401, 401]


def test_a_secret_and_a_certificate_of_a_program(house: House) -> None:
    desk, holder = Desk(house), Holder(house)
    for _ in house.states:
        body = desk.ask().json()
        assert at_each(house, "GET", house.subscription, body["access_token"]) == [403, 403]
        assert holder.present(holder.sign()).status_code == 200


def test_an_agents_assertion_is_used_at_one_of_them(house: House) -> None:
    agent = Agent(house)
    house.clock.pass_time(1)
    assertion = agent.assertion()
    assert agent.present(assertion).status_code == 200
    for _ in range(3):
        assert refused(agent.present(assertion)) == (400, "invalid_request", 700024)
    token = agent.present(agent.assertion()).json()["access_token"]
    assert [agent.state(token) for _ in house.states] == [200, 200]


def test_a_password_of_a_program_where_it_is_allowed(house: House) -> None:
    add_user(house)
    apps = [build_app(replace(each, allows_password_grant=True)) for each in house.states]
    house.app = Balancer(apps)
    for _ in house.states:
        assert ask_by_password(house).status_code == 200


# -- limits -------------------------------------------------------------------------------------


def test_tries_at_a_password_are_counted_together(house: House) -> None:
    add_user(house)
    answers = [Browser(house).sign_in(password="guess").status_code for _ in range(12)]
    assert answers.count(429) == 12 - PAIR.burst
    assert Browser(house).sign_in(password=PASSWORD).status_code == 429
    assert Browser(house, "203.0.113.9").sign_in().status_code == 303


# -- what is taken away at one is gone at the other ---------------------------------------------


def test_a_right_that_was_taken_away_at_one_is_gone_at_the_other(house: House) -> None:
    """Each keeps the rights that it has worked out: neither decides by what it keeps."""
    person = Person(house, "ada", (READER.id, house.subscription))
    token = person.client.headers["Authorization"].removeprefix("Bearer ")
    path, query = house.machine("nowhere"), {"api-version": "2024-07-01"}
    assert at_each(house, "GET", path, token, params=query) == [404, 404]
    held = house.see(lambda reader: reader.role_assignments_of([person.id]))
    house.do(lambda tx, _: tx.delete_role_assignment(held[0].id))
    assert at_each(house, "GET", path, token, params=query) == [403, 403]


def test_a_credential_that_was_removed_at_one_proves_nothing_at_the_other(house: House) -> None:
    person = Person(house, "ada", (READER.id, house.subscription))
    token = person.client.headers["Authorization"].removeprefix("Bearer ")
    assert at_each(house, "GET", house.subscription, token) == [400, 400], "no api-version"
    key = house.see(lambda reader: reader.credentials_of(person.id))[0]
    house.do(lambda tx, _: tx.delete_credential(key.key_id))
    assert at_each(house, "GET", house.subscription, token) == [401, 401]


def test_whoever_signs_out_everywhere_is_out_of_both(house: House) -> None:
    anna = add_user(house)
    program, browser = Program(house), Browser(house)
    body = program.signed_in(browser)
    house.do(lambda tx, act: tokens.sign_out_everywhere(tx, act, anna))
    assert at_each(house, "GET", house.subscription, body["access_token"]) == [401, 401]
    assert refused(program.refresh(body["refresh_token"])) == GONE
    for _ in house.states:
        assert browser.get(program.url()).headers["location"].startswith("/signin?")


# -- asking an identity provider again ----------------------------------------------------------


class Corp:
    """A provider whose refresh tokens work once; a second use would end the sign-in there."""

    def __init__(self) -> None:
        self.given, self.asked = "r-0", list[str]()

    def seal(self, text: str, _: str) -> str:
        return f"sealed {text}"

    def open(self, sealed: str, _: str) -> str:
        return sealed.removeprefix("sealed ")

    async def renew(self, _: IdentityProvider, token: str, subject: str) -> Tokens:
        self.asked.append(token)
        if token != self.given:
            raise AuthenticationFailed("used twice")
        await asyncio.sleep(0.3)  # the other server asks meanwhile
        self.given = f"r-{len(self.asked)}"
        return Tokens({"sub": subject}, self.given)


def at_corp(house: House) -> str:
    """A user whom a provider vouches for, signed in to a program: her refresh token."""
    now = house.clock.now()
    eva = User(str(uuid.uuid4()), "eva@corp.example", "Eva", True, now)
    corp = IdentityProvider(str(uuid.uuid4()), "corp", "Corp", "https://corp.example", "b", now)
    identity = ExternalIdentity(corp.issuer, "eva", corp.id, eva.id, now, "", None, "sealed r-0")
    origin = Origin("192.0.2.1", "a program")

    def work(tx: Transaction, act: Act) -> Issued | NotIssued:
        tx.put_user(eva)
        tx.put_identity_provider(corp)
        tx.put_external_identity(identity)
        sign_in = SignIn(eva.id, eva.epoch, now, tuple(map(str, METHODS)))
        return tokens.open_family(tx, act, sign_in, AZURE_CLI, Flow.BROWSER, origin)

    opened = house.do(work)
    assert isinstance(opened, Issued)
    return opened.refresh_token


def test_one_of_them_asks_a_provider_at_a_time(house: House) -> None:
    token, corp = at_corp(house), Corp()
    states = [replace(each, relying_party=corp) for each in house.states]  # type: ignore[arg-type]  # reason: what is used of it

    async def both() -> None:
        await asyncio.gather(*(Renewals(each).before_refresh(token) for each in states * 2))

    asyncio.run(both())
    assert corp.asked == ["r-0"]
    house.clock.pass_time(400)
    asyncio.run(both())
    assert corp.asked == ["r-0", "r-1"]
    family = house.see(lambda reader: tokens.family_of(reader, token))
    assert family is not None
    assert not family.is_revoked


def test_a_server_that_dies_while_it_asks_keeps_the_others_waiting_for_a_minute(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    token, corp = at_corp(house), Corp()
    now = house.clock.now()
    house.do(lambda tx, _: tx.begin_asking("https://corp.example", "eva", now + ASKING_TAKES, now))
    monkeypatch.setattr(external, "LOOK_AGAIN", 0.01)
    state = replace(house.states[1], relying_party=corp)  # type: ignore[arg-type]  # reason: as above

    async def wait() -> list[str]:
        asking = asyncio.create_task(Renewals(state).before_refresh(token))
        await asyncio.sleep(0.2)
        before = list(corp.asked)
        house.clock.pass_time(ASKING_TAKES.total_seconds())
        await asking
        return before

    assert asyncio.run(wait()) == []
    assert corp.asked == ["r-0"]
