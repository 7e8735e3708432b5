"""A ticket system that says what a test tells it to, and the office whose policy asks it."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Mapping
from typing import Any

from bascule.domain.tickets import TicketCheck
from bascule.interfaces.tickets import CallFailed
from tests.wire.approval_world import Office, stage, users
from tests.wire.house import House

URL = "https://tickets.example/check"
PATTERN = r"CHG\d{4}|INC\d{4}"
CHECK = "/providers/Bascule.Access/ticketChecks/default"
UNCONFIRMED = {"name": "ticket", "effect": "deny", "conditions": {"ticketConfirmed": False}}

Says = Callable[[dict[str, Any]], object]


def echo(answer: str, text: str = "") -> Says:
    return lambda told: {
        "nonce": told["nonce"],
        "digest": told["digest"],
        "answer": answer,
        "text": text,
    }


class System:
    """``says`` makes an answer of a question; bytes go out as they are."""

    def __init__(self) -> None:
        self.says: Says = echo("yes")
        self.asked: list[dict[str, Any]] = []
        self.headers: list[Mapping[str, str]] = []
        self.bodies: list[bytes] = []
        self.during: Callable[[], object] = lambda: None  # while it is asked

    def objection(self, check: TicketCheck) -> str:
        return "10.0.0.1 is private." if check.target.host == "10.0.0.1" else ""

    async def call(self, check: TicketCheck, headers: Mapping[str, str], body: bytes) -> bytes:
        self.headers.append(dict(headers))
        self.bodies.append(body)
        self.asked.append(json.loads(body))
        self.during()
        said = self.says(self.asked[-1])
        if isinstance(said, CallFailed):
            raise said
        return said if isinstance(said, bytes) else json.dumps(said).encode()

    def is_signed(self, secret: str) -> bool:
        """The last call, as docs/approval.md says how to check it."""
        headers, key = self.headers[-1], base64.b64decode(secret.removeprefix("whsec_"))
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode()
        mac = hmac.new(key, signed + self.bodies[-1], hashlib.sha256).digest()
        return headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


class TicketOffice(Office):
    """Its policy denies whatever no ticket was confirmed for."""

    def __init__(self, house: House) -> None:
        super().__init__(house)
        system = house.tickets
        assert isinstance(system, System)
        self.system = system
        self.put()
        answer = self.put_check()
        assert answer.status_code == 200, answer.text
        self.secret = str(answer.json()["properties"]["secret"])
        self.put(rules=[UNCONFIRMED])

    def put_check(self, client: Any = None, policy: str = "default", **more: Any) -> Any:
        body = {"properties": {"pattern": PATTERN, "url": URL, **more}}
        path = self.house.policy(policy) + CHECK
        return client.call("PUT", path, body) if client else self.house.call("PUT", path, body)

    def ask_instead(self) -> None:
        """Where the system is unavailable, Bob is asked."""
        more: dict[str, Any] = {"unavailable": "approve", "stages": [stage(users(self.bob))]}
        assert self.put_check(**more).status_code == 200
