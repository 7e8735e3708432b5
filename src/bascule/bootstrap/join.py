"""``bascule serve --join-file``: a new data directory becomes one of an installation (EDGES H7).

The CA is trusted by its fingerprint in the token, before the secret is sent. Nothing is written before
the answer. Then ``database.json`` comes first and ``wrapping.key`` last: a directory without the latter
has not joined, and may join with another token. All other keys are in the database.
"""

from __future__ import annotations

import base64
import json
import os
import socket
import ssl
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import structlog

from bascule.bootstrap.data_directory import DATABASE_FILE, LOCK, open_data_directory
from bascule.bootstrap.database import Record
from bascule.bootstrap.replica import refuse_this_host
from bascule.client.https import Https, HttpsFailure, pinned
from bascule.client.obstacles import unreachable
from bascule.client.pin import fetch_ca
from bascule.config import JOIN_VARIABLE, DatabaseSettings, ServeSettings
from bascule.errors import (
    AuthenticationFailed,
    BasculeError,
    ConfigurationError,
    InvalidInput,
    ServerUnreachable,
)
from bascule.files import write_atomically
from bascule.identity.join_token import MAKE_ONE, JoinToken, parse_join_token
from bascule.identity.sealing import KEY_BYTES
from bascule.identity.shared_keys import WRAPPING_KEY
from bascule.identity.tls import CA_CERTIFICATE, ca_fingerprint

log = structlog.get_logger("bascule.server")

PATH = "/bascule/replicas/join"
LONGEST = 8192  # characters of a token, bytes of an answer
PATIENCE, WITHIN = 10.0, 30.0  # seconds
_MAY_BE_THERE = frozenset(
    {LOCK, DATABASE_FILE, f"{DATABASE_FILE}.new", f"{WRAPPING_KEY}.new", "lost+found"}
)


@dataclass(frozen=True, slots=True)
class _Joined:
    tenant_id: str
    wrapping_key: bytes = field(repr=False)
    database: str
    may_be_unverified: bool


def join_once(settings: ServeSettings, file: Path | None) -> ServeSettings:
    """Join with the token of ``file`` or the environment, unless that was done; the settings with
    the place of the record. Raises BasculeError; then the directory is as it was.
    """
    data = settings.data
    if (data / WRAPPING_KEY).exists():
        _check_same(data, file)
        return replace(settings, database=settings.database or Record(data).settings)
    token = _offered(file)
    if token is None:
        return settings
    if settings.this_host:  # before the token is used up
        refuse_this_host()
    descriptor = open_data_directory(data)
    try:
        return replace(settings, database=_join(data, token, settings.database))
    finally:
        os.close(descriptor)


def _offered(file: Path | None) -> JoinToken | None:
    """The token of the file or the environment; None: this start joins nothing.

    There is no option for the token itself: every account of the host can read command lines.
    """
    text = os.environ.pop(JOIN_VARIABLE, "").strip()
    if file is not None:
        try:
            text = (
                sys.stdin.read(LONGEST) if str(file) == "-" else file.read_text("ascii")
            ).strip()
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise ConfigurationError(
                f"The token cannot be read from {file}: {why}.",
                advice=f"Once this server has joined, omit --join-file. {MAKE_ONE}",
            ) from None
        if not text:
            raise InvalidInput(
                f"There is no token in {file}.", target="--join-file", advice=MAKE_ONE
            )
    return parse_join_token(text) if text else None


def _join(data: Path, token: JoinToken, chosen: DatabaseSettings | None) -> DatabaseSettings:
    """``chosen`` is another way to the same database than that of who invites."""
    _check_empty(data)
    answer = _ask(token)
    settings = chosen or DatabaseSettings(
        answer.database, may_be_unverified=answer.may_be_unverified
    )
    file = settings.password_file
    told = {
        "database": settings.url,
        "password_file": "" if file is None else str(file),
        "may_be_unverified": settings.may_be_unverified,
        "tenant_id": answer.tenant_id,
        "is_made": True,
        "joined_by": token.ca_fingerprint,
    }
    write_atomically(data / DATABASE_FILE, json.dumps(told, indent=2) + "\n")
    write_atomically(data / WRAPPING_KEY, answer.wrapping_key)
    return settings


def _check_same(data: Path, file: Path | None) -> None:
    """A unit that names the token at each start goes on with what it made, also when the file is gone.

    Raises ConfigurationError when the token is of another installation than the data directory.
    """
    try:
        token = _offered(file)
    except BasculeError as error:
        log.warning("no token was read; this server has joined already", why=error.message)
        return
    if token is None:
        return
    try:
        found = ca_fingerprint(data / CA_CERTIFICATE)
    except FileNotFoundError:
        return  # killed before its first start was over: the database says whose keys are right
    except (OSError, ValueError):
        found = ""
    # The CA may have been replaced since the token was made by which this directory joined.
    if token.ca_fingerprint not in (found, Record(data).joined_by):
        raise ConfigurationError(
            f"{data} belongs to another installation than the token of --join-file.",
            advice="Give an empty or new directory with --data DIR, or omit --join-file.",
        )


def _check_empty(data: Path) -> None:
    other = sorted(each.name for each in data.iterdir() if each.name not in _MAY_BE_THERE)
    if other:
        raise ConfigurationError(
            f"{data} cannot join an installation: it contains {other[0][:60]!r}. Nothing in it was "
            f"changed.",
            advice="Give an empty or new directory with --data DIR.",
        )


def _ask(token: JoinToken) -> _Joined:
    """Ask the first endpoint that answers. Only that one is sent the secret."""
    failures: list[BasculeError] = []
    for endpoint in token.endpoints:
        try:
            ca = fetch_ca(endpoint, token.ca_fingerprint)
        except ServerUnreachable as error:
            failures.append(error)
            continue
        return _prove(endpoint, pinned(ssl.create_default_context(cadata=ca)), token)
    raise failures[-1]


def _prove(endpoint: str, trust: ssl.SSLContext, token: JoinToken) -> _Joined:
    body = {"inviteId": token.invite_id, "secret": token.secret, "host": socket.gethostname()}
    https = Https(endpoint, trust)
    try:
        response = https.request(
            "POST",
            PATH,
            body=body,
            patience=PATIENCE,
            within=WITHIN,
            largest=LONGEST,
        )
        answer: object = json.loads(response.content)
    except HttpsFailure as error:
        raise unreachable(endpoint, error) from None
    except ValueError:
        raise ServerUnreachable(f"{endpoint} answered with something else than JSON.") from None
    finally:
        https.close()
    if response.status != 200:
        raise _refused(endpoint, response.status, answer)
    return _read(endpoint, answer)


def _refused(endpoint: str, status: int, answer: object) -> BasculeError:
    error = answer.get("error") if isinstance(answer, dict) else None
    said = str(error.get("message", "")) if isinstance(error, dict) else ""
    message = said or f"{endpoint} refused this host: HTTP {status}."
    if status >= 500:
        return ServerUnreachable(message)
    return AuthenticationFailed(message, code="JoinRefused", advice=MAKE_ONE)


def _read(endpoint: str, answer: object) -> _Joined:
    found: Mapping[str, Any] = answer if isinstance(answer, dict) else {}
    try:
        joined = _Joined(
            str(found["tenantId"]),
            base64.b64decode(str(found["wrappingKey"]), validate=True),
            str(found["database"]),
            found["mayBeUnverified"] is True,
        )
    except (KeyError, ValueError) as error:
        raise ServerUnreachable(f"{endpoint} gave an answer that cannot be read: {error}") from None
    if len(joined.wrapping_key) != KEY_BYTES or not joined.tenant_id or not joined.database:
        raise ServerUnreachable(f"{endpoint} gave an answer that cannot be used.")
    return joined
