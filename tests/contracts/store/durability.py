"""What a store that outlives its process owes: what was acknowledged is there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

from bascule.domain.grant import confirm_open, end
from bascule.domain.lifecycle import RequestState, StatusReason
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_policy,
    a_request,
    an_event,
    close,
    read,
    write,
)

SSH = ClosedPort(PortKey(TransportProtocol.TCP, 22))


class DurableStoreContract:
    """``reopen`` closes the store of the test and opens the same database again."""

    def test_everything_is_there_after_reopening(
        self, store: Store, reopen: Callable[[], Store]
    ) -> None:
        opened = confirm_open(a_grant())

        def work(tx: Transaction) -> None:
            tx.put_machine(a_machine())
            tx.put_closed_port("uid-web-1", SSH)
            tx.put_enforcement_point(a_point())
            tx.put_policy(a_policy())
            tx.add_request(a_request())
            tx.add_grant(a_grant())
            tx.update_grant(opened, a_grant().state)
            tx.advance_generation("uid-web-1", 6)
            tx.record(an_event())

        write(store, work)
        again = reopen()
        assert list(read(again, lambda r: r.machines())) == [a_machine()]
        assert read(again, lambda r: r.closed_ports("uid-web-1")) == {SSH}
        assert list(read(again, lambda r: r.enforcement_points())) == [a_point()]
        assert list(read(again, lambda r: r.policies())) == [a_policy()]
        assert list(read(again, lambda r: r.requests())) == [
            replace(a_request(), state=RequestState.OPEN)
        ]
        assert list(read(again, lambda r: r.live_grants())) == [opened]
        assert read(again, lambda r: r.generation("uid-web-1")) == 7
        ((number, event),) = read(again, lambda r: r.events(EventFilter()))
        assert event == an_event()
        write(again, lambda tx: tx.record(an_event("next")))
        newest = read(again, lambda r: r.events(EventFilter(), limit=1))
        assert newest[0][0] > number, "the numbers go on"
        ended = end(opened, StatusReason.EXPIRED, NOW)
        write(again, lambda tx: tx.update_grant(ended, opened.state))

    def test_closing_finishes_what_is_queued(
        self, store: Store, reopen: Callable[[], Store]
    ) -> None:
        async def many() -> int:
            units = [
                asyncio.ensure_future(store.write(lambda tx: tx.advance_generation("u")))
                for _ in range(30)
            ]
            await asyncio.sleep(0)  # they are queued now
            await asyncio.to_thread(close, store)
            return len(await asyncio.gather(*units))

        assert asyncio.run(many()) == 30
        assert read(reopen(), lambda r: r.generation("u")) == 30
