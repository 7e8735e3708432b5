"""What a restore does to requests: nothing that waited or was open goes on (EDGES I7)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bascule.domain.facts.installation import SigningKeyRotated
from bascule.domain.lifecycle import RequestState
from bascule.domain.policy import Policy
from bascule.domain.restoration import Restoration
from bascule.domain.stages import Approvers, Stage
from bascule.errors import Conflict
from bascule.identity.record_key import RecordKey
from bascule.identity.recovery_key import RecoveryKey
from bascule.services import policies
from bascule.services.access_rules import Kept
from bascule.services.recovery import Restoring, keep_recovery_key, settle_restored
from bascule.services.seal import seal_all
from tests.unit.services_world import ANNA, World, rules


@pytest.fixture
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def _restore(
    world: World, folder: Path, sign: Callable[[Restoration], Restoration] | None = None
) -> Restoration:
    restoring = Restoring("host", datetime(2030, 1, 1, tzinfo=UTC), "a test", sign)

    async def rotate() -> None:
        await world.services.perform(
            lambda tx, act: act.record(tx, SigningKeyRotated("a", "b", True))
        )

    return asyncio.run(settle_restored(world.services, RecordKey(folder), restoring, rotate))


def test_what_waits_for_approval_waits_no_more(world: World, tmp_path: Path) -> None:
    """Denied since the backup was made, it would wait again, with the approvals of before."""
    stage = Stage(Approvers(by_role=True))
    asked = rules(world.web, 22)
    ports = tuple(replace(each, approval=(stage,)) for each in asked.ports)
    policy = Policy(world.policy_id(), "Basic", (replace(asked, ports=ports),))
    kept = Kept(approvals=frozenset())  # nothing: the caller says them
    world.do(lambda tx, act: policies.put_policy(tx, act, ANNA, policy, kept=kept))
    world.ask(world.web, 22)
    far = datetime(9000, 1, 1, tzinfo=UTC)
    (waiting,) = world.see(lambda reader: reader.over_approvals(far))
    _restore(world, tmp_path)
    assert world.see(lambda reader: reader.over_approvals(far)) == []
    request = world.see(lambda reader: reader.request(waiting))
    assert request is not None
    assert request.state is RequestState.LAPSED


def test_what_is_open_ends(world: World, tmp_path: Path) -> None:
    world.put(rules(world.web, 22))
    opened = world.granted(world.web)
    world.report(world.web, opened.id)
    before = world.see(lambda reader: reader.generation(world.web.uid))
    _restore(world, tmp_path)
    assert world.see(lambda reader: reader.live_grants()) == []
    assert world.see(lambda reader: reader.generation(world.web.uid)) > before


@pytest.mark.parametrize("times", [1, 2])
def test_one_that_was_stopped_before_it_signed_is_run_again(
    world: World, tmp_path: Path, times: int
) -> None:
    """``bascule admin restored`` works in place. What it recorded before it was stopped was never in the
    backup: an agent that saw as far of the record that was lost is no witness of a change.
    """
    asyncio.run(seal_all(world.services, RecordKey(tmp_path)))
    end = world.see(lambda reader: reader.chain_head())

    def stopped(_: Restoration) -> Restoration:
        raise KeyboardInterrupt

    for _ in range(times):
        with pytest.raises(KeyboardInterrupt):
            _restore(world, tmp_path, stopped)
    done = _restore(world, tmp_path, RecoveryKey(b"k" * 16).sign)
    assert done.old == end
    assert done.new == world.see(lambda reader: reader.chain_head())
    assert world.see(lambda reader: reader.recovery()).restored == (done,)
    again = _restore(world, tmp_path, RecoveryKey(b"k" * 16).sign)
    assert again.old == done.new, "that is another restore, of a later backup"


def test_a_second_recovery_key_takes_a_word(world: World) -> None:
    world.do(lambda tx, act: keep_recovery_key(tx, act, "one", "1", may_replace=False))
    with pytest.raises(Conflict):
        world.do(lambda tx, act: keep_recovery_key(tx, act, "two", "2", may_replace=False))
    assert world.see(lambda reader: reader.recovery()).public_key == "one"
    world.do(lambda tx, act: keep_recovery_key(tx, act, "two", "2", may_replace=True))
    assert world.see(lambda reader: reader.recovery()).public_key == "two"
