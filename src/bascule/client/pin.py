"""Trusting a server by its CA's fingerprint, before any connection to it is trusted.

The CA certificate is fetched over a connection that verifies nothing and is thrown away;
it is believed only when the SHA-256 of its DER is the one that came another way (in an
enrolment token, or read out by the operator). Whoever stands in between can refuse, not
deceive. Source: RFC 7468 (PEM), RFC 7469's idea of a pin.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import ssl

from bascule.client.https import Https, HttpsFailure
from bascule.client.obstacles import unreachable
from bascule.errors import AuthenticationFailed, InvalidInput, ServerUnreachable

CA_PATH = "/bascule/ca.pem"
LARGEST = 64 * 1024  # bytes of an answer that are read
SECONDS = 10.0  # between two pieces of it
WITHIN = 20.0  # for all of it
_CERTIFICATE = re.compile(
    r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----", re.ASCII
)


def parse_fingerprint(text: str) -> str:
    """SHA-256 as 64 hex digits, lower case; colons, spaces and a ``sha256:`` are taken off."""
    digits = re.sub(r"^sha-?256[:=]", "", text.strip().lower())
    digits = digits.replace(":", "").replace(" ", "")
    if re.fullmatch(r"[0-9a-f]{64}", digits) is None:
        raise InvalidInput(
            f"{text[:100]!r} is not a SHA-256 fingerprint: it has 64 hexadecimal digits.",
            code="InvalidFingerprint",
            advice="On the server: openssl x509 -in DATA/ca.pem -noout -fingerprint -sha256",
            target="--fingerprint",
        )
    return digits


def fetch_ca(server: str, fingerprint: str) -> str:
    """The server's CA certificate as PEM, once its fingerprint was found right.

    Raises AuthenticationFailed when it shows another, ServerUnreachable.
    """
    expected = parse_fingerprint(fingerprint)
    shown = []
    for pem in _CERTIFICATE.findall(_fetch(server)):
        der = _der(pem)
        found = hashlib.sha256(der).hexdigest()
        if hmac.compare_digest(found, expected):
            return ssl.DER_cert_to_PEM_cert(der)
        shown.append(found)
    raise AuthenticationFailed(
        f"{server} has a CA with another fingerprint ({', '.join(shown) or 'none'}) than expected "
        f"({expected}).",
        code="FingerprintMismatch",
        advice="Check the address and the fingerprint. If both are right, something intercepts "
        "the connection, for example a proxy with its own CA.",
    )


def _der(pem: str) -> bytes:
    try:
        return ssl.PEM_cert_to_DER_cert(pem)
    except ValueError:
        return b""


def _fetch(server: str) -> str:
    nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    nobody.check_hostname = False
    nobody.verify_mode = ssl.CERT_NONE  # nothing of this connection is believed: see above
    https = Https(server, nobody)
    try:
        response = https.request("GET", CA_PATH, patience=SECONDS, within=WITHIN, largest=LARGEST)
    except HttpsFailure as error:
        raise unreachable(server, error) from None
    finally:
        https.close()
    if response.status != 200:
        raise ServerUnreachable(
            f"{server} offers no CA certificate (HTTP {response.status} at {CA_PATH}).",
            advice="Check that this is the address of the Bascule server itself, not of a proxy "
            "in front of it.",
        )
    return response.content.decode("ascii", errors="replace")
