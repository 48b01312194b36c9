"""Doors to knock on, and a browser to do it with."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from bot.config import ServerSettings
from tests.fakes.chat import BROKEN, opened, scripts, shelf
from tests.fakes.desk import Desk, desk
from tests.fakes.scripted import ScriptedAnswerer


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def door(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Desk]:
    """One door for the tests that need nothing special; each comes as a visitor of its own."""
    server = ServerSettings(rate_per_minute=10_000)
    async with desk(tmp_path_factory.mktemp("door"), server=server) as door:
        yield door


@pytest_asyncio.fixture(loop_scope="module")
async def chat(tmp_path: Path) -> AsyncIterator[Desk]:
    """A door of its own, with a shop's knowledge behind it."""
    async with desk(tmp_path, ScriptedAnswerer(scripts()), shelf()) as chat:
        yield chat


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(20_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, chat: Desk) -> Page:
    return await opened(context, chat)


@pytest.fixture(autouse=True)
def unbroken() -> Iterator[None]:
    """No script of a page opened by the test may have failed."""
    BROKEN.clear()
    yield
    assert BROKEN == []
