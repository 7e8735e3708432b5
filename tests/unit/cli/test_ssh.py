"""ssh and ssh-config: reuse, ask, the right address, the right words."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from bascule.cli.ssh_line import parse_ssh_line
from bascule.cli.ssh_prepare import door_file
from bascule.errors import InvalidInput
from tests.unit.cli.conftest import Cli
from tests.unit.cli.fake_server import FakeServer, public_port, rule

REPOSITORY = Path(__file__).parents[3]


@pytest.fixture
def web(server: FakeServer) -> str:
    path = server.add_machine("web-1", "203.0.113.5", "2001:db8::5")
    server.set_rules("web-1", rule(22))
    return path


class TestLine:
    """ssh(1): options before and after the host, clusters, then the command."""

    @pytest.mark.parametrize(
        ("words", "machine", "port", "options", "command"),
        [
            ("web-1", "web-1", None, [], []),
            ("web-1 hostname -f", "web-1", None, [], ["hostname", "-f"]),
            ("web-1 -- ls -l", "web-1", None, [], ["ls", "-l"]),
            ("-v web-1 -A uptime -p", "web-1", None, ["-v", "-A"], ["uptime", "-p"]),
            ("-p 2222 web-1", "web-1", 2222, [], []),
            ("-vvp2222 web-1", "web-1", 2222, ["-v", "-v"], []),
            ("web-1 -oPort=2222", "web-1", 2222, [], []),
            ("web-1 -o Port=2222 -p 23", "web-1", 23, [], []),
            ("web-1 -i key -l root -L 8080:localhost:80 -N", "web-1", None,
             ["-i", "key", "-l", "root", "-L", "8080:localhost:80", "-N"], []),
            ("-J hop -W web-2:22 web-1", "web-1", None, ["-J", "hop", "-W", "web-2:22"], []),
            ("-4 web-1", "web-1", None, ["-4"], []),
            ("-o StrictHostKeyChecking=no -- web-1 -v", "web-1", None, ["-o", "StrictHostKeyChecking=no"], ["-v"]),
            ("web-1 -- -- x", "web-1", None, [], ["--", "x"]),
            ("", "", None, [], []),
        ],
    )  # fmt: skip
    def test_words(
        self, words: str, machine: str, port: int | None, options: list[str], command: list[str]
    ) -> None:
        line = parse_ssh_line(words.split())
        assert (line.machine, line.port, line.options, line.command) == (
            machine,
            port,
            options,
            command,
        )

    def test_every_letter_of_the_installed_ssh_is_known(self) -> None:
        """A letter that takes a value and is not known would swallow the host."""
        if shutil.which("ssh") is None:
            pytest.skip("ssh is not installed")
        usage = subprocess.run(["ssh"], capture_output=True, text=True, check=False).stderr
        from bascule.cli.ssh_line import WITH_VALUE

        told = {
            each[1]
            for each in usage.replace("[", " ").split()
            if each.startswith("-") and len(each) == 2
        }
        assert told
        assert told <= WITH_VALUE

    def test_our_own_and_the_user(self) -> None:
        line = parse_ssh_line(["--for", "2h", "ad.min@web-1", "--why=a b", "-v", "cmd", "--for"])
        assert line.ours == {"for": "2h", "why": "a b"}
        assert (line.user, line.machine, line.command) == ("ad.min", "web-1", ["cmd", "--for"])

    @pytest.mark.parametrize(
        "words", ["-p", "-p x web", "-p 0 web", "-p 70000 web", "--nope web", "-l"]
    )
    def test_refused(self, words: str) -> None:
        with pytest.raises(InvalidInput):
            parse_ssh_line(words.split())

    @pytest.mark.parametrize("user", ["a b", "-x", "a;id", "$(id)", "`id`", ""])
    def test_a_user_that_a_shell_could_read_is_refused(self, user: str) -> None:
        with pytest.raises(InvalidInput):
            parse_ssh_line(["--", f"{user}@web-1"])


class TestSsh:
    def test_asks_waits_and_becomes_ssh_without_a_word(self, cli: Cli, web: str) -> None:
        result = cli("ssh", "-A", "web-1", "-o", "LogLevel=ERROR", "--", "hostname", "-f")
        assert (result.code, result.out, result.err) == (0, "", "")
        assert cli.became == [
            [
                "ssh",
                "-A",
                "-o",
                "LogLevel=ERROR",
                "-o",
                "HostKeyAlias=web-1",
                "--",
                "203.0.113.5",
                "hostname",
                "-f",
            ]
        ]
        assert cli.sent("POST", "/initiate")[0]["virtualMachines"][0]["ports"] == [
            {"number": 22, "duration": "PT1H"}
        ]

    def test_through_a_gateway_the_host_key_is_the_machine_s(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        """Two machines at one public address would else be taken for one whose key changed."""
        server.public = [public_port("198.51.100.80", 2001), public_port("2001:db8::80", 2002)]
        assert cli("ssh", "web-1", "hostname").code == 0
        words = ["-p", "2001", "-o", "HostKeyAlias=web-1", "--", "198.51.100.80", "hostname"]
        assert cli.became[0] == ["ssh", *words]
        server.public = [public_port("2001:db8::80", 2002)]
        server.requests.clear()
        assert cli("ssh", "web-1").code == 0
        assert cli.became[1][-1] == "203.0.113.5", "of the other IP version nothing is granted"

    def test_user_length_reason(self, cli: Cli, web: str) -> None:
        assert cli("ssh", "--for", "10m", "--why", "ticket", "root@web-1").code == 0
        assert cli.became[0][:3] == ["ssh", "-l", "root"]
        body = cli.sent("POST", "/initiate")[0]
        assert body["justification"] == "ticket"
        assert body["virtualMachines"][0]["ports"][0]["duration"] == "PT10M"

    def test_a_live_grant_is_used_again(self, cli: Cli, server: FakeServer, web: str) -> None:
        """Whoever connects waits for two answers: which machine it is, and what is open for them."""
        server.add_request("web-1")
        assert cli("ssh", "web-1").code == 0
        assert cli.became
        asked = [path.rpartition("/")[2] for verb, path, _ in server.calls if verb == "GET"]
        assert asked == ["virtualMachines", "accessRequests"]
        assert not cli.sent("POST", "/initiate")

    def test_a_live_grant_of_the_only_port_offered_is_used_again(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        """Not port 22: the policies say which one is meant."""
        server.set_rules("web-1", rule(2222))
        server.add_request("web-1", number=2222)
        assert cli("ssh", "web-1").code == 0
        assert cli.became[0][1:3] == ["-p", "2222"]
        assert not cli.sent("POST", "/initiate")

    @pytest.mark.parametrize(
        "grant",
        [
            {"left": timedelta(seconds=20)},
            {"source": "192.0.2.1"},
            {"state": "opening"},
            {"state": "closing"},
            {"number": 80},
            {"protocol": "UDP"},
            {"requestor": "somebody else"},
        ],
    )
    def test_a_grant_that_does_not_fit_is_not(
        self, cli: Cli, server: FakeServer, web: str, grant: dict[str, object]
    ) -> None:
        server.add_request("web-1", **grant)  # type: ignore[arg-type]  # reason: keywords of one row
        assert cli("ssh", "web-1").code == 0
        assert len(cli.sent("POST", "/initiate")) == 1

    @pytest.mark.parametrize("source", ["198.51.100.0/24", "*", "0.0.0.0/0"])
    def test_a_grant_whose_prefix_holds_our_address_fits(
        self, cli: Cli, server: FakeServer, web: str, source: str
    ) -> None:
        server.add_request("web-1", source=source)
        cli("ssh", "web-1")
        assert not cli.sent("POST", "/initiate")

    def test_not_knowing_our_address_we_ask(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.caller_header = False
        server.add_request("web-1")
        cli("ssh", "web-1")
        assert len(cli.sent("POST", "/initiate")) == 1

    def test_the_address_is_of_the_family_that_was_granted(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.headers = {"x-bascule-caller-address": "2001:db8:1::7"}
        server.caller_header = False
        server.add_request("web-1", source="2001:db8:1::7")
        assert cli("ssh", "web-1").code == 0
        assert cli.became[0][-1] == "2001:db8::5"

    def test_a_grant_for_another_address_of_this_host_fits(
        self, cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server saw our IPv4 address; the grant is for our IPv6 one."""
        monkeypatch.setattr("bascule.cli.reach.is_here", lambda each: str(each) == "2001:db8:1::7")
        server.add_request("web-1", source="2001:db8:1::7")
        assert cli("ssh", "-6", "web-1").code == 0
        assert cli.became[0][-1] == "2001:db8::5"
        assert not cli.sent("POST", "/initiate")
        assert cli("ssh", "-4", "web-1").code == 0
        assert len(cli.sent("POST", "/initiate")) == 1

    def test_no_address_of_that_family_is_an_error_that_says_so(
        self, cli: Cli, server: FakeServer
    ) -> None:
        server.add_machine("web-1", "2001:db8::5")
        server.set_rules("web-1", rule(22))
        result = cli("ssh", "web-1")
        assert result.code == 3
        assert "IPv4" in result.err
        assert not cli.became

    def test_a_family_that_was_asked_for_but_not_granted(self, cli: Cli, web: str) -> None:
        assert cli("ssh", "-6", "web-1").code == 3
        assert cli("ssh", "-4", "web-1").code == 0

    def test_port(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.set_rules("web-1", rule(22), rule(2222))
        cli("ssh", "web-1", "-p", "2222")
        assert cli.became[0][1:3] == ["-p", "2222"]
        server.set_rules("web-1", rule(2022))
        cli("ssh", "web-1")
        assert cli.became[1][1:3] == ["-p", "2022"], "the only port that can be asked for"
        server.set_rules("web-1", rule(2022), rule(80))
        assert cli("ssh", "web-1").code == 2

    def test_a_udp_port_is_none_to_reach(self, cli: Cli, server: FakeServer, web: str) -> None:
        """Nothing is asked for, and so nothing opened, that ssh could not use."""
        server.set_rules("web-1", rule(53, "UDP"))
        for words in (["web-1"], ["-p", "53", "web-1"]):
            result = cli("ssh", *words)
            assert result.code == 4
            assert "no TCP port to connect to" in result.err
        assert not cli.sent("POST", "/initiate")
        server.set_rules("web-1", rule(53, "UDP"), rule(2022))
        cli("ssh", "web-1")
        assert cli.became[0][1:3] == ["-p", "2022"], "the only one by TCP"

    def test_refusals_come_before_ssh(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.agents["web-1"] = "fails"
        assert cli("ssh", "web-1").code == 7
        assert cli("ssh", "nobody-knows").code == 3
        assert cli("ssh").code == 2
        assert cli("ssh", "--", "-oProxyCommand=id").code == 2
        assert not cli.became

    def test_help(self, cli: Cli) -> None:
        result = cli("ssh", "--help")
        assert result.code == 0
        assert "bascule ssh web-1" in result.out

    def test_ssh_that_is_not_there(
        self, cli: Cli, server: FakeServer, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def missing(*_: object) -> None:
            raise FileNotFoundError(2, "No such file or directory")

        monkeypatch.setattr("os.execvp", missing)
        result = cli("ssh", "web-1")
        assert result.code == 2
        assert "Install the OpenSSH client" in result.err
        assert "stays open until its time is over" in result.err
        assert f"bascule revoke {server.requests[0]['name'][:8]}" in result.err


class TestBehindAGateway:
    """ssh is a process of its own there: when it fails, what the gateway has seen is said."""

    SEEN = "the default route of 10.1.0.10 leads elsewhere."

    @pytest.fixture(autouse=True)
    def behind(self, server: FakeServer, web: str) -> None:
        seen = [{"gateway": "gw", "why": self.SEEN}]
        server.behind = {"gateways": ["gw"], "unanswered": seen}

    RUN = "import sys; from bascule.cli.ssh_behind import run; sys.exit(run(['ssh']))"

    def ssh(self, folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
        (folder / "ssh").write_text(f"#!/bin/sh\n{script}\n")
        (folder / "ssh").chmod(0o755)
        monkeypatch.setenv("PATH", str(folder), prepend=":")

    @pytest.mark.parametrize(
        ("script", "code", "is_told"),
        [
            ("exit 255", 255, True),
            ("exit 0", 0, False),
            ("exit 3", 3, False),  # the remote command's
            ("kill -KILL $$", 137, False),
        ],
    )
    def test_what_the_gateway_has_seen_is_said_when_ssh_fails(
        self,
        cli: Cli,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        script: str,
        code: int,
        is_told: bool,
    ) -> None:
        self.ssh(tmp_path, monkeypatch, script)
        result = cli("ssh", "web-1")
        assert (result.code, cli.became) == (code, [])
        said = f"web-1 port 22: no answer through gw: {self.SEEN}"
        assert (said in result.err) is is_told
        assert self.SEEN not in result.out

    def test_where_nothing_was_seen_ssh_alone_speaks(
        self, cli: Cli, server: FakeServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        server.behind = {"gateways": ["gw"]}
        self.ssh(tmp_path, monkeypatch, "exit 255")
        result = cli("ssh", "web-1")
        assert (result.code, result.err) == (255, "")

    def test_who_ends_it_ends_ssh(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        """A signal to this process goes on to ssh."""
        self.ssh(tmp_path, monkeypatch, "kill -TERM $PPID; exec sleep 60")
        with subprocess.Popen([sys.executable, "-c", self.RUN]) as ran:
            assert ran.wait(30) == 128 + signal.SIGTERM

    def test_a_signal_before_ssh_has_begun_ends_it_too(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whichever thread takes it; and what handled it before does so again."""
        before = signal.getsignal(signal.SIGTERM)
        self.ssh(tmp_path, monkeypatch, "exec sleep 60")
        spawn = os.posix_spawnp

        def late(*arguments: Any, **more: Any) -> int:
            os.kill(os.getpid(), signal.SIGTERM)
            return spawn(*arguments, **more)

        monkeypatch.setattr(os, "posix_spawnp", late)
        with ThreadPoolExecutor(1) as others:
            others.submit(int).result()
            assert cli("ssh", "web-1").code == 128 + signal.SIGTERM
        assert signal.getsignal(signal.SIGTERM) == before

    def test_what_is_ignored_stays_ignored(
        self, cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As under nohup."""
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        try:
            self.ssh(tmp_path, monkeypatch, "kill -HUP $PPID; kill -HUP $$; exit 0")
            assert cli("ssh", "web-1").code == 0
        finally:
            signal.signal(signal.SIGHUP, before)

    def test_one_that_is_stopped_stops_the_command(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """So that the shell goes on, as with ``~^Z``."""
        self.ssh(tmp_path, monkeypatch, "kill -STOP $$; exit 7")
        with subprocess.Popen([sys.executable, "-c", self.RUN]) as ran:
            _, status = os.waitpid(ran.pid, os.WUNTRACED)
            assert os.WIFSTOPPED(status)
            ran.send_signal(signal.SIGCONT)
            assert ran.wait(30) == 7

    def test_ssh_that_is_not_there(
        self, cli: Cli, server: FakeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PATH", "/nowhere")
        result = cli("ssh", "web-1")
        assert result.code == 2
        assert "Install the OpenSSH client" in result.err
        assert "stays open until its time is over" in result.err
        assert f"bascule revoke {server.requests[0]['name'][:8]}" in result.err


class TestSshConfig:
    @pytest.fixture(autouse=True)
    def program(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = tmp_path / "bascule"
        path.touch()
        monkeypatch.setattr(sys, "argv", [str(path)])

    def lines(self, cli: Cli, *machines: str) -> list[str]:
        result = cli("ssh-config", *machines)
        assert result.code == 0, result.err
        return [line for line in result.out.splitlines() if line and not line.startswith("#")]

    def test_its_output_its_help_and_the_documents_advise_the_same(
        self, cli: Cli, web: str
    ) -> None:
        """Appended lines are not replaced when it runs again, and the old ones go before."""
        told = cli("ssh-config").out
        for page in ("README.md", "docs/operations.md"):
            text = " ".join((REPOSITORY / page).read_text(encoding="utf-8").split())
            assert "~/.ssh/bascule.conf" in text
            assert not re.search(r">> ?~/\.ssh", text)
        readme = (REPOSITORY / "README.md").read_text(encoding="utf-8")
        for line in ("bascule ssh-config > ~/.ssh/bascule.conf", "Include bascule.conf"):
            assert line in told
            assert line in readme
        shown = cli("ssh-config", "--help").out
        assert "bascule ssh-config > ~/.ssh/bascule.conf" in shown
        assert ">>" not in shown

    def test_one_family_is_one_block(self, cli: Cli, server: FakeServer, tmp_path: Path) -> None:
        server.add_machine("web-1", "203.0.113.5")
        server.set_rules("web-1", rule(22))
        assert self.lines(cli) == [
            f'Match originalhost web-1 exec "{tmp_path}/bascule ssh-prepare web-1"',
            f'    Include "{door_file("web-1")}"',
            "    HostName 203.0.113.5",
            "    HostKeyAlias web-1",
        ]

    def test_two_families_are_two_and_the_second_asks_for_nothing(
        self, cli: Cli, web: str, tmp_path: Path
    ) -> None:
        assert self.lines(cli, "web-1") == [
            f'Match originalhost web-1 exec "{tmp_path}/bascule ssh-prepare web-1 --family 4"',
            f'    Include "{door_file("web-1")}"',
            "    HostName 203.0.113.5",
            "    HostKeyAlias web-1",
            f'Match originalhost web-1 host web-1 exec "{tmp_path}/bascule ssh-prepare web-1 --family 6 --live-only"',
            f'    Include "{door_file("web-1")}"',
            "    HostName 2001:db8::5",
            "    HostKeyAlias web-1",
        ]

    def test_other_port(self, cli: Cli, server: FakeServer) -> None:
        server.add_machine("web-1", "203.0.113.5")
        server.set_rules("web-1", rule(2022))
        lines = self.lines(cli)
        assert lines[0].endswith('ssh-prepare web-1 -p 2022"')
        assert lines[-1] == "    Port 2022"

    def test_what_cannot_be_is_left_out_with_a_word(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.add_machine("no-address")
        server.set_rules("no-address", rule(22))
        server.add_machine("twice", "203.0.113.6")
        server.set_rules("twice", rule(22))
        server.add_machine("twice", "203.0.113.7", group="others")
        server.set_rules("twice", rule(22), group="others")
        result = cli("ssh-config")
        assert result.code == 0
        assert "no-address: it has no address" in result.err
        assert result.err.count("another machine has the same name") == 2
        assert "twice" not in result.out
        assert "web-1" in result.out
        assert "none-named" in cli("ssh-config", "none-named").err

    def test_configuration_in_use_goes_along(
        self, cli: Cli, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        where = cli.home / "a 100%" / "c.json"
        where.parent.mkdir()
        where.write_text(cli.config.read_text())
        monkeypatch.setenv("BASCULE_CONFIG", str(where))
        assert f"exec \"env 'BASCULE_CONFIG={cli.home}/a 100%%/c.json' " in self.lines(cli)[0]

    @pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
    def test_the_real_ssh_reads_it(self, cli: Cli, web: str, tmp_path: Path) -> None:
        """`ssh -G` evaluates the file as a connection would."""
        program = tmp_path / "bascule"
        config = tmp_path / "ssh_config"
        config.write_text(cli("ssh-config").out)
        for script, address in (
            ('#!/bin/sh\necho "$@" >>calls; [ "$4" = 4 ]\n', "203.0.113.5"),
            ('#!/bin/sh\necho "$@" >>calls; [ "$4" = 6 ]\n', "2001:db8::5"),
            ('#!/bin/sh\necho "$@" >>calls; exit 1\n', "web-1"),
        ):
            program.write_text(script)
            program.chmod(0o755)
            (tmp_path / "calls").unlink(missing_ok=True)
            told = subprocess.run(
                ["ssh", "-F", str(config), "-G", "web-1"],
                capture_output=True, text=True, check=True, cwd=tmp_path,
            ).stdout  # fmt: skip
            assert f"\nhostname {address}\n" in f"\n{told}"
            assert ("\nhostkeyalias web-1\n" in told) is (address != "web-1")
            calls = (tmp_path / "calls").read_text().splitlines()
            assert calls[0] == "ssh-prepare web-1 --family 4"
            assert len(calls) == (1 if address == "203.0.113.5" else 2)

    @pytest.mark.skipif(shutil.which("ssh") is None, reason="ssh is not installed")
    def test_the_real_ssh_goes_where_the_gateway_leads_now(
        self, cli: Cli, server: FakeServer, web: str, tmp_path: Path
    ) -> None:
        """A public port that moved, or is no more, needs no new file."""
        program, config = tmp_path / "bascule", tmp_path / "ssh_config"
        program.write_text("#!/bin/sh\nexit 0\n")
        program.chmod(0o755)
        config.write_text(cli("ssh-config").out)

        def goes_to() -> tuple[str, str]:
            told = subprocess.run(
                ["ssh", "-F", str(config), "-G", "web-1"],
                capture_output=True, text=True, check=True,
            ).stdout  # fmt: skip
            found = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
            assert found["hostkeyalias"] == "web-1"
            return found["hostname"], found["port"]

        for number in (2001, 2002):
            server.requests.clear()
            server.public = [public_port("198.51.100.80", number)]
            assert cli("ssh-prepare", "web-1", "--family", "4").code == 0
            assert goes_to() == ("198.51.100.80", str(number))
        assert door_file("web-1").stat().st_mode & 0o777 == 0o600
        server.requests.clear()
        server.public = []
        assert cli("ssh-prepare", "web-1", "--family", "4").code == 0
        assert goes_to() == ("203.0.113.5", "22")
        assert not door_file("web-1").exists()

    def test_a_machine_without_an_address_may_be_behind_a_gateway(
        self, cli: Cli, server: FakeServer
    ) -> None:
        path = server.add_machine("app-1")
        server.set_rules("app-1", rule(22))
        server.machines[path]["properties"]["bascule"]["closedAt"] = ["gw"]
        assert not [line for line in self.lines(cli) if "HostName" in line]
        server.public = [public_port("198.51.100.80", 2001)]
        assert cli("ssh-prepare", "app-1").code == 0
        assert "Port 2001" in door_file("app-1").read_text()

    def test_a_path_that_ssh_would_read_otherwise_is_refused(
        self, cli: Cli, web: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("a*", "a%h", "a$b", 'a"b', "a[b]"):
            monkeypatch.setattr(
                "bascule.cli.ssh_prepare.token_path", lambda n=name: Path(f"/{n}/t")
            )
            assert "cannot be used in an ssh_config" in cli("ssh-config").err

    def test_prepare(self, cli: Cli, server: FakeServer, web: str) -> None:
        assert cli("ssh-prepare", "web-1", "--family", "6", "--live-only").code != 0
        assert not cli.sent("POST", "/initiate")
        result = cli("ssh-prepare", "web-1", "--family", "4")
        assert (result.code, result.out, result.err) == (0, "", "")
        assert cli("ssh-prepare", "web-1", "--family", "6", "--live-only").code == 1
        assert len(cli.sent("POST", "/initiate")) == 1

    def test_prepare_writes_a_damaged_door_file_anew(
        self, cli: Cli, server: FakeServer, web: str
    ) -> None:
        server.behind = {
            "gateways": ["gw"],
            "publicPorts": [public_port("198.51.100.80", 2001)],
        }
        file = door_file("web-1")
        file.parent.mkdir(parents=True)
        file.write_bytes(b"\xff\xfe\0")
        result = cli("ssh-prepare", "web-1", "--family", "4")
        assert (result.code, result.err) == (0, "")
        assert file.read_text() == "HostName 198.51.100.80\nPort 2001\n"

    def test_prepare_says_that_the_door_file_cannot_be_written(self, cli: Cli, web: str) -> None:
        door_file("web-1").mkdir(parents=True)
        result = cli("ssh-prepare", "web-1", "--family", "4")
        assert result.code == 2
        assert "web-1 cannot be written: Is a directory" in result.err

    def test_prepare_denied_is_said_once(self, cli: Cli, server: FakeServer, web: str) -> None:
        server.set_rules("web-1", rule(22, justificationRequired=True))
        assert "The policy wants a reason" in cli("ssh-prepare", "web-1", "--family", "4").err
        assert cli("ssh-prepare", "web-1", "--family", "6", "--live-only").err == ""
        assert len(cli.sent("POST", "/initiate")) == 1
