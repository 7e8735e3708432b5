"""A pytest plugin inside the scratch copy: whose code is tested, and what came of each test.

The environment names the copy and the file to write. A run whose ``bascule`` is not the
copy's is no trial of the copy, so it ends before the first test.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

import bascule

COPY = Path(os.environ["MUTANTS_COPY"])
OUTCOMES = Path(os.environ["MUTANTS_OUTCOMES"])


def pytest_configure() -> None:
    found = Path(bascule.__file__)
    if not found.is_relative_to(COPY):
        pytest.exit(f"bascule was imported from {found}, not from {COPY}", returncode=70)


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """One line for each phase: setup, call, teardown."""
    with OUTCOMES.open("a", encoding="utf-8") as file:
        file.write(json.dumps([report.nodeid, report.when, report.outcome]) + "\n")
