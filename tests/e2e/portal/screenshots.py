"""Pictures of every page, into docs/screenshots: ``make screenshots``.

Four of each: light, dark, on a phone, in French; in few colours, so that they stay small. Not
collected with the tests, for they change with each run; look at them before they are committed.
"""

from __future__ import annotations

from io import BytesIO
from itertools import groupby
from pathlib import Path
from typing import Literal

import pytest
from PIL import Image

from tests.e2e.portal.pages import PAGES, Shown
from tests.e2e.portal.portal_world import Visitors, World

pytestmark = pytest.mark.root

FOLDER = Path(__file__).parents[3] / "docs" / "screenshots"
COLOURS = 96
TALLEST = 1600  # pixels; what is below is more of the same
DESK, PHONE = 1280, 400
# A browser without a window denies notifications by itself.
UNDECIDED = "Object.defineProperty(Notification, 'permission', { get: () => 'default' })"
VIEWS: tuple[
    tuple[str, str, Literal["light", "dark"], int], ...
] = (  # name, language, theme, width; a language is loaded once
    ("light", "en", "light", DESK),
    ("dark", "en", "dark", DESK),
    ("phone", "en", "light", PHONE),
    ("french", "fr", "light", DESK),
)


@pytest.mark.parametrize("shown", PAGES, ids=lambda each: each.name)
def test_picture(shown: Shown, visit: Visitors, furnished: World) -> None:
    FOLDER.mkdir(exist_ok=True)
    for language, views in groupby(VIEWS, key=lambda view: view[1]):
        page = visit(shown.person, language, timezone_id="Europe/Paris")
        page.add_init_script(UNDECIDED)
        page.goto(shown.path(furnished))
        page.wait_for_timeout(300)  # the script has put times into the viewer's zone
        for name, _, theme, width in views:
            page.emulate_media(color_scheme=theme)
            page.set_viewport_size({"width": width, "height": 800})
            needed = page.evaluate("document.documentElement.scrollHeight")
            page.set_viewport_size({"width": width, "height": min(max(800, needed), TALLEST)})
            save(page.screenshot(animations="disabled"), FOLDER / f"{shown.name}-{name}.png")
        page.context.close()


def save(picture: bytes, path: Path) -> None:
    with Image.open(BytesIO(picture)) as image:
        few = image.convert("RGB").quantize(
            COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE
        )
    few.save(path, optimize=True)
