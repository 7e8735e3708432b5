"""ARM ids and names: what is a name is listed, everything else is refused whole (EDGES A18)."""

from __future__ import annotations

import pytest

from bascule.domain.ids import (
    ResourceId,
    is_guid,
    is_name,
    is_resource_group_name,
    machine_id,
    parse_name,
    policy_id,
)
from bascule.errors import InvalidInput
from tests.samples import SUBSCRIPTION

MACHINE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/Default"
    "/providers/Microsoft.Compute/virtualMachines/Web-1"
)
POLICY = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/default"
    "/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"
)


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        # A name begins with a letter or digit and goes on with those, dot, underscore, hyphen.
        ("web-1", True),
        ("9", True),
        ("a.b_c-D", True),
        ("a" * 64, True),
        # One character more, a leading hyphen (an option for ssh), or anything else: no name.
        ("a" * 65, False),
        ("", False),
        ("-web", False),
        (".web", False),
        ("_web", False),
        ("web 1", False),
        ("web\n", False),
        ("web/1", False),
        ("wéb", False),
        ("web\u0661", False),  # a digit, but not an ASCII one
        ("web;reboot", False),
        ("%h", False),
    ],
)
def test_a_name_is_ascii_and_cannot_be_taken_for_an_option(text: str, legal: bool) -> None:
    """Names reach command lines and ssh_config: one that slips through there is an injection."""
    assert is_name(text) is legal
    if legal:
        assert parse_name(text, "machine") == text
    else:
        with pytest.raises(InvalidInput) as refused:
            parse_name(text, "machine", "name")
        assert refused.value.specific_code == "InvalidResourceName"
        assert refused.value.target == "name"


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        ("default", True),
        ("(a)_b.c-1", True),
        ("_x", True),
        ("a" * 90, True),
        ("a" * 91, False),
        ("ends.", False),
        ("", False),
        ("a/b", False),
        ("-a", False),
    ],
)
def test_a_resource_group_follows_its_own_rule(text: str, legal: bool) -> None:
    """Azure's groups may hold parentheses and may not end in a dot; others' tools make such."""
    assert is_resource_group_name(text) is legal


@pytest.mark.parametrize(
    ("text", "legal"),
    [
        (SUBSCRIPTION, True),
        ("ABCDEF00-0000-0000-0000-00000000000f", True),
        ("ABCDEF00-0000-0000-0000-00000000000g", False),
        ("{11111111-2222-3333-4444-555555555555}", False),
        ("11111111222233334444555555555555", False),
        (SUBSCRIPTION + "\n", False),
    ],
)
def test_a_guid_is_matched_whole(text: str, legal: bool) -> None:
    """A subscription that is nearly a GUID is another subscription, not this one."""
    assert is_guid(text) is legal


def test_an_id_is_printed_back_as_it_was_written() -> None:
    """Azure echoes the caller's case in names and its own in the fixed words."""
    assert str(ResourceId.parse(MACHINE)) == MACHINE
    shouted = MACHINE.upper()
    parsed = ResourceId.parse(shouted)
    assert parsed.type == "Microsoft.Compute/virtualMachines"
    assert parsed.resource_group == "DEFAULT"
    assert parsed.name == "WEB-1"


def test_ids_compare_without_regard_to_case() -> None:
    """Two spellings of one machine must never be two machines with two policies."""
    one, other = ResourceId.parse(MACHINE), ResourceId.parse(MACHINE.lower())
    assert one == other
    assert hash(one) == hash(other)
    assert one.key == other.key
    assert one != ResourceId.parse(MACHINE.replace("Web-1", "Web-2"))
    assert one != MACHINE


def test_the_parts_of_a_policy_id() -> None:
    """Location and name come from the id itself, so the two can never disagree."""
    parsed = ResourceId.parse(POLICY)
    assert parsed.location == "local"
    assert parsed.name == "default"
    assert parsed.type == "Microsoft.Security/locations/jitNetworkAccessPolicies"
    assert parsed == policy_id(SUBSCRIPTION.upper(), "default", "local", "default")
    assert ResourceId.parse(MACHINE).location == ""


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "web-1",
        MACHINE + "/",
        MACHINE + "/extensions",
        MACHINE[1:],
        "x" + MACHINE,
        MACHINE.replace("/subscriptions/", "/subscription/"),
        MACHINE.replace("resourceGroups", "groups"),
        MACHINE.replace("providers", "provider"),
        MACHINE.replace(SUBSCRIPTION, "not-a-guid"),
        MACHINE.replace("Default", "Def ault"),
        MACHINE.replace("Web-1", "Web 1"),
        MACHINE.replace("Web-1", ".."),
        MACHINE.replace("Web-1", ""),
        f"/subscriptions/{SUBSCRIPTION}/resourceGroups/default",
    ],
)
def test_what_is_not_whole_is_no_id(text: str) -> None:
    """An id that is accepted in part would be judged by one rule and applied by another."""
    with pytest.raises(InvalidInput) as refused:
        ResourceId.parse(text, "virtualMachines[0].id")
    assert refused.value.specific_code == "InvalidResourceId"
    assert refused.value.target == "virtualMachines[0].id"


def test_only_a_virtual_machine_is_a_machine() -> None:
    """A policy that named a network interface would close nothing and say that it had."""
    expected = machine_id(SUBSCRIPTION, "default", "web-1")
    assert ResourceId.parse_machine(MACHINE) == expected
    with pytest.raises(InvalidInput, match="virtualMachines"):
        ResourceId.parse_machine(POLICY)
