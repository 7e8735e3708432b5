"""Who calls and where: what one question tells is what the parts tell, each asked by itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from bascule.domain.bindings import Binding
from bascule.domain.exposure import KeptSpan, SpanKind
from bascule.domain.lifecycle import GrantState
from bascule.domain.machine import ClosedPort
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal, User
from bascule.domain.tokens import Flow, SignIn, TokenFamily
from bascule.interfaces.exposure import KnownMachine
from bascule.interfaces.plans import HeldRules
from bascule.interfaces.points import OwnPoint, PointStanding
from bascule.interfaces.store import Reader, Store, Transaction
from tests.contracts.store.exposure import an_opening
from tests.contracts.store.inventory import INSTALLATION
from tests.contracts.store.samples import (
    NOW,
    a_grant,
    a_machine,
    a_point,
    a_policy,
    a_request,
    an_id,
    read,
    write,
)

SSH = PortKey(TransportProtocol.TCP, 22)
ADA = User("0000000a-0000-4000-8000-000000000000", "Ada@example.org", "Ada L.", True, NOW, 3)
ROBOT = ServicePrincipal("0000000c-0000-4000-8000-000000000000", "robot", False, NOW)
OPEN_SPAN = KeptSpan(SpanKind.OPEN, SSH, NOW, ends_by=NOW + timedelta(hours=1))
FAMILY = TokenFamily("f", "az", Flow.DEVICE, SignIn(ADA.id, 3, NOW, ("pwd",)), NOW, "seed")


def _credential(number: int) -> Credential:
    key = f"000000a{number}-0000-4000-8000-000000000000"
    ends = None if number else NOW + timedelta(hours=1)
    return Credential(key, ROBOT.id, CredentialKind.SECRET, f"{number}" * 64, "n", NOW, ends)


def _known(name: str) -> KnownMachine:
    return KnownMachine(an_id(name), f"uid-{name}")


class CallerContract:
    def test_a_program_with_all_its_credentials(self, store: Store) -> None:
        write(store, lambda tx: tx.put_service_principal(ROBOT))
        assert read(store, lambda r: r.service_caller(ROBOT.id.upper())) == (ROBOT, [])
        for number in (1, 0):
            write(store, lambda tx: tx.put_credential(_credential(number)))
        found = read(store, lambda r: r.service_caller(ROBOT.id))
        assert found == (ROBOT, [_credential(0), _credential(1)])
        assert list(read(store, lambda r: r.credentials_of(ROBOT.id))) == found[1]
        assert read(store, lambda r: r.service_caller(ADA.id)) is None

    def test_a_person_and_the_sign_in_of_their_token(self, store: Store) -> None:
        write(store, lambda tx: tx.put_user(ADA))
        write(store, lambda tx: tx.put_token_family(FAMILY))
        assert read(store, lambda r: r.user_caller(ADA.id.upper(), "f")) == (ADA, FAMILY)
        for other in ("", "g"):
            assert read(store, lambda r: r.user_caller(ADA.id, other)) == (ADA, None)
        assert read(store, lambda r: r.user_caller(ROBOT.id, "f")) is None

    def test_a_machine_with_its_agent(self, store: Store) -> None:
        write(store, lambda tx: tx.put_machine(a_machine()))
        assert read(store, lambda r: r.agent_caller("uid-web-1")) is None
        write(store, lambda tx: tx.put_enforcement_point(a_point()))
        assert read(store, lambda r: r.agent_caller("uid-web-1")) == (a_machine(), a_point())
        assert read(store, lambda r: r.agent_caller("UID-WEB-1")) is None

    def test_a_machines_own_point_with_what_is_beside_it(self, store: Store) -> None:
        """Whether others guard it too, or it others; how far it is to come, and what it last held."""
        held = HeldRules("uid-web-1", 5, NOW, frozenset({ClosedPort(SSH)}))

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "gate-1", "bare-1", "alone-1"):
                tx.put_machine(a_machine(name))
                if name != "bare-1":
                    tx.put_enforcement_point(a_point(f"uid-{name}"))
            tx.put_binding(Binding("uid-web-1", "uid-gate-1", NOW))
            tx.put_binding(Binding("uid-web-1", "uid-web-1", NOW))
            tx.advance_generation("uid-web-1", beyond=6)
            tx.put_held_rules(held)

        write(store, plant)
        for name, is_bound, generation, guards_others, kept, is_alone in (
            ("web-1", True, 7, False, held, False),
            ("gate-1", False, 0, True, None, False),
            ("alone-1", False, 0, False, None, True),
        ):
            found = read(store, lambda r: r.own_point(f"uid-{name}"))
            point, machine = a_point(f"uid-{name}"), a_machine(name)
            assert found == OwnPoint(machine, point, is_bound, generation, guards_others, kept)
            assert found is not None
            assert found.is_alone == is_alone
        assert read(store, lambda r: r.own_point("uid-bare-1")) is None

    def test_what_a_report_settles(self, store: Store) -> None:
        """The point and its machine, and of that machine alone what is not settled and who is let in."""

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "db-1"):
                tx.put_machine(a_machine(name))
                tx.put_enforcement_point(a_point(f"uid-{name}"))
            tx.add_request(a_request())
            for each in ("last", "first", "gone"):
                tx.add_grant(a_grant(each))
            tx.update_grant(replace(a_grant("gone"), state=GrantState.FAILED), GrantState.OPENING)
            for machine in (_known("db-1"), _known("web-1")):
                for name in ("one", "two", "over"):
                    tx.begin(machine, an_opening(f"{name} at {machine.uid}"))
                tx.end_opening(machine.uid, f"over at {machine.uid}", NOW)
                tx.begin(machine, KeptSpan(SpanKind.CLOSED, SSH, NOW))
                tx.begin(machine, OPEN_SPAN)

        write(store, plant)
        assert read(store, lambda r: r.settling("uid-none")) is None
        for name, grants in (("web-1", ["last", "first"]), ("db-1", [])):
            uid = f"uid-{name}"
            found = read(store, lambda r: r.settling(uid))
            assert found is not None
            assert found.own == read(store, lambda r: r.own_point(uid))
            assert [each.id for each in found.unsettled] == grants
            assert found.unsettled == read(store, lambda r: r.unsettled_grants(uid))
            assert [each.id for each in found.admitted.openings] == [
                f"one at {uid}",
                f"two at {uid}",
            ]
            assert found.admitted.openings == read(store, lambda r: r.current_openings(uid))
            assert found.admitted.spans == [OPEN_SPAN]
            assert not found.has_releases
        write(store, lambda tx: tx.put_closed_port("uid-web-1", ClosedPort(SSH)))
        write(store, lambda tx: tx.release_port("uid-db-1", SSH, 1))
        for name, has_releases in (("web-1", False), ("db-1", True)):
            found = read(store, lambda r: r.settling(f"uid-{name}"))
            assert found is not None
            assert found.has_releases == has_releases

    def test_what_a_points_line_is_told_of_it(self, store: Store) -> None:
        """Its key, how far its own machine is to come, and whether others are bound to it."""

        def plant(tx: Transaction) -> None:
            for name in ("web-1", "gate-1", "bare-1"):
                tx.put_machine(a_machine(name))
                if name != "bare-1":
                    tx.put_enforcement_point(a_point(f"uid-{name}"))
            for point in ("uid-web-1", "uid-gate-1"):  # a machine's own agent is no other
                tx.put_binding(Binding("uid-web-1", point, NOW))
            tx.advance_generation("uid-web-1", beyond=6)

        write(store, plant)
        for name, guards_others, generation in (("web-1", False, 7), ("gate-1", True, 0)):
            found = read(store, lambda r: r.point_standing(f"uid-{name}"))
            point = a_point(f"uid-{name}")
            assert found == PointStanding(
                point.public_key,
                name,
                point.last_contact_at,
                point.acknowledged,
                generation,
                guards_others,
                is_silent=name == "web-1",  # neither of its points has reported of it
            )
        write(store, lambda tx: tx.mark_silent({"uid-gate-1"}))
        found = read(store, lambda r: r.point_standing("uid-gate-1"))
        assert found is not None
        assert found.is_silent
        for absent in ("uid-bare-1", "UID-WEB-1"):
            assert read(store, lambda r: r.point_standing(absent)) is None

    def test_the_stamp_of_access_is_of_the_moment_in_which_the_caller_is_read(
        self, store: Store
    ) -> None:
        """A change of rights in the same unit of work, or in any since, shows at once."""

        def caller_then_stamp(reader: Reader) -> str:
            assert reader.service_caller(ROBOT.id) is not None
            return reader.access_stamp()

        def changes_between(tx: Transaction) -> tuple[str, str]:
            before = caller_then_stamp(tx)
            tx.put_user(ADA)
            return before, tx.access_stamp()

        write(store, lambda tx: tx.put_service_principal(ROBOT))
        first = read(store, caller_then_stamp)
        assert first == read(store, lambda r: r.access_stamp())
        before, after = write(store, changes_between)
        assert before == first != after
        assert read(store, caller_then_stamp) == after

    def test_groups_and_locations_as_they_are_spelt_here(self, store: Store) -> None:
        """A location is the installation's, a machine's or a policy's, in this order."""

        def spelt(group: str, location: str) -> tuple[str | None, str | None]:
            return read(store, lambda r: r.spelt(group, location))

        assert spelt("Team", "paris") == (None, None)
        write(store, lambda tx: tx.create_installation(replace(INSTALLATION, location="Paris")))
        write(store, lambda tx: tx.add_resource_group("Team"))
        write(store, lambda tx: tx.put_machine(replace(a_machine("a"), location="Berlin")))
        write(store, lambda tx: tx.put_machine(replace(a_machine("b"), location="PARIS")))
        write(store, lambda tx: tx.put_policy(a_policy()))
        assert spelt("tEAM", "pARIS") == ("Team", "Paris")
        assert spelt("other", "bERLIN") == (None, "Berlin")
        assert spelt("", "LOCAL") == (None, "local"), "a policy's own"
        assert spelt("Team", "rome") == ("Team", None)
        assert spelt("Team", "") == ("Team", None)
        every = read(store, lambda r: r.locations())
        assert [spelt("", each.upper())[1] for each in every] == list(every)
