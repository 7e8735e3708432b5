"""Bascule.Identity and the Graph: who may change whom, and what is never shown (EDGES B3-B5, B10)."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from starlette.testclient import TestClient

from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import (
    CONTRIBUTOR,
    OWNER,
    READER,
    SECURITY_ADMIN,
    USER_ACCESS_ADMINISTRATOR,
)
from bascule.domain.principals import Credential, CredentialKind
from bascule.domain.roles import RoleAssignment, RoleDefinition
from bascule.domain.scopes import Scope
from bascule.domain.times import format_utc
from bascule.identity.secrets import sha256_hex
from bascule.identity.token_request import ASSERTION_TYPE
from tests.wire.house import BASCULE, BASE, JIT, House, port_rule

IDENTITY = "/providers/Bascule.Identity"
USERS, GROUPS, SERVICES = f"{IDENTITY}/users", f"{IDENTITY}/groups", f"{IDENTITY}/servicePrincipals"
NOBODY = "11111111-2222-3333-4444-555555555555"


class Directory:
    """A house with people in it."""

    def __init__(self, house: House) -> None:
        self.house = house

    def ask(self, method: str, path: str, body: Any = None, *, by: Any = None, **more: Any) -> Any:
        """Call as ``by``, else as the administrator; ``path`` is below the subscription."""
        client: TestClient = by or self.house.client
        if body is not None:
            more["json"] = {"properties": body}
        params = {"api-version": BASCULE, **more.pop("params", {})}
        return client.request(method, self.house.subscription + path, params=params, **more)

    def user(self, name: str, *roles: RoleDefinition, scope: str = "") -> str:
        answer = self.ask("POST", USERS, {"userPrincipalName": name})
        assert answer.status_code == 201, answer.text
        return self._assign(str(answer.json()["name"]), PrincipalKind.USER, roles, scope)

    def group(self, name: str, *roles: RoleDefinition, scope: str = "") -> str:
        answer = self.ask("POST", GROUPS, {"displayName": name})
        assert answer.status_code == 201, answer.text
        return self._assign(str(answer.json()["name"]), PrincipalKind.GROUP, roles, scope)

    def service(self, name: str, *roles: RoleDefinition, scope: str = "") -> tuple[str, str]:
        """Its id and its secret."""
        answer = self.ask("POST", SERVICES, {"displayName": name})
        assert answer.status_code == 201, answer.text
        made = answer.json()
        found = self._assign(str(made["name"]), PrincipalKind.SERVICE, roles, scope)
        return found, str(made["properties"]["newCredential"]["secret"])

    def put_in(self, group: str, member: str, by: Any = None) -> Any:
        return self.ask("PUT", f"{GROUPS}/{group}/members/{member}", by=by)

    def _assign(
        self,
        principal_id: str,
        kind: PrincipalKind,
        roles: tuple[RoleDefinition, ...],
        scope: str,
    ) -> str:
        where = Scope.parse(scope or self.house.subscription)
        for role in roles:
            assignment = RoleAssignment(
                str(uuid.uuid4()), where, role.id, principal_id, kind, "", self.house.clock.wall, ""
            )
            self.house.do(lambda tx, _, each=assignment: tx.add_role_assignment(each))
        return principal_id

    def as_user(self, user_id: str, epoch: int = 0) -> TestClient:
        token = self.house.token(user_id, PrincipalKind.USER, f"{user_id}/{epoch}")
        return self.house.client_of(token)

    def as_service(self, principal_id: str, secret: str) -> TestClient:
        proof = sha256_hex(secret)
        return self.house.client_of(self.house.token(principal_id, PrincipalKind.SERVICE, proof))

    def open_port(self, by: TestClient) -> str:
        """Have somebody open web-1; the access request's path below the subscription."""
        body = {
            "virtualMachines": [
                {
                    "id": self.house.machine("web-1"),
                    "ports": [{"number": 22, "duration": "PT1H"}],
                }
            ]
        }
        path = f"{self.house.policy()}/initiate"
        answer = by.post(path, params={"api-version": JIT}, json=body)
        assert answer.status_code == 202, answer.text
        return str(answer.json()["bascule"]["resourceId"]).removeprefix(self.house.subscription)

    def status_of(self, request: str) -> str:
        answer = self.ask("GET", request)
        assert answer.status_code == 200, answer.text
        (machine,) = answer.json()["properties"]["virtualMachines"]
        return str(machine["ports"][0]["status"])


@pytest.fixture
def people(house: House) -> Directory:
    house.add_machine("web-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    answer = house.call("PUT", house.policy(), {"properties": {"virtualMachines": rules}}, JIT)
    assert answer.status_code == 200, answer.text
    return Directory(house)


def code_of(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


# -- users ------------------------------------------------------------------------------


def test_a_users_life(people: Directory) -> None:
    body = {"userPrincipalName": "anna@example.com", "displayName": "Anna A."}
    made = people.ask("POST", USERS, body)
    assert made.status_code == 201
    anna = made.json()
    assert anna["type"] == "Bascule.Identity/users"
    assert anna["id"] == f"{people.house.subscription}{USERS}/{anna['name']}"
    assert anna["properties"] == {
        "userPrincipalName": "anna@example.com",
        "displayName": "Anna A.",
        "accountEnabled": True,
        "createdAt": format_utc(people.house.clock.wall),
        "liveGrants": 0,
    }
    path = f"{USERS}/{anna['name']}"
    renamed = people.ask("PATCH", path, {"displayName": "Anna B."}).json()
    assert renamed["properties"]["displayName"] == "Anna B."
    assert people.ask("GET", path).json() == renamed
    assert people.ask("PATCH", path, {"accountEnabled": False}).status_code == 200
    assert people.ask("PATCH", path, {"accountEnabled": True}).status_code == 200
    assert people.ask("DELETE", path).status_code == 200
    assert people.ask("DELETE", path).status_code == 204
    assert code_of(people.ask("GET", path)) == (404, "UserNotFound")
    assert people.house.events(
        "UserCreated", "UserChanged", "UserDisabled", "UserEnabled", "UserDeleted"
    ) == ["UserDeleted", "UserEnabled", "UserDisabled", "UserChanged", "UserCreated"]


def test_a_name_is_one_users_whatever_its_case(people: Directory) -> None:
    people.user("anna")
    bert = people.user("bert")
    assert code_of(people.ask("POST", USERS, {"userPrincipalName": "ANNA"})) == (
        409,
        "UserNameTaken",
    )
    answer = people.ask("PATCH", f"{USERS}/{bert}", {"userPrincipalName": "Anna"})
    assert code_of(answer) == (409, "UserNameTaken")
    answer = people.ask("PATCH", f"{USERS}/{bert}", {"userPrincipalName": "Bert"})
    assert answer.json()["properties"]["userPrincipalName"] == "Bert"


@pytest.mark.parametrize("name", ["", "an na", "anna\u202e", "me", NOBODY])
def test_what_is_no_name_makes_no_user(people: Directory, name: str) -> None:
    answer = people.ask("POST", USERS, {"userPrincipalName": name})
    assert code_of(answer) == (400, "InvalidUserName")
    assert answer.json()["error"]["target"] == "properties.userPrincipalName"


def test_lists_filter_and_page(people: Directory) -> None:
    for name in ("anna", "Anton", "bert"):
        people.user(name)
        people.group(f"{name}s")
        people.service(f"{name}-ci")

    def listed(path: str, field: str, **params: str) -> list[str]:
        answer = people.ask("GET", path, params=params)
        assert answer.status_code == 200, answer.text
        return [each["properties"][field] for each in answer.json()["value"]]

    upn = "userPrincipalName"
    assert listed(USERS, upn) == ["anna", "Anton", "bert"]
    assert listed(USERS, upn, **{"$filter": "name eq 'ANNA'"}) == ["anna"]
    assert listed(USERS, upn, **{"$filter": "startswith(name,'an')"}) == ["anna", "Anton"]
    assert listed(USERS, upn, **{"$filter": "startswith(name,'an') and name eq 'bert'"}) == []
    assert listed(GROUPS, "displayName", **{"$filter": "startswith(name, 'B')"}) == ["berts"]
    assert listed(SERVICES, "displayName", **{"$filter": "name eq 'bert-ci'"}) == ["bert-ci"]
    assert len(listed(SERVICES, "displayName")) == 4  # with the administrator
    first = people.ask("GET", USERS, params={"$top": "2"}).json()
    rest = people.house.client.get(first["nextLink"]).json()
    assert [each["properties"][upn] for each in rest["value"]] == ["bert"]
    bad = people.ask("GET", USERS, params={"$filter": "mail eq 'x'"})
    assert code_of(bad) == (400, "InvalidFilter")


# -- losing the right ends the grant (EDGES B3) -----------------------------------------


@pytest.mark.parametrize("act", ["disable", "delete"])
@pytest.mark.parametrize("kind", ["user", "service"])
def test_who_is_gone_has_nothing_open(people: Directory, act: str, kind: str) -> None:
    """In the same commit, and tokens are void at once."""
    if kind == "user":
        who = people.user("anna", CONTRIBUTOR)
        client, path = people.as_user(who), f"{USERS}/{who}"
    else:
        who, secret = people.service("ci", CONTRIBUTOR)
        client, path = people.as_service(who, secret), f"{SERVICES}/{who}"
    request = people.open_port(client)
    assert people.ask("GET", path).json()["properties"]["liveGrants"] == 1
    if act == "disable":
        assert people.ask("PATCH", path, {"accountEnabled": False}).status_code == 200
    else:
        assert people.ask("DELETE", path).status_code == 200
    assert people.status_of(request) == "Revoked"
    assert client.get(people.house.policy(), params={"api-version": JIT}).status_code == 401


def test_enabling_brings_no_old_token_back(people: Directory) -> None:
    anna = people.user("anna", READER)
    client = people.as_user(anna)
    for is_enabled in (False, True):
        people.ask("PATCH", f"{USERS}/{anna}", {"accountEnabled": is_enabled})
    assert people.ask("GET", f"{IDENTITY}/me", by=client).status_code == 401
    assert people.ask("GET", f"{IDENTITY}/me", by=people.as_user(anna, 1)).status_code == 200


@pytest.mark.parametrize("act", ["remove", "deleteGroup"])
def test_what_came_by_a_group_goes_with_it(people: Directory, act: str) -> None:
    """Another who is in the group only by the way keeps what is his own."""
    group = people.group("operators", CONTRIBUTOR)
    anna, bert = people.user("anna"), people.user("bert", CONTRIBUTOR)
    for member in (anna, bert):
        assert people.put_in(group, member).status_code == 201
    hers, his = (people.open_port(people.as_user(each)) for each in (anna, bert))
    if act == "remove":
        for member in (anna, bert):
            path = f"{GROUPS}/{group}/members/{member}"
            assert people.ask("DELETE", path).status_code == 200
            assert people.ask("DELETE", path).status_code == 204
    else:
        assert people.ask("DELETE", f"{GROUPS}/{group}").status_code == 200
    assert people.status_of(hers) == "Revoked"
    assert people.status_of(his) == "Initiating"


# -- nobody changes who holds more (EDGES B4) -------------------------------------------


@pytest.fixture
def helpdesk(people: Directory) -> TestClient:
    """May write principals; is no Contributor, and no Owner."""
    return people.as_user(people.user("helpdesk", USER_ACCESS_ADMINISTRATOR))


def test_who_holds_more_is_changed_in_no_way(people: Directory, helpdesk: TestClient) -> None:
    owner = people.user("owner", OWNER)
    robot, _ = people.service("robot", CONTRIBUTOR)
    admins = people.group("admins", OWNER)
    people.put_in(admins, owner)
    (kept,) = people.ask("GET", f"{SERVICES}/{robot}/credentials").json()["value"]
    acts = [
        ("PATCH", f"{USERS}/{owner}", {"displayName": "x"}),
        ("PATCH", f"{USERS}/{owner}", {"accountEnabled": False}),
        ("DELETE", f"{USERS}/{owner}", None),
        ("PATCH", f"{SERVICES}/{robot}", {"displayName": "x"}),
        ("PATCH", f"{SERVICES}/{robot}", {"accountEnabled": False}),
        ("DELETE", f"{SERVICES}/{robot}", None),
        ("POST", f"{SERVICES}/{robot}/credentials", {}),
        ("DELETE", f"{SERVICES}/{robot}/credentials/{kept['name']}", None),
        ("PATCH", f"{GROUPS}/{admins}", {"displayName": "x"}),
        ("DELETE", f"{GROUPS}/{admins}", None),
        ("PUT", f"{GROUPS}/{admins}/members/{robot}", None),
        ("DELETE", f"{GROUPS}/{admins}/members/{owner}", None),
    ]
    before = people.house.see(lambda reader: [reader.users(), reader.groups()])
    for method, path, body in acts:
        answer = people.ask(method, path, body, by=helpdesk)
        assert code_of(answer) == (403, "AuthorizationFailed"), (method, path)
        assert "rights that you do not hold" in answer.json()["error"]["message"]
        assert "secret" not in answer.text
    assert people.house.see(lambda reader: [reader.users(), reader.groups()]) == before
    assert len(people.ask("GET", f"{SERVICES}/{robot}/credentials").json()["value"]) == 1
    # The administrator, who is Owner, does all of it; the owner is asked for last.
    for method, path, body in acts[2:6]:
        assert people.ask(method, path, body).status_code == 200, (method, path)


def test_who_is_disabled_still_holds_what_he_holds(people: Directory, helpdesk: TestClient) -> None:
    """Else one would make a credential for him first, and wait until he is enabled."""
    robot, _ = people.service("robot", OWNER)
    people.ask("PATCH", f"{SERVICES}/{robot}", {"accountEnabled": False})
    answer = people.ask("POST", f"{SERVICES}/{robot}/credentials", {}, by=helpdesk)
    assert code_of(answer) == (403, "AuthorizationFailed")
    answer = people.ask("PATCH", f"{SERVICES}/{robot}", {"accountEnabled": True}, by=helpdesk)
    assert code_of(answer) == (403, "AuthorizationFailed")


def test_what_comes_by_a_group_counts(people: Directory, helpdesk: TestClient) -> None:
    group = people.group("operators", SECURITY_ADMIN)
    anna = people.user("anna")
    path = f"{USERS}/{anna}"
    assert people.ask("PATCH", path, {"displayName": "A"}, by=helpdesk).status_code == 200
    assert people.put_in(group, anna, by=helpdesk).status_code == 403
    assert people.put_in(group, anna).status_code == 201
    assert people.ask("PATCH", path, {"displayName": "B"}, by=helpdesk).status_code == 403


def test_who_holds_no_more_is_changed(people: Directory, helpdesk: TestClient) -> None:
    reader = people.user("reader", READER)
    readers = people.group("readers", READER)
    assert people.put_in(readers, reader, by=helpdesk).status_code == 201
    path = f"{USERS}/{reader}"
    assert people.ask("PATCH", path, {"accountEnabled": False}, by=helpdesk).status_code == 200
    assert people.ask("DELETE", path, by=helpdesk).status_code == 200


def test_the_right_to_change_is_asked_for_too(people: Directory) -> None:
    """Contributor holds all that a reader holds, and may not write principals."""
    contributor = people.as_user(people.user("contributor", CONTRIBUTOR))
    reader = people.user("reader", READER)
    for method, path, body in [
        ("POST", USERS, {"userPrincipalName": "new"}),
        ("PATCH", f"{USERS}/{reader}", {"displayName": "x"}),
        ("DELETE", f"{USERS}/{reader}", None),
        ("POST", GROUPS, {"displayName": "new"}),
        ("POST", SERVICES, {"displayName": "new"}),
    ]:
        assert people.ask(method, path, body, by=contributor).status_code == 403, (method, path)
    assert people.ask("GET", USERS, by=contributor).status_code == 200
    nobody = people.as_user(people.user("nobody"))
    for path in (USERS, GROUPS, SERVICES, f"{USERS}/{reader}"):
        assert people.ask("GET", path, by=nobody).status_code == 403


# -- the last owner (EDGES B10) ---------------------------------------------------------


def test_the_last_owner_stays(people: Directory) -> None:
    path = f"{SERVICES}/{people.house.administrator}"
    (kept,) = people.ask("GET", f"{path}/credentials").json()["value"]
    for method, below, body in [
        ("PATCH", "", {"accountEnabled": False}),
        ("DELETE", "", None),
        ("DELETE", f"/credentials/{kept['name']}", None),
    ]:
        assert code_of(people.ask(method, path + below, body)) == (409, "LastOwner")
    people.service("second", OWNER)
    assert people.ask("DELETE", f"{path}/credentials/{kept['name']}").status_code == 200
    assert people.ask("GET", path).status_code == 401


def test_who_is_no_owner_may_go_though_all_owners_lapsed(people: Directory) -> None:
    """What takes no owner away is not refused for want of one."""
    helper = people.as_user(people.user("helper", USER_ACCESS_ADMINISTRATOR))
    anna = people.user("anna")
    (kept,) = people.house.see(lambda r: r.credentials_of(people.house.administrator))
    people.house.do(lambda tx, _: tx.delete_credential(kept.key_id))
    assert people.ask("DELETE", f"{USERS}/{anna}", by=helper).status_code == 200


# -- service principals -----------------------------------------------------------------


def test_a_secret_is_shown_once(people: Directory) -> None:
    robot, secret = people.service("robot")
    second = people.ask("POST", f"{SERVICES}/{robot}/credentials", {"displayName": "new host"})
    assert second.status_code == 201
    properties = second.json()["properties"]
    assert (properties["kind"], properties["displayName"]) == ("secret", "new host")
    hidden = (secret, properties["secret"], sha256_hex(secret))
    for path in (
        SERVICES,
        f"{SERVICES}/{robot}",
        f"{SERVICES}/{robot}/credentials",
        f"{SERVICES}/{robot}/credentials/{properties['keyId']}",
        "/providers/Bascule.Audit/events",
    ):
        answer = people.ask("GET", path)
        assert answer.status_code == 200
        assert not any(each in answer.text for each in hidden), path
    assert people.house.events("CredentialAdded") == ["CredentialAdded"] * 2


def test_rotating_leaves_no_gap(people: Directory) -> None:
    robot, old = people.service("robot", READER)
    client = people.as_service(robot, old)
    path = f"{SERVICES}/{robot}/credentials"
    (first,) = people.ask("GET", path).json()["value"]
    new = people.ask("POST", path, {}).json()["properties"]["secret"]
    assert people.ask("GET", f"{IDENTITY}/me", by=client).status_code == 200
    assert people.ask("DELETE", f"{path}/{first['name']}").status_code == 200
    assert people.ask("DELETE", f"{path}/{first['name']}").status_code == 204
    assert people.ask("GET", f"{IDENTITY}/me", by=client).status_code == 401
    fresh = people.as_service(robot, new)
    assert people.ask("GET", f"{IDENTITY}/me", by=fresh).status_code == 200


def test_credentials_end(people: Directory) -> None:
    robot, _ = people.service("robot")
    path, now = f"{SERVICES}/{robot}/credentials", people.house.clock.wall
    (usual,) = people.ask("GET", path).json()["value"]
    assert usual["properties"]["expiresAt"] == format_utc(now + timedelta(days=365))
    two_years = now + timedelta(days=730)
    longest = people.ask("POST", path, {"expiresAt": format_utc(two_years)})
    assert longest.json()["properties"]["expiresAt"] == format_utc(two_years)
    for wrong in (now, now - timedelta(days=1), two_years + timedelta(seconds=1)):
        answer = people.ask("POST", path, {"expiresAt": format_utc(wrong)})
        assert code_of(answer) == (400, "InvalidExpiry")


def test_one_principals_credential_is_not_reached_by_another(people: Directory) -> None:
    robot, _ = people.service("robot")
    other, _ = people.service("other")
    (kept,) = people.ask("GET", f"{SERVICES}/{robot}/credentials").json()["value"]
    crossed = f"{SERVICES}/{other}/credentials/{kept['name']}"
    assert people.ask("GET", crossed).status_code == 404
    assert people.ask("DELETE", crossed).status_code == 204
    assert len(people.ask("GET", f"{SERVICES}/{robot}/credentials").json()["value"]) == 1


def test_credentials_are_bounded(people: Directory) -> None:
    robot, _ = people.service("robot")
    path = f"{SERVICES}/{robot}/credentials"
    for _ in range(19):
        assert people.ask("POST", path, {}).status_code == 201
    assert code_of(people.ask("POST", path, {})) == (409, "TooManyCredentials")


def test_the_administrators_name_is_its_own(people: Directory) -> None:
    """``admin recover`` finds it by that: no other takes it, and it does not lose it."""
    robot, _ = people.service("robot")
    for answer in (
        people.ask("POST", SERVICES, {"displayName": "Administrator"}),
        people.ask("PATCH", f"{SERVICES}/{robot}", {"displayName": "administrator"}),
    ):
        assert code_of(answer) == (400, "NameReserved")
    own = f"{SERVICES}/{people.house.administrator}"
    assert code_of(people.ask("PATCH", own, {"displayName": "x"})) == (409, "NameReserved")


def certificate(house: House, key: Any, *, begins: float = -1, days: float = 30) -> str:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "robot")])
    now = house.clock.wall
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now + timedelta(days=begins))
        .not_valid_after(now + timedelta(days=days))
    )
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()


def test_certificates(people: Directory) -> None:
    house, key = people.house, ec.generate_private_key(ec.SECP256R1())
    pem = certificate(house, key)
    made = people.ask(
        "POST", SERVICES, {"displayName": "robot", "credential": {"certificate": f"x\n{pem}"}}
    )
    assert made.status_code == 201, made.text
    shown = made.json()["properties"]["newCredential"]
    assert shown["kind"] == "certificate"
    assert "secret" not in shown
    assert shown["expiresAt"] == format_utc(house.clock.wall + timedelta(days=30))
    assert len(shown["fingerprint"]) == 64
    path = f"{SERVICES}/{made.json()['name']}/credentials"
    later = format_utc(house.clock.wall + timedelta(days=31))
    answer = people.ask("POST", path, {"certificate": pem, "expiresAt": later})
    assert code_of(answer) == (400, "InvalidExpiry")
    rsa_key = rsa.generate_private_key(65537, 2048)
    pem = certificate(house, rsa_key)
    assert people.ask("POST", path, {"certificate": pem}).status_code == 201
    private = rsa_key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    wrong = [
        certificate(house, ec.generate_private_key(ec.SECP384R1())),
        certificate(house, rsa.generate_private_key(65537, 1024)),  # noqa: S505  # reason: it is refused
        certificate(house, rsa_key, days=0),
        certificate(house, rsa_key, begins=1),
        pem + pem,
        pem + private,
        private,
        "nonsense",
        pem[:-200],
        pem + "x" * 20_000,
    ]
    for text in wrong:
        answer = people.ask("POST", path, {"certificate": text})
        assert code_of(answer) == (400, "InvalidCertificate"), text[:60]
    for body in ({"kind": "certificate"}, {"kind": "secret", "certificate": pem}, {"kind": "x"}):
        assert code_of(people.ask("POST", path, body)) == (400, "InvalidCredential")


@pytest.mark.parametrize("kind", ["RS256", "ES256"])
def test_an_uploaded_certificate_signs_in(people: Directory, kind: str) -> None:
    """Its key alone does; another key of the same kind under its name does not."""
    house = people.house

    def new_key() -> Any:
        if kind == "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        return rsa.generate_private_key(65537, 2048)

    key = new_key()
    body = {"displayName": "robot", "credential": {"certificate": certificate(house, key)}}
    robot = people.ask("POST", SERVICES, body).json()["name"]

    def ask(signer: Any) -> int:
        pem = signer.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        signing = (ECKey if kind == "ES256" else RSAKey).import_key(pem)
        now = int(house.clock.wall.timestamp())
        endpoint = f"{BASE}/{house.installation.tenant_id}/oauth2/v2.0/token"
        claims = {"iss": robot, "sub": robot, "aud": endpoint, "iat": now, "exp": now + 600}
        assertion = jwt.encode(
            {"alg": kind}, {**claims, "jti": str(uuid.uuid4())}, signing, algorithms=[kind]
        )
        form = {
            "grant_type": "client_credentials",
            "client_id": robot,
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": assertion,
            "scope": f"{BASE}/.default",
        }
        return int(house.client_of(None).post(endpoint, data=form).status_code)

    assert ask(key) == 200
    assert ask(new_key()) == 401


# -- groups -----------------------------------------------------------------------------


def test_a_groups_life(people: Directory) -> None:
    group, anna = people.group("Admins"), people.user("anna")
    path = f"{GROUPS}/{group}"
    assert code_of(people.ask("POST", GROUPS, {"displayName": "ADMINS"})) == (409, "GroupNameTaken")
    renamed = people.ask("PATCH", path, {"displayName": "Operators", "description": "On call"})
    assert renamed.json()["properties"]["description"] == "On call"
    assert people.put_in(group, anna.upper()).status_code == 201
    assert people.put_in(group, anna).status_code == 200
    (member,) = people.ask("GET", f"{path}/members").json()["value"]
    assert member["properties"] == {
        "principalId": anna,
        "principalType": "User",
        "displayName": "anna",
        "providerId": None,
        "providerName": None,
        "expiresAt": None,
    }
    until = {"expiresAt": "2099-01-31T17:00:00Z"}
    limited = people.ask("PUT", f"{path}/members/{anna}", until)
    assert limited.status_code == 200
    assert limited.json()["properties"]["expiresAt"] == "2099-01-31T17:00:00.0000000Z"
    for silent in list[Any]((None, {})):
        kept = people.ask("PUT", f"{path}/members/{anna}", silent)
        assert kept.json() == limited.json()
    passed = {"expiresAt": "2000-01-31T17:00:00Z"}
    assert code_of(people.ask("PUT", f"{path}/members/{anna}", passed)) == (400, "EndTimePassed")
    for bad in ("tomorrow", 7):
        wrong = {"expiresAt": bad}
        assert people.ask("PUT", f"{path}/members/{anna}", wrong).status_code == 400
    lasting = people.ask("PUT", f"{path}/members/{anna}", {"expiresAt": None})
    assert lasting.json()["properties"]["expiresAt"] is None
    assert code_of(people.put_in(group, NOBODY)) == (404, "PrincipalNotFound")
    assert code_of(people.put_in(group, group)) == (400, "GroupsNotNested")
    assert people.ask("DELETE", path).status_code == 200
    assert people.ask("DELETE", path).status_code == 204
    named = ("GroupChanged", "MemberAdded", "MembershipChanged", "GroupDeleted")
    assert people.house.events(*named) == [
        "GroupDeleted",
        "MembershipChanged",
        "MembershipChanged",
        "MemberAdded",
        "GroupChanged",
    ]
    assert people.ask("GET", f"{USERS}/{anna}").status_code == 200


# -- me ---------------------------------------------------------------------------------


def test_me(people: Directory) -> None:
    anna = people.user("anna", READER)
    group = people.group("operators", CONTRIBUTOR, scope=people.house.group)
    people.put_in(group, anna)
    answer = people.ask("GET", f"{IDENTITY}/me", by=people.as_user(anna))
    me = answer.json()["properties"]
    assert (me["principalId"], me["principalType"], me["principalName"]) == (anna, "User", "anna")
    assert me["groups"] == [
        {"id": group, "displayName": "operators", "expiresAt": None, "byProvider": False}
    ]
    assert [(each["roleName"], each["byGroup"]) for each in me["roleAssignments"]] == [
        ("Reader", None),
        ("Contributor", "operators"),
    ]
    nobody = people.ask("GET", f"{IDENTITY}/me", by=people.as_user(people.user("nobody")))
    assert nobody.json()["properties"]["roleAssignments"] == []
    own = people.ask("GET", f"{IDENTITY}/me").json()["properties"]
    assert (own["principalType"], own["principalName"]) == ("ServicePrincipal", "administrator")


# -- the Graph --------------------------------------------------------------------------


def graph_client(people: Directory, principal_id: str, proof: str) -> TestClient:
    from bascule.identity.authenticate import name_of_proof

    house = people.house
    token = house.state.tokens.issue(
        principal_id,
        PrincipalKind.USER,
        name_of_proof(proof),
        house.installation.tenant_id,
        house.state.realm.issuer(BASE),
        f"{BASE}/graph/",
        str(uuid.uuid4()),
        house.clock.now(),
    )
    return house.client_of(token)


def test_a_graph_token_reaches_the_graph_and_nothing_else(people: Directory) -> None:
    """EDGES B5: every route of the house is tried."""
    from tests.wire.test_principals import routes_of

    anna = people.user("anna", OWNER)
    client = graph_client(people, anna, f"{anna}/0")
    assert client.get("/graph/v1.0/me").json()["userPrincipalName"] == "anna"
    tried = 0
    for route in routes_of(people.house):
        if not route.path.startswith("/subscriptions"):
            continue
        for method in route.methods:
            tried += 1
            path = re.sub(r"\{[^}]*\}", NOBODY, route.path)
            answer = client.request(method, path, params={"api-version": BASCULE})
            assert answer.status_code == 401, (method, path)
    assert tried > 20


def test_what_az_asks_the_graph(people: Directory) -> None:
    anna, group = people.user("anna@example.com"), people.group("Admins")
    robot, _ = people.service("robot")
    reader = people.as_user(people.user("reader", READER))
    body = {"ids": [group, NOBODY, anna, robot], "types": ["user", "group", "servicePrincipal"]}
    found = reader.post("/graph/v1.0/directoryObjects/getByIds", json=body).json()["value"]
    assert [(each["@odata.type"].rpartition(".")[2], each["id"]) for each in found] == [
        ("group", group),
        ("user", anna),
        ("servicePrincipal", robot),
    ]

    def ids(path: str, filter_text: str = "") -> list[str]:
        answer = reader.get(f"/graph/v1.0/{path}", params={"$filter": filter_text})
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["value"]]

    any_name = f"servicePrincipalNames/any(c:c eq '{robot}')"
    assert ids("servicePrincipals", any_name) == [robot]
    assert ids("servicePrincipals", any_name.replace(robot, NOBODY)) == []
    assert ids("servicePrincipals", "displayName eq 'Robot'") == [robot]
    assert ids("users", "userPrincipalName eq 'ANNA@example.com'") == [anna]
    assert ids("users", "startswith(displayName,'anna')") == [anna]
    assert ids("groups", "displayName eq 'admins'") == [group]
    assert reader.get("/graph/v1.0/users/anna@example.com").json()["id"] == anna
    assert reader.get(f"/graph/v1.0/users/{anna}").json()["id"] == anna
    assert reader.get("/graph/v1.0/users/nobody").status_code == 404
    assert reader.get(f"/graph/v1.0/servicePrincipals/{robot}").json()["appId"] == robot
    assert reader.get(f"/graph/v1.0/groups/{group.upper()}").json()["displayName"] == "Admins"
    for path in (f"groups/{robot}", f"servicePrincipals/{group}", f"servicePrincipals/{NOBODY}"):
        assert reader.get(f"/graph/v1.0/{path}").status_code == 404, path


def test_the_graph_tells_nobody_of_others(people: Directory) -> None:
    anna, nobody = people.user("anna"), people.user("nobody")
    client = people.as_user(nobody)
    ids = {"ids": [anna, nobody, people.house.administrator]}
    found = client.post("/graph/v1.0/directoryObjects/getByIds", json=ids).json()["value"]
    assert [each["id"] for each in found] == [nobody]
    users = client.get("/graph/v1.0/users").json()["value"]
    assert [each["id"] for each in users] == [nobody]
    assert client.get("/graph/v1.0/servicePrincipals").json()["value"] == []
    assert client.get(f"/graph/v1.0/users/{anna}").status_code == 404
    hidden = (("servicePrincipals", people.house.administrator), ("groups", people.group("Admins")))
    for kind, principal_id in hidden:
        assert client.get(f"/graph/v1.0/{kind}/{principal_id}").status_code == 404, kind
    assert client.get("/graph/v1.0/me").json()["id"] == nobody


def test_access_ends_with_the_secret_by_which_it_was_asked_for(people: Directory) -> None:
    """The token says which secret it came of (EDGES J9)."""
    house = people.house
    robot, secret = people.service("robot", SECURITY_ADMIN)
    end = house.clock.wall + timedelta(minutes=20)
    short = Credential(
        NOBODY, robot, CredentialKind.SECRET, sha256_hex("short"), "", house.clock.wall, end
    )
    house.do(lambda tx, _: tx.put_credential(short))
    for by, is_cut in ((secret, False), ("short", True)):
        path = people.open_port(people.as_service(robot, by))
        (port,) = people.ask("GET", path).json()["properties"]["virtualMachines"][0]["ports"]
        assert (port["endTimeUtc"] == format_utc(end)) is is_cut
        assert port["bascule"].get("endsWithCredential") == (NOBODY if is_cut else None)
