"""Roles and assignments: nobody raises himself but by the right to (EDGES B3, B4, B10)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from bascule.domain.access import PrincipalKind, Subject
from bascule.domain.builtin_roles import (
    CONTRIBUTOR,
    OWNER,
    READER,
    SECURITY_ADMIN,
    USER_ACCESS_ADMINISTRATOR,
)
from bascule.domain.lifecycle import GrantState
from bascule.domain.principals import (
    Credential,
    CredentialKind,
    Group,
    Membership,
    ServicePrincipal,
    User,
)
from bascule.domain.role_draft import RoleDraft
from bascule.domain.roles import Permission, RoleAssignment
from bascule.domain.scopes import Scope, group_scope, resource_scope, subscription_scope
from bascule.domain.sign_in import StoredPassword
from bascule.errors import Conflict, Forbidden, InvalidInput, NotFound
from bascule.interfaces.store import Transaction
from bascule.services import assignments, machines, policies, roles
from bascule.services.act import new_id
from bascule.services.assignments import AssignmentDraft
from bascule.services.groups import delete_group, put_group
from bascule.services.owners import check_owner_left, ending_credentials
from bascule.services.rights import rights_of
from bascule.services.watch import warn_of_endings
from tests.unit.services_world import World, rules

OLGA = Subject("01900000-0000-4000-8000-000000000001", PrincipalKind.SERVICE, "olga")
UMA = Subject("01900000-0000-4000-8000-000000000002", PrincipalKind.SERVICE, "uma")
CARL = Subject("01900000-0000-4000-8000-000000000003", PrincipalKind.SERVICE, "carl")
RITA = Subject("01900000-0000-4000-8000-000000000004", PrincipalKind.SERVICE, "rita")
GANG = "01900000-0000-4000-8000-000000000005"
ROLE = "01900000-0000-4000-8000-0000000000aa"
ASSIGNMENT = "01900000-0000-4000-8000-0000000000bb"
REQUESTOR = Permission(
    (
        "Microsoft.Security/locations/jitNetworkAccessPolicies/read",
        "Microsoft.Security/locations/jitNetworkAccessPolicies/initiate/action",
    )
)


class RoleWorld(World):
    """Olga owns all, Uma administers access to the group, Carl contributes, Rita reads."""

    def __init__(self) -> None:
        super().__init__()
        self.whole = subscription_scope(self.installation.subscription_id)
        self.group = group_scope(self.installation.subscription_id, "default")
        for who, role, scope in (
            (OLGA, OWNER, self.whole),
            (UMA, USER_ACCESS_ADMINISTRATOR, self.group),
            (CARL, CONTRIBUTOR, self.whole),
            (RITA, READER, self.whole),
        ):
            self.add_service(who)
            self.give(who.principal_id, role.id, scope)

    def add_service(self, who: Subject, lives: timedelta | None = timedelta(days=90)) -> str:
        now = self.clock.wall
        key = new_id()
        ends = None if lives is None else now + lives

        def work(tx: Transaction) -> None:
            tx.put_service_principal(ServicePrincipal(who.principal_id, who.name, True, now))
            tx.put_credential(
                Credential(key, who.principal_id, CredentialKind.SECRET, "5e" * 32, "", now, ends)
            )

        self.do(lambda tx, _: work(tx))
        return key

    def give(
        self, principal_id: str, role_id: str, scope: Scope, kind: str = "ServicePrincipal"
    ) -> str:
        made = RoleAssignment(
            new_id(), scope, role_id, principal_id, PrincipalKind(kind), "", self.clock.wall, ""
        )
        self.do(lambda tx, _: tx.add_role_assignment(made))
        return made.id

    def put_role(self, who: Subject, draft: RoleDraft, role_id: str = ROLE) -> bool:
        return self.do(lambda tx, act: roles.put_role(tx, act, who, role_id, draft), who)[1]

    def assign(
        self,
        who: Subject,
        scope: Scope,
        draft: AssignmentDraft,
        assignment_id: str = ASSIGNMENT,
    ) -> bool:
        return self.do(
            lambda tx, act: assignments.put_assignment(tx, act, who, assignment_id, scope, draft),
            who,
        )[1]

    def delete_role(self, role_id: str) -> object:
        return self.do(lambda tx, act: roles.delete_role(tx, act, OLGA, role_id, self.whole), OLGA)

    def take(self, who: Subject, assignment_id: str, scope: Scope) -> object:
        return self.do(
            lambda tx, act: assignments.delete_assignment(tx, act, assignment_id, scope), who
        )

    def may(self, who: Subject, action: str, scope: Scope) -> bool:
        held = self.see(lambda reader: rights_of(reader, who.principal_id, self.clock.wall))
        return held.may(action, scope)


@pytest.fixture
def world() -> Iterator[RoleWorld]:
    made = RoleWorld()
    yield made
    made.close()


def draft_of(*scopes: Scope, name: str = "JIT Access Role", **more: object) -> RoleDraft:
    made = RoleDraft(name, "They may ask.", (REQUESTOR,), scopes)
    return replace(made, **more)  # type: ignore[arg-type]  # reason: fields by name


# -- custom roles -------------------------------------------------------------------------


def test_a_custom_role_is_made_changed_and_deleted(world: RoleWorld) -> None:
    assert world.put_role(OLGA, draft_of(world.whole))
    assert not world.put_role(OLGA, draft_of(world.whole)), "the same again"
    assert world.kinds().count("RoleChanged") == 0, "and nothing was changed by it"
    assert not world.put_role(OLGA, draft_of(world.whole, name="Night shift"))
    found = world.see(lambda reader: reader.custom_role(ROLE))
    assert found is not None
    assert (found.name, found.created_by, found.updated_by) == (
        "Night shift",
        OLGA.principal_id,
        OLGA.principal_id,
    )
    gone = world.do(lambda tx, act: roles.delete_role(tx, act, OLGA, ROLE, world.whole), OLGA)
    assert gone == found
    assert world.do(lambda tx, act: roles.delete_role(tx, act, OLGA, ROLE, world.whole)) is None
    assert world.kinds()[-3:] == ["RoleCreated", "RoleChanged", "RoleDeleted"]


@pytest.mark.parametrize("who", [CARL, RITA, UMA], ids=lambda who: who.name)
def test_a_role_is_written_only_where_one_may_write_roles(world: RoleWorld, who: Subject) -> None:
    """Uma may in the group, and not one that reaches beyond it."""
    with pytest.raises(Forbidden) as denied:
        world.put_role(who, draft_of(world.group, world.whole))
    assert str(world.whole) in denied.value.message + str(denied.value.problems)
    assert world.see(lambda reader: reader.custom_role(ROLE)) is None


def test_who_administers_a_group_writes_roles_of_the_group(world: RoleWorld) -> None:
    assert world.put_role(UMA, draft_of(world.group))


def test_changing_a_role_needs_the_right_where_it_was_assignable_too(world: RoleWorld) -> None:
    """Else Uma would raise those who hold it elsewhere, by drawing its scopes together."""
    world.put_role(OLGA, draft_of(world.whole))
    every = (Permission(("*",)),)
    with pytest.raises(Forbidden):
        world.put_role(UMA, draft_of(world.group, permissions=every))
    with pytest.raises(Forbidden):
        world.do(lambda tx, act: roles.delete_role(tx, act, UMA, ROLE, world.group), UMA)


def test_a_role_does_not_shrink_away_from_where_it_is_held(world: RoleWorld) -> None:
    world.put_role(OLGA, draft_of(world.whole))
    world.give(RITA.principal_id, ROLE, world.whole)
    with pytest.raises(Conflict) as refused:
        world.put_role(OLGA, draft_of(world.group))
    assert refused.value.specific_code == "RoleDefinitionHasAssignments"


def test_a_role_that_is_held_is_not_deleted(world: RoleWorld) -> None:
    world.put_role(OLGA, draft_of(world.whole))
    world.give(RITA.principal_id, ROLE, world.group)
    with pytest.raises(Conflict) as refused:
        world.do(lambda tx, act: roles.delete_role(tx, act, OLGA, ROLE, world.whole), OLGA)
    assert refused.value.specific_code == "RoleDefinitionHasAssignments"
    assert str(world.group) in refused.value.message


def test_built_in_roles_stay_as_they_are(world: RoleWorld) -> None:
    for role in (READER, OWNER):
        with pytest.raises(Conflict):
            world.put_role(OLGA, draft_of(world.whole), role.id.upper())
        with pytest.raises(Conflict):
            world.delete_role(role.id)


@pytest.mark.parametrize("name", ["reader", "OWNER", "jit access role"])
def test_a_name_is_one_roles(world: RoleWorld, name: str) -> None:
    world.put_role(OLGA, draft_of(world.whole))
    with pytest.raises(Conflict) as refused:
        world.put_role(OLGA, draft_of(world.whole, name=name), new_id())
    assert refused.value.specific_code == "RoleDefinitionWithSameNameExists"


def test_everything_wrong_with_a_role_is_told_at_once(world: RoleWorld) -> None:
    wrong = RoleDraft("", "", (Permission(("a b", "x")),), (Scope("/subscriptions/other"),))
    with pytest.raises(InvalidInput) as refused:
        world.put_role(OLGA, wrong)
    assert [each.target for each in refused.value.problems] == [
        "properties.roleName",
        "properties.permissions[0].actions[0]",
        "properties.permissions[0].actions[1]",
        "properties.assignableScopes[0]",
    ]


def test_a_role_that_loses_an_action_ends_the_grants_that_rested_on_it(world: RoleWorld) -> None:
    """EDGES B3."""
    world.put_role(OLGA, draft_of(world.whole))
    world.add_service(NINA)
    world.give(NINA.principal_id, ROLE, world.whole)
    world.put(rules(world.web, 22))
    grant = world.granted(world.web, subject=NINA)
    world.put_role(OLGA, draft_of(world.whole, description="other words"))
    assert world.grant(grant).state is GrantState.OPENING
    world.put_role(OLGA, draft_of(world.whole, permissions=(Permission(("*/read",)),)))
    assert world.grant(grant).state is GrantState.CLOSING


WRITER = Permission(("Microsoft.Authorization/roleDefinitions/write",))


def writer(world: RoleWorld, *more: Permission) -> Subject:
    """Nina holds a custom role by which she may write roles, and nothing else."""
    world.put_role(OLGA, draft_of(world.whole, permissions=(WRITER, *more)))
    world.add_service(NINA)
    world.give(NINA.principal_id, ROLE, world.whole)
    return NINA


@pytest.mark.parametrize(
    "permission",
    [
        Permission(("*",)),
        Permission(("Microsoft.Authorization/roleAssignments/write",)),
        Permission(("Microsoft.Authorization/roleDefinitions/*",)),
        Permission((), (), ("Microsoft.Compute/virtualMachines/login/action",)),
    ],
)
def test_writing_roles_alone_gives_nothing_by_a_role_that_one_holds(
    world: RoleWorld, permission: Permission
) -> None:
    """EDGES E8. Else whoever may write roles is an owner with one call."""
    nina = writer(world)
    with pytest.raises(Forbidden, match="would gain") as denied:
        world.put_role(nina, draft_of(world.whole, permissions=(WRITER, permission)))
    assert str(world.whole) in denied.value.message
    assert "nobody holds yet" in denied.value.advice
    assert not world.may(nina, "Microsoft.Authorization/roleAssignments/write", world.whole)
    assert world.kinds().count("RoleChanged") == 0
    other = "01900000-0000-4000-8000-0000000000cc"
    draft = draft_of(world.whole, name="Held by nobody", permissions=(permission,))
    assert world.put_role(nina, draft, other), "a role that nobody holds raises nobody"


@pytest.mark.parametrize("field", ["not_actions", "not_data_actions"])
def test_an_exception_that_is_taken_away_is_given(world: RoleWorld, field: str) -> None:
    every = Permission(("Microsoft.Compute/*",), (), ("Microsoft.Compute/*",))
    nina = writer(world, replace(every, **{field: ("Microsoft.Compute/virtualMachines/write",)}))
    with pytest.raises(Forbidden, match="would gain"):
        world.put_role(nina, draft_of(world.whole, permissions=(WRITER, every)))


def test_what_adds_nothing_asks_for_no_more(world: RoleWorld) -> None:
    nina = writer(world, Permission(("Microsoft.Compute/*",)))
    less = Permission(("Microsoft.Compute/virtualMachines/read",), ("Microsoft.Compute/x/read",))
    for permissions in ((WRITER, less), (WRITER,)):
        assert not world.put_role(nina, draft_of(world.whole, permissions=permissions))
    assert not world.put_role(nina, draft_of(world.whole, name="Renamed", permissions=(WRITER,)))
    assert world.kinds().count("RoleChanged") == 3


def test_whoever_holds_what_is_given_may_give_it_there(world: RoleWorld) -> None:
    """At each scope where the role is held, and nowhere else."""
    nina = writer(world)
    draft = draft_of(world.whole, permissions=(WRITER, Permission(("Microsoft.Compute/*/read",))))
    world.give(nina.principal_id, READER.id, world.group)
    with pytest.raises(Forbidden, match=str(world.whole)):
        world.put_role(nina, draft)
    world.give(nina.principal_id, READER.id, world.whole)
    assert not world.put_role(nina, draft)


def test_whoever_may_assign_roles_there_may_widen_them(world: RoleWorld) -> None:
    """As they could assign another role to the same holders."""
    other = "01900000-0000-4000-8000-0000000000cc"
    every = (Permission(("*",)),)
    world.put_role(OLGA, draft_of(world.group, name="Of the group"), other)
    world.add_service(NINA)
    world.give(NINA.principal_id, other, world.group)
    assert not world.put_role(
        UMA, draft_of(world.group, name="Of the group", permissions=every), other
    )


def test_the_rule_counts_at_every_scope_where_the_role_is_held(world: RoleWorld) -> None:
    """Nina may assign in the group; Rita holds the role at the subscription too."""
    nina = writer(world)
    world.give(nina.principal_id, USER_ACCESS_ADMINISTRATOR.id, world.group)
    third = "01900000-0000-4000-8000-0000000000dd"
    draft = draft_of(world.whole, world.group, name="Third")
    world.put_role(OLGA, draft, third)
    world.give(RITA.principal_id, third, world.group)
    wider = replace(draft, permissions=(REQUESTOR, Permission(("*",))))
    assert not world.put_role(nina, wider, third)
    world.put_role(OLGA, draft, third)
    world.give(RITA.principal_id, third, world.whole)
    with pytest.raises(Forbidden, match=str(world.whole)):
        world.put_role(nina, wider, third)


NINA = Subject("01900000-0000-4000-8000-000000000006", PrincipalKind.SERVICE, "nina")


# -- assignments --------------------------------------------------------------------------


def test_assigning_gives_and_taking_takes(world: RoleWorld) -> None:
    action = "Microsoft.Compute/virtualMachines/write"
    draft = AssignmentDraft(CONTRIBUTOR.id, RITA.principal_id)
    web = resource_scope(world.web.id)
    assert world.assign(
        OLGA, Scope(str(web).upper().replace("SUBSCRIPTIONS", "subscriptions")), draft
    )
    assert world.may(RITA, action, web)
    assert not world.may(RITA, action, resource_scope(world.db.id))
    stored = world.see(lambda reader: reader.role_assignment(ASSIGNMENT))
    assert stored is not None
    assert str(stored.scope) == str(web), "in the spelling of the machine"
    gone = world.do(lambda tx, act: assignments.delete_assignment(tx, act, ASSIGNMENT, web), OLGA)
    assert gone == stored
    assert not world.may(RITA, action, web)
    assert world.kinds()[-2:] == ["RoleAssigned", "RoleUnassigned"]


def test_the_same_again_changes_nothing(world: RoleWorld) -> None:
    draft = AssignmentDraft(CONTRIBUTOR.id, RITA.principal_id)
    assert world.assign(OLGA, world.group, draft)
    assert not world.assign(OLGA, world.group, draft)
    assert not world.assign(UMA, world.group, draft), "whoever says it"
    assert world.kinds().count("RoleAssigned") == 1
    assert not world.assign(OLGA, world.group, replace(draft, description="for the night"))
    stored = world.see(lambda reader: reader.role_assignment(ASSIGNMENT))
    assert stored is not None
    assert (stored.description, stored.created_by) == ("for the night", OLGA.principal_id)
    assert world.kinds().count("RoleAssigned") == 2, "what changed is on record"


@pytest.mark.parametrize("change", ["role", "principal", "scope"])
def test_an_id_stands_for_one_assignment(world: RoleWorld, change: str) -> None:
    draft = AssignmentDraft(CONTRIBUTOR.id, RITA.principal_id)
    world.assign(OLGA, world.group, draft)
    other = {
        "role": replace(draft, role_id=SECURITY_ADMIN.id),
        "principal": replace(draft, principal_id=CARL.principal_id),
    }.get(change, draft)
    with pytest.raises(Conflict) as refused:
        world.assign(OLGA, world.whole if change == "scope" else world.group, other)
    assert refused.value.specific_code == "RoleAssignmentUpdateNotPermitted"


def test_a_role_is_held_once_at_a_scope(world: RoleWorld) -> None:
    with pytest.raises(Conflict) as refused:
        world.assign(OLGA, world.whole, AssignmentDraft(READER.id, RITA.principal_id))
    assert refused.value.specific_code == "RoleAssignmentExists"


@pytest.mark.parametrize(
    ("draft", "code"),
    [
        (AssignmentDraft(new_id(), RITA.principal_id), "RoleDefinitionDoesNotExist"),
        (AssignmentDraft(READER.id, new_id()), "PrincipalNotFound"),
        (
            AssignmentDraft(SECURITY_ADMIN.id, RITA.principal_id, PrincipalKind.USER),
            "UnmatchedPrincipalType",
        ),
        (
            AssignmentDraft(SECURITY_ADMIN.id, RITA.principal_id, PrincipalKind.AGENT),
            "UnmatchedPrincipalType",
        ),
        (AssignmentDraft(ROLE, RITA.principal_id), "RoleDefinitionNotAssignable"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_be_assigned(world: RoleWorld, draft: AssignmentDraft, code: str) -> None:
    world.put_role(OLGA, draft_of(world.group))
    with pytest.raises(InvalidInput) as refused:
        world.assign(OLGA, world.whole, draft)
    assert refused.value.specific_code == code


def test_an_agent_is_no_principal_of_roles(world: RoleWorld) -> None:
    with pytest.raises(InvalidInput):
        world.assign(OLGA, world.whole, AssignmentDraft(OWNER.id, world.web.uid))


@pytest.mark.parametrize(
    "below",
    [
        "resourceGroups/nowhere",
        "resourceGroups/default/providers/Microsoft.Compute/virtualMachines/nobody",
        "resourceGroups/default/providers/Microsoft.Compute/virtualMachines/web-1"
        "/providers/Microsoft.Authorization/roleAssignments/" + ASSIGNMENT,
        "resourceGroups/default/providers/Microsoft.Network/networkInterfaces/web-1",
    ],
)
def test_a_role_is_assigned_at_what_is_there(world: RoleWorld, below: str) -> None:
    """Else a right would wait for whatever comes under that name."""
    with pytest.raises((NotFound, InvalidInput)):
        world.assign(
            OLGA, Scope(f"{world.whole}/{below}"), AssignmentDraft(OWNER.id, RITA.principal_id)
        )


def test_taking_is_of_that_scope_alone(world: RoleWorld) -> None:
    """Uma may take in the group; the id of an assignment above must not help her."""
    held = world.give(CARL.principal_id, SECURITY_ADMIN.id, world.whole)
    for scope in (world.group, resource_scope(world.web.id)):
        assert world.take(UMA, held, scope) is None
    assert world.see(lambda reader: reader.role_assignment(held)) is not None
    with pytest.raises(NotFound):
        world.see(lambda reader: assignments.find_assignment(reader, held, world.group))


def test_taking_a_role_ends_the_grants_that_rested_on_it(world: RoleWorld) -> None:
    """EDGES B3: in the same commit; those that rest on another role as well live on."""
    world.add_service(NINA)
    here = world.give(NINA.principal_id, SECURITY_ADMIN.id, world.whole)
    twice = world.give(NINA.principal_id, OWNER.id, resource_scope(world.db.id))
    world.put(rules(world.web, 22), rules(world.db, 22))
    web, db = world.granted(world.web, subject=NINA), world.granted(world.db, subject=NINA)
    world.do(lambda tx, act: assignments.delete_assignment(tx, act, here, world.whole), OLGA)
    assert world.grant(web).state is GrantState.CLOSING
    assert world.grant(db).state is GrantState.OPENING
    scope = resource_scope(world.db.id)
    world.do(lambda tx, act: assignments.delete_assignment(tx, act, twice, scope), OLGA)
    assert world.grant(db).state is GrantState.CLOSING


def test_what_comes_under_an_old_name_inherits_no_roles(world: RoleWorld) -> None:
    """EDGES A12 for rights: machine, policy and group take their assignments with them."""
    world.put(rules(world.web, 22))
    machine, policy = resource_scope(world.web.id), resource_scope(world.policy_id())
    for scope in (machine, policy):
        world.assign(OLGA, scope, AssignmentDraft(OWNER.id, RITA.principal_id), new_id())
    world.do(lambda tx, act: policies.delete_policy(tx, act, OLGA, world.policy_id()), OLGA)
    world.do(lambda tx, act: machines.delete_machine(tx, act, world.web.id), OLGA)
    world.do(lambda tx, act: put_group(tx, act, "others"), OLGA)
    others = group_scope(world.installation.subscription_id, "others")
    world.assign(OLGA, others, AssignmentDraft(OWNER.id, RITA.principal_id), new_id())
    world.do(lambda tx, act: delete_group(tx, act, "others"), OLGA)
    for scope in (machine, policy, others):
        assert not world.may(RITA, "Microsoft.Compute/virtualMachines/write", scope), scope
    assert world.kinds().count("RoleUnassigned") == 3


# -- the last owner -----------------------------------------------------------------------


def owner_assignment(world: RoleWorld, who: Subject) -> str:
    held = world.see(lambda reader: reader.role_assignments_of([who.principal_id]))
    return next(each.id for each in held if each.role_id == OWNER.id)


def take_owner(world: RoleWorld, who: Subject = OLGA) -> None:
    wanted = owner_assignment(world, who)
    world.do(lambda tx, act: assignments.delete_assignment(tx, act, wanted, world.whole), OLGA)


def test_the_last_owner_stays(world: RoleWorld) -> None:
    """EDGES B10: nothing of the transaction is kept."""
    with pytest.raises(Conflict) as refused:
        take_owner(world)
    assert refused.value.specific_code == "LastOwner"
    assert owner_assignment(world, OLGA)


def test_an_owner_elsewhere_than_at_the_subscription_is_none(world: RoleWorld) -> None:
    world.give(CARL.principal_id, OWNER.id, world.group)
    with pytest.raises(Conflict):
        take_owner(world)


@pytest.mark.parametrize(
    ("lives", "is_enabled", "counts"),
    [
        (timedelta(days=1), True, True),
        (None, True, True),
        (timedelta(0), True, False),  # expires at this instant
        (timedelta(days=1), False, False),
    ],
)
def test_who_counts_as_another_owner(
    world: RoleWorld, lives: timedelta | None, is_enabled: bool, counts: bool
) -> None:
    world.add_service(NINA, lives)
    principal = ServicePrincipal(NINA.principal_id, "nina", is_enabled, world.clock.wall)
    world.do(lambda tx, _: tx.put_service_principal(principal))
    world.give(NINA.principal_id, OWNER.id, world.whole)
    if counts:
        take_owner(world)
    else:
        with pytest.raises(Conflict):
            take_owner(world)


@pytest.mark.parametrize(
    ("provider", "ends", "counts"),
    [("", None, True), ("p", timedelta(hours=1), False), ("", timedelta(0), False)],
)
def test_an_owner_by_a_group(
    world: RoleWorld, provider: str, ends: timedelta | None, counts: bool
) -> None:
    """What a provider vouched for is over within the hour, and then nobody would be left."""
    now = world.clock.wall
    world.add_service(NINA)
    until = None if ends is None else now + ends
    member = Membership(GANG, NINA.principal_id, PrincipalKind.SERVICE, provider, until)

    def join(tx: Transaction) -> None:
        tx.put_group(Group(GANG, "gang", "", now))
        tx.put_membership(member)

    world.do(lambda tx, _: join(tx))
    world.give(GANG, OWNER.id, world.whole, "Group")
    if counts:
        take_owner(world)
    else:
        with pytest.raises(Conflict):
            take_owner(world)


@pytest.mark.parametrize("can_sign_in", [True, False])
def test_a_user_counts_who_can_sign_in(world: RoleWorld, can_sign_in: bool) -> None:
    now = world.clock.wall
    user = User(NINA.principal_id, "nina@example.com", "Nina", True, now)
    world.do(lambda tx, _: tx.put_user(user))
    world.give(user.id, OWNER.id, world.whole, "User")
    if can_sign_in:
        world.do(lambda tx, _: tx.put_password(StoredPassword(user.id, "$argon2id$x", now)))
        take_owner(world)
    else:
        with pytest.raises(Conflict):
            take_owner(world)


def test_other_assignments_go_though_no_owner_is_left(world: RoleWorld) -> None:
    """Where all owners' credentials have expired, the record must not refuse all else."""
    world.clock.pass_time(timedelta(days=91).total_seconds())
    with pytest.raises(Conflict):
        world.do(check_owner_left)
    held = world.see(lambda reader: reader.role_assignments_of([RITA.principal_id]))[0]
    taken = world.do(
        lambda tx, act: assignments.delete_assignment(tx, act, held.id, world.whole), OLGA
    )
    assert taken == held


@pytest.mark.parametrize(
    ("days", "is_told"), [(14, True), (1, True), (15, False), (0, False), (-1, False)]
)
def test_the_end_of_an_owners_credential_is_told_ahead(
    world: RoleWorld, days: int, is_told: bool
) -> None:
    world.add_service(NINA, timedelta(days=days))
    world.give(NINA.principal_id, OWNER.id, world.whole)
    world.add_service(RITA, timedelta(days=days))  # no owner
    found = world.see(lambda reader: ending_credentials(reader, world.clock.wall))
    assert [each.owner.display_name for each in found] == (["nina"] if is_told else [])


def test_the_servers_log_says_it_too(world: RoleWorld) -> None:
    key = world.add_service(NINA, timedelta(days=3))
    world.give(NINA.principal_id, OWNER.id, world.whole)
    with capture_logs() as lines:
        asyncio.run(warn_of_endings(world.services))
    told = str(lines)
    assert "an owner's credential ends soon" in told
    assert key in told
    assert "5e" * 8 not in told, "never what it is"
