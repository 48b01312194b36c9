"""Live views of conversations: what is being answered now, and the open pages that watch it.

Knows events, the pages they go to and how far each running answer has come. Does not know
HTTP, who may watch what (the caller checks), or anything that must survive a restart: a page
always begins with a snapshot from the store, so what is lost here is only ever provisional.

Everything runs on one event loop and no method but `Tab.events` waits, so no locks are needed.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.errors import Busy

TABS_PER_VISITOR = 4
"""Open streams of one visitor. A browser allows six connections to one HTTP/1.1 server, all
tabs together; with more streams than this the page's other requests would wait forever."""

_TABS = 4096  # of everybody; each costs a socket and some kilobytes
_TABS_PER_IP = 512  # a large office behind one address
_QUEUE = 256  # events a page may lag behind; then it is cut off and starts from a snapshot
_INTERVAL_S = 0.1  # between two renderings of an answer in the making, at least
_SHARE = 0.2  # of the event loop's time that all renderings together may take


@dataclass(frozen=True, slots=True)
class Happening:
    """Something a page is told. `data` is JSON-ready."""

    kind: str
    data: Mapping[str, Any]


class Tab:
    """One open page's stream of happenings, in order."""

    def __init__(self, visitor: str, conversation: str, ip: str) -> None:
        self.visitor = visitor
        self.conversation = conversation
        self.ip = ip
        self._waiting: dict[object, Happening] = {}
        self._wake = asyncio.Event()
        self._closed = False

    def push(self, happening: Happening, key: object | None = None) -> None:
        """Queue a happening. One with a `key` replaces a waiting one with the same key.

        So a slow page skips intermediate states of an answer instead of piling them up.
        """
        if self._closed:
            return
        if key is not None:
            self._waiting.pop(key, None)
        self._waiting[key if key is not None else object()] = happening
        if len(self._waiting) > _QUEUE:
            self._waiting.clear()
            self._closed = True
        self._wake.set()

    def close(self, kind: str) -> None:
        """Tell the page why, and end its stream."""
        self.push(Happening(kind, {}))
        self._closed = True
        self._wake.set()

    async def events(self, idle_s: float) -> AsyncIterator[Happening]:
        """Yield until closed; a `ping` after `idle_s` seconds in which nothing happened."""
        while True:
            while self._waiting:
                yield self._waiting.pop(next(iter(self._waiting)))
            if self._closed:
                return
            self._wake.clear()
            try:
                async with asyncio.timeout(idle_s):
                    await self._wake.wait()
            except TimeoutError:
                yield Happening("ping", {})


@dataclass(slots=True)
class Running:
    """An answer in the making."""

    event_id: str
    status: str = ""
    text: str = ""
    html: str = ""
    timer: asyncio.TimerHandle | None = None
    rendered: int = 0  # how much of `text` is in `html`
    settled: int = 0  # how much of `text` is rendered for good
    settled_html: str = ""

    def state(self) -> dict[str, str]:
        """What a page needs to show it, JSON-ready."""
        return {"event_id": self.event_id, "status": self.status, "html": self.html}

    def render(self, render: Callable[[str], str]) -> None:
        """Bring `html` up to `text`, rendering finished paragraphs only once."""
        if self.rendered == len(self.text):
            return
        self.rendered = len(self.text)
        cut = self.text.rfind("\n\n", self.settled)
        done = self.text[self.settled : cut] if cut > 0 else ""
        if done and done.count("```") % 2 == 0:
            self.settled_html += render(done)
            self.settled = cut
        self.html = self.settled_html + render(self.text[self.settled :])


@dataclass(slots=True)
class _Room:
    """One conversation that is watched, answered, or both."""

    tabs: list[Tab] = field(default_factory=list)
    running: dict[str, Running] = field(default_factory=dict)


class Hub:
    """Fan-out from running answers to open pages. `render` makes provisional text safe HTML."""

    def __init__(self, render: Callable[[str], str]) -> None:
        self._render = render
        self._rooms: defaultdict[str, _Room] = defaultdict(_Room)
        self._by_visitor: defaultdict[str, list[Tab]] = defaultdict(list)
        self._by_ip: defaultdict[str, int] = defaultdict(int)
        self._tabs = 0
        self._making = 0  # answers, in all rooms
        self._closed = False

    def watch(self, visitor: str, conversation: str, ip: str) -> Tab:
        """Open a stream; the visitor's oldest one gives way when there are too many.

        Raises `Busy` when the server holds as many streams as it can.
        """
        if self._closed or self._tabs >= _TABS or self._by_ip[ip] >= _TABS_PER_IP:
            raise Busy("Too many pages are open.", "Try again in a minute.")
        mine = self._by_visitor[visitor]
        if len(mine) >= TABS_PER_VISITOR:
            oldest = mine[0]
            self.leave(oldest)
            oldest.close("superseded")
        tab = Tab(visitor, conversation, ip)
        self._by_visitor[visitor].append(tab)
        self._by_ip[ip] += 1
        self._tabs += 1
        self._rooms[conversation].tabs.append(tab)
        return tab

    def leave(self, tab: Tab) -> None:
        """Forget a stream. Harmless when it is gone already."""
        mine = self._by_visitor[tab.visitor]
        if tab in mine:
            mine.remove(tab)
            self._tabs -= 1
            self._by_ip[tab.ip] -= 1
            self._rooms[tab.conversation].tabs.remove(tab)
        if not mine:
            del self._by_visitor[tab.visitor]
        if not self._by_ip[tab.ip]:
            del self._by_ip[tab.ip]
        self._tidy(tab.conversation)

    def running(self, conversation: str) -> list[dict[str, str]]:
        """Answers in the making, as far as they are."""
        room = self._rooms.get(conversation)
        answers = list(room.running.values()) if room else []
        for answer in answers:
            answer.render(self._render)
        return [answer.state() for answer in answers]

    def tell(self, conversation: str, kind: str, data: Mapping[str, Any]) -> None:
        """Tell every page that watches the conversation."""
        self._tell(conversation, Happening(kind, data), None)

    def begin(self, conversation: str, event_id: str) -> None:
        """An answer is being made; begun again, it starts over."""
        room = self._rooms[conversation]
        self._drop(room, event_id)
        room.running[event_id] = Running(event_id)
        self._making += 1
        self._show(conversation, room.running[event_id])

    def status(self, conversation: str, event_id: str, text: str) -> None:
        """Say what is being done for a running answer."""
        if answer := self._running(conversation, event_id):
            answer.status = text
            self._show(conversation, answer)

    def append(self, conversation: str, event_id: str, delta: str) -> None:
        """Show more of a running answer: at once, then at most every tenth of a second."""
        if answer := self._running(conversation, event_id):
            answer.text += delta
            if answer.timer is None:
                self._flush(conversation, answer)

    def finish(self, conversation: str, event_id: str, kind: str, data: Mapping[str, Any]) -> None:
        """The answer is whole: forget what was provisional and tell the pages."""
        room = self._rooms[conversation]
        self._drop(room, event_id)
        # The key drops a waiting provisional state: the whole answer replaces it.
        self._tell(conversation, Happening(kind, data), event_id)
        self._tidy(conversation)

    def close(self) -> None:
        """End every stream, so that a stopping server need not wait for its readers."""
        self._closed = True
        for tabs in list(self._by_visitor.values()):
            for tab in list(tabs):
                self.leave(tab)
                tab.close("closing")

    def _running(self, conversation: str, event_id: str) -> Running | None:
        room = self._rooms.get(conversation)
        return room.running.get(event_id) if room else None

    def _show(self, conversation: str, answer: Running) -> None:
        self._tell(conversation, Happening("partial", answer.state()), answer.event_id)

    def _flush(self, conversation: str, answer: Running) -> None:
        """Render and show; then look again a moment later, until nothing was added."""
        answer.timer = None
        if answer.rendered == len(answer.text) or not self._rooms[conversation].tabs:
            return
        loop = asyncio.get_running_loop()
        began = loop.time()
        answer.render(self._render)
        self._show(conversation, answer)
        pause = max(_INTERVAL_S, (loop.time() - began) * self._making / _SHARE)
        answer.timer = loop.call_later(pause, self._flush, conversation, answer)

    def _drop(self, room: _Room, event_id: str) -> None:
        answer = room.running.pop(event_id, None)
        if answer is None:
            return
        self._making -= 1
        if answer.timer:
            answer.timer.cancel()

    def _tell(self, conversation: str, happening: Happening, key: object | None) -> None:
        room = self._rooms.get(conversation)
        for tab in room.tabs if room else ():
            tab.push(happening, key)

    def _tidy(self, conversation: str) -> None:
        room = self._rooms.get(conversation)
        if room and not room.tabs and not room.running:
            del self._rooms[conversation]
