"""Which agents are behind their server."""

from __future__ import annotations

import pytest

from bascule.domain.versions import is_older


@pytest.mark.parametrize(
    ("version", "than", "is_so"),
    [
        ("0.1.0", "0.2.0", True),
        ("0.2.0", "0.2.0", False),
        ("0.10.0", "0.9.0", False),  # numbers, not texts
        ("0.9", "0.9.1", True),
        ("0.9", "0.9.0", False),
        ("0.2.0.dev3", "0.2.0", True),
        ("0.2.0rc1", "0.2.0", True),
        ("0.2.0", "0.2.0rc1", False),
        ("0.2.0+deb12", "0.2.0", False),
        ("", "0.2.0", False),  # not known
        ("no version", "0.2.0", False),
        ("0.2.0", "unknown", False),
        ("9" * 4000, "0.2.0", False),
    ],
)
def test_versions_in_order(version: str, than: str, is_so: bool) -> None:
    """A word that cannot be read makes nobody old, and takes no time."""
    assert is_older(version, than) is is_so
