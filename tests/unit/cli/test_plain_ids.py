"""Names where a sentence of the server has ids that hold one."""

from __future__ import annotations

import time

import pytest

from bascule.cli.complaint import complaint
from bascule.cli.plain_ids import with_names
from bascule.errors import Forbidden, InvalidInput, Problem

GUID = "18411a44-fb22-4ba7-84c5-453a5b61d405"
GROUP = f"/subscriptions/{GUID}/resourceGroups/prod.eu"
MACHINE = f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-1"
POLICY = f"{GROUP}/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/default"
DENIED = "does not have authorization to perform action 'a/read' over scope"


@pytest.mark.parametrize(
    ("said", "read"),
    [
        (
            f"The client 'anna' with object id '{GUID}' {DENIED} '{MACHINE}'.",
            f"The client 'anna' {DENIED} machine web-1 (prod.eu).",
        ),
        (f"Ask at {MACHINE} or above.", "Ask at machine web-1 (prod.eu) or above."),
        (f"Policy {POLICY} does not exist.", "Policy default (prod.eu) does not exist."),
        (f"over scope '{GROUP}'.", "over scope resource group prod.eu."),
        (f"over scope '/subscriptions/{GUID}'.", "over scope the subscription."),
        (f"Machine {MACHINE}.", "Machine web-1 (prod.eu)."),
        (f"Request {GUID} does not exist.", f"Request {GUID} does not exist."),
        (f"{GROUP}/providers/Other.Kind/things/x", f"{GROUP}/providers/Other.Kind/things/x"),
    ],
)  # fmt: skip
def test_ids_become_names(said: str, read: str) -> None:
    assert with_names(said) == read


def test_a_denial_is_told_with_names() -> None:
    problems = [
        Problem("AuthorizationFailed", f"The client 'anna' with object id '{GUID}' {DENIED} '{scope}'.")
        for scope in (MACHINE, GROUP)
    ]  # fmt: skip
    error = Forbidden(problems[0].message, advice=f"Ask at {GROUP} or above.", problems=problems)
    lines = complaint(error)
    assert GUID not in "\n".join(lines)
    assert any("machine web-1" in line for line in lines)
    assert lines[-1] == "  Ask at resource group prod.eu or above."


def test_what_is_to_be_typed_stays_whole() -> None:
    candidates = [Problem("Candidate", each) for each in (MACHINE, MACHINE.replace("prod", "test"))]
    error = InvalidInput("2 machines are called web-1; give the id:", problems=candidates)
    assert f"  - {MACHINE}" in complaint(error)


def test_instants_are_told_in_local_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server writes UTC, whichever zone its readers are in."""
    said = "The agent of web-1 has been away since 2030-01-31T23:00:00.0000000Z."
    error = InvalidInput(said, problems=[Problem("PointSilent", said)])
    with monkeypatch.context() as abroad:
        abroad.setenv("TZ", "Etc/GMT-2")
        time.tzset()
        lines = complaint(error)
    time.tzset()
    assert lines == ["bascule: The agent of web-1 has been away since 2030-02-01 01:00:00 +02:00."]
