"""What staff do at the console, in a real Chromium before the real parts."""

from __future__ import annotations

import os
import shutil

import pytest
import pytest_asyncio
from playwright.async_api import BrowserContext, Page, expect

from bot.handover import SuggestionState
from bot.tables import CaseState, Role
from bot.types import Citation, Outcome, Reply
from knowledge.types import Audience
from tests.fakes.agency import PASSAGES, PASSWORD, Agency
from tests.fakes.chat import BROKEN, answered
from tests.fakes.hostile import ATTACKS

NO_BROWSER = not (shutil.which("chromium") or os.environ.get("CI"))
pytestmark = [
    pytest.mark.browser,
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(NO_BROWSER, reason="there is no chromium here"),
]

SUBJECTS = ("bells", "saddles", "lamps", "locks", "tyres", "brakes", "chains", "pedals", "forks")


@pytest_asyncio.fixture(loop_scope="module")
async def console(context: BrowserContext, own: Agency) -> Page:
    """A page of the console, logged in by typing, as an administrator."""
    await own.office.accounts.add("ann", PASSWORD, Role.ADMIN, Audience.INTERNAL, "test")
    page = await context.new_page()
    page.on("pageerror", lambda error: BROKEN.append(str(error)))
    await page.goto(f"{own.url}console/")
    await page.keyboard.type("ann")
    await page.keyboard.press("Tab")
    await page.keyboard.type(PASSWORD)
    await page.keyboard.press("Enter")
    await expect(page.locator("#work")).to_be_visible()
    return page


async def states(own: Agency) -> dict[CaseState, int]:
    return await own.office.cases.counts(list(Audience))


async def test_a_queue_of_ten_is_cleared_by_keyboard_alone(console: Page, own: Agency) -> None:
    for subject in SUBJECTS:
        await own.answered(f"how are {subject} mounted", down="wrong")
    doubted = await own.answered("why is the sky blue", Reply("?", Outcome.ABSTAINED), down="no")
    await console.reload()
    tab = console.get_by_role("link", name="To review")
    await expect(tab).to_have_text("To review 10")

    async def decided(left: int) -> None:
        await expect(tab).to_have_text(f"To review {left}")

    keys = console.keyboard
    await keys.press("1")
    await keys.press("Enter")
    await decided(9)
    for left, fault in ((8, "2"), (7, "3"), (6, "4")):
        await keys.press(fault)
        await keys.press("Enter")
        await decided(left)
    await keys.press("e")
    await keys.type("With the **key** from the box.")
    await keys.press("Escape")
    await keys.press("5")
    await keys.press("Enter")
    await decided(5)
    await keys.press("u")
    await decided(6)
    await expect(console.get_by_label("What it should have said")).to_have_value("")
    await keys.press("d")
    await decided(5)
    await keys.press("x")
    await expect(console.locator("#selected")).to_have_text("1")
    await keys.press("j")
    await expect(console.locator(".case").nth(1)).to_have_class("case open")
    await keys.press("x")
    await expect(console.locator("#selected")).to_have_text("2")
    await keys.press("Shift+D")
    await decided(3)
    await keys.press("e")
    await keys.type("By hand.")
    await keys.press("Control+s")
    await decided(2)
    for left in (1, 0):
        await keys.press("1")
        await keys.press("Enter")
        await decided(left)
    await expect(console.locator("#pane")).to_contain_text("Inbox zero")
    found = await states(own)
    assert (found[CaseState.OPEN], found[CaseState.DRAFT]) == (0, 1)
    assert found[CaseState.DONE] + found[CaseState.DISCARDED] == 9
    assert (await own.office.cases.case(doubted, list(Audience)))["state"] is not CaseState.OPEN


async def test_a_correction_is_what_the_chat_page_says_from_then_on(
    console: Page, own: Agency, context: BrowserContext
) -> None:
    question = "how long is the warranty"
    chat = await context.new_page()
    await chat.goto(own.url)
    before = await answered(chat, question)
    await expect(before.locator(".prose")).to_contain_text("ten years")
    await before.get_by_role("button", name="Not helpful").click()
    await expect(before).to_contain_text("Thank you for telling us.")
    await console.reload()
    await expect(console.locator(".turn.current .bubble")).to_have_text(question)
    await console.keyboard.press("e")
    await console.keyboard.type("**Twelve** years, since May [1]")
    await console.keyboard.press("Control+Enter")
    await expect(console.locator("#toasts")).to_contain_text("Live")
    after = await answered(chat, question)
    await expect(after.locator(".prose strong")).to_have_text("Twelve")
    await expect(after.locator(".tag")).to_have_text("Written by our team")
    await expect(after.locator(".sources li")).to_have_count(1)
    await console.keyboard.press("u")
    await expect(console.locator("#toasts")).to_contain_text("Taken back")
    again = await answered(chat, question)
    await expect(again.locator(".prose")).to_contain_text("ten years")


async def test_a_person_who_asks_for_somebody_is_answered_from_the_live_page(
    console: Page, own: Agency, context: BrowserContext
) -> None:
    chat = await context.new_page()
    chat.on("pageerror", lambda error: BROKEN.append(str(error)))
    await chat.goto(own.url)
    await answered(chat, "talk to a human")
    await chat.get_by_label("Your question").fill("my bike is on fire")
    await chat.keyboard.press("Enter")
    await expect(chat.locator(".exchange").last).to_contain_text("Sent to our team.")
    await console.keyboard.press("g")
    await console.keyboard.press("l")
    await console.locator("#cases .case a").click()
    await expect(console.locator("#talk")).to_contain_text("my bike is on fire")
    await console.get_by_label("Your reply").fill("Step back. We are <b>coming</b>.")
    await console.get_by_role("button", name="Send").click()
    staff = chat.locator(".exchange", has_text="We are <b>coming</b>.")
    await expect(staff).to_contain_text("Our team")
    await expect(staff).to_contain_text("Ann:")
    await expect(console.locator("#talk")).to_contain_text("We are <b>coming</b>.")
    await chat.reload()
    await expect(chat.locator(".exchange", has_text="We are")).to_have_count(1)
    await console.get_by_role("button", name="Resolve").click()
    await expect(console.locator("#cases")).to_contain_text("Nobody waits")
    await answered(chat, "how long is the warranty")
    (suggestion,) = await own.dispatcher.handovers.suggestions(SuggestionState.NEW)
    assert suggestion.question == "my bike is on fire"
    await console.goto(f"{own.url}console/knowledge/suggestions")
    await console.get_by_role("button", name="Approve").click()
    await expect(console.locator("main")).to_contain_text("No suggestion waits")
    exchange = await answered(chat, "my bike is on fire")
    await expect(exchange.locator(".prose")).to_contain_text("Step back.")


async def test_hostile_texts_are_shown_on_every_page_and_never_run(
    console: Page, own: Agency
) -> None:
    harm: list[str] = []
    console.on("dialog", lambda dialog: harm.append(dialog.message))
    console.on(
        "request",
        lambda request: (
            harm.append(request.url) if not request.url.startswith((own.url, "data:")) else None
        ),
    )
    everything = "\n\n".join(ATTACKS)
    cited = tuple(
        Citation(number, PASSAGES[0].id, attack, attack, f"javascript:{number}", quote=attack)
        for number, attack in enumerate(ATTACKS, 1)
    )
    marks = " ".join(f"[{number}]" for number in range(1, len(ATTACKS) + 1))
    reply = Reply(everything + marks, Outcome.ANSWERED, cited, rewritten=ATTACKS[0])
    worst = await own.answered(everything, reply, down=everything)
    for attack in ATTACKS[:8]:
        await own.answered(attack, Reply(attack, Outcome.ABSTAINED, model=attack), down=attack)
    await own.office.views.save("ann", ATTACKS[0], "q=x", shared=True)
    await own.store.audit(ATTACKS[0], "read", ATTACKS[1], {ATTACKS[2]: ATTACKS[3]})
    admin = await own.login(Role.ADMIN)
    entry = {"question": ATTACKS[1], "answer": everything}
    await console.goto(f"{own.url}console/knowledge/new")
    await console.get_by_label("Question").fill(entry["question"])
    await console.get_by_label("Answer, in Markdown").fill(entry["answer"])
    await console.get_by_role("button", name="Save and index").click()
    await expect(console.locator("main")).to_contain_text(ATTACKS[1])
    planted = next(one for one in own.office.faq.passages() if one.question == ATTACKS[1])
    for path in (
        *("queue", f"queue/{worst}", "search", "search?q=script", "dashboard", "knowledge"),
        *("knowledge/entries", "knowledge/gaps", "knowledge/twins", "knowledge/curated", "audit"),
        *(f"knowledge/passage/{planted.id}", "knowledge/try?q=script", "people", "live"),
    ):
        await console.goto(f"{own.url}console/{path}")
        await console.locator("details").evaluate_all("all => all.forEach(one => one.open = true)")
        planted_elements = "main :is(script, iframe, img, style, link, meta, base, object)"
        assert await console.locator(planted_elements).count() == 0, path
        assert await console.evaluate("window.__pwned") is None, path
    await console.goto(f"{own.url}console/queue/{worst}")
    await console.keyboard.press("a")
    await expect(console.locator(".compare")).to_be_visible()
    await console.keyboard.press("r")
    await expect(console.locator(".replay")).to_be_visible()
    assert await console.evaluate("window.__pwned") is None
    assert harm == []
    assert admin.member.role is Role.ADMIN


async def test_the_keyboard_map_opens_and_a_phone_shows_list_and_case_in_turn(
    console: Page, own: Agency
) -> None:
    await own.answered("how are bells mounted", down="wrong")
    await own.answered("what colour is the saddle", down="wrong")
    await console.reload()
    await console.keyboard.press("?")
    await expect(console.get_by_role("dialog")).to_contain_text("save and go to the next")
    await console.keyboard.press("Escape")
    await console.set_viewport_size({"width": 390, "height": 800})
    await console.goto(f"{own.url}console/queue")
    await expect(console.locator("#pane")).to_be_hidden()
    await console.locator("#cases .case a").last.click()
    await expect(console.locator("#pane .bubble")).to_be_visible()
    await expect(console.locator("#cases")).to_be_hidden()
    for path in ("queue", "search", "dashboard", "knowledge", "people"):
        await console.goto(f"{own.url}console/{path}")
        wide = await console.evaluate(
            "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
        assert wide <= 0, path
