"""External identity providers, identities, invitations, sign-ins on their way."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from bascule.domain.access import PrincipalKind
from bascule.domain.places import TakenPlace
from bascule.domain.principals import Group, Membership, User
from bascule.domain.providers import ExternalIdentity, IdentityProvider, Invitation
from bascule.errors import Conflict
from bascule.interfaces.providers import PendingSignIn
from bascule.interfaces.store import Store, Transaction
from tests.contracts.store.samples import HOUR, NOW, read, write

CORP = IdentityProvider(
    "provider-1",
    "Corp",
    "Corp.",
    "https://login.corp.example",
    "client",
    NOW,
    "sealed",
    ("openid", "groups"),
    ("corp.example",),
    "tid",
    ("t-1",),
    "groups",
    (("ops", "group-1"), ("ops", "group-2")),
    creates_users=True,
    ca="PEM",
    is_enabled=False,
)
PLAIN = IdentityProvider("provider-2", "another", "Another", "https://b.example", "client", NOW)
ADA = User("user-1", "ada@corp.example", "Ada", is_enabled=True, created_at=NOW)
IDENTITY = ExternalIdentity(
    *(CORP.issuer, "Sub|1", CORP.id, ADA.id, NOW, "ada@corp.example", NOW + HOUR, "sealed"),
    ("group-1", "group-2"),
)
INVITATION = Invitation(CORP.id, "ada@corp.example", ADA.id, NOW + HOUR)
PENDING = PendingSignIn(
    "state",
    "browser",
    CORP.id,
    CORP.issuer,
    "https://r",
    "nonce",
    "sealed",
    "/next",
    NOW + HOUR,
    "192.0.2.1",
)


def fill(store: Store) -> None:
    def work(tx: Transaction) -> None:
        tx.put_identity_provider(CORP)
        tx.put_identity_provider(PLAIN)
        tx.put_user(ADA)
        tx.put_external_identity(IDENTITY)
        tx.put_invitation(INVITATION)

    write(store, work)


class ProviderContract:
    def test_a_provider_comes_back_as_it_was_put(self, store: Store) -> None:
        fill(store)
        assert read(store, lambda r: r.identity_provider("PROVIDER-1")) == CORP
        assert read(store, lambda r: r.identity_provider_by_name("CORP")) == CORP
        assert read(store, lambda r: r.identity_providers()) == [PLAIN, CORP], "by folded name"
        changed = replace(CORP, domains=(), is_enabled=True)
        write(store, lambda tx: tx.put_identity_provider(changed))
        assert read(store, lambda r: r.identity_provider(CORP.id)) == changed
        assert read(store, lambda r: r.identity_provider("none")) is None
        assert read(store, lambda r: r.identity_provider_by_name("none")) is None

    def test_a_name_and_an_issuer_are_taken_once(self, store: Store) -> None:
        fill(store)
        for other in (replace(PLAIN, name="CORP"), replace(PLAIN, issuer=CORP.issuer)):
            with pytest.raises(Conflict):
                write(
                    store, lambda tx: tx.put_identity_provider(other)
                )  # reason: run before the loop goes on

    def test_an_identity_is_issuer_and_subject_letter_by_letter(self, store: Store) -> None:
        fill(store)
        assert read(store, lambda r: r.external_identity(CORP.issuer, "Sub|1")) == IDENTITY
        assert read(store, lambda r: r.external_identity(CORP.issuer, "sub|1")) is None
        assert read(store, lambda r: r.external_identity(CORP.issuer.upper(), "Sub|1")) is None
        first = replace(IDENTITY, subject="A", email="", vouched_at=None, sealed_refresh="")
        write(store, lambda tx: tx.put_external_identity(first))
        both = [first, IDENTITY]
        assert read(store, lambda r: r.external_identities_of(ADA.id)) == both
        assert read(store, lambda r: r.external_identities_from(CORP.id)) == both
        assert read(store, lambda r: r.external_identities_from(PLAIN.id)) == []
        write(store, lambda tx: tx.delete_external_identity(CORP.issuer, "A"))
        assert read(store, lambda r: r.external_identities_of(ADA.id)) == [IDENTITY]
        with pytest.raises(Conflict):
            write(store, lambda tx: tx.put_external_identity(replace(first, user_id="none")))

    def test_one_asks_a_provider_at_a_time(self, store: Store) -> None:
        fill(store)
        write(store, lambda tx: tx.put_external_identity(IDENTITY))
        own = IDENTITY.issuer, IDENTITY.subject
        soon = NOW + HOUR / 60

        def begin(until: datetime, now: datetime) -> bool:
            return write(store, lambda tx: tx.begin_asking(*own, until, now))

        assert begin(soon, NOW)
        assert not begin(soon + HOUR, NOW)
        write(store, lambda tx: tx.put_external_identity(IDENTITY))
        assert not begin(soon + HOUR, soon - HOUR / 3600), "what is put leaves it alone"
        assert begin(soon + HOUR, soon), "whoever asked has taken too long"
        assert begin(soon, NOW), "a clock was set back"
        near = timedelta(milliseconds=5)
        assert not begin(soon - near, NOW - near), "servers read one clock a little apart"
        write(store, lambda tx: tx.end_asking(*own, soon - near))
        assert not begin(soon, NOW), "who took too long ends nothing of who asks now"
        write(store, lambda tx: tx.end_asking(*own, soon))
        assert begin(soon, NOW)
        write(store, lambda tx: tx.end_all_asking())
        assert begin(soon, NOW)
        assert not write(store, lambda tx: tx.begin_asking(own[0], "nobody", soon, NOW))
        assert read(store, lambda r: r.external_identity(*own)) == IDENTITY

    def test_an_invitation(self, store: Store) -> None:
        fill(store)
        assert read(store, lambda r: r.invitation(CORP.id, INVITATION.email)) == INVITATION
        assert read(store, lambda r: r.invitation(PLAIN.id, INVITATION.email)) is None
        later = replace(INVITATION, expires_at=NOW + 2 * HOUR)
        write(store, lambda tx: tx.put_invitation(later))
        assert read(store, lambda r: r.invitations_of(ADA.id)) == [later]
        assert read(store, lambda r: r.invitations_from(CORP.id)) == [later]
        write(store, lambda tx: tx.delete_invitation(CORP.id, INVITATION.email))
        assert read(store, lambda r: r.invitations_of(ADA.id)) == []

    def test_a_provider_takes_along_what_came_of_it(self, store: Store) -> None:
        fill(store)
        group = Group("group-1", "ops", "", NOW)
        by_hand = Membership(group.id, ADA.id, PrincipalKind.USER)
        write(store, lambda tx: tx.put_group(group))
        write(store, lambda tx: tx.put_membership(by_hand))
        write(store, lambda tx: tx.put_membership(replace(by_hand, provider_id=CORP.id)))
        write(store, lambda tx: tx.add_pending_sign_in(PENDING))
        write(store, lambda tx: tx.delete_identity_provider(CORP.id))
        assert read(store, lambda r: r.identity_providers()) == [PLAIN]
        assert read(store, lambda r: r.external_identities_of(ADA.id)) == []
        assert read(store, lambda r: r.invitations_of(ADA.id)) == []
        assert read(store, lambda r: r.pending_sign_ins()) == []
        assert read(store, lambda r: r.members_of(group.id)) == [by_hand]
        assert read(store, lambda r: r.user(ADA.id)) == ADA, "the user stays"

    def test_a_user_takes_along_his_identities(self, store: Store) -> None:
        fill(store)
        write(store, lambda tx: tx.delete_principal(ADA.id))
        assert read(store, lambda r: r.external_identities_from(CORP.id)) == []
        assert read(store, lambda r: r.invitations_from(CORP.id)) == []

    def test_a_sign_in_on_its_way_is_taken_once(self, store: Store) -> None:
        fill(store)
        write(store, lambda tx: tx.add_pending_sign_in(PENDING))
        assert write(store, lambda tx: tx.take_pending_sign_in("other")) is None

        async def race() -> list[PendingSignIn | None]:
            tries = (store.write(lambda tx: tx.take_pending_sign_in("state")) for _ in range(10))
            return list(await asyncio.gather(*tries))

        found = asyncio.run(race())
        assert [each for each in found if each is not None] == [PENDING]

    def test_sign_ins_whose_time_is_over_are_dropped(self, store: Store) -> None:
        fill(store)
        later = replace(PENDING, state_hash="later", expires_at=NOW + 2 * HOUR)
        write(store, lambda tx: tx.add_pending_sign_in(later))
        write(store, lambda tx: tx.add_pending_sign_in(PENDING))
        both = [
            TakenPlace("state", "192.0.2.1", NOW + HOUR),
            TakenPlace("later", "192.0.2.1", NOW + 2 * HOUR),
        ]
        assert read(store, lambda r: r.pending_sign_ins()) == both, "the oldest first"
        write(store, lambda tx: tx.drop_pending_sign_ins(NOW + HOUR))
        assert read(store, lambda r: r.pending_sign_ins()) == both[1:]
        assert write(store, lambda tx: tx.take_pending_sign_in("later")) == later
