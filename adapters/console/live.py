"""Live: conversations in the hands of staff, answered from here through the person's channel.

Knows the page. What a handover is and how its lines travel is `bot/handover`'s.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import AReviewer, TheOffice
from adapters.console.desk import Office
from adapters.console.pages import go, page
from bot.errors import NotFound
from bot.handover import Handover, Line
from bot.reviewing.accounts import Member
from bot.types import Actor

router = APIRouter()

NAME = "console"


class ConsoleDesk:
    """The console among the places where staff sit. Its pages look for themselves."""

    name = NAME

    async def show(self, handover: Handover, line: Line) -> str:
        """Told: the Live page reads the database whenever it is looked at."""
        return f"console-{line.id}"

    async def shown(self, handover: Handover, line: Line) -> str | None:
        """The same after a crash."""
        return f"console-{line.id}"


def actor(member: Member) -> Actor:
    """A member as somebody of the staff; the person sees the part before an @."""
    return Actor(f"console:{member.name}", member.name.partition("@")[0].title())


@router.get("/live")
async def live(request: Request, desk: TheOffice, member: AReviewer) -> Response:
    """Who waits, and who has whom."""
    return await _show(request, desk, member, "")


@router.get("/live/{handover_id}")
async def conversation(
    request: Request, handover_id: str, desk: TheOffice, member: AReviewer
) -> Response:
    """One conversation, to answer in."""
    return await _show(request, desk, member, handover_id)


@router.post("/live/step-in/{answer_id}")
async def step_in(request: Request, answer_id: str, desk: TheOffice, member: AReviewer) -> Response:
    """Take a conversation from the bot, on one's own account."""
    case = await desk.cases.case(answer_id, member.audiences)
    opened = await desk.handovers.open(
        case["channel"], case["conversation"], "", "staff stepped in", actor(member)
    )
    await desk.handovers.claim(opened.id, actor(member), take_over=True)
    return go(request, f"/console/live/{opened.id}")


@router.post("/live/{handover_id}/claim")
async def claim(request: Request, handover_id: str, desk: TheOffice, member: AReviewer) -> Response:
    """Take it on, from a colleague as well."""
    await _mine(desk, member, handover_id)
    await desk.handovers.claim(handover_id, actor(member), take_over=True)
    return await _show(request, desk, member, handover_id)


@router.post("/live/{handover_id}/say")
async def say(
    request: Request,
    handover_id: str,
    desk: TheOffice,
    member: AReviewer,
    text: Annotated[str, Form(max_length=4000)] = "",
) -> Response:
    """Answer the person; they get it in their channel."""
    await _mine(desk, member, handover_id)
    if text.strip():
        await desk.handovers.say(handover_id, actor(member), text.strip(), desk=NAME)
    return await _show(request, desk, member, handover_id)


@router.post("/live/{handover_id}/resolve")
async def resolve(
    request: Request, handover_id: str, desk: TheOffice, member: AReviewer
) -> Response:
    """Give the conversation back to the bot."""
    await _mine(desk, member, handover_id)
    await desk.handovers.resolve(handover_id, actor(member))
    return go(request, "/console/live")


async def _mine(desk: Office, member: Member, handover_id: str) -> Handover:
    """A handover this member may see. Raises `NotFound`."""
    found = await desk.handovers.get(handover_id)
    if found.person.audience not in member.audiences:
        raise NotFound("There is no such handover.")
    return found


async def _show(request: Request, desk: Office, member: Member, handover_id: str) -> Response:
    waiting = [
        one for one in await desk.handovers.pending() if one.person.audience in member.audiences
    ]
    current = await _mine(desk, member, handover_id) if handover_id else None
    thread, said = [], []
    if current is not None:
        thread = await desk.cases.talk(current.channel, current.conversation, member.audiences)
        said = await desk.handovers.said(current.id)
        await desk.store.audit(member.name, "read", f"handover {current.id}")
    lines = sorted(
        [
            *((one["at"], "person", one["question"], "") for one in thread),
            *(
                (one["answered"], "bot", one["answer"], "")
                for one in thread
                if one["answer"] and one["answered"]
            ),
            *((one.at, "staff", one.text, f"{one.by.name} · {one.send.value}") for one in said),
        ],
        key=lambda line: line[0],
    )
    return page(
        request,
        "live.html",
        member,
        here="live",
        waiting=waiting,
        current=current,
        lines=lines,
    )
