"""Each revision says the oldest revision whose programs may go on beside it, and may say so (EDGES H6).

Whether an older program bears a revision is read from its operations: what is not known to be harmless
is not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from bascule.store import migrations, upgrade
from tests.support.later import COMPATIBLE, INCOMPATIBLE, LAST, Later

FILES = sorted((upgrade._MIGRATIONS / "versions").glob("r*.py"))
# An older program neither reads nor writes what these add.
HARMLESS = {"batch_alter_table", "add_column", "create_table", "create_index"}
RULES = {"ForeignKey", "ForeignKeyConstraint", "CheckConstraint", "UniqueConstraint", "Computed"}
SAME = {"sa.false()", "sa.true()"}
ANEW = {"recreate", "copy_from", "reflect_args"}  # of batch_alter_table: the table may be made anew


def said(source: str) -> dict[str, object]:
    """The constants of a revision."""
    return {
        target.id: each.value.value
        for each in ast.parse(source).body
        if isinstance(each, ast.Assign) and isinstance(each.value, ast.Constant)
        for target in each.targets
        if isinstance(target, ast.Name)
    }


def harms(source: str) -> list[str]:
    """What in it an older program may not bear."""
    (work,) = (
        each
        for each in ast.parse(source).body
        if isinstance(each, ast.FunctionDef) and each.name == "upgrade"
    )
    batches = {
        each.optional_vars.id
        for each in ast.walk(work)
        if isinstance(each, ast.withitem) and isinstance(each.optional_vars, ast.Name)
    }
    return [
        harm
        for call in ast.walk(work)
        if isinstance(call, ast.Call)
        for harm in _harms_of(call, {"op", *batches})
    ]


def _harms_of(call: ast.Call, who: set[str]) -> Iterator[str]:
    if not isinstance(call.func, ast.Attribute) or not isinstance(call.func.value, ast.Name):
        yield f"calls {ast.unparse(call.func)}"
        return
    owner, name = call.func.value.id, call.func.attr
    given = {each.arg: each.value for each in call.keywords}
    if owner == "sa":
        if name in RULES:
            yield f"has a rule ({name}), which what the older program writes may break"
        if name == "Identity":
            yield "writes the table anew"
        if name == "Column" and _is_true(given.get("unique")):
            yield "has a unique column"
        return
    if owner not in who or name not in HARMLESS:
        yield f"calls {owner}.{name}"
        return
    if _is_true(given.get("unique")):
        yield "has a unique index"
    if ANEW & given.keys():
        yield "writes the table anew"
    if name == "add_column":
        yield from _harms_of_column(call.args[-1])


def _harms_of_column(column: ast.expr) -> Iterator[str]:
    given = {each.arg: each.value for each in getattr(column, "keywords", ())}
    default = given.get("server_default")
    if default is None and not _is_true(given.get("nullable")):
        yield "adds a column that the older program leaves empty, and that must not be"
    is_same = isinstance(default, ast.Constant) or ast.unparse(default or column) in SAME
    if default is not None and not is_same:
        yield "writes the table anew: its default may be another for each row"


def _is_true(node: ast.expr | None) -> bool:
    """Is it so? What is no constant may be anything."""
    return node is not None and not (isinstance(node, ast.Constant) and node.value is False)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_revision_says_who_may_go_on_beside_it(file: Path) -> None:
    source = file.read_text()
    constants = said(source)
    number, beside = constants["revision"], constants["RUNS_BESIDE"]
    assert isinstance(number, str)
    assert isinstance(beside, str)
    assert file.name.startswith(f"r{number}_")
    assert len(number) == len(beside) == 4
    assert migrations.BASELINE <= beside <= number <= migrations.REVISION
    if beside < number:
        assert harms(source) == []


def test_the_newest_is_last_in_the_order_of_numbers() -> None:
    """Programs compare them as text."""
    assert FILES[-1].name.startswith(f"r{migrations.REVISION}_")
    before = [said(each.read_text()).get("down_revision") for each in FILES]
    assert before == [None, *(said(each.read_text())["revision"] for each in FILES[:-1])]


@pytest.mark.parametrize("later", [COMPATIBLE, LAST])
def test_what_only_adds_is_harmless(later: Later) -> None:
    assert harms(later.text("0100")) == []


WORK = """
def upgrade():
    op.create_table("notes", sa.Column("id", sa.String()), sa.Column("text", sa.String(), nullable=False))
    op.create_index("ix_notes_text", "notes", ["text"])
    op.add_column("machines", sa.Column("is_held", sa.Boolean(), nullable=False, server_default=sa.false()))
    with op.batch_alter_table("machines") as batch:
        batch.add_column(sa.Column("note", sa.String(), nullable=True))
        {}
"""


@pytest.mark.parametrize(
    "operation",
    [
        'batch.drop_column("os_type")',
        'batch.alter_column("os_type", new_column_name="os")',
        'batch.alter_column("note", nullable=False)',
        'batch.add_column(sa.Column("size", sa.Integer(), nullable=False))',
        'batch.add_column(sa.Column("size", sa.Integer()))',
        'batch.add_column(sa.Column("size", sa.Integer(), nullable=True, unique=True))',
        'batch.add_column(sa.Column("of", sa.String(), sa.ForeignKey("notes.id"), nullable=True))',
        'batch.create_check_constraint("size", "size > 0")',
        'batch.create_unique_constraint("uq", ["os_type"])',
        'batch.create_index("uq", ["os_type"], unique=True)',
        'batch.create_index("uq", ["os_type"], unique=bool(1))',
        'op.create_table("more", sa.Column("of", sa.String()), sa.ForeignKeyConstraint(["of"], ["machines.uid"]))',
        "batch.add_column(column)",
        'batch.add_column(sa.Column("n", sa.Integer(), sa.Identity(), nullable=True))',
        'batch.add_column(sa.Column("k", sa.String(), server_default=sa.text("gen_random_uuid()")))',
        'op.batch_alter_table("machines", recreate="always")',
        'op.drop_table("knocks")',
        'op.rename_table("knocks", "taps")',
        'op.drop_index("ix_grants_live")',
        'op.execute("DELETE FROM knocks")',
        'op.bulk_insert(table, [{"state": "new"}])',
        "op.get_bind()",
        "something_else()",
        "helpers.add_column()",
    ],
)
def test_what_an_older_program_may_not_bear_is_found(operation: str) -> None:
    """Each by itself, and beside what is harmless."""
    assert harms(WORK.format("pass")) == []
    assert harms(WORK.format(operation))


def test_what_works_in_sql_can_still_be_wrong() -> None:
    """What a column means is not read: INCOMPATIBLE only adds, and says that it allows nobody."""
    assert harms(INCOMPATIBLE.text("0100")) == []
    assert said(INCOMPATIBLE.text("0100"))["RUNS_BESIDE"] == INCOMPATIBLE.number
