"""The web as a `Channel`: replies go to whatever pages of the conversation are open.

Knows how a reply becomes JSON for the page and hands it to the hub. Does not know HTTP (see
`app`) and stores nothing: a reply is in the database before it gets here, and any page that
opens later reads it there.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from adapters.web.hub import Hub
from adapters.web.render import partial_html
from adapters.web.views import reply_view
from bot.handover import from_staff
from bot.types import Accept, Address, Delivery, Reply

NAME = "web"


class WebChannel:
    """The door for the chat page. `hub` is where `app` finds the live conversations."""

    name = NAME

    def __init__(self) -> None:
        self.hub = Hub(partial_html)

    async def run(self, accept: Accept) -> None:
        """Wait until cancelled: it is the HTTP server that takes messages in (`app`)."""
        await asyncio.Event().wait()

    async def open(self, to: Address, event_id: str) -> Delivery:
        """Start showing the reply to `event_id` on every open page of the conversation."""
        if not from_staff(event_id):  # a colleague's message comes whole
            self.hub.begin(to.conversation, event_id)
        return _WebDelivery(self.hub, to.conversation, event_id)

    async def delivered(self, to: Address, answer_id: str) -> str | None:
        """Return `answer_id`: a stored answer is on the page whenever the page is opened."""
        return answer_id

    def close(self) -> None:
        """End every open page's stream; call it after draining, before stopping the server."""
        self.hub.close()


@dataclass(frozen=True, slots=True)
class _WebDelivery:
    hub: Hub
    conversation: str
    event_id: str

    async def status(self, text: str) -> None:
        """Show what is being done."""
        self.hub.status(self.conversation, self.event_id, text)

    async def append(self, delta: str) -> None:
        """Show more of the answer."""
        self.hub.append(self.conversation, self.event_id, delta)

    async def finish(self, reply: Reply, answer_id: str) -> str:
        """Show the whole reply. A page that shows this answer already ignores the repetition."""
        view = await asyncio.to_thread(reply_view, reply, answer_id)
        self.hub.finish(
            self.conversation, self.event_id, "final", {"event_id": self.event_id, "reply": view}
        )
        return answer_id
