"""The knowledge's pages: browse, search, write entries, approve files and suggestions.

Knows the pages and their forms; what an entry does to the index is `bot/reviewing/faq.py`'s.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import OrderedDict
from collections.abc import Sequence
from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import BaseModel, Field
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import UPLOAD, AReviewer, ATrainer, AViewer, Gate, TheOffice
from adapters.console.desk import Office
from adapters.console.pages import go, page
from bot.errors import NotFound
from bot.handover import SuggestionState
from bot.reviewing.accounts import Member
from bot.reviewing.cases import Filter
from bot.reviewing.faq import SOURCE, Entry, read_upload
from bot.reviewing.redact import redact
from bot.reviewing.verdicts import Fault, Judgement
from bot.tables import Role
from knowledge.terms import fold
from knowledge.types import Audience, Passage, Query

router = APIRouter(prefix="/knowledge")

LISTED = 100
DRAFTS = 16  # uploaded files that wait for approval, in memory


class EntryForm(BaseModel):
    """A FAQ entry to write. `answer_id` is of a case whose group it settles."""

    question: str = Field("", max_length=1000)
    answer: str = Field("", max_length=8000)
    audience: Audience = Audience.CUSTOMER
    id: int = 0
    replaces: str = Field("", max_length=64)
    answer_id: str = Field("", max_length=64)


class SuggestionForm(BaseModel):
    """What becomes of a suggestion: its question and text as a reviewer leaves them."""

    question: str = Field("", max_length=1000)
    text: str = Field("", max_length=8000)
    audience: Audience = Audience.CUSTOMER
    action: str = Field("reject", max_length=16)


class Drafts:
    """Uploaded files whose text waits for approval. In memory: an upload is quickly repeated."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, tuple[str, str, Sequence[Passage]]] = OrderedDict()

    def put(self, owner: str, name: str, passages: Sequence[Passage]) -> str:
        """Keep one; returns its key. The oldest gives way."""
        key = secrets.token_urlsafe(16)
        self._kept[key] = (owner, name, passages)
        while len(self._kept) > DRAFTS:
            self._kept.popitem(last=False)
        return key

    def take(self, owner: str, key: str) -> tuple[str, Sequence[Passage]]:
        """Give it back, once, to whoever uploaded it. Raises `NotFound`."""
        found = self._kept.get(key)
        if found is None or found[0] != owner:
            raise NotFound("This upload is no longer here.", "Upload the file again.")
        del self._kept[key]
        return found[1], found[2]


@router.get("")
async def browse(
    request: Request,
    desk: TheOffice,
    member: AViewer,
    q: str = "",
    source: str = "",
    only: str = "",
) -> Response:
    """Passages by their words or source, with how often each was cited."""
    served = await desk.faq.served()
    every = [one for one in desk.faq.passages() if one.audience in member.audiences]
    words = fold(q).split()
    rows = [
        one
        for one in every
        if (not source or one.source == source)
        and (only != "unused" or one.id not in served)
        and all(word in fold(f"{one.title} {one.text}") for word in words)
    ]
    return page(
        request,
        "knowledge.html",
        member,
        here="knowledge",
        tab="browse",
        q=q,
        source=source,
        only=only,
        rows=rows[:LISTED],
        count=len(rows),
        served=served,
        sources=sorted({one.source for one in every}),
        version=desk.faq.version,
        can_write=member.may(Role.TRAINER),
    )


@router.get("/try")
async def try_out(
    request: Request, desk: TheOffice, member: AViewer, q: str = "", audience: str = "customer"
) -> Response:
    """What a question would be answered from, with scores."""
    whose = Audience.INTERNAL if audience == "internal" else Audience.CUSTOMER
    if whose not in member.audiences:
        raise NotFound("There is no such audience.")
    hits = await desk.faq.search(Query(q[:1000], whose)) if q.strip() else None
    return page(
        request, "knowledge_try.html", member, here="knowledge", tab="try", q=q, hits=hits,
        whose=whose.value,
    )  # fmt: skip


@router.get("/passage/{passage_id}")
async def passage(request: Request, passage_id: str, desk: TheOffice, member: AViewer) -> Response:
    """One passage with the questions it served, and a form to put an entry in its place."""
    found = _passage(desk, member, passage_id)
    served = (await desk.faq.served()).get(passage_id, [])
    asked = []
    for answer_id in served[:12]:
        try:
            asked.append(await desk.cases.case(answer_id, member.audiences))
        except NotFound:
            continue  # of another audience, or not filed yet
    return page(
        request,
        "knowledge_passage.html",
        member,
        here="knowledge",
        tab="browse",
        one=found,
        times=len(served),
        asked=asked,
        can_write=member.may(Role.TRAINER),
        entry=next((e for e in await desk.faq.entries() if _is(e, found)), None),
    )


@router.get("/new")
async def new_entry(
    request: Request, desk: TheOffice, member: ATrainer, question: str = "", answer_id: str = ""
) -> Response:
    """An empty entry, or one for a question that waits for an answer."""
    case = await desk.cases.case(answer_id, member.audiences) if answer_id else None
    return page(
        request,
        "knowledge_entry.html",
        member,
        here="knowledge",
        tab="entries",
        question=question[:1000] or (case["question"] if case else ""),
        answer_id=answer_id,
        case=case,
    )


@router.get("/entries")
async def entries(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """What staff wrote here."""
    rows = [one for one in await desk.faq.entries() if one.audience in member.audiences]
    return page(
        request, "knowledge_entries.html", member, here="knowledge", tab="entries", rows=rows,
        can_write=member.may(Role.TRAINER),
    )  # fmt: skip


@router.post("/entries")
async def save_entry(
    request: Request, desk: TheOffice, member: ATrainer, form: Annotated[EntryForm, Form()]
) -> Response:
    """Write an entry; it is in the index when the page comes back."""
    if form.audience not in member.audiences:
        raise NotFound("There is no such audience.")
    if form.replaces:
        _passage(desk, member, form.replaces)
    entry = Entry(
        form.question, form.answer.replace("\r\n", "\n"), form.audience, replaces=form.replaces,
        id=form.id,
    )  # fmt: skip
    await desk.faq.save(entry, member.name)
    if form.answer_id:
        kin = await desk.cases.kin(form.answer_id, member.audiences)
        answers = [one["answer_id"] for one in kin] or [form.answer_id]
        closed = Judgement("wrong", Fault.GAP, note="Written into the knowledge.")
        await desk.review.judge(answers, closed, member)
    return go(request, "/console/knowledge/entries")


@router.post("/entries/{entry_id}/drop")
async def drop_entry(
    request: Request, entry_id: int, desk: TheOffice, member: ATrainer
) -> Response:
    """Take an entry back."""
    known = {one.id for one in await desk.faq.entries() if one.audience in member.audiences}
    if entry_id not in known:
        raise NotFound("There is no such entry.")
    await desk.faq.drop(entry_id, member.name)
    return go(request, "/console/knowledge/entries")


@router.post("/passage/{passage_id}/remove")
async def remove_passage(
    request: Request, passage_id: str, desk: TheOffice, member: ATrainer
) -> Response:
    """Take a passage out of the index, whatever the documents say."""
    found = _passage(desk, member, passage_id)
    gone = Entry(found.title, found.text[:200], found.audience, found.lang, found.id, removed=True)
    await desk.faq.save(gone, member.name)
    return go(request, "/console/knowledge/entries")


@router.get("/upload")
async def upload_page(request: Request, desk: TheOffice, member: ATrainer) -> Response:
    """Choose a file."""
    return page(request, "knowledge_upload.html", member, here="knowledge", tab="upload")


@router.post("/upload")
async def upload(request: Request, desk: TheOffice, member: ATrainer) -> Response:
    """Show the text of a file as it would be indexed; nothing is indexed yet.

    The body is read here and not by the framework, so that it is read only for trainers.
    """
    async with request.form() as form:
        file, whose = form.get("file"), str(form.get("audience", ""))
        if not isinstance(file, UploadFile) or not file.filename:
            raise Gate(422, "Choose a file first.")
        data = await file.read(UPLOAD + 1)
        name = f"{SOURCE}/{_harmless(file.filename)}"
    audience = Audience.INTERNAL if whose == "internal" else Audience.CUSTOMER
    if audience not in member.audiences:
        raise NotFound("There is no such audience.")
    if len(data) > UPLOAD:
        raise Gate(413, f"A file has at most {UPLOAD // 1_000_000} MB.")
    passages = await asyncio.to_thread(read_upload, name, data, audience)
    readable = [one for one in passages if one.audience in member.audiences]
    key = request.app.state.drafts.put(member.name, name, readable)
    return page(
        request, "knowledge_approve.html", member, here="knowledge", tab="upload", key=key,
        file=name, rows=readable,
    )  # fmt: skip


@router.post("/upload/{key}")
async def approve_upload(request: Request, key: str, desk: TheOffice, member: ATrainer) -> Response:
    """Index the text that was shown."""
    name, passages = request.app.state.drafts.take(member.name, key)
    await desk.faq.add(passages, member.name, name)
    return go(request, "/console/knowledge/entries")


@router.get("/twins")
async def twins(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """Entries that ask the same and answer differently."""
    pairs = [pair for pair in await desk.faq.twins() if pair[0].audience in member.audiences]
    return page(request, "knowledge_twins.html", member, here="knowledge", tab="twins", pairs=pairs)


@router.get("/gaps")
async def gaps(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """What people asked and the knowledge does not say, most asked first."""
    await desk.filing.catch_up()
    rows = await desk.figures.gaps(Filter(), member.audiences, limit=100)
    return page(
        request, "knowledge_gaps.html", member, here="knowledge", tab="gaps", rows=rows,
        can_write=member.may(Role.TRAINER),
    )  # fmt: skip


@router.get("/curated")
async def curated(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """Curated answers, live and withdrawn."""
    rows = [one for one in desk.curated.everything() if one.audience in member.audiences]
    return page(
        request, "knowledge_curated.html", member, here="knowledge", tab="curated", rows=rows,
        can_judge=member.may(Role.REVIEWER),
    )  # fmt: skip


@router.post("/curated/{curated_id}")
async def change_curated(
    request: Request,
    curated_id: int,
    desk: TheOffice,
    member: AReviewer,
    live: Annotated[str, Form(max_length=8)] = "no",
) -> Response:
    """Withdraw a curated answer, or give it again."""
    known = {one.id for one in desk.curated.everything() if one.audience in member.audiences}
    if curated_id not in known:
        raise NotFound("There is no such curated answer.")
    await desk.curated.withdraw(curated_id, member.name, live=live == "yes")
    return go(request, "/console/knowledge/curated")


@router.get("/suggestions")
async def suggestions(request: Request, desk: TheOffice, member: AReviewer) -> Response:
    """What staff told people, as answers to approve."""
    found = await desk.handovers.suggestions()
    rows = [one for one in found if one.audience in member.audiences]
    return page(
        request, "knowledge_suggestions.html", member, here="knowledge", tab="suggestions",
        rows=rows,
    )  # fmt: skip


@router.post("/suggestions/{suggestion_id}")
async def decide_suggestion(
    request: Request,
    suggestion_id: int,
    desk: TheOffice,
    member: AReviewer,
    form: Annotated[SuggestionForm, Form()],
) -> Response:
    """Make a curated answer of it, or put it aside."""
    found = await desk.handovers.suggestions()
    mine = [one for one in found if one.id == suggestion_id and one.audience in member.audiences]
    if not mine or form.audience not in member.audiences:
        raise NotFound("There is no such suggestion.")
    approved = form.action == "approve" and form.text.strip() and form.question.strip()
    if approved:
        await desk.curated.publish(
            text=redact(form.text.strip()),
            wordings=[(redact(form.question.strip()), "")],
            citations=(),
            audience=form.audience,
            lang="",
            by=member.name,
        )
    state = SuggestionState.APPROVED if approved else SuggestionState.REJECTED
    await desk.handovers.decide(suggestion_id, state, member.name)
    return go(request, "/console/knowledge/suggestions")


def _passage(desk: Office, member: Member, passage_id: str) -> Passage:
    for one in desk.faq.passages():
        if one.id == passage_id and one.audience in member.audiences:
            return one
    raise NotFound("This text is no longer in the knowledge.")


def _is(entry: Any, found: Passage) -> bool:  # noqa: ANN401 - an entry
    return found.source == SOURCE and (entry.question, entry.answer) == (
        found.question,
        found.text,
    )


def _harmless(name: str) -> str:
    """A file's name without folders, and short."""
    return name.replace("\\", "/").rsplit("/", 1)[-1].strip()[-80:] or "file"
