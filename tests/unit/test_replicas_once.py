"""EDGES H2: one proof at three servers on one database at the same time, one success.

Each server is a store of its own, with its own connections, on one database of PostgreSQL.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import pyotp
import pytest

from bascule.domain.clients import AZURE_CLI
from bascule.domain.principals import User
from bascule.domain.providers import IdentityProvider
from bascule.domain.set_up import SetUpLink
from bascule.domain.sign_in import Passkey, TotpFactor
from bascule.domain.tokens import (
    AuthorizationCode,
    DeviceCode,
    DeviceState,
    Flow,
    Origin,
    SignIn,
)
from bascule.identity.proofs import IdentityProofs
from bascule.interfaces.providers import PendingSignIn
from bascule.interfaces.store import Transaction
from bascule.services import assertions, external_sign_in, tokens
from bascule.services.act import Act, Services
from bascule.services.hub import Hub
from bascule.services.second_factors import take_passkey, take_recovery_code, take_totp
from bascule.services.sign_in_limits import PAIR, Admitted, Attempt, SignInLimits
from bascule.services.tokens import Issued, hash_of
from bascule.store.postgresql_open import open_postgresql
from tests.contracts.store.samples import a_machine, an_enrolment, close
from tests.support import postgresql
from tests.support.authenticator import Authenticator
from tests.unit.services_world import SetClock

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)
T = TypeVar("T")
REPLICAS = 3
ORIGIN = Origin("192.0.2.1", "a program")
HERE = "https://localhost"
REDIRECT = "http://localhost:4711"


class Replicas:
    """Three servers, and anna, who can sign in at any of them."""

    def __init__(self, data_dir: Path, name: str) -> None:
        self.clock = SetClock()
        place = postgresql.cluster().place(name)
        self.stores = [open_postgresql(place, is_server=False) for _ in range(REPLICAS)]
        self.services = [Services(store, self.clock, Hub()) for store in self.stores]
        self.proofs = [IdentityProofs(data_dir, "localhost") for _ in range(REPLICAS)]
        self.anna = User("0000000a-0000-4000-8000-000000000000", "anna", "", True, self.clock.wall)
        self.sign_in = SignIn(self.anna.id, self.anna.epoch, self.clock.wall, ("pwd",))
        self.do(lambda tx, _: tx.put_user(self.anna))

    def do(self, work: Callable[[Transaction, Act], T]) -> T:
        return asyncio.run(self.services[0].perform(work))

    def together(self, work: Callable[[Transaction, Act, Any], T]) -> list[T]:
        """What each of the servers answers; all are asked at once."""

        async def run() -> list[T]:
            def at(number: int) -> Awaitable[T]:
                proofs = self.proofs[number]
                return self.services[number].perform(lambda tx, act: work(tx, act, proofs))

            return list(await asyncio.gather(*map(at, range(REPLICAS))))

        return asyncio.run(run())


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    name = postgresql.cluster().make(postgresql.blank())
    made = Replicas(tmp_path_factory.mktemp("data"), name)
    yield made
    for each in made.stores:
        close(each)
    postgresql.cluster().drop(name)


def test_an_assertion(replicas: Replicas) -> None:
    now = replicas.clock.now()
    said = replicas.together(lambda tx, act, _: assertions.use(tx, "m", "jti", now, act.now))
    assert sorted(said) == ["", "it was used before", "it was used before"]


def test_an_enrolment_token(replicas: Replicas) -> None:
    enrolment = an_enrolment()

    def make(tx: Transaction, _: Act) -> None:
        tx.put_machine(a_machine())
        tx.add_enrolment(enrolment)

    replicas.do(make)
    used = replicas.together(
        lambda tx, *_: tx.consume_enrolment(enrolment.id, enrolment.expires_at)
    )
    assert sorted(used) == [False, False, True]


def test_an_authorization_code(replicas: Replicas) -> None:
    """A second use ends the family of the first, too (RFC 6749 section 4.1.2)."""
    now, challenge = replicas.clock.now(), "c" * 43
    code = AuthorizationCode(
        hash_of("code"), AZURE_CLI, REDIRECT, challenge, "", "aud", replicas.sign_in, now
    )
    replicas.do(lambda tx, act: tokens.issue_code(tx, act, code))
    found = replicas.together(
        lambda tx, act, _: tokens.redeem_code(
            tx, act, "code", AZURE_CLI, REDIRECT, challenge, ORIGIN
        )
    )
    issued = [each for each in found if isinstance(each, Issued)]
    assert len(issued) == 1
    family = replicas.do(lambda tx, _: tx.token_family(issued[0].family.id))
    assert family is not None
    assert family.is_revoked


def test_a_device_code(replicas: Replicas) -> None:
    approved = DeviceCode(
        hash_of("device"), "BCDFGHJK", AZURE_CLI, "aud", "192.0.2.1", replicas.clock.now(),
        state=DeviceState.APPROVED, sign_in=replicas.sign_in,
    )  # fmt: skip
    replicas.do(lambda tx, _: tx.put_device_code(approved))
    found = replicas.together(
        lambda tx, act, _: tokens.redeem_device_code(tx, act, "device", AZURE_CLI, ORIGIN)
    )
    assert [isinstance(each, Issued) for each in found].count(True) == 1


def test_a_refresh_token_has_one_successor(replicas: Replicas) -> None:
    """A retry within the grace gets the same one, so that one is live."""
    opened = replicas.do(
        lambda tx, act: tokens.open_family(
            tx, act, replicas.sign_in, AZURE_CLI, Flow.BROWSER, ORIGIN
        )
    )
    assert isinstance(opened, Issued)
    found = replicas.together(
        lambda tx, act, _: tokens.refresh(tx, act, opened.refresh_token, AZURE_CLI, ORIGIN)
    )
    assert len({each.refresh_token for each in found if isinstance(each, Issued)}) == 1


def test_a_one_time_password(replicas: Replicas) -> None:
    made = replicas.proofs[0].totp.new(replicas.anna)
    factor = TotpFactor(replicas.anna.id, True, made.sealed, replicas.clock.now(), 0)
    replicas.do(lambda tx, _: tx.put_totp(factor))
    code = pyotp.TOTP(made.secret).at(int(replicas.clock.now().timestamp()))
    taken = replicas.together(
        lambda tx, act, proofs: take_totp(proofs, tx, act, replicas.anna, code)
    )
    assert sorted(taken) == [False, False, True]


def test_a_recovery_code(replicas: Replicas) -> None:
    made = replicas.proofs[0].totp.new(replicas.anna)
    factor = TotpFactor(replicas.anna.id, True, made.sealed, replicas.clock.now(), 0)
    (code, digest), *_ = replicas.proofs[0].recovery.new(replicas.anna.id)

    def enrol(tx: Transaction, act: Act) -> None:
        tx.put_totp(factor)
        tx.put_recovery_codes(replicas.anna.id, [digest], act.now)

    replicas.do(enrol)
    taken = replicas.together(
        lambda tx, act, proofs: take_recovery_code(proofs, tx, act, replicas.anna, code)
    )
    assert sorted(taken) == [False, False, True]


def test_an_answer_of_a_passkey(replicas: Replicas) -> None:
    device, first, anna = Authenticator(HERE), replicas.proofs[0], replicas.anna
    now = replicas.clock.now()
    begun = first.passkeys.begin_registration(anna, [], now)
    answer = device.create(begun.options)
    _, key = first.passkeys.finish_registration(begun.ticket, answer, HERE, now)
    replicas.do(lambda tx, _: tx.put_passkey(_named(key)))
    asked = first.passkeys.begin_assertion(anna.id, [key], now)
    shown = device.get(asked.options)
    found = replicas.together(
        lambda tx, act, proofs: take_passkey(proofs, tx, act, anna.id, asked.ticket, shown, HERE)
    )
    assert sorted(each is not None for each in found) == [False, False, True]


def _named(key: Passkey) -> Passkey:
    return Passkey(key.id, key.user_id, "key", key.public_key, key.sign_count, key.created_at)


def test_a_return_from_a_provider(replicas: Replicas) -> None:
    now = replicas.clock.now()
    corp = IdentityProvider(
        "cccccccc-0000-4000-8000-00000000000c", "corp", "Corp", "https://corp.example", "b", now
    )
    ends_at = now + timedelta(minutes=10)
    left = PendingSignIn(
        "state", "browser", corp.id, corp.issuer, f"{HERE}/r", "n", "v", "/portal", ends_at
    )

    def leave(tx: Transaction, _: Act) -> None:
        tx.put_identity_provider(corp)
        tx.add_pending_sign_in(left)

    replicas.do(leave)
    found = replicas.together(
        lambda tx, act, _: external_sign_in.arrive(tx, act, "state", "browser")
    )
    assert sorted(each is not None for each in found) == [False, False, True]


def test_a_set_up_link(replicas: Replicas) -> None:
    replicas.do(lambda tx, act: tx.put_set_up_link(SetUpLink("link", act.now)))
    taken = replicas.together(lambda tx, *_: tx.take_set_up_link("link"))
    assert sorted(taken) == [False, False, True]


def test_the_limit_of_sign_in_holds_over_all_of_them(replicas: Replicas) -> None:
    """Not once, but so many times: tries at three servers at once are counted together."""
    key = replicas.proofs[0].count_key
    limits = [SignInLimits(each, key, "sign-in") for each in replicas.services]
    tried = Attempt("anna", "198.51.100.7/32", "")

    async def run() -> list[Admitted | timedelta]:
        return list(await asyncio.gather(*(each.try_password(tried) for each in limits * 5)))

    assert {each.count_key for each in replicas.proofs} == {key}
    found = asyncio.run(run())
    assert [isinstance(each, Admitted) for each in found].count(True) == PAIR.burst
