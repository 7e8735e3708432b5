"""Mail through the relay that the server was started with (RFC 5321, RFC 3207), by aiosmtplib.

The relay is the operator's choice, so no network is refused to it, and its name is resolved by the system.
With ``smtp`` the connection is encrypted by STARTTLS, and nothing is sent where the relay does not offer it,
unless the relay is on this host (a loopback address); ``smtps`` is TLS from the first byte. The certificate is
checked, against the host's CAs or the file that was named.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from ipaddress import ip_address
from pathlib import Path

import aiosmtplib
import structlog

from bascule.domain.delivery import Answer, Outcome, Target, Transport
from bascule.interfaces.delivery import Parcel

log = structlog.get_logger("bascule.delivery")

SEND_SECONDS = 30.0  # for all messages of one parcel
_PERMANENT = range(500, 600)  # RFC 5321 4.2.1: the same will be said next time


@dataclass(frozen=True, slots=True)
class Relay:
    """Where mail goes first."""

    host: str
    port: int
    is_tls: bool  # from the first byte
    sender: str  # of the envelope and of From
    user: str = ""  # empty: without signing in
    password: str = field(default="", repr=False)
    ca_file: Path | None = None  # None: those that the host trusts

    @property
    def is_local(self) -> bool:
        if self.host == "localhost":
            return True
        try:
            return ip_address(self.host).is_loopback
        except ValueError:
            return False


class MailLine:
    """Sends the messages of one sink; a connection for each parcel."""

    def __init__(self, target: Target, relay: Relay) -> None:
        self._relay = relay
        self._is_for_people = target.transport is Transport.PEOPLE

    async def carry(self, parcel: Parcel) -> Outcome:
        try:
            async with asyncio.timeout(SEND_SECONDS):
                return await self._send(parcel)
        except TimeoutError:
            return Outcome(
                Answer.LATER, f"the relay did not answer within {SEND_SECONDS:.0f} seconds"
            )
        except aiosmtplib.SMTPAuthenticationError:
            return Outcome(Answer.LATER, "the relay refused the user name or password")
        except aiosmtplib.SMTPNotSupported:
            return Outcome(
                Answer.LATER, "the relay offers no STARTTLS; nothing was sent unencrypted"
            )
        except ssl.SSLCertVerificationError as error:
            return Outcome(
                Answer.LATER, f"the relay's certificate is not trusted: {error.verify_message}"
            )
        except (aiosmtplib.SMTPException, OSError) as error:
            return Outcome(Answer.LATER, f"the relay could not be used ({type(error).__name__})")

    async def _send(self, parcel: Parcel) -> Outcome:
        relay = self._relay
        context = ssl.create_default_context(cafile=relay.ca_file)
        client = aiosmtplib.SMTP(
            hostname=relay.host,
            port=relay.port,
            use_tls=relay.is_tls,
            start_tls=False if relay.is_tls else (None if relay.is_local else True),
            tls_context=context,
            validate_certs=not relay.is_local,
            username=relay.user or None,
            password=relay.password or None,
            timeout=SEND_SECONDS,
        )
        refused = 0
        async with client:
            for message in parcel.messages:
                read = message_from_bytes(message, policy=policy.SMTP)
                to = [each.addr_spec for each in read["to"].addresses]
                try:
                    await client.sendmail(relay.sender, to, message)
                except (
                    aiosmtplib.SMTPRecipientsRefused,
                    aiosmtplib.SMTPResponseException,
                ) as error:
                    is_one_address = isinstance(error, aiosmtplib.SMTPRecipientsRefused)
                    if not (_is_permanent(error) or (self._is_for_people and is_one_address)):
                        raise
                    refused += 1
                    log.warning("mail was refused", recipients=to, why=str(error)[:200])
        if refused and not self._is_for_people:
            return Outcome(Answer.REFUSED, "the relay refused the message")
        # One person's wrong address keeps nobody else from hearing.
        return Outcome(Answer.TAKEN, f"sent; {refused} refused" if refused else "sent")

    async def close(self) -> None:
        """Nothing stays open."""


def _is_permanent(error: aiosmtplib.SMTPException) -> bool:
    if isinstance(error, aiosmtplib.SMTPRecipientsRefused):
        return all(each.code in _PERMANENT for each in error.recipients)
    return isinstance(error, aiosmtplib.SMTPResponseException) and error.code in _PERMANENT
