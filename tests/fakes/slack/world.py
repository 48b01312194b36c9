"""What a workspace holds: people, channels, messages, streams, views. No HTTP."""

from __future__ import annotations

import itertools
import re
import time
from dataclasses import dataclass, field
from typing import Any

TEAM = "T0DESK001"
OTHER_TEAM = "T0OTHER01"
APP = "A0DESK001"
BOT = "U0BOT0001"
BOT_ID = "B0BOT0001"
BOT_TOKEN = "xoxb-desk-1"
APP_TOKEN = "xapp-desk-1"
SIGNING_SECRET = "a signing secret for tests"
STREAM_SECONDS = 300.0  # Slack closes a stream after about five minutes (users' reports)
TRIGGER_SECONDS = 3.0

SCOPES = (
    "app_mentions:read chat:write assistant:write im:history im:read im:write channels:history "
    "groups:history mpim:history reactions:read reactions:write users:read commands"
)
EVENTS = (
    "app_mention message.im message.channels message.groups message.mpim app_home_opened "
    "app_context_changed agent_session_stopped reaction_added reaction_removed tokens_revoked "
    "app_uninstalled member_joined_channel"
)


class ApiError(Exception):
    """`{"ok": false, "error": code}`."""

    def __init__(self, code: str, **extra: Any) -> None:
        super().__init__(code, extra)
        self.code = code
        self.extra = extra


class Clock:
    """The server's clock: real time, and whatever a test adds to it."""

    def __init__(self) -> None:
        self._added = 0.0

    def now(self) -> float:
        return time.time() + self._added

    def advance(self, seconds: float) -> None:
        self._added += seconds


@dataclass
class User:
    id: str
    name: str
    team: str = TEAM
    guest: bool = False


@dataclass
class Stream:
    """`state`: streaming, stopped, expired or stopped_by_user."""

    opened: float
    state: str = "streaming"


@dataclass
class Message:
    """A message as the workspace sees it. `text` of a stream is what was appended so far."""

    channel: str
    ts: str
    user: str
    text: str
    thread_ts: str = ""
    blocks: list[dict[str, Any]] = field(default_factory=list)
    metadata: dict[str, Any] | None = None
    stream: Stream | None = None
    edits: int = 0
    reactions: set[tuple[str, str]] = field(default_factory=set)
    subtype: str = ""
    unfurl: bool = True
    ephemeral_for: str = ""
    deleted: bool = False

    @property
    def by_bot(self) -> bool:
        return self.user == BOT

    @property
    def shown(self) -> str:
        """What a person reads: the blocks where there are some that carry text, else the text."""
        parts = [self.text] if self.stream is not None else []
        for block in self.blocks:
            match block["type"]:
                case "markdown":
                    parts.append(block["text"])
                case "section" | "header":
                    parts.append(block["text"]["text"])
                case "context":
                    parts += [one["text"] for one in block["elements"] if "text" in one]
        return "\n".join(parts) if any(parts) else self.text

    def buttons(self) -> list[dict[str, Any]]:
        """Every element that can be clicked."""
        return [
            element
            for block in self.blocks
            for element in block.get("elements", [])
            if "action_id" in element
        ]


@dataclass
class Channel:
    """`kind`: channel, group, mpim or im."""

    id: str
    kind: str = "channel"
    members: set[str] = field(default_factory=set)
    archived: bool = False
    shared: bool = False  # Slack Connect
    team: str = TEAM
    messages: dict[str, Message] = field(default_factory=dict)

    def thread(self, ts: str) -> list[Message]:
        return [
            one
            for one in self.messages.values()
            if ts in {one.ts, one.thread_ts}
            if not one.deleted
        ]


LIVE = re.compile(r"<(?:!(?:channel|here|everyone|subteam\^\w+)|@[UW]\w+)(?:\|[^>]*)?>")


class World:
    """One workspace."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.users: dict[str, User] = {BOT: User(BOT, "deskhand")}
        self.channels: dict[str, Channel] = {}
        self.statuses: list[tuple[str, str, str]] = []  # channel, thread, text
        self.sessions: dict[tuple[str, str], str] = {}
        self.prompts: list[dict[str, Any]] = []
        self.views: list[dict[str, Any]] = []
        self.homes: dict[str, dict[str, Any]] = {}
        self.ephemerals: list[Message] = []
        self.responses: list[dict[str, Any]] = []
        self.triggers: dict[str, tuple[float, bool]] = {}  # given at, used
        self.scopes = set(SCOPES.split())
        self.subscribed = set(EVENTS.split())
        self.tokens: dict[str, str] = {
            BOT_TOKEN: TEAM
        }  # by bot token, the workspace or organisation
        self.ends: dict[str, float] = {}  # when a token ends, of those that do
        self.teams: dict[str, set[str]] = {}  # the workspaces of an organisation
        self.disabled: set[str] = set()  # methods this workspace does not know
        self._numbers = itertools.count(1)

    def user(self, name: str, *, team: str = TEAM, guest: bool = False) -> str:
        """Add a person; returns the id."""
        user = User(f"U0{name.upper():X<7.7}", name, team, guest)
        self.users[user.id] = user
        return user.id

    def channel(
        self,
        name: str,
        *members: str,
        kind: str = "channel",
        shared: bool = False,
        team: str = TEAM,
    ) -> str:
        """Add a channel with the bot in it; returns the id."""
        key = f"{'G' if kind in {'group', 'mpim'} else 'C'}0{name.upper():X<7.7}"
        self.channels[key] = Channel(key, kind, {BOT, *members}, shared=shared, team=team)
        return key

    def tenant(self, team: str) -> str:
        """Whose installation serves a workspace: its organisation's, if it has one."""
        return next((org for org, teams in self.teams.items() if team in teams), team)

    def token_team(self, token: str) -> str:
        """The workspace or organisation of a bot token, if it is good now."""
        if token not in self.tokens:
            raise ApiError("invalid_auth" if token else "not_authed")
        if self.clock.now() >= self.ends.get(token, float("inf")):
            raise ApiError("token_expired")
        return self.tokens[token]

    def dm(self, user: str) -> str:
        """The direct conversation of a person with the bot; returns the id."""
        key = f"D{user[1:]}"
        shared = self.users[user].team != TEAM
        self.channels.setdefault(key, Channel(key, "im", {BOT, user}, shared=shared))
        return key

    def ts(self) -> str:
        """A new timestamp, later than every other."""
        return f"{int(self.clock.now())}.{next(self._numbers):06d}"

    def number(self) -> int:
        return next(self._numbers)

    def trigger(self) -> str:
        key = f"trigger.{next(self._numbers)}"
        self.triggers[key] = (self.clock.now(), False)
        return key

    def post(self, message: Message) -> Message:
        self.channels[message.channel].messages[message.ts] = message
        return message

    def find(self, channel: str, ts: str) -> Message:
        message = self.place(channel).messages.get(ts)
        if message is None or message.deleted:
            raise ApiError("message_not_found")
        return message

    def place(self, channel: str) -> Channel:
        if channel not in self.channels:
            raise ApiError("channel_not_found")
        return self.channels[channel]

    def streaming(self, message: Message) -> Stream:
        """The message's stream if it is open now, by the clock."""
        stream = message.stream
        if stream is None:
            raise ApiError("message_not_in_streaming_state")
        if stream.state == "streaming" and self.clock.now() - stream.opened >= STREAM_SECONDS:
            stream.state = "expired"
        if stream.state == "stopped_by_user":
            raise ApiError("stopped_by_user")
        if stream.state != "streaming":
            raise ApiError("message_not_in_streaming_state")
        return stream

    def all_messages(self) -> list[Message]:
        """Everything anybody wrote, ephemerals included."""
        found = [one for place in self.channels.values() for one in place.messages.values()]
        return [one for one in found + self.ephemerals if not one.deleted]

    def live_mentions(self) -> list[str]:
        """Mentions in the bot's messages that would notify somebody."""
        return [
            hit
            for one in self.all_messages()
            if one.by_bot
            for hit in LIVE.findall(one.text + one.shown)
        ]
