"""Fixtures of the portal's tests: one lab and one Chromium in its client for all of them.

``visit`` opens a page as somebody: ``visit("reader", "fr", "dark", width=420)``. Playwright's
own fixtures are there too; ``page`` is nobody's. They last as long as this package: beside
Playwright's event loop no test of another folder could run its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Playwright,
    StorageState,
    expect,
    sync_playwright,
)

from tests.e2e import conftest as processes
from tests.e2e.lab_world import LabWorld
from tests.e2e.portal import chromium
from tests.e2e.portal.portal_world import PATIENCE, SERVER, Visitors, World
from tests.e2e.portal.scene import furnish
from tests.support.own import mark


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A running lab with people in it; ``fresh`` puts its machines back."""
    if why := processes._why_not() or chromium.why_not():
        pytest.skip(why)
    lab = LabWorld(mark("p"), tmp_path_factory.mktemp("portal"))
    try:
        lab.must_come_up()
        world = World(lab)
        yield world
        world.close()
    finally:
        lab.down()


@pytest.fixture
def fresh(world: World) -> World:
    """The lab with its machines as they came up."""
    world.reset()
    return world


@pytest.fixture(scope="package")
def furnished(world: World) -> World:
    """The lab with something on every page; tests that ask for it leave it so."""
    furnish(world)
    return world


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    """Playwright's own, but for its end."""
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as made:
        yield made


@pytest.fixture(scope="package")
def browser(
    world: World, playwright: Playwright, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Browser]:
    launcher = chromium.write_launcher(world.lab, "client", tmp_path_factory.mktemp("chromium"))
    browser = playwright.chromium.launch(
        executable_path=launcher, args=list(chromium.FLAGS), timeout=120_000
    )
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def browser_context_args() -> dict[str, Any]:
    return {"base_url": SERVER}


@pytest.fixture(scope="package")
def signed_in() -> dict[str, StorageState]:
    """The cookies of whoever has signed in so far, by name."""
    return {}


@pytest.fixture
def visit(
    world: World, signed_in: dict[str, StorageState], new_context: Callable[..., BrowserContext]
) -> Iterator[Visitors]:
    def patient(**options: Any) -> BrowserContext:
        context = new_context(**options)
        context.set_default_timeout(PATIENCE)
        return context

    visitors = Visitors(world, signed_in, patient)
    yield visitors
    assert visitors.complaints == []
