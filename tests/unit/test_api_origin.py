"""Host and forwarding headers, believed with care (EDGES A21, A23)."""

from __future__ import annotations

import pytest
from starlette.requests import HTTPConnection

from bascule.api.origin import Names, Proxies
from bascule.domain.net import parse_address
from bascule.errors import InvalidInput, MisdirectedRequest

NAMES = Names(("localhost", "127.0.0.1", "::1", "jit.example"))
PROXIES = Proxies.at(parse_address("192.0.2.99"), parse_address("2001:db8::99"))


def request(peer: str | None, *headers: tuple[str, str]) -> HTTPConnection:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    return HTTPConnection({"type": "http", "headers": raw, "client": (peer, 1) if peer else None})


def forwarded(peer: str, *values: str) -> str:
    headers = [("x-forwarded-for", value) for value in values]
    return str(PROXIES.caller(request(peer, *headers)))


@pytest.mark.parametrize(
    ("host", "base"),
    [
        ("localhost", "https://localhost"),
        ("LocalHost:8443", "https://localhost:8443"),
        ("localhost:443", "https://localhost"),
        ("jit.example:1", "https://jit.example:1"),
        ("127.0.0.1:65535", "https://127.0.0.1:65535"),
        ("[::1]", "https://[::1]"),
        ("[0:0:0:0:0:0:0:1]:9", "https://[::1]:9"),
    ],
)
def test_a_host_that_is_ours_whatever_its_port(host: str, base: str) -> None:
    assert NAMES.base_url(host) == base
    assert NAMES.is_base(base)


@pytest.mark.parametrize(
    "host",
    [
        "", "evil.example", "localhost.evil.example", "evil-localhost", "127.0.0.2", "[::2]",
        "::1", "localhost:port", "localhost:99999", "localhost:-1", "user@localhost", "localhost/x",
        "localhost?x", "localhost#x", "localhost\\x", "local host", "localhost\t", "l\u00f6calhost",
        "localhost, evil.example", "[localhost]", "[::1", "::1]",
    ],
)  # fmt: skip
def test_a_host_that_is_not(host: str) -> None:
    with pytest.raises(MisdirectedRequest):
        NAMES.base_url(host)
    assert not NAMES.is_base(f"https://{host}")


@pytest.mark.parametrize(
    "url", ["http://localhost", "localhost", "https://localhost/", "https://localhost/x", "https:"]
)
def test_a_base_url_is_that_and_nothing_more(url: str) -> None:
    assert not NAMES.is_base(url)


class TestCaller:
    def test_the_peer_when_it_is_no_proxy_whatever_it_says(self) -> None:
        assert forwarded("198.51.100.7", "203.0.113.1") == "198.51.100.7"

    @pytest.mark.parametrize(
        ("values", "caller"),
        [
            (["203.0.113.1"], "203.0.113.1"),
            (["1.1.1.1, 203.0.113.1"], "203.0.113.1"),  # the left is the caller's own claim
            (["1.1.1.1", "203.0.113.1"], "203.0.113.1"),
            (["203.0.113.1, 192.0.2.99"], "203.0.113.1"),  # past our second proxy
            (["203.0.113.1,192.0.2.99, 2001:db8::99"], "203.0.113.1"),
            (["2001:DB8::5"], "2001:db8::5"),
            (["::ffff:203.0.113.1"], "203.0.113.1"),
            ([], "192.0.2.99"),
            ([""], "192.0.2.99"),
            (["192.0.2.99"], "192.0.2.99"),
        ],
    )
    def test_a_proxys_word_is_read_from_the_right(self, values: list[str], caller: str) -> None:
        assert forwarded("192.0.2.99", *values) == caller

    @pytest.mark.parametrize("value", ["unknown", "203.0.113.1:80", "_hidden", "1.1.1.1,", "::1%x"])
    def test_an_unreadable_word_makes_nobody_the_proxy(self, value: str) -> None:
        with pytest.raises(InvalidInput, match="not an address"):
            forwarded("192.0.2.99", value)

    def test_a_mapped_or_scoped_peer_is_in_its_normal_form(self) -> None:
        assert forwarded("::ffff:198.51.100.7") == "198.51.100.7"
        assert forwarded("fe80::1%eth0") == "fe80::1"

    def test_a_transport_without_addresses_has_no_caller(self) -> None:
        assert PROXIES.caller(request(None)) is None


class TestHost:
    def test_a_strangers_forwarded_host_counts_for_nothing(self) -> None:
        said = [("host", "localhost"), ("x-forwarded-host", "evil.example")]
        assert PROXIES.host(request("198.51.100.7", *said)) == "localhost"

    def test_the_nearest_proxys_does(self) -> None:
        said = [("host", "inner"), ("x-forwarded-host", "evil.example, jit.example")]
        assert PROXIES.host(request("192.0.2.99", *said)) == "jit.example"

    @pytest.mark.parametrize(
        "hosts", [[], ["localhost", "evil.example"], ["localhost", "localhost"]]
    )
    def test_none_or_two_is_none(self, hosts: list[str]) -> None:
        said = [("host", host) for host in hosts]
        assert PROXIES.host(request("198.51.100.7", *said)) == ""
