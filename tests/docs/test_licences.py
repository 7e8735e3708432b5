"""docs/licences.md names what requirements.lock installs, under licences that we may use."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PERMITTED = {
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "MIT",
    "LGPL-3.0-only",  # of a library that is imported unchanged, and can be replaced
    "MIT-0",
    "MPL-2.0",  # file-level: its own files stay under it, ours do not
    "PSF-2.0",
}
# Locked for platforms on which nobody runs a firewall.
ELSEWHERE = {"httpx2-jsfetch", "tzdata"}


def listed() -> dict[str, str]:
    text = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| ([a-z0-9-]+) \| ([A-Z].+?) \|$", text, re.MULTILINE))


def locked() -> set[str]:
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z0-9._-]+)==", text, re.MULTILINE)) - ELSEWHERE


def test_every_locked_package_is_listed() -> None:
    """A dependency that arrives unnoticed arrives with its licence unread."""
    assert listed().keys() == locked()


def test_every_licence_is_one_that_we_may_use() -> None:
    """An alternative counts when one of its halves does; of several that hold together, all do."""
    for package, licence in listed().items():
        assert any(set(each.split(" AND ")) <= PERMITTED for each in licence.split(" OR ")), (
            package,
            licence,
        )


def test_the_locks_name_no_host() -> None:
    """Whoever installs decides from where; a lock with addresses would decide for him."""
    for lock in (*ROOT.glob("requirements*.lock"), *ROOT.glob("tests/wire/sdk/*.txt")):
        text = lock.read_text(encoding="utf-8")
        assert "://" not in text, lock.name
        pins = len(re.findall(r"^[a-z0-9._-]+==", text, re.MULTILINE))
        assert text.count("--hash=sha256:") >= pins > 0
