"""Every page for everybody: axe-core finds nothing, and no window is too narrow or too wide."""

from __future__ import annotations

import pytest

from tests.e2e.portal.accessibility import COLOURS, overflow, violations
from tests.e2e.portal.pages import PAGES, Shown
from tests.e2e.portal.portal_world import Visitors, World
from tests.e2e.portal.scene import put_rules

pytestmark = pytest.mark.root

WIDTHS = (360, 420, 768, 1024, 1280, 1366, 1440, 2560)
# Each theme in a language and a width; English is looked at in both.
LIGHT, DARK = ("en", "light", 1440), ("fr", "dark", 420)


@pytest.fixture(scope="module", autouse=True)
def ruled(furnished: World) -> None:
    """The rules, which other tests may have taken away since."""
    put_rules(furnished)


@pytest.mark.parametrize("shown", PAGES, ids=lambda each: each.name)
def test_page(shown: Shown, visit: Visitors, furnished: World) -> None:
    """English and French, light and dark; told all at once, so that one run says all.

    The same elements stand there in both themes: what asks for colours is asked again.
    """
    found: list[str] = []
    for language, theme, width in (LIGHT, DARK):
        page = visit(shown.person, language, theme, width)
        answer = page.goto(shown.path(furnished))
        assert answer is not None
        assert answer.status == shown.status
        assert page.locator("html").get_attribute("lang") == language
        found += [f"{language} {theme}: {each}" for each in violations(page)]
        if theme == "light":
            page.emulate_media(color_scheme="dark")
            found += [f"{language} dark: {each}" for each in violations(page, *COLOURS)]
        for each_width in WIDTHS:
            page.set_viewport_size({"width": each_width, "height": 900})
            if sticks_out := overflow(page):
                found.append(f"{language} {each_width} px: {sticks_out}")
        page.context.close()
    assert not found, "\n".join(found)
