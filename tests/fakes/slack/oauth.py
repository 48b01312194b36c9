"""Installing the app: the page where somebody says yes, and codes and tokens given for it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

import aiohttp
from aiohttp import web

from tests.fakes.slack.world import APP, BOT, SCOPES, ApiError, World

CLIENT_ID, CLIENT_SECRET = "111.222", "a client secret for tests"
TOKEN_SECONDS = 43_200


class OAuth:
    """Codes count once, and so do refresh tokens. `rotating` gives tokens that end."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._codes: dict[str, tuple[str, str]] = {}  # team, redirect_uri
        self._refresh: dict[str, str] = {}
        self.team = ""  # where the next person who comes to the page installs the app
        self.rotating = False
        self.refreshed = 0

    async def page(self, request: web.Request) -> web.Response:
        """Say yes at once."""
        asked = request.query
        if asked.get("client_id") != CLIENT_ID or set(asked["scope"].split(",")) != {
            *SCOPES.split()
        }:
            return web.Response(status=400, text="invalid client_id or scope")
        code = f"code-{self._world.number()}"
        self._codes[code] = (self.team, asked["redirect_uri"])
        back = urlencode({"code": code, "state": asked["state"]})
        raise web.HTTPFound(f"{asked['redirect_uri']}?{back}")

    def access(self, client: aiohttp.BasicAuth, args: dict[str, Any]) -> dict[str, Any]:
        """Exchange a code, or a refresh token."""
        if (client.login, client.password) != (CLIENT_ID, CLIENT_SECRET):
            raise ApiError("bad_client_secret")
        if args.get("grant_type") == "refresh_token":
            team = self._refresh.pop(args["refresh_token"], "")
            if not team:
                raise ApiError("invalid_refresh_token")
            self.refreshed += 1
        else:
            team, uri = self._codes.pop(args.get("code", ""), ("", ""))
            if not team:
                raise ApiError("invalid_code")
            if args.get("redirect_uri") != uri:
                raise ApiError("bad_redirect_uri")
        return self._grant(team)

    def _grant(self, team: str) -> dict[str, Any]:
        number = self._world.number()
        token = f"xoxe.xoxb-{team}-{number}" if self.rotating else f"xoxb-{team}-{number}"
        self._world.tokens[token] = team
        org = team in self._world.teams
        grant: dict[str, Any] = {
            "app_id": APP,
            "access_token": token,
            "token_type": "bot",
            "scope": ",".join(SCOPES.split()),
            "bot_user_id": BOT,
            "team": None if org else {"id": team, "name": team},
            "enterprise": {"id": team, "name": team} if org else None,
            "is_enterprise_install": org,
            "authed_user": {"id": "U0ADMIN01"},
        }
        if self.rotating:
            refresh = f"xoxe-1-{number}"
            self._refresh[refresh] = team
            self._world.ends[token] = self._world.clock.now() + TOKEN_SECONDS
            grant |= {"refresh_token": refresh, "expires_in": TOKEN_SECONDS}
        return grant
