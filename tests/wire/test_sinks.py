"""Sinks over HTTP: who may, what is told, and that no answer but one holds a secret."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest

from bascule.api.app import build_app
from bascule.domain.net import AddressPrefix
from bascule.outward.carriers import Carriers
from bascule.services.delivery import WayOut
from tests.receivers import NAME, Certificate, hook, make_certificate
from tests.wire.house import House

SINKS = "/providers/Bascule.Audit/sinks"
HOOK = "https://hooks.example/T0P-of-the-path/s3cret?key=hidden"


@pytest.fixture
def open_house(house: House) -> House:
    """One with a way out, for which a name leads to loopback."""

    async def resolve(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    way = Carriers(house.clock, [AddressPrefix.parse("127.0.0.0/8")], resolve=resolve)
    house.state = replace(house.state, way_out=WayOut(way, "bascule.example"))
    house.app = build_app(house.state)
    house.client = house.client_of(house.service_token())
    return house


def put(house: House, name: str = "hook", **said: Any) -> Any:
    return house.call("PUT", f"{SINKS}/{name}", {"properties": said})


def test_a_sink_from_its_beginning_to_its_end(open_house: House) -> None:
    made = put(open_house, target=HOOK, kinds=["GrantOpened"], level="low", batch=10)
    assert made.status_code == 201, made.text
    said = made.json()["properties"]
    assert said.pop("secret").startswith("whsec_")
    assert said["target"] == "https://hooks.example/…"
    assert said["sinkId"] == open_house.see(lambda reader: reader.sinks()[0].id), "as in metrics"
    assert (said["state"], said["kinds"], said["level"], said["batch"]) == (
        "active",
        ["GrantOpened"],
        "low",
        10,
    )
    changed = put(open_house, level="high")
    assert changed.status_code == 200
    assert "secret" not in changed.json()["properties"]
    assert changed.json()["properties"]["kinds"] == ["GrantOpened"]
    assert open_house.call("POST", f"{SINKS}/hook/pause").json()["properties"]["state"] == "paused"
    again = open_house.call("POST", f"{SINKS}/HOOK/resume", {"after": 0}).json()["properties"]
    assert (again["state"], again["position"]) == ("active", 0)
    rotated = open_house.call("POST", f"{SINKS}/hook/rotateSecret").json()["properties"]
    assert rotated["secret"].startswith("whsec_")
    assert rotated["previousSecretUntil"] is not None
    assert open_house.call("DELETE", f"{SINKS}/hook").status_code == 200
    assert open_house.call("DELETE", f"{SINKS}/hook").status_code == 204
    assert open_house.call("GET", f"{SINKS}/hook").json()["error"]["code"] == "SinkNotFound"
    assert sorted(kind for kind in open_house.events() if kind.startswith("Sink")) == [
        "SinkAdded",
        *["SinkChanged"] * 4,
        "SinkRemoved",
    ]


def test_no_get_and_no_event_holds_a_secret(open_house: House) -> None:
    secrets = [put(open_house, target=HOOK).json()["properties"]["secret"]]
    rotated = open_house.call("POST", f"{SINKS}/hook/rotateSecret").json()["properties"]
    secrets.append(rotated["secret"])
    texts = [
        open_house.call("GET", path).text
        for path in (
            SINKS,
            f"{SINKS}/hook",
            "/providers/Bascule.Audit/events",
            "/providers/Bascule.Audit/export",
        )
    ]
    for text in texts:
        assert "hooks.example" in text
        for word in (*secrets, "s3cret", "T0P-of-the-path", "hidden", "whsec_"):
            assert word not in text


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ({}, "MissingField"),
        ({"target": "http://hooks.example/"}, "InvalidSinkTarget"),
        ({"target": "https://127.1.1.1@hooks.example/"}, "InvalidSinkTarget"),
        ({"target": "https://10.0.0.1/"}, "InvalidSinkTarget"),
        ({"target": "https://[::ffff:127.0.0.1]/"}, "InvalidSinkTarget"),
        ({"target": "file:../../etc/cron.d/x"}, "InvalidSinkTarget"),
        ({"target": "file:record.jsonl"}, "InvalidSinkTarget"),
        ({"target": HOOK, "format": "cef"}, "InvalidSinkFormat"),
        ({"target": HOOK, "format": "xml"}, "InvalidSinkFormat"),
        ({"target": HOOK, "level": "loud"}, "InvalidSinkLevel"),
        ({"target": HOOK, "kinds": ["Grant"]}, "InvalidEventKind"),
        ({"target": HOOK, "batch": 1000}, "InvalidSink"),
        ({"target": HOOK, "caCertificates": "no PEM"}, "InvalidSinkTarget"),
        ({"target": HOOK, "caCertificates": "Ë"}, "InvalidSinkTarget"),
        ({"target": HOOK, "caCertificates": "x" * 70_000}, "InvalidRequestContent"),
        ({"target": 7}, "InvalidRequestContent"),
    ],
)
def test_what_cannot_be_a_sink(open_house: House, said: dict[str, Any], code: str) -> None:
    answer = put(open_house, **said)
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code, answer.text
    assert open_house.call("GET", SINKS).json() == {"value": []}


def test_a_house_without_a_way_out_takes_none(house: House) -> None:
    assert put(house, target=HOOK).json()["error"]["code"] == "InvalidSinkTarget"


def test_a_name_that_is_none(open_house: House) -> None:
    assert put(open_house, "a%20b", target=HOOK).status_code == 400


def test_resuming_needs_a_reason_to_skip(open_house: House) -> None:
    put(open_house, target=HOOK)
    answer = open_house.call("POST", f"{SINKS}/hook/resume", {"skip": True})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "SinkNotParked")


def test_a_test_says_what_came_back(open_house: House, tmp_path: Any) -> None:
    certificate: Certificate = make_certificate(tmp_path, NAME)
    with hook(certificate) as server:
        url = f"https://{NAME}:{server.port}/in"
        secret = put(open_house, target=url, caCertificates=certificate.pem).json()["properties"][
            "secret"
        ]
        open_house.call("POST", f"{SINKS}/hook/pause")  # so that its line is closed again
        said = open_house.call("POST", f"{SINKS}/hook/test").json()["properties"]
    assert said == {"answer": "taken", "said": "HTTP 200"}
    (call,) = server.calls
    assert call.is_signed_with(secret)
    assert call.events[0]["data"]["event"]["kind"] == "SinkTest"
    said = open_house.call("POST", f"{SINKS}/hook/test").json()["properties"]
    assert said["answer"] == "later", "the receiver is away by now"
    asyncio.run(open_house.state.way_out.carrier.close())
    assert json.dumps(said).count(NAME) <= 1
