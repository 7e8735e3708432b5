"""Microsoft.Authorization on the wire: shapes, filters, pages, and who may (EDGES B4, B10)."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from bascule.api.arm_call import scope_of_path
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import DISPLAY
from bascule.domain.builtin_roles import (
    BUILTIN_ROLES,
    CONTRIBUTOR,
    OWNER,
    READER,
    SECURITY_ADMIN,
    USER_ACCESS_ADMINISTRATOR,
)
from bascule.domain.principals import (
    Group,
    Membership,
)
from bascule.interfaces.store import Transaction
from tests.wire.house import BASCULE, House
from tests.wire.people import Person, give

AZ = "2022-04-01"
ROOT = "/providers/Microsoft.Authorization"
ROLE = "01900000-0000-4000-8000-0000000000aa"
ASSIGNMENT = "01900000-0000-4000-8000-0000000000bb"
GANG = "01900000-0000-4000-8000-0000000000cc"
JIT = "Microsoft.Security/locations/jitNetworkAccessPolicies"


def call(house: House, method: str, path: str, body: Any = None, **params: str) -> Any:
    more = {} if body is None else {"json": body}
    return house.client.request(method, path, params={"api-version": AZ, **params}, **more)


def role_id(house: House, guid: str) -> str:
    return f"{house.subscription}{ROOT}/roleDefinitions/{guid}"


def assignment(house: House, principal_id: str, guid: str = READER.id, **more: Any) -> Any:
    properties = {"roleDefinitionId": role_id(house, guid), "principalId": principal_id, **more}
    return {"properties": properties}


def role(*scopes: str, name: str = "JIT Access Role", actions: Any = (f"{JIT}/read",)) -> Any:
    permissions = [{"actions": list(actions), "notActions": []}]
    return {
        "properties": {
            "roleName": name,
            "description": "They may ask.",
            "type": "CustomRole",
            "permissions": permissions,
            "assignableScopes": list(scopes),
        }
    }


def names(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["properties"]["roleName"] for each in answer.json()["value"]]


def ids(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["value"]]


def code(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


# -- where a path is checked ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/subscriptions/S", "/subscriptions/S"),
        (f"/subscriptions/S{ROOT}/roleAssignments", "/subscriptions/S"),
        (f"/subscriptions/S{ROOT}/roleAssignments/A", "/subscriptions/S"),
        (f"/subscriptions/S/resourceGroups/g{ROOT}/roleAssignments/A", None),
        (f"/subscriptions/S/resourceGroups/g/providers/N/t/n{ROOT}/roleAssignments/A", None),
        (f"/subscriptions/S/resourceGroups/g/providers/N/t/n/u/m{ROOT}/permissions", None),
        # What is told after our part never moves the place of the check below it.
        (f"/subscriptions/S{ROOT}/roleAssignments/A{ROOT}/roleAssignments/B", "/subscriptions/S"),
    ],
)
def test_an_assignment_is_checked_where_it_is_assigned(path: str, scope: str | None) -> None:
    assert str(scope_of_path(path)) == (scope or path.partition(ROOT)[0])


@pytest.mark.parametrize(
    "resource",
    [
        "Microsoft.Compute/virtualMachines",
        "Microsoft.Compute",
        f"Microsoft.Compute/virtualMachines/web-1{ROOT}/roleAssignments/{ASSIGNMENT}",
        f"Microsoft.Compute/virtualMachines{ROOT}/roleAssignments/{ASSIGNMENT}",
    ],
)
def test_a_path_that_is_no_scope_is_refused(house: House, resource: str) -> None:
    house.add_machine("web-1")
    path = f"{house.group}/providers/{resource}{ROOT}/roleAssignments/{ROLE}"
    someone = Person(house, "rita")
    answer = call(house, "PUT", path, assignment(house, someone.id, OWNER.id))
    assert answer.status_code in (400, 404), answer.text
    assert house.see(lambda reader: reader.role_assignments_of([someone.id])) == []


# -- role definitions -----------------------------------------------------------------------


def test_built_in_roles_are_listed_as_azure_writes_them(house: House) -> None:
    answer = call(house, "GET", f"{house.subscription}{ROOT}/roleDefinitions")
    assert names(answer) == sorted(each.name for each in BUILTIN_ROLES)
    reader = next(each for each in answer.json()["value"] if each["name"] == READER.id)
    assert reader == {
        "id": role_id(house, READER.id),
        "type": "Microsoft.Authorization/roleDefinitions",
        "name": READER.id,
        "properties": {
            "roleName": "Reader",
            "type": "BuiltInRole",
            "description": READER.description,
            "assignableScopes": ["/"],
            "permissions": [
                {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
            ],
            "createdOn": None,
            "updatedOn": None,
            "createdBy": None,
            "updatedBy": None,
        },
    }
    assert call(house, "GET", reader["id"]).json() == reader
    top = f"{ROOT}/roleDefinitions/{READER.id}"
    assert call(house, "GET", top).json()["id"] == top
    assert len(names(call(house, "GET", f"{ROOT}/roleDefinitions"))) == len(BUILTIN_ROLES)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("roleName eq 'reader'", ["Reader"]),
        ("roleName eq 'JIT Access Role'", ["JIT Access Role"]),
        ("type eq 'CustomRole'", ["JIT Access Role"]),
        ("type eq 'BuiltInRole' and roleName eq 'JIT Access Role'", []),
        ("atScopeAndBelow() and type eq 'CustomRole'", ["Group's own", "JIT Access Role"]),
    ],
)
def test_role_filters(house: House, text: str, expected: list[str]) -> None:
    call(house, "PUT", role_id(house, ROLE), role(house.subscription))
    own = role(house.group, name="Group's own")
    assert call(house, "PUT", role_id(house, GANG), own).status_code == 201
    path = f"{house.subscription}{ROOT}/roleDefinitions"
    assert names(call(house, "GET", path, **{"$filter": text})) == expected


def test_role_pages_are_linked(house: House) -> None:
    path = f"{house.subscription}{ROOT}/roleDefinitions"
    seen: list[str] = []
    answer = call(house, "GET", path, **{"$top": "3"})
    for _ in range(4):
        seen += names(answer)
        link = answer.json().get("nextLink")
        if link is None:
            break
        answer = house.client.get(link)
    assert seen == sorted(each.name for each in BUILTIN_ROLES)


def test_a_custom_role_lives_its_whole_life(house: House) -> None:
    path = role_id(house, ROLE)
    made = call(house, "PUT", path, role(house.subscription))
    assert made.status_code == 201
    properties = made.json()["properties"]
    assert properties["type"] == "CustomRole"
    assert properties["assignableScopes"] == [house.subscription]
    assert properties["createdBy"] == house.administrator
    changed = call(house, "PUT", path, role(house.subscription, actions=("*/read",)))
    assert changed.status_code == 201, "as azure-mgmt-authorization expects of a change too"
    assert call(house, "GET", path).json() == changed.json()
    assert call(house, "DELETE", path).json() == changed.json()
    assert call(house, "DELETE", path).status_code == 204
    assert call(house, "GET", path).status_code == 404
    assert sorted(house.events("RoleCreated", "RoleChanged", "RoleDeleted")) == [
        "RoleChanged",
        "RoleCreated",
        "RoleDeleted",
    ]


@pytest.mark.parametrize(
    ("change", "target"),
    [
        ({"roleName": ""}, "properties.roleName"),
        ({"assignableScopes": []}, "properties.assignableScopes"),
        ({"assignableScopes": ["/"]}, "properties.assignableScopes[0]"),
        ({"permissions": []}, "properties.permissions"),
        ({"permissions": [{"actions": ["*a*b*c*d*/x"]}]}, "properties.permissions[0].actions[0]"),
        ({"permissions": [{"actions": ["reboot"]}]}, "properties.permissions[0].actions[0]"),
    ],
)
def test_a_role_that_cannot_be(house: House, change: Any, target: str) -> None:
    body = role(house.subscription)
    body["properties"].update(change)
    answer = call(house, "PUT", role_id(house, ROLE), body)
    assert answer.status_code == 400
    targets = [each["target"] for each in answer.json()["error"].get("details", [])]
    assert target in [answer.json()["error"].get("target"), *targets]


def test_roles_are_shown_to_those_whom_they_concern(house: House) -> None:
    """A custom role of the group is nothing for a reader of one machine of another."""
    house.add_machine("web-1")
    call(house, "PUT", f"{house.subscription}/resourceGroups/others", {"location": "local"})
    others = f"{house.subscription}/resourceGroups/others"
    call(house, "PUT", role_id(house, ROLE), role(others, name="Others' own"))
    path = f"{house.subscription}{ROOT}/roleDefinitions"
    rita = Person(house, "rita", (READER.id, house.machine("web-1")))
    params = {"$filter": "atScopeAndBelow()"}
    assert len(names(rita.call("GET", path, **params))) == len(BUILTIN_ROLES)
    assert rita.call("GET", role_id(house, ROLE)).status_code == 404
    olaf = Person(house, "olaf", (READER.id, others))
    assert "Others' own" in names(olaf.call("GET", path, **params))
    assert olaf.call("GET", role_id(house, ROLE)).status_code == 200
    nobody = Person(house, "nobody")
    assert names(nobody.call("GET", path)) == []
    assert nobody.call("GET", role_id(house, READER.id)).status_code == 404


def test_what_one_holds_is_shown_and_no_other_role(house: House) -> None:
    """``az role assignment list`` names one's own roles by it; it is no way to see more."""
    house.add_machine("web-1")
    for guid, name in ((ROLE, "Asks"), (GANG, "Not hers")):
        body = role(house.subscription, name=name, actions=("*/initiate/action",))
        assert call(house, "PUT", role_id(house, guid), body).status_code == 201
    rosa = Person(house, "rosa", (ROLE, house.machine("web-1")))
    path = f"{house.subscription}{ROOT}/roleDefinitions"
    assert names(rosa.call("GET", path, **{"$filter": "atScopeAndBelow()"})) == ["Asks"]
    for guid in (GANG, READER.id):
        assert rosa.call("GET", role_id(house, guid)).status_code == 404


# -- role assignments -----------------------------------------------------------------------


def test_an_assignment_lives_its_whole_life(house: House) -> None:
    house.add_machine("web-1")
    rita = Person(house, "rita")
    path = f"{house.machine('web-1')}{ROOT}/roleAssignments/{ASSIGNMENT}"
    body = assignment(house, rita.id, description="night shift", principalType="ServicePrincipal")
    made = call(house, "PUT", path, body)
    assert made.status_code == 201, made.text
    assert made.json()["id"] == path
    properties = made.json()["properties"]
    assert properties["scope"] == house.machine("web-1")
    assert properties["roleDefinitionId"] == role_id(house, READER.id)
    assert properties["principalType"] == "ServicePrincipal"
    assert properties["bascule"] == {"roleName": "Reader", "principalName": "rita"}
    assert call(house, "PUT", path, body).status_code == 200
    assert call(house, "GET", path).json() == made.json()
    assert rita.call("GET", house.machine("web-1")).status_code == 200
    assert (
        call(house, "GET", f"{house.group}{ROOT}/roleAssignments/{ASSIGNMENT}").status_code == 404
    )
    assert call(house, "DELETE", path).json() == made.json()
    assert rita.call("GET", house.machine("web-1")).status_code == 403
    assert call(house, "DELETE", path).status_code == 204


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"condition": "@Resource[x] StringEquals 'y'"}, "ConditionNotSupported"),
        ({"delegatedManagedIdentityResourceId": "/x"}, "DelegatedIdentityNotSupported"),
        ({"principalType": "Agent"}, "InvalidPrincipalType"),
        ({"principalType": "User"}, "UnmatchedPrincipalType"),
        ({"roleDefinitionId": READER.id}, "InvalidRoleDefinitionId"),
        ({"roleDefinitionId": f"{ROOT}/roleDefinitions/{GANG}"}, "RoleDefinitionDoesNotExist"),
        (
            {"roleDefinitionId": f"/subscriptions/{GANG}{ROOT}/roleDefinitions/{READER.id}"},
            "InvalidRoleDefinitionId",
        ),
        ({"principalId": GANG}, "PrincipalNotFound"),
    ],
)
def test_an_assignment_that_cannot_be(house: House, change: Any, wanted: str) -> None:
    """A condition that was passed over would give more than was said."""
    rita = Person(house, "rita")
    path = f"{house.group}{ROOT}/roleAssignments/{ASSIGNMENT}"
    answer = call(house, "PUT", path, assignment(house, rita.id, **change))
    assert (answer.status_code, code(answer)) == (400, wanted)
    assert house.see(lambda reader: reader.role_assignment(ASSIGNMENT)) is None


def test_what_there_is_is_a_conflict(house: House) -> None:
    rita = Person(house, "rita", (READER.id, house.group))
    path = f"{house.group}{ROOT}/roleAssignments/{ASSIGNMENT}"
    answer = call(house, "PUT", path, assignment(house, rita.id))
    assert (answer.status_code, code(answer)) == (409, "RoleAssignmentExists")
    call(house, "PUT", path, assignment(house, rita.id, SECURITY_ADMIN.id))
    answer = call(house, "PUT", path, assignment(house, rita.id, OWNER.id))
    assert (answer.status_code, code(answer)) == (409, "RoleAssignmentUpdateNotPermitted")


@pytest.fixture
def world(house: House) -> House:
    """Assignments at each level, by whom it is told in the ids' order of making."""
    house.add_machine("web-1")
    house.add_machine("db-1")
    return house


def test_lists_at_each_scope(world: House) -> None:
    house = world
    rita = Person(house, "rita")
    at = {
        "whole": give(house, rita.id, READER.id, house.subscription),
        "group": give(house, rita.id, READER.id, house.group),
        "web": give(house, rita.id, READER.id, house.machine("web-1")),
        "db": give(house, rita.id, READER.id, house.machine("db-1")),
    }

    def listed(above: str, text: str) -> set[str]:
        answer = call(house, "GET", f"{above}{ROOT}/roleAssignments", **{"$filter": text})
        found = ids(answer)
        assert found == sorted(found)
        return {name for name, guid in at.items() if guid in found}

    everybody = f"principalId eq '{rita.id}'"
    assert listed(house.subscription, everybody) == {"whole", "group", "web", "db"}
    assert listed(house.subscription, f"atScope() and {everybody}") == {"whole"}
    assert listed(house.group, "atScope()") == {"whole", "group"}
    assert listed(house.group, "") == {"whole", "group", "web", "db"}
    assert listed(house.machine("web-1"), "") == {"whole", "group", "web"}
    assert listed(house.group, f"principalId eq '{house.administrator}'") == set()
    encoded = f"{house.group}{ROOT}/roleAssignments?api-version={AZ}&$filter=atScope%28%29"
    assert at["web"] not in ids(house.client.get(encoded))
    nonsense = call(house, "GET", f"{house.group}{ROOT}/roleAssignments", **{"$filter": "x()"})
    assert (nonsense.status_code, code(nonsense)) == (400, "InvalidFilter")
    wrong = {"$filter": "principalId eq 'rita'"}
    assert call(house, "GET", f"{house.group}{ROOT}/roleAssignments", **wrong).status_code == 400


def test_assigned_to_goes_through_groups(world: House) -> None:
    house = world
    rita = Person(house, "rita")
    own = give(house, rita.id, READER.id, house.group)

    def join(tx: Transaction) -> None:
        tx.put_group(Group(GANG, "gang", "", house.clock.now()))
        tx.put_membership(Membership(GANG, rita.id, PrincipalKind.SERVICE))

    house.do(lambda tx, _: join(tx))
    call(house, "PUT", role_id(house, ROLE), role(house.subscription))
    by_group = give(house, GANG, ROLE, house.group, "Group")
    path = f"{house.subscription}{ROOT}/roleAssignments"
    found = ids(call(house, "GET", path, **{"$filter": f"assignedTo('{rita.id}')"}))
    assert found == sorted([own, by_group])
    assert ids(call(house, "GET", path, **{"$filter": f"principalId eq '{rita.id}'"})) == [own]
    # She who may read no assignments sees those that are hers.
    house.do(lambda tx, _: tx.delete_role_assignment(own))
    assert ids(rita.call("GET", path)) == [by_group]


def test_assignments_are_shown_where_they_may_be_read(world: House) -> None:
    """What holds at a scope from above is shown to whoever may read there, nothing else."""
    house = world
    rita = Person(house, "rita", (READER.id, house.machine("web-1")))
    nobody = Person(house, "nobody")
    elsewhere = give(house, nobody.id, READER.id, house.machine("db-1"))
    path = f"{house.subscription}{ROOT}/roleAssignments"
    (mine,) = ids(rita.call("GET", path))
    inherited = set(ids(rita.call("GET", f"{house.machine('web-1')}{ROOT}/roleAssignments")))
    assert mine in inherited
    assert len(inherited) == 2, "and the administrator's, which holds there"
    there = f"{house.machine('db-1')}{ROOT}/roleAssignments"
    assert ids(rita.call("GET", there)) == []
    assert rita.call("GET", f"{there}/{elsewhere}").status_code == 404
    assert nobody.call("GET", f"{there}/{elsewhere}").status_code == 200, "one's own"


def test_assignment_pages_are_linked(world: House) -> None:
    house = world
    made = [give(house, str(uuid.uuid4()), READER.id, house.group) for _ in range(7)]
    path = f"{house.group}{ROOT}/roleAssignments"
    answer = call(house, "GET", path, **{"$top": "3"})
    seen: list[str] = []
    for _ in range(5):
        seen += ids(answer)
        link = answer.json().get("nextLink")
        if link is None:
            break
        answer = house.client.get(link)
    assert set(made) <= set(seen)
    assert len(seen) == len(set(seen)) == 8


# -- who may -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "held", [role for role in BUILTIN_ROLES if role not in (OWNER, USER_ACCESS_ADMINISTRATOR)]
)
def test_no_role_but_two_raises_its_holder(world: House, held: Any) -> None:
    """EDGES B4: Contributor's notActions cover what could."""
    house = world
    carl = Person(house, "carl", (held.id, house.subscription))
    own = next(iter(house.see(lambda reader: reader.role_assignments_of([carl.id]))))
    call(house, "PUT", role_id(house, ROLE), role(house.subscription))
    tried = [
        carl.call(
            "PUT",
            f"{house.subscription}{ROOT}/roleAssignments/{ASSIGNMENT}",
            assignment(house, carl.id, OWNER.id),
        ),
        carl.call("PUT", role_id(house, ROLE), role(house.subscription, actions=("*",))),
        carl.call("PUT", role_id(house, GANG), role(house.group, actions=("*",))),
        carl.call("DELETE", role_id(house, ROLE)),
        carl.call("DELETE", f"{house.subscription}{ROOT}/roleAssignments/{own.id}"),
    ]
    assert [each.status_code for each in tried] == [403] * 5
    assert [code(each) for each in tried] == ["AuthorizationFailed"] * 5


def test_user_access_administrator_assigns_to_himself(world: House) -> None:
    """As in Azure; within his scope and not beyond."""
    house = world
    uma = Person(house, "uma", (USER_ACCESS_ADMINISTRATOR.id, house.group))
    body = assignment(house, uma.id, OWNER.id)
    beyond = uma.call("PUT", f"{house.subscription}{ROOT}/roleAssignments/{ASSIGNMENT}", body)
    assert beyond.status_code == 403
    assert uma.call("PUT", house.machine("new-1"), {}).status_code == 403
    within = uma.call("PUT", f"{house.group}{ROOT}/roleAssignments/{ASSIGNMENT}", body)
    assert within.status_code == 201
    assert uma.call("PUT", house.machine("new-1"), {}).status_code == 201


def test_the_last_owner_cannot_be_taken(house: House) -> None:
    path = f"{house.subscription}{ROOT}/roleAssignments"
    (own,) = ids(call(house, "GET", path))
    answer = call(house, "DELETE", f"{path}/{own}")
    assert (answer.status_code, code(answer)) == (409, "LastOwner")
    assert ids(call(house, "GET", path)) == [own]
    Person(house, "olga", (OWNER.id, house.subscription))
    assert call(house, "DELETE", f"{path}/{own}").status_code == 200


def test_owners_credentials_that_end_soon(house: House) -> None:
    olga = Person(house, "olga", (OWNER.id, house.subscription))
    rita = Person(house, "rita", (CONTRIBUTOR.id, house.group))
    path = f"{house.subscription}/providers/Bascule.Identity/ownerCredentials"
    (ending,) = call(house, "GET", path).json()["value"]
    assert (ending["principalId"], ending["displayName"]) == (olga.id, "olga")
    assert sorted(ending) == ["displayName", "endDateTime", "keyId", "principalId"]
    assert rita.call("GET", path).json() == {"value": []}


# -- permissions and operations ---------------------------------------------------------------


@pytest.mark.parametrize("word", ["resourcegroups", "resourceGroups"])
def test_permissions_are_what_the_caller_holds_there(world: House, word: str) -> None:
    house = world
    rita = Person(house, "rita", (READER.id, house.machine("web-1")))
    here = f"{house.machine('web-1')}{ROOT}/permissions".replace("resourceGroups", word)
    assert rita.call("GET", here).json() == {
        "value": [
            {"actions": ["*/read"], "notActions": [], "dataActions": [], "notDataActions": []}
        ]
    }
    assert rita.call("GET", f"{house.group}{ROOT}/permissions").json() == {"value": []}
    assert call(house, "GET", f"{house.group}{ROOT}/permissions").json()["value"][0]["actions"] == [
        "*"
    ]
    assert Person(house, "nobody").call("GET", here).status_code == 403


def test_every_action_is_an_operation(house: House) -> None:
    listed = call(house, "GET", f"{ROOT}/providerOperations").json()["value"]
    told = {
        operation["name"]: operation["displayName"]
        for provider in listed
        for operations in [
            provider["operations"],
            *(t["operations"] for t in provider["resourceTypes"]),
        ]
        for operation in operations
    }
    assert told == dict(DISPLAY)
    one = call(house, "GET", f"{ROOT}/providerOperations/microsoft.security").json()
    assert one["name"] == "Microsoft.Security"
    assert "locations/jitNetworkAccessPolicies" in [each["name"] for each in one["resourceTypes"]]
    missing = call(house, "GET", f"{ROOT}/providerOperations/Microsoft.Nothing")
    assert (missing.status_code, code(missing)) == (404, "ProviderNotFound")


def test_another_api_version_does_as_well(house: House) -> None:
    path = f"{house.subscription}{ROOT}/roleDefinitions"
    for version in ("2022-05-01-preview", BASCULE):
        answer = house.client.get(path, params={"api-version": version})
        assert answer.status_code == 200
    assert code(house.client.get(path)) == "MissingApiVersionParameter"
