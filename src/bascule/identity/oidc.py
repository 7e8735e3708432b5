"""The relying party: sends a browser to an external provider and reads what it brings back.

Sources: OpenID Connect Core 1.0 section 3.1 and Discovery 1.0 section 4, RFC 7636 (PKCE,
S256 alone), RFC 9207 (the issuer in the answer), RFC 9700 (mix-up: what was asked of one
issuer is never given to another). The discovery document and the key set are kept for a
while, and a provider that does not answer is left alone for some seconds.

What is not here: where a sign-in on its way is kept (``services.external_sign_in``), for
whom the claims speak (``domain.providers``).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

from bascule.domain.providers import IdentityProvider
from bascule.errors import AuthenticationFailed, BasculeError, Unavailable
from bascule.identity.id_token import Expected, UnknownKey, read_id_token
from bascule.identity.provider_http import ProviderHttp, check_url
from bascule.identity.sealing import Sealer
from bascule.identity.secrets import new_secret, sha256_hex
from bascule.interfaces.clock import Clock

DISCOVERY = "/.well-known/openid-configuration"
KEPT = timedelta(hours=1)  # a discovery document; keys too, unless one is unknown
REFETCH = timedelta(minutes=1)  # at most so often for an unknown key
LEFT_ALONE = timedelta(seconds=5)  # after it did not answer
MOST_KEPT = 64  # providers that are remembered
LONGEST_CODE = 4096  # characters of a code or an access token's kind
LONGEST_TOKEN = 16_384  # of a refresh token
# RFC 6749 section 5.2: what a token endpoint refuses to whoever asks, whatever the grant.
_OF_THIS_SERVER = frozenset(
    ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_request")
)


@dataclass(frozen=True, slots=True)
class Discovered:
    """What of a discovery document is used."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    says_issuer: bool  # RFC 9207: its answers name it
    takes_basic: bool  # client_secret_basic, the default; else client_secret_post
    methods: tuple[str, ...] = ()  # of PKCE; empty: it does not say


@dataclass(frozen=True, slots=True)
class Departure:
    """A browser on its way: what goes along, and what stays here until it is back."""

    url: str = field(repr=False)
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    verifier: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a provider gave: claims that were checked, and perhaps a way to ask again."""

    claims: Mapping[str, Any] = field(repr=False)
    refresh_token: str = field(default="", repr=False)


@dataclass(slots=True)
class _Kept:
    """What is remembered of one provider, and until when (CLOCK_BOOTTIME)."""

    found: Discovered | None = None
    found_until: float = 0.0
    keys: Sequence[Mapping[str, Any]] = ()
    keys_at: float | None = None
    failure: BasculeError | None = None
    failed_until: float = 0.0


class RelyingParty:
    """One for all providers. Use from one event loop at a time."""

    def __init__(self, http: ProviderHttp, sealer: Sealer, clock: Clock) -> None:
        self._http, self._sealer, self._clock = http, sealer, clock
        # By what it depends on: a setting that was changed at another server is another one here.
        self._kept: dict[tuple[str, str, str], _Kept] = {}

    # -- going there and coming back -----------------------------------------------------

    async def depart(self, provider: IdentityProvider, redirect_uri: str) -> Departure:
        """Where to send the browser; raise Unavailable when the provider does not answer."""
        found = await self.discover(provider)
        state, nonce, verifier = new_secret(), new_secret(), new_secret()
        query = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": redirect_uri,
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge_of(verifier),
            "code_challenge_method": "S256",
        }
        if "offline_access" in provider.scopes:
            query["prompt"] = "consent"  # Core 11: asked for, or the scope is ignored
        separator = "&" if "?" in found.authorization_endpoint else "?"
        url = f"{found.authorization_endpoint}{separator}{urlencode(query, quote_via=quote)}"
        return Departure(url, state, nonce, verifier)

    async def check_issuer(self, provider: IdentityProvider, said: str | None) -> None:
        """RFC 9207 section 2.4: the answer's ``iss``, when sent or promised, must be right."""
        if said is None:
            found = await self.discover(provider)
            if not found.says_issuer:
                return
        if said != provider.issuer:
            raise refused(f"The answer is not from {provider.display_name}: its iss is different.")

    async def redeem(
        self,
        provider: IdentityProvider,
        code: str,
        redirect_uri: str,
        verifier: str,
        nonce_hash: str,
    ) -> Tokens:
        """Claims for the code; raise AuthenticationFailed or Unavailable."""
        if not 0 < len(code) <= LONGEST_CODE:
            raise refused("The provider sent no usable code.")
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "code_verifier": verifier,
        }
        given = _given(provider, *await self._ask_token(provider, form))
        return await self._read(provider, given, nonce_hash)

    async def renew(self, provider: IdentityProvider, refresh_token: str, subject: str) -> Tokens:
        """Claims anew (Core 12.2): of the same person, or AuthenticationFailed.

        Raises Unavailable for a refusal that is of this server and not of the person, as when
        its client secret has expired: that says nothing of her.
        """
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
        status, answer = await self._ask_token(provider, form)
        if status != 200 and str(answer.get("error")) in _OF_THIS_SERVER:
            raise _unusable(provider.issuer, f"it refuses this server: {error_words(answer)}")
        tokens = await self._read(provider, _given(provider, status, answer), None)
        if tokens.claims.get("sub") != subject:
            raise refused("The provider answered for a different person.")
        return tokens if tokens.refresh_token else Tokens(tokens.claims, refresh_token)

    async def _ask_token(
        self, provider: IdentityProvider, form: Mapping[str, str]
    ) -> tuple[int, Mapping[str, Any]]:
        found = await self.discover(provider)
        secret = self._secret_of(provider)
        basic: tuple[str, str] | None = None
        sent = dict(form)
        if secret and found.takes_basic:  # RFC 6749 2.3.1: both halves form-encoded first
            basic = quote(provider.client_id, safe=""), quote(secret, safe="")
        else:
            sent["client_id"] = provider.client_id
            if secret:
                sent["client_secret"] = secret
        return await self._http.post(found.token_endpoint, provider.ca, sent, basic)

    def seal(self, text: str, purpose: str) -> str:
        """For the store; ``purpose`` must be the same when it is opened."""
        return self._sealer.seal(purpose, text.encode())

    def open(self, sealed: str, purpose: str) -> str:
        """Empty when it was not sealed for this purpose, or not by this key."""
        return (self._sealer.open(purpose, sealed) or b"").decode()

    def _secret_of(self, provider: IdentityProvider) -> str:
        if not provider.sealed_secret:
            return ""
        secret = self.open(provider.sealed_secret, secret_purpose(provider.id))
        if not secret:
            raise Unavailable(
                f"The client secret of {provider.display_name} cannot be decrypted, because the "
                f"key in the data directory is a different one.",
                code="ProviderUnavailable",
                advice=f"Set it again: bascule provider change {provider.name} --secret-file FILE",
            )
        return secret

    async def _read(
        self, provider: IdentityProvider, answer: Mapping[str, Any], nonce_hash: str | None
    ) -> Tokens:
        token, access = answer.get("id_token"), answer.get("access_token", "")
        if not isinstance(token, str):
            raise refused(
                f"{provider.display_name} sent no ID token. Check that openid is among the scopes."
            )
        if not isinstance(access, str) or not access.isascii():
            raise refused(f"{provider.display_name} sent an access token that is not plain ASCII.")
        expected = Expected(provider.issuer, provider.client_id, nonce_hash, access)
        now = self._clock.now()
        try:
            claims = read_id_token(token, await self._keys(provider), expected, now)
        except UnknownKey:
            keys = await self._keys(provider, is_unknown=True)
            claims = read_id_token(token, keys, expected, now)
        refresh = answer.get("refresh_token", "")
        is_usable = isinstance(refresh, str) and refresh.isascii() and len(refresh) <= LONGEST_TOKEN
        return Tokens(claims, refresh if is_usable else "")

    # -- what a provider says of itself --------------------------------------------------

    async def discover(self, provider: IdentityProvider) -> Discovered:
        """Its discovery document, kept; raise Unavailable when it is away or says nonsense."""
        kept = self._of(provider)
        at = self._clock.boottime()
        if kept.found is not None and at < kept.found_until:
            return kept.found
        if kept.failure is not None and at < kept.failed_until:
            raise Unavailable(
                kept.failure.message,
                code="ProviderUnavailable",
                advice=kept.failure.advice,
            )
        try:
            document = await self._http.get(provider.issuer.rstrip("/") + DISCOVERY, provider.ca)
            kept.found = read_discovery(document, provider.issuer)
        except BasculeError as error:
            kept.failure = error
            kept.failed_until = self._clock.boottime() + LEFT_ALONE.total_seconds()
            raise
        kept.failure = None
        kept.found_until = self._clock.boottime() + KEPT.total_seconds()
        return kept.found

    def forget(self, provider: IdentityProvider) -> None:
        """Ask it anew the next time: its settings were changed, or somebody tests it."""
        self._kept.pop((provider.id, provider.issuer, provider.ca), None)

    async def keys(self, provider: IdentityProvider) -> Sequence[Mapping[str, Any]]:
        """Its key set, kept as long as its discovery document."""
        return await self._keys(provider)

    async def _keys(
        self, provider: IdentityProvider, *, is_unknown: bool = False
    ) -> Sequence[Mapping[str, Any]]:
        """Its key set; for an unknown key it is fetched anew, at most once a minute."""
        found = await self.discover(provider)
        kept = self._of(provider)
        at = self._clock.boottime()
        longest = REFETCH if is_unknown else KEPT
        if kept.keys_at is not None and at - kept.keys_at < longest.total_seconds():
            return kept.keys
        document = await self._http.get(found.jwks_uri, provider.ca)
        keys = document.get("keys")
        if not isinstance(keys, list) or not all(isinstance(each, dict) for each in keys):
            raise _unusable(provider.issuer, "its key set has no keys")
        kept.keys, kept.keys_at = keys, at
        return keys

    def _of(self, provider: IdentityProvider) -> _Kept:
        key = (provider.id, provider.issuer, provider.ca)
        if key not in self._kept and len(self._kept) >= MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        return self._kept.setdefault(key, _Kept())


def read_discovery(document: Mapping[str, Any], issuer: str) -> Discovered:
    """What is used of the document; raise Unavailable unless it is this issuer's own."""
    if document.get("issuer") != issuer:
        raise _unusable(
            issuer,
            f"its discovery document has the issuer {str(document.get('issuer'))[:200]!r}. Set "
            f"the issuer exactly as given there or, if it contains a placeholder, your tenant's "
            f"own",
        )
    urls = [document.get(name) for name in ("authorization_endpoint", "token_endpoint", "jwks_uri")]
    for url in urls:
        try:
            check_url(url if isinstance(url, str) else "")
        except BasculeError as error:
            raise _unusable(issuer, f"its discovery document has {error.message}") from None
    authorization, token, keys = (str(url) for url in urls)
    asked = document.get("token_endpoint_auth_methods_supported")
    methods = document.get("code_challenge_methods_supported")
    return Discovered(
        issuer,
        authorization,
        token,
        keys,
        document.get("authorization_response_iss_parameter_supported") is True,
        not isinstance(asked, list) or "client_secret_basic" in asked,
        tuple(map(str, methods)) if isinstance(methods, list) else (),
    )


def secret_purpose(provider_id: str) -> str:
    return f"client secret of {provider_id}"


def refresh_purpose(issuer: str, subject: str) -> str:
    return f"refresh token of {issuer} {subject}"


def verifier_purpose(state: str) -> str:
    return f"verifier of {sha256_hex(state)}"


def _challenge_of(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    digest = hashlib.sha256(verifier.encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def _given(provider: IdentityProvider, status: int, answer: Mapping[str, Any]) -> Mapping[str, Any]:
    """The answer of a token endpoint that gave a token; AuthenticationFailed for any other."""
    if status != 200:
        raise refused(f"{provider.display_name} refused to issue a token: {error_words(answer)}.")
    return answer


def refused(message: str) -> AuthenticationFailed:
    return AuthenticationFailed(
        message,
        code="ExternalSignInRefused",
        advice="Sign in again. If this persists, an owner can check the provider: bascule "
        "provider test NAME.",
    )


def error_words(answer: Mapping[str, Any]) -> str:
    """OAuth's error and its description, bounded and in plain ASCII."""
    said = [answer.get("error"), answer.get("error_description")]
    text = ": ".join(each for each in said if isinstance(each, str) and each)[:300]
    return "".join(letter for letter in text if " " <= letter <= "~") or "no reason given"


def _unusable(issuer: str, why: str) -> Unavailable:
    return Unavailable(
        f"The identity provider {issuer} cannot be used: {why}.",
        code="ProviderUnavailable",
        advice="Try again in a minute, or sign in with a user of this server.",
    )
