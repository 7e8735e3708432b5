"""Rotating the key that signs tokens: by the API, and offline."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bascule.bootstrap.admin import admin
from bascule.bootstrap.drivers import HostParts
from bascule.cli.main import invoke
from bascule.clocks import SystemClock
from bascule.domain.facts.installation import SigningKeyRotated
from bascule.errors import Unavailable
from bascule.identity.signing_keys import SigningKeys
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Transaction
from bascule.services.act import Services
from bascule.services.hub import Hub, request_topic
from bascule.services.installation import ensure_installation
from bascule.store.open import open_store
from tests.wire.house import BASCULE, COMPUTE, JIT, House, port_rule

ROTATE = "/providers/Microsoft.Authorization/signingKeys/current/rotate"


@pytest.fixture
def own(tmp_path: Path) -> Iterator[House]:
    """A house with keys of its own."""
    house = House(tmp_path)
    yield house
    house.close()


def test_what_the_old_key_signed_stays_good_and_the_new_one_signs(own: House) -> None:
    answer = own.call("POST", ROTATE)
    assert answer.status_code == 200, answer.text
    said = answer.json()["properties"]
    keys = own.client_of(None).get("/common/discovery/v2.0/keys").json()["keys"]
    assert [key["kid"] for key in keys] == [said["keyId"], said["previousKeyId"]]
    assert own.call("GET", "/resourceGroups").status_code == 200  # by the old key's token
    own.client = own.client_of(own.service_token())
    assert own.call("GET", "/resourceGroups").status_code == 200
    assert own.events("SigningKeyRotated") == ["SigningKeyRotated"]


def test_a_stolen_key_is_forgotten_at_once(own: House) -> None:
    assert own.call("POST", ROTATE, {"forget": True}).status_code == 200
    assert own.call("GET", "/resourceGroups").status_code == 401
    own.client = own.client_of(own.service_token())
    assert own.call("GET", "/resourceGroups").status_code == 200


def test_a_wait_ends_when_its_key_is_forgotten(own: House) -> None:
    own.add_machine("web-1")
    rules = {"virtualMachines": [{"id": own.machine("web-1"), "ports": [port_rule()]}]}
    assert own.call("PUT", own.policy(), {"properties": rules}, JIT).status_code == 200
    asked = {
        "virtualMachines": [
            {"id": own.machine("web-1"), "ports": [{"number": 22, "duration": "PT1M"}]}
        ]
    }
    made = own.call("POST", f"{own.policy()}/initiate", asked, JIT).json()["bascule"]["requestId"]
    path = f"/providers/Bascule.Access/accessRequests/{made}"

    def forget() -> None:
        until = time.monotonic() + 60
        while not own.services.hub.listeners(request_topic(made)) and time.monotonic() < until:
            time.sleep(0.01)
        own.state.tokens.rotate(own.clock.now(), forget=True)

    other = threading.Thread(target=forget)
    other.start()
    began = time.monotonic()
    answer = own.call("GET", path, params={"waitSeconds": "30"})
    other.join()
    assert answer.status_code == 401, answer.text
    assert time.monotonic() - began < 25, "it ended with its own time"


def test_a_body_that_comes_after_its_key_was_forgotten_does_nothing(own: House) -> None:
    def slowly() -> Iterator[bytes]:
        yield b'{"tags":'
        own.state.tokens.rotate(own.clock.now(), forget=True)
        yield b' {"a": "b"}}'

    answer = own.client.put(
        own.machine("web-1"),
        params={"api-version": COMPUTE},
        content=slowly(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 401, answer.text
    assert own.events("MachineAdded") == []


def test_a_rotation_that_is_not_on_record_says_what_is_so(
    own: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key is in force though the commit failed: "nothing was changed" would be a lie."""
    write = own.store.write

    async def full(work: Callable[[Transaction], object], *, may_wait: bool) -> object:
        def doomed(tx: Transaction) -> None:
            work(tx)
            raise Unavailable("The disk is full.", advice="Nothing was changed.")

        return await write(doomed, may_wait=may_wait)

    with monkeypatch.context() as patch:
        patch.setattr(own.store, "write", full)
        answer = own.call("POST", ROTATE, {"forget": True})
    assert answer.status_code == 503
    kid = own.state.tokens.jwks(own.clock.now())["keys"][0]["kid"]
    assert f"now signed with the key {kid}, but this may not be recorded" in answer.text
    assert "Nothing was changed" not in answer.text
    assert own.call("GET", "/resourceGroups").status_code == 401
    own.client = own.client_of(own.service_token())
    assert own.call("POST", ROTATE).json()["properties"]["previousKeyId"] == kid


def test_offline_it_is_on_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    services = Services(open_store(tmp_path / "bascule.db"), SystemClock(), Hub())
    asyncio.run(services.perform(ensure_installation))
    kid = SigningKeys(tmp_path).kid
    services.store.close()
    assert invoke(admin, HostParts(), ["rotate-signing-key", "--data", str(tmp_path), "--now"]) == 0
    made = SigningKeys(tmp_path).kid
    assert f"with the key {made}" in capsys.readouterr().out
    store = open_store(tmp_path / "bascule.db")
    found = asyncio.run(
        store.read(lambda reader: list(reader.events(EventFilter(kinds=("SigningKeyRotated",)))))
    )
    store.close()
    assert [event.fact for _, event in found] == [SigningKeyRotated(kid, made, True)]


def test_it_needs_the_right_to(own: House) -> None:
    from tests.wire.browsing import Browser, Program, add_user

    add_user(own)
    token = Program(own).signed_in(Browser(own))["access_token"]
    path, params = own.subscription + ROTATE, {"api-version": BASCULE}
    answer = own.client_of(token).post(path, params=params)
    assert answer.status_code == 403
    assert "signingKeys/write" in answer.text
    assert own.events("SigningKeyRotated") == []


def test_offline_where_there_is_no_installation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["rotate-signing-key", "--data", str(tmp_path)]
    assert invoke(admin, HostParts(), arguments) == 2
    assert "no installation" in capsys.readouterr().err
