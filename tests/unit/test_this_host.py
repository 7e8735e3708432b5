"""``serve --this-host``: the point in the server's own process obeys like any other."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.agent.link import KeyRefused
from bascule.bootstrap.serve import serve
from bascule.bootstrap.this_host import LocalLink
from bascule.domain.desired import DesiredState
from bascule.errors import ConfigurationError
from bascule.services import machines
from bascule.services.owned_driver import OwnedDriver
from tests.unit.services_world import World


class NoRight:
    """The host of somebody who may not change its firewall."""

    def open_host_driver(self) -> OwnedDriver:
        raise ConfigurationError("Changing the firewall is not permitted.", advice="Run as root.")

    def local_port_range(self) -> tuple[int, int] | None:
        return None


def _fetch(world: World, uid: str) -> DesiredState:
    """What the loop's thread gets while the server's event loop runs."""

    async def ask() -> DesiredState:
        link = LocalLink(world.services, uid, asyncio.get_running_loop())
        return await asyncio.to_thread(link.fetch_state, lambda: None)

    return asyncio.run(ask())


def test_a_deleted_machine_shuts_every_opening_at_once() -> None:
    """A12: KeyRefused is what makes the loop shut; "server away" would let leases run on."""
    world = World()
    assert _fetch(world, world.web.uid).machine_uid == world.web.uid
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id))
    with pytest.raises(KeyRefused):
        _fetch(world, world.web.uid)


def test_without_the_right_to_the_firewall_nothing_is_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The refusal is an error with advice, not a server's stack from inside its start."""

    served: list[object] = []
    monkeypatch.setattr("bascule.api.server.run_server", lambda *a, **_: served.append(a))
    done = CliRunner().invoke(
        serve, ["--data", str(tmp_path / "data"), "--this-host"], obj=NoRight()
    )
    assert isinstance(done.exception, ConfigurationError)
    assert not served
