"""My history in the portal: for everybody who is signed in, and of nobody else."""

from __future__ import annotations

from bascule.domain.actions import INITIATE, MACHINE_READ, POLICY_READ
from tests.portal.visiting import Person, owner, somebody, text_of
from tests.wire.house import JIT, House, port_rule

HISTORY = "/portal/account/history"


def test_each_sees_their_own_requests_and_acts(house: House) -> None:
    house.add_machine("web-1")
    body = {"virtualMachines": [{"id": house.machine("web-1"), "ports": [port_rule()]}]}
    house.call("PUT", house.policy(), {"kind": "Basic", "properties": body}, JIT)
    asks = (INITIATE, POLICY_READ, MACHINE_READ)
    anna = somebody(house, "anna@example.com", house.subscription, *asks)
    bert = somebody(house, "bert@example.com", house.subscription, *asks)
    port = {"number": 22, "allowedSourceAddressPrefix": "192.0.2.77", "duration": "PT1H"}
    asked = {
        "virtualMachines": [{"id": house.machine("web-1"), "ports": [port]}],
        "justification": "ticket <4711>",
    }
    token = house.token(anna.user.id, "User", f"{anna.user.id}/0")  # type: ignore[arg-type]  # reason: a StrEnum's value
    answer = house.client_of(token).post(
        f"{house.policy()}/initiate", json=asked, params={"api-version": JIT}
    )
    assert answer.status_code == 202, answer.text
    text = text_of(anna.page(HISTORY))
    assert "ticket <4711>" in text
    assert "web-1" in text
    assert "Initiate" in text
    other = anna.page(HISTORY)
    assert "<4711>" not in other, "it is escaped"
    assert "4711" not in bert.page(HISTORY)
    assert "192.0.2.77" not in bert.page(HISTORY)
    assert "4711" not in text_of(owner(house).page(HISTORY)), "nor an owner here: it is one's own"
    stranger = Person(house, "carl@example.com")
    assert "No requests" in text_of(stranger.page(HISTORY))
    for odd in ("?before=x", "?before=2030-01-01T00:00:00Z", "?after=-1", "?after=%D9%A1"):
        stranger.page(f"{HISTORY}{odd}")
    assert "Mon historique" in anna.page(HISTORY, language="fr")
