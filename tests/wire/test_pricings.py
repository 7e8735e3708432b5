"""Plans over the wire: nothing opens by the switch, and every machine below says what it did."""

from __future__ import annotations

from typing import Any

import pytest

from bascule.domain.actions import MACHINE_READ, PRICING_READ, PRICING_WRITE
from bascule.domain.builtin_roles import BUILTIN_ROLES, CONTRIBUTOR, OWNER, SECURITY_ADMIN
from bascule.domain.roles import RoleDefinition
from tests.wire.house import COMPUTE, JIT, House, port_rule
from tests.wire.somebody import holder_of, somebody

SECURITY = "2024-01-01"
ON, OFF = {"pricingTier": "Standard"}, {"pricingTier": "Free"}


def path(house: House, group: str = "", plan: str = "VirtualMachines") -> str:
    place = f"{house.subscription}/resourceGroups/{group}" if group else house.subscription
    return f"{place}/providers/Microsoft.Security/pricings/{plan}"


def put(house: House, properties: Any, group: str = "", plan: str = "VirtualMachines") -> Any:
    return house.call("PUT", path(house, group, plan), {"properties": properties}, SECURITY)


def get(house: House, group: str = "") -> Any:
    return house.call("GET", path(house, group), version=SECURITY).json()["properties"]


def state(house: House, name: str = "web-1") -> Any:
    return house.call("GET", house.machine(name), version=COMPUTE).json()["properties"]["bascule"]


def ask(house: House, group: str = "default") -> Any:
    body = {
        "virtualMachines": [
            {
                "id": house.machine("web-1").replace("/default/", f"/{group}/"),
                "ports": [
                    {"number": 22, "duration": "PT1H", "allowedSourceAddressPrefix": "192.0.2.1"}
                ],
            }
        ]
    }
    policy = house.policy().replace("/default/", f"/{group}/", 1)
    return house.call("POST", f"{policy}/initiate", body, JIT)


@pytest.fixture
def web(house: House) -> Any:
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    machines = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    house.call("PUT", house.policy(), {"properties": {"virtualMachines": machines}}, JIT)
    return lambda *in_force: house.report(agent, uid, *in_force)


def test_it_is_on_from_the_start(house: House) -> None:
    found = house.call("GET", path(house), version=SECURITY).json()
    assert found == {
        "id": path(house),
        "name": "VirtualMachines",
        "type": "Microsoft.Security/pricings",
        "properties": {
            "pricingTier": "Standard",
            "subPlan": "P2",
            "freeTrialRemainingTime": "PT0S",
            "enforce": "False",
            "inherited": "False",
            "resourcesCoverageStatus": "FullyCovered",
        },
    }
    group = get(house, "default")
    assert (group["inherited"], group["inheritedFrom"]) == ("True", house.subscription)
    assert "enforce" not in group


def test_switching_off_ends_what_is_open_and_opens_nothing(house: House, web: Any) -> None:
    """EDGES A10: the ports stay shut; nobody gets in by a request any more."""
    asked = ask(house)
    (grant,) = house.see(lambda reader: reader.grants_of([asked.json()["bascule"]["requestId"]]))
    web(grant.id)
    closed = house.see(lambda reader: reader.closed_ports(grant.machine_uid))
    assert put(house, OFF).status_code == 200
    (ended,) = house.see(lambda reader: reader.grants_of([grant.request_id]))
    assert (ended.state, ended.reason) == ("closing", "UserRequested")
    told = web()
    assert (told["closed"][0]["number"], told["released"], told["leases"]) == (22, [], [])
    assert house.see(lambda reader: reader.closed_ports(grant.machine_uid)) == closed
    refused = ask(house)
    assert refused.status_code == 403
    error = refused.json()["error"]
    assert error["code"] == "JitSwitchedOff"
    assert error["message"].startswith("JIT VM Access requires a standard tier subscription.")
    assert house.events("PortReleased", "GrantEnded", "PricingChanged") == [
        "GrantEnded",
        "PricingChanged",
    ]
    found = state(house)
    assert found["state"] == "unsupported"
    (reason,) = found["reasons"]
    assert (reason["code"], reason["advice"]) == (
        "JitSwitchedOff",
        "To switch it on: bascule plan on.",
    )
    # Switched on again, what was ended stays ended, and asking works.
    assert put(house, ON).status_code == 200
    assert state(house)["state"] == "configured"
    (still,) = house.see(lambda reader: reader.grants_of([grant.request_id]))
    assert not still.is_live
    assert ask(house).status_code == 202


def test_what_is_still_opening_never_opens(house: House, web: Any) -> None:
    asked = ask(house)
    put(house, OFF, "default")
    (grant,) = house.see(lambda reader: reader.grants_of([asked.json()["bascule"]["requestId"]]))
    assert grant.state == "closing"
    assert web()["leases"] == []


def test_a_group_is_switched_by_itself(house: House, web: Any) -> None:
    house.call("PUT", "/resourceGroups/team", {"location": "local"})
    assert put(house, OFF, "team").status_code == 200
    assert ask(house).status_code == 202  # of another group
    assert get(house)["resourcesCoverageStatus"] == "PartiallyCovered"
    put(house, OFF)
    put(house, ON, "default")
    assert get(house, "default")["inherited"] == "False"
    assert ask(house).status_code == 202
    refused = put(house, ON, "nowhere")
    assert refused.status_code == 404
    gone = house.call("DELETE", path(house, "default"), version=SECURITY)
    assert gone.status_code == 200
    assert ask(house).status_code == 403  # it inherits what the subscription has
    assert house.call("DELETE", path(house, "default"), version=SECURITY).status_code == 204
    assert house.call("DELETE", path(house, "team", "Dns"), version=SECURITY).status_code == 204


def test_what_is_enforced_cannot_be_overridden(house: House, web: Any) -> None:
    put(house, ON, "default")
    assert put(house, {**OFF, "enforce": "True"}).status_code == 200
    assert get(house, "default")["pricingTier"] == "Free"
    assert ask(house).status_code == 403
    refused = put(house, ON, "default")
    assert (refused.status_code, refused.json()["error"]["code"]) == (409, "PlanEnforced")
    put(house, OFF)  # enforce is kept when it is not said
    assert get(house)["enforce"] == "True"
    put(house, {**OFF, "enforce": "False"})
    assert ask(house).status_code == 202  # the group's own setting counts again


def test_a_new_group_of_an_old_name_inherits_nothing(house: House) -> None:
    for _ in range(2):
        house.call("PUT", "/resourceGroups/team", {"location": "local"})
        assert get(house, "team")["pricingTier"] == "Standard"
        put(house, OFF, "TEAM")
        assert get(house, "team")["pricingTier"] == "Free"
        house.call("DELETE", "/resourceGroups/team")


def test_saying_the_same_twice_is_recorded_once(house: House) -> None:
    put(house, OFF)
    put(house, OFF)
    assert house.events("PricingChanged") == ["PricingChanged"]


@pytest.mark.parametrize(
    ("properties", "plan", "code"),
    [
        (ON, "StorageAccounts", "PlanNotOffered"),
        (OFF, "Anything", "PlanNotOffered"),
        ({"pricingTier": "Gold"}, "VirtualMachines", "InvalidPricingTier"),
        ({**ON, "subPlan": "P1"}, "VirtualMachines", "InvalidSubPlan"),
        ({**ON, "enforce": "maybe"}, "VirtualMachines", "InvalidEnforce"),
        ({}, "VirtualMachines", "MissingField"),
        (ON, "a%20b", "InvalidResourceName"),
    ],
)
def test_what_cannot_be_set(house: House, properties: Any, plan: str, code: str) -> None:
    answer = put(house, properties, plan=plan)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    assert house.events("PricingChanged") == []
    assert get(house)["pricingTier"] == "Standard"


def test_only_a_subscription_enforces(house: House) -> None:
    answer = put(house, {**OFF, "enforce": "True"}, "default")
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidEnforce")
    assert put(house, {**OFF, "enforce": "False"}, "default").status_code == 200


def test_other_plans_are_free(house: House) -> None:
    base = path(house).rpartition("/")[0]
    for where in (base, base.replace("/providers/", "/resourcegroups/default/providers/", 1)):
        found = house.call("GET", where, version=SECURITY).json()
        assert set(found) == {"value"}
        tiers = {each["name"]: each["properties"]["pricingTier"] for each in found["value"]}
        assert tiers.pop("VirtualMachines") == "Standard"
        assert set(tiers.values()) == {"Free"}
    one = house.call("GET", path(house, plan="storageaccounts"), version=SECURITY).json()
    assert (one["name"], one["properties"]["pricingTier"]) == ("StorageAccounts", "Free")


def test_the_security_policies_are_an_empty_list(house: House) -> None:
    answer = house.call("GET", "/providers/Microsoft.Security/policies", version=SECURITY)
    assert answer.json() == {"value": []}


def test_who_may_switch(house: House, web: Any) -> None:
    """A group's switch is no right to the subscription's, reading is none to write."""
    group = somebody(house, house.group, PRICING_READ, PRICING_WRITE)
    assert group.put(path(house), json={"properties": OFF}).status_code == 403
    assert group.get(path(house)).status_code == 403
    reader = somebody(house, house.subscription, PRICING_READ)
    assert reader.get(path(house, "default")).status_code == 200
    assert reader.put(path(house, "default"), json={"properties": OFF}).status_code == 403
    assert reader.delete(path(house, "default")).status_code == 403
    assert group.put(path(house, "default"), json={"properties": OFF}).status_code == 200


SWITCH = {OWNER.id, CONTRIBUTOR.id, SECURITY_ADMIN.id}  # as in Azure: SECURITY.md says so


@pytest.mark.parametrize("role", BUILTIN_ROLES, ids=lambda role: role.name)
def test_which_built_in_roles_may_switch_it_off(
    house: House, web: Any, role: RoleDefinition
) -> None:
    """Whoever may ends all access, which opens nothing, is on record, and is taken back."""
    asked = ask(house)
    (grant,) = house.see(lambda reader: reader.grants_of([asked.json()["bascule"]["requestId"]]))
    caller = holder_of(house, role)
    answer = caller.put(path(house), json={"properties": OFF}, params={"api-version": SECURITY})
    may = role.id in SWITCH
    assert answer.status_code == (200 if may else 403), answer.text
    (after,) = house.see(lambda reader: reader.grants_of([grant.request_id]))
    assert after.is_live is not may
    expected = ["GrantEnded", "PricingChanged"] if may else []
    assert house.events("PortReleased", "GrantEnded", "PricingChanged") == expected
    assert put(house, ON).status_code == 200
    assert ask(house).status_code == 202


# -- machines by state --------------------------------------------------------------------


def states(house: House, client: Any = None, group: bool = False) -> dict[str, int]:
    place = house.group if group else house.subscription
    url = f"{place}/providers/Bascule.Access/machineStates"
    answer = (client or house.client).get(url, params={"api-version": "2026-11-01"})
    return {each["state"]: each["count"] for each in answer.json()["value"]}


def names(house: House, filter_text: str, client: Any = None) -> list[str]:
    url = f"{house.subscription}/providers/Microsoft.Compute/virtualMachines"
    params = {"api-version": COMPUTE, "$filter": filter_text, "$top": "1"}
    answer = (client or house.client).get(url, params=params).json()
    found = [each["name"] for each in answer["value"]]
    while "nextLink" in answer:
        answer = (client or house.client).get(answer["nextLink"]).json()
        found += [each["name"] for each in answer["value"]]
    return found


def test_the_three_tabs(house: House, web: Any) -> None:
    house.add_machine("db-1")
    house.enrol("db-1")
    house.add_machine("bare-1")
    house.add_machine("legacy-1", tags={"Bascule-Managed": "False"})
    assert states(house) == {"configured": 1, "notConfigured": 1, "unsupported": 2}
    assert names(house, "state eq 'configured'") == ["web-1"]
    assert names(house, "state eq 'NOTCONFIGURED'") == ["db-1"]
    assert names(house, "state eq 'unsupported'") == ["bare-1", "legacy-1"]
    assert names(house, "name eq 'web-1' and state eq 'configured'") == ["web-1"]
    assert names(house, "name eq 'web-1' and state eq 'unsupported'") == []
    assert names(house, "state eq 'configured' and state eq 'unsupported'") == []
    assert [each["code"] for each in state(house, "legacy-1")["reasons"]] == ["NotManaged"]
    assert [each["code"] for each in state(house, "bare-1")["reasons"]] == ["NoEnforcementPoint"]
    put(house, OFF, "default")
    assert states(house, group=True) == {"configured": 0, "notConfigured": 0, "unsupported": 4}
    assert names(house, "state eq 'configured'") == []
    for wrong in ("state eq 'fine'", "state ne 'configured'", "state eq"):
        url = f"{house.subscription}/providers/Microsoft.Compute/virtualMachines"
        answer = house.call("GET", url, version=COMPUTE, params={"$filter": wrong})
        assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidFilter")


def test_a_firewall_that_somebody_empties(house: House) -> None:
    uid = house.add_machine("web-1")
    agent = house.enrol("web-1")
    house.report(agent, uid, flushedBy="nftables.service")
    (reason,) = state(house)["reasons"]
    assert reason["code"] == "FirewallFlushed"
    assert reason["message"].startswith("nftables.service on web-1 flushes the whole firewall")
    assert names(house, "state eq 'unsupported'") == ["web-1"]
    house.report(agent, uid)
    assert state(house)["state"] == "notConfigured"


def test_counts_and_lists_are_of_what_the_caller_may_see(house: House, web: Any) -> None:
    house.add_machine("db-1")
    house.add_machine("secret-1")
    caller = somebody(house, house.machine("db-1"), MACHINE_READ)
    assert states(house, caller) == {"configured": 0, "notConfigured": 0, "unsupported": 1}
    for filter_text in ("", "state eq 'unsupported'"):
        assert names(house, filter_text, caller) == ["db-1"]
    assert names(house, "name eq 'secret-1'", caller) == []
    nothing = somebody(house, house.machine("db-1"), PRICING_READ)
    assert sum(states(house, nothing).values()) == 0
    assert names(house, "", nothing) == []
