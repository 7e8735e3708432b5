"""What a protected host's package may ask of the distribution (EDGES I4)."""

from __future__ import annotations

from pathlib import Path

import bascule

SOURCE = Path(bascule.__file__).parent
LATER = ("bytes_raw(", "load_pem_x509_certificates", "not_valid_after_utc")  # than cryptography 38


def test_agent_and_client_use_nothing_that_debian_12_lacks() -> None:
    """Its cryptography is 38: the raw forms of keys came with 40, instants of certificates with 42."""
    for package in ("agent", "client", "drivers", "protocol", "reconcile"):
        for file in (SOURCE / package).rglob("*.py"):
            text = file.read_text()
            assert "cryptography" not in text or not any(each in text for each in LATER), file
