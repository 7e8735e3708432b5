"""The arithmetic of ``bench.fleet``: who counts as back, what an answer is, and how figures are told."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.fleet.agent import address_of, key_of, uid_of
from bench.fleet.figures import (
    LINES,
    Run,
    all_after,
    count_after,
    found,
    line,
    put,
    share_of_core,
)
from bench.fleet.http import answer_in
from bench.fleet.speech import speech_of
from bench.fleet.tls import Gone
from bench.revision import HERE
from bench.standing import Broken


def test_all_are_back_when_the_last_is() -> None:
    assert all_after([11.0, 14.5, 12.0], since=10.0) == 4.5


def test_an_agent_that_is_not_whole_is_not_back() -> None:
    assert all_after([11.0, None], since=10.0) is None
    assert count_after([11.0, None], since=10.0) == 1


def test_an_agent_that_has_not_noticed_that_the_server_died_is_not_back() -> None:
    assert all_after([11.0, 9.9], since=10.0) is None
    assert count_after([11.0, 9.9, 10.0], since=10.0) == 1


def test_of_nobody_it_is_not_said_that_all_are_back() -> None:
    assert all_after([], since=10.0) is None


def test_share_of_a_core() -> None:
    assert share_of_core(0.5, 2.0) == 25.0
    assert share_of_core(3.0, 2.0) == 150.0  # of one core, whatever there is


def test_figures_lie_where_the_file_has_them() -> None:
    run: Run = {}
    put(run, "agents", 100)
    put(run, "eight_askers.per_s", 12.34567)
    put(run, "eight_askers.p99_ms", None)
    assert run == {"agents": 100, "eight_askers": {"per_s": 12.346, "p99_ms": None}}
    assert found(run, "eight_askers.per_s") == 12.346
    assert found(run, "scanned.p99_ms") is None


def test_a_line_says_how_much_better_it_is_than_before() -> None:
    before: Run = {"idle_cpu_pct": 60.0, "eight_askers": {"per_s": 20.0}}
    run: Run = {"idle_cpu_pct": 15.0, "eight_askers": {"per_s": 100.0}}
    assert line(run, "idle_cpu_pct", before, "old").endswith("old       60.0 %  4.00 times as good")
    assert line(run, "eight_askers.per_s", before, "old").endswith("5.00 times as good")


@pytest.mark.parametrize("there", [None, 0.0])
def test_what_was_not_measured_is_compared_with_nothing(there: float | None) -> None:
    told = line({"back_s": 3.0}, "back_s", {"back_s": there}, "old")
    assert "times" not in told
    assert "3.0 s" in told


def test_every_figure_of_the_results_has_a_line() -> None:
    wanted = {"agents", "connected", "connected_s", "idle_cpu_pct", "mb_per_agent", "back_s"}
    wanted |= {"open_seen_p99_ms", "eight_askers.per_s", "eight_askers.p99_ms"}
    assert wanted | {"scanned.cpu_pct", "scanned.p99_ms"} <= set(LINES)


def test_agents_are_told_apart_by_name_key_and_address() -> None:
    numbers = range(20_000)
    assert len({uid_of(each) for each in numbers}) == len(numbers)
    assert len({key_of(each) for each in numbers}) == len(numbers)
    addresses = {address_of(each) for each in numbers}
    assert len(addresses) == len(numbers)
    assert all(1 <= int(each.rpartition(".")[2]) <= 254 for each in addresses)


def test_an_answer_is_read_when_it_is_whole() -> None:
    whole = b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n{"a"'
    assert answer_in(whole[:-1]) is None
    assert answer_in(whole[:20]) is None
    assert answer_in(whole + b"HTTP") == (200, b'{"a"', b"HTTP")


def test_an_answer_in_chunks_is_read_when_it_is_whole() -> None:
    whole = b"HTTP/1.1 201 x\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
    for cut in range(1, len(whole)):
        assert answer_in(whole[:-cut]) is None
    assert answer_in(whole) == (201, b"abcd", b"")


def test_what_is_no_answer_is_told_as_a_loss() -> None:
    with pytest.raises(Gone):
        answer_in(b"SSH-2.0-OpenSSH\r\nContent-Length: 0\r\n\r\n")


def test_some_simulated_agent_speaks_what_this_tree_does() -> None:
    assert speech_of(HERE).connections >= 1


def test_a_revision_that_no_simulated_agent_speaks_is_said(tmp_path: Path) -> None:
    with pytest.raises(Broken, match="No simulated agent"):
        speech_of(tmp_path)
