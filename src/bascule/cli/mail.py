"""``bascule mail``: where you want mail, and of what."""

from __future__ import annotations

from typing import Any

import click

from bascule.cli.connect import connect
from bascule.cli.printing import emit_json, output_option, say
from bascule.cli.spans import show_instant
from bascule.client import mail as api
from bascule.domain.times import format_utc


@click.command(
    epilog="""\b
Examples:
  bascule mail                                  what you have chosen
  bascule mail anna@example.com                 a code is sent there
  bascule mail confirm BCDF-GHJK                from then on it gets mail
  bascule mail anna@example.com --language fr --no-own
  bascule mail --off"""
)
@click.argument("address", metavar="[ADDRESS|confirm]", required=False)
@click.argument("code", required=False)
@click.option("--asked/--no-asked", default=None, help="Of requests that wait for your approval.")
@click.option("--own/--no-own", default=None, help="Of what becomes of your own requests.")
@click.option(
    "--ending/--no-ending",
    default=None,
    help="That access of your own starts or ends soon (5 minutes).",
)
@click.option("--language", type=click.Choice(["en", "fr"]), help="Language of the texts.")
@click.option("--off", is_flag=True, help="Want no mail.")
@output_option
def mail(
    address: str | None,
    code: str | None,
    asked: bool | None,
    own: bool | None,
    ending: bool | None,
    language: str | None,
    off: bool,
    output: str,
) -> None:
    """Show or choose where you want mail, and of what.

    Mail is sent where the server has a relay (bascule serve --mail-relay) and a sink mail:people (bascule
    audit sinks add people mail:people). An address gets nothing but a code until you have given that code, unless it
    is your user name. After a change, the address before hears too for seven days.
    """
    said = {"address": address, "asked": asked, "own": own, "ending": ending, "language": language}
    given: dict[str, Any] = {key: value for key, value in said.items() if value is not None}
    is_code = address == "confirm"
    if is_code != (code is not None) or (is_code and (len(given) > 1 or off)):
        raise click.UsageError("Write: bascule mail confirm CODE, without options.")
    if off and given:
        raise click.UsageError("Give --off alone.")
    with connect() as connection:
        if off:
            api.delete_mail(connection)
        if code is not None:
            found = api.confirm_mail(connection, code)
        else:
            found = api.put_mail(connection, given) if given else api.get_mail(connection)
        now = connection.now()
    if output == "json":
        until = found.previous_until
        emit_json(
            {
                "address": found.address or None,
                "language": found.language,
                "asked": found.asked,
                "own": found.own,
                "ending": found.ending,
                "previousAddress": found.previous or None,
                "previousUntil": format_utc(until) if until else None,
                "waitingAddress": found.waiting or None,
                "waitingUntil": format_utc(found.waiting_until) if found.waiting_until else None,
            }
        )
        return
    if found.waiting and found.waiting_until:
        say(f"waits      {found.waiting} gets nothing but a code until you give it:")
        say(f"           bascule mail confirm CODE, until {show_instant(found.waiting_until, now)}")
    if not found.address:
        if not found.waiting:
            say("You get no mail. To get some: bascule mail ADDRESS")
        return
    say(f"mail to    {found.address} ({found.language})")
    say(f"of         {_of(found)}")
    if found.previous and found.previous_until and found.previous_until > now:
        say(
            f"           {found.previous} hears too until {show_instant(found.previous_until, now)}"
        )


def _of(found: api.Mail) -> str:
    wanted = ["requests that wait for you"] if found.asked else []
    wanted += ["your own requests"] if found.own else []
    wanted += ["the start and the end of your access"] if found.ending else []
    return " and ".join(wanted) or "nothing"
