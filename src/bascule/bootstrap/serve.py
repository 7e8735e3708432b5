"""``bascule serve``: API and reconciler in one process over one data directory."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import click
import structlog

from bascule.config import (
    DEFAULT_CERTIFICATE_LIFE,
    DEFAULT_LISTEN,
    ServeSettings,
    parse_listen,
    parse_names,
)
from bascule.domain.net import parse_address
from bascule.domain.times import format_duration, parse_duration

log = structlog.get_logger("bascule.server")


@click.command(
    epilog="Examples:\n\n\b\n  bascule serve --data /var/lib/bascule\n"
    "  bascule serve --data ./data --listen 0.0.0.0:8443 --listen '[::]:8443' "
    "--name bascule.example\n  bascule serve --data /var/lib/bascule --this-host"
)
@click.option("--data", type=click.Path(path_type=Path), required=True, help="Data directory.")
@click.option(
    "--listen",
    multiple=True,
    metavar="ADDRESS:PORT",
    help=f"Where to listen; repeatable. Default: {DEFAULT_LISTEN}.",
)
@click.option("--name", multiple=True, help="Name or address of this server; repeatable.")
@click.option("--proxy", multiple=True, help="Reverse proxy whose X-Forwarded-For counts.")
@click.option("--this-host", is_flag=True, help="Guard this very machine too (needs root).")
@click.option(
    "--certificate-life",
    default=format_duration(DEFAULT_CERTIFICATE_LIFE),
    show_default=True,
    help="Life of the server's certificate, ISO 8601; it renews itself.",
)
@click.pass_obj
def serve(
    parts: object,
    data: Path,
    listen: tuple[str, ...],
    name: tuple[str, ...],
    proxy: tuple[str, ...],
    this_host: bool,
    certificate_life: str,
) -> None:
    """Run the server. The first start makes the data directory, a CA and admin.json.

    Ctrl-C or SIGTERM ends it gracefully; what is open ends on time without it.
    """
    from bascule.agent.service_manager import passed_descriptors
    from bascule.telemetry import set_up_logging

    set_up_logging()
    passed = [socket.socket(fileno=descriptor) for _, descriptor in passed_descriptors()]
    wanted = listen or (() if passed else (DEFAULT_LISTEN,))
    settings = ServeSettings(
        data=data.absolute(),
        listen=tuple(parse_listen(text) for text in wanted),
        names=parse_names(name),
        proxies=tuple(parse_address(text) for text in proxy),
        this_host=this_host,
        certificate_life=parse_duration(certificate_life),
    )
    sys.exit(run(settings, passed, parts))


def run(settings: ServeSettings, passed: list[socket.socket], parts: object) -> int:
    """Serve until told to stop; returns the exit code."""
    from bascule.bootstrap.data_directory import DATABASE, open_data_directory
    from bascule.identity.tls import CertificateKeeper
    from bascule.store.open import open_store

    lock = open_data_directory(settings.data)
    keeper = CertificateKeeper(settings.data, settings.names, lifetime=settings.certificate_life)
    keeper.ensure()
    store = open_store(settings.data / DATABASE)
    try:
        return _serve(settings, passed, parts, keeper, store)
    finally:
        store.close()
        os.close(lock)
