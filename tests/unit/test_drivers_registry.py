"""The registry of drivers: whoever runs on a host asks it, and names no firewall."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import bascule
from bascule.bootstrap.drivers import HOST_FIREWALLS, USUAL, HostParts
from bascule.errors import InvalidInput


@pytest.mark.parametrize("name", HOST_FIREWALLS)
def test_each_driver_is_known_by_its_own_name_and_says_what_it_needs(name: str) -> None:
    found = HostParts().firewall(name)
    assert found.name == name
    assert found.needs.rules


def test_without_a_name_it_is_the_usual_one() -> None:
    assert HostParts().firewall().name == USUAL


def test_an_unknown_name_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InvalidInput) as refused:
        HostParts().firewall("ipfw")
    assert USUAL in refused.value.advice


@pytest.mark.parametrize(
    "package", ["agent", "bootstrap/this_host.py", "reconcile", "services", "interfaces"]
)
def test_no_firewall_is_named_outside_its_driver(package: str) -> None:
    """What nftables needs of a host stands with the nftables driver; docstrings of ports aside."""
    place = Path(bascule.__file__).parent / package
    files = [place] if place.is_file() else sorted(place.rglob("*.py"))
    named = [
        f"{file.name}: {line.strip()}"
        for file in files
        for line in file.read_text().splitlines()
        if re.search(r"\bnft|nftables|inet bascule", line) and '"the nftables table' not in line
    ]
    assert not named
