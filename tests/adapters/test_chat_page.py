"""The chat page in a real Chromium, in front of the real store, dispatcher and server.

Screenshots of the main states are written to `artifacts/web/`, for people to look at.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import (
    Browser,
    BrowserContext,
    Locator,
    Page,
    async_playwright,
    expect,
)

from bot.config import LimitSettings, ServerSettings
from bot.types import Citation, Outcome, Reply
from knowledge.types import Passage
from tests.fakes.desk import Desk, Shelf, desk
from tests.fakes.hostile import ATTACKS
from tests.fakes.scripted import Script, ScriptedAnswerer

CHROMIUM = shutil.which("chromium")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(
        CHROMIUM is None and not os.environ.get("CI"), reason="there is no chromium here"
    ),
]

PICTURES = Path(__file__).parents[2] / "artifacts" / "web"

QUOTE = "Once we have the parcel, the money is back on your account within 5 working days."
REFUNDS = Passage(
    "Refunds go to the card you paid with. Once we have the parcel, **the money is back on your "
    "account within 5 working days**. Banks sometimes take longer.\n\n- Shipping is refunded.",
    "faq/returns.csv",
    ("Returns", "How long does a refund take?"),
    question="How long does a refund take?",
    url="https://example.com/help/refunds",
)
RETURNS = Passage(
    "You can return anything within 30 days, unused and in its packaging.",
    "handbook/returns.md",
    ("Handbook", "Returns", "Deadlines"),
)
ANSWER = """The money is back **within 5 working days** [1]. You have 30 days to return it [2].

- Shipping is refunded when the *whole* order comes back [1]
- Furniture made to measure cannot be returned [2]"""
CITATIONS = (
    Citation(1, REFUNDS.id, REFUNDS.title, REFUNDS.source, REFUNDS.url, quote=QUOTE),
    Citation(2, RETURNS.id, RETURNS.title, RETURNS.source, quote=RETURNS.text),
)
TABLE = """Delivery depends on the size [1]:

| Size | Standard | Express | Countries |
|---|--:|--:|---|
| Parcel | 3-5 days | next day | all of the EU, Norway, Switzerland and Liechtenstein |
| Furniture | 2-3 weeks | 1 week | Germany, Austria, the Netherlands |

```sh
curl https://api.example.com/v1/deliveries/4711 --header "Authorization: Bearer 0123456789"
```"""
STARTERS = [
    "How long does a refund take?",
    "When will my sofa arrive?",
    "Can I change my delivery address after ordering?",
    "Do you sell pianos?",
]


def cut(text: str, size: int = 12) -> tuple[str, ...]:
    return tuple(text[at : at + size] for at in range(0, len(text), size))


def scripts() -> dict[str, Script]:
    """Fresh ones each time: a script's gate opens only once."""
    held = cut(ANSWER)
    return {
        STARTERS[0]: Script(held, Reply(ANSWER, Outcome.ANSWERED, CITATIONS)),
        "hold": Script(held, Reply(ANSWER, Outcome.ANSWERED, CITATIONS), hold_at=8),
        STARTERS[1]: Script(cut(TABLE), Reply(TABLE, Outcome.ANSWERED, CITATIONS[:1])),
        STARTERS[3]: Script(
            (),
            Reply(
                "That is not in what I know. [Write to us](mailto:help@example.com).",
                Outcome.ABSTAINED,
                suggestions=("What furniture do you sell?", "Where are your shops?"),
            ),
        ),
        "متى؟": Script(
            (), Reply("خلال **5 أيام عمل** [1].", Outcome.ANSWERED, CITATIONS[:1], lang="ar")
        ),
    }


def shelf() -> Shelf:
    return Shelf(list(STARTERS), {one.id: one for one in (REFUNDS, RETURNS)})


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        yield await playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )


@pytest_asyncio.fixture(loop_scope="module")
async def door(tmp_path: Path) -> AsyncIterator[Desk]:
    async with desk(tmp_path, ScriptedAnswerer(scripts()), shelf()) as door:
        yield door


@pytest_asyncio.fixture(loop_scope="module")
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    context = await browser.new_context(viewport={"width": 1280, "height": 860})
    context.set_default_timeout(20_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def page(context: BrowserContext, door: Desk) -> Page:
    return await opened(context, door)


async def opened(context: BrowserContext, door: Desk) -> Page:
    """A page at the door; an error in its scripts or its policy fails the test."""
    page = await context.new_page()

    def complain(problem: Any) -> None:
        raise AssertionError(problem)

    page.on("pageerror", complain)
    await page.goto(door.url)
    return page


async def ask(page: Page, text: str) -> Locator:
    """Ask, and return the exchange that shows it."""
    await page.get_by_label("Your question").fill(text)
    await page.keyboard.press("Enter")
    exchange = page.locator(".exchange").last
    await expect(exchange.locator(".bubble")).to_have_text(text)
    return exchange


async def answered(page: Page, text: str) -> Locator:
    exchange = await ask(page, text)
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "false")
    return exchange


async def overflow(page: Page) -> int:
    """How many pixels the page is wider than its window."""
    return int(
        await page.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


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


async def test_a_vote_can_be_changed_and_taken_back(page: Page, door: Desk) -> None:
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
    counts = await door.store.counts()
    assert (counts.votes[1], counts.votes[-1], counts.votes[0]) == (0, 0, 1)


async def test_the_answer_is_shown_while_it_is_made_and_survives_a_reload(
    page: Page, door: Desk
) -> None:
    exchange = await ask(page, "hold")
    await expect(exchange.locator(".status")).to_have_text("Searching…")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "true")
    await expect(exchange.locator(".prose button")).to_have_count(0)
    await page.reload()
    exchange = page.locator(".exchange")
    await expect(exchange.locator(".prose strong")).to_have_text("within 5 working days")
    await expect(page.get_by_role("button", name="Stop answering")).to_be_visible()
    door.answerer.scripts["hold"].gate.set()
    await expect(exchange.locator(".prose li")).to_have_count(2)
    await expect(exchange.locator(".answer")).to_have_attribute("aria-busy", "false")
    await expect(page.get_by_role("button", name="Stop answering")).to_be_hidden()


@pytest.mark.parametrize("way", ["button", "escape"])
async def test_an_answer_can_be_stopped(page: Page, way: str) -> None:
    exchange = await ask(page, "hold")
    await expect(exchange.locator(".prose strong")).to_be_visible()
    if way == "button":
        await page.get_by_role("button", name="Stop answering").click()
    else:
        await page.keyboard.press("Escape")
    await expect(exchange.locator(".tag")).to_have_text("Stopped")
    await expect(exchange.locator(".prose")).to_contain_text("within 5 working days")
    await expect(page.get_by_label("Your question")).to_be_focused()


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


async def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    for _ in range(30):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press(key)
    pytest.fail("the keyboard does not get there")


@pytest.mark.parametrize("width", [320, 390])
async def test_nothing_sticks_out_on_a_phone(browser: Browser, door: Desk, width: int) -> None:
    context = await browser.new_context(
        viewport={"width": width, "height": 700}, is_mobile=True, has_touch=True
    )
    page = await opened(context, door)
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


async def test_an_abstention_offers_questions_that_can_be_asked_at_once(page: Page) -> None:
    exchange = await answered(page, STARTERS[3])
    await expect(exchange.locator(".tag")).to_have_text("Not in our documentation")
    await exchange.get_by_role("button", name="Where are your shops?").click()
    await expect(page.locator(".bubble").last).to_have_text("Where are your shops?")
    await expect(page.locator(".prose").last).to_have_text("You said: Where are your shops?")


async def test_a_new_conversation_starts_empty_in_every_tab(
    context: BrowserContext, page: Page, door: Desk
) -> None:
    await answered(page, "hello")
    other = await opened(context, door)
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
    async with desk(tmp_path, ScriptedAnswerer(scripts()), shelf()) as door:
        page = await opened(context, door)
        await answered(page, "before")
        port = httpx.URL(door.url).port or 0
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
    async with desk(tmp_path, shelf=shelf()) as door:
        page = await opened(context, door)
        await expect(page.locator("#suggestions li")).to_have_count(4)
        await page.route("**/api/messages", lambda route: route.abort())
        exchange = await ask(page, "keep me")
        await expect(exchange.locator(".note")).to_contain_text("No connection")
        await page.get_by_label("Your question").fill("half a thought")
        await page.unroute("**/api/messages")
        await page.reload()
        await expect(page.locator(".prose")).to_have_text("You said: keep me")
        await expect(page.get_by_label("Your question")).to_have_value("half a thought")
        assert len(door.answerer.asked) == 1
        await context.close()


async def test_too_many_questions_and_too_long_ones_are_explained(
    browser: Browser, tmp_path: Path
) -> None:
    context = await browser.new_context()
    server = ServerSettings(rate_per_minute=1)
    limits = LimitSettings(message_chars=50, drain_s=1.0)
    async with desk(tmp_path, server=server, limits=limits) as door:
        page = await opened(context, door)
        await page.get_by_label("Your question").fill("x" * 51)
        await expect(page.locator("#count")).to_have_text("51 of 50 characters")
        await expect(page.get_by_role("button", name="Send")).to_be_disabled()
        await answered(page, "first")
        exchange = await ask(page, "second")
        await expect(exchange.locator(".note")).to_contain_text("Please wait a moment")
        await context.close()


async def test_hostile_texts_are_shown_and_never_run(context: BrowserContext, door: Desk) -> None:
    everything = "\n\n".join(ATTACKS)
    passage = Passage(everything, ATTACKS[2], (ATTACKS[1],), question=ATTACKS[0])
    door.shelf.passages[passage.id] = passage
    door.shelf.starters[:] = ATTACKS[:4]
    cited = tuple(
        Citation(number, passage.id, attack, attack, f"javascript:{number}", quote=attack)
        for number, attack in enumerate(ATTACKS, 1)
    )
    text = everything + " ".join(f"[{number}]" for number in range(1, len(ATTACKS) + 1))
    reply = Reply(text, Outcome.ABSTAINED, cited, suggestions=ATTACKS)
    door.answerer.scripts["attack"] = Script(cut(text, 40), reply)
    page = await context.new_page()
    harm: list[str] = []
    page.on("dialog", lambda dialog: harm.append(dialog.message))
    page.on("request", lambda request: harm.append(request.url) if outside(request.url) else None)
    own = door.url

    def outside(url: str) -> bool:
        return not url.startswith((own, "data:"))

    await page.goto(door.url)
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


async def test_without_javascript_the_page_says_so(browser: Browser, door: Desk) -> None:
    context = await browser.new_context(java_script_enabled=False)
    page = await context.new_page()
    await page.goto(door.url)
    await expect(page.get_by_role("heading", name="This page needs JavaScript")).to_be_visible()
    await expect(page.locator("#composer")).to_be_hidden()
    await context.close()


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


async def test_still_pictures_for_those_who_asked_for_them(browser: Browser, door: Desk) -> None:
    context = await browser.new_context(reduced_motion="reduce")
    page = await opened(context, door)
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
async def test_every_text_has_enough_contrast(browser: Browser, door: Desk, scheme: Any) -> None:
    context = await browser.new_context(color_scheme=scheme, reduced_motion="reduce")
    page = await opened(context, door)
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
    browser: Browser, door: Desk, scheme: Any, size: tuple[int, int]
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
        page = await opened(context, door)

        async def picture(name: str) -> None:
            path = PICTURES / f"{width}-{scheme}-{name}.png"
            assert await page.screenshot(path=path)
            assert await overflow(page) == 0

        await expect(page.locator("#suggestions li")).to_have_count(4)
        await picture("1-welcome")
        exchange = await ask(page, "hold")
        await expect(exchange.locator(".prose strong")).to_be_visible()
        await picture("2-streaming")
        door.answerer.scripts["hold"].gate.set()
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
