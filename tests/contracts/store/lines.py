"""Which connection of a point is the newest: numbers in the order of claims."""

from __future__ import annotations

from datetime import timedelta

from bascule.interfaces.lines import ClaimedLine
from bascule.interfaces.points import Contact
from bascule.interfaces.store import Store
from tests.contracts.store.samples import HOUR, NOW, a_machine, a_point, read, write


def _connect(store: Store, uid: str) -> None:
    write(store, lambda tx: tx.put_machine(a_machine(uid, uid)))
    write(store, lambda tx: tx.claim_lines([uid]))


def _delete(store: Store, uid: str) -> None:
    write(store, lambda tx: tx.delete_machine(uid))


class LineContract:
    def test_each_claim_has_a_higher_number(self, store: Store) -> None:
        assert write(store, lambda tx: tx.claim_lines(["a", "b"])) == {"a": 1, "b": 2}
        assert write(store, lambda tx: tx.claim_lines(["a"])) == {"a": 3}
        assert read(store, lambda r: [r.line_number(uid) for uid in "abc"]) == [3, 2, 0]
        found = read(store, lambda r: r.lines_after(0, 10))
        assert found == [ClaimedLine(2, "b"), ClaimedLine(3, "a")]
        assert read(store, lambda r: r.lines_after(2, 10)) == [ClaimedLine(3, "a")]
        assert read(store, lambda r: r.lines_after(0, 1)) == [ClaimedLine(2, "b")]

    def test_a_line_that_is_passed_over_is_not_the_newest(self, store: Store) -> None:
        write(store, lambda tx: tx.pass_line_over("a"))
        assert read(store, lambda r: r.lines_after(0, 10)) == [], "it never had one"
        write(store, lambda tx: tx.claim_lines(["a", "b"]))
        write(store, lambda tx: tx.pass_line_over("a"))
        assert read(store, lambda r: r.lines_after(1, 10)) == [
            ClaimedLine(2, "b"),
            ClaimedLine(3, "a"),
        ]

    def test_a_line_goes_with_its_machine_and_its_number_is_not_given_again(
        self, store: Store
    ) -> None:
        machine = a_machine()
        write(store, lambda tx: tx.put_machine(machine))
        write(store, lambda tx: tx.claim_lines(["a", machine.uid]))
        write(store, lambda tx: tx.delete_machine(machine.uid))
        assert write(store, lambda tx: tx.claim_lines(["a"])) == {"a": 3}
        write(store, lambda tx: tx.delete_machine(machine.uid))
        assert read(store, lambda r: r.line_number(machine.uid)) == 0
        assert read(store, lambda r: r.line_number("a")) == 3

    def test_of_machines_that_were_deleted_the_last_number_stays_alone(self, store: Store) -> None:
        """However many come and go, whoever had the newest connection."""
        uids = [f"m-{number}" for number in range(4)]
        for uid in uids:
            _connect(store, uid)
        for uid in (uids[3], uids[0], uids[2]):
            _delete(store, uid)
        kept, last = read(store, lambda r: r.lines_after(0, 10))
        assert (kept, last.number) == (ClaimedLine(2, uids[1]), 4)
        assert read(store, lambda r: [r.line_number(uid) for uid in uids]) == [0, 2, 0, 0]
        assert write(store, lambda tx: tx.claim_lines([uids[1]])) == {uids[1]: 5}
        _delete(store, uids[1])
        (last,) = read(store, lambda r: r.lines_after(0, 10))
        assert last.number == 5
        assert write(store, lambda tx: tx.claim_lines(["a"])) == {"a": 6}

    def test_a_contact_by_an_older_line_is_not_kept(self, store: Store) -> None:
        machine, point = a_machine(), a_point()
        write(store, lambda tx: tx.put_machine(machine))
        write(store, lambda tx: tx.put_enforcement_point(point))
        write(store, lambda tx: tx.claim_lines([machine.uid]))
        write(store, lambda tx: tx.claim_lines([machine.uid]))
        began = point.last_contact_at
        assert began is not None

        def heard(number: int, seconds: int) -> None:
            at = NOW + HOUR + timedelta(seconds=seconds)
            contact = Contact(machine.uid, point.public_key, at, line=number)
            write(store, lambda tx: tx.put_contacts([contact], at, timedelta(seconds=30)))

        heard(1, 5)
        found = read(store, lambda r: r.agent_of(machine.uid))
        assert found is not None
        assert found.last_contact_at == began
        heard(2, 6)
        found = read(store, lambda r: r.agent_of(machine.uid))
        assert found is not None
        assert found.last_contact_at == began + timedelta(seconds=6)
