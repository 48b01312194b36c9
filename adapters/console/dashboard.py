"""The dashboard: how support goes, in figures that each open the rows behind them.

Knows the page and its charts; what a figure counts is `bot/reviewing/figures.py`'s.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from adapters.console.access import AViewer, TheOffice
from adapters.console.charts import HALF, bars, stacked
from adapters.console.pages import fault_name, linked, page
from bot.reviewing.cases import Filter, day_of
from bot.reviewing.figures import DEFINITIONS, Day

router = APIRouter()

DEFAULT_DAYS = 30
WEEKLY = 70  # beyond so many days, a column is a week


@router.get("/dashboard")
async def dashboard(request: Request, desk: TheOffice, member: AViewer) -> Response:
    """A period's figures; the month until today unless the address says otherwise."""
    wanted = Filter.of(request.query_params)
    today = datetime.now(UTC).date()
    since = day_of(wanted.since) or (today - timedelta(days=DEFAULT_DAYS - 1)).isoformat()
    wanted = replace(wanted, since=since, until=day_of(wanted.until) or today.isoformat())
    await desk.filing.catch_up()
    figures, seen = desk.figures, member.audiences
    board = await figures.board(wanted, seen)
    gaps, choices = await asyncio.gather(figures.gaps(wanted, seen), desk.cases.choices(seen))
    query = wanted.query()
    columns = _columns(board.days)
    return page(
        request,
        "dashboard.html",
        member,
        here="dashboard",
        wanted=wanted,
        query=query,
        summary=board.summary,
        days=columns,
        channels=board.channels,
        models=board.models,
        langs=board.langs,
        faults=[(fault_name(name), count, name) for name, count in board.faults.items()],
        gaps=gaps,
        choices=choices,
        definitions=DEFINITIONS,
        volume=stacked(
            [
                (
                    day.day,
                    (day.answered, day.unanswered, day.questions - day.answered - day.unanswered),
                    linked("search", **{**query, "since": day.day, "until": until}),
                )
                for day, until in columns
            ],
            ("answered", "unanswered", "other"),
        ),
        votes=stacked(
            [
                (
                    day.day,
                    (day.up, day.down),
                    linked("search", **{**query, "since": day.day, "until": until, "vote": "down"}),
                )
                for day, until in columns
            ],
            ("up", "down"),
            width=HALF,
            height=170,
        ),
        by_channel=bars(
            [
                (part.name, part.questions, linked("search", **{**query, "channel": part.name}))
                for part in board.channels
            ]
        ),
        by_fault=bars(
            [
                (fault_name(name), count, linked("search", **{**query, "fault": name}))
                for name, count in board.faults.items()
            ],
            "down",
        ),
    )


def _columns(days: list[Day]) -> list[tuple[Day, str]]:
    """Days with their last day; of long periods, weeks."""
    if len(days) <= WEEKLY:
        return [(day, day.day) for day in days]
    found = []
    for at in range(0, len(days), 7):
        week = days[at : at + 7]
        total = Day(
            week[0].day,
            *(
                sum(getattr(day, name) for day in week)
                for name in ("questions", "answered", "unanswered", "up", "down")
            ),
        )
        found.append((total, date.fromisoformat(week[-1].day).isoformat()))
    return found
