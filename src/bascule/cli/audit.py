"""``bascule audit``: the record's proof. Export it, verify it anywhere, sign, prune."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Any

import click

from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.sinks import sinks
from bascule.cli.spans import parse_since, show_instant
from bascule.cli.witness import read_public_key, read_witnesses
from bascule.client import record
from bascule.domain.proof import Proof, SignatureCheck, Verdict, Witness
from bascule.domain.times import parse_instant

BROKEN = 1  # exit code
LONGEST_LINE = 64 * 1024 * 1024  # bytes; an event of the largest policy has a few million


@click.group(
    epilog="""\b
Examples:
  bascule audit key > bascule.pub             keep it outside the server
  bascule audit export > record.jsonl
  bascule audit verify record.jsonl --public-key bascule.pub
  bascule audit verify record.jsonl --public-key bascule.pub \\
      --witness web-1.json
  bascule audit prune --before 2030-01-01
  bascule audit sinks add siem syslog+tls://siem.example:6514"""
)
def audit() -> None:
    """Export, verify, send and prune the audit record."""


audit.add_command(sinks)


@audit.command(epilog="\b\nExamples:\n  bascule audit key > bascule.pub")
@output_option
def key(output: str) -> None:
    """Print the public key that verifies the record's signatures.

    Keep a copy where nobody with write access to the server's disk can change it.
    """
    with connect() as connection:
        found = record.public_key(connection)
    if output == "json":
        emit_json(dict(found))
    else:
        say(str(found.get("publicKey", "")))


@audit.command(epilog="\b\nExamples:\n  bascule audit export > record.jsonl")
@click.option(
    "--format",
    "form",
    type=click.Choice(["bascule", "ocsf"]),
    default="bascule",
    show_default=True,
    help="Verifiable (bascule), or for a SIEM (ocsf, OCSF 1.5).",
)
def export(form: str) -> None:
    """Write the whole record as verifiable JSON lines."""
    stdout = sys.stdout.buffer
    with connect() as connection:
        for piece in record.export(connection, "" if form == "bascule" else form):
            stdout.write(piece)
    stdout.flush()


@audit.command(
    epilog="""\b
Examples:
  bascule audit verify                          on the server
  bascule audit verify record.jsonl --public-key bascule.pub
  bascule audit verify - --witness web-1.json < record.jsonl

\b
Exit codes: 0 intact, 1 broken; see also bascule --help."""
)
@click.argument("file", type=click.File("rb"), required=False)
@click.option(
    "--public-key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="The installation's public key, as text or file. Repeat it for earlier keys.",
)
@click.option(
    "--witness",
    "witness_files",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="What an agent has seen of the record (bascule agent status -o json > FILE); repeatable.",
)
@output_option
def verify(
    file: IO[bytes] | None, keys: tuple[str, ...], witness_files: tuple[Path, ...], output: str
) -> int:
    """Verify the record, or name its first break.

    With FILE, an export, it needs no server and trusts none.
    """
    if file is None:
        if keys or witness_files:
            raise click.UsageError("--public-key and --witness need a FILE to verify.")
        return _verify_on_server(output)
    witnesses = [each for path in witness_files for each in read_witnesses(path)]
    lines = _lines(file)
    first = next(lines, b"")
    check = _check([read_public_key(each) for each in keys] or _own_keys(first))
    verdict = _prove(first, lines, check, witnesses)
    if output == "json":
        emit_json(_verdict_json(verdict, is_key_given=bool(keys)))
    else:
        _tell(verdict, is_key_given=bool(keys))
    return 0 if verdict.is_intact else BROKEN


@audit.command(
    epilog="\b\nExamples:\n  bascule audit checkpoints\n  bascule audit checkpoints --sign"
)
@click.option("--sign", is_flag=True, help="Sign the current end of the chain first.")
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Maximum number of checkpoints.",
)
@output_option
def checkpoints(sign: bool, limit: int, output: str) -> None:
    """List the signatures of the chain, newest first."""
    with connect() as connection:
        if sign:
            record.sign_now(connection)
        found = [
            each
            for each, _ in zip(
                record.checkpoints(connection, min(limit, 1000)), range(limit), strict=False
            )
        ]
        now = connection.now()
    if output == "json":
        emit_json([dict(each) for each in found])
        return
    print_table(
        ["EVENTS", "SIGNED", "KEY", "HASH"],
        [
            [
                each.get("position", ""),
                show_instant(parse_instant(str(each.get("at"))), now),
                each.get("keyId", ""),
                each.get("hash", ""),
            ]
            for each in found
        ],
    )


@audit.command(epilog="\b\nExamples:\n  bascule audit prune --before 2030-01-01")
@click.option("--before", required=True, metavar="DURATION|TIME", help="365d, or 2030-01-31.")
@yes_option
@output_option
def prune(before: str, is_sure: bool, output: str) -> None:
    """Delete signed parts of the record from before a time.

    The rest begins at a checkpoint and can still be verified. Pruning is an event that names
    who pruned what. Export first what you may need. Events younger than the record's floor
    (bascule serve --record-floor), or that a sink has not received, are not deleted.
    """
    with connect() as connection:
        instant = parse_since(before, connection.now(), "--before")
        confirm(
            f"This deletes all events from before {instant:%Y-%m-%d %H:%M} UTC.",
            is_sure=is_sure,
        )
        done = record.prune(connection, instant)
    if output == "json":
        emit_json(dict(done))
    else:
        through = done.get("deletedThrough")
        position = through.get("position") if isinstance(through, dict) else ""
        say(f"Deleted {done.get('events')} events, up to event {position}.")
        kept = done.get("keptForSink")
        if isinstance(kept, dict):
            whose = f"the sink {kept.get('sink')}" if kept.get("sink") else "a sink that changed"
            note(f"Kept from event {kept.get('position')} on, because {whose} has not received it.")


# -- verifying -------------------------------------------------------------------------------


def _verify_on_server(output: str) -> int:
    with connect() as connection:
        said = record.verification(connection)
    if output == "json":
        emit_json(dict(said))
    elif said.get("isIntact") is True:
        head = said.get("verifiedThrough")
        position = head.get("position") if isinstance(head, dict) else ""
        say(f"intact: {said.get('events')} events, up to event {position}")
        note(
            "The server checked itself. To check independently, verify an export with the public "
            "key."
        )
    else:
        found = said.get("firstBreak")
        found = found if isinstance(found, dict) else {}
        say(
            f"BROKEN ({found.get('kind')}) at event {found.get('position')}: {found.get('message')}"
        )
    return 0 if said.get("isIntact") is True else BROKEN


def _lines(file: IO[bytes]) -> Iterator[bytes]:
    while line := file.readline(LONGEST_LINE):
        yield line


def _own_keys(first: bytes) -> list[str]:
    """The key that the export itself names: proves that it is whole, not whose it is."""
    try:
        return [str(json.loads(first)["header"]["publicKey"])]
    except (ValueError, KeyError, TypeError, RecursionError):
        return []


def _check(keys: Iterable[str]) -> SignatureCheck:
    from bascule.client.signature import RecordKeys  # noqa: PLC0415  # reason: slow to load

    return RecordKeys(keys)


def _prove(
    first: bytes, lines: Iterator[bytes], check: SignatureCheck, witnesses: Iterable[Witness]
) -> Verdict:
    proof = Proof(check, tuple(witnesses))
    if first:
        proof.take(first)
    for line in lines:
        proof.take(line)
    return proof.verdict()


def _tell(verdict: Verdict, *, is_key_given: bool) -> None:
    span = f"events {verdict.begin.position + 1} to {verdict.head.position}"
    if verdict.break_ is None:
        say(f"intact: {verdict.count} events, {span}, exported {verdict.exported_at}")
        say(f"signed by key {verdict.key_id}, {verdict.checkpoints} checkpoints")
    else:
        found = verdict.break_
        say(f"BROKEN ({found.kind}) at event {found.position}, line {found.line}: {found.message}")
        say(f"intact so far: {span}" if verdict.count else "intact so far: nothing")
    for sentence in verdict.notes:
        note(f"note: {sentence}")
    if not is_key_given:
        note(
            "note: checked with the key inside the file; to detect forgery, give the key that you "
            "kept: --public-key"
        )


def _verdict_json(verdict: Verdict, *, is_key_given: bool) -> dict[str, Any]:
    found = verdict.break_
    return {
        "isIntact": verdict.is_intact,
        "firstBreak": None
        if found is None
        else {
            "kind": str(found.kind),
            "position": found.position,
            "line": found.line,
            "message": found.message,
        },
        "begin": {"position": verdict.begin.position, "hash": verdict.begin.hash},
        "verifiedThrough": {"position": verdict.head.position, "hash": verdict.head.hash},
        "events": verdict.count,
        "exportedAt": verdict.exported_at,
        "keyId": verdict.key_id,
        "isKeyGiven": is_key_given,
        "checkpoints": verdict.checkpoints,
        "notes": list(verdict.notes),
    }
