"""A smoke of generated calls: what fits a document, or nearly, is never answered 5xx.

The documents are our own /openapi.json and the published one of the JIT API. Schemathesis makes
the calls; what each should mean is asserted elsewhere. Half of them name things that exist, so
that they get past the path.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis.generation import GenerationMode

from tests.wire.house import BASCULE, JIT, House, port_rule
from tests.wire.swagger import DOCUMENT, check

# Examples of an operation: with a body it can be wrong in more ways. What does not fit the
# document is mostly refused at one border, and takes the longest to make up.
WITH_BODY = {GenerationMode.POSITIVE: 6, GenerationMode.NEGATIVE: 2}
WITHOUT = {GenerationMode.POSITIVE: 2, GenerationMode.NEGATIVE: 1}
THOROUGH = 14  # the published document has eight operations
# Its errors are OAuth's own, and a call that is right has no body that a document describes.
OAUTH = "/{tenant}/"
# A write of a view is refused before it is read; of a member and of a binding the path says all.
NO_BODY = (
    "/providers/Microsoft.Network/",
    "/members/",
    "/enforcementPoints/",
    "/bascule/agents/",
    "/runs/",
)


@pytest.fixture
def lived_in(house: House) -> House:
    house.add_machine("web-1")
    rules = [{"id": house.machine("web-1"), "ports": [port_rule()]}]
    body = {"properties": {"virtualMachines": rules}}
    assert house.call("PUT", house.policy(), body, JIT).status_code == 200
    return house


def document_of(house: House) -> dict[str, Any]:
    return dict(house.client.get("/openapi.json").json())


def test_every_operation_says_what_it_takes(house: House) -> None:
    """Path parameters are described, and bodies where there are any."""
    for path, item in document_of(house)["paths"].items():
        for method, operation in item.items():
            described = {each["name"] for each in operation.get("parameters", ())}
            named = {part.strip("{}") for part in path.split("/") if part.startswith("{")}
            assert named <= described, (method, path)
            if path.startswith("/subscriptions"):
                assert "api-version" in described
            is_written = method == "put" or path.endswith(("initiate", "extend", "report"))
            if is_written and not any(each in path for each in NO_BODY):
                assert operation["requestBody"], (method, path)


def generated(operation: Any, mode: GenerationMode, most: int, call: Callable[..., None]) -> None:
    """Call with up to so many generated cases, half of them to be grounded in what exists."""

    @given(case=operation.as_strategy(generation_mode=mode), is_known=st.booleans())
    @settings(
        max_examples=most,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def call_it(case: Any, is_known: bool) -> None:
        call(case, is_known)

    with contextlib.suppress(Unsatisfiable):  # a call that takes nothing cannot be wrong
        call_it()


def grounded(house: House, case: Any, version: str, known: dict[str, str]) -> None:
    """Name what exists in the path, the query and the body's machines."""
    names = [name for name in case.path_parameters if name in known]
    case.path_parameters.update({name: known[name] for name in names})
    case.query["api-version"] = version
    if isinstance(case.body, dict):
        machines = case.body.get("virtualMachines")
        for machine in machines if isinstance(machines, list) else ():
            if isinstance(machine, dict) and "id" in machine:
                machine["id"] = house.machine("web-1")


@pytest.mark.slow
@pytest.mark.timeout(600)  # two thousand calls, made up beside whatever else runs
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_calls_are_never_an_error_of_ours(lived_in: House, mode: GenerationMode) -> None:
    house = lived_in
    schema = schemathesis.openapi.from_dict(document_of(house))
    known = {
        "subscription_id": house.installation.subscription_id,
        "tenant": house.installation.tenant_id,
        "resource_group": "default",
        "location": "local",
        "policy": "default",
        "machine": "web-1",
    }
    tried = 0

    def call(case: Any, is_known: bool) -> None:
        nonlocal tried
        tried += 1
        if is_known:
            grounded(house, case, BASCULE, known)
        answer = send(house, case)
        assert answer.status_code < 500, (case.method, case.path, answer.text)
        if answer.status_code >= 400 and answer.content and not case.path.startswith(OAUTH):
            check(answer.json(), "CloudError")

    for result in schema.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]  # reason: an Err fails here, as it should
        if not operation.path.endswith("/stream"):  # it does not end
            most = WITH_BODY if operation.body else WITHOUT
            generated(operation, mode, most[mode], call)
    assert tried > 200


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_generated_calls_of_the_published_document(lived_in: House, mode: GenerationMode) -> None:
    """Answers are of a documented status and schema, or a CloudError."""
    house = lived_in
    schema = schemathesis.openapi.from_path(str(DOCUMENT))
    known = {
        "subscriptionId": house.installation.subscription_id,
        "resourceGroupName": "default",
        "ascLocation": "local",
        "jitNetworkAccessPolicyName": "default",
        "jitNetworkAccessPolicyInitiateType": "initiate",
    }
    published = json.loads(DOCUMENT.read_text())["paths"]
    tried: dict[int, int] = {}

    def call(case: Any, is_known: bool) -> None:
        if is_known:
            grounded(house, case, JIT, known)
        answer = send(house, case)
        status = answer.status_code
        tried[status] = tried.get(status, 0) + 1
        assert status < 500, (case.method, case.path, answer.text)
        if status >= 400:
            check(answer.json(), "CloudError")
            return
        documented = published[case.path][case.method.lower()]["responses"][str(status)]
        if "schema" in documented:
            check(answer.json(), documented["schema"]["$ref"].rpartition("/")[2])

    operations = [result.ok() for result in schema.get_all_operations()]  # type: ignore[union-attr]  # reason: as above
    for operation in operations:
        generated(operation, mode, THOROUGH, call)
    assert len(operations) == 8
    assert tried[400] > 10
    assert mode is GenerationMode.NEGATIVE or tried[200] > 5


def send(house: House, case: Any) -> Any:
    asked = case.as_transport_kwargs(base_url="https://localhost")
    wanted = {
        name: asked[name]
        for name in ("method", "url", "params", "json", "data", "headers", "cookies")
        if asked.get(name) is not None
    }
    headers = dict(wanted.pop("headers", {}))
    headers.pop("Authorization", None)
    data = wanted.pop("data", None)
    if data is not None:
        wanted["content"] = data if isinstance(data, bytes | str) else b""
    wanted.pop("cookies", None)
    return house.client.request(**wanted, headers=headers)
