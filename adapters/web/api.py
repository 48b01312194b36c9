"""The chat page's API: take a message in, stream what happens, stop, vote, start anew.

Knows HTTP and sessions. Decides nothing about answers: it hands messages to the dispatcher and
shows what the store and the hub hold. Every look-up goes through the session's visitor; what
belongs to somebody else is reported as not existing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends
from fastapi.sse import format_sse_event
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from adapters.markdown import safe_url
from adapters.web.channel import NAME, WebChannel
from adapters.web.errors import WebError
from adapters.web.hub import Happening, Hub, Tab
from adapters.web.limits import RateLimit
from adapters.web.render import passage_html
from adapters.web.security import check_origin
from adapters.web.sessions import Session, Sessions
from adapters.web.types import Library
from adapters.web.views import exchange_view, reply_view, staff_view, vote_view
from bot.dispatching.dispatch import Dispatcher
from bot.metrics import REFUSED
from bot.store import Store
from bot.types import Actor, Address, Event, Outcome, Reply, Vote
from knowledge.types import Audience

_SHOWN = 100  # exchanges of a conversation that a page shows
_PING_S = 20.0  # proxies cut silent streams, commonly after 60 s; the page takes 45 s as dead
_SUGGESTIONS = 4


@dataclass(frozen=True, slots=True)
class Door:
    """What the routes work with."""

    store: Store
    dispatcher: Dispatcher
    channel: WebChannel
    library: Library
    audience: Audience
    public_url: str
    sessions: Sessions
    questions: RateLimit
    questions_by_ip: RateLimit
    requests: RateLimit
    requests_by_ip: RateLimit


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MessageIn(_Body):
    """A question. `id` is made by the page, so that sending again cannot ask twice."""

    text: str
    id: str = Field(pattern=r"^[A-Za-z0-9_-]{8,64}$")


class VoteIn(_Body):
    """A vote on an answer; 0 withdraws it."""

    answer_id: str = Field(min_length=1, max_length=128)
    value: Literal[-1, 0, 1]
    reason: str = Field("", max_length=1000)
    correction: str = Field("", max_length=4000)


def _door(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


_TheDoor = Annotated[Door, Depends(_door)]


def _guard(request: Request, door: _TheDoor) -> None:
    check_origin(request, door.public_url)
    _limit(door.requests_by_ip, _ip(request))


def _session(request: Request, door: _TheDoor) -> Session:
    """Return the visitor's session; a page without one asks for `/api/conversation` first."""
    session = door.sessions.read(request)
    if session is None:
        raise WebError(401, "no_session", "Reload the page; it needs to set a cookie.")
    _limit(door.requests, session.visitor)
    return session


_Visitor = Annotated[Session, Depends(_session)]

router = APIRouter(prefix="/api", dependencies=[Depends(_guard)])


@router.post("/messages", status_code=202)
async def send(body: MessageIn, request: Request, door: _TheDoor, session: _Visitor) -> Response:
    """Take a message in; the answer comes through `/api/events`."""
    text = _plain(body.text)
    if not any(char.isprintable() and not char.isspace() for char in text):
        raise WebError(400, "empty", "There is nothing to answer: the message is empty.")
    _limit(door.questions_by_ip, _ip(request))
    _limit(door.questions, session.visitor)
    event = Event(
        id=session.event_id(body.id),
        address=Address(NAME, session.conversation),
        actor=Actor(session.visitor, audience=door.audience),
        text=text,
        at=datetime.now(UTC),
    )
    accepted = await door.dispatcher.accept(event)
    if accepted.fresh:
        question = {"event_id": event.id, "text": text, "at": event.at.isoformat()}
        door.channel.hub.tell(session.conversation, "question", question)
        if door.dispatcher.handovers.silent(NAME, session.conversation, event.id):
            # Staff have the conversation: the message goes to them, and the bot says nothing.
            handed = reply_view(Reply("", Outcome.HANDED), event.id)
            final = {"event_id": event.id, "reply": handed}
            door.channel.hub.tell(session.conversation, "final", final)
    return JSONResponse({"event_id": accepted.event_id}, 202)


@router.get("/events")
async def events(request: Request, door: _TheDoor, session: _Visitor) -> Response:
    """Stream the conversation: a snapshot first, then whatever happens.

    A page that reconnects gets a snapshot again, so nothing has to be remembered for it.
    """
    hub = door.channel.hub
    with ExitStack() as undo:
        tab = hub.watch(session.visitor, session.conversation, _ip(request))
        undo.callback(hub.leave, tab)
        # Taken together with opening the tab: everything later arrives through the tab.
        live = hub.running(session.conversation)
        first = Happening("snapshot", await _snapshot(door, session, live))
        undo.pop_all()  # from here on the stream itself takes its leave
    return _Stream(hub, tab, first)


@router.get("/conversation")
async def conversation(request: Request, door: _TheDoor) -> Response:
    """Return the conversation so far; a visitor without a session gets a new one."""
    session = door.sessions.read(request) or door.sessions.new()
    live = door.channel.hub.running(session.conversation)
    response = JSONResponse(await _snapshot(door, session, live))
    if session.fresh:
        door.sessions.write(response, session)
    return response


@router.post("/conversation/new")
async def start_anew(door: _TheDoor, session: _Visitor) -> Response:
    """Put the visitor into a new conversation, in every open page; the old one is kept."""
    await door.dispatcher.cancel(NAME, session.conversation)
    response = JSONResponse({})
    door.sessions.write(response, door.sessions.new(session.visitor))
    door.channel.hub.tell(session.conversation, "moved", {})
    return response


@router.post("/stop")
async def stop(door: _TheDoor, session: _Visitor) -> Response:
    """Stop answering in the visitor's conversation."""
    stopped = await door.dispatcher.cancel(NAME, session.conversation)
    return JSONResponse({"stopped": stopped})


@router.post("/votes")
async def vote(body: VoteIn, door: _TheDoor, session: _Visitor) -> Response:
    """Record, change or withdraw a vote on one of the visitor's answers."""
    record = await door.store.answer(body.answer_id)
    if record is None or record.channel != NAME or not session.owns(record.conversation):
        raise WebError(404, "not_found", "There is no such answer.")
    given = Vote(
        answer_id=body.answer_id,
        voter=session.voter,
        value=body.value,
        reason=_plain(body.reason),
        correction=_plain(body.correction),
    )
    await door.store.vote(given)
    view = {"answer_id": given.answer_id, "vote": vote_view(given)}
    door.channel.hub.tell(record.conversation, "vote", view)
    return JSONResponse(view)


@router.get("/suggestions")
async def suggestions(request: Request, door: _TheDoor) -> Response:
    """Return a few questions that the knowledge answers, for an empty conversation."""
    lang = request.headers.get("accept-language", "")[:2].lower()
    return JSONResponse({"suggestions": list(await door.library.questions(_SUGGESTIONS, lang))})


@router.get("/answers/{answer_id}/sources/{number}")
async def source(answer_id: str, number: int, door: _TheDoor, session: _Visitor) -> Response:
    """Return the passage behind a citation of one of the visitor's answers."""
    record = await door.store.answer(answer_id)
    if record is None or record.channel != NAME or not session.owns(record.conversation):
        raise WebError(404, "not_found", "There is no such answer.")
    cited = next((c for c in record.reply.citations if c.number == number), None)
    passage = await door.library.passage(cited.passage_id) if cited else None
    if passage is None or not door.audience.may_read(passage.audience):
        raise WebError(404, "not_found", "This text is no longer in the knowledge.")
    html = await asyncio.to_thread(passage_html, passage.text)
    return JSONResponse(
        {
            "title": passage.title,
            "path": list(passage.title_path),
            "source": passage.source,
            "url": safe_url(passage.url),
            "html": html,
        }
    )


async def _snapshot(door: Door, session: Session, live: list[dict[str, str]]) -> dict[str, Any]:
    thread = await door.store.thread(NAME, session.conversation, _SHOWN)
    told = await door.dispatcher.handovers.told(NAME, session.conversation)

    def view() -> list[dict[str, Any]]:
        asked = [(one.at, exchange_view(one, session.voter)) for one in thread]
        staff = [(at, staff_view(event_id, at, reply)) for event_id, at, reply in told]
        return [shown for _, shown in sorted([*asked, *staff], key=lambda pair: pair[0])]

    # Rendering a long conversation takes many milliseconds, so it leaves the event loop.
    return {"exchanges": await asyncio.to_thread(view), "live": live}


class _Stream(StreamingResponse):
    """Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html)."""

    media_type = "text/event-stream"

    def __init__(self, hub: Hub, tab: Tab, first: Happening) -> None:
        self._hub = hub
        self._tab = tab
        self._first = first
        # The second header keeps nginx from collecting the stream in a buffer.
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        super().__init__(self._events(), headers=headers)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._hub.leave(self._tab)

    async def _events(self) -> AsyncIterator[bytes]:
        yield _encoded(self._first)
        async for happening in self._tab.events(_PING_S):
            yield _encoded(happening)


def _encoded(happening: Happening) -> bytes:
    data = json.dumps(happening.data, ensure_ascii=False, separators=(",", ":"))
    return format_sse_event(event=happening.kind, data_str=data)


def _limit(limit: RateLimit, key: str) -> None:
    wait = limit.wait(key)
    if wait:
        REFUSED.labels("rate").inc()
        message = "That is a lot at once. Please wait a moment and try again."
        raise WebError(429, "too_many", message, retry_s=wait)


def _ip(request: Request) -> str:
    return request.client.host if request.client else "unknown"


def _plain(text: str) -> str:
    """Text a database and a model can take: no control characters, no lone surrogates."""
    kept = "".join(char if char in "\n\t" or char.isprintable() else _odd(char) for char in text)
    return kept.encode("utf-8", "replace").decode("utf-8").strip()


def _odd(char: str) -> str:
    """Keep what formats text (joiners of emoji, direction marks, line ends); drop the rest."""
    if char in "\r\v\f\x85\u2028\u2029":
        return "\n"
    return "" if char < " " or "\x7f" <= char < "\xa0" else char
