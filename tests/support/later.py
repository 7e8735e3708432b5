"""A later program: this one, with revisions that the product does not have."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

import bascule
from bascule.store import migrations, upgrade

_NUMBER = 'REVISION = "{}"'
_TEXT = '''"""{what}"""
import sqlalchemy as sa
from alembic import op
revision = "{number}"
down_revision = "{before}"
RUNS_BESIDE = "{beside}"
def upgrade():
    {operation}
'''


@dataclass(frozen=True, slots=True)
class Later:
    number: str
    what: str
    operation: str
    allows_the_one_before: bool

    def text(self, before: str) -> str:
        beside = before if self.allows_the_one_before else self.number
        return _TEXT.format(
            what=self.what,
            number=self.number,
            before=before,
            beside=beside,
            operation=self.operation,
        )


COMPATIBLE = Later(
    "9001",
    "Machines have a note.",
    'op.add_column("machines", sa.Column("note", sa.String(), nullable=True))',
    allows_the_one_before=True,
)
# What an older program says in SQL works as before, so that nothing but the mark stops it.
INCOMPATIBLE = Later(
    "9002",
    "No port of a machine that is held may be opened.",
    'op.add_column("machines", sa.Column("is_held", sa.Boolean(), nullable=False, '
    "server_default=sa.false()))",
    allows_the_one_before=False,
)
LAST = Later(
    "9003",
    "Machines have a second note.",
    'op.add_column("machines", sa.Column("note_2", sa.String(), nullable=True))',
    allows_the_one_before=True,
)


def be(monkeypatch: pytest.MonkeyPatch, folder: Path, *later: Later) -> None:
    """Make this process a later program, until ``monkeypatch`` undoes it."""
    made = folder / "-".join(each.number for each in later)
    if not made.exists():
        shutil.copytree(upgrade._MIGRATIONS, made)
        _add(made, later)
    monkeypatch.setattr(upgrade, "_MIGRATIONS", made)
    monkeypatch.setattr(migrations, "REVISION", later[-1].number)


def copy_program(folder: Path, *later: Later, package: Path | None = None) -> Path:
    """A later one for other processes: the folder for their PYTHONPATH. ``package``: of which one."""
    package = package or Path(bascule.__file__).parent
    shutil.copytree(package, folder / "bascule", ignore=shutil.ignore_patterns("*.tmp"))
    made = folder / "bascule" / "store" / "migrations"
    _add(made, later)
    said = made / "__init__.py"
    number = _NUMBER.format(migrations.REVISION)
    text = said.read_text()
    assert number in text
    said.write_text(text.replace(number, _NUMBER.format(later[-1].number)))
    return folder


def _add(folder: Path, later: tuple[Later, ...]) -> None:
    before = migrations.REVISION
    for each in later:
        (folder / "versions" / f"r{each.number}_later.py").write_text(each.text(before))
        before = each.number
