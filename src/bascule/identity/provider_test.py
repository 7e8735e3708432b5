"""What is wrong with a provider's settings, as far as the provider itself can be asked.

Nobody signs in: the discovery document and the key set are fetched and held against what a
sign-in needs. What is not here: whether the client id and its secret are right, which only
a sign-in shows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bascule.domain.providers import IdentityProvider
from bascule.errors import BasculeError
from bascule.identity.id_token import KEY_OF
from bascule.identity.oidc import Discovered, RelyingParty

GOOGLE = "https://accounts.google.com"


@dataclass(frozen=True, slots=True)
class Examination:
    problems: tuple[str, ...]  # empty: a sign-in may succeed
    warnings: tuple[str, ...] = ()
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    keys: int = 0  # that a token may be signed by


async def examine(party: RelyingParty, provider: IdentityProvider) -> Examination:
    """Ask the provider anew, whatever is remembered of it."""
    party.forget(provider)
    try:
        found = await party.discover(provider)
        keys = await party.keys(provider)
    except BasculeError as error:
        return Examination((error.message,))
    usable = [each for each in keys if is_usable(each)]
    problems = ["S256 is not among its PKCE methods."] if _lacks_s256(found) else []
    if not usable:
        problems.append(f"Its key set has no key for {', '.join(KEY_OF)}.")
    return Examination(
        tuple(problems),
        tuple(_warnings(provider)),
        found.authorization_endpoint,
        found.token_endpoint,
        len(usable),
    )


def is_usable(key: Mapping[str, Any]) -> bool:
    fits = ((key.get("kty"), key.get("crv", "")), (key.get("kty"), ""))
    return key.get("use", "sig") == "sig" and any(each in fits for each in KEY_OF.values())


def _lacks_s256(found: Discovered) -> bool:
    return bool(found.methods) and "S256" not in found.methods


def _warnings(provider: IdentityProvider) -> Sequence[str]:
    said = []
    if not provider.is_enabled:
        said.append("It is disabled: the sign-in page does not offer it.")
    if not provider.sealed_secret:
        said.append("It has no client secret, which is right only for a public client.")
    if provider.groups and "offline_access" not in provider.scopes:
        said.append(
            "Groups end an hour after a sign-in, because without the scope offline_access the "
            "provider cannot be asked again."
        )
    if provider.issuer == GOOGLE and provider.domains and not provider.tenant_claim:
        said.append(
            "Google also verifies addresses of your domain for private accounts. Set the tenant "
            "claim hd to your Workspace domain."
        )
    return said
