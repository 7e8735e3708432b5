"""A person who approves device codes: whatever code a test writes into a file is answered.

The page is used as a browser without JavaScript uses it: sign in, enter the code, allow.
"""

from __future__ import annotations

import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from tests.wire.browsing import forms

LOOK_SECONDS = 0.2


class Approver:
    """Looks at the file from beginning to end of the block, in a thread of its own."""

    def __init__(self, world: dict[str, Any], code_file: Path) -> None:
        self.code_file = code_file
        self._endpoint = str(world["endpoint"])
        self._ca_file = str(world["ca_file"])
        self._users = world["users"]
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ending.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            if self._users and self.code_file.exists():
                code = self.code_file.read_text().strip()
                if code:  # else it is being written
                    self.code_file.unlink()
                    self._approve(code)

    def _approve(self, code: str) -> None:
        person = self._users[0]
        trust = ssl.create_default_context(cafile=self._ca_file)
        with httpx2.Client(
            base_url=self._endpoint, verify=trust, follow_redirects=True, timeout=60
        ) as client:
            form = forms(client.get("/device"))[0]
            named = {**form.fields, "name": person["name"], "password": person["password"]}
            form = forms(client.post(form.action, data=named))[0]
            form = forms(client.post(form.action, data={**form.fields, "user_code": code}))[0]
            client.post(form.action, data={**form.fields, "answer": "allow"})
