"""Databases as released programs left them, for ``tests/unit/test_store_sample.py``."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
