"""What ``bascule doctor`` says of a look at this host; the look itself is in tests/netns."""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from typing import Self

import pytest

from bascule.cli.doctor import doctor
from bascule.client import host_agent
from bascule.interfaces.driver import Examination

UNTOLD = "whether answers of 10.1.0.9 come back through this gateway (Operation not permitted)"


@dataclass
class Host:
    """One of which something cannot be read."""

    takes: float = 0.0  # seconds

    def firewall(self) -> Self:
        return self

    def examine(self, _ports: object, _gateways: object) -> Examination:
        time.sleep(self.takes)
        return Examination(frozenset(), unread=(UNTOLD,))


def said(capsys: pytest.CaptureFixture[str], host: Host) -> str:
    assert doctor.main([], obj=host, standalone_mode=False) == 4
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("user", "advice"), [(0, ""), (1000, " Run it as root: sudo bascule doctor.")]
)
def test_root_is_not_told_to_be_root(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], user: int, advice: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: user)
    assert said(capsys, Host()) == f"Could not be read: {UNTOLD}.{advice}\n"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_it_says_on_a_terminal_that_it_works(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: is_terminal)
    assert ("Reading rules" in said(capsys, Host(takes=0.7))) is is_terminal


def test_it_says_what_the_agent_here_says_of_its_routes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Once, whoever has found it too; an answer of another form is none."""
    told = {"code": "NoRoute", "arguments": {"source": "203.0.113.5"}}
    answer: dict[str, object] = {"answersElsewhere": [told]}

    def tell(_path: object, message: dict[str, object]) -> dict[str, object]:
        assert message == {"command": "status"}
        return {"ok": True, "status": answer}

    monkeypatch.setattr(host_agent, "tell_agent", tell)
    assert doctor.main(["-o", "json"], obj=Host(), standalone_mode=False) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert (finding["code"], finding["effect"], finding["packet"]) == (
        "NoRoute",
        "blocked",
        "confirmed",
    )
    assert "203.0.113.5" in finding["text"]
    for other in ([{"code": 3}], "what", None):
        answer["answersElsewhere"] = other
        assert doctor.main(["-o", "json"], obj=Host(), standalone_mode=False) == 4


@pytest.mark.parametrize("code", ["RouteElsewhere", "AnswersElsewhere"])
def test_what_a_gateway_says_of_its_addresses_confirms_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], code: str
) -> None:
    """Nor does the advice name a command before that address was compared: a thief may have told it."""
    arguments = {"gateway": "10.1.0.66", "route": "10.1.0.1", "source": "203.0.113.5"}
    status = {"answersElsewhere": [{"code": code, "arguments": arguments}]}
    monkeypatch.setattr(
        host_agent, "tell_agent", lambda _path, _message: {"ok": True, "status": status}
    )
    assert doctor.main(["-o", "json"], obj=Host(), standalone_mode=False) == 1
    (finding,) = json.loads(capsys.readouterr().out)["findings"]
    assert finding["packet"] == "notTried"
    assert "by the word of its agent" in finding["notTriedBecause"]
    assert finding["advice"].startswith("Compare 10.1.0.66 with ip addr on that gateway first.")
