"""Which URLs name this installation: as issuer, as audience, as scope.

Azure's clients address one server by whatever name they reach it (CLIENTS 1.3: base URL
+ ``/.default``) or by Azure's own management names; both mean this server. Every form is
derived from a base URL (``https://name[:port]``, no path) that the server was asked by.
What is not here: which names are the server's; that is ``is_base``, given.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

ADFS = "adfs"  # as a tenant: clients then use the paths and the scopes of an ADFS server
TENANT_ALIASES = ("organizations", "common", ADFS)
# Clients with these built in (azure-mgmt for JavaScript, older az) cannot be told otherwise.
MANAGEMENT = ("https://management.azure.com", "https://management.core.windows.net")
EVERYTHING = "/.default"
# What a client may ask of an audience; all of it means the same here (CLIENTS 1.3).
_ENDINGS = (EVERYTHING, "/user_impersonation", "/openid")
_OPENID = ("openid", "profile", "email", "offline_access")  # passed over, as Entra ID does
GRAPH = "/graph"  # below the base: what az asks about people (CLIENTS 1.4)


@dataclass(frozen=True, slots=True)
class Realm:
    """One tenant of one server."""

    tenant_id: str
    is_base: Callable[[str], bool]  # does this base URL name the server?

    def is_tenant(self, name: str) -> bool:
        """Is ``name``, from a path, this tenant or an alias that every client may use?"""
        return name.casefold() in (self.tenant_id.casefold(), *TENANT_ALIASES)

    def issuer(self, base: str) -> str:
        return f"{base}/{self.tenant_id}/v2.0"

    def is_issuer(self, text: str) -> bool:
        base, _ = _split(text)
        return self.is_base(base) and text == self.issuer(base)

    def audience_of(self, scope: str) -> str | None:
        """The audience that a scope asks for, None when it is not this server's.

        One ``<audience>/.default``, or another of _ENDINGS, with or without a slash more.
        """
        wanted = [each for each in scope.split() if each not in _OPENID]
        ending = next((each for each in _ENDINGS if wanted and wanted[0].endswith(each)), "")
        if len(wanted) != 1 or not ending:
            return None
        audience = wanted[0].removesuffix(ending).removesuffix("/")
        is_ours = self.is_audience(audience) or self.is_graph_audience(audience)
        return audience if is_ours else None

    def is_audience(self, text: str) -> bool:
        """May an access token for ``text`` be used here?"""
        return text in MANAGEMENT or self.is_base(text)

    def is_graph_audience(self, text: str) -> bool:
        """May it be used below ``/graph/``, and nowhere else (EDGES B5)?"""
        base, path = _split(text)
        return path in (GRAPH, f"{GRAPH}/") and self.is_base(base)

    def is_assertion_audience(self, text: str) -> bool:
        """RFC 7523 section 3: the token endpoint's URL, or the issuer's."""
        base, path = _split(text)
        if not self.is_base(base):
            return False
        tenant, _, rest = path.removeprefix("/").partition("/")
        return self.is_tenant(tenant) and rest in ("oauth2/v2.0/token", "oauth2/token", "v2.0")


def _split(url: str) -> tuple[str, str]:
    """Base URL and path; ("", "") when it is more or less than these."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "", ""
    if parts.query or parts.fragment or not parts.netloc:
        return "", ""
    return f"{parts.scheme}://{parts.netloc}", parts.path
