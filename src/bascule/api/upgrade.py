"""From HTTP to a line: the opening handshake of RFC 6455 section 4.2, answered without ASGI.

Only ``GET /bascule/points/{uid}/line`` becomes one. It asks for no token: the line proves the
point's key by itself. A browser's call, which names its Origin, is refused; so is another Host
(EDGES A23). What is not here: what is said afterwards (``line``).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Mapping
from typing import Any

from starlette.requests import HTTPConnection

from bascule.api.envelope import envelope
from bascule.api.origin import Names, Proxies
from bascule.errors import BasculeError, Forbidden, InvalidInput
from bascule.protocol.frames import VERSION, accept_key

LINE_PATH = re.compile(rb"/bascule/points/([A-Za-z0-9-]{1,64})/line")
LONGEST_CLIENT = 200  # characters of a User-Agent that go on record
_REASONS: Mapping[int, str] = {
    400: "Bad Request",
    403: "Forbidden",
    421: "Misdirected Request",
    503: "Service Unavailable",
}


def point_of(method: str, url: bytes) -> str | None:
    """The uid of the point whose line this request asks for; None: it asks for something else."""
    found = LINE_PATH.fullmatch(url)
    return found[1].decode() if found is not None and method == "GET" else None


def judge(scope: Mapping[str, Any], names: Names, proxies: Proxies) -> tuple[str, str, str, bool]:
    """The value of Sec-WebSocket-Accept, the caller's address, what it calls itself, and whether it comes
    through a proxy.

    Raises BasculeError when there is to be no line.
    """
    connection = HTTPConnection({**scope, "path": "", "query_string": b""})
    headers = connection.headers
    names.base_url(proxies.host(connection))
    caller = proxies.caller(connection)
    if "origin" in headers:
        raise Forbidden("Only agents connect here. A request with an Origin comes from a web page.")
    if scope["http_version"] != "1.1":  # no Upgrade there (RFC 9110 section 7.8)
        raise InvalidInput("A WebSocket begins with a request of HTTP/1.1 (RFC 6455).")
    if headers.getlist("sec-websocket-version") != [VERSION]:
        raise InvalidInput(f"Sec-WebSocket-Version must be {VERSION} (RFC 6455).")
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        raise InvalidInput("This request must not have a body.")
    key = ",".join(headers.getlist("sec-websocket-key"))
    try:
        length = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        length = 0
    if length != 16:
        raise InvalidInput("Sec-WebSocket-Key must be 16 bytes in base64 (RFC 6455).")
    client = headers.get("user-agent", "")[:LONGEST_CLIENT]
    plain = "".join(letter for letter in client if " " <= letter <= "~")
    address = "" if caller is None else str(caller)
    return accept_key(key), address, plain, proxies.is_peer(connection)


def switching(accept: str) -> bytes:
    """The answer after which the connection is a line."""
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Accept: {accept}",
    )
    return "\r\n".join((*lines, "", "")).encode()


def refusing(error: BasculeError) -> bytes:
    """The answer after which the connection ends."""
    content = json.dumps(envelope(error.specific_code, error.message, advice=error.advice))
    reason = _REASONS.get(error.http_status, "Refused")
    lines = (
        f"HTTP/1.1 {error.http_status} {reason}",
        "Content-Type: application/json; charset=utf-8",
        f"Content-Length: {len(content.encode())}",
        "Cache-Control: no-cache, no-store",
        "Connection: close",
    )
    return "\r\n".join((*lines, "", content)).encode()
