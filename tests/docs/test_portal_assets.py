"""What the portal vendors is what its README says, byte for byte, with its licences beside it."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "src" / "bascule" / "portal" / "static"
SVG = "{http://www.w3.org/2000/svg}"


def stated() -> dict[str, str]:
    page = (STATIC / "README.md").read_text(encoding="utf-8")
    return dict(re.findall(r"^\| (\S+) \| `([0-9a-f]{64})` \|$", page, re.MULTILINE))


def test_vendored_files_have_the_stated_hashes() -> None:
    """A script that serves every page may not change without somebody having said so."""
    assert stated().keys() >= {"htmx.min.js", "tokens.css", "icons.svg"}
    for name, told in stated().items():
        assert hashlib.sha256((STATIC / name).read_bytes()).hexdigest() == told, name


def test_each_has_its_licence_beside_it() -> None:
    """Both licences ask for it, and NOTICE sends readers to it."""
    notice = (ROOT / "NOTICE").read_text(encoding="utf-8")
    for name in ("LICENSE.htmx", "LICENSE.fluentui-tokens", "LICENSE.fluentui-icons"):
        assert "without" in (STATIC / name).read_text(encoding="utf-8").lower()
        assert name in notice


def test_the_sprite_is_drawings_only() -> None:
    """An image of ours that ran a script or fetched something would be let in by the policy."""
    symbols = ET.fromstring((STATIC / "icons.svg").read_bytes())  # noqa: S314  # reason: our file
    ids = [each.attrib["id"] for each in symbols]
    assert len(ids) == len(set(ids)) > 40
    drawn = {each.tag for symbol in symbols for each in symbol.iter()}
    assert drawn <= {SVG + tag for tag in ("symbol", "path", "circle", "rect", "g")}


def test_dark_is_the_same_whoever_chose_it() -> None:
    """The reader by the switch, or the system: one of them with a variable less looks broken."""
    css = (STATIC / "tokens.css").read_text(encoding="utf-8")
    light, chosen, system = re.findall(
        r"(?:^|\s)(?::root|\[data-theme=.*?\]) \{(.*?)\}", css, re.DOTALL
    )
    variables = [dict(re.findall(r"--(\w+): (.+?);", each)) for each in (light, chosen, system)]
    assert variables[1] == variables[2]
    assert variables[1].keys() < variables[0].keys()
    assert variables[0]["colorNeutralBackground1"] == "#ffffff"
    assert variables[1]["colorNeutralBackground1"] != "#ffffff"
    assert "url(" not in css
