"""``bascule serve``: API and reconciler in one process over one data directory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
import structlog

from bascule.agent.service_manager import ServiceManager, passed_descriptors
from bascule.bootstrap.background import background
from bascule.bootstrap.handed_out import handed_out, packages_option
from bascule.bootstrap.mail import mail_options, relay_of
from bascule.bootstrap.options import (
    POOLER,
    certificate_options,
    database_options,
    parse_certificate,
)
from bascule.bootstrap.replica import joined, refuse_this_host, this_replica
from bascule.clocks import SystemClock, boot_id
from bascule.config import (
    DEFAULT_ANCHORS,
    DEFAULT_CERTIFICATE_LIFE,
    DEFAULT_LISTEN,
    METRICS_PORT,
    AccessLog,
    MailSettings,
    ServeSettings,
    parse_database,
    parse_listen,
    parse_names,
    parse_proxies,
    parse_sink_networks,
)
from bascule.domain.net import parse_address
from bascule.domain.retention import DEFAULT_FLOOR, check_floor
from bascule.domain.security_rules import Anchors
from bascule.domain.times import format_duration, parse_duration
from bascule.interfaces.clock import Clock
from bascule.interfaces.driver import HostParts
from bascule.interfaces.inventory import Installation
from bascule.interfaces.replicas import Replica
from bascule.interfaces.store import Store, Transaction
from bascule.services.act import Act, ServerPlace, Services
from bascule.services.duties import Duties
from bascule.services.hub import Hub
from bascule.telemetry import set_up_logging

if TYPE_CHECKING:
    from bascule.api.packages import Packages
    from bascule.bootstrap.database import Record
    from bascule.bootstrap.keys import Keys
    from bascule.identity.own_certificate import OwnCertificate
    from bascule.identity.sealing import Sealer
    from bascule.identity.tls import CertificateKeeper
    from bascule.identity.tokens import TokenIssuer
    from bascule.services.delivery import WayOut

log = structlog.get_logger("bascule.server")


@click.command(
    epilog="Examples:\n\n\b\n  bascule serve --data /var/lib/bascule\n"
    "  bascule serve --data ./data --listen 0.0.0.0:8443 --listen '[::]:8443' \\\n"
    "      --name bascule.example\n  bascule serve --data /var/lib/bascule --this-host"
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Data directory.")
@click.option(
    "--database",
    default=None,
    metavar="URL",
    help="Keep all data in PostgreSQL: postgresql://USER@HOST/DATABASE. Default: SQLite in DATA.",
)
@database_options
@POOLER
@mail_options
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    help=f"Address to listen on; repeatable. Default: {DEFAULT_LISTEN}.",
)
@click.option(
    "--metrics-listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    help="Address that serves /metrics by HTTP, without a token, to whoever reaches it; repeatable. "
    "Default: none. /metrics of --listen always needs a token.",
)
@click.option("--name", multiple=True, help="Host name or address that clients use; repeatable.")
@click.option(
    "--proxy",
    multiple=True,
    metavar="ADDRESS|NETWORK",
    help="Reverse proxy that ends TLS: its X-Forwarded-For is trusted, and agents that were enrolled with "
    "--through-proxy may come by it; repeatable.",
)
@click.option(
    "--balancer",
    multiple=True,
    help="Balancer whose connections begin with the PROXY protocol (v1, v2); repeatable.",
)
@click.option(
    "--join-file",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True, readable=False),
    default=None,
    metavar="FILE",
    help="File with a token of 'bascule admin replica invite', to join an installation as a replica; "
    "'-' reads stdin. Default: the environment variable BASCULE_JOIN_TOKEN.",
)
@click.option(
    "--this-host",
    is_flag=True,
    help="Protect this machine too (needs root; not with --database).",
)
@click.option(
    "--certificate-life",
    default=format_duration(DEFAULT_CERTIFICATE_LIFE),
    show_default=True,
    help="Validity of the server's certificate, ISO 8601; it renews itself.",
)
@certificate_options
@click.option(
    "--record-floor",
    default=format_duration(DEFAULT_FLOOR),
    show_default=True,
    help="Minimum age of events that a call may delete, ISO 8601; at least a day.",
)
@click.option(
    "--allow-sink-network",
    multiple=True,
    metavar="NETWORK",
    help="Private network that sinks and ticket systems may be in; repeatable.",
)
@click.option(
    "--sink-directory",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    default=None,
    metavar="DIR",
    help="Folder for file sinks.",
)
@packages_option
@click.option(
    "--access-log",
    type=click.Choice([str(each) for each in AccessLog]),
    default=str(AccessLog.SAMPLED),
    show_default=True,
    help="Which calls are a line of the log; sampled: of strangers only a few.",
)
@click.option(
    "--allow-password-grant",
    is_flag=True,
    help="Allow programs to send people's passwords at /adfs (az login -u -p). Never for a person "
    "with a second factor.",
)
@click.option(
    "--nsg-allow-priority",
    type=int,
    default=DEFAULT_ANCHORS.allow,
    show_default=True,
    help="First priority of allow rules in the security group view.",
)
@click.option(
    "--nsg-deny-priority",
    type=int,
    default=DEFAULT_ANCHORS.deny,
    show_default=True,
    help="First priority of deny rules in the security group view.",
)
@click.pass_obj
def serve(
    parts: HostParts,
    data: Path,
    database: str | None,
    database_password_file: Path | None,
    allow_unverified_database: bool,
    database_pooler: str | None,
    listen: tuple[str, ...],
    metrics_listen: tuple[str, ...],
    name: tuple[str, ...],
    proxy: tuple[str, ...],
    balancer: tuple[str, ...],
    join_file: Path | None,
    this_host: bool,
    certificate_life: str,
    certificate: Path | None,
    key: Path | None,
    record_floor: str,
    access_log: str,
    allow_password_grant: bool,
    nsg_allow_priority: int,
    nsg_deny_priority: int,
    allow_sink_network: tuple[str, ...],
    sink_directory: Path | None,
    packages: Path | None,
    mail: MailSettings | None,
) -> None:
    """Run the server. The first start creates its directory, a CA, admin.json and a set-up link.

    Ctrl-C or SIGTERM stops it gracefully. Open access ends on time without it.
    """
    set_up_logging()
    passed = [socket.socket(fileno=descriptor) for _, descriptor in passed_descriptors()]
    wanted = listen or (() if passed else (DEFAULT_LISTEN,))
    settings = ServeSettings(
        data=data.absolute(),
        listen=tuple(parse_listen(text) for text in wanted),
        metrics_listen=tuple(
            parse_listen(text, "--metrics-listen", METRICS_PORT) for text in metrics_listen
        ),
        names=parse_names(name),
        proxies=parse_proxies(proxy),
        balancers=tuple(parse_address(text) for text in balancer),
        this_host=this_host,
        certificate_life=parse_duration(certificate_life),
        own_certificate=parse_certificate(certificate, key),
        access_log=AccessLog(access_log),
        allows_password_grant=allow_password_grant,
        anchors=Anchors(nsg_allow_priority, nsg_deny_priority),
        record_floor=check_floor(parse_duration(record_floor, "--record-floor"), "--record-floor"),
        sink_networks=parse_sink_networks(allow_sink_network),
        sink_directory=None if sink_directory is None else sink_directory.absolute(),
        packages=None if packages is None else packages.absolute(),
        mail=mail,
        database=parse_database(
            database, database_password_file, allow_unverified_database, database_pooler
        ),
    )
    sys.exit(run(joined(settings, join_file), passed, parts))


def run(settings: ServeSettings, passed: list[socket.socket], parts: HostParts) -> int:
    """Serve until told to stop; returns the exit code."""
    gc.disable()  # what is loaded now stays; looking through it took a quarter of the start
    try:
        return _open_and_serve(settings, passed, parts)
    finally:
        gc.enable()


def _open_and_serve(settings: ServeSettings, passed: list[socket.socket], parts: HostParts) -> int:
    """What may refuse the start comes first: a start that is refused leaves no installation."""
    from bascule.api.listening import bind_to, take_over
    from bascule.api.own_certificate import take_own
    from bascule.bootstrap.data_directory import check_data_directory, open_data_directory
    from bascule.bootstrap.database import Record
    from bascule.bootstrap.keys import Keys
    from bascule.identity.tls import CertificateKeeper

    check_data_directory(settings.data)
    record = Record(settings.data, settings.database)
    record.check(settings.database)
    if settings.this_host and record.is_shared:
        refuse_this_host()
    packages = handed_out(settings.packages)
    with contextlib.ExitStack() as kept:
        listeners = [*bind_to(settings.listen), *take_over(passed)]
        metrics = bind_to(settings.metrics_listen)
        for listener in (*listeners, *metrics):
            kept.callback(listener.close)
        kept.callback(os.close, open_data_directory(settings.data))
        own = take_own(settings.own_certificate, settings.names, SystemClock().now())
        keeper = CertificateKeeper(
            settings.data, settings.names, lifetime=settings.certificate_life, own=own
        )
        store = record.open(is_server=True, may_begin=True)
        kept.callback(store.close)
        keys = Keys(settings.data, record)
        tokens = keys.take(store)
        keeper.ensure(SystemClock().now())
        return _serve(
            settings, listeners, metrics, parts, keeper, own, store, record, keys, tokens, packages
        )


def _serve(
    settings: ServeSettings,
    listeners: list[socket.socket],
    metrics: list[socket.socket],
    parts: HostParts,
    keeper: CertificateKeeper,
    own: OwnCertificate | None,
    store: Store,
    record: Record,
    keys: Keys,
    tokens: TokenIssuer,
    packages: Packages | None,
) -> int:
    from bascule import portal
    from bascule.api.app import build_app
    from bascule.api.context import AppState
    from bascule.api.my_address import is_own_address
    from bascule.api.origin import Names, Proxies
    from bascule.api.protocol import LineHouse
    from bascule.api.server import run_server
    from bascule.bootstrap.data_directory import ADMIN_FILE, AdminFile
    from bascule.bootstrap.first_words import FirstWords
    from bascule.bootstrap.set_up_file import MadeLink, SetUpFile
    from bascule.bootstrap.this_host import ThisHost
    from bascule.identity.oidc import RelyingParty
    from bascule.identity.proofs import IdentityProofs
    from bascule.identity.provider_http import HttpsProvider
    from bascule.identity.record_key import RecordKey
    from bascule.identity.sealing import Sealer
    from bascule.services.denials import of_strangers
    from bascule.services.sign_in import SignIn

    ports = [each.getsockname()[1] for each in listeners]
    # Before what is missing of them is put into the database, for replicas to come.
    record_key, sealer = RecordKey(settings.data), Sealer(settings.data)
    trust_key = keys.trust_key()
    endpoint = f"https://{settings.first_name}:{ports[0]}"
    replica = None if settings.database is None else this_replica(endpoint)
    place = ServerPlace(frozenset(ports), is_own_address, is_alone=replica is None)
    services = _services(settings, store, place, replica, sealer)
    host = ThisHost(services, parts, settings.data) if settings.this_host else None
    admin_path = settings.data / ADMIN_FILE
    admin_file, set_up_file = AdminFile(admin_path), SetUpFile(settings.data)
    words = FirstWords(None if admin_path.exists() else admin_path, set_up_file.path)

    def prepare(tx: Transaction, act: Act) -> tuple[Installation, MadeLink | None]:
        _note_start(tx, act, services, record)
        is_fresh = tx.installation() is None
        made = admin_file.ensure(tx, act, endpoint, keeper.ca_file)
        record.remember(tx)
        keys.put(tx, act.now)
        if is_fresh:
            words.make_recovery_key(tx, act)
            return made, set_up_file.make(tx, act, endpoint)
        set_up_file.tidy(tx, act.now)
        return made, None

    installation, link = asyncio.run(services.perform(prepare))
    _note_begun(record, services, installation)
    admin_file.carry(keeper.ca_file)
    state = AppState(
        services=services,
        installation=installation,
        tokens=tokens,
        names=Names(keeper.names),
        proxies=Proxies(settings.proxies),
        ca_file=keeper.ca_file,
        record_key=record_key,
        trust_key=trust_key,
        record_floor=settings.record_floor,
        anchors=settings.anchors,
        sign_in=SignIn(
            services,
            IdentityProofs(settings.data, settings.first_name),
            of_strangers(),  # its own: bad tokens do not use them up
        ),
        relying_party=RelyingParty(HttpsProvider(), sealer, services.clock),
        form_key=sealer.derive("forms"),
        way_out=_way_out(settings, services.clock, endpoint),
        access_log=settings.access_log,
        allows_password_grant=settings.allows_password_grant,
        on_set_up=set_up_file.forget,
        replica_keys=keys.at_replica(services, tokens),
        certificates=lambda: keeper.endings,
        keeper=keeper,
        own_certificate=own,
        packages=packages,
    )
    app = build_app(state, lambda: background(state, host, parts, metrics), [portal.router()])

    def started(addresses: Sequence[tuple[str, int]]) -> None:
        log.info("serving", endpoint=endpoint, addresses=addresses, data=str(settings.data))
        ServiceManager.from_environment().notify("READY=1")
        words.say(link)

    code = run_server(
        app,
        listeners,
        keeper,
        started,
        clock=services.clock,
        on_stopping=services.hub.close,
        proxies=state.proxies,
        balancers=settings.balancers,
        known=state.known_networks,
        agents=state.agent_networks,
        house=LineHouse(state.lines, state.names, state.proxies),
    )
    # A service manager starts a failed server again: the next start says where the record is.
    return code or int(services.fitness.has_moved)


def _services(
    settings: ServeSettings,
    store: Store,
    place: ServerPlace,
    replica: Replica | None,
    sealer: Sealer,
) -> Services:
    from bascule.outward.tickets import TicketCalls
    from bascule.services.tickets import TicketDesk

    clock = store.clock or SystemClock()
    return Services(
        store,
        clock,
        Hub(),
        place,
        serving_since=clock.now(),
        duties=Duties(None if replica is None else replica.uid),
        boot="" if store.clock is None else boot_id(),
        replica=replica,
        desk=TicketDesk(TicketCalls(settings.sink_networks), clock, sealer),
        this_boot=boot_id(),
    )


def _note_start(tx: Transaction, act: Act, services: Services, record: Record) -> None:
    from bascule.services.retention import mark_clock

    record.begin(tx)
    record.put_on_record(tx, act)
    mark_clock(tx, act, services.clock.boottime(), services.boot)
    if services.replica is None:
        tx.end_all_asking()  # no other server asks, and this one may have been stopped while it did


def _note_begun(record: Record, services: Services, installation: Installation) -> None:
    record.note_made()
    record.note_recorded()
    services.number.value = installation.number


def _way_out(settings: ServeSettings, clock: Clock, endpoint: str) -> WayOut:
    """Where the record leaves the house, if somebody adds a sink."""
    from bascule.outward.carriers import Carriers
    from bascule.services.delivery import WayOut

    relay = relay_of(settings.mail)
    carriers = Carriers(clock, settings.sink_networks, settings.sink_directory, relay=relay)
    sender = "" if relay is None else relay.sender
    return WayOut(carriers, settings.first_name, endpoint, sender)
