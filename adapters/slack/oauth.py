"""The two pages of installing the app: to Slack, and back with a code.

Knows routes; the steps between them are Bolt's, and what comes of them is kept by
`adapters/slack/installs.py`. Whoever comes back must be the browser that was sent (a cookie), with
the value it was sent with (once, and in time).
"""

from __future__ import annotations

from logging import getLogger
from urllib.parse import urlsplit

import structlog
from slack_bolt.adapter.starlette.async_handler import (
    to_async_bolt_request,
    to_starlette_response,
)
from slack_bolt.oauth.async_oauth_flow import AsyncOAuthFlow
from slack_bolt.oauth.async_oauth_settings import AsyncOAuthSettings
from slack_sdk.oauth.installation_store import Installation
from starlette.requests import Request
from starlette.responses import Response

from adapters.slack.installs import Many, States
from adapters.slack.manifest import SCOPES
from adapters.slack.places import INSTALL_PATH, REDIRECT_PATH
from adapters.slack.workspaces import web_client
from bot.config import SlackSettings
from bot.errors import ConfigError, StoreError
from bot.installs import Installs

log = structlog.get_logger(__name__)


class _Flow(AsyncOAuthFlow):
    """Bolt's flow; a workspace that is installed anew is read anew."""

    many: Many

    async def store_installation(self, request: object, installation: Installation) -> None:
        """Keep it. Raises `BoltError`."""
        await super().store_installation(request, installation)  # type: ignore[arg-type] # Bolt's; it is not looked at
        for tenant in (installation.team_id, installation.enterprise_id):
            await self.many.changed(tenant or "")


class Install:
    """The routes. `public_url` is where Slack sends people back to."""

    def __init__(
        self, settings: SlackSettings, public_url: str, installs: Installs, many: Many
    ) -> None:
        """Raises `ConfigError` where nobody could come back."""
        if not public_url:
            raise ConfigError(
                "Slack has no address to send people back to after installing.",
                "Set `server.public_url` to where this server is reached.",
            )
        at = urlsplit(settings.api_url)
        self._flow = _Flow(
            client=web_client(settings),
            logger=getLogger(__name__),
            settings=AsyncOAuthSettings(
                client_id=settings.client_id,
                client_secret=settings.client_secret.get_secret_value(),
                scopes=list(SCOPES),
                user_scopes=[],
                redirect_uri=f"{public_url.rstrip('/')}{REDIRECT_PATH}",
                install_path=INSTALL_PATH,
                redirect_uri_path=REDIRECT_PATH,
                install_page_rendering_enabled=False,
                installation_store=many.installations,
                state_store=States(installs),
                authorization_url=f"{at.scheme}://{at.netloc}/oauth/v2/authorize",
            ),
        )
        self._flow.many = many

    async def install(self, request: Request) -> Response:
        """Send somebody to Slack. Mount it at `INSTALL_PATH`."""
        return await self._answer(request, back=False)

    async def redirect(self, request: Request) -> Response:
        """Take in somebody who comes back. Mount it at `REDIRECT_PATH`."""
        return await self._answer(request, back=True)

    async def _answer(self, request: Request, *, back: bool) -> Response:
        asked = to_async_bolt_request(request, b"")
        try:
            answer = await (
                self._flow.handle_callback(asked) if back else self._flow.handle_installation(asked)
            )
        except StoreError as problem:
            log.warning("nobody can install the app now", error=problem.message)
            return Response("Please try again in a minute.", status_code=503)
        return to_starlette_response(answer)
