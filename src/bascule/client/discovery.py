"""What a server says of itself, so that a person signing in need not type GUIDs.

Sources: the cloud metadata document (``/metadata/endpoints``, ``authentication.tenant``;
CLIENTS 1.2) and ARM's list of subscriptions.
"""

from __future__ import annotations

import json
import ssl

from bascule.client.connection import Connection
from bascule.client.https import Https, HttpsFailure
from bascule.client.obstacles import unreachable
from bascule.client.reading import UnexpectedAnswer, inner, mapping, text
from bascule.client.versions import METADATA_VERSION, RESOURCES_VERSION


def find_tenant(endpoint: str, trust: ssl.SSLContext) -> str:
    """The tenant's id, as the metadata document tells anybody; raises ServerUnreachable."""
    https = Https(endpoint, trust)
    try:
        answer = https.request(
            "GET", "/metadata/endpoints", params={"api-version": METADATA_VERSION}
        )
        document = mapping(json.loads(answer.content))
    except HttpsFailure as error:
        raise unreachable(endpoint, error) from None
    except ValueError:
        raise UnexpectedAnswer(
            f"{endpoint} does not answer like a Bascule server.",
            advice="Check the address: bascule login --endpoint URL.",
        ) from None
    finally:
        https.close()
    return text(inner(document, "authentication"), "tenant")


def list_subscriptions(connection: Connection) -> list[str]:
    """The ids of the subscriptions that the caller may see."""
    return [
        text(each, "subscriptionId")
        for each in connection.pages("/subscriptions", RESOURCES_VERSION)
    ]
