"""The top: help, exit codes, and what a quick start may not load."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from bascule.cli.lazy import Lazy, LazyGroup
from bascule.cli.main import COMMANDS, build, invoke
from bascule.errors import BasculeError, ConfigurationError
from tests.unit.cli.conftest import Cli

HEAVY = (
    "fastapi",
    "sqlalchemy",
    "pydantic",
    "rich",
    "httpx2",
    "http.client",
    "ssl",
    "cryptography",
    "joserfc",
    "asyncio",
)


def all_commands() -> list[tuple[str, click.Command]]:
    found: list[tuple[str, click.Command]] = []
    for name, lazy in COMMANDS.items():
        command = lazy.load()
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {child}", each) for child, each in command.commands.items()]
    return found


@pytest.mark.parametrize(
    "arguments", [["--help"], [], ["--version"], ["request", "--help"], ["policy", "set", "-h"]]
)
def test_help_loads_nothing_heavy(arguments: list[str]) -> None:
    """People feel what a prompt loads; a budget in milliseconds would measure the machine."""
    code = (
        "import sys; from bascule.cli.main import build, invoke\n"
        f"code = invoke(build({{'serve': 'fastapi:FastAPI'}}), None, {arguments!r})\n"
        f"print('LOADED', [m for m in {HEAVY!r} if m in sys.modules], code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED [] 0", done.stdout


def test_ssh_loads_only_what_a_live_grant_needs() -> None:
    """Policies, and asking for access, are loaded where no live grant fits."""
    code = (
        "import sys, bascule.cli.ssh, bascule.client.connection\n"
        "print([m for m in sys.modules if m in ('bascule.client.policies', 'bascule.cli.asking',"
        " 'bascule.client.machines', 'bascule.domain.machine', 'bascule.domain.weaknesses')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_summaries_are_there_for_every_command() -> None:
    for name, lazy in COMMANDS.items():
        assert lazy.load().name == name
        assert lazy.is_hidden or (lazy.summary and len(lazy.summary) < 55)


@pytest.mark.parametrize(
    ("name", "command"), all_commands(), ids=lambda value: str(value).replace(" ", "-")
)
def test_every_help_has_examples(
    name: str, command: click.Command, capsys: pytest.CaptureFixture[str]
) -> None:
    if command.hidden:
        return
    assert invoke(build({}), None, [*name.split(), "--help"]) == 0
    help_text = capsys.readouterr().out
    assert re.search(rf"Examples:\n +.*bascule {name}", help_text, re.DOTALL)
    assert max(map(len, help_text.splitlines())) <= 100


def test_every_exit_code_of_the_errors_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    invoke(build({}), None, ["--help"])
    documented = {
        int(code) for code in re.findall(r"(?:^|  )(\d{1,3})  \w", capsys.readouterr().out)
    }

    def kinds(top: type[BasculeError]) -> set[type[BasculeError]]:
        return {top}.union(*(kinds(each) for each in top.__subclasses__()))

    assert {kind.exit_code for kind in kinds(BasculeError)} | {0, 130} <= documented


def test_brought_commands_are_listed_and_loaded_only_when_called(
    capsys: pytest.CaptureFixture[str],
) -> None:
    group = build({"serve": "no.such.module:serve"})
    assert invoke(group, None, ["--help"]) == 0
    assert "serve" in capsys.readouterr().out
    assert invoke(group, None, ["serve"]) == 1
    assert "No module named" in capsys.readouterr().err


def test_a_brought_command_gets_the_object(capsys: pytest.CaptureFixture[str]) -> None:
    group = LazyGroup({"probe": Lazy(f"{__name__}:probe", "probe")}, name="bascule")
    assert invoke(group, "the object", ["probe"]) == 3
    assert capsys.readouterr().out == "the object\n"


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("bascule.bootstrap.absent:serve", "in the package bascule-server"),
        ("bascule.agent.absent:agent", "in the package bascule-agent"),
        ("bascule.lab_absent:lab", "A clone of the repository"),
    ],
)
def test_a_command_of_another_package_names_it(
    capsys: pytest.CaptureFixture[str], target: str, says: str
) -> None:
    """A host with the agent's package alone knows ``bascule serve`` by name only."""
    group = LazyGroup({"probe": Lazy(target, "probe")}, name="bascule")
    assert invoke(group, None, ["probe"]) == ConfigurationError.exit_code
    assert says in capsys.readouterr().err


@click.command()
@click.pass_obj
def probe(obj: object) -> int:
    click.echo(obj)
    return 3


def test_usage_errors_end_with_two(cli: Cli) -> None:
    assert cli("nothing").code == 2
    assert cli("request").code == 2
    assert "No such command" in cli("nothing").err


def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(cli: Cli) -> None:
    for typed, meant in (("reqest", "request"), ("polcy", "policy")):
        result = cli(typed)
        assert result.code == 2
        assert meant in result.err.partition(typed)[2]
    assert "mean" not in cli("zzzzzz").err


def test_not_signed_in(cli: Cli) -> None:
    cli.config.unlink()
    result = cli("status")
    assert result.code == 5
    assert "bascule login" in result.err


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"endpoint": 1}', "\x00"])
def test_damaged_configuration(cli: Cli, content: str) -> None:
    cli.config.write_text(content)
    result = cli("status")
    assert result.code == 2
    assert str(cli.config) in result.err


def test_an_account_without_a_home_is_told_what_to_set(
    cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", no_home)
    assert cli("machine", "list").code == 0, "both directories are named"
    monkeypatch.delenv("XDG_STATE_HOME")
    result = cli("machine", "list")
    assert result.code == 2
    assert "Set HOME, or XDG_STATE_HOME" in result.err


@pytest.mark.parametrize(
    ("redirection", "code", "said"),
    [(">/dev/full", 1, "No space left on device"), (">&-", 0, ""), ("2>&-", 0, "")],
)
def test_output_that_cannot_be_written_is_no_bug_report(
    redirection: str, code: int, said: str
) -> None:
    script = (
        "import sys; from bascule.cli.main import build, run; run(build({}), args=['--version'])"
    )
    done = subprocess.run(
        ["sh", "-c", f'"$0" -c "$1" {redirection}', sys.executable, script],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code
    assert said in done.stderr
    assert "bug" not in done.stderr
    assert "Exception ignored" not in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(cli: Cli) -> None:
    code = (
        "from bascule.cli.main import build, run\n"
        "import click\n"
        "group = build({'talk': '__main__:talk'})\n"
        "@click.command()\n"
        "def talk():\n"
        "    for _ in range(100000): click.echo('x' * 100)\n"
        "run(group, args=['talk'])\n"
    )
    piped = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" | head -1', sys.executable, code],
        capture_output=True,
        text=True,
        check=False,
    )
    assert piped.stdout == "x" * 100 + "\n"
    assert piped.stderr == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script(cli: Cli, shell: str) -> None:
    result = cli("completion", shell)
    assert result.code == 0
    assert "_BASCULE_COMPLETE" in result.out


def test_completion_of_commands_and_machines(cli: Cli) -> None:
    from click.shell_completion import ShellComplete

    cli.server.add_machine("web-1")
    cli.server.add_machine("db-1")

    def complete(args: list[str], start: str) -> list[str]:
        completer = ShellComplete(build({}), {}, "bascule", "_BASCULE_COMPLETE")
        return [item.value for item in completer.get_completions(args, start)]

    assert complete([], "re") == ["request", "revoke", "review"]
    assert "ssh-prepare" not in complete([], "ssh")
    assert complete(["request"], "w") == ["web-1"]
    assert complete(["policy"], "s") == ["set", "show"]
    both = ["db-1", "web-1"]
    assert complete(["ssh"], "") == both
    assert complete(["ssh"], "w") == ["web-1"]
    assert complete(["ssh", "-v", "-L", "8080:localhost:80", "--why", "x"], "d") == ["db-1"]
    assert complete(["ssh"], "root@w") == ["root@web-1"], "zsh, fish"
    assert complete(["ssh", "root", "@"], "w") == ["web-1"], "bash breaks words at @"
    assert complete(["ssh", "root"], "@") == ["@db-1", "@web-1"]
    assert complete(["ssh", "-p"], "") == [], "a port"
    assert complete(["ssh", "web-1"], "d") == [], "what is called there is not ours to know"
    assert complete(["ssh", "web-1", "--"], "d") == []
    assert complete(["ssh"], "--") == [
        *("--at", "--close", "--emergency", "--for", "--no-close", "--policy", "--up-to", "--why"),
    ]
    assert complete(["ssh"], "--f") == ["--for"]
    cli.config.unlink()
    assert complete(["ssh"], "w") == []
    assert complete(["request"], "w") == []


def test_version(cli: Cli) -> None:
    assert cli("version", "-o", "json").json["endpoint"] == "https://bascule.test:8443"
    cli.config.unlink()
    assert "not signed in" in cli("version").out
    assert cli("--version").out.startswith("bascule ")
