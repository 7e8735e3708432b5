"""``bascule approvals``: which requests wait, for whom, and how one of them stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bascule.cli.approval_words import approval_json, emergency_rows, fact_lines, list_rows
from bascule.cli.connect import connect
from bascule.cli.find import find_waiting, short_id
from bascule.cli.printing import emit_json, note, output_option, print_table, say
from bascule.cli.show import request_json
from bascule.client.access import AccessRequest, list_requests
from bascule.domain.lifecycle import RequestState

if TYPE_CHECKING:
    from bascule.client.connection import Connection

EMERGENCY_HEADS = ["SINCE", "BY", "OPENED", "WHY", "REVIEW", "REQUEST"]
HEADS = ["SINCE", "FOR", "ASKED FOR", "LENGTH", "WHY", "STATE", "REQUEST"]


@click.command(
    epilog="""\b
Examples:
  bascule approvals               what waits for your answer
  bascule approvals 3f2a91c0      one of them, with all that is known
  bascule approvals --mine        your own requests that wait
  bascule approvals --all         all waiting requests that you may see
  bascule approvals --emergencies emergency access to be reviewed
  bascule approvals --decided -o json"""
)
@click.argument("request", required=False)
@click.option("--mine", is_flag=True, help="Your own requests that wait.")
@click.option("--all", "is_all", is_flag=True, help="All waiting requests that you may see.")
@click.option("--emergencies", is_flag=True, help="Emergency access that nobody has reviewed.")
@click.option("--decided", is_flag=True, help="Requests that you approved or denied.")
@output_option
def approvals(
    request: str | None, mine: bool, is_all: bool, emergencies: bool, decided: bool, output: str
) -> None:
    """List requests that wait for approval; by default those that wait for you.

    REQUEST is an id or its first characters: shows that request, its stages, who approved, and
    whether you may. Answer with bascule approve or bascule deny.
    """
    if [request is not None, mine, is_all, emergencies, decided].count(True) > 1:
        raise click.UsageError(
            "Give only one of REQUEST, --mine, --all, --emergencies and --decided."
        )
    with connect() as connection:
        if request is not None:
            _show(connection, find_waiting(connection, request), output)
            return
        if emergencies:
            _list_emergencies(connection, output)
            return
        if mine:
            found = list_requests(connection, is_mine=True, state=RequestState.WAITING)
            empty = "None of your requests waits for approval."
        elif is_all:
            found = list_requests(connection, state=RequestState.WAITING)
            empty = "No request that you may see waits for approval."
        elif decided:
            found = list_requests(connection, was_decided_by_me=True)
            empty = "You have not approved or denied any request."
        else:
            found = list_requests(connection, waits_for_me=True)
            empty = "No request waits for your answer. Your own: bascule approvals --mine"
        if output == "json":
            emit_json([described(each) for each in found])
        elif found:
            print_table(HEADS, list_rows(found, connection.now()))
        else:
            note(empty)


def _list_emergencies(connection: Connection, output: str) -> None:
    found = list_requests(connection, needs_review=True)
    if output == "json":
        emit_json([described(each) for each in found])
    elif found:
        print_table(EMERGENCY_HEADS, emergency_rows(found, connection.now()))
        note("To review one: bascule review REQUEST --note TEXT")
    else:
        note("No emergency access that you may see needs a review.")


def _show(connection: Connection, found: AccessRequest, output: str) -> None:
    if output == "json":
        emit_json(described(found))
        return
    for line in fact_lines(found, connection.now()):
        say(line)
    if found.approval is not None and found.approval.may_approve:
        short = short_id(found)
        say(f"To answer:  bascule approve {short}   or   bascule deny {short} --why TEXT")


def described(request: AccessRequest) -> dict[str, object]:
    """A request with its approval, for programs."""
    approval = request.approval
    return {
        **request_json(request),
        "reasons": list(request.reasons),
        "approval": None if approval is None else approval_json(approval),
    }
