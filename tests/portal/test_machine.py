"""A machine's pages: what is shown to whom, and that a form does no more than the API would."""

from __future__ import annotations

import re
from typing import Any

import pytest
from starlette.testclient import TestClient

from bascule.domain.actions import (
    INITIATE,
    MACHINE_READ,
    MACHINE_WRITE,
    NSG_READ,
    POLICY_READ,
    POLICY_WRITE,
)
from bascule.domain.weaknesses import NOT_ENFORCED
from bascule.protocol.codec import encode
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import CALLER, JIT, House, port_rule

pytestmark = pytest.mark.sockets  # *My IP* asks this host whether an address is its own

WEB = "/portal/machines/default/web-1"
STRANGER = "198.51.100.66"
SEE = (MACHINE_READ, POLICY_READ)
_FORM = re.compile(r"<form\b.*?</form>", re.DOTALL)
_HIDDEN = re.compile(r'<input type="hidden" name="(\w+)" value="([^"]*)">')


class Town(House):
    """web-1 with its agent, whose ports are what a test makes them."""

    agent: TestClient
    uid: str

    def build(self) -> None:
        self.uid = self.add_machine(
            "web-1", properties={"bascule": {"addresses": ["10.0.0.5", "2001:db8::5"]}}
        )
        self.agent = self.enrol("web-1")
        self.tell()

    def tell(self, *in_force: str, **more: Any) -> None:
        self.report(self.agent, self.uid, *in_force, **more)

    def set_rules(self, *rules: dict[str, Any], name: str = "web-1") -> None:
        path = f"{self.machine(name)}/providers/Bascule.Access/machineRules/default"
        answer = self.call("PUT", path, {"properties": {"ports": list(rules)}})
        assert answer.status_code == 200, answer.text

    def open_port(self, number: int = 22, source: str = CALLER, minutes: int = 60) -> str:
        """By the administrator; the grant's id."""
        end = f"2030-01-01T{12 + minutes // 60}:{minutes % 60:02}:00Z"
        port = {"number": number, "allowedSourceAddressPrefix": source, "endTimeUtc": end}
        body = {"virtualMachines": [{"id": self.machine("web-1"), "ports": [port]}]}
        answer = self.call("POST", f"{self.policy()}/initiate", body, JIT)
        assert answer.status_code == 202, answer.text
        (grant,) = self.see(lambda r: r.live_grants([self.uid]))
        self.tell(grant.id)
        return grant.id

    def ports(self) -> dict[str, list[str]]:
        """What is shut, and what of it no policy names."""
        shown = self.call("GET", self.machine("web-1")).json()["properties"]["bascule"]
        shut = [f"{each['number']}" for each in shown["closedPorts"]]
        return {
            "closed": shut,
            "unnamed": [f"{e['number']}" for e in shown["closedPorts"] if not e["inPolicy"]],
        }


@pytest.fixture
def town(house: House) -> Town:
    house.__class__ = Town
    assert isinstance(house, Town)
    house.build()
    return house


# -- who sees what ----------------------------------------------------------------------------


@pytest.mark.parametrize("tail", ["", "/configuration", "/connect", "/activity"])
def test_who_may_not_read_the_machine_is_not_told_whether_it_is_there(
    town: Town, tail: str
) -> None:
    town.add_machine("db-1")
    person = somebody(town, "rita@example.com", town.machine("db-1"), *SEE)
    for name in ("web-1", "nobody"):
        answer = person.get(f"/portal/machines/default/{name}{tail}")
        assert answer.status_code == 403
        assert "10.0.0.5" not in answer.text
    assert owner(town).get(f"/portal/machines/default/nobody{tail}").status_code == 404


@pytest.mark.parametrize("path", ["/portal/machines/a%3Cb/web-1", "/portal/machines/default/-x"])
def test_an_address_that_names_no_machine_is_a_page_that_says_so(town: Town, path: str) -> None:
    assert owner(town).get(path).status_code in (400, 404)


def test_the_overview_says_how_the_machine_stands(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.tell(
        weaknesses=[{"code": "SocketsNotDestroyed"}, {"code": "Something<b>"}],
        facts={"kernel": "6.12", "nftables": "1.1.3"},
        agentVersion="0.1.0",
        closed=[{"protocol": "TCP", "number": 22, "onExpiry": "keep"}],
    )
    anna = owner(town)
    page = text_of(anna.page(WEB))
    for words in ("10.0.0.5", "2001:db8::5", "Configured", "Connected", "22/tcp", "kernel 6.12"):
        assert words in page, words
    assert "Nothing is open for anybody" in page
    assert "No attempt at a closed port" in page
    assert "This kernel cannot destroy sockets" in page
    assert "Something<b>" in page, "the code of a newer agent, as text (EDGES F2)"
    french = text_of(anna.page(WEB, language="fr"))
    for words in ("Derniers accès", "Configuré", "Connecté", "Ce noyau ne sait pas détruire"):
        assert words in french, words
    town.clock.pass_time(60)
    assert "Away" in text_of(anna.page(WEB))


GUARD = {
    "ports": [{"protocol": "TCP", "number": 22}],
    "sources": ["10.0.0.0/8"],
    "maxDurationMs": 90_000,
    "mayRelease": False,
}


def test_what_the_host_itself_admits_stands_on_the_machines_pages(town: Town) -> None:
    """B3: who wonders why a port does not open, or for how long, finds it there."""
    anna = owner(town)
    assert "The host itself admits" not in text_of(anna.page(WEB)), "an older agent tells nothing"
    point = f"/portal/points/{town.uid}"
    for guard, words in (
        ({}, ("what policies allow",)),
        (
            GUARD,
            (
                "ports: 22/tcp",
                "sources: 10.0.0.0/8",
                "at most 1 min 30 s at a time",
                "no release of a port",
            ),
        ),
        ({"ports": [], "sources": []}, ("no port", "no source")),
        ({"forwarding": {"networks": ["10.1.0.0/16"]}}, ("behind it: 10.1.0.0/16",)),
        ({**GUARD, "problem": "no TOML"}, ("nothing: its guard file cannot be used",)),
    ):
        town.tell(guard=guard)
        for page in (anna.page(WEB), anna.page(point)):
            shown = text_of(page).replace("\N{NO-BREAK SPACE}", " ")
            for each in ("The host itself admits", *words):
                assert each in shown, each
    assert "L’hôte lui-même admet" in text_of(anna.page(WEB, language="fr"))


def test_one_click_asks_for_no_longer_than_the_host_admits(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.tell(guard={"maxDurationMs": 90_000})
    anna = owner(town)
    html = anna.page(f"{WEB}/connect")
    assert "1\N{NO-BREAK SPACE}min\N{NO-BREAK SPACE}30" in html
    assert click(anna, html).status_code == 303
    (grant,) = town.see(lambda r: r.live_grants([town.uid]))
    assert (grant.ends_at - grant.started_at).total_seconds() == 90


SHUT_22 = [{"protocol": "TCP", "number": 22, "onExpiry": "keep"}]
NOBODY = "Nothing is open for anybody"


def test_what_is_to_be_shut_is_not_called_shut(town: Town) -> None:
    """Said means seen: a policy that is saved has shut nothing yet."""
    anna = owner(town)
    town.set_rules(port_rule(22))
    for language, words in (
        ("en", ("To be closed", "22/tcp not applied yet", "whether anything is open here")),
        ("fr", ("À fermer", "22/tcp pas encore appliqué", "On ne sait pas si")),
    ):
        page = text_of(anna.page(WEB, language=language))
        for each in words:
            assert each in page, each
        assert NOBODY not in page
    town.tell(closed=SHUT_22)
    page = text_of(anna.page(WEB))
    assert "Kept closed 22/tcp" in page
    assert "not applied" not in page
    assert NOBODY in page
    town.clock.pass_time(60)
    away = text_of(anna.page(WEB))
    assert "22/tcp last known" in away
    assert NOBODY not in away


def test_what_was_released_is_shut_until_the_agent_hears_of_it(town: Town) -> None:
    """B5: *nothing shut* is not said while an agent that is away keeps it shut."""
    town.set_rules(port_rule(22))
    town.tell(closed=SHUT_22)
    rules = f"{town.machine('web-1')}/providers/Bascule.Access/machineRules/default"
    assert town.call("DELETE", rules).status_code == 200
    town.clock.pass_time(60)
    anna = owner(town)
    page = text_of(anna.page(WEB))
    assert "22/tcp released; closed until the agent knows" in page
    assert "Nothing is kept closed" not in page
    told = town.call("GET", town.machine("web-1")).json()["properties"]["bascule"]
    assert (told["closedPorts"], told["stillClosed"]) == ([], [{"number": 22, "protocol": "TCP"}])
    town.tell(closed=[])
    assert "released" not in text_of(anna.page(WEB))


def test_a_port_that_is_shut_stays_so_while_an_opening_is_on_its_way(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.tell(closed=SHUT_22)
    town.set_rules(port_rule(22), port_rule(80))
    page = text_of(owner(town).page(WEB))
    assert "22/tcp 80/tcp not applied yet" in page


def test_an_agent_that_can_enforce_nothing_is_told_wherever_the_machine_is(town: Town) -> None:
    """On every page that says how it stands, and on none of them is it closed or well."""
    town.set_rules(port_rule(22))
    town.tell(closed=SHUT_22)
    town.report(
        town.agent, town.uid, generation=0, weaknesses=[encode(NOT_ENFORCED(problem="EPERM"))]
    )
    anna = owner(town)
    page = text_of(anna.page(WEB))
    for words in ("Enforces nothing", "nothing is enforced since", "22/tcp not enforced"):
        assert words in page, words
    assert NOBODY not in page
    assert "up to date" not in page
    for path, words in (
        ("/portal/jit", "Agent enforces nothing"),
        ("/portal/machines", "Enforces nothing"),
        ("/portal/points", "Enforces nothing"),
        ("/portal/points?only=silent", "web-1"),
        (f"/portal/points/{town.uid}", "Enforces nothing"),
        ("/portal/exposure?tab=all", "Enforces nothing since"),
        (f"{WEB}/connect", "enforces nothing"),
        (f"/portal/jit/request?machine={town.machine('web-1')}", "enforces nothing"),
        ("/portal", "1 away or enforcing nothing"),
    ):
        shown = text_of(anna.page(path))
        assert words in shown, (path, shown)
    assert "web-1" not in text_of(anna.page("/portal/points?only=well"))
    assert "L’agent n’applique rien" in text_of(anna.page("/portal/jit", language="fr"))


def test_a_machine_without_an_agent_says_so(town: Town) -> None:
    town.add_machine("bare-1")
    page = text_of(owner(town).page("/portal/machines/default/bare-1"))
    for words in (
        "No agent",
        "Unsupported",
        "none is known",
        "Without an agent they are not counted",
    ):
        assert words in page, words


def test_the_overview_shows_who_has_what_open_and_the_last_accesses(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.open_port()
    html = owner(town).page(WEB)
    page = text_of(html)
    assert page.count("administrator") >= 2, "open now, and in the table of accesses"
    assert CALLER in page
    assert 'data-form="left"' in html
    assert html.count("<rect") == 1
    assert "One access over time" in html


def test_an_access_that_is_closing_has_its_own_colour(town: Town) -> None:
    """It has ended, though packets may pass until its agent has read it back closed."""
    town.set_rules(port_rule(22))
    grant = town.open_port()
    olga = owner(town)

    def bars() -> list[str]:
        return re.findall(r'<rect class="([\w-]+)"', olga.page(WEB).split("machine-knocks")[0])

    assert bars() == ["live"]
    town.set_rules()
    assert bars() == ["closing"]
    assert 'class="key closing"' in olga.page(WEB)
    town.clock.pass_time(300)
    assert bars() == ["closing"], "nobody has read it back closed"
    town.agent = town.client_of(town.agent_token(town.uid))
    town.tell()
    assert bars() == ["bar-a"]
    assert grant not in {each.id for each in town.see(lambda r: r.unsettled_grants(town.uid))}


def test_another_persons_access_is_not_shown_without_the_right(town: Town) -> None:
    """The API's lists show one's own and what lies within one's sight; so does this page."""
    town.set_rules(port_rule(22, allowedSourceAddressPrefix="*"))
    town.open_port()
    person = somebody(town, "mara@example.com", town.machine("web-1"), MACHINE_READ)
    page = text_of(person.page(WEB))
    assert "administrator" not in page
    assert "You have no open requests" in page
    assert "10.0.0.5" in page
    rules = text_of(person.page(f"{WEB}/configuration"))
    assert "You may not see what policies say" in rules
    assert "3 h" not in rules


def test_what_root_opened_on_the_host_is_shown_to_whom_the_view_is(town: Town) -> None:
    root = {"port": "22/tcp", "sources": ["192.0.2.99"], "seconds": 900}
    town.tell("local-1", localOpenings=[{**root, "id": "local-1"}])
    assert "192.0.2.99" in text_of(owner(town).page(WEB))
    sees = somebody(town, "sara@example.com", town.machine("web-1"), *SEE, NSG_READ)
    assert "by root" in text_of(sees.page(WEB))
    not_so = somebody(town, "nora@example.com", town.machine("web-1"), *SEE)
    assert "192.0.2.99" not in text_of(not_so.page(WEB))


def test_nobody_is_let_in_is_said_where_root_lets_in_nobody_alone(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.tell(closed=SHUT_22)
    anna = owner(town)
    not_so = somebody(town, "nora@example.com", town.machine("web-1"), *SEE)
    assert NOBODY in text_of(anna.page(WEB))
    for opened in (False, True):
        page = text_of(not_so.page(WEB))
        assert "No request is open." in page, "he may not see whether root opened something"
        assert NOBODY not in page
        if not opened:
            root = {"port": "22/tcp", "sources": ["192.0.2.99"]}
            town.tell(
                "local-1", closed=SHUT_22, localOpenings=[{**root, "seconds": 900, "id": "local-1"}]
            )
    page = text_of(anna.page(WEB))
    assert "No request is open." in page
    assert "192.0.2.99" in page
    assert NOBODY not in page


def test_blocked_attempts_stand_by_hour_with_their_figures(town: Town) -> None:
    ssh = {"protocol": "TCP", "number": 22}
    town.tell(
        knocks=[
            {"source": STRANGER, **ssh, "attempts": 3, "ageMs": 7_200_000},
            {"source": "2001:db8::66", **ssh, "attempts": 1},
            {"attempts": 4},
        ]
    )
    anna = owner(town)
    html = anna.page(WEB)
    page = text_of(html)
    assert "8 blocked attempts" in page
    assert STRANGER in page
    assert "2001:db8::66" in page
    assert "and 4 from other sources" in page
    assert html.count('class="bar-b"') == 2, "two hours with attempts"
    assert '<th scope="row" data-label="Hour beginning"><time datetime="2030-01-01T10:00:00' in html
    assert html.count('class="bar-b"') == anna.page(f"{WEB}?knocks=week").count('class="bar-b"')
    assert "8 tentatives bloquées" in text_of(anna.page(f"{WEB}?knocks=nonsense", language="fr"))


# -- configuration ----------------------------------------------------------------------------


@pytest.mark.parametrize(("system", "number"), [("Linux", 22), ("Windows", 3389)])
def test_enabling_sets_the_systems_port_for_three_hours_from_anywhere(
    town: Town, system: str, number: int
) -> None:
    town.add_machine("web-1", properties={"storageProfile": {"osDisk": {"osType": system}}})
    anna = owner(town)
    assert f"{number}/tcp" in text_of(anna.page(f"{WEB}/configuration"))
    answer = anna.send(f"{WEB}/configuration/enable")
    assert answer.headers["location"] == f"{WEB}/configuration?notice=jit_enabled"
    (rule,) = town.call("GET", town.policy(), version=JIT).json()["properties"]["virtualMachines"][
        0
    ]["ports"]
    assert rule["number"] == number
    assert rule["maxRequestAccessDuration"] == "PT3H"
    assert rule["allowedSourceAddressPrefix"] == "*"
    page = text_of(anna.page(f"{WEB}/configuration?notice=jit_enabled"))
    assert "Just-in-time access is enabled; the port is being closed" in page
    assert "Edit the policy" in page


def test_enabling_again_changes_nothing(town: Town) -> None:
    """A form of yesterday must not replace what somebody has set since."""
    town.set_rules(port_rule(22, maxRequestAccessDuration="PT1H"), port_rule(8080))
    before = town.call("GET", town.policy(), version=JIT).json()
    answer = owner(town).send(f"{WEB}/configuration/enable")
    assert answer.status_code == 409
    assert town.call("GET", town.policy(), version=JIT).json() == before


@pytest.mark.parametrize(
    "actions", [SEE, (*SEE, POLICY_WRITE), (*SEE, MACHINE_WRITE), (*SEE, INITIATE)]
)
def test_who_may_not_write_enables_and_releases_nothing(
    town: Town, actions: tuple[str, ...]
) -> None:
    """By a crafted form, too: the button is off, and the act refused."""
    person = somebody(town, "rita@example.com", town.machine("web-1"), *actions)
    page = person.page(f"{WEB}/configuration")
    assert 'aria-disabled="true"' in page
    assert "You lack the right to do this here" in text_of(page)
    assert person.send(f"{WEB}/configuration/enable").status_code == 403
    assert town.ports() == {"closed": [], "unnamed": []}
    town.set_rules(port_rule(8080))
    town.set_rules()
    assert town.ports() == {"closed": ["8080"], "unnamed": ["8080"]}
    for fields in ({"port": "8080/tcp"}, {"port": ["8080/tcp", "22/tcp"]}):
        assert person.send(f"{WEB}/configuration/release", fields).status_code == 403
    assert town.ports()["closed"] == ["8080"]


def test_a_right_at_another_machine_enables_nothing_here(town: Town) -> None:
    town.add_machine("db-1")
    person = somebody(
        town, "rita@example.com", town.machine("db-1"), *SEE, POLICY_WRITE, MACHINE_WRITE
    )
    for name in ("web-1", "nobody"):
        answer = person.send(f"/portal/machines/default/{name}/configuration/enable")
        assert answer.status_code == 403
    assert town.ports()["closed"] == []


def test_a_form_without_the_sessions_proof_enables_nothing(town: Town) -> None:
    anna = owner(town)
    for path in (f"{WEB}/configuration/enable", f"{WEB}/connect"):
        assert anna.post(path, {"csrf": "no"}).status_code == 403
    assert town.ports()["closed"] == []


def test_ports_in_no_policy_are_listed_and_released(town: Town) -> None:
    town.set_rules(port_rule(22), port_rule(8080), port_rule(9090))
    town.set_rules(port_rule(22))
    anna = owner(town)
    page = text_of(anna.page(f"{WEB}/configuration"))
    assert "Closed, in no policy" in page
    assert "8080/tcp" in page
    assert anna.send(f"{WEB}/configuration/release", {"port": "8080/tcp"}).status_code == 303
    assert town.ports() == {"closed": ["22", "9090"], "unnamed": ["9090"]}
    refused = anna.send(f"{WEB}/configuration/release", {"port": "22/tcp"})
    assert refused.status_code == 409, "a policy names it"
    for bad in ({}, {"port": "22"}, {"port": "0/tcp"}, {"port": "22/icmp"}, {"all": "1"}):
        assert anna.send(f"{WEB}/configuration/release", bad).status_code == 400, bad
    assert anna.send(f"{WEB}/configuration/release", {"port": "9090/tcp"}).status_code == 303
    assert town.ports() == {"closed": ["22"], "unnamed": []}
    assert "Closed, in no policy" not in text_of(anna.page(f"{WEB}/configuration"))


CLAIMED = [
    {"protocol": "TCP", "number": number, "onExpiry": "keep"} for number in (22, 80, 443, 8080)
]


def test_ports_that_an_agent_alone_closes_are_listed_taken_and_released(town: Town) -> None:
    """EDGES E7: it says so, and an owner decides."""
    town.set_rules(port_rule(22))
    town.tell(closed=CLAIMED)
    anna = owner(town)
    assert town.ports() == {"closed": ["22"], "unnamed": []}
    for page in (WEB, f"{WEB}/configuration"):
        told = text_of(anna.page(page))
        assert "Closed according to the agent only" in told
        assert "8080/tcp" in told
    told = text_of(anna.page(f"{WEB}/configuration", language="fr"))
    assert "Fermés au seul dire de l’agent" in told
    assert anna.send(f"{WEB}/configuration/take", {"port": "80/tcp"}).status_code == 303
    assert anna.send(f"{WEB}/configuration/release", {"port": "443/tcp"}).status_code == 303
    assert town.ports() == {"closed": ["22", "80"], "unnamed": ["80"]}
    refused = anna.send(f"{WEB}/configuration/take", {"port": "443/tcp"})
    assert refused.status_code == 409, "it is released"
    assert anna.send(f"{WEB}/configuration/take", {}).status_code == 400
    shown = town.call("GET", town.machine("web-1")).json()["properties"]["bascule"]
    assert shown["claimedPorts"] == [{"number": 8080, "protocol": "TCP", "onExpiry": "keep"}]
    reader = somebody(town, "bert@example.com", town.machine("web-1"), *SEE)
    assert reader.send(f"{WEB}/configuration/take", {"port": "8080/tcp"}).status_code == 403


def test_a_doubted_agent_is_told_and_trusted_again_by_who_may_enrol_it(town: Town) -> None:
    town.set_rules(port_rule(22))
    for _ in range(2):
        known = town.see(lambda r: r.generation(town.uid))
        town.report(town.agent, town.uid, generation=known + 1)
    anna, reader = owner(town), somebody(town, "bert@example.com", town.machine("web-1"), *SEE)
    assert "Not trusted" in text_of(anna.page("/portal/points"))
    for person in (anna, reader):
        assert "not trusted since" in text_of(person.page(WEB))
        assert "was ahead of this server twice" in text_of(person.page(WEB))
    assert "Se fier de nouveau à ses rapports" in text_of(anna.page(WEB, language="fr"))
    assert reader.send(f"{WEB}/configuration/believe", {}).status_code == 403
    assert anna.send(f"{WEB}/configuration/believe", {}).status_code == 303
    assert "not trusted since" not in text_of(anna.page(WEB))


def test_all_that_are_released_are_those_that_were_shown(town: Town) -> None:
    """Whoever takes 3389 out of the policy meanwhile left it shut, and it stays so."""
    town.set_rules(port_rule(22), port_rule(3389), port_rule(8080), port_rule(9090))
    town.set_rules(port_rule(22), port_rule(3389))
    anna = owner(town)
    html = anna.page(f"{WEB}/configuration")
    (form,) = [each for each in _FORM.findall(html) if "Release all of them" in each]
    assert 'name="all"' not in html
    town.set_rules(port_rule(22))
    ports = [value for name, value in _HIDDEN.findall(form) if name == "port"]
    assert anna.send(f"{WEB}/configuration/release", {"port": ports}).status_code == 303
    assert town.ports() == {"closed": ["22", "3389"], "unnamed": ["3389"]}


def test_the_settings_are_shown_with_the_way_to_edit_them(town: Town) -> None:
    town.set_rules(
        port_rule(
            22,
            allowedSourceAddressPrefix="192.0.2.0/24",
            maxRequestAccessDuration="PT1H30M",
            bascule={"onExpiry": "kill", "justificationRequired": True},
        )
    )
    html = owner(town).page(f"{WEB}/configuration")
    page = text_of(html)
    for words in ("192.0.2.0/24", "1\N{NO-BREAK SPACE}h 30", "are cut", "required"):
        assert words.replace("\N{NO-BREAK SPACE}", " ") in page, words
    assert "/portal/jit/configure?machine=" in html
    assert "/portal/jit/remove?machine=" in html


# -- connect ----------------------------------------------------------------------------------


def click(person: Person, html: str = "", **more: str) -> Any:
    """Send the form of *Connect* as the page shows it, or as this page did."""
    html = html or person.page(f"{WEB}/connect")
    shown = [dict(_HIDDEN.findall(each)) for each in _FORM.findall(html) if "my_address" in each]
    return person.send(f"{WEB}/connect", {**(shown[0] if shown else {}), **more})


def test_connect_says_that_a_request_failed_and_why(town: Town) -> None:
    """It said *Not open for you yet*, as if nobody had asked."""
    town.set_rules(port_rule())
    anna = owner(town)
    assert click(anna).status_code == 303
    town.clock.pass_time(61)
    town.sweep()
    page = text_of(anna.page(f"{WEB}/connect"))
    assert "Not open: your request failed" in page
    assert "The request for port 22 failed at 12:01" in page
    assert "The agent of web-1 has been away since" in page
    french = text_of(anna.page(f"{WEB}/connect", language="fr"))
    assert "votre demande a échoué" in french
    assert "Le point d’application ne l’a pas signalé ouvert" in french
    # Another person did not fail; and by and by nobody did.
    assert "Not open for you yet" in text_of(owner(town, "omar@example.com").page(f"{WEB}/connect"))
    town.clock.pass_time(15 * 60)
    assert "Not open for you yet" in text_of(anna.page(f"{WEB}/connect"))
    assert click(anna).status_code == 303
    assert "Opening for you" in text_of(anna.page(f"{WEB}/connect"))


def test_two_clicks_on_connect_make_one_request(town: Town) -> None:
    town.set_rules(port_rule())
    anna = owner(town)
    html = anna.page(f"{WEB}/connect")
    assert [click(anna, html).status_code for _ in range(2)] == [303, 303]
    assert len(town.events("AccessRequested")) == 1


def test_connect_offers_to_enable_then_asks_then_says_how(town: Town) -> None:
    anna = owner(town)
    page = text_of(anna.page(f"{WEB}/connect"))
    assert "Just-in-time access is not enabled" in page
    answer = anna.send(f"{WEB}/configuration/enable", {"then": "connect"})
    assert answer.headers["location"] == f"{WEB}/connect?notice=jit_enabled"
    town.tell()
    page = text_of(anna.page(f"{WEB}/connect"))
    assert f"Opens port 22 only for {CALLER}" in page
    answer = click(anna)
    assert answer.headers["location"] == f"{WEB}/connect?notice=access_requested"
    (grant,) = town.see(lambda r: r.live_grants([town.uid]))
    assert (grant.number, [str(each) for each in grant.sources]) == (22, [CALLER])
    assert (grant.ends_at - grant.started_at).total_seconds() == 3 * 3600
    assert grant.requestor == "olga@example.com"
    assert "Opening for you" in text_of(anna.page(f"{WEB}/connect"))
    town.tell(grant.id)
    html = anna.page(f"{WEB}/connect", language="fr")
    assert "Ouvert pour vous" in text_of(html)
    assert 'data-copy="ssh -o HostKeyAlias=web-1 10.0.0.5"' in html, "of the granted family"
    assert f"/portal/requests/{grant.request_id}" in html


def test_what_is_open_for_another_or_from_elsewhere_is_not_open_for_me(town: Town) -> None:
    town.set_rules(port_rule(22))
    town.open_port()
    anna = owner(town)
    page = anna.page(f"{WEB}/connect")
    assert "Not open for you yet" in text_of(page)
    assert '10.0.0.5"' not in page
    assert click(anna).status_code == 303
    elsewhere = Person.__new__(Person)
    elsewhere.__dict__ |= anna.__dict__
    elsewhere.client = town.client_of(None, "203.0.113.77")
    elsewhere.client.cookies = anna.client.cookies
    assert "Not open for you yet" in text_of(elsewhere.page(f"{WEB}/connect"))


def test_remote_desktop_has_its_line_and_its_file(town: Town) -> None:
    town.set_rules(port_rule(3389))
    anna = owner(town)
    assert click(anna).status_code == 303
    (grant,) = town.see(lambda r: r.live_grants([town.uid]))
    town.tell(grant.id)
    assert 'data-copy="mstsc /v:10.0.0.5:3389"' in anna.page(f"{WEB}/connect")
    path = f"/portal/requests/{grant.request_id}/{grant.id}.rdp"
    assert f'href="{path}"' in anna.page(f"{WEB}/connect")
    assert anna.get(path).text.startswith("full address:s:10.0.0.5:3389\r\n")


def test_a_required_reason_is_asked_for(town: Town) -> None:
    town.set_rules(port_rule(22, bascule={"justificationRequired": True}))
    anna = owner(town)
    assert "<textarea" in anna.page(f"{WEB}/connect")
    refused = click(anna, justification="  ")
    assert refused.status_code == 400
    assert town.see(lambda r: r.live_grants([town.uid])) == []
    assert click(anna, justification="ticket 7").status_code == 303


def test_a_policy_that_does_not_allow_my_address_refuses(town: Town) -> None:
    town.set_rules(port_rule(22, allowedSourceAddressPrefix="192.0.2.0/24"))
    answer = click(owner(town))
    assert answer.status_code == 400
    assert town.see(lambda r: r.live_grants([town.uid])) == []


@pytest.mark.parametrize("actions", [SEE, (MACHINE_READ, INITIATE), (MACHINE_READ,)])
def test_who_may_not_ask_opens_nothing(town: Town, actions: tuple[str, ...]) -> None:
    town.set_rules(port_rule(22))
    person = somebody(town, "rita@example.com", town.machine("web-1"), *actions)
    assert click(person).status_code in (400, 403)
    crafted = {"my_address": CALLER, "port": "22", "longest": "PT3H"}
    assert person.send(f"{WEB}/connect", crafted).status_code in (400, 403)
    assert town.see(lambda r: r.live_grants([town.uid])) == []


def test_a_crafted_form_sets_neither_source_nor_time(town: Town) -> None:
    """EDGES C3: one click asks for the visitor's own address and the policy's maximum."""
    town.set_rules(port_rule(22, maxRequestAccessDuration="PT1H"))
    olga = owner(town)
    for bad in ({"my_address": "*"}, {"port": "3389"}, {"longest": "PT24H"}):
        assert click(olga, **bad).status_code == 400, bad
    assert olga.send(f"{WEB}/connect").status_code == 400, "nothing says what was shown"
    assert town.see(lambda r: r.live_grants([town.uid])) == []
    fields = {"source": "*", "address": "0.0.0.0/0", "span": "PT24H"}
    assert click(olga, **fields).status_code == 303
    (grant,) = town.see(lambda r: r.live_grants([town.uid]))
    assert [str(each) for each in grant.sources] == [CALLER]
    assert (grant.ends_at - grant.started_at).total_seconds() == 3600


def test_one_click_asks_for_what_was_shown_or_not_at_all(town: Town) -> None:
    """The port, its time and the address: each is refused when it has become another."""
    town.set_rules(port_rule(8080))
    olga = owner(town)
    shown = olga.page(f"{WEB}/connect")
    town.set_rules(port_rule(8080), port_rule(22))
    refused = click(olga, shown)
    assert refused.status_code == 400
    assert "has changed since the form was shown" in text_of(refused.text)
    assert f"Opens port 22 only for {CALLER}" in text_of(refused.text)
    town.set_rules(port_rule(8080, maxRequestAccessDuration="PT24H"))
    assert click(olga, shown).status_code == 400
    assert "comme votre adresse ; c’est maintenant" in text_of(
        olga.send(
            f"{WEB}/connect",
            {"my_address": STRANGER, "port": "8080", "longest": "P1D"},
            **{"Accept-Language": "fr"},
        ).text
    )
    assert town.see(lambda r: r.live_grants([town.uid])) == []
    assert click(olga).status_code == 303


# -- activity log ------------------------------------------------------------------------------


def test_the_activity_log_is_that_of_the_machine(town: Town) -> None:
    town.add_machine("db-1")
    town.set_rules(port_rule(22))
    html = owner(town).page(f"{WEB}/activity")
    page = text_of(html)
    assert "administrator" in page
    assert html.count('<tr id="event-') >= 3
    assert "db-1" not in page
    assert "/portal/activity?machine=%2Fsubscriptions" in html
    assert "/portal/activity/csv?machine=%2Fsubscriptions" in html


def test_who_may_not_read_the_log_is_shown_none_of_it(town: Town) -> None:
    town.set_rules(port_rule(22))
    person = somebody(town, "rita@example.com", town.machine("web-1"), *SEE)
    html = person.page(f"{WEB}/activity")
    assert "<tr" not in html
    assert "Microsoft.Insights/eventtypes/values/read" in text_of(html)
