"""People at browsers in the portal, without JavaScript: support of the portal's tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape

import httpx2

from bascule.domain.builtin_roles import OWNER
from tests.wire.browsing import PASSWORD, Browser, add_user
from tests.wire.house import CALLER, House
from tests.wire.people import give, make_role

_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_TAG = re.compile(r"<(script|style|svg)\b.*?</\1>|<[^>]*>", re.DOTALL)


class Person(Browser):
    """A user who has signed in to the portal and holds these roles."""

    def __init__(
        self, house: House, name: str, *held: tuple[str, str], address: str = CALLER
    ) -> None:
        super().__init__(house, address)
        self.user = add_user(house, name)
        for role_id, scope in held:
            give(house, self.user.id, role_id, scope, "User")
        answer = self.sign_in("/portal", name, PASSWORD)
        assert (answer.status_code, answer.headers["location"]) == (303, "/portal")

    def page(self, path: str, status: int = 200, language: str = "en") -> str:
        """The page's HTML."""
        answer = self.client.get(
            path, follow_redirects=False, headers={"Accept-Language": language}
        )
        assert answer.status_code == status, (answer.status_code, text_of(answer.text))
        return answer.text

    @property
    def csrf(self) -> str:
        return csrf_of(self.page("/portal"))

    def send(
        self, path: str, fields: Mapping[str, str | Sequence[str]] | None = None, **headers: str
    ) -> httpx2.Response:
        """POST a form with this session's proof, as a page of it would."""
        data = {"csrf": self.csrf, **(fields or {})}
        return self.client.post(path, data=data, headers=headers, follow_redirects=False)


def owner(house: House, name: str = "olga@example.com") -> Person:
    return Person(house, name, (OWNER.id, house.subscription))


def somebody(house: House, name: str, scope: str, *actions: str) -> Person:
    """A person who may do these actions at that scope, and nothing else."""
    return Person(house, name, (make_role(house, f"role of {name}", *actions), scope))


def csrf_of(html: str) -> str:
    found = _CSRF.search(html)
    assert found, "the page has no form"
    return found[1]


def text_of(html: str) -> str:
    """What a reader sees, blanks made one."""
    return " ".join(unescape(_TAG.sub(" ", html)).split())
