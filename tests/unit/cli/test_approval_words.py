"""What somebody who waits, or is asked, reads."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bascule.cli.approval_words import (
    approvers_words,
    fact_lines,
    stage_words,
    undone,
    waiting_lines,
)
from bascule.client.access import AccessRequest, GrantedMachine, GrantedPort
from bascule.client.approval import Approval, Denial, Protocols, Stage, Vote
from bascule.domain.ids import machine_id
from bascule.errors import ApprovalDenied, ApprovalLapsed

NOW = datetime(2030, 1, 31, 12, tzinfo=UTC)
ID = "3f2a91c0-0000-4000-8000-000000000001"
STAGE = Stage(1, "asked", 2, 1, (), ("on-call",), True, None, ())
ANN = Vote("Ann", NOW, True, None, None, False, "")


def request(
    state: str, *, denial: Denial | None = None, reasons: tuple[str, ...] = ()
) -> AccessRequest:
    port = GrantedPort("", 22, "TCP", ("192.0.2.7",), NOW, state, None, "", None)
    machine = GrantedMachine(machine_id("s", "default", "db-1"), (), (port,))
    approval = Approval(
        "d",
        NOW,
        NOW + timedelta(days=1),
        None,
        timedelta(hours=1),
        None,
        None,
        (STAGE,),
        denial,
        False,
        False,
        True,
        "",
    )
    return AccessRequest(ID, "Ben", "b", "", "", state, NOW, None, (machine,), reasons, approval)


@pytest.mark.parametrize(
    ("protocols", "words"),
    [((), "22/tcp"), (("UDP",), "22/udp"), (("*",), "22/tcp+udp"), (("TCP", "UDP"), "22/tcp+udp")],
)
def test_whoever_decides_is_told_what_is_opened(protocols: tuple[str, ...], words: str) -> None:
    waiting = request("waiting")
    (machine,) = waiting.machines
    (port,) = machine.ports
    assert waiting.approval is not None
    told = (Protocols(machine.id, 22, protocols),) if protocols else ()
    asked = waiting._replace(
        machines=(machine._replace(ports=(port._replace(protocol=""),)),),
        approval=waiting.approval._replace(protocols=told),
    )
    assert f"Opens      db-1 port {words} from 192.0.2.7" in fact_lines(asked, NOW)


def test_who_is_asked() -> None:
    assert approvers_words(STAGE) == "on-call or anybody with the right to approve there"
    assert approvers_words(STAGE._replace(approvers=(), is_by_role=False)) == "nobody"
    three = STAGE._replace(approvers=("a", "b", "c"), is_by_role=False)
    assert approvers_words(three) == "a, b or c"


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        (
            STAGE,
            "stage 1: 1 of 2 approved; asked: on-call or anybody with the right to approve there",
        ),
        (STAGE._replace(state="met", votes=(ANN,)), "stage 1: approved by Ann"),
        (
            STAGE._replace(number=2, state="later", is_by_role=False),
            "stage 2: asked later: on-call",
        ),
        (
            STAGE._replace(is_by_role=False, votes=(ANN._replace(counts=False),)),
            "stage 1: 1 of 2 approved; asked: on-call; approved by Ann (does not count any more)",
        ),
        (
            STAGE._replace(state="met", votes=(ANN._replace(span=timedelta(minutes=30)),)),
            "stage 1: approved by Ann (for 30m)",
        ),
    ],
)
def test_how_far_a_stage_is(stage: Stage, words: str) -> None:
    assert stage_words(stage) == words


def test_whoever_waits_is_told_that_nothing_is_open_and_how_to_take_it_back() -> None:
    first, *_, last = waiting_lines(request("waiting"), NOW)
    assert first == "db-1 22/tcp waits for approval (request 3f2a91c0). It is not open."
    assert last.endswith("to take it back: bascule withdraw 3f2a91c0")


@pytest.mark.parametrize(
    ("ended", "kind", "words"),
    [
        (
            request("denied", denial=Denial("Ann", NOW, "tomorrow")),
            ApprovalDenied,
            "Ann denied db-1 22/tcp: tomorrow",
        ),
        (
            request("denied", reasons=("The policy is gone.",)),
            ApprovalDenied,
            "db-1 22/tcp was denied when it was judged again: The policy is gone.",
        ),
        (request("lapsed"), ApprovalLapsed, "Nobody decided about db-1 22/tcp in time"),
        (request("withdrawn"), ApprovalLapsed, "was withdrawn"),
    ],
)
def test_what_did_not_open_says_why(
    ended: AccessRequest, kind: type[Exception], words: str
) -> None:
    failure = undone(ended)
    assert isinstance(failure, kind)
    assert words in failure.message
    assert (f"bascule approvals {ID}" in failure.advice) == (ended.state == "lapsed")


@pytest.mark.parametrize("state", ["waiting", "opening", "open", "failed", "closed"])
def test_what_may_open_or_did_is_no_failure_of_approval(state: str) -> None:
    assert undone(request(state)) is None
