"""Leaving a host, and root's word on it: nothing of ours stays, nothing of others' goes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bascule.agent.control import ControlSocket, Uninstalled, handler_for
from bascule.agent.leave import remove_state
from bascule.agent.local_openings import LocalOpenings
from bascule.agent.loop import AgentLoop
from bascule.agent.memory import HeldFile
from bascule.agent.run import lock_state
from bascule.client.host_agent import tell_agent
from bascule.domain.held import Held
from bascule.errors import ConfigurationError, InvalidInput
from bascule.reconcile.reconciler import Reconciler
from bascule.testing.fake_driver import FakeDriver
from bascule.testing.fake_firewall import FakeFirewall
from tests.unit.services_world import SetClock
from tests.unit.test_agent_loop import Line, Memory


def test_our_files_go_and_the_directory_with_them(tmp_path: Path) -> None:
    state = tmp_path / "state"
    state.mkdir()
    memory = HeldFile(state, SetClock())
    memory.save(Held(generation=1))
    memory.save(Held(generation=2))
    for name in (
        "identity.json",
        "enrolment.json",
        "lock",
        "witness.json",
        "witness.previous.json",
    ):
        (state / name).touch()
    (state / "local-openings.json").touch()
    (state / ".held.json.0123456789ab").touch()  # of a write that a death cut short
    (state / ".held.previous.json.link").touch()
    (state / "held.json.new").touch()
    assert remove_state(state) == f"deleted {state}"
    assert not state.exists()
    assert remove_state(state) == f"there was no {state}"


def test_a_mistyped_state_directory_loses_nothing(tmp_path: Path) -> None:
    """``agent uninstall --state /etc`` is one slip away, and runs as root."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "passwd").write_text("root")
    (tmp_path / "identity.json").touch()
    assert (
        remove_state(tmp_path)
        == f"kept {tmp_path}, because it contains other files: folder, passwd"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "passwd"]


def test_a_state_directory_that_cannot_be_made_is_said_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError) as caught:
        lock_state(tmp_path / "file" / "state")
    assert "--state" in caught.value.advice


class Failing:
    """A loop whose every command fails as the world can make it fail."""

    def status(self) -> dict[str, Any]:
        return {}

    def ask(self, work: object) -> object:
        raise OSError(28, "No space left on device")


def _nothing() -> Uninstalled:
    return {"opened": [], "rules": "", "state": "", "told": True}


def _open(seconds: object) -> dict[str, Any]:
    where = {"protocol": "TCP", "number": 22, "sources": ["192.0.2.1"]}
    return {"command": "open", "seconds": seconds, **where}


@pytest.mark.parametrize("seconds", [float("inf"), float("nan"), 0, 86401, 1e300])
def test_an_opening_by_roots_word_is_bounded_whoever_asks(tmp_path: Path, seconds: float) -> None:
    clock = SetClock()
    driver = FakeDriver(FakeFirewall(clock))
    reconciler = Reconciler(driver, Memory(), clock)
    loop = AgentLoop(reconciler, driver, Line(), clock, lambda: None, LocalOpenings(tmp_path))
    with pytest.raises(InvalidInput, match="1 second to 1 day"):
        handler_for(loop, _nothing)(_open(seconds), lambda: False)
    assert not reconciler.held.leases


def test_the_control_socket_answers_after_a_command_that_failed(tmp_path: Path) -> None:
    """Without it root's own way in is gone until the agent is started anew."""
    path = tmp_path / "agent.sock"
    listener = ControlSocket(path, handler_for(Failing(), _nothing))  # type: ignore[arg-type]  # reason: only asked
    try:
        for _ in range(2):
            with pytest.raises(InvalidInput, match="No space left"):
                tell_agent(path, {"command": "status"})
    finally:
        listener.close()
