"""A right that is lost between the headers of a call and its body gives nothing (EDGES A13, B3).

The headers are judged when they come; a body may come half a minute later. One call of each kind
of route: those whose right the guard asks for at their path, and those whose use case asks itself.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bascule.domain.builtin_roles import OWNER, READER
from tests.wire.house import BASCULE, House, port_rule
from tests.wire.people import Person, give

IDENTITY = "/providers/Bascule.Identity"
AUTHORIZATION = "/providers/Microsoft.Authorization"
Body = dict[str, Any]


class Place(House):
    """A machine with a policy and a request, a user, a group, a program, and an owner who asks."""

    def build(self) -> None:
        self.add_machine("web-1")
        policy = {"virtualMachines": [{"id": self.machine("web-1"), "ports": [port_rule()]}]}
        self.made("PUT", self.policy(), {"properties": policy})
        self.asker = Person(self, "asker")
        self.assignment = give(self, self.asker.id, OWNER.id, self.subscription)
        self.anna = self.made_id("users", userPrincipalName="anna@corp.example")
        self.admins = self.made_id("groups", displayName="Admins")
        self.robot = self.made_id("servicePrincipals", displayName="Robot")
        answer = self.asker.call("POST", f"{self.policy()}/initiate", self.asked)
        assert answer.status_code == 202, answer.text
        self.request = str(answer.json()["bascule"]["resourceId"])

    @property
    def asked(self) -> Body:
        port = {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.7"}
        return {"virtualMachines": [{"id": self.machine("web-1"), "ports": [port]}]}

    def made(self, method: str, path: str, body: Body) -> Any:
        answer = self.call(method, path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def made_id(self, kind: str, **properties: str) -> str:
        return str(self.made("POST", f"{IDENTITY}/{kind}", {"properties": properties})["name"])

    def lose(self) -> None:
        self.do(lambda tx, _: tx.delete_role_assignment(self.assignment))

    def regain(self) -> None:
        self.assignment = give(self, self.asker.id, OWNER.id, self.subscription)

    def slowly(self, method: str, path: str, body: Body, between: Callable[[], None]) -> Any:
        """Call as the asker; ``between`` is done after the headers and before the body's end."""

        def pieces() -> Iterator[bytes]:
            text = json.dumps(body).encode()
            yield text[:1]
            other = threading.Thread(target=between)
            other.start()
            other.join()
            yield text[1:]

        return self.asker.client.request(
            method,
            path
            if path.startswith(("/subscriptions", "/bascule"))
            else f"{self.subscription}{path}",
            params={"api-version": BASCULE},
            content=pieces(),
            headers={"Content-Type": "application/json"},
        )


def calls(place: Place) -> dict[str, tuple[str, str, Body]]:
    """One of each kind that would be done as it stands."""
    web, rules = place.machine("web-1"), {"properties": {"ports": [port_rule()]}}
    reader = f"{place.subscription}{AUTHORIZATION}/roleDefinitions/{READER.id}"
    assignment = {"properties": {"principalId": place.anna, "roleDefinitionId": reader}}
    role = {
        "roleName": "R",
        "assignableScopes": [place.subscription],
        "permissions": [{"actions": ["*/read"]}],
    }
    named = {"properties": {"displayName": "Other"}}
    machines = [{"id": web, "ports": [port_rule(3389)]}]
    # At their path.
    return {
        "machine": ("PUT", place.machine("new-1"), {"location": "local"}),
        "group of resources": (
            "PUT",
            f"{place.subscription}/resourceGroups/new",
            {"location": "local"},
        ),
        "plan": (
            "PUT",
            "/providers/Microsoft.Security/pricings/VirtualMachines",
            {"properties": {"pricingTier": "Standard", "subPlan": "P2"}},
        ),
        "enrolment": ("POST", f"{web}/providers/Bascule.Fleet/enrolments", {}),
        "role": ("PUT", f"{AUTHORIZATION}/roleDefinitions/{uuid4()}", {"properties": role}),
        "assignment": ("PUT", f"{AUTHORIZATION}/roleAssignments/{uuid4()}", assignment),
        "signing key": ("POST", f"{AUTHORIZATION}/signingKeys/current/rotate", {}),
        "user": (
            "POST",
            f"{IDENTITY}/users",
            {"properties": {"userPrincipalName": "bert@corp.example"}},
        ),
        "user's name": ("PATCH", f"{IDENTITY}/users/{place.anna}", named),
        "password": (
            "PUT",
            f"{IDENTITY}/users/{place.anna}/password",
            {"password": "four plain words here"},
        ),
        "group": ("POST", f"{IDENTITY}/groups", {"properties": {"displayName": "Others"}}),
        "group's name": ("PATCH", f"{IDENTITY}/groups/{place.admins}", named),
        "program": ("POST", f"{IDENTITY}/servicePrincipals", named),
        "program's name": ("PATCH", f"{IDENTITY}/servicePrincipals/{place.robot}", named),
        "credential": ("POST", f"{IDENTITY}/servicePrincipals/{place.robot}/credentials", {}),
        "provider": (
            "PUT",
            f"{IDENTITY}/identityProviders/corp",
            {
                "properties": {
                    "issuer": "https://login.corp.example",
                    "clientId": "bascule",
                    "clientSecret": "hush",
                }
            },
        ),
        # By the use case.
        "policy": ("PUT", place.policy("two"), {"properties": {"virtualMachines": machines}}),
        "extend": ("POST", f"{place.request}/extend", {"duration": "PT2H"}),
        "request": ("POST", f"{place.policy()}/initiate", place.asked),
        "rules": ("PUT", f"{web}/providers/Bascule.Access/machineRules/default", rules),
        "release": (
            "POST",
            f"{web}/providers/Bascule.Access/machineRules/default/release",
            {"ports": []},
        ),
    }


@pytest.fixture
def place(data_dir: Path) -> Iterator[Place]:
    made = Place(data_dir)
    made.build()
    yield made
    made.close()


def test_each_call_is_done_when_its_right_stays(place: Place) -> None:
    """Else the next test would prove nothing."""
    for name, (method, path, body) in calls(place).items():
        answer = place.slowly(method, path, body, lambda: None)
        assert answer.status_code < 300, (name, answer.text)


def test_none_is_done_when_it_was_lost_before_the_body_came(place: Place) -> None:
    answers = {}
    for name, (method, path, body) in calls(place).items():
        before = done(place)
        answer = place.slowly(method, path, body, place.lose)
        answers[name] = (answer.status_code, done(place) == before)
        place.regain()
    assert answers == dict.fromkeys(answers, (403, True))


def done(place: Place) -> list[str]:
    """What was recorded but for denials: whatever changes something records it."""
    return [kind for kind in place.events() if not kind.endswith("Denied")]


def test_a_right_that_came_back_before_the_body_will_do(place: Place) -> None:
    """What counts is what is so in the transaction of the act."""

    def lose_and_regain() -> None:
        place.lose()
        place.regain()

    method, path, body = calls(place)["machine"]
    assert place.slowly(method, path, body, lose_and_regain).status_code == 201


def test_an_agents_report_that_comes_after_its_key_was_replaced_settles_nothing(
    place: Place,
) -> None:
    agent = place.enrol("web-1")
    uid = str(place.call("GET", place.machine("web-1")).json()["properties"]["vmId"])
    place.asker.client, before = agent, done(place)
    answer = place.slowly(
        "POST",
        f"/bascule/points/{uid}/report",
        {"generation": 1, "inForce": []},
        lambda: place.do(lambda tx, _: tx.delete_enforcement_point(uid)),
    )
    assert answer.status_code == 401, answer.text
    assert done(place) == before
    assert place.see(lambda reader: reader.enforcement_point(uid)) is None
