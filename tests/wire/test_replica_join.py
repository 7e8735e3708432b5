"""A host joins an installation by a one-time token, and by nothing else."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.api.replica_keys import NOT_READ, NOT_WRITTEN, ReplicaKeys
from bascule.config import DatabaseSettings
from bascule.domain.event import SYSTEM
from bascule.identity.sealing import Sealer
from bascule.identity.shared_keys import WRAPPING_KEY, SharedKeys
from bascule.interfaces.record import EventFilter
from bascule.interfaces.replicas import Outdated
from bascule.interfaces.store import outdated
from bascule.services import invites
from tests.wire.house import House

PATH = "/bascule/replicas/join"
SECRET = "a secret of the token"
URL = "postgresql://bascule@db.example/bascule"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    shared = SharedKeys(tmp_path)
    made.do(lambda tx, act: shared.put_missing(tx, act.now))
    keys = ReplicaKeys(made.services, shared, made.state.tokens, DatabaseSettings(URL))
    object.__setattr__(made.state, "replica_keys", keys)
    yield made
    made.close()


def invite(house: House, invite_id: str = "i-1", secret: str = SECRET) -> None:
    shared = keys_of(house).shared
    house.do(
        lambda tx, act: invites.invite(
            tx, act, invite_id, lambda ends_at: shared.seal_invite(tx, invite_id, secret, ends_at)
        )
    )


def keys_of(house: House) -> ReplicaKeys:
    assert house.state.replica_keys is not None
    return house.state.replica_keys


def join(house: House, invite_id: str = "i-1", secret: str = SECRET) -> Any:  # reason: httpx2's own
    body = {"inviteId": invite_id, "secret": secret, "host": "b.example"}
    return house.client_of(None).post(PATH, json=body)


def test_a_token_gives_the_wrapping_key_once(house: House, tmp_path: Path) -> None:
    invite(house)
    answer = join(house)
    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert base64.b64decode(told["wrappingKey"]) == (tmp_path / WRAPPING_KEY).read_bytes()
    assert (told["tenantId"], told["database"]) == (house.installation.tenant_id, URL)
    again = join(house)
    assert (again.status_code, again.json()["error"]["code"]) == (403, "JoinRefused")
    assert "wrappingKey" not in again.text
    kinds = ["ReplicaInvited", "ReplicaJoined", "ReplicaRefused"]
    assert house.events(*kinds) == kinds[::-1]  # the newest first


@pytest.mark.parametrize(
    ("invite_id", "secret"), [("i-1", "another"), ("i-2", SECRET), ("i-1", SECRET.upper())]
)
def test_a_wrong_token_gives_nothing_and_uses_up_nothing(
    house: House, invite_id: str, secret: str
) -> None:
    invite(house)
    answer = join(house, invite_id, secret)
    assert answer.status_code == 403
    assert "unknown or was already used" in answer.text
    assert join(house).status_code == 200


def test_a_token_ends(house: House) -> None:
    invite(house)
    house.clock.pass_time(invites.INVITE_LIFE.total_seconds())
    answer = join(house)
    assert answer.status_code == 403
    assert "has expired" in answer.text
    assert house.events("ReplicaJoined") == []


def test_who_can_write_the_database_alone_invites_nobody(house: House) -> None:
    """A row of their own, sealed by another key or for another invitation, and an end put off."""
    invite(house)
    tenant = house.installation.tenant_id
    made = house.do(lambda tx, _: tx.replica_invite("i-1"))
    assert made is not None
    stranger = Sealer(b"x" * 32)
    from bascule.identity.join_token import seal_invite

    later = made.expires_at + timedelta(days=1)
    forged = seal_invite(stranger, tenant, "i-3", SECRET, later)
    for row in (replace(made, id="i-2"), replace(made, id="i-3", sealed=forged)):
        house.do(lambda tx, _, row=row: tx.add_replica_invite(row))
        assert join(house, row.id).status_code == 403
    house.do(lambda tx, _: tx.take_replica_invite("i-1"))
    house.do(lambda tx, _: tx.add_replica_invite(replace(made, expires_at=later)))
    house.clock.pass_time(invites.INVITE_LIFE.total_seconds())
    assert "has expired" in join(house).text, "the end is sealed too"


def test_guesses_are_put_on_record_in_bounded_number(house: House) -> None:
    for number in range(40):
        assert join(house, f"i-{number}").status_code == 403
    assert 0 < len(house.events("ReplicaRefused")) < 40


@pytest.mark.parametrize("is_over", [False, True])
def test_wrong_uses_of_a_known_invitation_are_put_on_record_in_bounded_number(
    house: House, is_over: bool
) -> None:
    """Each would cost a turn of the database and an event, for whoever knows an old token."""
    invite(house)
    if is_over:
        house.clock.pass_time(invites.INVITE_LIFE.total_seconds())
    for number in range(40):
        answer = join(house, secret=SECRET if is_over else f"a guess {number}")
        assert answer.status_code == 403
        assert ("has expired" in answer.text) == is_over
    assert 0 < len(house.events("ReplicaRefused")) < 40


@pytest.mark.parametrize(
    "body", [{}, {"inviteId": "i-1"}, {"inviteId": "", "secret": "s", "host": "h"}, [], "x"]
)
def test_a_body_that_is_none_is_refused(house: House, body: object) -> None:
    assert house.client_of(None).post(PATH, json=body).status_code == 400


def test_the_host_is_on_record_and_the_secret_is_not(house: House) -> None:
    invite(house)
    join(house)
    wanted = EventFilter(kinds=("ReplicaInvited", "ReplicaJoined"))
    joined, invited = (event for _, event in house.see(lambda r: r.events(wanted)))
    assert "b.example" in repr(joined.fact)
    assert joined.actor.address == "198.51.100.7"
    assert invited.actor == SYSTEM
    assert SECRET not in repr((joined, invited))


def test_a_server_over_sqlite_gives_no_key(house: House) -> None:
    invite(house)
    object.__setattr__(house.state, "replica_keys", None)
    answer = join(house)
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "NoReplicas")


def test_a_token_by_a_key_that_another_replica_has_made_is_accepted(
    house: House, tmp_path: Path
) -> None:
    """Its replica is asked nothing: the database says which keys count."""
    from bascule.identity.signing_keys import new_key
    from bascule.identity.tokens import TokenIssuer

    elsewhere = tmp_path / "b"
    elsewhere.mkdir()
    (elsewhere / WRAPPING_KEY).write_bytes((tmp_path / WRAPPING_KEY).read_bytes())
    other = SharedKeys(elsewhere)
    house.do(lambda tx, act: other.rotate(tx, new_key(), act.now, forget=True))
    other.write(house.do(lambda tx, _: other.read(tx)))
    own, object_ = house.state.tokens, house.state
    object.__setattr__(object_, "tokens", TokenIssuer(elsewhere))
    token = house.service_token()
    object.__setattr__(object_, "tokens", own)
    assert own.names_unknown_key(token)
    assert house.call("GET", "/resourceGroups").status_code == 200  # the old key, not asked yet
    house.client = house.client_of(token)
    assert house.call("GET", "/resourceGroups").status_code == 200
    house.client = house.client_of("a.b.c")
    assert house.call("GET", "/resourceGroups").status_code == 401


def test_readiness_tells_of_keys_that_are_not_as_in_the_database(house: House) -> None:
    keys, stranger = keys_of(house), house.client_of(None)
    assert "keys" not in stranger.get("/readyz").json()
    keys.trouble = NOT_WRITTEN
    answer = stranger.get("/readyz")
    assert (answer.status_code, answer.json()["keys"]) == (200, "not written")
    keys.trouble = NOT_READ
    answer = stranger.get("/readyz")
    assert (answer.status_code, "keys cannot be read" in answer.text) == (503, True)


def test_a_server_whose_record_was_moved_is_not_ready(house: House) -> None:
    house.services.fitness.has_moved = True
    answer = house.client_of(None).get("/readyz")
    house.services.fitness.has_moved = False
    assert (answer.status_code, "was moved" in answer.text) == (503, True)


def test_a_server_that_is_too_old_says_so_and_not_that_it_stops(house: House) -> None:
    """Its agents and pages were sent elsewhere, as at a stop (EDGES H6)."""
    house.services.fitness.outdated = outdated("9.9")
    house.services.hub.close()
    answer = house.client_of(None).get("/readyz")
    assert (answer.status_code, "install Bascule 9.9 or later" in answer.text) == (503, True)
    with pytest.raises(Outdated, match="too old"):
        house.do(lambda tx, _: tx.add_resource_group("g"))
