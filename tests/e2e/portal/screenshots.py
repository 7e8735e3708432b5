"""Pictures of every page, into docs/screenshots: ``make screenshots``.

Four of each: light, dark, on a phone, in French; in few colours, so that they stay small. Not
collected with the tests, for they change with each run; look at them before they are committed.
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from tests.e2e.portal.pages import PAGES, Shown
from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
COLOURS = 96
TALLEST = 1600  # pixels; what is below is more of the same
VIEWS = {
    "light": ("en", "light", 1280, 800),
    "dark": ("en", "dark", 1280, 800),
    "phone": ("en", "light", 400, 800),
    "french": ("fr", "light", 1280, 800),
}


@pytest.mark.parametrize("shown", PAGES, ids=lambda each: each.name)
def test_picture(shown: Shown, visit: Visitors, furnished: World) -> None:
    FOLDER.mkdir(exist_ok=True)
    for name, (language, theme, width, height) in VIEWS.items():
        page = visit(shown.person, language, theme, width, height, timezone_id="Europe/Paris")
        page.goto(shown.path(furnished))
        page.wait_for_load_state("load")
        page.wait_for_timeout(300)  # the script has put times into the viewer's zone
        needed = page.evaluate("document.documentElement.scrollHeight")
        page.set_viewport_size({"width": width, "height": min(max(height, needed), TALLEST)})
        save(page.screenshot(animations="disabled"), FOLDER / f"{shown.name}-{name}.png")
        page.context.close()


def save(picture: bytes, path: Path) -> None:
    with Image.open(BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(
            COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
    few.save(path, optimize=True)
