"""``bascule agent ...``: run, install, status, uninstall; ``open_commands`` opens and closes."""

from __future__ import annotations

import contextlib
import gc
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import click

from bascule.agent.accept_command import accept_server
from bascule.agent.light_structlog import load_structlog
from bascule.agent.open_commands import close_command, open_command
from bascule.agent.options import control_at, control_option, guard_option, show, state_option
from bascule.agent.token_source import ask_token, offered_token, proxy_ca_option, token_option
from bascule.agent.warn_command import warn_command
from bascule.client.endpoint import parse_endpoint
from bascule.client.host_agent import (
    control_path,
    find_control,
    tell_agent,
)
from bascule.domain.net import Address, AddressPrefix, PortKey
from bascule.errors import (
    BasculeError,
    EnforcementFailed,
    InvalidInput,
    ServerUnreachable,
)
from bascule.interfaces.driver import HostParts

SSH_PEER_MINUTES = 15
CONNECT_PATIENCE = 30.0  # seconds in which a service that was started reaches its server


@click.group(
    epilog="Examples:\n\n\b\n  bascule agent install --server https://bascule:8443\n"
    "  bascule agent install --server https://bascule:8443 --token-file token\n"
    "  bascule agent run --server https://bascule:8443\n"
    "  bascule agent open -p 22 --for 15m\n  bascule agent uninstall"
)
def agent() -> None:
    """The enforcement point on this host: keeps ports closed and opens them on request."""


agent.add_command(open_command)
agent.add_command(close_command)
agent.add_command(accept_server)
agent.add_command(warn_command)


@agent.command()
@click.option("--server", default="", help="The server's URL, e.g. https://bascule.example:8443.")
@token_option
@proxy_ca_option
@state_option
@control_option
@guard_option
@click.option(
    "--metrics-file",
    "metrics",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    envvar="BASCULE_METRICS_FILE",
    help="Write metrics to this file every 15 seconds, for node_exporter's textfile collector. Its name "
    "ends in .prom.",
)
@click.pass_obj
def run(
    parts: HostParts,
    server: str,
    token_file: Path | None,
    proxy_ca: Path | None,
    state: Path,
    control: Path | None,
    guard: Path,
    metrics: Path | None,
) -> None:
    """Run the agent in the foreground; it needs CAP_NET_ADMIN.

    It closes its known ports before it does anything else. SIGTERM ends it: closed ports stay
    closed, and open access ends on time.
    """
    gc.disable()  # what is loaded now stays: looking through it took a seventh of the start
    try:
        load_structlog()
        from bascule.agent.run import AgentPaths, AgentProcess
        from bascule.agent.textfile import SUFFIX
        from bascule.clocks import SystemClock
        from bascule.telemetry import set_up_logging
    finally:
        gc.enable()
    set_up_logging()
    if metrics is not None and metrics.suffix != SUFFIX:
        raise click.UsageError(f"The name of --metrics-file ends in {SUFFIX}.")
    at = control if control is not None else control_path(state)
    paths = AgentPaths(state, at, guard, metrics)
    process = AgentProcess(parts, paths, SystemClock())
    endpoint = parse_endpoint(server, "--server") if server else ""
    sys.exit(process.run(endpoint, token_file, proxy_ca))


@agent.command()
@click.option("--server", required=True, help="The server's URL.")
@click.option(
    "--fingerprint",
    default="",
    metavar="SHA256",
    help="The server's CA must have this fingerprint; a token of another server is refused.",
)
@click.option(
    "--replace",
    is_flag=True,
    help="Enrol a host that is enrolled already, with a new key or another server.",
)
@token_option
@proxy_ca_option
@state_option
@click.option(
    "--unit-folder",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=Path("/etc/systemd/system"),
    show_default=True,
    help="Directory for the service's unit.",
)
@click.pass_obj
def install(
    parts: HostParts,
    server: str,
    fingerprint: str,
    replace: bool,
    token_file: Path | None,
    proxy_ca: Path | None,
    state: Path,
    unit_folder: Path,
) -> None:
    """Enrol, then install a service that starts before the network.

    Asks for the one-time token, unless a file or BASCULE_ENROLMENT_TOKEN gives it. There is no
    option for the token itself, because every account of this host can read command lines.

    Inside an ssh session, first opens the port for your own address for 15 minutes, so that
    closing the ssh port does not lock you out. A service that runs already is stopped and
    started again, with its old key if the token is refused. Closed ports stay closed.

    On a host that is enrolled with this server already, changes nothing unless another token or --replace
    is given, and says so.
    """
    from bascule.agent.again import leave_as_is, require_server, stands
    from bascule.agent.enrolment import enrol, meet, parse_token, read_proxy_ca
    from bascule.agent.install import (
        UNIT_NAME,
        check_program,
        is_systemd_running,
        program,
        stopped_unit,
        systemctl,
    )
    from bascule.agent.run import make_state_directory
    from bascule.client.pin import parse_fingerprint
    from bascule.clocks import SystemClock

    server = parse_endpoint(server, "--server")
    pin = parse_fingerprint(fingerprint) if fingerprint else ""
    offered = offered_token(token_file)
    if not replace and (known := stands(state, server, offered, pin)) is not None:
        leave_as_is(known.server, state, unit_folder, parts)
        return
    token = parse_token(offered or ask_token())
    require_server(token.ca_fingerprint, pin)
    trusted = read_proxy_ca(proxy_ca, token)
    make_state_directory(state)
    check_program(program())  # before the token is spent
    _check_firewall(parts)
    meet(server, token, trusted)  # before an agent that works is stopped
    with stopped_unit(_say) as is_let_go:

        def enrolling(begin_anew: Callable[[], None]) -> None:
            enrol(state, server, token, SystemClock(), begin_anew, trusted)

        _put_in_place(server, enrolling, state, unit_folder, parts, is_let_go=is_let_go)
    if not is_systemd_running():
        click.echo(
            "systemd is not running here. Start the agent yourself with 'bascule agent run'.",
            err=True,
        )
        return
    systemctl("enable", "--now", UNIT_NAME)
    click.echo(f"Enabled and started {UNIT_NAME}.")
    if not _is_connected(state):
        raise ServerUnreachable(
            f"The agent runs and keeps its ports closed, but has not reached {server} within "
            f"{CONNECT_PATIENCE:.0f} seconds.",
            advice="It keeps trying. Check with bascule agent status; the log is in journalctl -u "
            "bascule-agent.",
        )
    click.echo("It is connected to its server. Check with bascule agent status.")


def _check_firewall(parts: HostParts) -> None:
    """Can ports be kept closed here at all? Says what is weak; raises ConfigurationError."""
    driver = parts.firewall().open()
    try:
        for weakness in driver.condition().weaknesses:
            _say(f"Weak on this host: {weakness.text}")
    finally:
        driver.close()


def _is_connected(state: Path) -> bool:
    """Does the agent that was just started reach its server within its time?"""
    deadline = time.monotonic() + CONNECT_PATIENCE
    while time.monotonic() < deadline:
        with contextlib.suppress(BasculeError):  # it is about to listen
            told = tell_agent(find_control(state), {"command": "status"})["status"]
            if told["connected"]:
                return True
        time.sleep(0.2)
    return False


def _say(sentence: str) -> None:
    click.echo(sentence, err=True)


def _put_in_place(
    server: str,
    enrolling: Callable[[Callable[[], None]], None],
    state: Path,
    unit_folder: Path,
    parts: HostParts,
    *,
    is_let_go: bool,
) -> None:
    """Enrol and write the unit, while no agent runs on that state. ``enrolling`` calls what it is given
    before the new identity takes the old one's place.

    ``is_let_go``: the stopped service has let go of the rules, which are owned here meanwhile.
    """
    from bascule.agent.install import (
        install_unit,
        is_systemd_running,
        owned_meanwhile,
        program,
        systemctl,
        unit_text,
    )
    from bascule.agent.run import lock_state
    from bascule.agent.service_manager import ServiceManager
    from bascule.client.ssh_peer import ssh_session

    session = ssh_session()
    text = unit_text(program(), state, parts.firewall().needs.unit)  # before the token is spent
    lock = lock_state(state)
    held = (
        owned_meanwhile(parts, ServiceManager(None), _say)
        if is_let_go
        else contextlib.nullcontext()
    )
    try:
        with held:
            enrolling(lambda: _begin_anew(state, session))
        if session is not None:
            click.echo(
                f"Your ssh session comes from {session[0]}. Port {session[1]} stays open for it "
                f"for {SSH_PEER_MINUTES} minutes."
            )
        click.echo(f"Enrolled with {server}; key and state are in {state}.")
        click.echo(f"{install_unit(unit_folder, text)}.")
        if is_systemd_running():
            systemctl("daemon-reload")
    finally:
        os.close(lock)  # the service wants it


@agent.command()
@state_option
@control_option
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="Output format; json is for programs.",
)
def status(state: Path, control: Path | None, output: str) -> None:
    """Show the agent's closed ports and openings on this host."""
    answer = tell_agent(control_at(control, state), {"command": "status"})["status"]
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    why = answer.get("unheard", "")  # an older agent does not say
    away = f"not connected: {why}" if why else "away"
    show("server:  " + ("connected" if answer["connected"] else away))
    if answer["refused"]:
        show("         it no longer accepts this agent's key: every opening is closed")
    is_enforcing = answer.get("enforcing", True)  # an older agent does not say
    head = "closed:  " if is_enforcing else "should be closed: "
    show(head + (", ".join(answer["closed"]) or "nothing"))
    for each in answer["open"]:
        show(f"open:    {_opening(each)}")
    if not answer["open"]:
        show("open:    nothing")
    for each in answer.get("waiting", ()):  # an older agent tells of none
        show(f"waiting: {_opening(each)}: {each['why']}")
    for grant_id, why in answer.get("refusedByGuard", {}).items():
        show(f"refused: grant {grant_id}: {why}")
    for each in answer.get("behind", ()):  # an older agent tells of none
        show(f"behind:  {_behind(each)}")
    for sentence in answer["weaknesses"]:
        show(f"weak:    {sentence}")


def _opening(told: Mapping[str, Any]) -> str:
    by = "by root on this host" if told["local"] else f"grant {told['grantId']}"
    where = f"{', '.join(told['ports'])} from {', '.join(told['sources'])}"
    return f"{where} for {told['seconds']:.0f} s more ({by})"


def _behind(told: Mapping[str, Any]) -> str:
    """One machine behind this host."""
    where = [*told["addresses"], *(f"{each} (former)" for each in told["formerAddresses"])]
    name, by_root = told.get("name", ""), told.get("byRoot", ())  # an older agent tells of none
    count = len({*told["inForce"]} - {each["grantId"] for each in by_root})
    opened = f"; {count} {'grant' if count == 1 else 'grants'} open" if count else ""
    at = f"{name} " if name else ""
    root = "".join(
        f"; {'open' if each['grantId'] in told['inForce'] else 'waiting'}: {_opening(each)}"
        for each in by_root
    )
    closed = ", ".join(told["closed"]) or "nothing"
    return f"{at}{', '.join(where) or 'no address'}: closed {closed}{opened}{root}"


@agent.command()
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@state_option
@control_option
@click.option(
    "--unit-folder",
    type=click.Path(path_type=Path, file_okay=False, readable=False),
    default=Path("/etc/systemd/system"),
    show_default=True,
    help="Directory with the service's unit.",
)
@click.pass_obj
def uninstall(
    parts: HostParts, yes: bool, state: Path, control: Path | None, unit_folder: Path
) -> None:
    """Remove the agent from this host and open its ports.

    This removes every rule, unit and file of the agent.
    """
    from bascule.agent.install import remove_unit
    from bascule.agent.leave import remove_state
    from bascule.agent.standing import end as end_standing

    socket_path = control_at(control, state)
    if not yes:
        opens = "This opens every port that the agent keeps closed on this host."
        if not sys.stdin.isatty():
            raise InvalidInput(
                f"{opens} Nothing was done, because there is no terminal to ask for confirmation.",
                code="NotConfirmed",
                advice="To confirm without a terminal: --yes",
            )
        click.confirm(f"{opens} Continue?", abort=True, err=True)
    try:
        answer = tell_agent(socket_path, {"command": "uninstall"})
        opened, state = answer["opened"], Path(answer["state"])
        click.echo(f"removed {answer.get('rules', 'its rules')} and stopped the agent")
        if not answer.get("told", True):
            click.echo("the server was not reached: it shows this agent as away", err=True)
    except ServerUnreachable:
        opened = _remove_without_agent(parts, state)
    except KeyboardInterrupt:
        _say("The agent may have removed its rules all the same: see bascule agent status.")
        raise
    for port in opened:
        click.echo(f"opened port {port}: Bascule no longer keeps it closed")
    for sentence in (*remove_unit(unit_folder), *end_standing()):
        click.echo(sentence)
    click.echo(remove_state(state))


@agent.command("keep-closed")
@state_option
@click.pass_obj
def keep_closed_command(parts: HostParts, state: Path) -> None:
    """Keep closed ports closed over reboots while no agent starts.

    Writes them as a file of rules, and a service that loads it before the network without Bascule.
    The packages do this before an upgrade and when they are removed. An agent that starts with
    its rules in place deletes the rule file; uninstall does too.
    """
    from bascule.agent.standing import how_to_open, keep_closed
    from bascule.clocks import SystemClock

    load_structlog()
    firewall = parts.firewall()
    closed = keep_closed(firewall, state, SystemClock())
    if not closed:
        click.echo("No port is kept closed here.")
        return
    click.echo(f"Kept closed, also after a reboot: {', '.join(map(str, closed))}.")
    click.echo("If no agent runs any more, root opens them with:")
    for line in how_to_open(firewall.needs):
        click.echo(f"  {line}")


def _remove_without_agent(parts: HostParts, state: Path) -> list[str]:
    """No agent answers: take the rules away ourselves, as the owner that we become.

    A service that dies and comes again, over and over, is stopped first.
    """
    from bascule.agent.install import stop_unit
    from bascule.agent.opening import STOP_FIRST
    from bascule.agent.run import lock_state
    from bascule.agent.service_manager import ServiceManager

    if stop_unit():
        click.echo("stopped its service, which did not respond")
    lock = lock_state(state) if state.is_dir() else -1
    try:
        firewall = parts.firewall()
        driver = firewall.open()
        opened = sorted(str(closed.port) for closed in driver.observe().rules.closed)
        try:
            driver.own(ServiceManager(None))
            driver.remove()
        except EnforcementFailed as error:
            raise EnforcementFailed(
                f"No agent answers, and its rules could not be taken over: {error.message}",
                advice=STOP_FIRST,
            ) from error
    finally:
        if lock >= 0:
            os.close(lock)
    click.echo(f"no agent was running; {firewall.needs.rules} is gone")
    return opened


def _begin_anew(state: Path, session: tuple[Address, int] | None) -> None:
    """Make the agent's memory a new identity's, with an opening for the ssh peer in it.

    It prints nothing: where the ssh session is gone that fails, and the server has accepted.
    """
    from dataclasses import replace
    from datetime import timedelta

    from bascule.agent.local_openings import LocalOpenings, local_lease
    from bascule.agent.memory import HeldFile
    from bascule.clocks import SystemClock
    from bascule.domain.held import begin_anew
    from bascule.domain.holding import everywhere
    from bascule.domain.net import TransportProtocol

    clock = SystemClock()
    memory = HeldFile(state, clock)
    before = memory.load()
    held = everywhere(before, begin_anew)
    if session is not None:
        peer, number = session
        port = PortKey(TransportProtocol.TCP, number)
        sources = (AddressPrefix.parse(str(peer)),)
        grant_id, lease, opening = local_lease(
            clock, port, sources, timedelta(minutes=SSH_PEER_MINUTES)
        )
        LocalOpenings(state).add(opening)
        memory.save(replace(held, leases={**held.leases, grant_id: lease}))
    elif held != before:
        memory.save(held)
