"""Root uninstalls the agent: the record shows it, and no grant is settled by it."""

from __future__ import annotations

import threading
import time

from bascule.agent.farewell import last_report, tell_server
from bascule.domain.lifecycle import GrantState
from bascule.domain.net import PortKey, TransportProtocol
from bascule.errors import ServerUnreachable
from bascule.protocol.report import Report
from bascule.services import reports
from tests.unit.services_world import World, rules
from tests.unit.test_agent_loop import Line

SSH = PortKey(TransportProtocol.TCP, 22)


def test_the_record_and_the_inventory_show_it() -> None:
    world = World()
    world.put(rules(world.web, 22))
    grant = world.granted(world.web)
    world.report(world.web, grant.id)
    said = last_report([SSH], {"kernel": "6.18"})
    world.do(lambda tx, act: reports.take_report(tx, act, world.web.uid, said), None)
    assert world.kinds()[-1] == "AgentReported"
    assert "uninstalled by root" in said.notes[0]
    assert "22/tcp" in said.notes[0]
    point = world.see(lambda tx: tx.enforcement_point(world.web.uid))
    assert point is not None
    assert "nothing keeps this machine’s ports closed" in point.weaknesses[0].text
    assert point.not_enforced_since == world.clock.now(), "its ports are not shut any more"
    assert world.grant(grant).state is GrantState.OPEN, "it was not read back shut"


def test_root_does_not_wait_for_a_server_that_hangs() -> None:
    class Hanging(Line):
        def send_report(self, report: Report) -> int:
            threading.Event().wait(30)
            return 0

    class Away(Line):
        def send_report(self, report: Report) -> int:
            raise ServerUnreachable("away")

    started = time.monotonic()
    assert not tell_server(Hanging(), last_report([], {}), 0.1)
    assert time.monotonic() - started < 10
    assert not tell_server(Away(), last_report([], {}))
    assert tell_server(Line(), last_report([], {}), 30)
