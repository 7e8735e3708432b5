"""What an agent of a lower version is told, and weaknesses that a reader does not know."""

from __future__ import annotations

import pytest

from bascule.domain.decide import decide
from bascule.domain.desired import CUT_FOR, Cut, DesiredState, Lease
from bascule.domain.features import KNOWN, SINCE, Feature, needs, too_old_words, version_for
from bascule.domain.machine import ClosedPort, OnExpiry
from bascule.domain.net import PortKey, TransportProtocol
from bascule.domain.shadows import enforces_nothing
from bascule.domain.told import known_part
from bascule.domain.weaknesses import (
    KINDS,
    NOT_ENFORCED,
    SOCKETS_KEPT,
    UNINSTALLED,
    Gravity,
    Weakness,
)
from tests.samples import (
    ALICE_HOST,
    HOUR,
    NOW,
    SSH,
    WEB,
    codes,
    ids,
    machine,
    policy,
    request,
    rule,
)

DNS = PortKey(TransportProtocol.UDP, 53)
HTTP = PortKey(TransportProtocol.TCP, 80)
WHOLE = DesiredState(
    "uid",
    7,
    frozenset({ClosedPort(SSH, OnExpiry.KILL), ClosedPort(DNS, OnExpiry.KILL), ClosedPort(HTTP)}),
    {PortKey(TransportProtocol.TCP, 3389): 3, PortKey(TransportProtocol.UDP, 3389): 4},
    (
        Lease("kill", (SSH,), ALICE_HOST, HOUR),
        Lease("udp", (DNS,), ALICE_HOST, HOUR),
        Lease("plain", (HTTP,), ALICE_HOST, HOUR),
    ),
    (Cut("a", (SSH,), ALICE_HOST, CUT_FOR), Cut("b", (DNS,), ALICE_HOST, CUT_FOR)),
)


def test_an_agent_that_knows_everything_is_told_everything() -> None:
    assert known_part(WHOLE, KNOWN) is WHOLE


def test_without_udp_no_word_of_it_is_sent() -> None:
    found = known_part(WHOLE, KNOWN - {Feature.UDP})
    assert found.closed == {ClosedPort(SSH, OnExpiry.KILL), ClosedPort(HTTP)}
    assert [each.protocol for each in found.released] == ["TCP"]
    assert [each.grant_id for each in found.leases] == ["kill", "plain"]
    assert [each.grant_id for each in found.cuts] == ["a"]


def test_without_kill_the_port_is_closed_and_not_opened() -> None:
    found = known_part(WHOLE, KNOWN - {Feature.KILL})
    assert ClosedPort(SSH, OnExpiry.KEEP) in found.closed
    assert [each.grant_id for each in found.leases] == ["udp", "plain"]
    assert found.cuts == WHOLE.cuts


def test_without_cuts_none_is_sent() -> None:
    found = known_part(WHOLE, KNOWN - {Feature.CUTS})
    assert found == DesiredState("uid", 7, WHOLE.closed, WHOLE.released, WHOLE.leases)


@pytest.mark.parametrize(
    ("port", "is_kill", "found"),
    [(SSH, False, set()), (SSH, True, {Feature.KILL}), (DNS, True, {Feature.UDP})],
)
def test_what_a_port_needs(port: PortKey, is_kill: bool, found: set[Feature]) -> None:
    assert needs(port, is_kill=is_kill) == found


def test_each_feature_has_a_version_and_the_newest_would_do(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert set(SINCE) == KNOWN
    versions = {Feature.UDP: "0.9.0", Feature.KILL: "0.10.0", Feature.CUTS: "0.2.0"}
    monkeypatch.setattr("bascule.domain.features.SINCE", versions)
    assert version_for({Feature.UDP, Feature.KILL}) == "0.10.0"
    assert "0.9.0" in too_old_words("web-1", {Feature.UDP})
    both = too_old_words("web-1", {Feature.UDP, Feature.KILL})
    assert "for ending connections when access ends and UDP ports. Version 0.10.0" in both


def test_the_code_of_a_newer_agent_is_severe_and_shown() -> None:
    """EDGES F2."""
    unknown = Weakness("Newer", {"b": "2", "a": "1"})
    assert (unknown.kind, unknown.gravity) == (None, Gravity.SEVERE)
    assert "Newer" in unknown.text
    assert "a: 1, b: 2" in unknown.text


def test_a_weakness_is_a_code_with_arguments() -> None:
    found = NOT_ENFORCED(problem="EPERM")
    assert found == Weakness("FirewallUnmanaged", {"problem": "EPERM"})
    assert found.is_of(NOT_ENFORCED)
    assert "(EPERM)" in found.text
    assert (found.gravity, SOCKETS_KEPT().gravity) == (Gravity.SEVERE, Gravity.LIMITED)
    assert KINDS[found.code] is NOT_ENFORCED


def test_who_enforces_nothing_says_so_by_code() -> None:
    assert enforces_nothing([SOCKETS_KEPT(), UNINSTALLED()])
    assert not enforces_nothing([SOCKETS_KEPT(), Weakness("Newer")])


def test_a_request_for_a_port_that_the_agent_does_not_know_is_refused() -> None:
    knows = {"uid-web": KNOWN - {Feature.KILL}}
    for asked_of, told in ((rule(on_expiry=OnExpiry.KILL), ["AgentTooOld"]), (rule(), [])):
        verdict = decide(policy(asked_of), request(), {WEB: machine()}, (), ids(), NOW, knows=knows)
        assert codes(getattr(verdict, "reasons", ())) == told
