"""What ends soon is on the overview, for those who may make another."""

from __future__ import annotations

from datetime import timedelta

from bascule.domain.actions import MACHINE_READ, SINK_WRITE
from bascule.domain.endings import Ending, Ends
from bascule.domain.principals import Credential, CredentialKind, ServicePrincipal
from bascule.interfaces.store import Transaction
from bascule.services.act import Act
from tests.portal.visiting import owner, somebody, text_of
from tests.wire.house import House

SECRET = "99999999-0000-4000-8000-000000000001"
PROGRAM = "99999999-0000-4000-8000-000000000002"


def add_secret(house: House, days: int) -> None:
    def put(tx: Transaction, act: Act) -> None:
        made = ServicePrincipal(PROGRAM, "nightly-backup", True, act.now)
        ends_at = act.now + timedelta(days=days)
        tx.put_service_principal(made)
        tx.put_credential(
            Credential(
                SECRET, PROGRAM, CredentialKind.SECRET, "0" * 64, "", made.created_at, ends_at
            )
        )

    house.do(put)


def test_an_owner_is_told_and_who_may_do_nothing_about_it_is_not(house: House) -> None:
    olga = owner(house)
    assert "Ends soon" not in text_of(olga.page("/portal"))
    add_secret(house, 20)
    told = text_of(olga.page("/portal"))
    assert "Ends soon Client secret: nightly-backup · ends on" in told
    assert "Expire bientôt" in text_of(olga.page("/portal", language="fr"))
    rita = somebody(house, "rita@example.com", house.subscription, MACHINE_READ, SINK_WRITE)
    assert "nightly-backup" not in rita.page("/portal")


def test_a_servers_certificate_is_told_when_it_is_near(house: House) -> None:
    now = house.see(lambda _: house.state.services.clock.now())
    near = Ending(Ends.OWN, "1", "bascule.example", now + timedelta(days=5))
    far = Ending(Ends.CA, "2", "installation", now + timedelta(days=500))
    object.__setattr__(house.state, "certificates", lambda: (near, far))
    told = text_of(owner(house).page("/portal"))
    assert "Server certificate: bascule.example · ends on" in told
    assert "CA of this installation" not in told
