"""The queue: what waits for a reviewer, one case with all that is known of it, and the verdict.

Knows the page's two halves (list and case) and its forms. Decides nothing: verdicts are
`bot/reviewing/verdicts.py`'s, order and reasons `bot/reviewing/filing.py`'s.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import AReviewer, AViewer, TheOffice
from adapters.console.desk import Office
from adapters.console.pages import page
from bot.answering.units import sentences
from bot.errors import NotFound
from bot.reviewing.accounts import Member
from bot.reviewing.cases import Row
from bot.reviewing.verdicts import Batch, Fault, Judgement, asked_text
from bot.tables import CaseState, Role
from bot.types import Citation, Outcome, Question, Turn
from knowledge.types import Audience

router = APIRouter()

LISTED = 120  # cases in the list beside the open one
REPLAYED = 12  # similar questions shown before and after a correction
MARKER = re.compile(r"\[(\d{1,3})\](?!\()")

Text = Annotated[str, Form(max_length=9000)]


@dataclass(frozen=True, slots=True)
class Place:
    """Which list is shown."""

    state: CaseState = CaseState.OPEN
    reason: str = ""


class PlaceForm(BaseModel):
    """Which list a form was sent from."""

    state: str = Field("open", max_length=16)
    reason: str = Field("", max_length=16)

    @property
    def place(self) -> Place:
        """The list to show next."""
        return Place(_state(self.state), self.reason)


class UndoForm(PlaceForm):
    """What to take back; empty for the last decision."""

    batch: str = Field("", max_length=64)


class BulkForm(PlaceForm):
    """One decision for many: answer ids with commas; right, a fault, or discard."""

    selected: str = Field("", max_length=9000)
    verdict: str = Field("discard", max_length=32)


class VerdictForm(PlaceForm):
    """A decision. `verdict` is "right" or a fault; `others` are decided alike."""

    verdict: str = Field("", max_length=32)
    correction: str = Field("", max_length=9000)
    note: str = Field("", max_length=600)
    action: Literal["save", "publish", "draft", "discard"] = "save"
    others: str = Field("", max_length=9000)


class Silent:
    """A sink that shows nothing: the console waits for the whole answer."""

    async def status(self, text: str) -> None:
        """Nothing is shown."""

    async def append(self, delta: str) -> None:
        """Nothing is shown."""


@router.get("/queue")
async def queue(
    request: Request, desk: TheOffice, member: AViewer, state: str = "open", reason: str = ""
) -> Response:
    """The list, with its first case open."""
    return await _work(request, desk, member, Place(_state(state), reason))


@router.get("/queue/{answer_id}")
async def open_case(
    request: Request,
    answer_id: str,
    desk: TheOffice,
    member: AViewer,
    state: str = "open",
    reason: str = "",
) -> Response:
    """The list, with this case open."""
    return await _work(request, desk, member, Place(_state(state), reason), answer_id)


@router.post("/queue/undo")
async def undo(
    request: Request, desk: TheOffice, member: AReviewer, form: Annotated[UndoForm, Form()]
) -> Response:
    """Take back what the last key press decided, and open that case again."""
    try:
        done = await desk.review.undo(member, form.batch)
    except NotFound:
        said = "There is nothing to take back."
        return await _work(request, desk, member, form.place, said=said)
    count = len(done.answers)
    said = "Taken back." if count == 1 else f"Taken back for {count} questions."
    return await _work(request, desk, member, form.place, done.answers[0], said=said)


@router.post("/queue/bulk")
async def bulk(
    request: Request, desk: TheOffice, member: AReviewer, form: Annotated[BulkForm, Form()]
) -> Response:
    """Decide the cases that were selected in the list."""
    answers = [one for one in form.selected.split(",") if one]
    if not answers:
        return await _work(request, desk, member, form.place, said="Select something first (x).")
    fault = _fault(form.verdict)
    judged = "wrong" if fault else ("right" if form.verdict == "right" else "discard")
    done = await desk.review.judge(answers, Judgement(judged, fault), member)
    said = _said("discard" if judged == "discard" else "save", done)
    return await _work(request, desk, member, form.place, said=said, done=done)


@router.post("/queue/{answer_id}/verdict")
async def verdict(
    request: Request,
    answer_id: str,
    desk: TheOffice,
    member: AReviewer,
    form: Annotated[VerdictForm, Form()],
) -> Response:
    """Decide this case, and `others` with it; show the next one."""
    case = await desk.cases.case(answer_id, member.audiences)
    answers = [answer_id, *(one for one in form.others.split(",") if one.strip())]
    judgement = _judgement(case, form)
    following = await _following(desk, member, form.place, answers)
    if form.action == "publish":
        done = await desk.review.correct(answers, judgement, member)
    else:
        done = await desk.review.judge(answers, judgement, member, draft=form.action == "draft")
    said = _said(form.action, done)
    return await _work(request, desk, member, form.place, following, said=said, done=done)


@router.post("/queue/{answer_id}/ask")
async def ask_again(
    request: Request, answer_id: str, desk: TheOffice, member: AReviewer
) -> Response:
    """Ask the question once more, as the bot is now, and show both answers side by side."""
    case = await desk.cases.case(answer_id, member.audiences)
    earlier = [one for one in await _thread(desk, case, member) if one["id"] < case["id"]]
    history: list[Turn] = []
    for one in earlier[-3:]:
        history += [Turn("user", one["question"]), Turn("assistant", one["answer"])]
    question = Question(
        f"console:{answer_id}", case["question"], Audience(case["audience"]), history
    )
    reply = await desk.answerer.answer(question, Silent())
    return page(request, "asked.html", member, case=case, reply=reply)


@router.post("/queue/{answer_id}/replay")
async def replay(
    request: Request, answer_id: str, desk: TheOffice, member: AReviewer, correction: Text = ""
) -> Response:
    """Show which similar past questions this correction would answer, before it is published."""
    case = await desk.cases.case(answer_id, member.audiences)
    wording = asked_text(case["rewritten"], case["question"])
    similar = await desk.cases.similar(wording, member.audiences, case["audience"], answer_id)
    hit = await desk.curated.would_answer([one["question"] for one in similar], [wording])
    rows = [{**one, "hit": holds} for one, holds in zip(similar, hit, strict=True)]
    rows = sorted(rows, key=lambda one: not one["hit"])[:REPLAYED]
    return page(request, "replay.html", member, rows=rows, correction=correction, wording=wording)


def _fault(value: str) -> Fault | None:
    return Fault(value) if value in {one.value for one in Fault} else None


def _judgement(case: Row, form: VerdictForm) -> Judgement:
    fault = _fault(form.verdict)
    text = form.correction.replace("\r\n", "\n").strip()
    if text == case["answer"].strip():
        text = ""
    discarded = form.action == "discard"
    judged = "discard" if discarded else "right" if form.verdict == "right" else "wrong"
    if judged != "wrong":
        fault = None
    elif fault is None and text:
        fault = Fault.WORDING  # whoever corrects without naming a fault says: this sentence
    used = {int(number) for number in MARKER.findall(text)}
    cited = tuple(one for one in sources(case) if one.number in used)
    return Judgement(judged, fault, text, cited, form.note.strip())


def sources(case: Row) -> list[Citation]:
    """What a correction of this answer may cite: its citations, then whatever else was found."""
    cited = [Citation(**one) for one in case["citations"]]
    known = {one.passage_id for one in cited}
    number = max((one.number for one in cited), default=0)
    for found in case["found"]:
        if found["passage_id"] not in known:
            number += 1
            known.add(found["passage_id"])
            cited.append(Citation(number, found["passage_id"], found["title"], found["source"]))
    return cited


def claims(case: Row) -> list[tuple[str, list[Citation]]]:
    """The answer's sentences, each with the citations that carry it."""
    cited = {one["number"]: Citation(**one) for one in case["citations"]}
    found = []
    for sentence in sentences(case["answer"]):
        numbers = [int(number) for number in MARKER.findall(sentence)]
        text = MARKER.sub("", sentence).strip()
        if text:
            found.append((text, [cited[number] for number in numbers if number in cited]))
        elif found and numbers:  # a marker that stands on a line of its own
            found[-1][1].extend(cited[number] for number in numbers if number in cited)
    return found


def _said(action: str, done: Batch) -> str:
    count = "" if len(done.answers) == 1 else f" for {len(done.answers)} questions"
    match action:
        case "publish":
            return f"Live{count}: whoever asks this now gets your words."
        case "draft":
            return "Draft kept."
        case "discard":
            return f"Discarded{count}."
        case _:
            return f"Saved{count}."


def _state(name: str) -> CaseState:
    known = {one.value for one in CaseState} - {CaseState.CLEAR.value}
    return CaseState(name) if name in known else CaseState.OPEN


async def _following(desk: Office, member: Member, place: Place, decided: Sequence[str]) -> str:
    """The first case of the list after those that are being decided."""
    groups = await desk.cases.queue(
        place.state, member.audiences, reason=place.reason, limit=LISTED
    )
    ids = [[row["answer_id"] for row in group] for group in groups]
    at = next((row for row, group in enumerate(ids) if decided[0] in group), -1)
    after = [group[0] for group in (*ids[at + 1 :], *ids[:at]) if group[0] not in decided]
    return after[0] if after else ""


async def _thread(desk: Office, case: Row, member: Member) -> list[Row]:
    return await desk.cases.thread(case["conversation_id"], member.audiences)


async def _work(
    request: Request,
    desk: Office,
    member: Member,
    place: Place,
    answer_id: str = "",
    *,
    said: str = "",
    done: Batch | None = None,
) -> Response:
    """List and case together: the whole page, or by htmx what is inside it."""
    await desk.filing.catch_up()
    groups, counts = await asyncio.gather(
        desk.cases.queue(place.state, member.audiences, reason=place.reason, limit=LISTED),
        desk.cases.counts(member.audiences),
    )
    chosen = answer_id or (groups[0][0]["answer_id"] if groups else "")
    values: dict[str, Any] = {"case": None}
    if chosen:
        values = await _case_values(desk, member, chosen)
    return page(
        request,
        "queue.html",
        member,
        here="queue",
        groups=groups,
        counts=counts,
        state=place.state.value,
        reason=place.reason,
        chosen=chosen,
        on_case=bool(answer_id),
        said=said,
        batch=done.id if done else "",
        can_judge=member.may(Role.REVIEWER),
        **values,
    )


async def _case_values(desk: Office, member: Member, answer_id: str) -> dict[str, Any]:
    case = await desk.cases.case(answer_id, member.audiences)
    thread, kin = await asyncio.gather(
        _thread(desk, case, member), desk.cases.kin(answer_id, member.audiences)
    )
    holder = ""
    if member.may(Role.REVIEWER) and case["state"] in {CaseState.OPEN, CaseState.DRAFT}:
        holder = await desk.review.hold(answer_id, member)
    await desk.store.audit(member.name, "read", answer_id)
    latest = next(iter(case["verdicts"]), None)
    return {
        "case": case,
        "thread": thread,
        "kin": [one for one in kin if one["answer_id"] != answer_id],
        "holder": holder,
        "sources": sources(case),
        "claims": claims(case) if case["outcome"] is Outcome.ANSWERED else [],
        "latest": latest,
        "curated": next(
            (one for one in desk.curated.everything() if one.live and one.answer_id == answer_id),
            None,
        ),
        "slowest": max(case["timings"].values(), default=0.0),
    }
