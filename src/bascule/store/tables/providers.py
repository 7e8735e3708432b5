"""External identity providers and whom they vouch for."""

from __future__ import annotations
