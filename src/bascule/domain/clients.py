"""The public clients: programs that people sign in with. They have no secret and need none.

Source: CLIENTS 1.3 (the ids of az and Az PowerShell are Azure's; azure-identity uses az's
unless told otherwise). A program on a person's own machine listens there for the answer, on
whatever port is free (RFC 8252 section 7.3); no other place is ever sent one. What runs as
itself is a service principal and has no business here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

AZURE_CLI = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"
AZURE_POWERSHELL = "1950a258-227b-4e31-a9cf-717495945fc2"
BASCULE_CLI = "ba5c01e0-c11e-4c11-8c11-ba5c01e0c11e"
PUBLIC_CLIENTS: Mapping[str, str] = {
    AZURE_CLI: "Azure CLI or an Azure SDK",
    AZURE_POWERSHELL: "Azure PowerShell",
    BASCULE_CLI: "Bascule command line",
}

_LOOPBACK = re.compile(r"(http://(?:localhost|127\.0\.0\.1):([1-9][0-9]{0,4}))/?")


def client_name(client_id: str) -> str | None:
    """What people are told that it is; None when there is no such public client."""
    return PUBLIC_CLIENTS.get(client_id)


def loopback_origin(redirect_uri: str) -> str | None:
    """The origin of a redirect URI that a public client may use; None when it may not.

    ``http://localhost:PORT`` and ``http://127.0.0.1:PORT``, with or without a slash, whole.
    """
    match = _LOOPBACK.fullmatch(redirect_uri)
    return match[1] if match and int(match[2]) <= 65535 else None
