"""``bascule whoami``: who we are to the server, and what we may do by which group."""

from __future__ import annotations

import click

from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, output_option, print_table, say
from bascule.cli.show import until_words
from bascule.client import principals
from bascule.domain.times import format_utc


@click.command(epilog="\b\nExamples:\n  bascule whoami\n  bascule whoami -o json")
@output_option
def whoami(output: str) -> None:
    """Show who you are signed in as, your groups and your roles."""
    with connect() as connection:
        me = principals.whoami(connection)
        now = connection.now()
    if output == "json":
        emit_json(
            {
                "id": me.id,
                "kind": me.kind,
                "name": me.name,
                "displayName": me.display_name,
                "address": me.address,
                "groups": [
                    {
                        "id": each.id,
                        "name": each.group,
                        "expiresAt": format_utc(each.ends_at) if each.ends_at else None,
                        "byProvider": each.is_vouched,
                    }
                    for each in me.groups
                ],
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
    for n, each in enumerate(me.groups):
        end = f" until {until_words(each.ends_at, now)}" if each.ends_at else ""
        renewed = ", renewed when you sign in" if each.ends_at and each.is_vouched else ""
        say(f"{'' if n else 'groups':10} {each.group}{end}{renewed}")
    if not me.groups:
        say("groups     none")
    if not me.roles:
        say("roles      none; ask an administrator for one")
        return
    say("")
    print_table(
        ["ROLE", "SCOPE", "BY GROUP"], [[each.role, each.scope, each.by_group] for each in me.roles]
    )
