"""How much of one body is read: all its lists together are bounded before they are."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

from bascule.api.wire import fields
from bascule.api.wire.counts import MOST_PORTS, MOST_SOURCES
from bascule.api.wire.policies import MachineRulesBody, PolicyBody
from bascule.api.wire.problems import problems_of
from bascule.api.wire.requests import InitiateBody

ID = (
    "/subscriptions/11111111-2222-3333-4444-555555555555/resourceGroups/default/providers/"
    "Microsoft.Compute/virtualMachines/web-1"
)
RULE = {"number": 22, "protocol": "TCP", "maxRequestAccessDuration": "PT3H"}
ASKED = {"number": 22, "duration": "PT1H"}
TARGETS: dict[type[Any], str] = {
    InitiateBody: "virtualMachines",
    PolicyBody: "properties.virtualMachines",
    MachineRulesBody: "properties.ports",
}
SOURCES = "allowedSourceAddressPrefixes"


class Bounded(BaseModel):
    listed: list[int] = Field(max_length=1000)


def initiate(ports: list[Any], machines: int = 1) -> Any:
    return {"virtualMachines": [{"id": ID, "ports": ports}] * machines}


def policy(ports: list[Any], machines: int = 1) -> Any:
    return {"properties": initiate(ports, machines)}


def rules(ports: list[Any]) -> Any:
    return {"properties": {"ports": ports}}


def refused(kind: type[Any], body: Any) -> list[Any]:
    """What is wrong with it; every error that was made for it, not only those that are told."""
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(kind).validate_python(body)
    return caught.value.errors()


@pytest.mark.parametrize(
    ("kind", "body", "code"),
    [
        (InitiateBody, initiate([{**ASKED, SOURCES: [1] * 1000}] * 20), "TooManySources"),
        (InitiateBody, initiate([{**ASKED, SOURCES: ["1.1.1.1"] * 1000}] * 100), "TooManySources"),
        (InitiateBody, initiate([{SOURCES: [1] * 11}], 1000), "TooManySources"),
        (InitiateBody, initiate([ASKED] * 501, 2), "TooManyPorts"),
        (InitiateBody, initiate([{}] * 1000, 300), "TooManyPorts"),
        (InitiateBody, initiate([1] * 1000, 500), "TooManyPorts"),
        (PolicyBody, policy([{**RULE, SOURCES: [1] * 1000}] * 20), "TooManySources"),
        (PolicyBody, policy([{}] * 1000, 300), "TooManyPorts"),
        (PolicyBody, policy([RULE] * 11, 1000), "TooManyPorts"),
        (MachineRulesBody, rules([{**RULE, SOURCES: [1] * 1000}] * 20), "TooManySources"),
        (MachineRulesBody, rules([{}] * 10_001), "TooManyPorts"),
    ],
)
def test_what_is_too_much_is_refused_unread(kind: type[Any], body: Any, code: str) -> None:
    """Errors of hundreds of thousands of items would take seconds to make, for anybody's token."""
    errors = refused(kind, body)
    (problem,) = problems_of([{**each, "loc": ("body", *each["loc"])} for each in errors])
    assert problem.code == code
    assert problem.target == TARGETS[kind]
    assert "at most 1" in problem.message


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        (InitiateBody, initiate([ASKED], 1000)),
        (InitiateBody, initiate([ASKED] * 1000)),
        (InitiateBody, initiate([{**ASKED, SOURCES: ["192.0.2.7"] * 1000}] * 10)),
        (PolicyBody, policy([RULE] * (MOST_PORTS // 1000), 1000)),
        (PolicyBody, policy([{**RULE, SOURCES: ["192.0.2.7"] * 10}], MOST_SOURCES // 10)),
        (MachineRulesBody, rules([{**RULE, SOURCES: ["192.0.2.7"] * 10}] * 1000)),
    ],
)
def test_what_is_just_enough_is_taken(kind: type[Any], body: Any) -> None:
    assert TypeAdapter(kind).validate_python(body)


@pytest.mark.parametrize("port", [ASKED | RULE, {}, {SOURCES: [1] * 235}])
@pytest.mark.parametrize(("kind", "body"), [(InitiateBody, initiate), (PolicyBody, policy)])
def test_a_machine_too_many_is_told_of_and_none_is_read(
    kind: type[Any], body: Any, port: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the first thousand are, and the error of each of their items is made."""
    made: list[str] = []
    refuse = fields.refuse

    def counted(message: str, *code: str) -> PydanticCustomError:
        made.append(message)
        return refuse(message, *code)

    with monkeypatch.context() as patch:
        patch.setattr(fields, "refuse", counted)
        (error,) = refused(kind, body([port], 1001))
    assert not made
    (as_ever,) = refused(Bounded, {"listed": [1] * 1001})
    for each in ("type", "msg", "ctx"):
        assert error[each] == as_ever[each]


def test_what_is_wrong_within_the_bound_is_told_one_by_one() -> None:
    errors = refused(InitiateBody, initiate([{**ASKED, SOURCES: [1] * 50}, {}, 5]))
    assert len(errors) == 50 + 1 + 1
    assert [each["loc"][-1] for each in errors[:2]] == [0, 1]


@pytest.mark.parametrize("body", [None, 5, [], {}, {"ports": 5}, {SOURCES: {}}, {"ports": [None]}])
@pytest.mark.parametrize("kind", [InitiateBody, PolicyBody, MachineRulesBody])
def test_any_form_is_counted(kind: type[Any], body: Any) -> None:
    """Counting comes before reading, so that it meets everything that JSON can be."""
    places: list[Any] = [body, {"virtualMachines": body}, {"virtualMachines": [body]}]
    places.append({"virtualMachines": [{"ports": [body]}]})
    places += [{"properties": each} for each in places] + [{"properties": {"ports": body}}]
    for each in places:
        with contextlib.suppress(ValidationError):
            TypeAdapter(kind).validate_python(each)
