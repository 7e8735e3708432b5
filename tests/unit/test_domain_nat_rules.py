"""What a gateway leads on, as NAT rules: no source, port or target that is not led, none hidden."""

from __future__ import annotations

import re
from dataclasses import replace

from bascule.domain.nat_rules import Led, nat_rules
from bascule.domain.net import PublicPort, parse_address
from bascule.domain.security_rules import HeldOpening
from tests.samples import DNS, SSH, machine, prefixes

APP = machine(uid="8c18bf89-21f0-4198-9344-b4f1e3a0c370")
FOUR, SIX = parse_address("198.51.100.7"), parse_address("2001:db8::7")


def led(*sources: str, public: PublicPort | None = None, **more: object) -> Led:
    opening = HeldOpening("g-1", (SSH,), prefixes(*sources), "default", "r-1")
    at = public or PublicPort(FOUR, 2000)
    to = parse_address("10.1.0.10" if at.address.version == 4 else "fd01::10")
    return replace(Led(opening, APP.uid, APP.id, SSH, at, to), **more)  # type: ignore[arg-type]  # reason: field names are checked by replace


def test_a_rule_names_who_is_led_from_where_to_where() -> None:
    (rule,) = nat_rules([led("192.0.2.1", "192.0.2.128/25")])
    assert rule.sources == ("192.0.2.1", "192.0.2.128/25")
    assert re.fullmatch(r"BasculeJITRule--?[0-9]+-8C18BF8921F041989344B4F1E3A0C370", rule.name)
    assert rule.description.endswith("for policy 'default' of VM 'web-1'.")


def test_a_source_of_the_other_ip_version_is_led_nowhere() -> None:
    mixed = ("192.0.2.1", "2001:db8::1")
    (four,) = nat_rules([led(*mixed)])
    (six,) = nat_rules([led(*mixed, public=PublicPort(SIX, 2000))])
    assert (four.sources, six.sources) == (("192.0.2.1",), ("2001:db8::1",))
    assert nat_rules([led("2001:db8::1")]) == ()


def test_any_source_covers_the_others_and_is_of_both_versions() -> None:
    for address in (FOUR, SIX):
        (rule,) = nat_rules([led("192.0.2.1", "*", public=PublicPort(address, 2000))])
        assert rule.sources == ("*",)


def test_rules_stand_in_one_order_and_have_names_of_their_own() -> None:
    some = [
        led("*", public=PublicPort(SIX, 2000)),
        led("*", public=PublicPort(FOUR, 2001)),
        led("*", port=DNS),
        led("*"),
    ]
    found = nat_rules(some)
    assert found == nat_rules(reversed(some))
    assert [str(each.led.public) for each in found] == [
        "198.51.100.7:2000",
        "198.51.100.7:2000",
        "198.51.100.7:2001",
        "[2001:db8::7]:2000",
    ]
    assert [each.led.port for each in found[:2]] == [SSH, DNS]
    assert len({each.name for each in found}) == 4
