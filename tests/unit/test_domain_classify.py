"""Configured, not configured, unsupported: every machine has one state and all its reasons."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bascule.domain.classify import (
    ALL_TRAITS,
    Classification,
    MachineState,
    Named,
    Traits,
    UnsupportedCode,
    canonical_tags,
    classify,
    has_tag,
    is_managed,
    state_of,
    traits_in,
)

WELL = Traits(is_managed=True, has_point=True, is_flushed=False, is_plan_on=True, is_named=True)
WEB = Named("web-1")
CONFIGURED, NOT_CONFIGURED = MachineState.CONFIGURED, MachineState.NOT_CONFIGURED
UNSUPPORTED = MachineState.UNSUPPORTED


@pytest.mark.parametrize(
    ("traits", "state", "codes"),
    [
        (WELL, CONFIGURED, []),
        (replace(WELL, is_named=False), NOT_CONFIGURED, []),
        # What nothing protects is never called configured, whatever names it.
        (replace(WELL, has_point=False), UNSUPPORTED, ["NoEnforcementPoint"]),
        (replace(WELL, has_point=False, is_named=False), UNSUPPORTED, ["NoEnforcementPoint"]),
        (replace(WELL, is_flushed=True), UNSUPPORTED, ["FirewallFlushed"]),
        (replace(WELL, is_plan_on=False), UNSUPPORTED, ["JitSwitchedOff"]),
        (replace(WELL, is_managed=False), UNSUPPORTED, ["NotManaged"]),
        # Of a machine that nobody manages no agent is missing; with one it still is not managed.
        (replace(WELL, is_managed=False, has_point=False), UNSUPPORTED, ["NotManaged"]),
        # Whose point is gone is not flushed by anybody.
        (replace(WELL, has_point=False, is_flushed=True), UNSUPPORTED, ["NoEnforcementPoint"]),
        (replace(WELL, is_elsewhere=True), UNSUPPORTED, ["ManagedElsewhere"]),
        (replace(WELL, has_point=False, is_elsewhere=True), UNSUPPORTED, ["NoEnforcementPoint"]),
        # All the reasons at once.
        (Traits(False, True, True, False, True), UNSUPPORTED, ["NotManaged", "FirewallFlushed", "JitSwitchedOff"]),
        (Traits(True, False, True, False, False), UNSUPPORTED, ["NoEnforcementPoint", "JitSwitchedOff"]),
    ],
)  # fmt: skip
def test_the_state_and_its_reasons(traits: Traits, state: MachineState, codes: list[str]) -> None:
    found = classify(traits, WEB)
    assert found.state is state is state_of(traits)
    assert [str(reason.code) for reason in found.reasons] == codes


def test_every_traits_is_in_one_state_and_unsupported_has_reasons() -> None:
    every = [traits_in(state) for state in MachineState]
    assert sum(map(len, every)) == len(ALL_TRAITS) == len(frozenset().union(*every)) == 64
    assert sorted(each.code for each in ALL_TRAITS) == list(range(64))
    for traits in ALL_TRAITS:
        found = classify(traits, WEB)
        assert bool(found.reasons) == (found.state is UNSUPPORTED)
        assert traits.code in traits_in(found.state)


def test_the_code_is_what_stores_count_by() -> None:
    """Stores write the same sum in their own words."""
    assert Traits(True, False, False, False, False).code == 16
    assert Traits(False, True, True, False, True).code == 13
    assert Traits(False, False, False, False, False, is_elsewhere=True).code == 32


def test_what_manages_a_gateway_is_named_with_what_to_do() -> None:
    for is_found, undo in ((False, "--nobody"), (True, "Bascule")):
        named = Named("app-1", gateway="gw-1", managed_by="FortiManager", is_found=is_found)
        said = words(classify(replace(WELL, is_elsewhere=True), named))
        assert "gw-1, in front of app-1, is managed by FortiManager" in said
        assert f"bascule machine managed-by gw-1 {undo}." in said
        assert "bascule machine not-behind gw-1 app-1" in said


def words(found: Classification) -> str:
    (reason,) = found.reasons
    return f"{reason.message} {reason.advice}"


def test_each_reason_says_what_to_do() -> None:
    alone = words(classify(replace(WELL, is_managed=False), WEB))
    assert "bascule-managed is false" in alone
    assert "bascule machine add web-1 --managed" in alone
    missing = words(classify(replace(WELL, has_point=False), WEB))
    assert missing.endswith("To enrol an agent: bascule machine enrol web-1.")
    flushed = words(
        classify(replace(WELL, is_flushed=True), Named("web-1", flushed_by="nftables.service"))
    )
    assert flushed.startswith("nftables.service on web-1 flushes the whole firewall")
    named = Named("app-1", flushed_by="nftables.service", flushed_at="gw-1")
    at = words(classify(replace(WELL, is_flushed=True), named))
    assert at.startswith("nftables.service on gw-1, in front of app-1, flushes the whole firewall")
    assert "Upgrade gw-1 to Linux 6.9" in at
    off = words(classify(replace(WELL, is_plan_on=False), WEB))
    assert "the plan of the subscription" in off
    assert off.endswith("bascule plan on.")
    group = words(classify(replace(WELL, is_plan_on=False), Named("web-1", plan_group="team")))
    assert "the plan of resource group team" in group
    assert group.endswith("bascule plan on --group team.")


@pytest.mark.parametrize(
    ("tags", "managed"),
    [
        ({}, True),
        ({"bascule-managed": "true"}, True),
        ({"bascule-managed": ""}, True),
        ({"managed": "false"}, True),
        ({"bascule-managed": "false"}, False),
        ({"Bascule-Managed": " FALSE "}, False),
        ({"env": "prod", "BASCULE-MANAGED": "False"}, False),
    ],
)
def test_the_tag_that_leaves_a_machine_to_the_inventory(
    tags: dict[str, str], managed: bool
) -> None:
    assert is_managed(canonical_tags(tags)) is managed
    assert len(canonical_tags(tags)) == len(tags)


def test_codes_are_stable_words() -> None:
    """Clients compare them."""
    assert {str(code) for code in UnsupportedCode} == {
        "NotManaged",
        "NoEnforcementPoint",
        "FirewallFlushed",
        "ManagedElsewhere",
        "JitSwitchedOff",
    }


def test_a_code_is_read_back_as_the_traits_that_it_stands_for() -> None:
    for traits in ALL_TRAITS:
        assert Traits.of(traits.code) == traits


@pytest.mark.parametrize(
    ("tags", "wanted", "has"),
    [
        ({"env": "prod"}, "env=prod", True),
        ({"Env": "Prod"}, "ENV=PROD", True),
        ({"env": "prod"}, "env", True),
        ({"env": "prod"}, "env=pro", False),
        ({"env": "prod"}, "env=", False),
        ({"env": ""}, "env=", True),
        ({"my-env": "prod"}, "env=prod", False),
        ({"note": "x\x1fenv=prod"}, "env=prod", False),  # no value passes for another tag
        ({}, "env", False),
    ],
)
def test_a_tag_is_found_by_its_whole_name_and_value(
    tags: dict[str, str], wanted: str, has: bool
) -> None:
    assert has_tag(tags, wanted) is has
