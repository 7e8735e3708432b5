"""What code and tests cite (``EDGES A8``, ``CONTRACT 1.4``) stands in the documentation.

A citation that leads nowhere is worse than none: its reader takes a rule on trust that
nobody can read. Whether the code does what the line says is for the tests that it names.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
EDGES = (ROOT / "docs" / "edges.md").read_text(encoding="utf-8")
AZURE = (ROOT / "docs" / "azure.md").read_text(encoding="utf-8")
HOUSE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
PLACE = r"[A-H]?\d+(?:\.\d+)*"
CITATION = re.compile(
    rf"\b(EDGES|CONTRACT|CLIENTS|ARCHITECTURE)\b(?:\s+rule)?(\s+{PLACE}(?:(?:,|,? and| to)\s+{PLACE})*)?"
)


@cache
def places() -> dict[str, set[str]]:
    """By the name that is cited, what can be cited of it."""
    found = {"EDGES": set(re.findall(r"^\*\*([A-H]\d+)\. ", EDGES, re.MULTILINE))}
    for name in ("CONTRACT", "CLIENTS"):
        sections = re.findall(
            rf"^##+ {name} ([\d.]*\d)(.*?)(?=^#|\Z)", AZURE, re.MULTILINE | re.DOTALL
        )
        found[name] = {number for number, _ in sections} | {
            f"{number}.{item}"
            for number, text in sections
            for item in re.findall(r"^(\d+)\. ", text, re.MULTILINE)
        }
    rules = HOUSE.partition("## Ten rules\n")[2].partition("\n## ")[0]
    found["ARCHITECTURE"] = set(re.findall(r"^(\d+)\. ", rules, re.MULTILINE))
    return found


def spread(cited: str) -> list[str]:
    """``A1 to A3, B5`` is A1, A2, A3, B5."""
    result: list[str] = []
    for part in re.split(r",? and\s+|,\s*", cited.strip()):
        first, _, last = (each.strip() for each in part.partition(" to "))
        digits = re.search(r"\d+$", first)
        assert digits is not None  # PLACE ends in them
        head, number = first[: digits.start()], digits[0]
        end = int(last.removeprefix(head)) if last else int(number)
        result += [f"{head}{each}" for each in range(int(number), end + 1)]
    return result


def unresolved(text: str) -> list[str]:
    """Citations in a text that lead nowhere; one without a number names the whole page."""
    flat = re.sub(r"\s*\n\s*(?:#\s*)?", " ", text)
    return [
        f"{name} {place}"
        for name, cited in CITATION.findall(flat)
        if cited
        for place in spread(cited)
        if place not in places()[name]
    ]


def sources() -> list[Path]:
    files = chain((ROOT / "src").rglob("*.py"), (ROOT / "tests").rglob("*.py"))
    return sorted(file for file in files if file != Path(__file__))


def test_every_citation_leads_somewhere() -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in sources()}
    lost = {
        str(file.relative_to(ROOT)): found
        for file, text in texts.items()
        if (found := unresolved(text))
    }
    assert lost == {}
    assert sum(len(CITATION.findall(text)) for text in texts.values()) > 100


def test_no_document_is_cited_that_is_not_here() -> None:
    """Names of pages that are not in the repository."""
    for file in sources():
        text = file.read_text(encoding="utf-8")
        assert not re.search(r"\b(?:DESIGN|HOUSE_STYLE|WORDS\.md)\b", text), file


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        ("(EDGES A8, A9)", []),
        ("(CONTRACT 1.6.7; EDGES\n    A5)", []),
        ("EDGES A27 to A31", ["EDGES A30", "EDGES A31"]),
        ("(CLIENTS 1.2 and 9.9)", ["CLIENTS 9.9"]),
        ("(CONTRACT 1.6.99)", ["CONTRACT 1.6.99"]),
        ("# see EDGES\n# Z1, or ARCHITECTURE rule 11", ["ARCHITECTURE 11"]),
    ],
)
def test_what_leads_nowhere_is_found(text: str, lost: list[str]) -> None:
    assert unresolved(text) == lost


@pytest.mark.parametrize(("part", "last"), [("A", 29), ("B", 13), ("E", 12)])
def test_edges_have_no_gap(part: str, last: int) -> None:
    assert {f"{part}{number}" for number in range(1, last + 1)} <= places()["EDGES"]


def test_the_tests_that_a_line_names_are_there() -> None:
    """And every line of edges.md names one."""
    for line in re.split(r"^(?=\*\*[A-F]\d+\. )", EDGES, flags=re.MULTILINE)[1:]:
        rows = re.findall(
            r"^\* \[(.+?)\]\(\.\./(tests|src/bascule)/\1\.py\): (.+)$", line, re.MULTILINE
        )
        assert rows, line
        for file, folder, names in rows:
            text = (ROOT / folder / f"{file}.py").read_text(encoding="utf-8")
            for name in re.findall(r"`(\w+)`", names):
                assert f"def {name}(" in text, (file, name)
