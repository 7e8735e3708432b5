"""Device codes (RFC 8628), and what an attacker would try with them (EDGES B7, B8)."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx2
import pytest

from bascule.domain.clients import AZURE_CLI, AZURE_POWERSHELL, BASCULE_CLI
from bascule.domain.places import Bounds
from bascule.domain.principals import User
from bascule.domain.tokens import DEVICE_LIFE
from bascule.identity.token_request import DEVICE_CODE, SHORT_DEVICE_CODE
from bascule.services import devices
from bascule.services.act import Services
from tests.wire.browsing import PASSWORD, SCOPE, Browser, Program, add_user, forms
from tests.wire.house import BASE, CALLER, House
from tests.wire.test_oauth import claims_in, refused

ELSEWHERE = "203.0.113.9"


class Device:
    """A program on a machine without a browser."""

    def __init__(self, house: House, address: str = ELSEWHERE, client_id: str = AZURE_CLI) -> None:
        self.house, self.client_id = house, client_id
        self.client = house.client_of(None, address)
        self.tenant = house.installation.tenant_id

    def begin(self, **changes: str) -> httpx2.Response:
        form = {"client_id": self.client_id, "scope": SCOPE, **changes}
        return self.client.post("/organizations/oauth2/v2.0/devicecode", data=form)

    def poll(self, code: str, wait: float = 5.0, /, **changes: str) -> httpx2.Response:
        self.house.clock.pass_time(wait)
        # az and azure-identity send the code under both names.
        form = {"grant_type": DEVICE_CODE, "client_id": self.client_id,
                "code": code, "device_code": code, **changes}  # fmt: skip
        kept = {name: value for name, value in form.items() if value}
        return self.client.post("/organizations/oauth2/v2.0/token?client-request-id=x", data=kept)


@pytest.fixture
def anna(house: House) -> User:
    return add_user(house)


@pytest.fixture
def browser(house: House, anna: User) -> Browser:
    made = Browser(house)
    assert made.sign_in().status_code == 303
    return made


@pytest.fixture
def device(house: House) -> Device:
    return Device(house)


def look_up(browser: Browser, user_code: str) -> httpx2.Response:
    return browser.submit(browser.get("/device"), user_code=user_code)


class TestDeviceCode:
    def test_from_the_device_to_its_tokens(self, house: House, anna: User, device: Device) -> None:
        begun = device.begin().json()
        assert begun["verification_uri"] == f"{BASE}/device"
        assert begun["user_code"] in begun["message"]
        assert (begun["expires_in"], begun["interval"]) == (900, 5)
        assert refused(device.poll(begun["device_code"]))[:2] == (400, "authorization_pending")
        browser = Browser(house)
        complete = urlsplit(begun["verification_uri_complete"])
        asked = browser.get(f"{complete.path}?{complete.query}")
        page = browser.get(asked.headers["location"])
        entered = browser.submit(page, name=anna.name, password=PASSWORD)
        typing = browser.get(entered.headers["location"])
        assert forms(typing)[0].fields["user_code"] == begun["user_code"]
        confirm = browser.submit(typing)
        for word in ("Azure CLI", ELSEWHERE, CALLER, "2030-01-01 12:00", begun["user_code"]):
            assert word in confirm.text
        assert refused(device.poll(begun["device_code"]))[1] == "authorization_pending"
        assert "Signed in" in browser.submit(confirm, answer="allow").text
        body = device.poll(begun["device_code"]).json()
        assert claims_in(body["id_token"])["preferred_username"] == anna.name
        assert body["refresh_token"]
        assert Program(house).may_call(body["access_token"]) == 200
        assert refused(device.poll(begun["device_code"])) == (400, "bad_verification_code", 70019)
        assert house.events("DeviceCodeApproved", "SignedIn") == ["SignedIn", "DeviceCodeApproved"]

    @pytest.mark.parametrize(
        "changes",
        [{"grant_type": SHORT_DEVICE_CODE, "code": ""}, {"device_code": ""}, {"code": ""}],
    )
    def test_every_spelling_of_the_grant(
        self, device: Device, browser: Browser, changes: dict[str, str]
    ) -> None:
        begun = device.begin().json()
        browser.submit(look_up(browser, begun["user_code"]), answer="allow")
        assert device.poll(begun["device_code"], **changes).status_code == 200

    def test_refusing(self, house: House, device: Device, browser: Browser) -> None:
        begun = device.begin().json()
        answer = browser.submit(look_up(browser, begun["user_code"]), answer="deny")
        assert "Refused" in answer.text
        assert refused(device.poll(begun["device_code"])) == (400, "authorization_declined", 70018)
        assert house.events("DeviceCodeRefused") == ["DeviceCodeRefused"]
        assert "not right" in look_up(browser, begun["user_code"]).text

    def test_asking_too_often_makes_the_interval_longer(self, device: Device) -> None:
        code = device.begin().json()["device_code"]
        assert refused(device.poll(code, 0))[1] == "authorization_pending"
        assert refused(device.poll(code, 2))[1] == "slow_down"
        assert refused(device.poll(code, 5))[1] == "slow_down"  # it is ten seconds now
        assert refused(device.poll(code, 15))[1] == "authorization_pending"

    def test_it_ends(self, device: Device, browser: Browser) -> None:
        begun = device.begin().json()
        page = look_up(browser, begun["user_code"])
        later = device.poll(begun["device_code"], DEVICE_LIFE.total_seconds())
        assert refused(later) == (400, "expired_token", 70020)
        assert "not right" in browser.submit(page, answer="allow").text
        assert refused(device.poll(begun["device_code"]))[1] == "expired_token"

    def test_another_client_cannot_redeem_it(
        self, house: House, device: Device, browser: Browser
    ) -> None:
        begun = device.begin().json()
        browser.submit(look_up(browser, begun["user_code"]), answer="allow")
        other = Device(house, client_id=BASCULE_CLI).poll(begun["device_code"])
        assert refused(other) == (400, "bad_verification_code", 70019)
        assert device.poll(begun["device_code"]).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"client_id": ""}, (400, "invalid_request", 900144)),
            ({"client_id": "x"}, (400, "unauthorized_client", 700016)),
            ({"scope": "https://evil.example/.default"}, (400, "invalid_scope", 70011)),
            ({"scope": ""}, (400, "invalid_scope", 70011)),
        ],
    )
    def test_what_is_wrong_is_named(
        self, device: Device, changes: dict[str, str], expected: tuple[int, str, int]
    ) -> None:
        assert refused(device.begin(**changes)) == expected

    def test_who_signed_out_meanwhile_has_approved_nothing(
        self, house: House, device: Device, browser: Browser, anna: User
    ) -> None:
        from bascule.services.tokens import sign_out_everywhere

        begun = device.begin().json()
        browser.submit(look_up(browser, begun["user_code"]), answer="allow")
        house.do(lambda tx, act: sign_out_everywhere(tx, act, anna))
        assert device.poll(begun["device_code"]).status_code == 400
        assert house.events("SignedIn") == []


class TestPhishing:
    def test_a_link_with_a_code_approves_nothing(self, device: Device, browser: Browser) -> None:
        """A victim who is signed in and opens the attacker's link is asked twice."""
        begun = device.begin().json()
        url = urlsplit(begun["verification_uri_complete"])
        page = browser.get(f"{url.path}?{url.query}")
        assert ELSEWHERE not in page.text
        assert refused(device.poll(begun["device_code"]))[1] == "authorization_pending"

    def test_a_form_for_one_code_approves_no_other(self, device: Device, browser: Browser) -> None:
        mine, theirs = device.begin().json(), device.begin().json()
        csrf = forms(look_up(browser, mine["user_code"]))[0].fields["csrf"]
        typed = devices.typed(theirs["user_code"])
        for given in (csrf, "", forms(browser.get("/device"))[0].fields["csrf"]):
            answer = browser.post("/device", {"csrf": given, "user_code": typed, "answer": "allow"})
            assert answer.status_code == 400
        assert refused(device.poll(theirs["device_code"]))[1] == "authorization_pending"

    def test_nobody_who_has_not_signed_in_may_look_a_code_up(
        self, house: House, device: Device
    ) -> None:
        begun = device.begin().json()
        answer = Browser(house).post("/device", {"user_code": begun["user_code"]})
        assert answer.headers["location"].startswith("/signin")

    def test_guessing_is_counted_before_it_is_looked_up(
        self, house: House, device: Device, browser: Browser
    ) -> None:
        begun = device.begin().json()
        statuses = [look_up(browser, "BBBB-BBBB").status_code for _ in range(12)]
        assert statuses[0] == 400
        assert statuses[-1] == 429
        right = look_up(browser, begun["user_code"])
        assert right.status_code == 429
        assert ELSEWHERE not in right.text
        house.clock.pass_time(120)
        assert look_up(browser, begun["user_code"]).status_code == 200


class TestFlooding:
    def test_one_client_at_one_address_has_few_codes(self, house: House, device: Device) -> None:
        for _ in range(devices.MOST_OF_ONE):
            assert device.begin().status_code == 200
        late = device.begin()
        assert refused(late)[0] == 429
        assert int(late.headers["retry-after"]) > 0
        assert Device(house, CALLER).begin().status_code == 200
        assert Device(house, client_id=BASCULE_CLI).begin().status_code == 200
        house.clock.pass_time(DEVICE_LIFE.total_seconds())
        assert device.begin().status_code == 200

    def test_whoever_answered_a_code_has_room_again(self, device: Device, browser: Browser) -> None:
        codes = [device.begin().json() for _ in range(devices.MOST_OF_ONE)]
        assert device.begin().status_code == 429
        browser.submit(look_up(browser, codes[0]["user_code"]), answer="deny")
        assert device.begin().status_code == 200

    def test_one_customers_networks_do_not_fill_what_is_there_for_all(
        self, house: House, device: Device
    ) -> None:
        """Who holds an IPv6 /48 has as many addresses as he likes."""
        bounds = devices.BOUNDS
        one = [f"2001:db8:1:7::{n:x}" for n in range(bounds.network + 1)]
        answers = [Device(house, address).begin() for address in one]
        assert {answer.status_code for answer in answers[:-1]} == {200}
        assert refused(answers[-1])[0] == 429
        assert 0 < int(answers[-1].headers["retry-after"]) <= DEVICE_LIFE.total_seconds()
        others = range(bounds.wide_network - bounds.network)
        answers = [Device(house, f"2001:db8:1:f{n:03x}::1").begin() for n in others]
        assert {answer.status_code for answer in answers} == {200}
        assert Device(house, "2001:db8:2::1").begin().status_code == 200
        house.clock.pass_time(DEVICE_LIFE.total_seconds())
        assert Device(house, one[0]).begin().status_code == 200

    def test_two_addresses_do_not_end_it_for_their_network(self, house: House) -> None:
        """EDGES E6. The busier of the two loses its oldest code."""
        flood = []
        for n in (1, 2):
            for client in (AZURE_CLI, BASCULE_CLI, AZURE_POWERSHELL):
                for _ in range(devices.MOST_OF_ONE):
                    house.clock.pass_time(0.001)  # of some of one moment none is the oldest
                    flood.append(Device(house, f"2001:db8:1:7::{n}", client).begin().json())
        assert [each.get("error") for each in flood].count("invalid_request") == 10
        neighbour = Device(house, "2001:db8:1:7::99")
        begun = neighbour.begin()
        assert begun.status_code == 200
        assert refused(neighbour.poll(begun.json()["device_code"]))[1] == "authorization_pending"
        lost = Device(house, "2001:db8:1:7::1").poll(flood[0]["device_code"])
        assert refused(lost) == (400, "bad_verification_code", 70019)

    def test_a_flood_of_many_networks_takes_codes_from_itself(
        self, house: House, device: Device, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """EDGES E6. Nobody who has few codes goes without, and a code that was approved stays."""
        monkeypatch.setattr(devices, "BOUNDS", Bounds(10, 10, 12))
        approved = device.begin().json()
        browser.submit(look_up(browser, approved["user_code"]), answer="allow")
        mine = device.begin().json()
        for number in range(9):
            for _ in range(5):
                Device(house, f"2001:db8:{number}::1").begin()
        late = Device(house, "198.51.100.1")
        code = late.begin().json()["device_code"]
        for number in range(9):
            for _ in range(5):
                Device(house, f"2001:db8:{number}::1").begin()
        assert refused(late.poll(code))[1] == "authorization_pending"
        assert refused(device.poll(mine["device_code"]))[1] == "authorization_pending"
        assert device.poll(approved["device_code"]).status_code == 200

    def test_a_network_where_somebody_signed_in_goes_first(
        self, house: House, browser: Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """EDGES E6. However many networks a flood has."""
        monkeypatch.setattr(devices, "BOUNDS", Bounds(10, 10, 5))
        flood = [Device(house, f"203.0.113.{n}").begin().json() for n in range(5)]
        assert Device(house, "203.0.113.77").begin().status_code == 429
        known = Device(house, CALLER)  # from where the browser signed in
        begun = known.begin()
        assert begun.status_code == 200
        assert refused(Device(house).poll(flood[0]["device_code"]))[1] == "bad_verification_code"
        for number in range(80, 90):
            assert Device(house, f"203.0.113.{number}").begin().status_code == 429
        assert refused(known.poll(begun.json()["device_code"]))[1] == "authorization_pending"

    def test_a_flood_keeps_no_writer_busy(
        self, house: House, device: Device, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for _ in range(devices.MOST_OF_ONE):
            device.begin()

        def perform(*_: object, **__: object) -> None:
            raise AssertionError("a refused code is written down")

        monkeypatch.setattr(Services, "perform", perform)
        assert device.begin().status_code == 429


def test_user_codes_spell_nothing_and_cannot_be_misread() -> None:
    assert not set("AEIOUY01") & set(devices.ALPHABET)
    assert len(set(devices.ALPHABET)) ** devices.LETTERS > 2**34
    assert devices.typed(" bcdf-ghjk\t") == "BCDFGHJK"
    assert devices.shown("BCDFGHJK") == "BCDF-GHJK"
