"""``bascule approve``, ``deny`` and ``withdraw``: the answers to a request that waits."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING

import click

from bascule.cli.approval_words import fact_lines, stage_words
from bascule.cli.approvals import described
from bascule.cli.confirm import confirm, yes_option
from bascule.cli.connect import connect
from bascule.cli.find import find_waiting, my_only_request, short_id, summary
from bascule.cli.parameters import SPAN
from bascule.cli.printing import emit_json, note, output_option, say
from bascule.cli.spans import parse_until
from bascule.cli.waiting import unknown_if_lost
from bascule.client import access, approval
from bascule.client.access import AccessRequest, list_requests
from bascule.domain.lifecycle import RequestState
from bascule.errors import Conflict, InvalidInput

if TYPE_CHECKING:
    from bascule.client.approval import Approval
    from bascule.client.connection import Connection

_LOOK = "To see it: bascule approvals {}"
DIGEST = click.option(
    "--digest",
    metavar="HEX",
    default="",
    help="Answer only what has this digest, as 'bascule approvals REQUEST -o json' shows it. "
    "Default: the request as it is printed now.",
)


@click.command(
    epilog="""\b
Examples:
  bascule approve 3f2a91c0
  bascule approve 3f2a91c0 --for 30m --note "only for the restart"
  bascule approve 3f2a91c0 --yes --digest 4be1..."""
)
@click.argument("request")
@click.option(
    "--for", "span", type=SPAN, metavar="DURATION", help="Allow only this long, from its opening."
)
@click.option("--until", metavar="TIME", default=None, help="Allow only until then: 17:30, ...")
@click.option("--note", "remark", metavar="TEXT", default="", help="A note; it is recorded.")
@DIGEST
@yes_option
@output_option
def approve(
    request: str,
    span: timedelta | None,
    until: str | None,
    remark: str,
    digest: str,
    is_sure: bool,
    output: str,
) -> None:
    """Say yes to a request that waits for approval.

    REQUEST is an id or its first characters, as 'bascule approvals' shows them. Prints what the
    request opens, and asks for confirmation. With the last yes that is needed, the request is judged
    again by today's policy and rights, and opens. You may shorten it, not lengthen it.
    """
    if span is not None and until is not None:
        raise click.UsageError("Give --for or --until, not both.")
    with connect() as connection:
        found = find_waiting(connection, request)
        known = _waits(found)
        ends_at = parse_until(until, connection.now(), "--until") if until is not None else None
        if not is_sure:
            _print_facts(connection, found)
        confirm(f"You approve {summary(found)} for {found.requestor}.", is_sure=is_sure)
        with unknown_if_lost("approved", look=_LOOK.format(found.id)):
            answer = approval.approve(
                connection,
                found.id,
                digest or known.digest,
                span=span,
                ends_at=ends_at,
                remark=remark,
            )
        if output == "json":
            emit_json(described(answer))
            return
        say(f"You approved {summary(answer)} for {answer.requestor} (request {short_id(answer)}).")
        if answer.is_waiting and answer.approval is not None:
            say("It still waits:")
            for stage in answer.approval.stages:
                if stage.state != "met":
                    say(f"  {stage_words(stage)}")
        elif answer.state == RequestState.DENIED:
            note("It was not allowed any more when it was judged again, and did not open:")
            for reason in answer.reasons:
                note(f"  - {reason}")
        else:
            say(f"It needs nobody else, and is {answer.state}.")


@click.command(
    epilog="""\b
Examples:
  bascule deny 3f2a91c0 --why "the change window is tomorrow"
"""
)
@click.argument("request")
@click.option(
    "--why",
    metavar="TEXT",
    required=True,
    help="The reason; the requestor sees it, and it is recorded.",
)
@DIGEST
@yes_option
@output_option
def deny(request: str, why: str, digest: str, is_sure: bool, output: str) -> None:
    """Say no to a request that waits for approval. It ends, and opens nothing.

    REQUEST is an id or its first characters, as 'bascule approvals' shows them. One no is enough.
    """
    if not why.strip():
        raise InvalidInput("Give a reason: --why TEXT.", code="ReasonRequired")
    with connect() as connection:
        found = find_waiting(connection, request)
        known = _waits(found)
        if not is_sure and sys.stdin.isatty():
            _print_facts(connection, found)
            confirm(f"You deny {summary(found)} to {found.requestor}.", is_sure=False)
        with unknown_if_lost("denied", look=_LOOK.format(found.id)):
            answer = approval.deny(connection, found.id, digest or known.digest, why)
        if output == "json":
            emit_json(described(answer))
            return
        say(f"You denied {summary(answer)} to {answer.requestor} (request {short_id(answer)}).")


@click.command(
    epilog="""\b
Examples:
  bascule withdraw              your only request that waits or is scheduled
  bascule withdraw 3f2a91c0"""
)
@click.argument("request", required=False)
@output_option
def withdraw(request: str | None, output: str) -> None:
    """Take back a request of yours that waits for approval, or for its start.

    REQUEST is an id or its first characters. Default: your only such request.
    """
    with connect() as connection:
        if request is not None:
            found = find_waiting(connection, request)
        else:
            mine = [
                each
                for each in list_requests(connection, is_live=True, is_mine=True)
                if each.is_pending
            ]
            found = my_only_request(mine, "withdraw")
        if not found.is_pending:
            raise _not_waiting(found)
        with unknown_if_lost("withdrawn", look=_LOOK.format(found.id)):
            answer = access.revoke(connection, found.id, kill=False)
        if output == "json":
            emit_json(described(answer))
            return
        say(f"Withdrawn: {summary(answer)} (request {short_id(answer)}). It opened nothing.")


def _waits(request: AccessRequest) -> Approval:
    """Its approval; raises Conflict where it does not wait any more."""
    if not request.is_waiting or request.approval is None:
        raise _not_waiting(request)
    return request.approval


def _not_waiting(request: AccessRequest) -> Conflict:
    return Conflict(
        f"Request {short_id(request)} does not wait for approval: it is {request.state}.",
        code="NotWaiting",
        advice="To see what waits: bascule approvals --all",
    )


def _print_facts(connection: Connection, request: AccessRequest) -> None:
    for line in fact_lines(request, connection.now()):
        note(line)
