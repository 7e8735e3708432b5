"""Requests on the wire: what stands in place of grants."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bascule.api.wire.requests import access_request_json, request_json
from bascule.domain.lifecycle import STATES, RequestState
from bascule.services.views import RequestView
from tests.samples import NOW, request


def ports_of(properties: dict[str, Any]) -> list[dict[str, Any]]:
    return [port for machine in properties["virtualMachines"] for port in machine["ports"]]


@pytest.mark.parametrize("state", RequestState)
def test_a_request_without_grants_shows_what_was_asked_in_azures_words(state: RequestState) -> None:
    """Azure's clients read each port's status; a state that Azure lacks has none, never a guess."""
    view = RequestView(replace(request(), state=state), (), {}, {}, NOW)
    azures, ours = ports_of(request_json(view)), ports_of(access_request_json(view)["properties"])
    assert azures == ours
    assert [port["number"] for port in ours] == [p.number for p in view.request.machines[0].ports]
    row = STATES[state]
    expected = {
        name: str(word)
        for name, word in (("status", row.status), ("statusReason", row.reason))
        if word
    }
    for port in ours:
        told = {name: port[name] for name in ("status", "statusReason") if name in port}
        assert told == expected
        assert port["bascule"] == {"state": str(state)}
