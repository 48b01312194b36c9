"""Signs of life while an answer is made: the line under the thread, and the Stop button.

Knows the two calls and when they lapse. None of them is needed: a failure costs nothing, and
one that a workspace does not have is not made again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import structlog

from adapters.slack.api import Api, SlackError

STATUS_S = 90.0  # a status vanishes after 120 s
STATUS_CHARS = 100
MOST_STATUS_S = 900.0
LOOK_S = 0.25
NOT_HERE = frozenset(
    {
        "channel_type_not_supported",
        "feature_not_enabled",
        "method_deprecated",
        "method_not_supported_for_channel_type",
        "missing_scope",
        "not_allowed_token_type",
        "unknown_method",
    }
)
"""Errors that say this workspace, or this kind of conversation, has no such thing."""

log = structlog.get_logger(__name__)


class Signs:
    """The signs of life of one answer in one thread."""

    def __init__(self, api: Api, now: Callable[[], float], channel: str, thread: str) -> None:
        self._api = api
        self._now = now
        self._at = {"channel_id": channel, "thread_ts": thread}
        self._said = ""
        self.ending = asyncio.Event()
        self.session_open = False

    def say(self, text: str) -> None:
        """What is being done, from now on; Slack puts our name before it."""
        self._said = f"is {text[:1].lower()}{text[1:STATUS_CHARS]}"

    async def keep(self, seen: Callable[[], bool]) -> None:
        """Show the newest status at once, and again before it vanishes, until text is seen."""
        shown, since, began = None, 0.0, self._now()
        while self._now() - began < MOST_STATUS_S and not seen():
            said = self._said or "is looking that up…"
            if said != shown or self._now() - since > STATUS_S:
                first, shown, since = shown is None, said, self._now()
                await self.attempt("assistant.threads.setStatus", **self._at, status=said)
                if first and not self.ending.is_set():
                    self.session_open = await self._session("processing")
            if await self.ended_within(LOOK_S):
                return

    async def ended_within(self, seconds: float) -> bool:
        """Wait so long, or until it is told to end; True if it was."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.ending.wait()
        return self.ending.is_set()

    async def close(self, status: str) -> None:
        """Take the Stop button away."""
        if self.session_open:
            self.session_open = not await self._session(status)

    async def _session(self, status: str) -> bool:
        """Set the state that brings the Stop button; False where the workspace has none."""
        return await self.attempt("agents.sessions.setStatus", **self._at, status=status)

    async def attempt(self, method: str, **args: Any) -> bool:  # noqa: ANN401 - each method's own
        """Make a call whose failure costs nothing; one that never works is not made again."""
        if method in self._api.latched:
            return False
        try:
            await self._api.call(method, **args)
        except SlackError as problem:
            if problem.code in NOT_HERE:
                self._api.latched.add(method)
            log.info("a sign of life was not shown", error=problem.message)
            return False
        return True
