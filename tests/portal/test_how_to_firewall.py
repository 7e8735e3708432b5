"""Azure's how-to, each of its lines about Azure Firewall: a test with those words, portal and command line.

The portal in English and French; the command line has one language. The same lines in PowerShell
are in powershell/tests/HowTo.Tests.ps1. Here, Azure Firewall is a gateway.
"""

from __future__ import annotations

import re

import pytest

from tests.portal.asking import ask, live
from tests.portal.visiting import Person, owner, text_of
from tests.wire.house import BASCULE, House, port_rule
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture
from tests.wire.test_firewalls import FIRST, SOURCE, Gateway
from tests.wire.test_gateway_faces import CLOSED, tell

pytestmark = pytest.mark.sockets  # asking asks the kernel which addresses are this host's own

BOTH = [{"protocol": "TCP", "number": each, "onExpiry": "keep"} for each in (22, 3389)]


def leading(house: House) -> Gateway:
    """app-1 behind gw-1, which leads to its ports 22 and 3389."""
    gateway = Gateway(house)
    rules = f"{house.machine('app-1')}/providers/Bascule.Access/machineRules/default"
    body = {"properties": {"ports": [port_rule(22), port_rule(3389)]}}
    house.call("PUT", rules, body, BASCULE)
    gateway.tell("app-1", closed=BOTH)
    return gateway


def ask_and_open(gateway: Gateway) -> tuple[Person, str]:
    """The request's page, of which both ports are open."""
    olga = owner(gateway.house)
    request_id = ask(olga, gateway.house, "app-1", "0.0.22", "0.0.3389")
    grants = [grant.id for grant in live(gateway.house)]
    gateway.tell("app-1", *grants, closed=BOTH)
    return olga, f"/portal/requests/{request_id}"


@pytest.fixture
def desk(cli: Cli) -> Cli:  # noqa: F811  # reason: the fixture of that name
    return cli


@pytest.fixture
def led(desk: Cli) -> Gateway:
    return leading(desk.house)


def row_of(olga: Person, name: str, language: str) -> str:
    """Of the just-in-time page, the row of one machine."""
    page = olga.page("/portal/jit", language=language)
    rows = [each for each in re.findall(r"<tr.*?</tr>", page, re.DOTALL) if "<td" in each]
    found: list[str] = [each for each in rows if f">{name}</a>" in each]
    (row,) = found
    return row


def plain(text: str) -> str:
    """French has spaces that do not break."""
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_not_supported_behind_firewalls_that_something_else_controls(
    led: Gateway, desk: Cli
) -> None:
    """Line 38: "Non: Machines virtuelles protégées par des pare-feu Azure contrôlés par Azure
    Firewall Manager".
    """
    desk.done("machine", "managed-by", "gw-1", "Azure Firewall Manager")
    (row,) = [each for each in desk.done("machine", "list").out.splitlines() if "app-1" in each]
    assert "unsupported" in row
    shown = desk.done("machine", "show", "app-1").out
    assert "gw-1, in front of app-1, is managed by Azure Firewall Manager" in shown
    assert desk("request", "app-1", "-p", "22", "--no-wait").code != 0
    olga = owner(led.house)
    for language, heading, words in (
        ("en", "Unsupported", "gw-1, in front of app-1, is managed by Azure Firewall Manager"),
        ("fr", "Non pris en charge", "est gérée par Azure Firewall Manager"),
    ):
        page = plain(text_of(olga.page("/portal/jit?tab=unsupported", language=language)))
        assert heading in page
        assert words in page
        assert "app-1" in page
        configured = text_of(olga.page("/portal/jit", language=language))
        assert "app-1" not in configured


def test_the_icon_says_by_what_it_is_enabled(led: Gateway, desk: Cli) -> None:
    """Line 250: "L’icône dans la colonne Détails de la connexion indique si l’accès juste-à-temps
    est activé sur le groupe de sécurité réseau ou le pare-feu. S’il est activé sur les deux, seule
    l’icône de pare-feu s’affiche."
    """
    house = led.house
    sql = house.enrol("sql-1")  # behind the gateway too
    tell(house, sql, "sql-1", "sql-1", **CLOSED)
    house.add_machine("web-1")
    rules = f"{house.machine('web-1')}/providers/Bascule.Access/machineRules/default"
    house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}}, BASCULE)
    tell(house, house.enrol("web-1"), "web-1", "web-1", **CLOSED)
    olga = owner(house)
    for language, firewall, host in (
        ("en", "Firewall", "Host filter"),
        ("fr", "Pare-feu", "Filtre de l’hôte"),
    ):
        for name, wanted in (("web-1", host), ("app-1", firewall), ("sql-1", firewall)):
            icons = re.findall(r'class="kind" title="([^"]*)"', row_of(olga, name, language))
            assert icons == [wanted], (language, name)
    told = {name: desk.done("machine", "show", name).out for name in ("web-1", "app-1", "sql-1")}
    assert "closed     22/tcp\n" in told["web-1"]
    assert "gw-1" not in told["web-1"]
    assert "agent      none of its own\ngateway    gw-1, online" in told["app-1"]
    assert "point      its own agent: online\n           gw-1, in series" in told["sql-1"]
    listed = {line.split()[0]: line for line in desk.done("machine", "list").out.splitlines()}
    assert "  gw-1: online  " in listed["app-1"], "it has no agent"
    assert "gw-1" not in listed["web-1"]


def test_the_column_has_what_is_needed_to_connect_to_open_ports(led: Gateway) -> None:
    """Line 252: "La colonne Détails de la connexion fournit les informations nécessaires pour se
    connecter à la machine virtuelle et à ses ports ouverts."
    """
    olga, _ = ask_and_open(led)
    rules = {each["translatedPort"]: each["destinationPorts"][0] for each in led.rules}
    for language, word in (("en", "by"), ("fr", "par")):
        row = plain(text_of(row_of(olga, "app-1", language)))
        for number in ("22", "3389"):
            assert f"{number} {word} {FIRST}:{rules[number]}" in row
        assert FIRST not in row_of(olga, "sql-1", language)


def test_once_approved_it_provides_the_port_mapping_to_connect_by(led: Gateway, desk: Cli) -> None:
    """Line 287: "Une fois la demande approuvée pour une machine virtuelle protégée par le pare-feu
    Azure, Security Center fournit à l’utilisateur les informations de connexion appropriées
    (mappage de ports provenant de la table DNAT) à utiliser pour se connecter à la machine
    virtuelle."
    """
    olga, path = ask_and_open(led)
    rules = {each["translatedPort"]: each["destinationPorts"][0] for each in led.rules}
    ssh, rdp = (rules[each] for each in ("22", "3389"))
    for language, words in (
        ("en", "Port mapping at the gateway: {} to port {}"),
        ("fr", "Mappage de ports sur la passerelle : {} vers le port {}"),
    ):
        for page in (path, "/portal/machines/default/app-1/connect"):
            text = plain(text_of(olga.page(page, language=language)))
            assert f"ssh -p {ssh} -o HostKeyAlias=app-1 {FIRST}" in text
            assert f"mstsc /v:{FIRST}:{rdp}" in text
            for number, public in (("22", ssh), ("3389", rdp)):
                assert words.format(f"{FIRST}:{public}", number) in text
            assert "10.1.0.10" not in text, "no address at which it may not be reached"
    asked = ("request", "app-1", "-p", "22", "-p", "3389", "--from", SOURCE, "--no-wait")
    made = desk.json(*asked)
    told = {port["number"]: port for port in made["machines"][0]["ports"]}
    assert {each["publicIpAddress"] for each in told.values()} == {FIRST}
    assert {number: each["mappedPort"] for number, each in told.items()} == {
        22: int(ssh),
        3389: int(rdp),
    }
