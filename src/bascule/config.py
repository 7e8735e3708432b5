"""The server's settings: parsed once, typed, refused with a reason.

Each setting is an option of ``bascule serve``; ServeSettings says what each is for.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from pathlib import Path

from bascule.domain.mail import parse_mail_address
from bascule.domain.net import Address, AddressPrefix, parse_address
from bascule.domain.retention import DEFAULT_FLOOR
from bascule.domain.security_rules import Anchors
from bascule.errors import ConfigurationError, InvalidInput

ALWAYS_NAMED = ("localhost", "127.0.0.1", "::1")
DEFAULT_LISTEN = "127.0.0.1:8443"
METRICS_PORT = 9464  # of examples: what Prometheus' exporters of OpenTelemetry use
DEFAULT_CERTIFICATE_LIFE = timedelta(days=90)
DEFAULT_ANCHORS = Anchors()
_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"
_HOST_NAME = re.compile(rf"(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")


JOIN_VARIABLE = "BASCULE_JOIN_TOKEN"


@dataclass(frozen=True, slots=True)
class DatabaseSettings:
    """A database of PostgreSQL."""

    url: str  # --database: without a password
    password_file: Path | None = None  # --database-password-file: its first line
    may_be_unverified: bool = False  # --allow-unverified-database: TLS weaker than verify-full
    pooler: str | None = None  # --database-pooler: what a server reads and writes goes through it


class AccessLog(StrEnum):
    """Which calls are a line of the log."""

    SAMPLED = "sampled"  # each of a known caller; of callers without identity a few a minute
    ALL = "all"  # each, so that the log grows with whoever calls
    OFF = "off"


@dataclass(frozen=True, slots=True)
class MailSettings:
    """The relay that takes mail, and in whose name."""

    host: str
    port: int
    is_tls: bool  # from the first byte (smtps); else STARTTLS
    sender: str  # --mail-from
    user: str = ""  # --mail-user
    password_file: Path | None = None  # --mail-password-file
    ca_file: Path | None = None  # --mail-ca-file; None: those that the host trusts


@dataclass(frozen=True, slots=True)
class ServeSettings:
    data: Path  # --data: directory of its own, made 0700 on the first start
    listen: tuple[tuple[str, int], ...]  # --listen: address and port, repeatable
    names: tuple[str, ...]  # --name: of the certificate, repeatable; ALWAYS_NAMED first
    proxies: tuple[AddressPrefix, ...] = ()  # --proxy: whose X-Forwarded-For counts
    balancers: tuple[Address, ...] = ()  # --balancer: whose PROXY protocol header is read
    this_host: bool = False  # --this-host: guard this very machine too, in this process
    certificate_life: timedelta = DEFAULT_CERTIFICATE_LIFE  # --certificate-life
    anchors: Anchors = DEFAULT_ANCHORS  # --nsg-allow-priority, --nsg-deny-priority: of views
    allows_password_grant: bool = False  # --allow-password-grant: at the tenant 'adfs' alone
    sink_networks: tuple[AddressPrefix, ...] = ()  # --allow-sink-network: besides global ones
    record_floor: timedelta = DEFAULT_FLOOR  # --record-floor: nothing younger is deleted
    sink_directory: Path | None = None  # --sink-directory: where file sinks write; None: nowhere
    mail: MailSettings | None = None  # --mail-relay; None: no mail is sent
    metrics_listen: tuple[tuple[str, int], ...] = ()  # --metrics-listen: without TLS and token
    packages: Path | None = None  # --packages: for hosts; None: those of bascule-server's package
    database: DatabaseSettings | None = None  # --database; None: SQLite in the data directory
    access_log: AccessLog = AccessLog.SAMPLED  # --access-log
    own_certificate: tuple[Path, Path] | None = None  # --certificate, --key: PEM files

    @property
    def first_name(self) -> str:
        """The name that clients are told, as in a URL: the first that was given, else localhost."""
        given = [name for name in self.names if name not in ALWAYS_NAMED]
        name = given[0] if given else ALWAYS_NAMED[0]
        return f"[{name}]" if ":" in name else name


def parse_listen(text: str, option: str = "--listen", port: int = 8443) -> tuple[str, int]:
    """``HOST:PORT`` or ``[V6]:PORT``; the host must be an address. ``port`` is of the example."""
    host, separator, digits = text.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        address = parse_address(bare)
        number = int(digits) if digits.isascii() and digits.isdigit() else -1
    except InvalidInput:
        number = -1
        address = None
    if not separator or address is None or not 0 <= number <= 65535:
        raise ConfigurationError(
            f"{option} {text!r} is not ADDRESS:PORT; write 0.0.0.0:{port} or [::]:{port}."
        )
    return bare, number


_RELAY = re.compile(r"(smtps?)://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.-]+)(?::([0-9]{1,5}))?/?")


def parse_mail(
    relay: str | None,
    sender: str | None,
    user: str | None,
    password_file: Path | None,
    ca_file: Path | None,
) -> MailSettings | None:
    """``smtp://HOST[:PORT]`` (port 25) or ``smtps://HOST[:PORT]`` (port 465, RFC 8314); None: no mail.

    Raises ConfigurationError, also where the options do not go together.
    """
    if relay is None:
        if sender or user or password_file or ca_file:
            raise ConfigurationError("--mail-from and the other --mail options need --mail-relay.")
        return None
    found = _RELAY.fullmatch(relay)
    if found is None or not 1 <= int(found[3] or 25) <= 65535:
        raise ConfigurationError(
            f"--mail-relay {relay!r} is not smtp://HOST:PORT or smtps://HOST:PORT."
        )
    if sender is None:
        raise ConfigurationError("--mail-relay needs --mail-from ADDRESS, the sender of mail.")
    if (user is None) is not (password_file is None):
        raise ConfigurationError("--mail-user and --mail-password-file go together.")
    try:
        checked = parse_mail_address(sender)
    except InvalidInput as error:
        raise ConfigurationError(f"--mail-from: {error.message}") from None
    is_tls = found[1].casefold() == "smtps"
    port = int(found[3] or (465 if is_tls else 25))
    return MailSettings(
        found[2].strip("[]"), port, is_tls, checked, user or "", password_file, ca_file
    )


def parse_names(texts: Sequence[str]) -> tuple[str, ...]:
    """Host names and addresses, ALWAYS_NAMED first, each once, lower case."""
    names = list(ALWAYS_NAMED)
    for text in texts:
        name = text.casefold()
        if _HOST_NAME.fullmatch(name) is None:
            try:
                name = str(parse_address(name))
            except InvalidInput:
                raise ConfigurationError(
                    f"--name {text!r} is neither a host name nor an address."
                ) from None
        if name not in names:
            names.append(name)
    return tuple(names)


def parse_database(
    url: str | None, password_file: Path | None, may_be_unverified: bool, pooler: str | None = None
) -> DatabaseSettings | None:
    """None: SQLite. What else is wrong with the address is said when it is opened. An empty one, such as
    of a variable that is not set, would be libpq's default.
    """
    if url is not None and not url.strip():
        raise ConfigurationError(
            "The address of the database is empty.",
            advice="Write postgresql://USER@HOST/DATABASE",
        )
    if url is not None:
        file = None if password_file is None else password_file.absolute()
        return DatabaseSettings(url, file, may_be_unverified, pooler)
    if pooler is not None:
        raise ConfigurationError(
            "--database-pooler needs --database: hints of other servers and upgrades go to the "
            "database server itself.",
            advice="Add --database postgresql://USER@HOST/DATABASE",
        )
    if password_file is not None or may_be_unverified:
        raise ConfigurationError(
            "--database-password-file and --allow-unverified-database need --database.",
            advice="Add --database postgresql://USER@HOST/DATABASE",
        )
    return None


def parse_proxies(texts: Sequence[str]) -> tuple[AddressPrefix, ...]:
    """Addresses and networks of reverse proxies; ``*`` is not taken."""
    found = []
    for text in texts:
        prefix = AddressPrefix.parse(text, "--proxy")
        if prefix.network is None or prefix.network.prefixlen == 0:
            raise ConfigurationError(
                f"--proxy {text} would let everybody say from where they call.",
                advice="Give the addresses from which your proxies call, for example 10.1.2.3.",
            )
        found.append(prefix)
    return tuple(found)


def parse_sink_networks(texts: Sequence[str]) -> tuple[AddressPrefix, ...]:
    """Networks that sinks may be in although they are private; ``*`` is not taken."""
    networks = []
    for text in texts:
        try:
            prefix = AddressPrefix.parse(text)
        except InvalidInput as error:
            raise ConfigurationError(f"--allow-sink-network: {error.message}") from None
        if prefix.network is None:
            raise ConfigurationError(
                "--allow-sink-network '*' would allow the record to be sent anywhere in your "
                "network.",
                advice="Give the networks of your receivers, for example 10.1.2.0/24.",
            )
        networks.append(prefix)
    return tuple(networks)
