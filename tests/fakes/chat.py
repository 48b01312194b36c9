"""A small shop's questions and answers, and what a person does on the chat page."""

from __future__ import annotations

import pytest
from playwright.async_api import BrowserContext, Locator, Page, expect

from bot.types import Citation, Outcome, Reply
from knowledge.types import Passage
from tests.fakes.desk import Desk, Shelf
from tests.fakes.scripted import Script

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
HELD = "How long does a refund take, and what can I return?"
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
        HELD: Script(held, Reply(ANSWER, Outcome.ANSWERED, CITATIONS), hold_at=8),
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


BROKEN: list[str] = []
"""Errors in the page's own scripts; a fixture looks here after each test."""


async def opened(context: BrowserContext, chat: Desk) -> Page:
    """A page at the door."""
    page = await context.new_page()
    page.on("pageerror", lambda error: BROKEN.append(str(error)))
    await page.goto(chat.url)
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


async def tab_to(page: Page, target: Locator, key: str = "Tab") -> None:
    for _ in range(30):
        if await target.evaluate("element => element === document.activeElement"):
            return
        await page.keyboard.press(key)
    pytest.fail("the keyboard does not get there")
