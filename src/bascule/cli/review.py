"""``bascule review``: what somebody else found of emergency access."""

from __future__ import annotations

import click

from bascule.cli.approval_words import fact_lines
from bascule.cli.approvals import described
from bascule.cli.connect import connect
from bascule.cli.find import find_unreviewed, short_id, summary
from bascule.cli.printing import emit_json, output_option, say
from bascule.client import approval
from bascule.errors import InvalidInput


@click.command(
    epilog="""\b
Examples:
  bascule approvals --emergencies
  bascule review 3f2a91c0 --note "spoke with Anna; the disk was full\""""
)
@click.argument("request")
@click.option(
    "--note", "remark", metavar="TEXT", required=True, help="What you found; it is recorded."
)
@output_option
def review(request: str, remark: str, output: str) -> None:
    """Review emergency access that somebody else used.

    REQUEST is an id or its first characters. Whoever may write rules for its machines may review it, and
    whoever holds the role Bascule Access Approver there; never the person who used it.
    """
    if not remark.strip():
        raise InvalidInput("Say what you found: --note TEXT.", code="NoteRequired")
    with connect() as connection:
        found = find_unreviewed(connection, request)
        answer = approval.review(connection, found.id, remark)
        if output == "json":
            emit_json(described(answer))
            return
        for line in fact_lines(answer, connection.now()):
            say(line)
        say(f"You reviewed {summary(answer)} of {answer.requestor} (request {short_id(answer)}).")
