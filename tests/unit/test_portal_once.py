"""The secret of a form that is sent twice is the same, and nobody else can compute it (EDGES E12)."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bascule.identity.sealing import Sealer
from bascule.portal import once
from bascule.portal.forms import Form


def visit(form_key: bytes, cookie: str = "cookie", **fields: str) -> Any:
    """A visit as far as ``once`` looks at it."""
    form = Form({once.FIELD: ["a key"], **{name: [value] for name, value in fields.items()}})
    return SimpleNamespace(
        state=SimpleNamespace(form_key=form_key),
        session_text=cookie,
        request=SimpleNamespace(url=SimpleNamespace(path="/portal/x")),
        form=form,
    )


def test_the_secret_depends_on_installation_session_and_form() -> None:
    here = once.secret(visit(b"1" * 32, name="a"))
    assert once.secret(visit(b"1" * 32, name="a")) == here
    others = (
        visit(b"2" * 32, name="a"),
        visit(b"1" * 32, cookie="another", name="a"),
        visit(b"1" * 32, name="b"),
    )
    assert here not in [once.secret(each) for each in others]


def test_a_derived_key_is_of_its_installation_and_purpose(tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / name).mkdir()
    here = Sealer(tmp_path / "a").derive("forms")
    assert Sealer(tmp_path / "a").derive("forms") == here, "after a restart, too"
    assert len(here) == 32
    others = (Sealer(tmp_path / "b").derive("forms"), Sealer(tmp_path / "a").derive("others"))
    assert here not in others
    assert here not in (tmp_path / "a" / "sign-in-sealing.key").read_bytes()
