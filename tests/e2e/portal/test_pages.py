"""Every page for everybody: axe-core finds nothing, and no window is too narrow or too wide."""

from __future__ import annotations

import pytest

from tests.e2e.portal.axe import overflow, violations
from tests.e2e.portal.pages import PAGES, Shown
from tests.e2e.portal.portal_world import LANGUAGES, Visitors, World

pytestmark = pytest.mark.root

WIDTHS = (360, 420, 768, 1440, 2560)


@pytest.mark.parametrize("shown", PAGES, ids=lambda each: each.name)
def test_page(shown: Shown, visit: Visitors, furnished: World) -> None:
    """Light and dark, English and French; told all at once, so that one run says all."""
    found: list[str] = []
    for language in LANGUAGES:
        page = visit(shown.person, language, "light")
        answer = page.goto(shown.path(furnished))
        assert answer is not None
        assert answer.status == shown.status
        assert page.locator("html").get_attribute("lang") == language
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            if sticks_out := overflow(page):
                found.append(f"{language} {width} px: {sticks_out}")
            if width in (420, 1440):
                found += [f"{language} {width} px light: {each}" for each in violations(page)]
        page.set_viewport_size({"width": 1440, "height": 900})
        page.emulate_media(color_scheme="dark")
        found += [f"{language} dark: {each}" for each in violations(page)]
        page.context.close()
    assert not found, "\n".join(found)
