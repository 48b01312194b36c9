"""What people do on the chat page, in a real Chromium before the real parts."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from bot.config import LimitSettings, ServerSettings
from bot.types import Citation, Outcome, Reply
from knowledge.types import Passage
from tests.fakes.chat import (
    ANSWER,
    HELD,
    QUOTE,
    REFUNDS,
    RETURNS,
    STARTERS,
    answered,
    ask,
    cut,
    opened,
    scripts,
    shelf,
)
from tests.fakes.desk import Desk, desk
from tests.fakes.hostile import ATTACKS
from tests.fakes.scripted import Script, ScriptedAnswerer

NO_BROWSER = not (shutil.which("chromium") or os.environ.get("CI"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NO_BROWSER, reason="there is no chromium here"),
]


async def test_ask_read_check_the_source_vote_and_find_it_all_after_a_reload(page: Page) -> None:
    await expect(page.get_by_role("heading", name="How can we help?")).to_be_visible()
    await page.get_by_role("button", name=STARTERS[0]).click()
    exchange = page.locator(".exchange")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    await expect(exchange.locator(".sources li")).to_have_count(2)

    await exchange.locator(".prose").get_by_role("button", name="Source 1").first.click()
    panel = page.get_by_role("dialog", name=REFUNDS.title)
    await expect(panel.locator("blockquote")).to_have_text(QUOTE)
    await expect(panel).to_contain_text("faq/returns.csv")
    link = panel.get_by_role("link", name="Open the page")
    await expect(link).to_have_attribute("href", REFUNDS.url)
    await expect(panel).to_contain_text("Banks sometimes take longer.")
    assert await page.evaluate("[...CSS.highlights.get('quote')].map(String)[0]") == QUOTE
    await panel.get_by_role("button", name="Close source").click()
    await expect(panel).to_be_hidden()

    await exchange.get_by_role("button", name="Not helpful").click()
    await expect(exchange).to_contain_text("Thank you for telling us.")
    await exchange.get_by_label("Out of date").check()
    await exchange.get_by_label("Anything else?").fill("It changed in May.\nReally.")
    await exchange.get_by_label("What should it have said?").fill("Ten days.")
    await exchange.get_by_role("button", name="Send").click()
    await expect(exchange.locator("form")).to_have_count(0)

    await page.reload()
    exchange = page.locator(".exchange")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    down = exchange.get_by_role("button", name="Not helpful")
    await expect(down).to_have_attribute("aria-pressed", "true")
    await exchange.get_by_role("button", name="Change what you told us").click()
    await expect(exchange.get_by_label("Out of date")).to_be_checked()
    note = exchange.get_by_label("Anything else?")
    await expect(note).to_have_value("It changed in May.\nReally.")
    await expect(exchange.get_by_label("What should it have said?")).to_have_value("Ten days.")


async def test_a_vote_can_be_changed_and_taken_back(page: Page, chat: Desk) -> None:
    exchange = await answered(page, "hello")
    up = exchange.get_by_role("button", name="Helpful", exact=True)
    down = exchange.get_by_role("button", name="Not helpful")
    await down.click()
    await up.click()
    await expect(up).to_have_attribute("aria-pressed", "true")
    await expect(down).to_have_attribute("aria-pressed", "false")
    await expect(exchange.locator("form")).to_have_count(0)
    await up.click()
    await expect(exchange).to_contain_text("Your vote is withdrawn.")
    counts = await chat.store.counts()
    assert (counts.votes[1], counts.votes[-1], counts.votes[0]) == (0, 0, 1)


async def test_the_answer_is_shown_while_it_is_made_and_survives_a_reload(
    page: Page, chat: Desk
) -> None:
    exchange = await ask(page, HELD)
    await expect(exchange.locator(".status")).to_have_text("Searching…")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "true")
    await expect(exchange.locator(".prose button")).to_have_count(0)
    await page.reload()
    exchange = page.locator(".exchange")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    await expect(page.get_by_role("button", name="Stop answering")).to_be_visible()
    chat.answerer.scripts[HELD].gate.set()
    await expect(exchange.locator(".prose li")).to_have_count(2)
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(page.get_by_role("button", name="Stop answering")).to_be_hidden()


@pytest.mark.parametrize("way", ["button", "escape"])
async def test_an_answer_can_be_stopped(page: Page, way: str) -> None:
    exchange = await ask(page, HELD)
    await expect(exchange.locator(".prose strong")).to_be_visible()
    if way == "button":
        await page.get_by_role("button", name="Stop answering").click()
    else:
        await page.keyboard.press("Escape")
    await expect(exchange.locator(".tag")).to_have_text("Stopped")
    await expect(exchange.locator(".prose")).to_contain_text("within 5 working days")
    await expect(page.get_by_label("Your question")).to_be_focused()


async def test_an_abstention_offers_questions_that_can_be_asked_at_once(page: Page) -> None:
    exchange = await answered(page, STARTERS[3])
    await expect(exchange.locator(".tag")).to_have_text("Not in our documentation")
    await exchange.get_by_role("button", name="Where are your shops?").click()
    await expect(page.locator(".bubble").last).to_have_text("Where are your shops?")
    await expect(page.locator(".prose").last).to_have_text("You said: Where are your shops?")


async def test_a_new_conversation_starts_empty_in_every_tab(
    context: BrowserContext, page: Page, chat: Desk
) -> None:
    await answered(page, "hello")
    other = await opened(context, chat)
    await expect(other.locator(".exchange")).to_have_count(1)
    await page.get_by_role("button", name="New conversation").click()
    for tab in (page, other):
        await expect(tab.locator(".exchange")).to_have_count(0)
        await expect(tab.get_by_role("heading", name="How can we help?")).to_be_visible()
    await answered(other, "from the other tab")
    await expect(page.locator(".prose")).to_have_text("You said: from the other tab")


async def test_a_restarted_server_is_found_again_and_what_was_sent_meanwhile_arrives(
    browser: Browser, tmp_path: Path
) -> None:
    context = await browser.new_context()
    async with desk(tmp_path, ScriptedAnswerer(scripts()), shelf()) as chat:
        page = await opened(context, chat)
        await answered(page, "before")
        port = httpx.URL(chat.url).port or 0
    await expect(page.locator("#connection")).to_have_text("Reconnecting…")
    exchange = await ask(page, "meanwhile")
    await expect(exchange.locator(".note")).to_contain_text("No connection")
    async with desk(tmp_path, ScriptedAnswerer(scripts()), shelf(), port=port):
        await expect(exchange.locator(".prose")).to_have_text("You said: meanwhile", timeout=30_000)
        await expect(page.locator("#connection")).to_have_text("", timeout=30_000)
        await expect(page.locator(".exchange")).to_have_count(2)
        await answered(page, "after")
        await context.close()


async def test_a_message_that_was_never_sent_survives_a_reload(
    browser: Browser, tmp_path: Path
) -> None:
    context = await browser.new_context()
    async with desk(tmp_path, shelf=shelf()) as chat:
        page = await opened(context, chat)
        await expect(page.locator("#suggestions li")).to_have_count(4)
        await page.route("**/api/messages", lambda route: route.abort())
        exchange = await ask(page, "keep me")
        await expect(exchange.locator(".note")).to_contain_text("No connection")
        await page.get_by_label("Your question").fill("half a thought")
        await page.unroute("**/api/messages")
        await page.reload()
        await expect(page.locator(".prose")).to_have_text("You said: keep me")
        await expect(page.get_by_label("Your question")).to_have_value("half a thought")
        assert len(chat.answerer.asked) == 1
        await context.close()


async def test_too_many_questions_and_too_long_ones_are_explained(
    browser: Browser, tmp_path: Path
) -> None:
    context = await browser.new_context()
    server = ServerSettings(rate_per_minute=1)
    limits = LimitSettings(message_chars=50, drain_s=1.0)
    async with desk(tmp_path, server=server, limits=limits) as chat:
        page = await opened(context, chat)
        await page.get_by_label("Your question").fill("x" * 51)
        await expect(page.locator("#count")).to_have_text("51 of 50 characters")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        await answered(page, "first")
        exchange = await ask(page, "second")
        await expect(exchange.locator(".note")).to_contain_text("Please wait a moment")
        await context.close()


async def test_hostile_texts_are_shown_and_never_run(context: BrowserContext, chat: Desk) -> None:
    everything = "\n\n".join(ATTACKS)
    passage = Passage(everything, ATTACKS[2], (ATTACKS[1],), question=ATTACKS[0])
    chat.shelf.passages[passage.id] = passage
    chat.shelf.starters[:] = ATTACKS[:4]
    cited = tuple(
        Citation(number, passage.id, attack, attack, f"javascript:{number}", quote=attack)
        for number, attack in enumerate(ATTACKS, 1)
    )
    text = everything + " ".join(f"[{number}]" for number in range(1, len(ATTACKS) + 1))
    reply = Reply(text, Outcome.ANSWERED, cited, suggestions=ATTACKS)
    chat.answerer.scripts["attack"] = Script(cut(text, 40), reply)
    page = await context.new_page()
    harm: list[str] = []
    page.on("dialog", lambda dialog: harm.append(dialog.message))
    page.on("request", lambda request: harm.append(request.url) if outside(request.url) else None)
    own = chat.url

    def outside(url: str) -> bool:
        return not url.startswith((own, "data:"))

    await page.goto(chat.url)
    await expect(page.locator("#suggestions li")).to_have_count(4)
    exchange = await answered(page, "attack")
    await expect(exchange.locator(".prose button.cite").first).to_be_visible()
    for number in (0, 2, 8):
        await exchange.locator("button.source").nth(number).click()
        await expect(page.locator("#panel-title")).to_have_text(ATTACKS[number])
        await expect(page.locator("#panel .prose")).to_be_visible()
        await page.get_by_role("button", name="Close source").click()
    for attack in ATTACKS[:6]:
        exchange = await answered(page, attack)
        await exchange.hover()
    await page.reload()
    await expect(page.locator(".exchange")).to_have_count(7)
    for link in await page.locator("a").all():
        assert re.match(r"(https?:|mailto:|/$|#question$)", str(await link.get_attribute("href")))
    assert (
        await page.locator("main :is(script, iframe, img, style, link, form[action])").count() == 0
    )
    assert await page.evaluate("window.__pwned") is None
    assert harm == []


async def test_the_policy_stops_what_would_get_past_the_cleaning(page: Page) -> None:
    """The last wall on its own: even markup planted in the page does not run."""
    refused = await page.evaluate(
        """() => {
            const image = document.createElement("img");
            const tries = [
                () => { document.body.innerHTML = "<img src=x onerror='window.__pwned=1'>"; },
                () => image.setAttribute("onerror", "window.__pwned=1"),
                () => { document.createElement("script").text = "window.__pwned=1"; },
            ];
            return tries.map((attempt) => {
                try { attempt(); return ""; } catch (error) { return error.name; }
            });
        }"""
    )
    assert refused == ["TypeError", "TypeError", "TypeError"]
    blocked = await page.evaluate(
        """() => new Promise((resolve) => {
            addEventListener("securitypolicyviolation", (event) => resolve(event.blockedURI));
            const image = document.createElement("img");
            image.src = "https://evil.example/pixel.png";
            document.body.append(image);
        })"""
    )
    assert blocked.startswith("https://evil.example")
    assert await page.evaluate("window.__pwned") is None


async def test_the_answer_can_be_copied_with_its_sources(
    context: BrowserContext, page: Page
) -> None:
    await context.grant_permissions(["clipboard-read", "clipboard-write"])
    exchange = await answered(page, STARTERS[0])
    await exchange.get_by_role("button", name="Copy answer").click()
    await expect(page.locator("#announcer")).to_have_text("Answer copied.")
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith(ANSWER)
    assert f"[1] {REFUNDS.title} ({REFUNDS.url})" in copied
    assert f"[2] {RETURNS.title} ({RETURNS.source})" in copied
