"""Who speaks where: names of workspaces, conversations and people, and whose knowledge they get.

Knows Slack's ids and event fields. An id is only unique within its workspace or organisation,
so every key begins with that.
"""

from __future__ import annotations

import html
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from adapters.slack.api import Call, SlackError
from bot.config import SlackPlace, SlackSettings
from bot.types import Actor, Address
from knowledge.types import Audience

NAME = "slack"
PATH = "/slack/events"
INSTALL_PATH = "/slack/install"
REDIRECT_PATH = "/slack/oauth_redirect"
_KNOWN_S = 600.0  # how long it is believed that somebody is a member
_MOST_KNOWN = 10_000

Json = Mapping[str, Any]
log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Identity:
    """The bot itself, in its workspace."""

    team: str
    user: str
    bot: str


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a person, with everything its keys are made of."""

    tenant: str  # the workspace, or the organisation it is installed in
    channel: str
    kind: str  # im, mpim, group or channel
    ts: str
    thread_ts: str
    user: str
    user_team: str
    shared: bool  # a Slack Connect conversation
    text: str
    bot: str = ""  # our own user there

    @property
    def root(self) -> str:
        """The message that the thread hangs on; the message itself if it begins one."""
        return self.thread_ts or self.ts

    @property
    def event_id(self) -> str:
        """The same for both events that one mention makes, and for every redelivery."""
        return f"{NAME}:{self.tenant}:{self.channel}:{self.ts}"

    @property
    def conversation(self) -> str:
        """The thread."""
        return conversation(self.tenant, self.channel, self.root)

    def address(self, *, private: bool = False) -> Address:
        """Where the reply goes."""
        detail = {
            "channel": self.channel,
            "thread": self.root,
            "ts": self.ts,
            "user": self.user,
            "team": self.user_team,
            "kind": self.kind,
        }
        if private:
            detail["private"] = "yes"
        return Address(NAME, self.conversation, detail)


def conversation(tenant: str, channel: str, root: str) -> str:
    """The key of a thread."""
    return f"{tenant}/{channel}/{root}"


def actor_id(tenant: str, user: str) -> str:
    """A person's id within the channel."""
    return f"{tenant}:{user}"


def tenant(body: Json) -> str:
    """Whose installation an event is for: of an organisation where it is one, else a workspace."""
    for one in body.get("authorizations") or ():
        if one.get("is_enterprise_install") and one.get("enterprise_id"):
            return str(one["enterprise_id"])
        if one.get("team_id"):
            return str(one["team_id"])
    team = body.get("team") or {}
    enterprise = body.get("enterprise") or {}
    if str(body.get("is_enterprise_install")).lower() == "true":
        return str(enterprise.get("id") or body.get("enterprise_id") or "")
    return str(body.get("team_id") or team.get("id") or "")


def said(body: Json, event: Json, bot: str) -> Said:
    """Read a message event."""
    channel = str(event["channel"])
    key = tenant(body)
    team = event.get("user_team") or event.get("source_team") or event.get("team") or key
    kind = str(event.get("channel_type") or ("im" if channel.startswith("D") else "channel"))
    return Said(
        tenant=key,
        channel=channel,
        kind=kind,
        ts=str(event["ts"]),
        thread_ts=str(event.get("thread_ts") or ""),
        user=str(event["user"]),
        user_team=str(team),
        shared=bool(body.get("is_ext_shared_channel")),
        text=str(event.get("text") or ""),
        bot=bot,
    )


_MARK = re.compile(r"<([@#!]?)([^<>|]*)(?:\|([^<>]*))?>")


def words(text: str, bot: str) -> str:
    """What a person wrote, without Slack's syntax and without the mention of the bot."""

    def readable(match: re.Match[str]) -> str:
        sign, target, label = match[1], match[2], match[3]
        if sign == "@" and target == bot:
            return " "
        if sign == "!":
            return label or f"@{target.partition('^')[0]}"
        if sign:
            return f"{sign}{label or target}"
        return f"{label} ({target})" if label and label not in target else target

    return " ".join(html.unescape(_MARK.sub(readable, text)).split(" ")).strip()


def mentions(text: str, bot: str) -> bool:
    """True if the bot is named."""
    return bool(re.search(rf"<@{re.escape(bot)}(?:\|[^>]*)?>", text))


class Members:
    """Who belongs to the workspace, and so whose knowledge an answer may draw on."""

    def __init__(self, settings: SlackSettings, call: Call) -> None:
        self._settings = settings
        self._call = call
        self._known: dict[str, tuple[float, bool, str]] = {}

    def place(self, channel: str) -> SlackPlace:
        """The settings of a channel."""
        return self._settings.channels.get(channel) or SlackPlace()

    async def actor(self, one: Said) -> Actor:
        """The person with the audience this conversation gives them.

        Internal only if the settings say so for this channel, nobody from outside can read it,
        and Slack confirms a full member: guests and people of other organisations are customers
        everywhere, and so is everybody while Slack does not answer.
        """
        key = actor_id(one.tenant, one.user)
        wanted = self.place(one.channel).audience or self._of(one.tenant)
        if wanted is Audience.CUSTOMER or one.shared:
            return Actor(key, "", Audience.CUSTOMER)
        member, name = await self._member(one.tenant, one.user)
        return Actor(key, name, wanted if member else Audience.CUSTOMER)

    def _of(self, key: str) -> Audience:
        """The audience of a workspace: anybody may install an app that is for many."""
        if not self._settings.client_id:
            return self._settings.audience
        return self._settings.workspaces.get(key, Audience.CUSTOMER)

    async def name(self, key: str, user: str) -> str:
        """What somebody is called; empty while Slack does not say."""
        return (await self._member(key, user))[1]

    async def _member(self, tenant_key: str, user_id: str) -> tuple[bool, str]:
        key = actor_id(tenant_key, user_id)
        found = self._known.get(key)
        if found is not None and found[0] > time.monotonic():
            return found[1], found[2]
        try:
            user = (await self._call(tenant_key, "users.info", user=user_id))["user"]
        except SlackError as problem:
            log.warning("membership unknown, answering as to a customer", error=problem.message)
            return False, ""
        outside = any(
            user.get(flag) for flag in ("is_restricted", "is_ultra_restricted", "is_stranger")
        )
        organisation = (user.get("enterprise_user") or {}).get("enterprise_id")
        member = not outside and tenant_key in {user.get("team_id"), organisation}
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        name = str(
            user.get("profile", {}).get("display_name")
            or user.get("profile", {}).get("real_name")
            or user.get("name")
            or ""
        )
        self._known[key] = (time.monotonic() + _KNOWN_S, member, name)
        return member, name
