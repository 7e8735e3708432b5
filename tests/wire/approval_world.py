"""A house with people: who asks, who is asked, who is neither, and a machine with an agent."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from starlette.testclient import TestClient

from bascule.domain.access import PrincipalKind
from bascule.domain.actions import INITIATE, POLICY_READ
from bascule.domain.builtin_roles import ACCESS_APPROVER
from bascule.domain.clients import BASCULE_CLI
from bascule.domain.principals import Group, Membership, User
from bascule.domain.tokens import Flow, SignIn, TokenFamily
from bascule.identity.tokens import Person
from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.people import give, make_role

SOURCE = "203.0.113.9"


class Human:
    """A user with a client of their own."""

    def __init__(self, house: House, name: str) -> None:
        self.house, self.name, self.id = house, name, str(uuid.uuid4())
        self.family: TokenFamily | None = None
        user = User(self.id, f"{name}@corp.example", name.title(), True, house.clock.now())
        house.do(lambda tx, _: tx.put_user(user))

    def show_factor(self, ago: float | None = 0.0) -> Human:
        """Calls have from now on a token of a sign-in with a factor shown so many seconds ago."""
        now = self.house.clock.now()
        at = None if ago is None else now - timedelta(seconds=ago)
        user = self.house.see(lambda reader: reader.user(self.id))
        assert user is not None
        sign_in = SignIn(user.id, user.epoch, now, ("pwd", "otp", "mfa"), at)
        text = str(uuid.uuid4())
        family = TokenFamily(text, BASCULE_CLI, Flow.BROWSER, sign_in, now, text)
        self.house.do(lambda tx, _: tx.put_token_family(family))
        self.family = family
        return self

    @property
    def client(self) -> TestClient:
        """With a token of now."""
        if self.family is not None:
            user = self.house.see(lambda reader: reader.user(self.id))
            person = None if user is None else Person(user, self.family.sign_in, "", self.family.id)
            token = self.house.token(
                self.id, PrincipalKind.USER, f"{self.id}/{self.family.sign_in.epoch}", person
            )
            return self.house.client_of(token)
        user = self.house.see(lambda reader: reader.user(self.id))
        epoch = 0 if user is None else user.epoch
        token = self.house.token(self.id, PrincipalKind.USER, f"{self.id}/{epoch}")
        return self.house.client_of(token)

    def call(self, method: str, path: str, body: Any = None, version: str = BASCULE) -> Any:
        more = {} if body is None else {"json": body}
        path = path if path.startswith("/subscriptions") else self.house.subscription + path
        return self.client.request(method, path, params={"api-version": version}, **more)


def users(*people: Human) -> dict[str, Any]:
    return {"users": [each.id for each in people]}


def stage(approvers: dict[str, Any], needed: int = 1, **more: Any) -> dict[str, Any]:
    return {"approvers": approvers, "needed": needed, **more}


class Office:
    """Alice asks; Bob and Carol approve; Dave is asked nothing; machines web-1 and db-1."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.uids = {name: house.add_machine(name) for name in ("web-1", "db-1")}
        self.agents = {name: house.enrol(name) for name in self.uids}
        names = ("alice", "bob", "carol", "dave")
        self.alice, self.bob, self.carol, self.dave = (Human(house, name) for name in names)
        asker = make_role(house, "Asker", INITIATE, POLICY_READ)
        give(house, self.alice.id, asker, house.subscription, "User")
        self.assigned = give(house, self.carol.id, ACCESS_APPROVER.id, house.subscription, "User")
        self.group = self.make_group("on-call", self.bob)

    def make_group(self, name: str, *members: Human, ends: Any = None, provider: str = "") -> str:
        group = Group(str(uuid.uuid4()), name, "", self.house.clock.now())
        self.house.do(lambda tx, _: tx.put_group(group))
        for each in members:
            self.join(group.id, each, ends, provider)
        return group.id

    def join(self, group: str, member: Human, ends: Any = None, provider: str = "") -> None:
        made = Membership(group, member.id, PrincipalKind.USER, provider, ends)
        self.house.do(lambda tx, _: tx.put_membership(made))

    def pass_time(self, seconds: float) -> None:
        """And sign in again."""
        self.house.clock.pass_time(seconds)
        self.house.client = self.house.client_of(self.house.service_token())

    # -- policies ------------------------------------------------------------------------

    def put(
        self,
        *stages: dict[str, Any],
        name: str = "default",
        machines: Sequence[str] = ("web-1",),
        numbers: Sequence[int] = (22,),
        client: Any = None,
        **bascule: Any,
    ) -> Any:
        """A policy whose ports have these stages, with more of its ``bascule`` object."""
        own = {"approval": {"stages": list(stages)}} if stages else {}
        ports = [port_rule(number, **({"bascule": own} if own else {})) for number in numbers]
        body: dict[str, Any] = {
            "properties": {
                "virtualMachines": [
                    {"id": self.house.machine(each), "ports": ports} for each in machines
                ]
            }
        }
        if bascule:
            body["properties"]["bascule"] = bascule
        path = self.house.policy(name)
        if client is not None:
            return client.call("PUT", path, body, JIT)
        answer = self.house.call("PUT", path, body, JIT)
        assert answer.status_code == 200, answer.text
        return answer

    # -- requests ------------------------------------------------------------------------

    def ask(
        self,
        who: Human | None = None,
        *,
        machines: Sequence[str] = ("web-1",),
        numbers: Sequence[int] = (22,),
        policy: str = "default",
        why: str | None = None,
        source: str = SOURCE,
        emergency: Any = None,
        **end: Any,
    ) -> Any:
        ports = [
            {
                "number": number,
                "allowedSourceAddressPrefix": source,
                **(end or {"duration": "PT1H"}),
            }
            for number in numbers
        ]
        body: dict[str, Any] = {
            "virtualMachines": [
                {"id": self.house.machine(each), "ports": ports} for each in machines
            ]
        }
        if why is not None:
            body["justification"] = why
        if emergency is not None:
            body["bascule"] = {"emergency": emergency}
        path = f"{self.house.policy(policy)}/initiate"
        return (who or self.alice).call("POST", path, body, JIT)

    def waiting(self, **more: Any) -> str:
        """The id of a new request that waits."""
        answer = self.ask(**more)
        assert answer.status_code == 202, answer.text
        assert answer.json()["bascule"]["state"] == "waiting"
        return str(answer.json()["bascule"]["requestId"])

    def path(self, request: str) -> str:
        return f"/providers/Bascule.Access/accessRequests/{request}"

    def see(self, request: str, who: Human | None = None) -> dict[str, Any]:
        answer = (who or self.alice).call("GET", self.path(request))
        assert answer.status_code == 200, answer.text
        return dict(answer.json()["properties"])

    def state(self, request: str) -> str:
        return str(self.see(request)["state"])

    def digest(self, request: str) -> str:
        return str(self.see(request)["approval"]["digest"])

    def approve(self, request: str, who: Human, **more: Any) -> Any:
        body = {"digest": more.pop("digest", None) or self.digest(request), **more}
        return who.call("POST", f"{self.path(request)}/approve", body)

    def deny(self, request: str, who: Human, reason: str = "not today", **more: Any) -> Any:
        body = {"digest": more.pop("digest", None) or self.digest(request), "reason": reason}
        return who.call("POST", f"{self.path(request)}/deny", body)

    def grants(self, request: str) -> list[Any]:
        return list(self.house.see(lambda reader: reader.grants_of([request])))

    def leases(self, name: str = "web-1") -> list[Any]:
        """What the machine's agent is told to open."""
        answer = self.agents[name].get(f"/bascule/points/{self.uids[name]}/state")
        return list(answer.json()["leases"])


def code_of(answer: Any) -> str:
    return str(answer.json()["error"]["code"])
