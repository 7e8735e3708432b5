"""``bascule doctor``: what on this host lets closed ports be reached, or blocks what is opened."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import click

from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.waiting import Working
from bascule.client.host_agent import answers_elsewhere_here
from bascule.domain.net import (
    PortKey,
    TransportProtocol,
    parse_address,
    parse_port_number,
    port_order,
)
from bascule.domain.weaknesses import NO_ROUTE, Shadow, Weakness
from bascule.errors import Forbidden, InvalidInput
from bascule.interfaces.driver import Examination, HostParts, Outcome, Trial

FOUND = 1  # the exit code

_WHAT = {
    Shadow.ADMITS: "open past Bascule",
    Shadow.UNREAD: "cannot be told",
    Shadow.BLOCKS: "blocked",
}


# What a packet showed of a finding. For one that blocks, REFUTED means that the packet arrived.
_SHOWN = {
    Outcome.CONFIRMED: "Confirmed {reason}.",
    Outcome.REFUTED: "Not reached by a packet in a copy of the rules: another rule may be in the way.",
    Outcome.UNTRIED: "Could not be tried with a packet: {reason}.",
}
_BY_ROUTES = Trial(Outcome.CONFIRMED, "by the routes of this host")
_BY_GATEWAYS = Trial(
    Outcome.UNTRIED, "the gateway’s addresses are known by the word of its agent alone"
)
_ARRIVED = "Not confirmed: a packet arrived in a copy of the rules. It may depend on who sends it."


@click.command(
    epilog="""\
\b
Examples:
  sudo bascule doctor                 the ports that are kept closed
  sudo bascule doctor -p 22 -p 5432   before a policy closes them
  sudo bascule doctor --behind 10.1.0.1   on a machine behind that gateway
  sudo bascule doctor -o json

\b
Exit codes:
  0  everything was read, and nothing was found
  1  something was found
  4  nothing was found, but not everything could be read
"""
)
@click.option(
    "-p",
    "--port",
    "ports",
    multiple=True,
    help="Look at this port instead: 22, 22/tcp or 53/udp. May be repeated.",
)
@click.option(
    "--behind",
    "gateways",
    multiple=True,
    metavar="ADDRESS",
    help="This machine is behind a gateway with this address: does its default route lead there? "
    "May be repeated.",
)
@output_option
@click.pass_obj
def doctor(parts: HostParts, ports: Sequence[str], gateways: Sequence[str], output: str) -> int:
    """Find what reaches closed ports past Bascule on this host.

    Reads the rules of other programs (nftables, iptables, ufw, firewalld, Docker), listening
    sockets and port forwardings. Says what lets a closed port be reached without a grant, and
    what blocks access that Bascule opens. Changes nothing on this host.

    Each finding is tried with a packet in a copy of the rules, in a network namespace of its own:
    it is confirmed, not reached, or could not be tried, with the reason.

    If this machine is behind gateways and its agent runs, doctor also reports answers to admitted
    clients that would not go back through a gateway.

    On a gateway, doctor sends echo requests to the machines behind it, and says whose answers do not
    come back through it.

    Reading the rules takes root. Without it, doctor says what it could not read.
    """
    behind = [parse_address(each, "--behind") for each in gateways]
    with Working("Reading rules and trying what is found; this can take a minute"):
        found = _with_routes(parts.firewall().examine([_port(each) for each in ports], behind))
    if output == "json":
        emit_json(_json(found))
    else:
        _show(found)
    if found.findings:
        return FOUND
    return Forbidden.exit_code if found.unread else 0


def _with_routes(found: Examination) -> Examination:
    """With what the agent here says of its routes: the server has told it of the gateways in front."""
    told = [
        each for each in answers_elsewhere_here() if _key(each) not in map(_key, found.findings)
    ]
    by = (_BY_ROUTES if each.is_of(NO_ROUTE) else _BY_GATEWAYS for each in told)
    trials = (*(trial for _, trial in _pairs(found)), *by)
    return replace(found, findings=(*found.findings, *told), trials=trials)


def _key(weakness: Weakness) -> tuple[str, object]:
    return weakness.code, dict(weakness.arguments)


def _port(text: str) -> PortKey:
    number, _, protocol = text.partition("/")
    kinds = {"": TransportProtocol.TCP, "tcp": TransportProtocol.TCP, "udp": TransportProtocol.UDP}
    if not (number.isascii() and number.isdigit()) or protocol.lower() not in kinds:
        raise InvalidInput(
            f"{text[:40]!r} is not a port. Give a number, 22/tcp or 53/udp.", target="--port"
        )
    return PortKey(kinds[protocol.lower()], parse_port_number(int(number), "--port"))


def _json(found: Examination) -> dict[str, Any]:
    return {
        "ports": [str(each) for each in sorted(found.ports, key=port_order)],
        "findings": [_finding_json(*each) for each in _pairs(found)],
        "notRead": list(found.unread),
    }


def _pairs(found: Examination) -> list[tuple[Weakness, Trial]]:
    """A driver that tries nothing tells of no trials."""
    untried = (Trial(Outcome.UNTRIED, "this firewall's driver tries none"),) * len(found.findings)
    return list(zip(found.findings, found.trials or untried, strict=True))


def _finding_json(weakness: Weakness, trial: Trial) -> dict[str, Any]:
    return {
        "code": weakness.code,
        "severity": str(weakness.gravity),
        "effect": str(weakness.shadow),
        "port": weakness.arguments.get("port", ""),
        "rule": weakness.rule,
        "text": str(weakness.text),
        "advice": str(weakness.advice or ""),
        "arguments": dict(weakness.arguments),
        "packet": str(trial.outcome),
        "notTriedBecause": trial.reason if trial.outcome is Outcome.UNTRIED else "",
    }


def _show(found: Examination) -> None:
    if found.ports:
        say(f"Looked at: {', '.join(str(each) for each in sorted(found.ports, key=port_order))}")
    for weakness, trial in _pairs(found):
        what = _WHAT[weakness.shadow] if weakness.shadow is not None else "weak"
        say("")
        say(f"{weakness.arguments.get('port') or 'every closed port'}: {what} ({weakness.code})")
        say(f"  {weakness.text}")
        say(f"  {_shown(weakness, trial)}")
        if weakness.advice:
            say(f"  To do: {weakness.advice}")
    if found.findings:
        say("")
    advice = " Run it as root: sudo bascule doctor." if os.geteuid() != 0 else ""
    for each in found.unread:
        note(f"Could not be read: {each}.{advice}")
    say(_sum(found))


def _shown(weakness: Weakness, trial: Trial) -> str:
    if weakness.shadow is Shadow.BLOCKS and trial.outcome is Outcome.REFUTED:
        return _ARRIVED
    return _SHOWN[trial.outcome].format(reason=trial.reason or "by a packet in a copy of the rules")


def _sum(found: Examination) -> str:
    number = len(found.findings)
    if number:
        return f"{number} finding{'s' if number > 1 else ''}."
    if found.unread:
        return "Nothing was found in what could be read."
    if not found.ports:
        return "Bascule keeps no port closed on this host. To look at one: bascule doctor -p PORT."
    return "Nothing was found: no other program opens or blocks these ports."
