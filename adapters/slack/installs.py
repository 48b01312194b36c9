"""The app in many workspaces: installed with a click, its tokens sealed and renewed in time.

Knows OAuth (https://docs.slack.dev/authentication/installing-with-oauth) and token rotation
(https://docs.slack.dev/authentication/using-token-rotation) by way of Bolt, and keeps what they
give in our database, encrypted. A rotated token's refresh token works once: whoever renews holds
a lease on it, so two servers that share a database never spend the same one.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from logging import Logger, getLogger
from typing import Any

import structlog
from aiohttp import ClientError
from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from slack_bolt.error import BoltError
from slack_sdk.errors import SlackClientError
from slack_sdk.oauth.installation_store import Bot, Installation
from slack_sdk.oauth.installation_store.async_installation_store import AsyncInstallationStore
from slack_sdk.oauth.state_store.async_state_store import AsyncOAuthStateStore
from slack_sdk.oauth.token_rotation.async_rotator import AsyncTokenRotator

from adapters.slack.api import Api, SlackError
from adapters.slack.places import Identity
from adapters.slack.workspaces import Workspace, web_client
from bot.config import SlackSettings
from bot.errors import ConfigError, StoreError
from bot.installs import Installs, Sealed

STATE_S = 600.0  # to come back from Slack's page
EARLY_S = 7200.0  # a token is renewed this long before it ends
LEASE_S = 60.0
_LOOK_S = 0.2

log = structlog.get_logger(__name__)


class Vault:
    """Seals with the first key, opens with any: so keys can be replaced one after the other."""

    def __init__(self, keys: Sequence[str]) -> None:
        """Raises `ConfigError` for a key that is none."""
        try:
            self._fernet = MultiFernet([Fernet(one) for one in keys])
        except ValueError as problem:
            raise ConfigError(
                "`slack.encryption_keys` holds something that is not a key.",
                "A key is 32 random bytes in URL-safe Base64; leave it empty to have one made.",
            ) from problem

    def seal(self, values: dict[str, Any]) -> str:
        """Encrypt and authenticate (Fernet: AES-128-CBC, HMAC-SHA256)."""
        return self._fernet.encrypt(json.dumps(values).encode()).decode("ascii")

    def open(self, secret: str) -> dict[str, Any]:
        """Decrypt. Raises `ConfigError` if none of the keys fits."""
        try:
            values: dict[str, Any] = json.loads(self._fernet.decrypt(secret))
        except InvalidToken as problem:
            raise ConfigError(
                "The tokens of a Slack workspace cannot be decrypted.",
                "Give `slack.encryption_keys` the key they were encrypted with, or install the "
                "app there again.",
            ) from problem
        return values


class Installations(AsyncInstallationStore):
    """Bolt's installation store on our database: the newest installation of each tenant."""

    def __init__(self, installs: Installs, vault: Vault) -> None:
        self._installs = installs
        self._vault = vault

    @property
    def logger(self) -> Logger:
        """Bolt's; what we log goes elsewhere."""
        return getLogger(__name__)

    async def async_save(self, installation: Installation) -> None:
        """Keep an installation. Raises `BoltError`, which Bolt shows as a page."""
        if not installation.bot_token:
            raise BoltError("Slack gave no bot token.")
        try:
            await self._installs.put(_tenant(installation), *self._sealed(installation))
        except StoreError as problem:
            raise BoltError(problem.message) from problem
        log.info("installed in a workspace", team=_tenant(installation))

    async def async_find_installation(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        user_id: str | None = None,
        is_enterprise_install: bool | None = False,
    ) -> Installation | None:
        """The workspace's own installation, else the one for its whole organisation."""
        del user_id
        keys = [team_id] if team_id and not is_enterprise_install else []
        for key in [*keys, enterprise_id]:
            sealed = await self._installs.get(key) if key else None
            if sealed is not None:
                return self.opened(sealed)
        return None

    async def async_find_bot(
        self,
        *,
        enterprise_id: str | None,
        team_id: str | None,
        is_enterprise_install: bool | None = False,
    ) -> Bot | None:
        """The bot's part of it."""
        found = await self.async_find_installation(
            enterprise_id=enterprise_id,
            team_id=team_id,
            is_enterprise_install=is_enterprise_install,
        )
        return None if found is None else found.to_bot()

    async def async_delete_bot(self, *, enterprise_id: str | None, team_id: str | None) -> None:
        """Forget it."""
        await self._installs.drop(team_id or enterprise_id or "")

    async def async_delete_installation(
        self, *, enterprise_id: str | None, team_id: str | None, user_id: str | None = None
    ) -> None:
        """Forget it, unless it is only one person's that ends: the bot stays."""
        if user_id is None:
            await self._installs.drop(team_id or enterprise_id or "")

    def opened(self, sealed: Sealed) -> Installation:
        """An installation with its tokens readable. Raises `ConfigError`."""
        values = self._vault.open(sealed.secret)
        return Installation(**values | {"installed_at": float(values["installed_at"])})

    async def renewed(self, sealed: Sealed, installation: Installation) -> bool:
        """Keep a renewed token in place of the one it was made from."""
        return await self._installs.renew(sealed, *self._sealed(installation))

    def _sealed(self, installation: Installation) -> tuple[str, datetime | None]:
        expires = installation.bot_token_expires_at
        values = {
            name: int(value.timestamp()) if isinstance(value, datetime) else value
            for name, value in installation.to_dict_for_copying().items()
        }
        return (
            self._vault.seal(values),
            None if expires is None else datetime.fromtimestamp(expires, UTC),
        )


class States(AsyncOAuthStateStore):
    """Bolt's state store on our database: each value comes back once, and in time."""

    def __init__(self, installs: Installs) -> None:
        self._installs = installs

    @property
    def logger(self) -> Logger:
        """Bolt's; what we log goes elsewhere."""
        return getLogger(__name__)

    async def async_issue(self, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - Bolt's signature
        """A new value."""
        del args, kwargs
        return await self._installs.begin(STATE_S)

    async def async_consume(self, state: str) -> bool:
        """True the first time."""
        return await self._installs.finish(state)


class Many:
    """The workspaces the app was installed in (`adapters.slack.workspaces.Workspaces`)."""

    def __init__(self, settings: SlackSettings, installs: Installs, vault: Vault) -> None:
        self._settings = settings
        self._installs = installs
        self.installations = Installations(installs, vault)
        self._known: dict[str, tuple[Workspace, datetime | None]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def of(self, tenant: str) -> Workspace:
        """A workspace with a token that works. Raises `SlackError` and `StoreError`."""
        known = self._known.get(tenant)
        if known is not None and not _ends(known[1], EARLY_S):
            return known[0]
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            known = self._known.get(tenant)
            if known is not None and not _ends(known[1], EARLY_S):
                return known[0]
            return await self._fresh(tenant)

    async def all(self) -> Sequence[str]:
        """Every workspace with an installation."""
        return await self._installs.tenants()

    async def renew(self) -> None:
        """Renew the tokens that end soon, so that none ends while nothing happens there."""
        for tenant in await self.all():
            try:
                await self.of(tenant)
            except (SlackError, ConfigError) as problem:
                log.warning("a workspace cannot be reached", team=tenant, error=problem.message)

    async def changed(self, tenant: str) -> None:
        """It was installed anew: read its token again before the next call."""
        if tenant in self._known:
            self._known[tenant] = (self._known[tenant][0], datetime.fromtimestamp(0, UTC))

    async def forget(self, tenant: str) -> None:
        """The app was removed there, or its tokens were."""
        await self._installs.drop(tenant)
        known = self._known.pop(tenant, None)
        if known is not None:
            await known[0].api.close()

    async def close(self) -> None:
        """Close the connections."""
        for workspace, _ in self._known.values():
            await workspace.api.close()

    async def _fresh(self, tenant: str) -> Workspace:
        """Read a workspace, renewing its token if that is due."""
        until = time.monotonic() + LEASE_S
        while True:
            sealed = await self._installs.get(tenant)
            if sealed is None:
                raise SlackError("oauth.v2.access", "not_installed")
            if not _ends(sealed.expires, EARLY_S):
                return self._take(sealed)
            if await self._installs.lease(sealed, LEASE_S):
                try:
                    await self._rotate(sealed)
                except SlackError:
                    if _ends(sealed.expires, 0.0):
                        raise
                    return self._take(sealed)  # tried again when the lease is over
                continue
            if not _ends(sealed.expires, 60.0) or time.monotonic() > until:
                return self._take(sealed)  # somebody else renews it; until then it works
            await asyncio.sleep(_LOOK_S)

    async def _rotate(self, sealed: Sealed) -> None:
        """Spend the refresh token and keep what comes. Raises `SlackError`."""
        installation = self.installations.opened(sealed)
        rotator = AsyncTokenRotator(
            client_id=self._settings.client_id,
            client_secret=self._settings.client_secret.get_secret_value(),
            client=web_client(self._settings),
        )
        try:
            bot = await rotator.perform_bot_token_rotation(
                bot=installation.to_bot(), minutes_before_expiration=int(EARLY_S / 60)
            )
        except (SlackClientError, ClientError, OSError, TimeoutError) as problem:
            error = type(problem).__name__
            log.warning("a token was not renewed", team=sealed.tenant, error=error)
            raise SlackError("oauth.v2.access", "token_not_renewed", after=LEASE_S) from problem
        if bot is None:
            raise SlackError("oauth.v2.access", "token_not_renewed", after=LEASE_S)
        installation.bot_token = bot.bot_token
        installation.bot_refresh_token = bot.bot_refresh_token
        installation.bot_token_expires_at = bot.bot_token_expires_at
        if not await self.installations.renewed(sealed, installation):
            log.warning("a token was renewed by somebody else", team=sealed.tenant)

    def _take(self, sealed: Sealed) -> Workspace:
        installation = self.installations.opened(sealed)
        token = installation.bot_token or ""
        known = self._known.get(sealed.tenant)
        if known is None:
            me = Identity(sealed.tenant, installation.bot_user_id or "", installation.bot_id or "")
            workspace = Workspace(Api(web_client(self._settings, token)), me)
        else:
            workspace = known[0]
            workspace.api.use(token)
        self._known[sealed.tenant] = (workspace, sealed.expires)
        return workspace


def _tenant(installation: Installation) -> str:
    """The id that every key of an installation begins with."""
    if installation.is_enterprise_install:
        return installation.enterprise_id or ""
    return installation.team_id or ""


def _ends(expires: datetime | None, within_s: float) -> bool:
    return expires is not None and expires.timestamp() - time.time() < within_s
