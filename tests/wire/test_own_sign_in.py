"""Routes of how people sign in: one's own by a fresh proof, others' by an administrator."""

from __future__ import annotations

import asyncio
import json
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pyotp
import pytest
from starlette.testclient import TestClient

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import USER_READ, USER_WRITE
from bascule.domain.builtin_roles import OWNER
from bascule.domain.principals import User
from bascule.domain.roles import Permission, RoleAssignment, RoleDefinition
from bascule.domain.scopes import subscription_scope
from bascule.domain.sign_in import FactorKind
from bascule.domain.times import format_utc
from bascule.interfaces.record import EventFilter
from bascule.services import own_sign_in
from bascule.services.sign_in import PasswordAccepted, SignInRefused, Visit
from tests.support.authenticator import Authenticator
from tests.wire.house import BASCULE, House

PASSWORD, NEXT = "four words of mine", "four other words here"
PROVEN = {"password": PASSWORD}
ME = "/providers/Bascule.Identity/me"


class Person:
    """A user with a password, and what he calls with."""

    def __init__(self, house: House, name: str) -> None:
        self.house, self.name = house, name
        self.id = str(uuid.uuid4())
        user = User(self.id, name, name, True, house.clock.now())
        house.do(lambda tx, _: tx.put_user(user))
        answer = house.call("PUT", f"{users(self.id)}/password", {"password": PASSWORD})
        assert answer.status_code == 204, answer.text
        self.client = self.signed_in()

    def signed_in(self) -> TestClient:
        user = self.house.see(lambda reader: reader.user(self.id))
        assert user is not None
        token = self.house.token(user.id, PrincipalKind.USER, f"{user.id}/{user.epoch}")
        return self.house.client_of(token)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        more = {} if body is None else {"json": body}
        path = self.house.subscription + path
        return self.client.request(method, path, params={"api-version": BASCULE}, **more)

    def post(self, path: str, **body: Any) -> Any:
        return self.call("POST", f"{ME}/{path}", body)

    def begin(self, password: str = PASSWORD) -> PasswordAccepted | SignInRefused:
        visit = Visit("203.0.113.5")
        return asyncio.run(self.house.state.sign_in.begin(self.name, password, visit))

    def code(self, secret: str) -> str:
        return pyotp.TOTP(secret).at(int(self.house.clock.wall.timestamp()))

    def enrol_totp(self) -> str:
        secret = str(self.post("totp", proof=PROVEN).json()["secret"])
        assert self.post("totp/confirm", code=self.code(secret)).status_code == 204
        self.house.clock.pass_time(60)
        return secret

    def enrol_passkey(self, name: str = "blue key") -> Authenticator:
        device = Authenticator()
        begun = self.post("passkeys/begin", proof=PROVEN).json()
        answer = self.post(
            "passkeys",
            ticket=begun["ticket"],
            credential=device.create(begun["options"]),
            name=name,
        )
        assert answer.status_code == 201, answer.text
        return device


def users(user_id: str) -> str:
    return f"/providers/Bascule.Identity/users/{user_id}"


def code_of(answer: Any) -> str:
    return str(answer.json()["error"]["code"])


def give(house: House, principal_id: str, role: RoleDefinition, kind: PrincipalKind) -> None:
    scope = subscription_scope(house.installation.subscription_id)
    made = RoleAssignment(
        str(uuid.uuid4()), scope, role.id, principal_id, kind, "", house.clock.now(), ""
    )
    house.do(lambda tx, _: tx.add_role_assignment(made))


@pytest.fixture
def anna(house: House) -> Person:
    return Person(house, "anna")


def test_what_there_is_and_no_secret(anna: Person) -> None:
    assert anna.call("GET", f"{ME}/factors").json() == {
        "password": {"setAt": format_utc(anna.house.clock.wall)},
        "totp": None,
        "passkeys": [],
        "recoveryCodes": None,
    }
    began = anna.house.clock.wall
    secret = anna.enrol_totp()
    codes = anna.post("recoveryCodes", proof=PROVEN).json()["codes"]
    anna.enrol_passkey()
    for path, client in ((f"{ME}/factors", anna.client), (f"{users(anna.id)}/factors", None)):
        answer = anna.call("GET", path) if client is not None else anna.house.call("GET", path)
        found = answer.json()
        assert found["totp"] == {"enrolledAt": format_utc(began)}
        assert found["recoveryCodes"]["left"] == 10
        assert [each["name"] for each in found["passkeys"]] == ["blue key"]
        for hidden in (secret, *codes, "argon2", PASSWORD):
            assert hidden not in answer.text
    events = anna.house.see(lambda r: r.events(EventFilter()))
    said = repr([event.record() for _, event in events])
    for hidden in (secret, *codes, "argon2", PASSWORD):
        assert hidden not in said


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "password", {"password": NEXT}),
        ("POST", "totp", {}),
        ("POST", "totp/remove", {}),
        ("POST", "recoveryCodes", {}),
        ("POST", "passkeys/begin", {}),
        ("POST", "passkeys/AAAA/remove", {}),
    ],
)
def test_a_token_alone_changes_nothing(
    anna: Person, method: str, path: str, body: dict[str, Any]
) -> None:
    """EDGES B4: a stolen token must not become a way in that stays."""
    anna.enrol_totp()
    before = anna.call("GET", f"{ME}/factors").json()
    for proof, status, code in (
        (None, 400, ""),
        ({}, 400, "InvalidProof"),
        ({"password": PASSWORD, "totp": "000000"}, 400, "InvalidProof"),
        ({"password": "wrong"}, 403, "ProofRefused"),
        ({"totp": "000000"}, 403, "ProofRefused"),
        ({"recoveryCode": "0000-0000-0000-0000"}, 403, "ProofRefused"),
        ({"passkey": {"ticket": "x", "credential": {}}}, 403, "ProofRefused"),
    ):
        sent = body if proof is None else {**body, "proof": proof}
        answer = anna.call(method, f"{ME}/{path}", sent)
        assert answer.status_code == status, (proof, answer.text)
        assert not code or code_of(answer) == code
    assert anna.call("GET", f"{ME}/factors").json() == before
    assert isinstance(anna.begin(), PasswordAccepted)


def test_a_service_principal_has_none_of_these(house: House) -> None:
    for method, path, body in (
        ("GET", "factors", None),
        ("POST", "proof", None),
        ("PUT", "password", {"password": NEXT, "proof": PROVEN}),
        ("POST", "totp", {"proof": PROVEN}),
        ("POST", "totp/confirm", {"code": "000000"}),
        ("POST", "totp/remove", {"proof": PROVEN}),
        ("POST", "recoveryCodes", {"proof": PROVEN}),
        ("POST", "passkeys/begin", {"proof": PROVEN}),
        ("POST", "passkeys", {"ticket": "x", "credential": {}, "name": "x"}),
        ("POST", "passkeys/AAAA/remove", {"proof": PROVEN}),
    ):
        answer = house.call(method, f"{ME}/{path}", body)
        assert answer.status_code == 403, (path, answer.text)


def test_guessing_the_password_with_a_stolen_token_is_slowed(anna: Person) -> None:
    answers = [anna.post("totp", proof={"password": f"guess {n}"}) for n in range(15)]
    assert [each.status_code for each in answers] == [403] * 10 + [429] * 5
    assert int(answers[-1].headers["Retry-After"]) == 60


def test_a_new_password_voids_every_token(anna: Person) -> None:
    answer = anna.call("PUT", f"{ME}/password", {"password": NEXT, "proof": PROVEN})
    assert answer.status_code == 204, answer.text
    assert anna.call("GET", f"{ME}/factors").status_code == 401
    assert isinstance(anna.begin(), SignInRefused)
    assert isinstance(anna.begin(NEXT), PasswordAccepted)
    anna.client = anna.signed_in()
    assert anna.call("GET", f"{ME}/factors").status_code == 200


@pytest.mark.parametrize("weak", ["short", "passwordpassword", "anna!!!!!!!!!!!", "x" * 257])
def test_a_weak_password_is_refused_and_says_why(anna: Person, weak: str) -> None:
    for answer in (
        anna.call("PUT", f"{ME}/password", {"password": weak, "proof": PROVEN}),
        anna.house.call("PUT", f"{users(anna.id)}/password", {"password": weak}),
    ):
        assert answer.status_code == 400
        assert code_of(answer) == "InvalidPassword"
        assert weak not in answer.text
    assert isinstance(anna.begin(), PasswordAccepted)


def test_a_one_time_password_counts_from_its_first_right_code(anna: Person) -> None:
    made = anna.post("totp", proof=PROVEN).json()
    assert made["uri"].startswith("otpauth://totp/Bascule:anna?secret=")
    accepted = anna.begin()
    assert isinstance(accepted, PasswordAccepted)
    assert accepted.factors == ()  # not yet
    answer = anna.post("totp/confirm", code="000000")
    assert (answer.status_code, code_of(answer)) == (400, "WrongCode")
    assert anna.post("totp/confirm", code=anna.code(made["secret"])).status_code == 204
    accepted = anna.begin()
    assert isinstance(accepted, PasswordAccepted)
    assert accepted.factors == (FactorKind.TOTP,)
    assert code_of(anna.post("totp/confirm", code=anna.code(made["secret"]))) == "NoEnrolment"
    # The code that confirmed it is used up.
    assert anna.post("totp/remove", proof={"totp": anna.code(made["secret"])}).status_code == 403


def test_an_enrolment_waits_ten_minutes_and_the_old_secret_counts_until_then(
    anna: Person,
) -> None:
    first = anna.enrol_totp()
    second = str(anna.post("totp", proof=PROVEN).json()["secret"])
    assert anna.post("totp", proof={"totp": anna.code(second)}).status_code == 403
    anna.house.clock.pass_time(600)
    assert code_of(anna.post("totp/confirm", code=anna.code(second))) == "NoEnrolment"
    third = str(anna.post("totp", proof={"totp": anna.code(first)}).json()["secret"])
    assert anna.post("totp/confirm", code=anna.code(third)).status_code == 204
    anna.house.clock.pass_time(60)
    assert anna.post("totp/remove", proof={"totp": anna.code(first)}).status_code == 403
    assert anna.post("totp/remove", proof={"totp": anna.code(third)}).status_code == 204


def test_a_lost_phone_is_taken_off_by_a_recovery_code(anna: Person) -> None:
    anna.enrol_totp()
    codes = anna.post("recoveryCodes", proof=PROVEN).json()["codes"]
    assert len(codes) == 10
    assert anna.post("totp/remove", proof={"recoveryCode": codes[0]}).status_code == 204
    kinds = anna.house.events("FactorRemoved", "RecoveryCodeUsed", "RecoveryCodesMade")
    assert sorted(kinds) == ["FactorRemoved", "RecoveryCodeUsed", "RecoveryCodesMade"]


def test_passkeys_are_several_named_proofs(anna: Person) -> None:
    blue = anna.enrol_passkey()
    anna.house.clock.pass_time(1)  # they are listed by when they were made
    phone = anna.enrol_passkey("phone")
    found = anna.call("GET", f"{ME}/factors").json()["passkeys"]
    assert [each["name"] for each in found] == ["blue key", "phone"]
    asked = anna.post("proof").json()
    ids = [each["id"] for each in asked["options"]["allowCredentials"]]
    assert ids == [each["id"] for each in found]
    shown = {"ticket": asked["ticket"], "credential": blue.get(asked["options"])}
    path = f"passkeys/{found[1]['id']}/remove"
    assert anna.post(path, proof={"passkey": shown}).status_code == 204
    assert anna.post(path, proof={"passkey": shown}).status_code == 403  # once
    asked = anna.post("proof").json()
    shown = {"ticket": asked["ticket"], "credential": phone.get(asked["options"])}
    assert anna.post("recoveryCodes", proof={"passkey": shown}).status_code == 403  # removed
    assert code_of(anna.post(path, proof=PROVEN)) == "PasskeyNotFound"


def test_a_ticket_enrols_one_passkey_of_its_own_user(anna: Person) -> None:
    bert = Person(anna.house, "bert")
    begun = anna.post("passkeys/begin", proof=PROVEN).json()
    sent = {
        "ticket": begun["ticket"],
        "credential": Authenticator().create(begun["options"]),
        "name": "key",
    }
    assert code_of(bert.post("passkeys", **sent)) == "InvalidTicket"
    assert code_of(anna.post("passkeys", **{**sent, "name": "\u202e"})) == "InvalidName"
    assert anna.post("passkeys", **sent).status_code == 201
    sent["credential"] = Authenticator().create(begun["options"])
    assert code_of(anna.post("passkeys", **sent)) == "InvalidTicket"
    assert len(anna.call("GET", f"{ME}/factors").json()["passkeys"]) == 1
    assert bert.call("GET", f"{ME}/factors").json()["passkeys"] == []


@pytest.mark.parametrize("way", ["password", "signOut"])
@pytest.mark.parametrize("what", ["passkey", "totp", "password"])
def test_a_body_that_comes_after_the_token_was_voided_changes_nothing(
    anna: Person, what: str, way: str
) -> None:
    """A thief had begun, and sends the rest when his victim has thrown him out."""
    thief, begun = anna.client, anna.post("passkeys/begin", proof=PROVEN).json()
    secret = str(anna.post("totp", proof=PROVEN).json()["secret"])
    created = Authenticator().create(begun["options"])
    path, body = {
        "passkey": (
            "passkeys",
            {"ticket": begun["ticket"], "credential": created, "name": "thief's"},
        ),
        "totp": ("totp/confirm", {"code": anna.code(secret)}),
        "password": ("password", {"proof": PROVEN, "password": NEXT}),
    }[what]

    def void() -> None:
        anna.client = anna.signed_in()
        if way == "password":
            changed = {"password": "four words of hers", "proof": PROVEN}
            assert anna.call("PUT", f"{ME}/password", changed).status_code == 204
        else:
            assert anna.post("signOut").status_code == 204

    def slowly() -> Iterator[bytes]:
        text = json.dumps(body).encode()
        yield text[:9]
        other = threading.Thread(target=void)
        other.start()
        other.join()
        yield text[9:]

    answer = thief.request(
        "PUT" if what == "password" else "POST",
        f"{anna.house.subscription}{ME}/{path}",
        params={"api-version": BASCULE},
        content=slowly(),
        headers={"Content-Type": "application/json"},
    )
    is_proof_old = (what, way) == ("password", "password")
    assert answer.status_code == (403 if is_proof_old else 401), answer.text
    ways = anna.house.see(lambda reader: own_sign_in.ways_in(reader, anna.id))
    assert (ways.passkeys, ways.totp) == ([], None)
    anna.client = anna.signed_in()
    known = PASSWORD if way == "signOut" else "four words of hers"
    assert isinstance(anna.begin(known), PasswordAccepted)


def test_anothers_passkey_cannot_be_removed_or_taken_over(anna: Person) -> None:
    device = anna.enrol_passkey()
    (key,) = anna.call("GET", f"{ME}/factors").json()["passkeys"]
    bert = Person(anna.house, "bert")
    answer = bert.post(f"passkeys/{key['id']}/remove", proof=PROVEN)
    assert code_of(answer) == "PasskeyNotFound"
    begun = bert.post("passkeys/begin", proof=PROVEN).json()
    taken = {"ticket": begun["ticket"], "credential": device.create(begun["options"])}
    assert code_of(bert.post("passkeys", **taken, name="mine")) == "PasskeyExists"
    assert len(anna.call("GET", f"{ME}/factors").json()["passkeys"]) == 1


# -- an administrator's part ------------------------------------------------------------


def test_an_administrator_takes_factors_away_and_the_user_is_signed_out(anna: Person) -> None:
    anna.enrol_totp()
    anna.enrol_passkey()
    anna.post("recoveryCodes", proof=PROVEN)
    assert anna.house.call("DELETE", f"{users(anna.id)}/factors").status_code == 200
    assert anna.call("GET", f"{ME}/factors").status_code == 401
    accepted = anna.begin()
    assert isinstance(accepted, PasswordAccepted)
    assert accepted.factors == ()
    assert anna.house.events("FactorRemoved") == ["FactorRemoved"] * 3
    assert anna.house.call("DELETE", f"{users(anna.id)}/factors").status_code == 204


def test_an_administrator_sets_a_password_and_the_user_is_signed_out(anna: Person) -> None:
    answer = anna.house.call("PUT", f"{users(anna.id)}/password", {"password": NEXT})
    assert answer.status_code == 204
    assert anna.call("GET", f"{ME}/factors").status_code == 401
    assert isinstance(anna.begin(NEXT), PasswordAccepted)
    assert anna.house.events("PasswordSet") == ["PasswordSet"] * 2


def test_unknown_users(house: House) -> None:
    nobody = users(str(uuid.uuid4()))
    for method, path, body in (
        ("PUT", "password", {"password": NEXT}),
        ("GET", "factors", None),
        ("DELETE", "factors", None),
    ):
        assert code_of(house.call(method, f"{nobody}/{path}", body)) == "UserNotFound"


def test_who_may_change_users_may_not_change_who_holds_more(anna: Person) -> None:
    """EDGES B4: else setting an owner's password would be a way to become one."""
    house = anna.house
    clerk = RoleDefinition(
        str(uuid.uuid4()),
        "Clerk",
        "",
        False,
        (Permission((USER_READ, USER_WRITE)),),
        (subscription_scope(house.installation.subscription_id),),
        house.clock.now(),
        house.clock.now(),
        "",
        "",
    )
    house.do(lambda tx, _: tx.put_custom_role(clerk))
    give(house, anna.id, clerk, PrincipalKind.USER)
    owner, plain = Person(house, "olga"), Person(house, "paul")
    give(house, owner.id, OWNER, PrincipalKind.USER)
    for method, path, body in (
        ("PUT", "password", {"password": NEXT}),
        ("DELETE", "factors", None),
    ):
        refused = anna.call(method, f"{users(owner.id)}/{path}", body)
        assert refused.status_code == 403, refused.text
        assert anna.call(method, f"{users(plain.id)}/{path}", body).status_code == 204
        # His own too: there a fresh proof is asked for, and none is here.
        refused = anna.call(method, f"{users(anna.id)}/{path}", body)
        assert refused.status_code == 403, refused.text
    assert isinstance(owner.begin(), PasswordAccepted)
    assert isinstance(anna.begin(), PasswordAccepted)


def test_who_may_not_change_users_changes_nobody(anna: Person) -> None:
    bert = Person(anna.house, "bert")
    for method, path, body in (
        ("PUT", "password", {"password": NEXT}),
        ("GET", "factors", None),
        ("DELETE", "factors", None),
    ):
        answer = anna.call(method, f"{users(bert.id)}/{path}", body)
        assert (answer.status_code, code_of(answer)) == (403, "AuthorizationFailed")
