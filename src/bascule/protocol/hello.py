"""What a client's TLS hello says of itself, besides what TLS needs.

Who was given the installation's CA, a pin, must be shown a certificate by that CA, also where the server
has another one for everybody else. It says so by a name of a protocol that it offers besides
HTTP/1.1 (ALPN, RFC 7301); no server chooses that name, and those that do not know it pass over it.
"""

from __future__ import annotations

BY_CA = "bascule-ca"
OFFERED = (BY_CA, "http/1.1")  # by clients with a pin
_IN_HELLO = bytes([len(BY_CA)]) + BY_CA.encode()  # RFC 7301 section 3.1: ProtocolName


def wants_ca(hello: bytes) -> bool:
    """Does whoever sent it go by the installation's CA? Nothing is believed of a hello that lies: its
    sender is shown a certificate that it then refuses.
    """
    return _IN_HELLO in hello
