"""Every refusal has its sentence in both languages."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import bascule
from bascule import errors
from bascule.domain.builtin_roles import BUILTIN_ROLES
from bascule.errors import BasculeError
from bascule.portal.codes import TEXTS
from bascule.words import Words
from tests.portal.visiting import owner, text_of
from tests.wire.house import House

HERE = Path(bascule.__file__).parent
PARTS = ("domain", "services", "identity", "store", "portal")


def codes_of(tree: ast.AST) -> Iterator[str]:
    """The codes that a module's errors and problems are made with."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", "")
        named = [each.value for each in node.keywords if each.arg == "code"]
        if name == "Problem" and node.args:
            named.append(node.args[0])
        for each in named:
            if isinstance(each, ast.Constant) and str(each.value)[:1].isupper():
                yield str(each.value)


def test_every_code_has_its_sentence() -> None:
    codes = {
        code
        for part in PARTS
        for path in (HERE / part).rglob("*.py")
        for code in codes_of(ast.parse(path.read_text()))
    }
    assert {"SourceNotAllowed", "LastOwner", "FormRefused", "GrantChanged"} <= codes
    assert [code for code in sorted(codes) if f"reason.{code}" not in TEXTS] == []


def test_every_kind_of_error_that_a_page_may_answer_has_one() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    asked = {
        each.code
        for each in kinds
        if issubclass(each, BasculeError)
        and each.code not in ("InternalError", "ConfigurationError", "ServerUnreachable")
    }
    assert [code for code in sorted(asked) if f"reason.{code}" not in TEXTS] == []


def test_a_way_out_is_of_a_reason() -> None:
    ways = [key for key in TEXTS if key.startswith("way.")]
    assert [key for key in ways if key.replace("way.", "reason.", 1) not in TEXTS] == []


def test_a_french_refusal_says_its_english_particulars_unfolded_alone(house: House) -> None:
    """Nobody reads an English sentence without having asked for it."""
    olga = owner(house)
    path = "/portal/access/users/00000000-0000-4000-8000-000000000000"
    french = olga.page(path, 404, "fr")
    shown = re.sub(r"<details\b.*?</details>", "", french, flags=re.DOTALL)
    assert Words("fr")(TEXTS["reason.UserNotFound"]) in shown
    assert 'lang="en"' not in shown
    assert 'lang="en"' in french
    assert "<details" not in olga.page(path, 404, "en").partition("<main")[2]


def test_built_in_roles_are_described_in_french(house: House) -> None:
    shown = owner(house).page("/portal/access/roles", language="fr")
    for role in BUILTIN_ROLES:
        assert Words("fr")(role.description) in text_of(shown)
        assert role.description not in text_of(shown)
