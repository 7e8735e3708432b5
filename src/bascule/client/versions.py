"""The api-version that each provider is called with; a server takes any date (EDGES A15)."""

from __future__ import annotations

BASCULE_VERSION = "2026-11-01"  # every Bascule.* provider (EDGES A19)
SECURITY_VERSION = "2020-01-01"
COMPUTE_VERSION = "2024-07-01"
AUTHORIZATION_VERSION = "2022-04-01"
RESOURCES_VERSION = "2022-12-01"  # subscriptions
METADATA_VERSION = "2022-09-01"  # one cloud, not a list of them
PRICING_VERSION = "2024-01-01"
