"""``python -m bench.initiate``: what one ``initiate`` costs, with few and with many assignments,
and decided by rules.

Each candidate is a server of its own on loopback, asked in turn over one kept connection:
authentication, authorisation, decision, request, events and the flush to disk are in it, an
agent is not. ``--against REVISION`` puts the program of an earlier commit beside it.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from bascule.client.tokens import Credentials
from bascule.clocks import SystemClock
from bascule.domain.times import format_utc
from bench import report
from bench.revision import HERE, source_of
from bench.series import summary
from bench.standing import Broken

MANY = 1000  # assignments; a tenth of them are the caller's own
RULES = 10  # each is judged, and none holds
_START_SECONDS = 40.0

# Run with the candidate's own program, before its server starts.
_ASSIGN = """
import asyncio, json, sys, uuid
from datetime import datetime, UTC
from pathlib import Path
from bascule.domain.access import PrincipalKind
from bascule.domain.builtin_roles import READER
from bascule.domain.principals import Group, Membership
from bascule.domain.roles import RoleAssignment
from bascule.domain.scopes import group_scope
from bascule.store.open import open_store
data, many = Path(sys.argv[1]), int(sys.argv[2])
admin = json.loads((data / "admin.json").read_text())
store, now = open_store(data / "bascule.db"), datetime.now(UTC)
def fill(tx):
    groups = [str(uuid.uuid4()) for _ in range(10)]
    for number, group in enumerate(groups):
        tx.put_group(Group(group, f"group {number}", "", now))
        tx.put_membership(Membership(group, admin["client_id"], PrincipalKind.SERVICE))
    for number in range(many):
        who = groups[number % 10] if number % 10 == 0 else str(uuid.uuid4())
        where = group_scope(admin["subscription_id"], f"group-{number}")
        tx.add_role_assignment(RoleAssignment(
            str(uuid.uuid4()), where, READER.id, who, PrincipalKind.GROUP, "", now, ""))
asyncio.run(store.write(fill))
store.close()
"""


class Server:
    """One candidate: its process and the connection over which it is asked."""

    def __init__(self, name: str, port: int, admin: dict[str, str]) -> None:
        self.name, self._port, self._admin = name, port, admin
        self._connection = http.client.HTTPSConnection(
            "localhost", port, context=ssl.create_default_context(cafile=admin["ca_file"])
        )
        self._token = ""
        self.times: list[float] = []

    @property
    def _group(self) -> str:
        return f"/subscriptions/{self._admin['subscription_id']}/resourceGroups/default"

    def machine(self, name: str = "web-1") -> str:
        return f"{self._group}/providers/Microsoft.Compute/virtualMachines/{name}"

    @property
    def policy(self) -> str:
        where = "providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies"
        return f"{self._group}/{where}/default"

    def prepare(self, machines: Sequence[str] = ("web-1",)) -> None:
        self.sign_in()
        rule = {"number": 22, "protocol": "TCP", "maxRequestAccessDuration": "PT3H"}
        ports = [{**rule, "allowedSourceAddressPrefix": "*"}]
        for each in machines:
            self.call("PUT", self.machine(each), {"location": "local"})
        rules = [{"id": self.machine(each), "ports": ports} for each in machines]
        body = {"kind": "Basic", "properties": {"virtualMachines": rules}}
        self.call("PUT", self.policy, body)

    def put_rules(self) -> None:
        """Rules that read the time and what was held before, which costs the most to judge."""
        conditions = {"ports": [22], "longerThan": "PT2H", "sourcesWithin": ["0.0.0.0/0"]}
        rules = [
            {"name": f"rule-{n}", "effect": "deny", "conditions": conditions} for n in range(RULES)
        ]
        body = self.call("GET", self.policy, None)
        body["properties"]["bascule"] = {"rules": rules}
        kept = self.call("PUT", self.policy, body)["properties"]["bascule"]["rules"]
        if len(kept) != RULES:
            raise Broken(f"{self.name}: {len(kept)} rules were kept")

    def sign_in(self) -> None:
        admin = self._admin
        known = Credentials(admin["tenant_id"], admin["client_id"], admin["client_secret"])
        form = urlencode(known.form(f"https://localhost:{self._port}"))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        self._token = self._send("POST", known.token_path, form, headers)["access_token"]

    def ask(self) -> None:
        """Initiate, timed; revoke, not timed."""
        ends = format_utc(SystemClock().now() + timedelta(minutes=10))
        port = {"number": 22, "endTimeUtc": ends, "allowedSourceAddressPrefix": "192.0.2.1"}
        body = {"virtualMachines": [{"id": self.machine(), "ports": [port]}]}
        began = time.perf_counter()
        made = self.call("POST", f"{self.policy}/initiate", body)
        self.times.append((time.perf_counter() - began) * 1000)
        requests = f"/subscriptions/{self._admin['subscription_id']}/providers/Bascule.Access"
        self.call("POST", f"{requests}/accessRequests/{made['bascule']['requestId']}/revoke", {})

    def call(self, method: str, path: str, body: object) -> Any:  # noqa: ANN401  # reason: JSON
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        text = "" if body is None else json.dumps(body)
        return self._send(method, f"{path}?api-version=2020-01-01", text, headers)

    def _send(self, method: str, path: str, body: str, headers: dict[str, str]) -> Any:  # noqa: ANN401  # reason: JSON
        self._connection.request(method, path, body, headers)
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300:
            raise Broken(f"{self.name}: {method} {path} was answered {answer.status}: {text!r}")
        return json.loads(text)

    def close(self) -> None:
        self._connection.close()


@contextmanager
def server(name: str, source: Path, folder: Path, port: int, many: int) -> Iterator[Server]:
    """A server of the program in ``source``, ready to be asked."""
    data = folder / name
    environment = os.environ | {"PYTHONPATH": str(source / "src")}
    command = [sys.executable, "-m", "bascule.bootstrap", "serve", "--data", str(data)]
    listen = [*command, "--listen", f"127.0.0.1:{port}"]

    def start() -> subprocess.Popen[bytes]:
        begun = subprocess.Popen(
            listen, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_for(port, data / "admin.json", begun)
        return begun

    process = start()
    try:
        if many:
            process.terminate()
            process.wait(20)
            assign = [sys.executable, "-c", _ASSIGN, str(data), str(many)]
            subprocess.run(assign, env=environment, check=True)
            process = start()
        made = Server(name, port, json.loads((data / "admin.json").read_text()))
        try:
            made.prepare()
            yield made
        finally:
            made.close()
    finally:
        process.terminate()
        process.wait(20)


def wait_for(port: int, admin: Path, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        if admin.exists():
            try:
                http.client.HTTPConnection("localhost", port, timeout=1).connect()
            except OSError:
                pass
            else:
                return
        time.sleep(0.1)
    raise Broken(f"the server on port {port} did not come up")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.initiate", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200, help="questions a candidate (200)")
    parser.add_argument("--against", default="", metavar="REVISION", help="an earlier commit")
    parser.add_argument("--port", type=int, default=9543, help="the first of the ports (9543)")
    parser.add_argument("--dry", action="store_true", help="print, but write no results")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bascule-bench-")))
        ruled = f"{RULES} rules"
        wanted = [
            ("one assignment", HERE, 0),
            (f"{MANY} assignments", HERE, MANY),
            (ruled, HERE, 0),
        ]
        if arguments.against:
            earlier = stack.enter_context(source_of(arguments.against, folder))
            wanted.append((f"before ({arguments.against})", earlier, 0))
        servers = [
            stack.enter_context(server(name, source, folder, arguments.port + place, many))
            for place, (name, source, many) in enumerate(wanted)
        ]
        for each in servers:
            if each.name == ruled:
                each.put_rules()
        for _ in range(arguments.rounds):
            for each in servers:  # in turn, so that the machine's moods are shared
                each.ask()
    found = {each.name: summary(each.times) for each in servers}
    first = found[servers[0].name]["p50"]
    rows = [["CANDIDATE", "P50 MS", "P95 MS", "RATIO"]]
    for name, figures in found.items():
        ratio = f"{figures['p50'] / first:.2f}x"
        rows.append([name, f"{figures['p50']}", f"{figures['p95']}", ratio])
    print(report.render(rows))
    if not arguments.dry:
        report.write("initiate.json", {**found, "machine": report.machine()})
    return 0


if __name__ == "__main__":
    sys.exit(main())
