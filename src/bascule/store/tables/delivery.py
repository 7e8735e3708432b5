"""Where the record is sent to, and how far it has got there."""

from __future__ import annotations
