"""What people see before they ask: suggested questions, and the app's home with their own.

Knows two surfaces. Failing to draw one is logged and costs nobody an answer.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from adapters.slack.api import Call, SlackError
from adapters.slack.places import NAME, actor_id, tenant
from adapters.slack.render import escape
from bot.store import Exchange, Store

PROMPTS = 4
RECENT = 5
_LINE = 150

Starters = Callable[[int], Awaitable[Sequence[str]]]
"""Questions that the knowledge answers, for somebody who does not know what to ask."""

log = structlog.get_logger(__name__)


class Home:
    """Draws both."""

    def __init__(self, call: Call, store: Store, starters: Starters, name: str) -> None:
        self._call = call
        self._store = store
        self._starters = starters
        self._name = name

    async def opened(self, body: Mapping[str, Any]) -> None:
        """Somebody opened a tab of the app."""
        event = body["event"]
        user = str(event["user"])
        try:
            if event.get("tab") == "messages":
                await self._suggest(tenant(body), str(event["channel"]))
            elif event.get("tab") == "home":
                recent = await self._store.recent(NAME, actor_id(tenant(body), user), RECENT)
                view = self._view(recent)
                await self._call(tenant(body), "views.publish", user_id=user, view=view)
        except SlackError as problem:
            log.info("a tab was not drawn", error=problem.message)

    async def _suggest(self, key: str, channel: str) -> None:
        asked = await self._starters(PROMPTS)
        if not asked:
            return
        prompts = [{"title": one[:_LINE], "message": one} for one in asked[:PROMPTS]]
        await self._call(
            key,
            "assistant.threads.setSuggestedPrompts",
            channel_id=channel,
            title="You could ask",
            prompts=prompts,
        )

    def _view(self, recent: Sequence[Exchange]) -> dict[str, Any]:
        lines = [f"• {escape(_short(one.text))} — _{_state(one)}_" for one in recent]
        asked = "\n".join(lines) or "You have not asked anything yet."
        intro = (
            f"Ask {escape(self._name)} in the *Messages* tab, or mention it in a channel. "
            "It answers from your organisation's documents and names them."
        )
        return {
            "type": "home",
            "blocks": [
                {"type": "section", "text": {"type": "mrkdwn", "text": intro}},
                {"type": "divider"},
                {"type": "header", "text": {"type": "plain_text", "text": "Your last questions"}},
                {"type": "section", "text": {"type": "mrkdwn", "text": asked}},
            ],
        }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LINE else line[: _LINE - 1] + "…"


def _state(one: Exchange) -> str:
    if one.reply is None:
        return "being answered"
    return {"answered": "answered", "abstained": "not in the documents"}.get(
        one.reply.outcome.value, one.reply.outcome.value
    )
