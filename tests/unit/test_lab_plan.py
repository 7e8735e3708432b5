"""The lab's pure parts: names, addresses, what runs where, what is said to the user."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from bascule.agent.guard_file import load_guard
from bascule.domain.net import PublicPort
from bascule.errors import InvalidInput, NotFound
from bascule.lab import units
from bascule.lab.environment import host_environment
from bascule.lab.folder import LabFolder
from bascule.lab.guide import render_guide
from bascule.lab.host import account_files, covered, notify_path
from bascule.lab.info import render_table
from bascule.lab.network import render_bridge, render_host, render_namespaces
from bascule.lab.person import Person
from bascule.lab.sshd import render_config, render_known_hosts
from bascule.lab.topology import LabHost, default_topology

TOPOLOGY = default_topology("demo")
FOLDER = LabFolder(Path("/labs/demo"))
ROOT = Person("root", 0, 0, Path("/root"), "/bin/bash")
SOMEBODY = Person("ann", 1000, 1000, Path("/home/ann"), "/bin/sh")

INFO: dict[str, Any] = {
    "name": "demo",
    "endpoint": "https://localhost:8443",
    "portal": "https://localhost:8443/portal",
    "server": "https://server:8443",
    "ca_file": "/labs/demo/data/ca.pem",
    "folder": "/labs/demo",
    "rootless": False,
    "client": "client",
    "stranger": "stranger",
    "machines": [{"name": "web-1"}, {"name": "db-1"}],
    "hosts": [
        {
            "name": host.name,
            "addresses": list(host.addresses),
            "namespace": TOPOLOGY.namespace(host),
        }
        for host in TOPOLOGY.hosts
    ],
    "users": [{"name": "reader", "password": "hushhush", "role": "Reader"}],
    "inventory": [{"name": "legacy-1"}],
    "servers": [{"name": "server"}],
    "balancer": None,
    "database": None,
    "pids": {
        "servers": {"server": 11},
        "agents": {"web-1": 12, "db-1": 13},
        "sshd": {"web-1": 14, "db-1": 15},
        "supervisor": 10,
    },
}


BEHIND = {
    "name": "app-1",
    "gateway": "gw",
    "agent": False,
    "ports": [22],
    "publicPort": 2200,
    "publicAddresses": ["10.203.0.23", "fd20:3::23"],
}


# -- names and addresses


@pytest.mark.parametrize("name", ["demo", "a", "Lab_2", "x" * 32])
def test_lab_name_becomes_a_folder(name: str) -> None:
    assert default_topology(name).bridge_namespace == f"bascule-{name}-bridge"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../x", "a/b", "-a", "a b", "x" * 33, "d\u00e9mo", "a\n"]
)
def test_lab_name_that_would_leave_its_folder_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match="is not a valid lab name"):
        default_topology(name)


def test_every_host_has_names_and_addresses_of_its_own() -> None:
    addresses = [address for host in TOPOLOGY.hosts for address in host.addresses]
    assert len(set(addresses)) == 2 * len(TOPOLOGY.hosts)
    assert len(set(TOPOLOGY.namespaces)) == len(TOPOLOGY.hosts) + 1
    assert [machine.name for machine in TOPOLOGY.machines] == ["web-1", "db-1"]
    assert (TOPOLOGY.client.name, TOPOLOGY.stranger.name) == ("client", "stranger")


def test_unknown_host_is_answered_with_those_that_exist() -> None:
    with pytest.raises(NotFound) as caught:
        TOPOLOGY.host("web-2")
    assert "server, client, stranger, web-1, db-1, gw, app-1, sql-1" in caught.value.advice


def test_hosts_file_knows_all_on_both_families() -> None:
    lines = TOPOLOGY.hosts_file(TOPOLOGY.client).splitlines()
    assert "10.203.0.21 web-1" in lines
    assert "fd20:3::21 web-1" in lines
    assert "127.0.0.1 localhost" in lines


@pytest.mark.parametrize("host", TOPOLOGY.hosts, ids=lambda host: host.name)
def test_every_host_knows_the_server_by_name(host: LabHost) -> None:
    """EDGES C1: WebAuthn needs a name, and the certificate has to hold the same one."""
    lines = TOPOLOGY.hosts_file(host).splitlines()
    assert {"10.203.0.2 server", "fd20:3::2 server"} <= set(lines)
    assert "server" in units.server(TOPOLOGY, FOLDER, ["bascule"]).argv


# -- the network


def test_no_cable_ends_outside_the_lab() -> None:
    """Both ends are named by the lab's namespaces, or stand in the bridge's where this runs."""
    cables = [line for line in render_bridge(TOPOLOGY).splitlines() if " veth " in line]
    ends = (*TOPOLOGY.hosts, TOPOLOGY.gateway)  # which is on both bridges
    for line, host in zip(cables, ends, strict=True):
        assert line.endswith(f"netns {TOPOLOGY.namespace(host)}")
        assert len(line.split()[2]) < 16  # IFNAMSIZ


def test_host_has_both_families_at_once() -> None:
    text = render_host(TOPOLOGY, TOPOLOGY.client)
    assert "address add 10.203.0.10/24 dev eth0\n" in text
    assert "address add fd20:3::10/64 dev eth0 nodad\n" in text  # usable without a second's wait


def test_the_machines_behind_the_gateway_are_reached_through_it_alone() -> None:
    """By their own link or another way round they would be reached past it (EDGES G7)."""
    masters = {}
    for line in render_bridge(TOPOLOGY).splitlines():
        words = line.split()
        if "master" in words:
            masters[words[2]] = words[words.index("master") + 1]
    inner = {name for name, bridge in masters.items() if bridge == "br1"}
    assert inner == {"p31", "p32", "q23"}
    app = TOPOLOGY.host("app-1")
    assert app.addresses == ("10.203.1.31", "fd20:4::31")
    assert not app.has_agent
    text = render_host(TOPOLOGY, app)
    assert "route add 0.0.0.0/0 via 10.203.1.1\n" in text
    assert "route add ::/0 via fd20:4::1\n" in text
    assert "address add 10.203.1.1/24 dev eth1\n" in render_host(TOPOLOGY, TOPOLOGY.gateway)
    assert "route add 10.203.1.0/24 via 10.203.0.23\n" in render_host(TOPOLOGY, TOPOLOGY.client)
    assert "route add fd20:4::/64 via fd20:3::23\n" in render_host(TOPOLOGY, TOPOLOGY.client)
    assert units.notify_units(TOPOLOGY, app) == ()


def test_namespaces_are_registered_under_their_contract_names() -> None:
    assert "netns add bascule-demo-web-1\n" in render_namespaces(TOPOLOGY)


# -- what a host sees


def test_folders_under_a_cover_stay_visible() -> None:
    kept = [Path("/root/.pyenv/3.11"), Path("/srv/x"), Path("/root/src"), Path("/rooted")]
    assert covered(kept, Path("/root")) == [Path("/root/.pyenv/3.11"), Path("/root/src")]


@pytest.mark.parametrize("kept", ["/root", "/"])
def test_cover_that_would_hide_the_code_itself_is_refused(kept: str) -> None:
    with pytest.raises(ValueError, match="must stay visible"):
        covered([Path(kept)], Path("/root"))


def test_outer_folder_is_shown_before_the_inner_one() -> None:
    """The other way round, the outer one would lie on top of the inner."""
    kept = [Path("/h/a/b/c"), Path("/h/a"), Path("/h/a/b")]
    assert covered(kept, Path("/h")) == [Path("/h/a"), Path("/h/a/b"), Path("/h/a/b/c")]


def test_nothing_of_the_callers_settings_reaches_a_host() -> None:
    outer = {
        "BASCULE_CONFIG": "/somewhere",
        "SSH_AUTH_SOCK": "/tmp/agent",
        "SSH_CONNECTION": "198.51.100.7 1 198.51.100.8 22",
        "XDG_CONFIG_HOME": "/outer",
        "HOME": "/outer",
        "PATH": "/outer/bin",
        "LD_PRELOAD": "x.so",
        "TERM": "xterm",
        "LC_ALL": "C.UTF-8",
    }
    found = host_environment(SOMEBODY, outer)
    assert not set(outer.values()) - {"xterm", "C.UTF-8"} & set(found.values())
    assert not [name for name in found if name.startswith(("BASCULE", "SSH", "LD_"))]
    assert found["HOME"] == "/home/ann"
    assert found["XDG_CONFIG_HOME"] == "/home/ann/.config"
    assert found["USER"] == "ann"
    assert found["TERM"] == "xterm"
    assert found["LC_ALL"] == "C.UTF-8"


def test_locked_account_may_log_in_by_key() -> None:
    assert account_files(ROOT)["shadow"].startswith("root:*:")
    assert "tty:" not in account_files(SOMEBODY)["group"]


# -- what runs


def test_server_listens_on_both_families_under_all_its_names() -> None:
    unit = units.server(TOPOLOGY, FOLDER, ["/venv/bin/bascule"])
    line = " ".join(unit.argv)
    assert line.startswith("/venv/bin/bascule serve --data /labs/demo/data --listen 0.0.0.0:8443")
    assert "--listen [::]:8443" in line
    assert line.endswith("--name server --name 10.203.0.2 --name fd20:3::2")
    assert unit.takes_listen_socket
    assert unit.environment == {}


def test_agent_has_a_notify_socket_of_its_own() -> None:
    machine = TOPOLOGY.machines[0]
    unit = units.agent(TOPOLOGY, FOLDER, ["bascule"], machine, "TOKEN")
    assert unit.environment == {
        "NOTIFY_SOCKET": notify_path("web-1/agent"),
        "BASCULE_ENROLMENT_TOKEN": "TOKEN",
    }
    assert "TOKEN" not in " ".join(unit.argv), "any account can read a command line"
    assert unit.name in units.notify_units(TOPOLOGY, machine)
    assert unit.argv[:5] == ("bascule", "agent", "run", "--server", "https://server:8443")


def test_the_gateway_alone_has_a_guard_file_and_all_behind_it_are_in_that(tmp_path: Path) -> None:
    (tmp_path / "guard.toml").write_text(TOPOLOGY.guard_file)
    guard = load_guard(tmp_path / "guard.toml")
    for machine in TOPOLOGY.behind:
        addresses = [ip_address(each) for each in (machine.ipv4, machine.ipv6)]
        assert guard.objection_behind(addresses, ()) is None
        public = [PublicPort(ip_address(each), 2200) for each in TOPOLOGY.gateway.addresses]
        assert guard.objection_behind(addresses, public) is None
    for machine in TOPOLOGY.agents:
        argv = units.agent(TOPOLOGY, FOLDER, ["bascule"], machine, "TOKEN").argv
        assert ("--guard" in argv) is (machine == TOPOLOGY.gateway)


def test_sshd_takes_this_persons_key_only() -> None:
    lines = render_config(SOMEBODY, has_penalties=True).splitlines()
    assert "AllowUsers ann" in lines
    assert "UsePAM no" in lines
    assert "PasswordAuthentication no" in lines
    assert any(line.startswith("AuthorizedKeysFile /") for line in lines)


def test_known_hosts_names_a_machine_by_all_that_ssh_may_be_given() -> None:
    machine = TOPOLOGY.machines[0]
    assert render_known_hosts({machine: "ssh-ed25519 AAAA"}) == (
        "web-1,10.203.0.21,fd20:3::21 ssh-ed25519 AAAA\n"
    )


# -- what is said


def test_guide_prints_whole_commands() -> None:
    text = render_guide(INFO, "/opt/x/bascule")
    commands = [line.strip() for line in text.splitlines() if line.startswith("  ")]
    assert all(line.startswith(("/opt/x/bascule lab ", "kill -9 ")) for line in commands)
    assert "/opt/x/bascule lab exec client -- bascule ssh web-1 -- hostname" in commands
    assert "kill -9 12" in commands
    assert "--name" not in text


def test_guide_says_where_the_portal_is_and_who_signs_in() -> None:
    text = render_guide(INFO, "bascule")
    assert "sign in at https://localhost:8443/portal as one of" in text
    assert "hushhush" not in text, "the guide is what people paste; the passwords are one step on"


def test_guide_leads_to_a_machine_without_an_agent() -> None:
    """Both requests are open then, so that what closes them must not be asked which."""
    text = render_guide({**INFO, "machines": [*INFO["machines"], BEHIND]}, "bascule")
    assert "app-1 has no agent. The gateway gw keeps its ports closed" in text
    assert "\n  bascule lab exec client -- bascule request app-1 --for 5m\n" in text
    assert "\n  bascule lab exec client -- bascule ssh app-1 -- hostname\n" in text
    assert "\n  bascule lab exec client -- bascule revoke --all\n" in text
    assert "has no agent" not in render_guide(INFO, "bascule")


def test_public_ports_are_within_what_the_gateway_s_guard_file_gives() -> None:
    ports = [TOPOLOGY.public_port(each) for each in TOPOLOGY.behind]
    assert ports == [2200, 2201]
    assert 'public_ports = "2200-2299"' in TOPOLOGY.guard_file


def test_guide_of_another_lab_names_it_in_each_command() -> None:
    text = render_guide({**INFO, "name": "two"}, "bascule", is_held=True)
    commands = [line for line in text.splitlines() if line.startswith("  bascule lab")]
    assert all(" --name two" in line for line in commands)
    assert "In another terminal" in text.splitlines()[0]


def test_table_tells_the_pids_and_no_secret() -> None:
    info = {**INFO, "admin": {"client_id": "id", "client_secret": "unspoken"}}
    text = render_table(info)
    assert "agent 12, sshd 14" in text
    assert "server 11" in text
    assert "bascule-demo-stranger" in text
    assert "unspoken" not in text
    assert "reader (Reader), password hushhush" in text, "who signs in at the portal needs it"
    assert "https://localhost:8443/portal here, https://server:8443/portal inside" in text
    assert "legacy-1" in text


def test_table_tells_what_is_behind_the_gateway() -> None:
    machines = [BEHIND, {**BEHIND, "name": "sql-1", "agent": True}, {"name": "gw", "gateway": None}]
    pids = {
        "servers": {"server": 11},
        "agents": {"gw": 12},
        "sshd": {"gw": 14, "app-1": 15},
        "supervisor": 10,
    }
    text = render_table({**INFO, "machines": machines, "pids": pids})
    assert "app-1 (no agent) is reached through gateway gw: its port 22 by 10.203.0.23:2200" in text
    assert "sql-1 (its own agent too) is reached through gateway gw" in text
    assert "no agent, sshd 15" in text


def test_table_says_that_a_machine_has_no_agent_any_more() -> None:
    pids = {
        "servers": {"server": 11},
        "agents": {"web-1": None},
        "sshd": {"web-1": 14},
        "supervisor": 10,
    }
    assert "agent ended, sshd 14" in render_table({**INFO, "pids": pids})


@pytest.mark.parametrize("has_penalties", [True, False])
def test_a_lab_may_be_knocked_at(has_penalties: bool) -> None:
    """sshd would shut the knocking client out by itself; an older one knows no such line."""
    lines = render_config(SOMEBODY, has_penalties).splitlines()
    assert ("PerSourcePenalties no" in lines) == has_penalties
