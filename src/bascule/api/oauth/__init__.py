"""The issuer: discovery, tokens, and the pages on which people sign in.

Sources: CLIENTS 1.2 and 1.3 (observed from az, MSAL and azure-identity; Az PowerShell by
its source), OpenID Connect Core and Discovery 1.0, RFC 6749, RFC 7009, RFC 7517, RFC 7636,
RFC 8628, RFC 9207. None of these routes takes a bearer token or wants an api-version; every
URL in their answers is by the name that the request came by. ``OriginGate`` must stand
before them. What is not here: whether a token is granted (``identity.token_request``,
``services.tokens``), and how a page looks (``api.pages``).
"""

from __future__ import annotations

from bascule.api.context import AppState
from bascule.api.oauth import authorize, device, external, metadata, sign_in, token

PARTS = (metadata, token, device, authorize, sign_in, external)


def begin(state: AppState) -> None:
    """Before the first call: what was signed before now is not taken by assertion."""
    state.part(token.TokenDesk)
