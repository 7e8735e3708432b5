"""Real disks that are full or read-only: a clear error, and service again when they are not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from bascule.errors import BasculeError, Unavailable
from bascule.interfaces.record import EventFilter
from bascule.interfaces.store import Store, Transaction
from bascule.store.open import open_store
from tests.contracts.store.samples import an_event

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root"),
]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of four megabytes."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "bascule-test", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("this machine does not let us mount a disk")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def _record(store: Store, name: str) -> None:
    def work(tx: Transaction) -> None:
        tx.record(an_event(name, resource="/x" * 400))

    async def run() -> None:
        await store.write(work)

    asyncio.run(run())


def _recorded(store: Store) -> list[str]:
    async def run() -> list[str]:
        found = await store.read(lambda r: r.events(EventFilter(), limit=10**6, newest_first=False))
        return [event.id for _, event in found]

    return asyncio.run(run())


def test_a_disk_that_fills_up(disk: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"x" * 1_000_000)
    store = open_store(disk / "bascule.db")
    acknowledged: list[str] = []

    def record_on_and_on() -> None:
        for number in range(5000):
            _record(store, f"e{number}")
            acknowledged.append(f"e{number}")

    with pytest.raises(Unavailable) as refusal:
        record_on_and_on()
    assert refusal.value.message.startswith("The database cannot be written: the disk is full")
    assert "Free some space" in refusal.value.advice
    assert len(acknowledged) > 10
    assert _recorded(store) == acknowledged, "reads go on, and only the refused one is missing"
    ballast.unlink()
    _record(store, "after")
    store.close()
    again = open_store(disk / "bascule.db")
    assert _recorded(again) == [*acknowledged, "after"]
    again.close()


def test_a_full_disk_is_said_before_a_change_fails(disk: Path) -> None:
    """What /readyz asks: that the log has room left over is luck, and soon used up."""
    store = open_store(disk / "bascule.db")
    asyncio.run(store.check_writable())
    ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(ballast, b"x" * 4096):
            pass
    os.close(ballast)
    with pytest.raises(Unavailable, match="disk") as refusal:
        asyncio.run(store.check_writable())
    assert "Free some space" in refusal.value.advice
    (disk / "ballast").unlink()
    asyncio.run(store.check_writable())
    store.close()


def test_a_first_start_on_a_full_disk(disk: Path) -> None:
    ballast = os.open(disk / "ballast", os.O_WRONLY | os.O_CREAT)
    with suppress(OSError):
        while os.write(ballast, b"x" * 4096):
            pass
    os.close(ballast)
    with pytest.raises(BasculeError, match=r"the disk is full|opened"):
        open_store(disk / "bascule.db")
    (disk / "ballast").unlink()
    store = open_store(disk / "bascule.db")
    _record(store, "after")
    assert _recorded(store) == ["after"]
    store.close()


def test_a_disk_that_is_read_only(disk: Path) -> None:
    store = open_store(disk / "bascule.db")
    _record(store, "before")
    store.close()
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    with pytest.raises(BasculeError, match="opened") as refusal:
        open_store(disk / "bascule.db")
    assert refusal.value.advice
    subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    store = open_store(disk / "bascule.db")
    assert _recorded(store) == ["before"]
    store.close()
