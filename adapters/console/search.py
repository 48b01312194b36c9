"""Search and filters over every case, saved views, and exports.

Knows the page; its whole state is in its address, so that a link shows a colleague the same.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Annotated
from urllib.parse import parse_qsl, urlencode

from fastapi import APIRouter, Form
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from adapters.console.access import ATrainer, AViewer, Gate, TheOffice
from adapters.console.export import LINES, written
from adapters.console.pages import FAULTS, go, page
from bot.reviewing.cases import PAGE, Filter
from bot.tables import Role

router = APIRouter()

Text = Annotated[str, Form(max_length=2000)]


@router.get("/search")
async def search(request: Request, desk: TheOffice, member: AViewer, before: int = 0) -> Response:
    """The cases a filter finds, newest first."""
    wanted = Filter.of(request.query_params)
    await desk.filing.catch_up()
    rows, count, choices, views = await asyncio.gather(
        desk.cases.page(wanted, member.audiences, before),
        desk.cases.count(wanted, member.audiences),
        desk.cases.choices(member.audiences),
        desk.views.of(member.name),
    )
    query = wanted.query()
    if wanted.q or wanted.person:
        await desk.store.audit(member.name, "search", "", {"query": sorted(query)})
    return page(
        request,
        "search.html",
        member,
        here="search",
        wanted=wanted,
        query=query,
        rows=rows,
        count=count,
        choices=choices,
        faults={fault.value: words[0] for fault, words in FAULTS.items()},
        views=views,
        more={**query, "before": rows[-1]["id"]} if len(rows) == PAGE else None,
        can_export=member.may(Role.TRAINER),
        can_export_raw=member.may(Role.ADMIN),
        encoded=urlencode(query),
    )


@router.post("/views")
async def save_view(
    request: Request,
    desk: TheOffice,
    member: AViewer,
    name: Text = "",
    query: Text = "",
    shared: Text = "",
) -> Response:
    """Keep this search under a name."""
    if name.strip():
        kept = urlencode(Filter.of(dict(_pairs(query))).query())
        await desk.views.save(member.name, name.strip(), kept, shared=shared == "yes")
    return go(request, f"/console/search?{urlencode(Filter.of(dict(_pairs(query))).query())}")


@router.post("/views/{view_id}/drop")
async def drop_view(request: Request, view_id: int, desk: TheOffice, member: AViewer) -> Response:
    """Forget one of one's own views."""
    await desk.views.drop(member.name, view_id)
    return go(request, "/console/search")


@router.get("/export")
async def export(
    request: Request, desk: TheOffice, member: ATrainer, form: str = "csv", raw: str = ""
) -> Response:
    """What the filter finds as a file, streamed; redacted unless an administrator asks."""
    if form not in {"csv", *LINES}:
        raise Gate(422, "There is no such format.", "Choose csv, jsonl, chat, sft or preference.")
    if raw and not member.may(Role.ADMIN):
        raise Gate(403, "Only administrators export texts as they are.")
    wanted = Filter.of(request.query_params)
    detail = {"form": form, "raw": bool(raw), "filter": sorted(wanted.query())}
    await desk.store.audit(member.name, "export", "", detail)
    batches = desk.cases.stream(wanted, member.audiences)
    name = f"deskhand-{datetime.now(UTC):%Y-%m-%d}-{form}.{'csv' if form == 'csv' else 'jsonl'}"
    return StreamingResponse(
        written(batches, form, raw=bool(raw)),
        media_type="text/csv; charset=utf-8" if form == "csv" else "application/jsonl",
        headers={
            "content-disposition": f'attachment; filename="{name}"',
            "cache-control": "no-store",
        },
    )


def _pairs(query: str) -> list[tuple[str, str]]:
    return parse_qsl(query, max_num_fields=40)
