"""``bascule serve``: what its first start says to the person who typed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from bascule.bootstrap.serve import serve

Started = Callable[[Sequence[tuple[str, int]]], None]


@pytest.mark.parametrize("is_watched", [True, False])
def test_the_first_start_says_what_comes_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_watched: bool
) -> None:
    def run_server(
        app: object, listen: object, passed: object, keeper: object, started: Started, **_: object
    ) -> int:
        started([("127.0.0.1", 8443)])
        return 0

    monkeypatch.setattr("bascule.api.server.run_server", run_server)
    monkeypatch.setattr("bascule.bootstrap.serve._is_watched", lambda: is_watched)
    data = tmp_path / "data"
    said = [CliRunner().invoke(serve, ["--data", str(data)], obj=None) for _ in range(2)]
    assert [each.exit_code for each in said] == [0, 0]
    told = [f"next: bascule login --admin-file {data / 'admin.json'}" in e.stderr for e in said]
    assert told == [is_watched, False], "once, and to a person alone"
