"""Paths in one spelling: fixed words canonical, names untouched, nothing decoded twice."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bascule.api.arm_path import canonical_path, segments_of

S = "/subscriptions/1"


@pytest.mark.parametrize(
    ("sent", "routed"),
    [
        ("/SUBSCRIPTIONS/1/RESOURCEGROUPS/Rg", f"{S}/resourceGroups/Rg"),
        (
            f"{S}/resourcegroups/RG/PROVIDERS/microsoft.security/Locations/LOC/JITnetworkAccessPolicies/P/INITIATE",
            f"{S}/resourceGroups/RG/providers/Microsoft.Security/locations/LOC/jitNetworkAccessPolicies/P/initiate",
        ),
        (
            f"{S}/resourceGroups/g/providers/microsoft.compute/VIRTUALMACHINES/Providers/PROVIDERS/bascule.access/MACHINErules/default/RELEASE",
            f"{S}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/Providers/providers/Bascule.Access/machineRules/default/release",
        ),
        (f"{S}/providers/BASCULE.audit/EVENTS", f"{S}/providers/Bascule.Audit/events"),
        ("//subscriptions//1//", S),
        ("//metadata/endpoints", "/metadata/endpoints"),
        ("/Metadata/Endpoints", "/Metadata/Endpoints"),  # not ARM's grammar: left alone
        ("/", "/"),
        ("", "/"),
        (f"{S}/resourceGroups/initiate", f"{S}/resourceGroups/initiate"),
        (f"{S}/resourceGroups/INITIATE", f"{S}/resourceGroups/INITIATE"),
        ("/subscriptions/%31/resourceGroups/a%2Fb", f"{S}/resourceGroups/a%2Fb"),
        ("/subscriptions/1/resourceGroups/a%252Fb", f"{S}/resourceGroups/a%2Fb"),
        ("/subscriptions/1/resourceGroups/%FF", f"{S}/resourceGroups/\ufffd"),
        ("/subscriptions/1/resourceGroups/..", f"{S}/resourceGroups/.."),
    ],
)
def test_paths(sent: str, routed: str) -> None:
    scope = {"type": "http", "path": "unused", "raw_path": sent.encode()}
    assert canonical_path(segments_of(scope)) == routed


@given(raw=st.binary(max_size=60))
def test_whatever_is_sent_becomes_a_path(raw: bytes) -> None:
    path = canonical_path(segments_of({"type": "http", "path": "", "raw_path": raw}))
    assert path.startswith("/")
    assert "//" not in path


def test_without_a_raw_path_the_decoded_one_is_used() -> None:
    scope = {"type": "http", "path": "/subscriptions/1/RESOURCEGROUPS"}
    assert canonical_path(segments_of(scope)) == f"{S}/resourceGroups"
