"""The options by which a server sends mail, and the relay that they name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bascule.config import MailSettings, parse_mail
from bascule.errors import ConfigurationError

if TYPE_CHECKING:
    from bascule.outward.mail import Relay


def mail_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--mail-...``, handed over as ``mail`` (``config.parse_mail``)."""

    @wraps(command)
    def gathered(
        *args: object,
        mail_relay: str | None,
        mail_from: str | None,
        mail_user: str | None,
        mail_password_file: Path | None,
        mail_ca_file: Path | None,
        **others: object,
    ) -> object:
        mail = parse_mail(mail_relay, mail_from, mail_user, mail_password_file, mail_ca_file)
        return command(*args, mail=mail, **others)

    options = [
        click.option(
            "--mail-relay",
            default=None,
            metavar="URL",
            help="Relay for mail: smtp://HOST[:PORT] (by STARTTLS, port 25) or smtps://HOST[:PORT] (port "
            "465). Default: no mail is sent.",
        ),
        click.option("--mail-from", default=None, metavar="ADDRESS", help="Sender of mail."),
        click.option("--mail-user", default=None, metavar="NAME", help="Name at the relay."),
        click.option(
            "--mail-password-file",
            type=click.Path(path_type=Path, dir_okay=False),
            default=None,
            metavar="FILE",
            help="File with the password at the relay.",
        ),
        click.option(
            "--mail-ca-file",
            type=click.Path(path_type=Path, dir_okay=False),
            default=None,
            metavar="FILE",
            help="CAs that the relay's certificate may be of. Default: those that this host trusts.",
        ),
    ]
    found: Callable[..., Any] = gathered
    for option in reversed(options):
        found = option(found)
    return found


def relay_of(mail: MailSettings | None) -> Relay | None:
    """None: no mail. Raises ConfigurationError where its password cannot be read."""
    from bascule.outward.mail import Relay

    if mail is None:
        return None
    password = ""
    if mail.password_file is not None:
        try:
            password = mail.password_file.read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ConfigurationError(
                f"--mail-password-file {mail.password_file} cannot be read: {error.strerror}."
            ) from None
    return Relay(mail.host, mail.port, mail.is_tls, mail.sender, mail.user, password, mail.ca_file)
