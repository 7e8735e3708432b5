"""``bascule status --refused`` against the whole HTTP face."""

from __future__ import annotations

from tests.wire.house import port_rule
from tests.wire.test_cli_principals import Cli, cli  # noqa: F401  # reason: a fixture


def test_what_was_refused_is_listed_with_its_reasons(cli: Cli) -> None:  # noqa: F811  # reason: the fixture of that name
    house = cli.house
    house.add_machine("web-1")
    rules = f"{house.machine('web-1')}/providers/Bascule.Access/machineRules/default"
    house.call("PUT", rules, {"properties": {"ports": [port_rule(22)]}})
    assert "no refused requests" in cli.done("status", "--refused").err
    assert cli("request", "web-1", "--port", "23", "--for", "5m").code == 4
    told = cli.done("status", "--refused", "--machine", "web-1").out
    for word in ("REFUSED", "web-1 23", "Port 23 cannot be requested", "WHY"):
        assert word in told
    (found,) = cli.json("status", "--refused", "--mine")
    assert found["state"] == "refused"
    assert [each[:22] for each in found["reasons"]] == ["Port 23 cannot be requ"]
    assert found["requestId"] in told
    assert "no open requests" in cli.done("status").out, "it is not among what is open"
    assert cli("revoke", found["requestId"]).code == 1
    assert cli("status", "--refused", "--watch").code == 2
