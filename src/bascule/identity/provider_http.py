"""Asking an external provider over HTTPS: short, bounded, and no further than it was told.

A provider is chosen by whoever may change providers, and may stand in a private network;
its answers are believed no more for that. No redirect is followed, no proxy or credential
is taken from the environment, a body is read up to a bound and never unpacked (a small one may
unpack to gigabytes), and all of one question ends after a few seconds, however slowly it is
answered.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import httpx2

from bascule.errors import ConfigurationError, InvalidInput, Unavailable
from bascule.json_text import read_json

QUESTION_SECONDS = 8.0  # from the name's look-up to the answer's last byte
CONNECT_SECONDS = 3.0
LARGEST_ANSWER = 512 * 1024  # bytes; a key set has about 10,000
MOST_QUESTIONS = 16  # at once; more wait, and are counted in their own time


class ProviderHttp(Protocol):
    """What the relying party asks by; raise Unavailable when there is no usable answer."""

    async def get(self, url: str, ca: str) -> Mapping[str, Any]: ...

    async def post(
        self, url: str, ca: str, form: Mapping[str, str], basic: tuple[str, str] | None
    ) -> tuple[int, Mapping[str, Any]]:
        """Status and JSON object; a refusal (400, 401) is an answer too."""
        ...


class HttpsProvider:
    """The real one. A connection a question: sign-ins are rare, and loops come and go."""

    def __init__(self, question_seconds: float = QUESTION_SECONDS) -> None:
        self._seconds = question_seconds
        self._asking = 0

    async def get(self, url: str, ca: str) -> Mapping[str, Any]:
        status, answer = await self._ask("GET", url, ca)
        if status != 200:
            raise _unusable(url, f"answered {status}")
        return answer

    async def post(
        self, url: str, ca: str, form: Mapping[str, str], basic: tuple[str, str] | None
    ) -> tuple[int, Mapping[str, Any]]:
        auth = httpx2.BasicAuth(*basic) if basic else None
        status, answer = await self._ask("POST", url, ca, data=dict(form), auth=auth)
        if status not in (200, 400, 401):
            raise _unusable(url, f"answered {status}")
        return status, answer

    async def _ask(
        self,
        method: str,
        url: str,
        ca: str,
        **how: Any,  # noqa: ANN401  # reason: passed on to httpx2, which types it
    ) -> tuple[int, Mapping[str, Any]]:
        check_url(url)
        if self._asking >= MOST_QUESTIONS:
            raise Unavailable("Too many sign-ins are waiting for external providers.")
        self._asking += 1
        try:
            async with asyncio.timeout(self._seconds):
                status, body = await _exchange(method, url, _trust(ca), self._seconds, **how)
        except TimeoutError:
            raise _unusable(url, f"did not answer within {self._seconds:g} s") from None
        except (httpx2.HTTPError, httpx2.InvalidURL, httpx2.StreamError, OSError) as error:
            raise _unusable(url, f"cannot be reached: {_words(error)}") from error
        finally:
            self._asking -= 1
        return status, _json_object(url, status, body)


async def _exchange(
    method: str,
    url: str,
    trust: ssl.SSLContext,
    seconds: float,
    **how: Any,  # noqa: ANN401  # reason: as above
) -> tuple[int, bytes]:
    wait = httpx2.Timeout(seconds, connect=min(CONNECT_SECONDS, seconds))
    headers = {
        "Accept": "application/json",
        "Accept-Encoding": "identity",
        "User-Agent": "bascule",
    }
    async with (
        httpx2.AsyncClient(
            verify=trust, timeout=wait, trust_env=False, follow_redirects=False
        ) as client,
        client.stream(method, url, headers=headers, **how) as response,
    ):
        coding = response.headers.get("content-encoding", "identity")
        if coding.strip().lower() != "identity":
            raise _unusable(
                url, f"sent a compressed answer ({coding[:20]!r}) that was not requested"
            )
        body = bytearray()
        async for piece in response.aiter_raw():
            body += piece
            if len(body) > LARGEST_ANSWER:
                raise _unusable(url, f"sent more than {LARGEST_ANSWER} bytes")
        return response.status_code, bytes(body)


def check_url(url: str, target: str = "") -> str:
    """``url`` when it is an https URL of a host, with neither user, query nor fragment."""
    try:
        parts = urlsplit(url)
        is_good = (
            parts.scheme == "https"
            and bool(parts.hostname)
            and "@" not in parts.netloc
            and not parts.fragment
            and (parts.port is None or 0 < parts.port < 65536)
            and url.isascii()
            and url.isprintable()
            and " " not in url
            and len(url) <= 2000
        )
    except ValueError:
        is_good = False
    if not is_good:
        raise InvalidInput(
            f"{url[:200]!r} is not an https URL such as https://login.example/realms/main.",
            code="InvalidUrl",
            target=target,
        )
    return url


@lru_cache(maxsize=64)
def _trust(ca: str) -> ssl.SSLContext:
    """TLS that trusts the CA in this PEM text, or the system's when it is empty."""
    try:
        return ssl.create_default_context(cadata=ca or None)
    except (ssl.SSLError, ValueError, TypeError) as error:  # TypeError: not ASCII
        raise ConfigurationError(
            f"The provider's CA certificate cannot be used: {error}."
        ) from None


def check_ca(ca: str, target: str = "") -> str:
    """``ca`` when TLS can trust it; raise InvalidInput otherwise."""
    try:
        loaded = _trust(ca).get_ca_certs() if ca else [{}]
    except ConfigurationError as error:
        raise InvalidInput(error.message, code="InvalidCertificate", target=target) from None
    if not loaded:
        raise InvalidInput(
            "The CA certificate is not one of a CA (basicConstraints).",
            code="InvalidCertificate",
            target=target,
        )
    return ca


def _json_object(url: str, status: int, body: bytes) -> Mapping[str, Any]:
    try:
        answer = read_json(body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise _unusable(url, f"answered {status} with something that is not a JSON object")
    return answer


def _unusable(url: str, why: str) -> Unavailable:
    return Unavailable(
        f"The identity provider {why} ({url[:200]}).",
        code="ProviderUnavailable",
        advice="Try again in a minute, or sign in with a user of this server.",
    )


def _words(error: BaseException) -> str:
    """What went wrong, in the words of TLS or of the system where there are any.

    They stand at the end of the chain of causes, and so do the inner workings of whatever gave
    up waiting: those say nothing to anybody, and are passed over.
    """
    if isinstance(error, httpx2.ConnectTimeout):
        return f"there was no answer within {CONNECT_SECONDS:g} s"
    reason = error
    while (under := reason.__cause__ or reason.__context__) is not None:
        if not isinstance(under, Exception):  # asyncio.CancelledError is none
            break
        reason = under
    if isinstance(reason, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({reason.verify_message})"
    if isinstance(reason, ssl.SSLError) and reason.reason == "WRONG_VERSION_NUMBER":
        return "the endpoint does not use TLS"
    if isinstance(reason, OSError) and not isinstance(reason, ssl.SSLError) and reason.errno:
        # asyncio writes the address where the system's words belong; a name's look-up does not.
        return os.strerror(reason.errno) if reason.errno > 0 else str(reason.strerror)
    return (str(reason) or str(error) or type(error).__name__)[:200]
