"""``bascule audit sinks``: where the record is sent to, and how it gets on."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.spans import show_instant, show_span
from bascule.client import sinks as api
from bascule.client.reading import Data, inner, instant, number, text, texts
from bascule.domain.delivery import LARGEST_BATCH, LEVELS, Form
from bascule.errors import NotFound, ServerUnreachable

_NAME = click.argument("name")


@click.group(
    epilog="""\b
Examples:
  bascule audit sinks add siem syslog+tls://siem.example:6514
  bascule audit sinks add chat https://hooks.example/in --kind GrantOpened
  bascule audit sinks test siem
  bascule audit sinks list"""
)
def sinks() -> None:
    """Destinations of the record: SIEMs, webhooks, files."""


@sinks.command("list", epilog="\b\nExamples:\n  bascule audit sinks list")
@output_option
def list_(output: str) -> None:
    """List the sinks and their progress."""
    with connect() as connection:
        found = list(api.list_sinks(connection))
        now = connection.now()
    if output == "json":
        emit_json([dict(each) for each in found])
        return
    if not found:
        note("There is no sink yet. Add one: bascule audit sinks add NAME TARGET")
        return
    print_table(
        ["NAME", "TARGET", "STATE", "DELIVERED", "LAG", "LAST ERROR"],
        [_row(each, now) for each in found],
    )


@sinks.command(epilog="\b\nExamples:\n  bascule audit sinks show siem")
@_NAME
@output_option
def show(name: str, output: str) -> None:
    """Show one sink: settings, position, last error."""
    with connect() as connection:
        found = api.get_sink(connection, name)
        now = connection.now()
    _emit(found, now, output)


@sinks.command(
    epilog="""\b
Examples:
  bascule audit sinks add siem syslog+tls://siem.example:6514 --format ocsf
  bascule audit sinks add hook https://hooks.example/in --level high
  bascule audit sinks add files file:record.jsonl --from-beginning
  bascule audit sinks add chat https://hooks.slack.com/... --format slack

\b
TARGET: https://HOST/PATH, syslog+tls://HOST:PORT, syslog+tcp://HOST:PORT,
syslog+udp://HOST:PORT, or file:NAME (a file in the server's sink directory)."""
)
@_NAME
@click.argument("target", required=False)
@click.option(
    "--format",
    "form",
    type=click.Choice([str(each) for each in Form]),
    help="Format of events. Default: depends on the target. slack and teams write for people, and tell "
    "only of approvals and of ports that open, unless --kind says otherwise.",
)
@click.option("--kind", "kinds", multiple=True, help="Only events of this kind; repeatable.")
@click.option("--level", type=click.Choice(LEVELS), help="Only events of this level and above.")
@click.option(
    "--batch",
    type=click.IntRange(1, LARGEST_BATCH),
    help="Maximum number of events in one webhook call. Default: 1.",
)
@click.option(
    "--ca-file",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="PEM of the CAs to trust instead of the server's default.",
)
@click.option(
    "--from-beginning", is_flag=True, help="For a new sink: send all existing events too."
)
@output_option
def add(
    name: str,
    target: str | None,
    form: str | None,
    kinds: tuple[str, ...],
    level: str | None,
    batch: int | None,
    ca_file: Path | None,
    from_beginning: bool,
    output: str,
) -> None:
    """Add a sink, or change the given settings of an existing one.

    The secret of a new webhook is printed only once. TARGET may be omitted in a change.
    """
    said: dict[str, Any] = {
        "target": target,
        "format": form,
        "kinds": list(kinds) or None,
        "level": level,
        "batch": batch,
        "caCertificates": ca_file.read_text("ascii", "replace") if ca_file is not None else None,
        "fromBeginning": from_beginning or None,
    }
    with connect() as connection:
        given = {key: value for key, value in said.items() if value is not None}
        made = api.put_sink(connection, name, given)
        now = connection.now()
    _emit(made, now, output)
    if output != "json":
        note(f"To send a test message: bascule audit sinks test {name}")


@sinks.command(epilog="\b\nExamples:\n  bascule audit sinks test siem")
@_NAME
@output_option
def test(name: str, output: str) -> None:
    """Send one test message now."""
    with connect() as connection:
        done = api.test(connection, name)
    if output == "json":
        emit_json(dict(done))
    elif done.get("answer") == "taken":
        say(f"taken: {done.get('said')}")
    if done.get("answer") != "taken":
        raise ServerUnreachable(
            f"The sink {name} did not accept the message: {done.get('said')}.",
            code="SinkUnreachable",
        )


@sinks.command(epilog="\b\nExamples:\n  bascule audit sinks pause siem")
@_NAME
@output_option
def pause(name: str, output: str) -> None:
    """Stop sending until it is resumed."""
    with connect() as connection:
        done = api.pause(connection, name)
        now = connection.now()
    _emit(done, now, output)


@sinks.command(
    epilog="""\b
Examples:
  bascule audit sinks resume siem
  bascule audit sinks resume hook --skip        skip the refused event
  bascule audit sinks resume siem --after 4711  send again from there"""
)
@_NAME
@click.option("--skip", is_flag=True, help="Skip the event that parked the sink; this is recorded.")
@click.option(
    "--after", type=click.IntRange(min=0), help="Send all events after this position again."
)
@output_option
def resume(name: str, skip: bool, after: int | None, output: str) -> None:
    """Start sending again now, whatever stopped it."""
    if skip and after is not None:
        raise click.UsageError("Give --skip or --after, not both.")
    with connect() as connection:
        done = api.resume(connection, name, skip=skip, after=after)
        now = connection.now()
    _emit(done, now, output)


@sinks.command(epilog="\b\nExamples:\n  bascule audit sinks rotate hook")
@_NAME
@output_option
def rotate(name: str, output: str) -> None:
    """Make a new secret for a webhook.

    For one day calls are signed with both secrets.
    """
    with connect() as connection:
        done = api.rotate(connection, name)
        now = connection.now()
    _emit(done, now, output)


@sinks.command(epilog="\b\nExamples:\n  bascule audit sinks remove siem")
@_NAME
@yes_option
def remove(name: str, is_sure: bool) -> None:
    """Remove a sink and forget its position."""
    confirm(
        f"No further events are sent to {name}, and its position is forgotten.", is_sure=is_sure
    )
    with connect() as connection:
        if not api.remove_sink(connection, name):
            raise NotFound(f"There is no sink {name!r}.", code="SinkNotFound")
    say(f"{name} is removed.")


# -- showing ---------------------------------------------------------------------------------


def _emit(found: Data, now: datetime, output: str) -> None:
    if output == "json":
        emit_json(dict(found))
        return
    said = inner(found, "properties")
    rows = [
        ("name", text(found, "name")),
        ("sink id", text(said, "sinkId", "")),
        ("target", text(said, "target")),
        ("format", text(said, "format")),
        ("kinds", ", ".join(texts(said, "kinds")) or "all"),
        ("level", f"{text(said, 'level')} and above"),
        ("state", _state(said)),
        ("position", str(number(said, "position"))),
        ("delivered", _delivered(said, now)),
        ("lag", _lag(said)),
        ("last error", _error(said, now)),
        ("next try", _when(said, "nextTryAt", now)),
        ("old secret until", _when(said, "previousSecretUntil", now)),
        ("secret", text(said, "secret", "")),
    ]
    for key, value in rows:
        if value:
            say(f"{key}: {value}")
    if said.get("secret"):
        note("Store the secret where the receiver checks signatures; it is not shown again.")


def _row(found: Data, now: datetime) -> list[str]:
    said = inner(found, "properties")
    return [
        text(found, "name"),
        text(said, "target"),
        _state(said),
        _delivered(said, now),
        _lag(said),
        _error(said, now),
    ]


def _state(said: Data) -> str:
    parked = said.get("parkedPosition")
    return text(said, "state") + (f" at event {parked}" if parked else "")


def _delivered(said: Data, now: datetime) -> str:
    position = said.get("deliveredPosition")
    return f"event {position}, {_when(said, 'deliveredAt', now)}" if position else "nothing yet"


def _lag(said: Data) -> str:
    events = number(said, "lagEvents")
    if not events:
        return "none"
    return f"{events} events, {show_span(timedelta(seconds=number(said, 'lagSeconds')))}"


def _error(said: Data, now: datetime) -> str:
    error = text(said, "lastError", "")
    return f"{error} ({_when(said, 'lastErrorAt', now)})" if error else ""


def _when(said: Data, key: str, now: datetime) -> str:
    at = instant(said, key)
    return "" if at is None else show_instant(at, now)
