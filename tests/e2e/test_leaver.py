"""Who leaves is shut out at once, in packets (EDGES B3, B11).

The one who leaves is a program on the stranger's host: it signs in, asks, gets through, and
is disabled by the administrator on the client's.
"""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest

from bascule.client.connection import Connection, trust_file
from bascule.client.principals import SERVICES, list_principals
from bascule.client.tokens import Credentials
from bascule.client.versions import AUTHORIZATION_VERSION
from bascule.clocks import SystemClock
from bascule.domain.builtin_roles import SECURITY_ADMIN, VIRTUAL_MACHINE_CONTRIBUTOR
from tests.e2e.lab_world import LabWorld, until

pytestmark = [pytest.mark.root, pytest.mark.leak]

AT_ONCE = 10.0  # seconds that a loaded machine may take for the agent to hear and act


def test_who_is_disabled_loses_his_open_port_at_once(lab: LabWorld) -> None:
    info = lab.info()
    name = f"leaver-{uuid.uuid4().hex[:8]}"
    secret = lab.said("client", "bascule", "sp", "add", name)
    admin = info["admin"]
    with Connection(
        info["endpoint"],
        info["subscription_id"],
        Credentials(info["tenant_id"], admin["client_id"], admin["client_secret"]),
        trust_file(Path(info["ca_file"])),
        SystemClock(),
    ) as connection:
        (leaver,) = list_principals(connection, SERVICES, name)
        web = next(each["id"] for each in info["machines"] if each["name"] == "web-1")
        for role in (SECURITY_ADMIN, VIRTUAL_MACHINE_CONTRIBUTOR):
            definition = (
                f"/subscriptions/{info['subscription_id']}/providers/Microsoft.Authorization"
            )
            connection.call(
                "PUT",
                f"{web}/providers/Microsoft.Authorization/roleAssignments/{uuid.uuid4()}",
                AUTHORIZATION_VERSION,
                body={
                    "properties": {
                        "roleDefinitionId": f"{definition}/roleDefinitions/{role.id}",
                        "principalId": leaver.id,
                    }
                },
            )
    place = lab.said("stranger", "mktemp", "-d")
    own = ("env", f"BASCULE_CONFIG={place}/config.json", f"XDG_STATE_HOME={place}", "bascule")
    try:
        lab.said(
            "stranger", *own, "login", "--endpoint", info["server"], "--ca-file", info["ca_file"],
            "--subscription", info["subscription_id"], "--service-principal",
            "-u", leaver.id, "-p", secret, "-t", info["tenant_id"],
        )  # fmt: skip
        assert not lab.reaches("stranger")
        lab.said("stranger", *own, "request", "web-1", "--for", "10m")
        assert lab.reaches("stranger")
        shown = json.loads(lab.said("client", "bascule", "sp", "show", name, "-o", "json"))
        assert shown["liveGrants"] == 1
        said = lab.said("client", "bascule", "sp", "disable", name, "--yes")
        assert "1 open port closes at once" in said
        assert until(lambda: not lab.reaches("stranger"), AT_ONCE)
        refused = lab.on("stranger", *own, "request", "web-1", "--for", "10m")
        assert refused.returncode == 5, refused.stderr
        assert not lab.reaches("stranger")
    finally:
        lab.on("stranger", "rm", "-rf", place)
        lab.on("client", "bascule", "sp", "delete", name, "--yes")
