"""axe-core's rules on the page that is open now (WCAG 2 A and AA, and its best practices)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page

SCRIPT = Path(__file__).parent / "axe" / "node_modules" / "axe-core" / "axe.min.js"
_RUN = """async (rules) => {
  const found = await axe.run(document, {
    resultTypes: ['violations'],
    selectors: false,
    iframes: false,
    rules: {'target-size': {enabled: true}},  // WCAG 2.2, which axe leaves off by itself
    ...(rules.length ? {runOnly: {type: 'rule', values: rules}} : {}),
  });
  return found.violations.flatMap((rule) => rule.nodes.map((node) =>
    `${rule.id}: ${node.html.slice(0, 160)}: ${[...node.any, ...node.all, ...node.none]
      .map((check) => check.message).join('; ')}`));
}"""
COLOURS = ("color-contrast", "link-in-text-block")  # the rules that look at what a theme changes


def violations(page: Page, *rules: str) -> list[str]:
    """What these rules found, or all, a line each; empty is as it should be."""
    if not SCRIPT.is_file():
        pytest.skip("needs axe-core: make install-dev with Node.js and npm")
    # Evaluated by the debugger, which the page's Content-Security-Policy does not stop.
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(SCRIPT.read_text(encoding="utf-8"))
    found: list[str] = page.evaluate(_RUN, list(rules))
    return found


def overflow(page: Page) -> Any:
    """What is out of the window to the right, or cut by its table; None when nothing is."""
    return page.evaluate("""() => {
      const cut = [...document.querySelectorAll('.table')].filter(
        (each) => each.scrollWidth > each.clientWidth + 1);
      if (cut.length) return cut.map((each) =>
        `a table needs ${each.scrollWidth} px and has ${each.clientWidth}: ${each.id}`);
      const width = document.documentElement.clientWidth;
      if (document.documentElement.scrollWidth <= width) return null;
      const out = [...document.querySelectorAll('body *')].filter(
        (each) => each.getBoundingClientRect().right > width + 0.5);
      const tag = (each) => each.outerHTML.replace(/\\s+/g, ' ').slice(0, 120);
      return {needs: document.documentElement.scrollWidth, has: width, out: out.slice(0, 6).map(tag)};
    }""")
