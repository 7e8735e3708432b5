"""EDGES H3 over two real servers and PostgreSQL: what is taken away at one ends streams at the other."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx2
import pytest

from tests.e2e.lab_world import until
from tests.e2e.server_process import Server
from tests.e2e.test_first_visit import PASSWORD
from tests.e2e.test_replica_joins import admin
from tests.support import postgresql
from tests.wire.browsing import forms

pytestmark = pytest.mark.skipif(
    postgresql.programs() is None, reason="PostgreSQL's server is missing"
)

SLACK = 1.0  # seconds that a busy machine adds to what is promised
_LISTENING = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}' AND pid <>"
    " pg_backend_pid() AND (query LIKE 'LISTEN %' OR query LIKE '%pg_notify%')"
)


@pytest.fixture
def name() -> Iterator[str]:
    made = postgresql.cluster().make()
    yield made
    postgresql.cluster().drop(made)


@pytest.fixture
def servers(tmp_path: Path, name: str) -> Iterator[tuple[Server, Server]]:
    a, b = (Server(tmp_path / each, tmp_path / "a" / "ca.pem") for each in "ab")
    try:
        a.serves("--database", postgresql.cluster().address(name))
        token = tmp_path / "token"
        done = admin("replica", "invite", "--data", str(a.data), "--endpoint", a.endpoint)
        token.write_text(done.stdout)
        b.serves("--join-file", str(token))
        for each in (a, b):
            threading.Thread(target=_drain, args=(each,), daemon=True).start()
        yield a, b
    finally:
        a.kill()
        b.kill()


def _drain(server: Server) -> None:
    """A log that nobody reads would fill its pipe, and hold the server up."""
    assert server.process is not None
    assert server.process.stderr is not None
    with contextlib.suppress(ValueError):  # it was closed
        for _ in server.process.stderr:
            pass


class Stream:
    """A page that is open at a server: when it ended, and whether it was told anything."""

    def __init__(self, browser: httpx2.Client, server: Server) -> None:
        self.began, self.ended_at = threading.Event(), 0.0
        self._browser, self._server = browser, server
        self._thread = threading.Thread(target=self._follow)
        self._thread.start()
        assert self.began.wait(30)

    def _follow(self) -> None:
        with self._browser.stream("GET", f"{self._server.endpoint}/portal/live") as answer:
            assert answer.status_code == 200
            for _ in answer.iter_raw():
                self.began.set()
        self.ended_at = time.monotonic()

    def ends_after(self, act: Callable[[], None]) -> float:
        """Seconds from the answer to ``act`` to the stream's end."""
        act()
        acted = time.monotonic()
        self._thread.join(30)
        assert self.ended_at, "the stream goes on"
        return max(0.0, self.ended_at - acted)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_what_is_taken_away_at_one_server_ends_open_pages_at_the_other(
    servers: tuple[Server, Server], name: str
) -> None:
    """Within a second by hints; within three while LISTEN is cut. And the next call there is refused."""
    a, b = servers
    trust = ssl.create_default_context(cafile=a.ca)
    with httpx2.Client(verify=trust, follow_redirects=True, timeout=120) as browser:
        link = (a.data / "set-up-link").read_text().split()[0]
        browser.post(
            f"{a.endpoint}/portal/welcome",
            data={**forms(browser.get(link))[0].fields, "name": "anna", "password": PASSWORD,
                  "again": PASSWORD},
        )  # fmt: skip

        def is_in(server: Server) -> bool:
            answer = browser.get(f"{server.endpoint}/portal", follow_redirects=False)
            return answer.status_code == 200

        def sign_out() -> None:
            page = browser.get(f"{a.endpoint}/signin/you")
            (form,) = (each for each in forms(page) if each.action == "/signout")
            kept = dict(browser.cookies)
            browser.post(f"{a.endpoint}{form.action}", data=form.fields)
            browser.cookies.update(kept)  # as somebody who copied them

        def sign_in() -> None:
            page = browser.get(f"{a.endpoint}/signin")
            (form,) = (each for each in forms(page) if "password" in each.fields)
            fields = {**form.fields, "name": "anna", "password": PASSWORD}
            browser.post(f"{a.endpoint}{form.action}", data=fields)

        assert is_in(a)
        assert is_in(b)
        took = Stream(browser, b).ends_after(sign_out)
        assert took <= 1 + SLACK, took
        assert not is_in(b)

        sign_in()
        assert is_in(b)
        stream = Stream(browser, b)
        is_over, token = threading.Event(), _token(a)

        def cut() -> None:
            while not is_over.wait(0.2):
                postgresql.cluster().do(_LISTENING.format(name=name))

        cutting = threading.Thread(target=cut)
        cutting.start()
        try:
            assert until(lambda: _hears_nothing(b), 20), "LISTEN was never cut"
            took = stream.ends_after(lambda: _disable(a, token, "anna"))
        finally:
            is_over.set()
            cutting.join()
        assert took <= 3 + SLACK, took
        assert not is_in(b)


def _hears_nothing(server: Server) -> bool:
    told = json.loads(server.call("GET", "/readyz").content)
    return told["hints"]["connectedFor"] in (None, 0)


def _token(server: Server) -> str:
    known = json.loads((server.data / "admin.json").read_text())
    form = {
        "grant_type": "client_credentials",
        "client_id": known["client_id"],
        "client_secret": known["client_secret"],
        "scope": f"{server.endpoint}/.default",
    }
    answer = server.call("POST", f"/{known['tenant_id']}/oauth2/v2.0/token", form=form)
    return str(json.loads(answer.content)["access_token"])


def _disable(server: Server, token: str, name: str) -> None:
    known = json.loads((server.data / "admin.json").read_text())
    users = f"/subscriptions/{known['subscription_id']}/providers/Bascule.Identity/users"
    version = "api-version=2026-11-01"
    found = json.loads(server.call("GET", f"{users}?{version}", token).content)["value"]
    (user,) = (each for each in found if each["properties"]["userPrincipalName"] == name)
    done = httpx2.patch(
        f"{server.endpoint}{users}/{user['name']}?{version}",
        json={"properties": {"accountEnabled": False}},
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=server.ca),
        timeout=30,
    )
    assert done.status_code == 200, done.text
