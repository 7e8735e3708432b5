"""``bascule whoami``: who we are to the server, and what we may do by which group."""

from __future__ import annotations

import click

from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, output_option, print_table, say
from bascule.client import principals


@click.command(epilog="\b\nExamples:\n  bascule whoami\n  bascule whoami -o json")
@output_option
def whoami(output: str) -> None:
    """Show who you are signed in as, your groups and your roles."""
    with connect() as connection:
        me = principals.whoami(connection)
    if output == "json":
        emit_json(
            {
                "id": me.id,
                "kind": me.kind,
                "name": me.name,
                "displayName": me.display_name,
                "address": me.address,
                "groups": list(me.groups),
                "roles": [
                    {"role": each.role, "scope": each.scope, "byGroup": each.by_group or None}
                    for each in me.roles
                ],
            }
        )
        return
    say(f"you        {me.name} ({me.kind})")
    say(f"id         {me.id}")
    say(f"from       {me.address}")
    say(f"groups     {', '.join(me.groups) or 'none'}")
    if not me.roles:
        say("roles      none; ask an administrator for one")
        return
    say("")
    print_table(
        ["ROLE", "SCOPE", "BY GROUP"], [[each.role, each.scope, each.by_group] for each in me.roles]
    )
