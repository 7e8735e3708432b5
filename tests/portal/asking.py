"""Machines whose ports can be requested, and forms that ask: support of the portal's tests."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import unescape
from typing import Any
from urllib.parse import urlencode

from bascule.domain.grant import Grant
from bascule.domain.ids import ResourceId
from tests.portal.visiting import Person
from tests.wire.house import JIT, House, port_rule

_HIDDEN = re.compile(r'<input type="hidden" name="(my_address|machine|policy)" value="([^"]*)">')
_PLACE = re.compile(r'name="on" value="([^"]+)"')
Fields = dict[str, str | Sequence[str]]


def put_policy(
    house: House, machines: Mapping[str, Sequence[Mapping[str, Any]]], name: str = "default"
) -> None:
    """A policy of these machines with these rules."""
    named = [{"id": house.machine(each), "ports": list(ports)} for each, ports in machines.items()]
    body = {"kind": "Basic", "properties": {"virtualMachines": named}}
    answer = house.call("PUT", house.policy(name), body, JIT)
    assert answer.status_code == 200, answer.text


def guard(house: House, name: str = "web-1", *rules: Mapping[str, Any], **machine: Any) -> str:
    """A machine in the policy ``default``, with port 22 unless rules are given; returns its uid."""
    body = {"properties": {"bascule": {"addresses": ["10.0.0.1"]}}, **machine}
    uid = house.add_machine(name, **body)
    put_policy(house, {name: rules or [port_rule()]})
    return uid


def form_path(house: House, *names: str) -> str:
    return "/portal/jit/request?" + urlencode([("machine", house.machine(each)) for each in names])


def filled(html: str, *on: str, **more: str) -> Fields:
    """The form of a page as a browser would send it, with these ports on (``M.P.N``) and My IP
    as source, for ten minutes; ``more`` are fields, ``__`` standing for dots.
    """
    fields: Fields = {}
    for name, value in _HIDDEN.findall(html):
        fields[name] = [*fields.get(name, []), unescape(value)]
    places = _PLACE.findall(html)
    assert set(on) <= set(places), (on, places)
    fields["on"] = list(on)
    for place in places:
        fields |= {f"source.{place}": "mine", f"range.{place}": "", f"time.{place}": "0:10"}
    return fields | {name.replace("__", "."): value for name, value in more.items()}


def live(house: House) -> list[Grant]:
    return list(house.see(lambda reader: reader.live_grants()))


def ask(person: Person, house: House, name: str = "web-1", *on: str, **more: str) -> str:
    """Ask by the form; returns the request's id."""
    html = person.page(form_path(house, name))
    answer = person.send("/portal/jit/request", filled(html, *(on or ("0.0.22",)), **more))
    assert answer.status_code == 303, answer.text
    return str(answer.headers["location"]).removeprefix("/portal/requests/").partition("?")[0]


def machine_id(house: House, name: str) -> ResourceId:
    return ResourceId.parse_machine(house.machine(name))
