"""Calls to Slack's Web API: one try each, errors by name, the platform's pauses kept.

Knows HTTP statuses, error codes and rate limits. Never repeats a call: whether something is
sent again is decided by who can look up whether it arrived (`bot/dispatching/courier.py`).

Tiers (https://docs.slack.dev/apis/web-api/rate-limits) are kept from below for streams, whose
tier is low: an answer that would not get a stream is posted whole instead of waiting for one.
"""

from __future__ import annotations

import time
from typing import Any, Protocol

import aiohttp
from slack_sdk.errors import SlackApiError, SlackClientError
from slack_sdk.web.async_client import AsyncWebClient

from adapters.pace import Pace
from bot.errors import DeliveryError

STREAMS_PER_MINUTE = 18  # startStream and stopStream are Tier 2: 20
APPENDS_PER_MINUTE = 90  # appendStream is Tier 4: 100
POSTS_PER_MINUTE = 57  # in one channel: one a second
POSTS_AT_ONCE = 3  # "short bursts" are allowed, and no number is given
POST_PATIENCE_S = 20.0
_DEFAULT_PAUSE = 30.0

FINAL = frozenset(
    {
        "account_inactive",
        "channel_not_found",
        "ekm_access_denied",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "not_authed",
        "not_in_channel",
        "not_installed",  # ours: the app is not in that workspace any more
        "restricted_action",
        "restricted_action_non_threadable_channel",
        "restricted_action_read_only_channel",
        "restricted_action_thread_locked",
        "team_access_not_granted",
        "thread_not_found",
        "token_expired",
        "token_revoked",
        "user_not_found",
        "user_not_in_channel",
    }
)
"""Errors that trying again does not change."""


class SlackError(DeliveryError):
    """A call failed. `code` is Slack's name for it, `http_503`, or `connection`."""

    def __init__(
        self, method: str, code: str, *, maybe_shown: bool = False, after: float = 0.0
    ) -> None:
        super().__init__(
            f"Slack's {method} failed: {code}.",
            "See https://docs.slack.dev/reference/methods/" + method,
            maybe_shown=maybe_shown,
            final=code in FINAL,
            retry_after=after,
        )
        self.code = code


class Call(Protocol):
    """Calls the API of a tenant's workspace once. Raises `SlackError`."""

    async def __call__(self, tenant: str, method: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - each method's own
        """`not_installed` is the code where the app is not in that workspace."""
        ...


class Budget:
    """Calls that may be made now, refilled over time."""

    def __init__(self, per_minute: float) -> None:
        self._per_second = per_minute / 60
        self._most = per_minute
        self._level = per_minute
        self._at = time.monotonic()

    def take(self) -> bool:
        """True if a call may be made; it then counts."""
        now = time.monotonic()
        self._level = min(self._most, self._level + (now - self._at) * self._per_second)
        self._at = now
        if self._level < 1:
            return False
        self._level -= 1
        return True


class Api:
    """One workspace's API. `latched` holds features this workspace turned out not to have."""

    def __init__(self, client: AsyncWebClient) -> None:
        self._client = client
        self._until: dict[str, float] = {}
        self._posts = Pace(POSTS_PER_MINUTE, POSTS_AT_ONCE)
        self.starts = Budget(STREAMS_PER_MINUTE)
        self.appends = Budget(APPENDS_PER_MINUTE)
        self.latched: set[str] = set()

    def use(self, token: str) -> None:
        """Call with another token from now on."""
        self._client.token = token

    async def call(self, method: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - each method's own
        """Call once. Raises `SlackError`; without calling while Slack has asked us to wait.

        Posts to one channel wait in line for their turn, unless it is too far off.
        """
        posts_to = str(args.get("channel", "")) if method == "chat.postMessage" else ""
        if posts_to:
            left = await self._posts.turn(posts_to, POST_PATIENCE_S)
        else:
            left = self._until.get(method, 0.0) - time.monotonic()
        if left > 0:
            raise SlackError(method, "ratelimited", after=left)
        self._until.pop(method, None)
        if self._client.session is None or self._client.session.closed:
            # The client would open a connection for every call; they are kept for seconds only,
            # so that one is not used in the moment Slack closes it.
            self._client.session = aiohttp.ClientSession()
        try:
            verb = getattr(self._client, method.replace(".", "_"))
            data: dict[str, Any] = (await verb(**args)).data
        except SlackApiError as problem:
            raise self._named(method, posts_to, problem) from problem
        except (TimeoutError, aiohttp.ClientError, SlackClientError, OSError) as problem:
            raise SlackError(method, "connection", maybe_shown=True) from problem
        return data

    async def close(self) -> None:
        """Close the connections."""
        if self._client.session is not None:
            await self._client.session.close()

    def _named(self, method: str, posts_to: str, problem: SlackApiError) -> SlackError:
        response: Any = problem.response
        status = getattr(response, "status_code", 0)
        if status == 429:
            try:
                after = float(response.headers.get("Retry-After", _DEFAULT_PAUSE))
            except ValueError:
                after = _DEFAULT_PAUSE
            if posts_to:
                self._posts.hold(posts_to, after)
            else:
                self._until[method] = time.monotonic() + after
            return SlackError(method, "ratelimited", after=after)
        data = getattr(response, "data", response)
        code = data.get("error") if isinstance(data, dict) else None
        if not code or status >= 500:
            return SlackError(method, f"http_{status}", maybe_shown=True)
        return SlackError(method, str(code))
