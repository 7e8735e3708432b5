"""TLS towards receivers: the certificate of the name, by the host's CAs or by a sink's own."""

from __future__ import annotations

import ssl


def trust(ca_certificates: str) -> ssl.SSLContext:
    """A context that checks certificate and name; raises ValueError for what is no PEM.

    A sink's own CAs take the place of the host's: it then trusts nobody else.
    """
    try:
        context = ssl.create_default_context(cadata=ca_certificates or None)
    except ssl.SSLError as error:
        raise ValueError(f"The CA certificates cannot be used: {error.reason}.") from None
    except TypeError:
        raise ValueError("The CA certificates cannot be used: PEM is ASCII.") from None
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
