"""Which workspace an event or an answer belongs to, and how to speak there.

Knows the two ways an app can be installed: in one workspace, with a token from the settings, or
in any number of them, each with a token of its own (`adapters/slack/installs.py`). Everybody
else asks for a tenant's `Workspace` and need not know which way it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api import Api, Call
from adapters.slack.places import Identity
from bot.config import SlackSettings


@dataclass(frozen=True, slots=True)
class Workspace:
    """One workspace, or one organisation the app is installed in."""

    api: Api
    me: Identity


class Workspaces(Protocol):
    """Where the app is installed."""

    async def of(self, tenant: str) -> Workspace:
        """The workspace of a tenant. Raises `SlackError`: `not_installed` if it is not ours."""
        ...

    async def all(self) -> Sequence[str]:
        """Every tenant known now."""
        ...

    async def renew(self) -> None:
        """Renew the tokens that end soon."""
        ...

    async def forget(self, tenant: str) -> None:
        """The app was removed there."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


def caller(spaces: Workspaces) -> Call:
    """What those need who only call."""

    async def call(tenant: str, method: str, **args: Any) -> dict[str, Any]:  # noqa: ANN401 - each method's own
        return await (await spaces.of(tenant)).api.call(method, **args)

    return call


def web_client(settings: SlackSettings, token: str = "") -> AsyncWebClient:
    """A client that tries once: the outbox decides what is sent again."""
    return AsyncWebClient(token or None, base_url=settings.api_url, retry_handlers=[], timeout=20)


class Single:
    """One workspace, whose token is in the settings. Every tenant is this one."""

    def __init__(self, settings: SlackSettings) -> None:
        self._api = Api(web_client(settings, settings.bot_token.get_secret_value()))
        self._known: Workspace | None = None
        self._learning = asyncio.Lock()

    async def of(self, tenant: str = "") -> Workspace:
        """The workspace; who we are there is asked once. Raises `SlackError`."""
        if self._known is None:
            async with self._learning:
                if self._known is None:
                    self._known = Workspace(self._api, await whoami(self._api))
        return self._known

    async def all(self) -> Sequence[str]:
        """The one."""
        return [(await self.of()).me.team]

    async def renew(self) -> None:
        """Nothing: this token does not end."""

    def know(self, me: Identity) -> None:
        """Be told who we are, instead of asking."""
        self._known = Workspace(self._api, me)

    async def forget(self, tenant: str) -> None:
        """Nothing: the token is in the settings, for somebody to correct there."""

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()


async def whoami(api: Api) -> Identity:
    """Ask Slack who the token is."""
    data = await api.call("auth.test")
    return Identity(str(data["team_id"]), str(data["user_id"]), str(data["bot_id"]))
