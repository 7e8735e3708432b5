"""Reading an ssh command line: which word is the host, which port, what is passed on.

Source: ssh(1) of OpenSSH 10.0, whose getopt letters are below. Options may stand before and
after the destination; the first further word begins the command, and everything behind it
belongs to the far side. Our own options are long ones, of which ssh has none.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from bascule.domain.net import parse_port_number
from bascule.errors import InvalidInput

# What takes a value in ssh's getopt string "1246ab:c:e:fgi:kl:m:no:p:qstvxAB:CD:E:F:GI:J:KL:MNO:P:Q:R:S:TVw:W:XYy"
WITH_VALUE = frozenset("bceilmopBDEFIJLOPQRSwW")
FLAGS = frozenset({"--close", "--no-close", "--emergency"})
OUR_OPTIONS = frozenset({"--for", "--why", "--policy", "--at", "--up-to"}) | FLAGS

_PORT_OPTION = re.compile(r"\s*port\s*[=\s]\s*\"?(\d{1,5})\"?\s*", re.IGNORECASE)
_USER = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.@\\-]{0,255}\$?")


@dataclass(slots=True)
class SshLine:
    """What the words of a command line say."""

    machine: str = ""
    user: str | None = None
    port: int | None = None
    options: list[str] = field(default_factory=list)  # for ssh, the port taken out
    command: list[str] = field(default_factory=list)
    ours: dict[str, str] = field(
        default_factory=dict
    )  # OUR_OPTIONS without the dashes; a flag is there, empty
    family: int = 0  # 4 or 6 when -4 or -6 was given
    is_help: bool = False


def parse_ssh_line(arguments: Sequence[str]) -> SshLine:
    """Take a command line apart; raises InvalidInput for what cannot be understood."""
    line = SshLine()
    words = list(arguments)
    while words:
        word = words.pop(0)
        if word == "--":
            _after_dashes(line, words)
            break
        if word.startswith("--"):
            _take_ours(line, word, words)
        elif word.startswith("-") and word != "-":
            _take_letters(line, word, words)
        elif not line.machine:
            _take_destination(line, word)
        else:
            line.command = [word, *words]
            break
    return line


def _after_dashes(line: SshLine, words: list[str]) -> None:
    if not line.machine and words:
        _take_destination(line, words.pop(0))
    line.command = list(words)


def _take_ours(line: SshLine, word: str, words: list[str]) -> None:
    name, separator, value = word.partition("=")
    if name == "--help":
        line.is_help = True
        return
    if name not in OUR_OPTIONS:
        raise InvalidInput(
            f"bascule ssh has no option {name[:60]}.",
            advice="See bascule ssh --help. A command for the machine goes after --.",
        )
    if name in FLAGS:
        if separator:
            raise InvalidInput(f"Option {name} takes no value.")
    elif not separator:
        value = _value_of(name, words)
    line.ours[name.removeprefix("--")] = value


def _take_letters(line: SshLine, word: str, words: list[str]) -> None:
    """One cluster of letters, as getopt(3) reads it: -vvp2222 is -v -v -p 2222."""
    for place, letter in enumerate(word[1:], start=1):
        if letter not in WITH_VALUE:
            line.options.append(f"-{letter}")
            if letter in "46":
                line.family = int(letter)
            continue
        value = word[place + 1 :] or _value_of(f"-{letter}", words)
        _take_value(line, letter, value)
        return


def _take_value(line: SshLine, letter: str, value: str) -> None:
    port = _PORT_OPTION.fullmatch(value) if letter == "o" else None
    if letter == "p":
        line.port = _port(value)
    elif port is not None:
        line.port = line.port or _port(port[1])  # ssh: the first value obtained holds
    else:
        line.options += [f"-{letter}", value]


def _value_of(option: str, words: list[str]) -> str:
    if not words:
        raise InvalidInput(f"Option {option} needs a value.")
    return words.pop(0)


def _port(value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 5):
        raise InvalidInput(f"{value[:40]!r} is not a port number (1 to 65535).", target="-p")
    return parse_port_number(int(value), "-p")


def _take_destination(line: SshLine, word: str) -> None:
    user, at, machine = word.rpartition("@")
    if at:
        if _USER.fullmatch(user) is None:
            raise InvalidInput(f"{user[:60]!r} is not a user name.")
        line.user = user
    line.machine = machine
