"""Bad input of every field of every call: a 4xx in the ARM envelope, and nothing written.

One row a case: which call, what is put where, and a word of the message that says what
would be right. The neighbouring good call stands at the end, so that no row passes
because the call was wrong in some other way.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from bascule.interfaces.record import EventFilter
from tests.support.enrolling import enrol_body
from tests.wire.house import BASCULE, COMPUTE, JIT, House, port_rule
from tests.wire.swagger import check

EVERYTHING = EventFilter()
GONE = object()  # the field is left out
OTHER = "99999999-9999-4999-8999-999999999999"
OTHERS = (
    f"/subscriptions/{OTHER}/resourceGroups/default/providers/Microsoft.Compute/virtualMachines/x"
)
NUMBERS: list[tuple[Any, str]] = [
    (GONE, "required"),
    (None, "required"),
    (0, "1 to 65535"),
    (-1, "1 to 65535"),
    (65536, "1 to 65535"),
    (10**30, "1 to 65535"),
    ("9" * 400, "1 to 65535"),
    (22.0, "whole number"),
    (22.5, "whole number"),
    (True, "whole number"),
    ("22.0", "whole number"),
    ("0x16", "whole number"),
    ("\u0662\u0662", "whole number"),  # Arabic digits, which int() would take
    ("", "whole number"),
    ([22], "whole number"),
    ({"a": 1}, "whole number"),
]
SOURCES: list[tuple[Any, str]] = [
    (5, "must be a text"),
    (True, "must be a text"),
    ([], "must be a text"),
    ({}, "must be a text"),
    ("", "not an IPv4 or IPv6 address"),
    ("me", "not an IPv4 or IPv6 address"),
    ("1.2.3", "not an IPv4 or IPv6 address"),
    ("1.2.3.4 ", "not an IPv4 or IPv6 address"),
    ("01.2.3.4", "not an IPv4 or IPv6 address"),
    ("1.2.3.4/33", "not an address prefix"),
    ("1.2.3.4/", "not an address prefix"),
    ("1.2.3.4/255.255.255.0", "not an address prefix"),
    ("1.2.3.4/24", "Did you mean 1.2.3.0/24"),
    ("2001:db8::1/64", "host bits"),
    ("fe80::1%eth0", "zone id"),
    ("::ffff:0:0/96", "in IPv6 form"),
    ("\uff11.2.3.4", "not an IPv4 or IPv6 address"),
    ("*,1.2.3.4", "not an IPv4 or IPv6 address"),
    ("\U0001f600" * 100, "not an IPv4 or IPv6 address"),
    ("a" * 100_000, "not an IPv4 or IPv6 address"),
]
SOURCE_LISTS: list[tuple[Any, str]] = [
    ("1.2.3.4", "must be a list"),
    ({}, "must be a list"),
    ([], "at least one source"),
    ([None], "required"),
    (["1.2.3.4", "1.2.3.4/24"], "host bits"),
    ([["1.2.3.4"]], "must be a text"),
]
MACHINES: list[tuple[Any, str]] = [
    (GONE, "required"),
    (None, "required"),
    (5, "must be a text"),
    ("web-1", "not a resource id"),
    ("/subscriptions//resourceGroups/x", "not a resource id"),
    (OTHERS, "but this is subscription"),
    (OTHERS.replace("Microsoft.Compute/virtualMachines", "Microsoft.Web/sites"), "ends in"),
    (OTHERS + "/", "not a resource id"),
    (OTHERS + "\n", "not a resource id"),
    (OTHERS + "%0a", "not a resource id"),
    (OTHERS.replace("/x", "/\u0435"), "not a resource id"),  # a Cyrillic e
    ("{web}/../web-2", "not a resource id"),
]
SPANS: list[tuple[Any, str]] = [
    (5, "must be a text"),
    ("", "not a duration"),
    ("3 hours", "not a duration"),
    ("PT", "not a duration"),
    ("P1Y", "not a duration"),
    ("P1W", "not a duration"),
    ("-PT1H", "not a duration"),
    ("PT1e3H", "not a duration"),
    ("P999999D", "too long"),
]
FLAGS: list[tuple[Any, str]] = [
    (1, "true or false"),
    ("true", "true or false"),
    ([], "true or false"),
]
OBJECTS: list[tuple[Any, str]] = [
    (5, "must be an object"),
    ("x", "must be an object"),
    ([], "must be an object"),
]
LISTS: list[tuple[Any, str]] = [
    (GONE, "required"),
    (None, "must be a list"),
    (5, "must be a list"),
    ({}, "must be a list"),
]

PUT = "PUT policy"
INITIATE = "POST initiate"
RULES = "PUT machineRules"
RULE = "properties.virtualMachines.0.ports.0"
ASKED = "virtualMachines.0.ports.0"

TABLE: Mapping[tuple[str, str], list[tuple[Any, str]]] = {
    (PUT, ""): [*OBJECTS, (None, "must be an object")],
    (PUT, "kind"): [(5, "must be a text"), ("a b", "not a valid name"), ("k" * 65, "valid name")],
    (PUT, "properties"): [*OBJECTS, (GONE, "required"), (None, "must be an object")],
    (PUT, "properties.virtualMachines"): LISTS,
    (PUT, "properties.virtualMachines.0"): [*OBJECTS, (None, "must be an object")],
    (PUT, "properties.virtualMachines.0.id"): [
        *MACHINES,
        ("{group}/providers/Microsoft.Compute/virtualMachines/nobody", "does not exist here"),
    ],
    (PUT, "properties.virtualMachines.0.ports"): LISTS,
    (PUT, "properties.virtualMachines.0.publicIpAddress"): [
        (5, "must be a text"),
        ("here", "not an IPv4"),
    ],
    (PUT, RULE): [*OBJECTS, (None, "must be an object")],
    (PUT, f"{RULE}.number"): NUMBERS,
    (PUT, f"{RULE}.protocol"): [
        (GONE, "required"),
        (None, "required"),
        ("", "one of TCP, UDP, *"),
        ("ICMP", "one of"),
        (6, "one of"),
        ([], "one of"),
    ],
    (PUT, f"{RULE}.allowedSourceAddressPrefix"): SOURCES,
    (PUT, f"{RULE}.allowedSourceAddressPrefixes"): [
        *SOURCE_LISTS[:2],
        (["1.2.3.4"], "give either"),
    ],
    (PUT, f"{RULE}.maxRequestAccessDuration"): [
        *SPANS,
        (GONE, "required"),
        (None, "required"),
        ("PT4M59S", "PT5M"),
        ("P1DT1S", "P1D"),
        ("PT0S", "PT5M"),
        ("PT25H", "P1D"),
    ],
    (PUT, f"{RULE}.bascule"): OBJECTS,
    (PUT, f"{RULE}.bascule.onExpiry"): [("cut", "one of keep, kill, drain"), (5, "one of")],
    (PUT, f"{RULE}.bascule.drainFor"): [*SPANS, ("PT1M", "onExpiry drain alone")],
    (PUT, f"{RULE}.bascule.justificationRequired"): FLAGS,
    (INITIATE, ""): [*OBJECTS, (None, "must be an object")],
    (INITIATE, "virtualMachines"): [*LISTS, ([], "at least one machine")],
    (INITIATE, "virtualMachines.0"): [*OBJECTS, (None, "must be an object")],
    (INITIATE, "virtualMachines.0.id"): [
        *MACHINES,
        ("{group}/providers/Microsoft.Compute/virtualMachines/nobody", "does not exist here"),
    ],
    (INITIATE, "virtualMachines.0.ports"): [*LISTS, ([], "at least one port")],
    (INITIATE, ASKED): [*OBJECTS, (None, "must be an object")],
    (INITIATE, f"{ASKED}.number"): [*NUMBERS, (23, "cannot be requested")],
    (INITIATE, f"{ASKED}.allowedSourceAddressPrefix"): [
        *SOURCES,
        ("*", "is not allowed"),
        ("192.0.2.1", "is not allowed"),
        ("::/0", "is not allowed"),
    ],
    (INITIATE, f"{ASKED}.allowedSourceAddressPrefixes"): [
        (["203.0.113.9"], "give either"),
        *SOURCE_LISTS[:2],
    ],
    (INITIATE, f"{ASKED}.endTimeUtc"): [
        (GONE, "endTimeUtc is required"),
        (None, "endTimeUtc is required"),
        (5, "must be a text"),
        ("tomorrow", "not an instant"),
        ("2030-01-01T13:00:00", "with a zone"),
        ("2030-01-01 13:00:00Z", "not an instant"),
        ("2030-02-30T13:00:00Z", "not an instant"),
        ("2030-01-01T25:00:00Z", "not an instant"),
        ("2030-01-01T13:00:00.12345678901Z", "not an instant"),
        ("2030-01-01T11:59:59Z", "not in the future"),
        ("2030-01-01T12:00:00Z", "not in the future"),
        ("2030-01-01T15:01:01Z", "at most 3 h"),
        ("9999-12-31T23:59:59Z", "at most 3 h"),
        ("9999-12-31T23:59:59-12:00", "not an instant"),
        ("0001-01-01T00:00:00+12:00", "not an instant"),
    ],
    (INITIATE, f"{ASKED}.duration"): [("PT1H", "give either"), *SPANS],
    (INITIATE, "justification"): [
        (5, "must be a text"),
        ("x" * 1025, "at most 1024"),
        ("a\u0000b", "without NUL"),
        ("\ud800", "surrogate"),
    ],
    (RULES, ""): [*OBJECTS, (None, "must be an object")],
    (RULES, "properties"): [*OBJECTS, (GONE, "required"), (None, "must be an object")],
    (RULES, "properties.ports"): LISTS,
    (RULES, "properties.ports.0.number"): NUMBERS,
    (RULES, "properties.policyName"): [
        (5, "must be a text"),
        ("a/b", "not a valid name"),
        ("", "valid name"),
    ],
    ("PUT machine", ""): OBJECTS,
    ("PUT machine", "location"): [
        (5, "must be a text"),
        ("a b", "not a valid name"),
        ("", "valid name"),
        ("elsewhere", "cannot be changed"),
    ],
    ("PUT machine", "tags"): [
        (5, "must be an object"),
        ({"a": 5}, "must be a text"),
        ({"": "x"}, "is invalid"),
        ({str(n): "x" for n in range(51)}, "at most 50"),
    ],
    ("PUT machine", "properties"): OBJECTS,
    ("PUT machine", "properties.storageProfile.osDisk.osType"): [
        ("BeOS", "one of Linux, Windows"),
        (5, "one of"),
    ],
    ("PUT machine", "properties.bascule.addresses"): [
        (5, "must be a list"),
        (["x"], "not an IPv4"),
        (["10.0.0.0/8"], "not an IPv4"),
        (["fe80::1%eth0"], "zone id"),
        (["10.0.0.1"] * 65, "at most 64"),
    ],
    ("POST enrolment", ""): OBJECTS,
    ("POST enrolment", "replace"): FLAGS,
    ("POST enrolment", "validMinutes"): [
        (0, "1"),
        (16, "15"),
        (-1, "0"),
        (True, "whole number"),
        (1.5, "whole number"),
        ("x", "whole number"),
    ],
    ("POST release", ""): OBJECTS,
    ("POST release", "ports"): [
        (5, "must be a list"),
        ([5], "must be an object"),
        ([{"number": 0}], "1 to 65535"),
        ([{"number": 22, "protocol": "x"}], "one of"),
    ],
    ("POST revoke", ""): OBJECTS,
    ("POST revoke", "kill"): FLAGS,
    ("POST revoke", "grantIds"): [
        (5, "must be a list"),
        ([], "at least 1"),
        (["x"], "must be a GUID"),
        ([OTHER], "has no grant"),
    ],
    ("POST extend", ""): [*OBJECTS, (None, "must be an object")],
    ("POST extend", "duration"): [
        *SPANS,
        (GONE, "endTimeUtc is required"),
        ("PT0S", "not in the future"),
        ("PT3H2M", "at most 3 h"),
    ],
    ("POST extend", "endTimeUtc"): [("2030-01-01T13:00:00Z", "give either")],
    ("POST enrol", ""): [*OBJECTS, (None, "must be an object")],
    ("POST enrol", "tokenKey"): [
        (GONE, "required"),
        (5, "must be a text"),
        ("x" * 65, "at most 64"),
    ],
    ("POST enrol", "nonce"): [(GONE, "required"), ("x" * 15, "16")],
    ("POST enrol", "proof"): [(GONE, "required"), ("x" * 129, "at most 128")],
    ("POST enrol", "publicKey"): [
        (GONE, "required"),
        (5, "must be a text"),
        ("", "Ed25519"),
        ("AAAA", "Ed25519"),
        ("é" * 43, "Ed25519"),
        ("A" * 42 + "=", "Ed25519"),
    ],
    ("POST report", ""): [*OBJECTS, (None, "must be an object")],
    ("POST report", "generation"): [
        (GONE, "required"),
        (-1, "from 0"),
        (2**53, "from 0"),
        ("x", "whole number"),
        (True, "whole number"),
    ],
    ("POST report", "inForce"): [*LISTS, ([5], "must be a text")],
    ("POST report", "localPortRange"): [
        (5, "must be a list"),
        ([1], "required"),
        ([0, 5], "1 to 65535"),
        ([1, 2, 3], "at most 2"),
    ],
    ("POST report", "knocks"): [
        (5, "must be a list"),
        ([{}], "required"),
        ([{"source": "192.0.2.7", "protocol": "TCP", "number": 22, "attempts": -1}], "from 0"),
        ([{"attempts": 1, "ageMs": "long"}], "whole number"),
    ],
    ("POST report", "sessions"): [(5, "must be an object"), ({"a": -1}, "from 0")],
    ("POST report", "clock"): [("now", "not an instant")],
    ("POST report", "facts"): [(5, "must be an object"), ({"a": 5}, "must be a text")],
    ("POST report", "notes"): [(5, "must be a list"), ([5], "must be a text")],
}
CASES = [
    pytest.param(call, path, value, word, id=f"{call} {path or 'body'} {number}")
    for (call, path), rows in TABLE.items()
    for number, (value, word) in enumerate(rows)
]


class Calls:
    """A world in which each call of the table would succeed as it stands."""

    def __init__(self, house: House) -> None:
        self.house = house
        web = {"properties": {"bascule": {"addresses": ["10.0.0.1"]}}}
        self.uid = house.add_machine("web-1", **web)
        self.agent = house.enrol("web-1")
        machine = house.machine("web-1")
        rule = port_rule(22, allowedSourceAddressPrefix="203.0.113.0/24")
        policy = {"properties": {"virtualMachines": [{"id": machine, "ports": [rule]}]}}
        answer = house.call("PUT", house.policy(), policy, JIT)
        assert answer.status_code == 200, answer.text
        port = {
            "number": 22,
            "endTimeUtc": "2030-01-01T13:00:00Z",
            "allowedSourceAddressPrefix": "203.0.113.9",
        }
        asked = {"virtualMachines": [{"id": machine, "ports": [port]}]}
        answer = house.call("POST", house.policy() + "/initiate", asked, JIT)
        assert answer.status_code == 202, answer.text
        request = answer.json()["bascule"]["resourceId"]
        fleet = f"{machine}/providers/Bascule.Fleet/enrolments"
        rules = f"{machine}/providers/Bascule.Access/machineRules/default"
        self.calls: dict[str, tuple[str, str, Any]] = {
            PUT: ("PUT", house.policy(), policy),
            INITIATE: ("POST", house.policy() + "/initiate", asked),
            RULES: ("PUT", rules, {"properties": {"ports": [rule]}}),
            "PUT machine": ("PUT", machine, web),
            "POST enrolment": ("POST", fleet, {"replace": True}),
            "POST release": ("POST", f"{rules}/release", {}),
            "POST revoke": ("POST", f"{request}/revoke", {}),
            "POST extend": ("POST", f"{request}/extend", {"duration": "PT1H"}),
            "POST enrol": ("POST", "/bascule/enrol", enrol_body("x", "A" * 43)),
            "POST report": (
                "POST",
                f"/bascule/points/{self.uid}/report",
                {"generation": 1, "inForce": []},
            ),
        }

    def send(self, name: str, body: Any) -> Any:
        method, path, _ = self.calls[name]
        client = self.agent if name == "POST report" else self.house.client
        # By hand, because a client's own encoder refuses what a bad caller may send.
        content = json.dumps(body).encode()
        return client.request(
            method,
            path,
            params={"api-version": BASCULE},
            content=content,
            headers={"Content-Type": "application/json"},
        )

    def with_value(self, name: str, path: str, value: Any) -> Any:
        """The call's good body with one value put at ``path``."""
        if isinstance(value, str):
            value = value.replace("{group}", self.house.group).replace(
                "{web}", self.house.machine("web-1")
            )
        body = copy.deepcopy(self.calls[name][2])
        if not path:
            return value
        node = body
        *steps, last = path.split(".")
        for step in steps:
            node = node[int(step)] if step.isdigit() else node.setdefault(step, {})
        key = int(last) if last.isdigit() else last
        if value is GONE:
            del node[key]
        elif isinstance(node, list):
            node[int(key)] = value
        else:
            node[key] = value
        return body

    def world(self) -> object:
        """All that a bad call could have changed."""

        def read(reader: Any) -> object:
            return (
                reader.events(EVERYTHING, limit=10_000),
                reader.policies(),
                reader.machines(),
                reader.requests(),
                reader.live_grants(),
                reader.generation(self.uid),
                reader.enforcement_points(),
            )

        return self.house.see(read)


def without_denials(world: Any) -> object:
    """A denied request is on record; that is all that it leaves."""
    events, *rest = world
    kept = [each for each in events if type(each[1].fact).__name__ != "AccessDenied"]
    return kept, rest


@pytest.fixture(scope="module")
def calls(data_dir: Path) -> Iterator[Calls]:
    """One world for the whole table: each row proves that it left no trace in it."""
    house = House(data_dir)
    yield Calls(house)
    house.close()


@pytest.fixture
def fresh(house: House) -> Calls:
    return Calls(house)


@pytest.mark.parametrize(("call", "path", "value", "word"), CASES)
def test_each_bad_value(calls: Calls, call: str, path: str, value: Any, word: str) -> None:
    before = calls.world()
    answer = calls.send(call, calls.with_value(call, path, value))
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text)
    check(answer.json(), "CloudError")
    error = answer.json()["error"]
    assert word in answer.text, answer.text
    assert error["code"]
    assert "Traceback" not in answer.text
    assert len(answer.content) < 10_000
    assert without_denials(calls.world()) == without_denials(before)


def test_the_calls_are_good_as_they_stand(fresh: Calls) -> None:
    """Else the table would prove nothing."""
    calls = fresh
    for name, (_, _, body) in calls.calls.items():
        answer = calls.send(name, body)
        wanted = {INITIATE: 202, "POST enrol": 403}.get(name, 200)
        if name in ("POST revoke", "POST extend"):
            continue  # initiate above took the place of their request
        assert answer.status_code == wanted, (name, answer.text)


@pytest.mark.parametrize("name", ["POST extend", "POST revoke"])
def test_and_so_are_those_on_the_request(fresh: Calls, name: str) -> None:
    assert fresh.send(name, fresh.calls[name][2]).status_code == 200


def test_every_problem_is_told_at_once(calls: Calls) -> None:
    body = {
        "virtualMachines": [
            {"id": "x", "ports": [{"number": 0}, {"number": "22", "duration": "soon"}]},
            {"ports": None},
        ],
        "justification": 5,
    }
    error = calls.send(INITIATE, body).json()["error"]
    targets = [each["target"] for each in error["details"]]
    assert targets == [
        "virtualMachines[0].id",
        "virtualMachines[0].ports[0].number",
        "virtualMachines[0].ports[1].duration",
        "virtualMachines[1].id",
        "virtualMachines[1].ports",
        "justification",
    ]
    assert "and 5 more" in error["message"]


@pytest.mark.parametrize(
    ("name", "target"),
    [
        (PUT, "properties.virtualMachines"),
        (INITIATE, "virtualMachines"),
        (RULES, "properties.ports"),
    ],
)
def test_a_body_of_too_much_is_refused_for_that_alone(calls: Calls, name: str, target: str) -> None:
    """Twenty lists of a thousand bad sources: none of them is read."""
    body = copy.deepcopy(calls.calls[name][2])
    (ports,) = (
        [body["properties"]["ports"]]
        if name == RULES
        else [each["ports"] for each in body.get("properties", body)["virtualMachines"]]
    )
    ports[:] = [{**ports[0], "allowedSourceAddressPrefixes": [1] * 1000}] * 20
    answer = calls.send(name, body)
    assert answer.status_code == 400
    check(answer.json(), "CloudError")
    error = answer.json()["error"]
    assert (error["code"], error["target"]) == ("TooManySources", target)
    assert error["message"] == f"{target}: has 20000 sources; at most 10000 are allowed."


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "required"),
        (b"{", "not JSON"),
        (b"nonsense", "not JSON"),
        (b'{"a": 1} x', "not JSON"),
        (b"\xff\xfe\xfa", ""),
        (b"[" * 100_000, ""),
        (b'{"virtualMachines": ' + b"1" * 5000 + b"}", ""),
        (b'{"virtualMachines": NaN}', "must be a list"),
        (b'{"virtualMachines": 1e999}', "must be a list"),
    ],
)
@pytest.mark.parametrize("name", [PUT, INITIATE, RULES])
def test_what_is_no_json(calls: Calls, name: str, content: bytes, word: str) -> None:
    method, path, _ = calls.calls[name]
    before = calls.world()
    answer = calls.house.client.request(
        method,
        path,
        params={"api-version": JIT},
        content=content,
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 400, answer.text
    check(answer.json(), "CloudError")
    assert (word if name == INITIATE or "must" not in word else "") in answer.text
    assert calls.world() == before


@pytest.mark.parametrize(
    "media_type",
    [
        "text/plain",
        "",
        "application/xml",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ],
)
def test_a_body_of_another_type_is_415(calls: Calls, media_type: str) -> None:
    method, path, body = calls.calls[PUT]
    answer = calls.house.client.request(
        method,
        path,
        params={"api-version": JIT},
        content=json.dumps(body).encode(),
        headers={"Content-Type": media_type},
    )
    assert answer.status_code == 415, answer.text
    check(answer.json(), "CloudError")
    assert "application/json" in answer.text


@pytest.mark.parametrize("is_announced", [True, False])
@pytest.mark.parametrize("path", ["policy", "enrol"])
def test_ten_megabytes_are_413(calls: Calls, is_announced: bool, path: str) -> None:
    """With a Content-Length and without: chunks are counted as they come."""

    def chunks() -> Any:
        for _ in range(160):
            yield b" " * 65_536

    method, url, _ = calls.calls[PUT if path == "policy" else "POST enrol"]
    before = calls.world()
    answer = calls.house.client.request(
        method,
        url,
        params={"api-version": JIT},
        content=b" " * 10_485_760 if is_announced else chunks(),
        headers={"Content-Type": "application/json"},
    )
    assert answer.status_code == 413, answer.text
    check(answer.json(), "CloudError")
    assert calls.world() == before


@pytest.mark.parametrize(
    ("version", "code"),
    [
        (None, "MissingApiVersionParameter"),
        ("", "InvalidApiVersionParameter"),
        ("1.0", "InvalidApiVersionParameter"),
        ("2020", "InvalidApiVersionParameter"),
        ("2020-13-01", "InvalidApiVersionParameter"),
        ("2020-02-30", "InvalidApiVersionParameter"),
        ("2020-01-01;x", "InvalidApiVersionParameter"),
        ("2020-01-01-", "InvalidApiVersionParameter"),
        ("latest", "InvalidApiVersionParameter"),
        ("\u0662\u0660\u0662\u0660-01-01", "InvalidApiVersionParameter"),
    ],
)
def test_api_versions(house: House, version: str | None, code: str) -> None:
    params = {} if version is None else {"api-version": version}
    answer = house.client.get(
        f"{house.subscription}/providers/Microsoft.Compute/virtualMachines", params=params
    )
    assert answer.status_code == 400
    assert answer.json()["error"]["code"] == code
    check(answer.json(), "CloudError")


@pytest.mark.parametrize(
    "version", ["2020-01-01", "2015-06-01-preview", "2099-12-31", "2026-11-01-beta.2"]
)
@pytest.mark.parametrize("name", ["api-version", "Api-Version"])
def test_any_date_is_a_good_api_version(house: House, version: str, name: str) -> None:
    path = f"{house.subscription}/providers/Microsoft.Compute/virtualMachines"
    assert house.client.get(path, params={name: version}).status_code == 200


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (
            f"/subscriptions/{OTHER}/providers/Microsoft.Compute/virtualMachines",
            404,
            "SubscriptionNotFound",
        ),
        (
            "/subscriptions/x/providers/Microsoft.Compute/virtualMachines",
            400,
            "InvalidSubscriptionId",
        ),
        (
            "{s}/resourceGroups/nowhere/providers/Microsoft.Compute/virtualMachines",
            404,
            "ResourceGroupNotFound",
        ),
        (
            "{s}/resourceGroups/a%20b/providers/Microsoft.Compute/virtualMachines",
            400,
            "InvalidResourceName",
        ),
        ("{g}/providers/Microsoft.Compute/virtualMachines/nobody", 404, "ResourceNotFound"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/-x", 400, "InvalidResourceName"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/a%2Fb", 400, "InvalidResourceName"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/a%00b", 400, "InvalidResourceName"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/%FF", 400, "InvalidResourceName"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/%D0%B5", 400, "InvalidResourceName"),
        ("{g}/providers/Microsoft.Compute/virtualMachines/" + "a" * 65, 400, "InvalidResourceName"),
        (
            "{g}/providers/Microsoft.Security/locations/mars/jitNetworkAccessPolicies/p",
            400,
            "InvalidLocation",
        ),
        (
            "{g}/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/p",
            404,
            "ResourceNotFound",
        ),
        (
            "{g}/providers/Microsoft.Security/locations/local/jitNetworkAccessPolicies/a%20b",
            400,
            "InvalidResourceName",
        ),
        (
            "{s}/providers/Microsoft.Security/locations/mars/jitNetworkAccessPolicies",
            400,
            "InvalidLocation",
        ),
        ("{s}/providers/Bascule.Access/accessRequests/x", 404, "ResourceNotFound"),
        (f"{{s}}/providers/Bascule.Access/accessRequests/{OTHER}", 404, "ResourceNotFound"),
        (f"{{s}}/providers/Bascule.Fleet/enforcementPoints/{OTHER}", 404, "ResourceNotFound"),
        (
            "{g}/providers/Microsoft.Compute/virtualMachines/nobody/providers/Bascule.Access/machineRules/default",
            404,
            "ResourceNotFound",
        ),
        ("{s}/providers/Microsoft.Nothing/things", 404, "ResourceNotFound"),
        ("/nothing", 404, "ResourceNotFound"),
        ("/", 404, "ResourceNotFound"),
    ],
)
def test_paths_that_name_nothing(house: House, path: str, status: int, code: str) -> None:
    path = path.format(s=house.subscription, g=house.group)
    answer = house.client.get(path, params={"api-version": COMPUTE})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    check(answer.json(), "CloudError")


@pytest.mark.parametrize(
    ("path", "params", "word"),
    [
        ("/providers/Microsoft.Compute/virtualMachines", {"$top": "0"}, "$top"),
        ("/providers/Microsoft.Compute/virtualMachines", {"$top": "1001"}, "$top"),
        ("/providers/Microsoft.Compute/virtualMachines", {"$top": "x"}, "$top"),
        ("/providers/Microsoft.Compute/virtualMachines", {"$skiptoken": "x"}, "$skiptoken"),
        ("/providers/Microsoft.Compute/virtualMachines", {"$skiptoken": "WzFd"}, "$skiptoken"),
        ("/providers/Microsoft.Compute/virtualMachines", {"$skiptoken": "[" * 999}, "$skiptoken"),
        ("/providers/Bascule.Audit/events", {"$skiptoken": "WyJhIl0"}, "$skiptoken"),
        ("/providers/Bascule.Audit/events", {"$filter": "kind"}, "$filter"),
        ("/providers/Bascule.Audit/events", {"$filter": "kind ne 'x'"}, "$filter"),
        ("/providers/Bascule.Audit/events", {"$filter": "kind eq 'x' or kind eq 'y'"}, "$filter"),
        ("/providers/Bascule.Audit/events", {"$filter": "kind eq 'x' and"}, "$filter"),
        ("/providers/Bascule.Audit/events", {"$filter": "at ge 'yesterday'"}, "not an instant"),
        ("/providers/Bascule.Access/accessRequests", {"$filter": "live eq maybe"}, "$filter"),
        (
            "/providers/Bascule.Access/accessRequests",
            {"$filter": "machine eq 'web-1'"},
            "resource id",
        ),
        ("/providers/Bascule.Access/accessRequests", {"$filter": "x" * 2001}, "$filter"),
        ("/providers/Bascule.Access/accessRequests", {"$skiptoken": "WyJhIiwiYiJd"}, "$skiptoken"),
        (f"/providers/Bascule.Access/accessRequests/{OTHER}", {"waitSeconds": "61"}, "waitSeconds"),
        (f"/providers/Bascule.Access/accessRequests/{OTHER}", {"waitSeconds": "-1"}, "waitSeconds"),
        (
            f"/providers/Bascule.Access/accessRequests/{OTHER}",
            {"waitSeconds": "nan"},
            "waitSeconds",
        ),
        (f"/providers/Bascule.Access/accessRequests/{OTHER}", {"waitFor": "x"}, "waitFor"),
    ],
)
def test_queries(house: House, path: str, params: dict[str, str], word: str) -> None:
    answer = house.call("GET", path, params=params)
    assert answer.status_code == 400, answer.text
    check(answer.json(), "CloudError")
    assert word in answer.text


@pytest.mark.parametrize("method", ["PATCH", "POST", "TRACE", "X"])
def test_a_method_that_is_not_offered(house: House, method: str) -> None:
    answer = house.call(method, house.policy(), version=JIT)
    assert answer.status_code == 405
    check(answer.json(), "CloudError")
    assert answer.headers["allow"]
