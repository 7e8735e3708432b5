"""What the portal's tests stand on: a lab, its people signed in, and pages that say no error.

``World`` is the lab with the administrator's connection, to put things where a test wants them.
``Visitors`` opens pages as somebody, in a language and a theme; what a page's script or its
Content-Security-Policy complains about fails the test that opened it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

from playwright.sync_api import BrowserContext, ConsoleMessage, Page, StorageState

from bascule.client import access, principals
from bascule.client.connection import Connection, trust_file
from bascule.client.policies import (
    delete_machine_rules,
    get_machine_rules,
    put_machine_rules,
    release_ports,
)
from bascule.client.tokens import Credentials
from bascule.client.versions import BASCULE_VERSION
from bascule.clocks import SystemClock
from bascule.domain.ids import ResourceId
from bascule.domain.net import AddressPrefix, RuleProtocol
from bascule.domain.policy import PortRule
from tests.e2e.lab_world import LabWorld

PATIENCE = 20_000  # milliseconds for what a page is to show, on a machine that others use too
SERVER = "https://server:8443"  # as the lab's hosts name it
LANGUAGES = ("en", "fr")
LOCALES = {"en": "en-GB", "fr": "fr-FR"}
SSH = PortRule(22, RuleProtocol.TCP, (AddressPrefix(None),), timedelta(hours=3))
# Chromium's own word for an answer of 400 and above; what the page shows then is looked at.
_ANSWERED = "Failed to load resource: the server responded with a status of"


class World:
    """The lab, and the administrator's hand in it."""

    def __init__(self, lab: LabWorld) -> None:
        self.lab = lab
        self.info = lab.info()
        admin = self.info["admin"]
        self.connection = Connection(
            self.info["endpoint"],
            self.info["subscription_id"],
            Credentials(self.info["tenant_id"], admin["client_id"], admin["client_secret"]),
            trust_file(Path(self.info["ca_file"])),
            SystemClock(),
        )
        self.passwords = {each["name"]: each["password"] for each in self.info["users"]}
        self._plant_nobody()

    def _plant_nobody(self) -> None:
        """Somebody with an account and no role."""
        name, password = "nobody", "a-long-pass-phrase-of-nobody"
        made = principals.create_principal(
            self.connection, principals.USERS, {"userPrincipalName": name}
        )
        principals.set_password(self.connection, made.id, password)
        self.passwords[name] = password

    def machine(self, name: str) -> ResourceId:
        row = next(each for each in self.info["machines"] if each["name"] == name)
        return ResourceId.parse_machine(row["id"])

    def address(self, host: str) -> str:
        found: str = next(each for each in self.lab.hosts() if each["name"] == host)["addresses"][0]
        return found

    def configure(self, name: str, *rules: PortRule) -> None:
        """These are the machine's rules from now on; none: just-in-time is off."""
        policy = self.info["policy_name"]
        if rules:
            put_machine_rules(self.connection, self.machine(name), rules, policy)
        else:
            delete_machine_rules(self.connection, self.machine(name))

    def rules(self, name: str) -> list[PortRule]:
        """The machine's rules as its policies have them now, by number."""
        found = get_machine_rules(self.connection, self.machine(name)).policies
        return sorted((rule for each in found for rule in each.ports), key=lambda rule: rule.number)

    def live_grants(self) -> list[tuple[str, tuple[str, ...]]]:
        """Machine and sources of everything that is open, or opening."""
        return [
            (machine.id.name, port.sources)
            for request in access.list_requests(self.connection, is_live=True)
            for machine, port in request.ports()
            if port.is_live
        ]

    @property
    def policy(self) -> ResourceId:
        """The policy that names web-1."""
        return get_machine_rules(self.connection, self.machine("web-1")).policies[0].policy_id

    def put_access_rule(self, name: str, properties: Mapping[str, Any]) -> None:
        """A rule of the policy, in place of the one of that name."""
        path = f"{self.policy}/providers/Bascule.Access/accessRules/{name}"
        self.connection.call("PUT", path, BASCULE_VERSION, body={"properties": dict(properties)})

    def delete_access_rules(self) -> None:
        rules = f"{self.policy}/providers/Bascule.Access/accessRules"
        for each in self.connection.get(rules, BASCULE_VERSION)["value"]:
            self.connection.call("DELETE", f"{rules}/{each['name']}", BASCULE_VERSION)

    def user_id(self, name: str) -> str:
        found = principals.list_principals(self.connection, principals.USERS, name)
        return next(each.id for each in found if each.name == name)

    def reset(self) -> None:
        """As the lab came up: web-1 has its rule, db-1 none, nothing is open."""
        for request in access.list_requests(self.connection, is_live=True):
            access.revoke(self.connection, request.id, kill=True)
        self.configure("web-1", SSH)
        self.delete_access_rules()
        self.configure("db-1")
        for name in ("web-1", "db-1"):
            release_ports(self.connection, self.machine(name), ())

    def close(self) -> None:
        self.connection.close()


class Visitors:
    """Browsers of several people at once; each has its own cookies."""

    def __init__(
        self, world: World, signed_in: dict[str, StorageState], new: Callable[..., BrowserContext]
    ) -> None:
        self._world = world
        self._signed_in = signed_in
        self._new = new
        self.complaints: list[str] = []  # of scripts, and of the Content-Security-Policy

    def __call__(
        self,
        person: str = "owner",
        language: str = "en",
        theme: str = "light",
        width: int = 1440,
        height: int = 900,
        **options: Any,
    ) -> Page:
        """An empty page of this person's; nobody signed in when the name is empty.

        ``theme`` is what the system asks for, and language the browser's: neither was chosen
        on a page.
        """
        context = self._new(
            locale=LOCALES[language],
            color_scheme=theme,
            viewport={"width": width, "height": height},
            storage_state=self._state_of(person) if person else None,
            **options,
        )
        page = context.new_page()
        page.on("console", self._hear)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        return page

    def _hear(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not message.text.startswith(_ANSWERED):
            self.complaints.append(f"{message.text} ({message.location.get('url', '')})")

    def _state_of(self, person: str) -> StorageState:
        """Sign in by the page, once for each person of this lab."""
        if person not in self._signed_in:
            context = self._new()
            sign_in(context.new_page(), person, self._world.passwords[person])
            self._signed_in[person] = context.storage_state()
            context.close()
        return self._signed_in[person]


def sign_in(page: Page, name: str, password: str) -> None:
    """As somebody does who comes to the portal without a session."""
    page.goto("/portal")
    page.locator("#name").fill(name)
    page.locator("#password").fill(password)
    page.locator("button.primary").click()
    page.wait_for_url("**/portal")
