"""``bascule role`` against the real HTTP face in memory: what it says, and what is so after."""

from __future__ import annotations

import contextlib
import io
import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from bascule.cli.role_check import known_action, unmatched
from bascule.client.roles import FOR_API, FOR_PEOPLE
from bascule.domain.access import PrincipalKind
from bascule.domain.actions import INITIATE, MACHINE_WRITE, POLICY_READ
from bascule.domain.builtin_roles import OWNER, READER
from bascule.domain.principals import (
    Credential,
    CredentialKind,
    Group,
    Membership,
    ServicePrincipal,
    User,
)
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import resource_scope, subscription_scope
from bascule.errors import InvalidInput
from bascule.interfaces.store import Transaction
from bascule.services.rights import rights_of
from tests.unit.cli.conftest import Cli, MemoryHttps
from tests.wire.house import House

ANNA = "01900000-0000-4000-8000-00000000000a"
NIGHT = "01900000-0000-4000-8000-00000000000b"
OPS = "01900000-0000-4000-8000-00000000000c"


class RealServer:
    """The real application, called as the administrator; tokens are given to whoever asks."""

    def __init__(self, house: House) -> None:
        self.house = house

    def __call__(self, request: httpx2.Request) -> httpx2.Response:
        if request.url.path.endswith("/oauth2/v2.0/token"):
            token = {"token_type": "Bearer", "expires_in": 3600}
            body = {**token, "access_token": self.house.service_token()}
            return httpx2.Response(200, json=body)
        path = request.url.raw_path.decode()
        headers = {
            name: value
            for name, value in request.headers.items()
            if name in ("authorization", "content-type")
        }
        with contextlib.redirect_stdout(io.StringIO()):  # the server's log is not the command's
            answer = self.house.client.request(
                request.method, path, content=request.content, headers=headers
            )
        return httpx2.Response(answer.status_code, content=answer.content)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    made = House(tmp_path)
    made.add_machine("web-1")
    made.add_machine("db-1")
    now = made.clock.now()

    def people(tx: Transaction) -> None:
        tx.put_user(User(ANNA, "anna@example.com", "Anna", True, now))
        tx.put_group(Group(NIGHT, "night shift", "", now))
        tx.put_service_principal(ServicePrincipal(OPS, "deployer", True, now))

    made.do(lambda tx, _: people(tx))
    yield made
    made.close()


@pytest.fixture
def desk(cli: Cli, house: House, monkeypatch: pytest.MonkeyPatch) -> Cli:
    server = RealServer(house)
    monkeypatch.setattr(
        "bascule.client.connection.Https",
        lambda *_: MemoryHttps(server),  # type: ignore[arg-type]  # reason: called as the fake is
    )
    profile = json.loads(cli.config.read_text())
    profile["subscription_id"] = house.installation.subscription_id
    cli.config.write_text(json.dumps(profile))
    return cli


def may(house: House, principal_id: str, action: str, machine: str = "") -> bool:
    where = subscription_scope(house.installation.subscription_id)
    if machine:
        found = house.see(lambda reader: reader.machines())
        where = resource_scope(next(each.id for each in found if each.id.name == machine))
    held = house.see(lambda reader: rights_of(reader, principal_id, house.clock.now()))
    return held.may(action, where)


def test_a_requestor_in_one_command(desk: Cli, house: House) -> None:
    """The how-to's Set-JitLeastPrivilegedRole, and whom it is for."""
    told = desk("role", "create-requestor", "--assign", "anna@example.com", "--machine", "web-1")
    assert told.code == 0, told.err
    assert "JIT Access Role created" in told.out
    assert "anna@example.com may request access: web-1" in told.out
    assert may(house, ANNA, INITIATE, "web-1")
    assert may(house, ANNA, POLICY_READ, "web-1")
    assert not may(house, ANNA, INITIATE, "db-1")
    assert not may(house, ANNA, MACHINE_WRITE, "web-1")
    again = desk("role", "create-requestor", "--assign", "anna@example.com", "--machine", "web-1")
    assert again.code == 0, "safe to repeat"
    assert "exists already" in again.out
    assert len(house.events("RoleCreated")) == len(house.events("RoleAssigned")) == 1


def test_the_least_privilege_is_that_of_the_how_to(desk: Cli) -> None:
    """CONTRACT 2.8."""
    made = desk("role", "create-requestor", "-o", "json").json
    assert made["assignment"] is None
    assert made["role"]["permissions"] == [{"actions": list(FOR_PEOPLE), "notActions": []}]
    made = desk("role", "create-requestor", "--for-api-only", "--name", "x", "-o", "json").json
    assert made["role"]["permissions"] == [{"actions": list(FOR_API), "notActions": []}]
    assert {"Microsoft.Security/policies/read", "Microsoft.Network/publicIPAddresses/read"} < set(
        FOR_API
    )


def test_a_requestor_role_that_became_more_is_not_given_away(desk: Cli, house: House) -> None:
    desk("role", "create", "JIT Access Role", "--action", "*")
    refused = desk("role", "create-requestor", "--assign", "anna@example.com")
    assert refused.code == 1
    assert "allows something else" in refused.err
    assert not may(house, ANNA, INITIATE)


def test_a_wrong_name_makes_nothing(desk: Cli, house: House) -> None:
    for words in (("--assign", "nobody"), ("--assign", "deployer", "--machine", "web-9")):
        assert desk("role", "create-requestor", *words).code == 3
    assert desk("role", "create-requestor", "--machine", "web-1").code == 2
    assert house.events("RoleCreated") == []


def test_assign_and_unassign(desk: Cli, house: House) -> None:
    told = desk("role", "assign", "reader", "deployer", "--resource-group", "default")
    assert told.out == "deployer is Reader: resource group default\n"
    assert desk("role", "assign", "Reader", "deployer", "--resource-group", "default").code == 0
    assert may(house, OPS, POLICY_READ, "web-1")
    assert not may(house, OPS, POLICY_READ)
    elsewhere = desk("role", "unassign", "Reader", "deployer", "--yes")
    assert elsewhere.code == 3, "it is not held there"
    unasked = desk("role", "unassign", "Reader", "deployer", "--resource-group", "default")
    assert unasked.code == 2, "nobody is there to ask"
    told = desk("role", "unassign", "Reader", "deployer", "--resource-group", "default", "--yes")
    assert told.out == "deployer loses Reader: resource group default\n"
    assert not may(house, OPS, POLICY_READ, "web-1")


def test_unassign_by_id(desk: Cli, house: House) -> None:
    given = desk("role", "assign", "Reader", ANNA, "--machine", "web-1", "-o", "json").json
    assert given["principalType"] == "User"
    assert desk("role", "unassign", given["id"], "--yes").code == 0
    assert house.see(lambda reader: reader.role_assignment(given["id"])) is None
    assert desk("role", "unassign", "Reader", "--yes").code == 2


def test_the_last_owner_is_not_taken(desk: Cli, house: House) -> None:
    refused = desk("role", "unassign", "Owner", house.administrator, "--yes")
    assert refused.code == 1
    assert "nobody could give rights" in refused.err
    assert "bascule role assign Owner" in refused.err


def test_a_name_of_two_is_refused(desk: Cli, house: House) -> None:
    """A role must not go to the wrong one."""
    now = house.clock.now()
    house.do(
        lambda tx, _: tx.put_service_principal(
            ServicePrincipal(READER.id, "Night Shift", True, now)
        )
    )
    refused = desk("role", "assign", "Owner", "night shift")
    assert refused.code == 2
    assert NIGHT in refused.err
    assert READER.id in refused.err
    assert not may(house, READER.id, MACHINE_WRITE)


def test_lists(desk: Cli) -> None:
    desk("role", "create", "Night", "--action", "*/read", "--description", "looks on")
    desk("role", "assign", "Night", "night shift", "--machine", "web-1")
    heads, *rows = desk("role", "list").out.splitlines()
    assert heads.split() == ["ROLE", "KIND", "DESCRIPTION", "ID"]
    assert [row.split("  ")[0] for row in rows] == [
        "Bascule Access Approver",
        "Bascule Emergency Access",
        "Contributor",
        "Night",
        "Owner",
        "Reader",
        "Security Admin",
        "Security Reader",
        "User Access Administrator",
        "Virtual Machine Contributor",
    ]
    (custom,) = desk("role", "list", "--custom", "-o", "json").json
    assert (custom["name"], custom["builtIn"]) == ("Night", False)
    assert "allows     */read" in desk("role", "show", "night").out
    table = desk("role", "assignments", "--role", "Night").out.splitlines()
    assert table[1].split("  ")[0] == "night shift"
    assert " web-1 " in table[1]
    (found,) = desk("role", "assignments", "--principal", "night shift", "-o", "json").json
    assert found["role"] == "Night"
    assert desk("role", "delete", "Night", "--yes").code == 1, "it is held"
    missing = desk("role", "show", "Nihgt")
    assert missing.code == 3
    assert "Contributor, Night, Owner" in missing.err


def test_create_says_what_matches_nothing(desk: Cli) -> None:
    told = desk("role", "create", "Typo", "--action", "Microsoft.Security/locatoins/*")
    assert told.code == 0
    assert "Microsoft.Security/locatoins/* matches no action" in told.err
    refused = desk("role", "create", "Typo", "--action", "*/read")
    assert refused.code == 1, "that changes all its holders: only when it is said"
    assert "changed" in desk("role", "create", "Typo", "--replace", "--action", "*/read").out
    assert desk("role", "delete", "Typo", "--yes").code == 0
    assert desk("role", "create", "Typo", "--action", "no action").code == 2


def test_check_says_by_which_path(desk: Cli, house: House) -> None:
    house.do(lambda tx, _: tx.put_membership(Membership(NIGHT, ANNA, PrincipalKind.USER)))
    desk("role", "create-requestor", "--assign", "night shift", "--machine", "web-1")
    told = desk("role", "check", "anna@example.com", INITIATE.lower(), "--machine", "web-1")
    assert told.code == 0
    assert told.out.splitlines()[1].split() == ["BY", "ROLE", "AT", "BY", "GROUP"]
    assert told.out.splitlines()[2].split("  ") == ["JIT Access Role", "web-1", "night shift"]
    refused = desk("role", "check", "anna@example.com", INITIATE, "--machine", "db-1")
    assert refused.code == 4
    assert "may not" in refused.err
    assert "JIT Access Role, Security Admin" in refused.err, "the least first"
    given = desk("role", "assign", "Reader", "anna@example.com")
    assert given.out == "anna@example.com is Reader: the whole subscription\n"
    told = desk("role", "check", "anna@example.com", "Microsoft.Compute/virtualMachines/read")
    assert told.out.splitlines()[0].endswith("/read (the whole subscription)")
    assert told.out.splitlines()[2].split() == ["Reader", "the", "whole", "subscription"]
    found = desk("role", "check", ANNA, INITIATE, "--machine", "db-1", "-o", "json")
    assert (found.code, found.json["allowed"]) == (4, False)
    anna = house.see(lambda reader: reader.user(ANNA))
    assert anna is not None
    disabled = User(anna.id, anna.name, anna.display_name, False, anna.created_at)
    house.do(lambda tx, _: tx.put_user(disabled))
    refused = desk("role", "check", ANNA, INITIATE, "--machine", "web-1")
    assert (refused.code, "disabled" in refused.err) == (4, True)


def test_actions_are_known_by_name() -> None:
    assert known_action(INITIATE.upper()) == INITIATE
    with pytest.raises(InvalidInput) as refused:
        known_action("Microsoft.Compute/virtualMachines/wirte")
    assert MACHINE_WRITE in refused.value.advice
    assert unmatched(["*", "*/read", "Microsoft.Sql/*"]) == ["Microsoft.Sql/*"]


def test_status_tells_of_an_owners_credential_that_ends(desk: Cli, house: House) -> None:
    """EDGES B10."""
    assert "OWNER'S CREDENTIAL" not in desk("status").out
    now = house.clock.now()
    ends = now + timedelta(days=3)
    whole = subscription_scope(house.installation.subscription_id)

    def owner(tx: Transaction) -> None:
        tx.put_credential(Credential(NIGHT, OPS, CredentialKind.SECRET, "5e" * 32, "", now, ends))
        tx.add_role_assignment(
            RoleAssignment(NIGHT, whole, OWNER.id, OPS, PrincipalKind.SERVICE, "", now, "")
        )

    house.do(lambda tx, _: owner(tx))
    table = desk("status").out
    assert "OWNER'S CREDENTIAL ENDS" in table
    assert "deployer" in table
    (ending,) = desk("status", "-o", "json").json["ownerCredentialsEnding"]
    assert (ending["principal"], ending["keyId"]) == ("deployer", NIGHT)
