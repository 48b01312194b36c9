"""The chat page by keyboard, on a phone, read aloud, in the dark; in a real Chromium.

Pictures of the main states are written to `artifacts/web/`, for people to look at.
"""

from __future__ import annotations

import os
import shutil
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.fakes.chat import (
    HELD,
    REFUNDS,
    STARTERS,
    answered,
    ask,
    opened,
    overflow,
    tab_to,
)
from tests.fakes.desk import Desk

NO_BROWSER = not (shutil.which("chromium") or os.environ.get("CI"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NO_BROWSER, reason="there is no chromium here"),
]

PICTURES = Path(__file__).parents[2] / "artifacts" / "web"


async def test_everything_works_with_the_keyboard_alone(page: Page) -> None:
    box = page.get_by_label("Your question")
    await expect(box).to_be_focused()
    await page.keyboard.type("first line")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.type("second line")
    await expect(box).to_have_value("first line\nsecond line")
    await page.keyboard.press("Control+A")
    await page.keyboard.type(STARTERS[0])
    await page.keyboard.press("Enter")
    exchange = page.locator(".exchange")
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "false")

    chip = exchange.locator(".prose button").first
    await tab_to(page, chip, "Shift+Tab")
    await page.keyboard.press("Enter")
    panel = page.get_by_role("dialog")
    await expect(panel.get_by_role("heading", name=REFUNDS.title)).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(panel).to_be_hidden()
    await expect(chip).to_be_focused()

    await tab_to(page, exchange.get_by_role("button", name="Not helpful"))
    await page.keyboard.press("Enter")
    await expect(exchange.get_by_label("Not correct")).to_be_focused()
    await page.keyboard.press("ArrowRight")
    await expect(exchange.get_by_label("Out of date")).to_be_checked()
    await page.keyboard.press("Tab")
    await page.keyboard.type("too old")
    await page.keyboard.press("Escape")
    await expect(exchange.locator("form")).to_have_count(0)
    await expect(exchange.get_by_role("button", name="Not helpful")).to_be_focused()
    await tab_to(page, box)  # nothing holds the focus


@pytest.mark.parametrize("width", [320, 390])
async def test_nothing_sticks_out_on_a_phone(browser: Browser, chat: Desk, width: int) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": 700}, is_mobile=True, has_touch=True
    )
    page = await opened(context, chat)
    await expect(page.locator("#suggestions li")).to_have_count(4)
    assert await overflow(page) == 0
    await answered(page, STARTERS[1])
    exchange = page.locator(".exchange").first
    await answered(page, "Donaudampfschifffahrtsgesellschaft" * 5)
    assert await overflow(page) == 0
    table = exchange.get_by_role("group", name="Table")
    assert await table.evaluate("element => element.scrollWidth > element.clientWidth")
    await exchange.locator(".prose button").first.tap()
    panel = page.get_by_role("dialog")
    await expect(panel).to_be_visible()
    assert await panel.evaluate("element => element.matches(':modal')")
    assert await overflow(page) == 0
    await page.get_by_role("button", name="Close source").tap()
    small = await page.evaluate(
        """[...document.querySelectorAll("button:not(.cite)")]
        .filter((button) => button.checkVisibility())
        .map((button) => [button.textContent, button.getBoundingClientRect()])
        .filter(([, box]) => box.width < 24 || box.height < 24).map(([text]) => text)"""
    )
    assert small == []
    await context.close()


async def test_right_to_left_text_is_laid_out_from_the_right(page: Page) -> None:
    exchange = await answered(page, "متى؟")
    direction = "element => getComputedStyle(element).direction"
    assert await exchange.locator(".bubble").evaluate(direction) == "rtl"
    assert await exchange.locator(".prose").evaluate(direction) == "rtl"
    await expect(exchange.locator(".prose")).to_have_attribute("lang", "ar")


async def test_without_javascript_the_page_says_so(browser: Browser, chat: Desk) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(chat.url)
    await expect(page.get_by_role("heading", name="This page needs JavaScript")).to_be_visible()
    await expect(page.locator("#composer")).to_be_hidden()
    await context.close()


async def test_the_chosen_theme_is_kept(page: Page) -> None:
    background = "getComputedStyle(document.documentElement).backgroundColor"
    light = await page.evaluate(background)
    await page.get_by_role("button", name="Switch between light and dark").click()
    dark = await page.evaluate(background)
    assert light != dark
    await page.reload()
    assert await page.evaluate(background) == dark


async def test_screen_readers_find_names_roles_and_quiet_updates(page: Page) -> None:
    exchange = await answered(page, STARTERS[0])
    await exchange.get_by_role("button", name="Not helpful").click()
    await expect(exchange.get_by_role("group", name="What was wrong?")).to_be_visible()
    log = page.get_by_role("log", name="Conversation")
    await expect(log).to_have_attribute("aria-live", "polite")
    assert await page.locator("html").get_attribute("lang") == "en"
    for kind in ("banner", "main"):
        await expect(page.get_by_role(kind)).to_have_count(1)  # type: ignore[arg-type]  # two of the literals
    nameless = await page.evaluate(
        """[...document.querySelectorAll("button, textarea, a, input")].filter((element) =>
            element.checkVisibility() &&
            !(element.getAttribute("aria-label") || element.textContent.trim() ||
              element.labels?.length)).map((element) => element.outerHTML)"""
    )
    assert nameless == []
    ids = await page.evaluate("[...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    described = await page.get_by_label("Your question").get_attribute("aria-describedby")
    assert described in ids


async def test_still_pictures_for_those_who_asked_for_them(browser: Browser, chat: Desk) -> None:
    context = await browser.new_context(reduced_motion="reduce")
    page = await opened(context, chat)
    await expect(page.locator("#suggestions li")).to_have_count(4)
    longest = await page.evaluate(
        """Math.max(0, ...document.getAnimations().map(
            (animation) => animation.effect.getComputedTiming().activeDuration))"""
    )
    assert longest < 50
    await context.close()


CONTRASTS = """() => {
  const canvas = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgb = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => {
    const [x, y, z] = [r, g, b].map((v) => v / 255)
      .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = rgb(getComputedStyle(at).backgroundColor);
      if (colour[3] === 255) return colour;
    }
    return rgb("white");
  };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || !element.checkVisibility()) continue;
    if (element.closest(".unseen, .skip, noscript, button:disabled")) continue;
    const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    found.push([Math.round(ratio * 100) / 100, walker.currentNode.data.trim().slice(0, 30)]);
  }
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_text_has_enough_contrast(browser: Browser, chat: Desk, scheme: Any) -> None:
    context = await browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = await opened(context, chat)
    await expect(page.locator("#suggestions li")).to_have_count(4)
    contrasts = await page.evaluate(CONTRASTS)
    await answered(page, STARTERS[3])
    exchange = await answered(page, STARTERS[0])
    await exchange.get_by_role("button", name="Not helpful").click()
    await exchange.get_by_label("Out of date").check()
    await exchange.locator(".source").first.click()
    await expect(page.locator("#panel .prose")).to_be_visible()
    contrasts += await page.evaluate(CONTRASTS)
    assert len(contrasts) > 30
    assert [pair for pair in contrasts if pair[0] < 4.5] == []
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 860), (390, 844)])
async def test_pictures_for_people(
    browser: Browser, chat: Desk, scheme: Any, size: tuple[int, int]
) -> None:
    width, height = size
    async with AsyncExitStack() as stack:
        context = await browser.new_context(
            viewport={"width": width, "height": height},
            color_scheme=scheme,
            reduced_motion="reduce",
            is_mobile=width < 500,
            has_touch=width < 500,
        )
        stack.push_async_callback(context.close)
        page = await opened(context, chat)

        async def picture(name: str) -> None:
            path = PICTURES / f"{width}-{scheme}-{name}.png"
            assert await page.screenshot(path=path)
            assert await overflow(page) == 0

        await expect(page.locator("#suggestions li")).to_have_count(4)
        await picture("1-welcome")
        exchange = await ask(page, HELD)
        await expect(exchange.locator(".prose strong")).to_be_visible()
        await picture("2-streaming")
        chat.answerer.scripts[HELD].gate.set()
        await expect(exchange.locator(".sources li")).to_have_count(2)
        await picture("3-answer")
        await exchange.locator(".prose button").first.click()
        await expect(page.locator("#panel .prose")).to_be_visible()
        await picture("4-source")
        await page.get_by_role("button", name="Close source").click()
        await exchange.get_by_role("button", name="Not helpful").click()
        await exchange.get_by_label("Out of date").check()
        await picture("5-vote")
        await exchange.get_by_role("button", name="Not now").click()
        for text in (STARTERS[1], "متى؟", STARTERS[3]):
            await answered(page, text)
        await picture("6-more")
