"""Why a server was not reached, in words: whose certificate, which proxy, and what to do.

The codes are OpenSSL's (x509_vfy.h, X509_V_ERR_...); what an error is called there names
neither the file nor the host to look at.
"""

from __future__ import annotations

import os
import ssl
from urllib.parse import urlsplit

from bascule.client.https import proxy_for
from bascule.errors import ServerUnreachable

NOT_YET_VALID, EXPIRED = 9, 10
NO_ISSUER = frozenset({2, 18, 19, 20, 21})  # signed by nobody whom we trust
OTHER_NAME = frozenset({62, 64})  # of a host, of an address
STRICT = range(79, 95)  # how a certificate was made: RFC 5280, X509_V_FLAG_X509_STRICT
RIGHT_CA = "bascule login --ca-file FILE, or --fingerprint HEX"
_RIGHT_CA_ADVICE = (
    f"Give the right CA: {RIGHT_CA}. If you changed nothing, somebody may be intercepting the "
    "connection."
)


def unreachable(endpoint: str, error: BaseException) -> ServerUnreachable:
    """What stood in the way, in words, with what to do."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return _not_trusted(endpoint, cause)
        cause = cause.__cause__ or cause.__context__
    proxy = _proxy(endpoint)
    if proxy:
        return ServerUnreachable(
            f"{endpoint} cannot be reached through {proxy}: {_sentence(str(error))}",
            code="ProxyInTheWay",
            advice=f"To connect without the proxy, set no_proxy={_host(endpoint)}",
        )
    return ServerUnreachable(
        f"{endpoint} cannot be reached: {_sentence(str(error))}",
        advice="Check that the server is running and that this is its address. Open ports close "
        "on time without it.",
    )


def _not_trusted(endpoint: str, error: ssl.SSLCertVerificationError) -> ServerUnreachable:
    what, advice = _certificate_words(_host(endpoint), error)
    proxy = _proxy(endpoint)
    if proxy:
        advice += (
            f" The call went through {proxy}; to connect without it, set no_proxy={_host(endpoint)}"
        )
    return ServerUnreachable(
        f"The certificate of {endpoint} is not trusted: {what}",
        code="CertificateNotTrusted",
        advice=advice,
    )


def _certificate_words(host: str, error: ssl.SSLCertVerificationError) -> tuple[str, str]:
    """What is wrong with it, and what to do."""
    code, said = error.verify_code, _sentence(error.verify_message)
    if code in OTHER_NAME:
        return (
            f"it is for another name than {host}.",
            (
                f"Use one of the server's names, or add this one: bascule serve --name {host}. If "
                f"{host} worked before, somebody may be intercepting the connection."
            ),
        )
    if code == NOT_YET_VALID:
        return (
            "according to this host's clock it is not valid yet.",
            "Check this host's clock (date), then the server's.",
        )
    if code == EXPIRED:
        return (
            "according to this host's clock it has expired.",
            (
                "Check this host's clock (date). Bascule's own certificate renews itself while "
                "the server runs. The certificate of a proxy in front of it must be renewed there."
            ),
        )
    if code in STRICT:
        return (
            f"the certificate or its CA violates RFC 5280: {said}",
            (
                "It may still be the right one. Issue it again in accordance with RFC 5280: a CA "
                "certificate needs basicConstraints (critical), keyUsage with keyCertSign, and a "
                "subjectKeyIdentifier."
            ),
        )
    if code in NO_ISSUER:
        return (
            f"no CA that is trusted here signed it ({said.rstrip('.')}).",
            _RIGHT_CA_ADVICE,
        )
    return (
        said,
        _RIGHT_CA_ADVICE,
    )


def _sentence(words: str) -> str:
    return f"{words.rstrip('. ')}."


def _host(endpoint: str) -> str:
    return urlsplit(endpoint).hostname or ""


def _proxy(endpoint: str) -> str:
    """The proxy that the call goes through and who names it; its password is not shown."""
    server = urlsplit(endpoint)
    proxy = proxy_for(server.hostname or "", server.port or 443)
    if not proxy:
        return ""
    variable = "https_proxy" if os.environ.get("https_proxy") else "HTTPS_PROXY"
    way = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    return f"the proxy {way.hostname}:{way.port or 8080}, which {variable} names"
