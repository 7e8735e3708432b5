"""What nft says of a gateway is told apart by the machines behind it."""

from __future__ import annotations

from typing import Any

from tests.faults.kernels import Element, read_kernel

APP = ("10.203.1.31", "fd20:4::31")
GATEWAY = "10.203.0.23"
SQL = ("10.203.1.32", "fd20:4::32")


def _set(name: str, *elements: Any) -> dict[str, Any]:
    return {"set": {"family": "inet", "table": "bascule", "name": name, "elem": list(elements)}}


def _map(name: str, *elements: Any) -> dict[str, Any]:
    return {"map": {"family": "inet", "table": "bascule", "name": name, "elem": list(elements)}}


def _opening(*words: Any) -> dict[str, Any]:
    return {"elem": {"val": {"concat": list(words)}, "expires": 9}}


RULES = [
    {"table": {"family": "inet", "name": "bascule"}},
    _set("closed", {"concat": ["tcp", 22]}),
    _set("behind_closed4", *({"concat": [APP[0], "tcp", port]} for port in (8001, 8002))),
    _set("behind_closed6", {"concat": [APP[1], "tcp", 8001]}),
    _set("g4", _opening("10.203.0.10", "tcp", 22)),
    _set("behind_g4", _opening("10.203.0.10", APP[0], "tcp", 8001)),
    _set("behind_g4_0", _opening(SQL[0], "tcp", 8002)),
    _set("behind_ended4", _opening("10.203.0.11", APP[0], "tcp", 8001)),
    _map(
        "mapped_to4",
        [_opening("10.203.0.10", GATEWAY, "tcp", 2291), {"concat": [APP[0], 8001]}],
        [_opening("10.203.0.10", GATEWAY, "tcp", 2295), {"concat": [SQL[0], 8001]}],
    ),
    _map("mapped_to4_0", [_opening(GATEWAY, "tcp", 2296), {"concat": [SQL[0], 8002]}]),
]


def test_each_machine_has_its_part() -> None:
    own, app, sql = (read_kernel(RULES, at) for at in ((), APP, SQL))
    assert own.closed == {22}
    assert own.openings == (Element("10.203.0.10", 22, 9.0),)
    assert app.closed == {8001}, "closed at both of its addresses"
    assert app.openings == (Element("10.203.0.10", 8001, 9.0),)
    assert sql.closed == frozenset()
    assert sql.openings == (Element("0.0.0.0/0", 8002, 9.0),)
    assert own.led == ()
    assert app.led == ((2291, Element("10.203.0.10", 8001, 9.0)),)
    assert dict(sql.led) == {
        2295: Element("10.203.0.10", 8001, 9.0),
        2296: Element("0.0.0.0/0", 8002, 9.0),
    }
    assert own.tables == {("inet", "bascule")}
