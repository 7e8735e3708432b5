"""docs/record.md: its program for the chain says what `bascule audit verify` says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from bascule.domain.proof import BreakKind
from bascule.identity.record_key import RecordKey
from tests.record_export import export_lines

PAGE = (Path(__file__).parents[2] / "docs" / "record.md").read_text()


def run_on(lines: list[bytes], folder: Path) -> list[str]:
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    export = folder / "record.jsonl"
    export.write_bytes(b"".join(lines))
    done = subprocess.run(
        [sys.executable, "-c", program, str(export)], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_page_says_how_to_check_the_chain_by_hand(tmp_path: Path) -> None:
    lines = list(export_lines(RecordKey(tmp_path), 5))
    assert run_on(lines, tmp_path) == ["1", "ok", "2", "ok", "3", "ok", "4", "ok", "5", "ok"]
    lines[3] = lines[3].replace(b"Alice", b"Alica")
    assert run_on(lines, tmp_path)[4:6] == ["3", "BROKEN"]


def test_every_kind_of_break_is_on_the_page() -> None:
    assert all(f"| `{kind}` |" in PAGE for kind in BreakKind)
