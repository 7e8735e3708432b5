"""What to try in a lab: the text that ``lab up`` and ``make demo`` print. Pure.

Every command works as printed, in any directory and with any PATH, one after the other.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from bascule.lab.topology import DEFAULT_LAB


def render_guide(info: Mapping[str, Any], bascule: str, *, is_held: bool = False) -> str:
    """Write the guide; ``bascule`` is how the reader's shell starts it.

    ``is_held`` means that this terminal is taken by the lab.
    """
    option = "" if info["name"] == DEFAULT_LAB else f" --name {info['name']}"
    lab = f"{shlex.quote(bascule)} lab"
    client = f"{lab} exec{option} {info['client']} --"
    machine = info["machines"][0]["name"]
    knock = (
        f"{lab} exec{option} {info['stranger']} -- ssh -4 -o ConnectTimeout=3 {machine} hostname"
    )
    agent = info["pids"]["agents"][machine]
    portal = (
        f"In a browser, sign in at {info['portal']} as one of the lab's users. (The browser first\n"
        "warns about the lab's own CA.) Their names and passwords:"
    )
    parts = [
        (portal, [f"{lab} info{option}"]),
        (f"{machine} is closed. A stranger gets no answer (three seconds):", [knock]),
        (
            f"You request access from {info['client']}, and the port opens for your address alone:",
            [f"{client} bascule request {machine} --for 5m", f"{client} bascule status"],
        ),
        (
            "Connect. (If there is no open request, this makes one first.)",
            [f"{client} bascule ssh {machine} -- hostname"],
        ),
        *_behind_parts(info, client),
        ("Close it early:", [f"{client} bascule revoke --all"]),
        (
            "No failure opens a port. Kill the agent, flush all rules, try to connect again:",
            [f"kill -9 {agent}", f"{lab} exec{option} {machine} -- nft flush ruleset", knock],
        ),
        (
            "A shell on a host of the lab, the list of processes, and stopping the lab:",
            [f"{lab} shell{option} {info['client']}", f"{lab} info{option}", f"{lab} down{option}"],
        ),
    ]
    where = "In another terminal, try" if is_held else "Try"
    lines = [f"The lab {info['name']} is up: {info['endpoint']}. {where}:"]
    for text, commands in parts:
        lines += ["", text, *(f"  {command}" for command in commands)]
    return "\n".join(lines)


def _behind_parts(info: Mapping[str, Any], client: str) -> list[tuple[str, list[str]]]:
    """Of the first machine that has no agent and is behind a gateway, where there is one."""
    for each in info["machines"]:
        if each.get("gateway") and not each["agent"]:
            name = each["name"]
            text = (
                f"{name} has no agent. The gateway {each['gateway']} keeps its ports closed, and leads "
                "you there by a public\nport of its own:"
            )
            commands = [
                f"{client} bascule request {name} --for 5m",
                f"{client} bascule ssh {name} -- hostname",
            ]
            return [(text, commands)]
    return []
