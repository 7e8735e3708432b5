"""What ``bascule doctor`` says of a look at this host; the look itself is in tests/netns."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from typing import Self

import pytest

from bascule.cli.doctor import doctor
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
