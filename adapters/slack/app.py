"""The Bolt app: one wiring for Socket Mode and HTTP.

Knows Bolt. Events are dealt with in a global middleware, which runs before Bolt acknowledges;
everything else is committed in its listener before `ack`. Whatever matches nothing is
acknowledged, or Slack would send it again.

Authorisation makes no call to Slack: Bolt answers 200 when its own call fails, and the event
would be lost.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import structlog
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.middleware.async_middleware import AsyncMiddleware
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from adapters.slack.api import Call, SlackError
from adapters.slack.desk import TURN, SlackDesk
from adapters.slack.intake import Intake, NotKept
from adapters.slack.places import NAME, Members, Said, conversation, tenant, words
from adapters.slack.render import HUMAN, VOTE
from adapters.slack.votes import REASON, WITHDRAW, Votes
from bot.dispatching import notices
from bot.types import Address, Event
from knowledge.types import Audience

ASK_ABOUT = "deskhand_ask"  # the message shortcut
_ANY = re.compile(".*", re.DOTALL)

Ack = Callable[..., Awaitable[BoltResponse]]
Body = dict[str, Any]
log = structlog.get_logger(__name__)


class _CommitFirst(AsyncMiddleware):
    """Events end here: kept, then acknowledged; or not kept, and then not acknowledged."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake

    async def async_process(
        self,
        *,
        req: AsyncBoltRequest,
        resp: BoltResponse,
        next: Callable[[], Awaitable[BoltResponse]],  # noqa: A002 - Bolt's name
    ) -> BoltResponse | None:
        if req.body.get("type") != "event_callback":
            return await next()
        try:
            await self._intake.event(req.body)
        except NotKept as problem:
            log.warning("an event could not be kept; Slack will bring it again", why=str(problem))
            return BoltResponse(status=503, body="")
        return BoltResponse(status=200, body="")


def make_app(
    *,
    client: AsyncWebClient,
    signing_secret: str,
    intake: Intake,
    votes: Votes,
    members: Members,
    call: Call,
    command: str,
    desk: SlackDesk | None,
) -> AsyncApp:
    """Wire everything. `client` carries no token; Bolt never calls Slack by itself."""
    # Which workspace it is, and whether it is ours, is the intake's to find out.
    allowed = AuthorizeResult(enterprise_id=None, team_id=None, bot_token="")

    async def authorize(**_: Any) -> AuthorizeResult:  # noqa: ANN401 - Bolt's keywords
        return allowed

    app = AsyncApp(
        name="deskhand", client=client, signing_secret=signing_secret, authorize=authorize
    )
    app.use(_CommitFirst(intake))
    asks = _Asks(intake, votes, members, call, command)

    async def vote(ack: Ack, body: Body, action: Body) -> None:
        await votes.clicked(body, action["value"])
        await ack()
        await votes.clicked_after(body, action["value"])

    async def withdraw(ack: Ack, body: Body, action: Body) -> None:
        await votes.withdrawn(body, action["value"])
        await ack()

    async def reason(ack: Ack, body: Body) -> None:
        await votes.explained(body)
        await ack()

    async def nothing(ack: Ack) -> None:
        await ack()

    async def human(ack: Ack, body: Body, action: Body) -> None:
        await asks.human(ack, body, str(action["value"]))

    app.action(HUMAN)(human)
    if desk is not None:
        app.action(re.compile(f"{TURN}:.*"))(_turn(desk))
    app.action(VOTE)(vote)
    app.action(WITHDRAW)(withdraw)
    app.view(REASON)(reason)
    app.command(command)(asks.command)
    app.message_shortcut(ASK_ABOUT)(asks.shortcut)
    for kind in (app.action, app.view, app.view_closed, app.shortcut, app.command, app.options):
        kind(_ANY)(nothing)
    return app


def _turn(desk: SlackDesk) -> Callable[..., Awaitable[None]]:
    """What happens when staff press a button of a card."""

    async def turn(ack: Ack, body: Body, action: Body) -> None:
        await desk.pressed(body, str(action["value"]))
        await ack()

    return turn


class _Asks:
    """Questions that are not messages: the slash command, the shortcut, the wish for a person."""

    def __init__(
        self, intake: Intake, votes: Votes, members: Members, call: Call, command: str
    ) -> None:
        self._intake = intake
        self._votes = votes
        self._members = members
        self._call = call
        self._command = command

    async def command(self, ack: Ack, body: Body) -> None:
        """Answer in the direct conversation: a command cannot be used in threads anyway."""
        text = words(str(body.get("text") or ""), "")
        if not text:
            await ack(f"Write your question after the command: `{self._command} How do I …?`")
            return
        try:
            opened = await self._call(tenant(body), "conversations.open", users=body["user_id"])
        except SlackError as problem:
            log.warning("no direct conversation", error=problem.message)
            await ack("I cannot write to you directly right now. Please try again in a minute.")
            return
        key = f"{NAME}:{tenant(body)}:command:{body['trigger_id']}"
        one = Said(
            tenant=tenant(body),
            channel=str(opened["channel"]["id"]),
            kind="im",
            ts="",
            thread_ts="",
            user=str(body["user_id"]),
            user_team=str(body["team_id"]),
            # The answer is read in private, so the place of the command is no matter.
            shared=False,
            text=text,
        )
        detail = {**one.address().detail, "thread": "", "asked": " ".join(text.split())[:500]}
        event = Event(
            id=key,
            address=Address(NAME, conversation(one.tenant, one.channel, key), detail),
            actor=await self._members.actor(one),
            text=text,
            at=datetime.now(UTC),
        )
        await self._commit(ack, event, "I'm on it: the answer comes as a direct message.")

    async def shortcut(self, ack: Ack, body: Body) -> None:
        """Answer a message in its thread, for whoever chose "Ask about this"."""
        message = body["message"]
        channel = str(body["channel"]["id"])
        one = Said(
            tenant=tenant(body),
            channel=channel,
            kind="im" if channel.startswith("D") else "channel",
            ts=str(message["ts"]),
            thread_ts=str(message.get("thread_ts") or ""),
            user=str(body["user"]["id"]),
            user_team=str(body["user"].get("team_id") or tenant(body)),
            # The payload does not say whether outsiders read along, so they may.
            shared=True,
            text=str(message.get("text") or ""),
        )
        event = Event(
            id=f"{NAME}:{one.tenant}:shortcut:{body['trigger_id']}",
            address=one.address(),
            actor=await self._members.actor(one),
            text=words(one.text, await self._intake.own(one.tenant)) or "Hello",
            at=datetime.now(UTC),
        )
        await self._commit(ack, event)

    async def human(self, ack: Ack, body: Body, answer_id: str) -> None:
        """Ask for a person, on behalf of whoever pressed the button under an answer."""
        asked = await self._votes.mine(answer_id, body)
        if asked is None:
            await ack()
            return
        one = Said(
            tenant=tenant(body),
            channel=str(body["channel"]["id"]),
            kind="im" if str(body["channel"]["id"]).startswith("D") else "channel",
            ts="",
            thread_ts="",
            user=str(body["user"]["id"]),
            user_team=str(body["user"].get("team_id") or tenant(body)),
            shared=asked.audience is Audience.CUSTOMER,
            text=notices.WISH,
        )
        event = Event(
            id=f"{NAME}:{one.tenant}:human:{answer_id}:{one.user}",
            address=Address(NAME, asked.conversation, asked.detail),
            actor=await self._members.actor(one),
            text=notices.WISH,
            at=datetime.now(UTC),
        )
        await self._commit(ack, event)

    async def _commit(self, ack: Ack, event: Event, said: str = "") -> None:
        try:
            await self._intake.take_in(event)
        except NotKept:
            log.warning("a question could not be kept; it is not acknowledged")
            return
        await (ack(said) if said else ack())
