"""What an external provider says and no longer says, down to the grants (EDGES B3, B6)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import OWNER, USER_ACCESS_ADMINISTRATOR
from bascule.domain.grant import Grant
from bascule.domain.lifecycle import GrantState
from bascule.domain.places import Bounds
from bascule.domain.principals import Group, User
from bascule.domain.providers import LONGEST_MEMBERSHIP, IdentityProvider
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import subscription_scope
from bascule.domain.sign_in import Method, StoredPassword
from bascule.domain.tokens import NOWHERE, AuthorizationCode, Flow, SignIn
from bascule.errors import Conflict, Forbidden, TooManyRequests
from bascule.interfaces.providers import PendingSignIn
from bascule.services import (
    external_sign_in,
    identities,
    providers,
    sessions,
    sign_ins,
    tokens,
    users,
)
from bascule.services.denials import Denials
from bascule.services.external_sign_in import LetIn, NotLetIn, Returned
from bascule.services.own_sign_in import set_password_of
from bascule.services.providers import ProviderDraft
from bascule.services.sign_in import PasswordAccepted, Visit
from bascule.services.users import UserDraft
from tests.unit.services_world import ANNA, World, rules

ISSUER = "https://login.corp.example"
GROUP = "dddddddd-0000-4000-8000-00000000000d"
EVA = "eeeeeeee-0000-4000-8000-00000000000e"
CLAIMS = {"sub": "eva-there", "email": "eva@corp.example", "email_verified": True}
VISIT = Visit("192.0.2.1", "a browser")
CARL = Subject("99999999-0000-4000-8000-00000000000c", PrincipalKind.SERVICE, "carl", "192.0.2.3")


def assignment(world: World, number: int, principal_id: str, kind: PrincipalKind) -> RoleAssignment:
    scope = subscription_scope(world.installation.subscription_id)
    made = f"99999999-0000-4000-8000-{number:012d}"
    return RoleAssignment(made, scope, OWNER.id, principal_id, kind, "", world.clock.wall, "")


@pytest.fixture
def world() -> Iterator[World]:
    """Eva is linked at corp, which says who is in a group that owns everything."""
    made = World()
    now = made.clock.wall
    corp = IdentityProvider(
        "cccccccc-0000-4000-8000-00000000000c",
        "corp",
        "Corp",
        ISSUER,
        "bascule",
        now,
        domains=("corp.example",),
        groups_claim="groups",
        groups=(("ops", GROUP),),
    )

    def fill(tx: Any, act: Any) -> None:
        eva = User(EVA, "eva@corp.example", "Eva", is_enabled=True, created_at=now)
        tx.put_user(eva)
        tx.put_group(Group(GROUP, "operators", "", now))
        tx.add_role_assignment(assignment(made, 1, GROUP, PrincipalKind.GROUP))
        tx.put_identity_provider(corp)
        identities.join(tx, act, corp, eva, "eva-there", identities.BY_HAND)

    made.do(fill)
    made.put(rules(made.web, 22))
    yield made
    made.close()


def come_back(world: World, **claims: object) -> LetIn | NotLetIn:
    provider = world.see(lambda reader: reader.identity_provider_by_name("corp"))
    assert provider is not None
    returned = Returned(provider.id, ISSUER, {**CLAIMS, **claims})
    return world.do(lambda tx, act: external_sign_in.let_in(tx, act, returned, VISIT), None)


def opened(world: World) -> Grant:
    assert isinstance(come_back(world, groups=["ops"]), LetIn)
    eva = Subject(EVA, PrincipalKind.USER, "eva@corp.example", "192.0.2.1")
    grant = world.granted(world.web, subject=eva)
    world.report(world.web, grant.id)
    assert world.grant(grant).state is GrantState.OPEN
    return grant


@pytest.fixture
def carl(world: World) -> Subject:
    """Somebody who may write users, and holds less than the mapped group gives."""
    world.add_principal(CARL)
    world.do(
        lambda tx, act: tx.add_role_assignment(
            world.assignment(act, CARL, USER_ACCESS_ADMINISTRATOR)
        )
    )
    return CARL


def invite_eva(world: World) -> None:
    world.do(lambda tx, act: identities.unlink(tx, act, ANNA, "corp", "eva-there"))
    world.do(lambda tx, act: identities.invite(tx, act, ANNA, "corp", EVA, "eva@corp.example"))


def set_evas_password(world: World, subject: Subject) -> None:
    world.do(lambda tx, act: set_password_of(tx, act, subject, EVA, "$argon2id$"))


def other_mapping(world: World) -> None:
    draft = ProviderDraft(groups=())
    world.do(
        lambda tx, act: providers.put_provider(tx, act, ANNA, "corp", draft, lambda *_: "sealed")
    )


def disabled(world: World) -> None:
    draft = ProviderDraft(is_enabled=False)
    world.do(
        lambda tx, act: providers.put_provider(tx, act, ANNA, "corp", draft, lambda *_: "sealed")
    )


def removed(world: World) -> None:
    world.do(lambda tx, act: providers.delete_provider(tx, act, ANNA, "corp"))


def unlinked(world: World) -> None:
    world.do(lambda tx, act: identities.unlink(tx, act, ANNA, "corp", "eva-there"))


def left_the_group(world: World) -> None:
    assert isinstance(come_back(world, groups=["others"]), LetIn)


def disowned(world: World) -> None:
    identity = world.see(lambda reader: reader.external_identity(ISSUER, "eva-there"))
    assert identity is not None
    world.do(lambda tx, act: external_sign_in.disown(tx, act, identity))


@pytest.mark.parametrize(
    "lose", [other_mapping, disabled, removed, unlinked, left_the_group, disowned]
)
def test_what_is_no_longer_said_ends_the_grant_in_the_same_commit(
    world: World, lose: Callable[[World], None]
) -> None:
    grant = opened(world)
    lose(world)
    assert world.grant(grant).state is GrantState.CLOSING
    assert world.see(lambda reader: reader.memberships_of(EVA, world.clock.wall)) == []


@pytest.mark.parametrize("lose", [disabled, removed, unlinked])
def test_how_somebody_signed_in_is_void_with_it(
    world: World, lose: Callable[[World], None]
) -> None:
    assert isinstance(come_back(world), LetIn)
    before = world.see(lambda reader: reader.user(EVA))
    lose(world)
    after = world.see(lambda reader: reader.user(EVA))
    assert before is not None
    assert after is not None
    assert after.epoch == before.epoch + 1


def sign_in(world: World, *methods: Method) -> None:
    """Eva in a browser, half-way in another, in a program, and on her way to one more."""
    eva = world.see(lambda reader: reader.user(EVA))
    assert eva is not None
    made = SignIn(EVA, eva.epoch, world.clock.wall, tuple(map(str, methods)))
    half = PasswordAccepted(eva, (), world.clock.wall, methods[0])
    code = AuthorizationCode("-".join(methods), "az", "", "", "", "", made, world.clock.wall)

    def fill(tx: Any, act: Any) -> None:
        sessions.begin(tx, act, eva, methods)
        sessions.begin_half(tx, half)
        tokens.open_family(tx, act, made, "az", Flow.BROWSER, NOWHERE)
        tokens.issue_code(tx, act, code)

    world.do(fill)


def test_who_is_disowned_is_signed_out_of_all_that_rested_on_it(world: World) -> None:
    """Her other programs and her browsers too; not where she signed in by a password here."""
    sign_in(world, Method.ELSEWHERE)
    sign_in(world, Method.ELSEWHERE, Method.ONE_TIME_PASSWORD, Method.SEVERAL)
    world.clock.pass_time(1)
    sign_in(world, Method.PASSWORD)
    before = world.see(lambda reader: sign_ins.live_of(reader, EVA, world.clock.wall))
    disowned(world)
    left = world.see(lambda reader: sign_ins.live_of(reader, EVA, world.clock.wall))
    assert list(left) == [each for each in before if each.methods == (Method.PASSWORD,)]
    assert len(left) == 2
    halves = world.see(lambda reader: [s for s in reader.sessions_of(EVA) if not s.is_whole])
    assert [half.sign_in.methods for half in halves] == [(Method.PASSWORD,)]
    assert world.see(lambda reader: reader.authorization_code("fed")) is None
    assert world.see(lambda reader: reader.authorization_code("fed-otp-mfa")) is None
    kinds = world.kinds()
    assert (kinds.count("SessionEnded"), kinds.count("TokenFamilyRevoked")) == (4, 2)
    disowned(world)
    assert world.kinds() == kinds, "once"


@pytest.mark.parametrize("lose", [disabled, removed, unlinked])
def test_the_last_owner_keeps_the_provider_that_he_signs_in_by(
    world: World, lose: Callable[[World], None]
) -> None:
    """Anna and Bert have no credential: nobody but Eva can sign in (EDGES B10)."""
    own = assignment(world, 2, EVA, PrincipalKind.USER)
    world.do(lambda tx, _: tx.add_role_assignment(own))
    with pytest.raises(Conflict) as refused:
        lose(world)
    assert refused.value.specific_code == "LastOwner"
    assert world.see(lambda reader: reader.external_identities_of(EVA))
    password = StoredPassword(EVA, "$argon2id$", world.clock.wall)
    world.do(lambda tx, _: tx.put_password(password))
    lose(world)


def test_a_provider_of_nobody_who_owns_goes_where_all_owners_have_lapsed(world: World) -> None:
    removed(world)
    assert world.see(lambda reader: reader.identity_providers()) == []


def test_a_right_that_is_left_by_another_way_keeps_the_grant(world: World) -> None:
    grant = opened(world)
    own = assignment(world, 2, EVA, PrincipalKind.USER)
    world.do(lambda tx, _: tx.add_role_assignment(own))
    left_the_group(world)
    assert world.grant(grant).state is GrantState.OPEN


def test_a_word_is_good_for_an_hour_at_most(world: World) -> None:
    come_back(world, groups=["ops"])
    (held,) = world.see(lambda reader: reader.memberships_of(EVA, world.clock.wall))
    assert held.expires_at == world.clock.wall + LONGEST_MEMBERSHIP


def test_who_is_disabled_here_is_not_let_in(world: World) -> None:
    user = world.see(lambda reader: reader.user(EVA))
    assert user is not None
    world.do(lambda tx, _: tx.put_user(replace(user, is_enabled=False)))
    refused = come_back(world, groups=["ops"])
    assert isinstance(refused, NotLetIn)
    assert "disabled" in refused.reasons[0]
    assert world.see(lambda reader: reader.memberships_of(EVA, world.clock.wall)) == []


@pytest.mark.parametrize("subject", ["\ud800", "a\0b", "", 5, None, []], ids=repr)
def test_who_is_not_named_is_not_let_in_and_that_is_on_record(
    world: World, subject: object
) -> None:
    refused = come_back(world, sub=subject)
    assert isinstance(refused, NotLetIn)
    assert refused.subject == ""
    denials = Denials()
    assert denials.is_recorded(VISIT.address, world.clock.now())
    world.do(lambda tx, act: external_sign_in.record_refusal(tx, act, refused, denials), None)


def test_a_provider_that_was_replaced_meanwhile_lets_nobody_in(world: World) -> None:
    returned = Returned("another", ISSUER, CLAIMS)
    outcome = world.do(lambda tx, act: external_sign_in.let_in(tx, act, returned, VISIT), None)
    assert isinstance(outcome, NotLetIn)


def test_a_renewal_that_speaks_for_another_is_none(world: World) -> None:
    grant = opened(world)
    identity = world.see(lambda reader: reader.external_identity(ISSUER, "eva-there"))
    assert identity is not None
    claims = {**CLAIMS, "sub": "somebody", "groups": ["ops"]}
    returned = Returned(identity.provider_id, ISSUER, claims)
    assert not world.do(lambda tx, act: external_sign_in.renew(tx, act, identity, returned), None)
    assert world.grant(grant).state is GrantState.CLOSING


def test_an_invitation_ends(world: World) -> None:
    world.do(lambda tx, act: identities.unlink(tx, act, ANNA, "corp", "eva-there"))
    world.do(lambda tx, act: identities.invite(tx, act, ANNA, "corp", EVA, "eva@corp.example"))
    world.clock.pass_time(identities.INVITATION_LIFE.total_seconds())
    assert isinstance(come_back(world), NotLetIn)
    world.clock.pass_time(-1)
    assert isinstance(come_back(world), LetIn)


# -- by whom (EDGES B4) ---------------------------------------------------------------------


def known(_: World) -> None:
    """As she is: linked by subject."""


@pytest.mark.parametrize("how", [known, invite_eva, disabled])
def test_whom_a_provider_may_put_into_groups_is_changed_by_who_holds_what_they_give(
    world: World, carl: Subject, how: Callable[[World], None]
) -> None:
    """An hour after its last word she holds nothing, and her next sign-in gives it all again:
    to whoever has set her password meanwhile too.
    """
    come_back(world, groups=["ops"])
    how(world)
    world.clock.pass_time(LONGEST_MEMBERSHIP.total_seconds())
    with pytest.raises(Forbidden, match=r"You may not change 'eva@corp.example'.*'operators'"):
        set_evas_password(world, carl)
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: users.delete_user(tx, act, carl, EVA))
    set_evas_password(world, ANNA)


@pytest.mark.parametrize("how", [other_mapping, unlinked, removed])
def test_whom_no_provider_puts_into_groups_any_more_is_changed_as_before(
    world: World, carl: Subject, how: Callable[[World], None]
) -> None:
    how(world)
    set_evas_password(world, carl)


def test_an_invitation_that_is_over_gives_nothing(world: World, carl: Subject) -> None:
    invite_eva(world)
    world.clock.pass_time(identities.INVITATION_LIFE.total_seconds() - 1)
    with pytest.raises(Forbidden):
        set_evas_password(world, carl)
    world.clock.pass_time(1)
    set_evas_password(world, carl)


def test_who_is_known_to_a_provider_may_still_change_himself(world: World) -> None:
    eva = Subject(EVA, PrincipalKind.USER, "eva@corp.example", "192.0.2.1")
    draft = UserDraft(display_name="Eva E.")
    changed = world.do(lambda tx, act: users.change_user(tx, act, eva, EVA, draft), eva)
    assert changed.display_name == "Eva E."


@pytest.mark.parametrize("is_own", [False, True])
def test_a_link_or_an_invitation_asks_for_all_that_the_providers_groups_give(
    world: World, carl: Subject, *, is_own: bool
) -> None:
    """Else whoever knows a user's password makes the next in the mapped groups that user."""
    nina = world.do(lambda tx, act: users.create_user(tx, act, "nina@corp.example"))
    subject = carl
    if is_own:
        subject = Subject(nina.id, PrincipalKind.USER, nina.name, "192.0.2.1")
    boss = "boss@corp.example"
    with pytest.raises(Forbidden, match="'operators'"):
        world.do(lambda tx, act: identities.invite(tx, act, subject, "corp", nina.id, boss))
    with pytest.raises(Forbidden, match="'operators'"):
        world.do(lambda tx, act: identities.link(tx, act, subject, "corp", nina.id, "boss"))
    world.do(lambda tx, act: identities.invite(tx, act, ANNA, "corp", nina.id, boss))
    world.do(lambda tx, act: identities.link(tx, act, ANNA, "corp", nina.id, "boss"))


def test_sign_ins_on_their_way_are_bounded(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a flood takes places from itself (EDGES E6)."""
    monkeypatch.setattr(external_sign_in, "BOUNDS", Bounds(9, 9, 3))
    corp = world.see(lambda reader: reader.identity_provider_by_name("corp"))
    assert corp is not None

    def leave(state: str, address: str) -> None:
        ends_at = world.clock.wall + external_sign_in.SIGN_IN_LIFE
        pending = PendingSignIn(
            state, "b", corp.id, ISSUER, "https://r", "n", "sealed", "/", ends_at, address
        )
        world.do(lambda tx, act: external_sign_in.depart(tx, act, pending), None)

    def left() -> list[str]:
        return [each.key for each in world.see(lambda reader: reader.pending_sign_ins())]

    for name in ("one", "two", "three"):
        leave(name, "192.0.2.1")
        world.clock.pass_time(1)
    with pytest.raises(TooManyRequests):
        leave("four", "192.0.2.1")
    leave("other", "198.51.100.1")
    assert left() == ["two", "three", "other"]
    leave("late", "203.0.113.1")
    assert left() == ["three", "other", "late"]
    with pytest.raises(TooManyRequests):
        leave("known", "203.0.113.7")
    world.do(lambda tx, act: tx.put_known_network(EVA, "203.0.113.7/32", act.now), None)
    leave("known", "203.0.113.7")
    assert left() == ["other", "late", "known"]
    world.clock.pass_time(600)
    leave("four", "192.0.2.1")
    assert left() == ["four"]


def test_a_network_from_which_somebody_was_let_in_is_known(world: World) -> None:
    """EDGES E6, for whoever signs in elsewhere too; one who was refused makes none known."""
    network = {"192.0.2.1/32"}
    assert isinstance(come_back(world, sub="somebody-else"), NotLetIn)
    assert world.see(lambda reader: reader.known_among(network)) == frozenset()
    assert isinstance(come_back(world), LetIn)
    assert world.see(lambda reader: reader.known_among(network)) == network
