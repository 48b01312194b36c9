"""Turns what the pages show into HTML: templates, and the words and shapes of values in them.

Knows Jinja and Deskhand's types. Autoescaping is always on; the only HTML that is not escaped is
what `adapters/web/render.py` cleaned, and the charts of `charts.py`, which escape on their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import jinja2
from fastapi.templating import Jinja2Templates
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from adapters.console.access import office
from adapters.markdown import safe_url
from adapters.web.render import answer_html, passage_html
from bot.answering.units import plain
from bot.reviewing.accounts import Member
from bot.reviewing.filing import shown_reasons
from bot.reviewing.verdicts import Fault
from bot.tables import Role
from bot.types import Citation

HERE = Path(__file__).parent

FAULTS = {
    Fault.RETRIEVAL: ("Wrong text found", "The right text exists; the search missed it"),
    Fault.GAP: ("Knowledge gap", "No document says it"),
    Fault.WORDING: ("Badly worded", "Right text, wrong or unclear sentence"),
    Fault.SHOULD_ABSTAIN: ("Should have declined", "It answered what it cannot know"),
    Fault.SHOULD_ANSWER: ("Should have answered", "It declined what it could have known"),
    Fault.UNFAIR: ("Unfair vote", "The answer was fine"),
}
OUTCOMES = {
    "answered": "answered",
    "abstained": "not known",
    "smalltalk": "small talk",
    "stopped": "stopped",
    "busy": "busy",
    "failed": "failed",
    "handed": "with staff",
}
STATES = {"open": "To review", "draft": "Draft", "done": "Done", "discarded": "Discarded"}
NAV = (
    ("queue", "Queue", "g q", Role.VIEWER),
    ("search", "Conversations", "g c", Role.VIEWER),
    ("live", "Live", "g l", Role.REVIEWER),
    ("knowledge", "Knowledge", "g k", Role.VIEWER),
    ("dashboard", "Dashboard", "g d", Role.VIEWER),
    ("people", "People", "g p", Role.ADMIN),
    ("audit", "Audit", "g a", Role.ADMIN),
)


def ago(moment: datetime | None) -> str:
    """How long ago, roughly: "5 min", "3 h", "2 d", else the day."""
    if moment is None:
        return "never"
    seconds = (datetime.now(UTC) - moment).total_seconds()
    if seconds < 60:
        return "now"
    for size, unit, most in ((60, "min", 60), (3600, "h", 24), (86400, "d", 14)):
        if seconds < size * most:
            return f"{int(seconds // size)} {unit}"
    return moment.date().isoformat()


def clock(moment: datetime | None) -> str:
    """A moment to the minute, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M") if moment else ""


def percent(value: float | None) -> str:
    """A share as a percentage; a dash where there is nothing to divide by."""
    return "–" if value is None else f"{100 * value:.0f} %"


def duration(milliseconds: float | None) -> str:
    """A time a person can read."""
    if milliseconds is None:
        return "–"
    return f"{milliseconds:.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:.1f} s"


def rich(text: str, citations: Sequence[Any] = ()) -> Markup:
    """An answer's Markdown as clean HTML; its markers name their sources."""
    known = [one if isinstance(one, Citation) else Citation(**one) for one in citations]
    return Markup(answer_html(text, known))  # noqa: S704 - cleaned by nh3 there


def passage(text: str) -> Markup:
    """A passage's Markdown as clean HTML."""
    return Markup(passage_html(text))  # noqa: S704 - cleaned by nh3 there


def linked(path: str, **values: object) -> str:
    """A link within the console, with a query of the values that say something."""
    query = urlencode({key: value for key, value in values.items() if value not in {"", None}})
    return f"/console/{path}" + (f"?{query}" if query else "")


def fault_name(value: str) -> str:
    """A fault in words."""
    return FAULTS[Fault(value)][0] if value in {one.value for one in Fault} else ""


def _environment() -> jinja2.Environment:
    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,  # every template, whatever it is called
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "ago": ago,
        "clock": clock,
        "percent": percent,
        "duration": duration,
        "rich": rich,
        "passage": passage,
        "plain": plain,
        "safe_url": safe_url,
        "reasons": shown_reasons,
        "fault": fault_name,
        "outcome": lambda value: OUTCOMES.get(str(value), str(value)),
    }
    made.globals |= {"link": linked, "NAV": NAV, "FAULTS": FAULTS, "STATES": STATES}
    return made


_TEMPLATES = Jinja2Templates(env=_environment())


def page(
    request: Request, name: str, member: Member | None, *, status: int = 200, **values: object
) -> Response:
    """A page or a piece of one. Never stored by the browser: it shows people's conversations."""
    desk = office(request)
    shown = {"member": member, "title": desk.title, "partial": is_piece(request), **values}
    response = _TEMPLATES.TemplateResponse(request, name, shown, status_code=status)
    response.headers["cache-control"] = "no-store"
    return response


def is_piece(request: Request) -> bool:
    """True if htmx asks for a piece to put into the page that is open."""
    asked = request.headers.get("hx-request") == "true"
    return asked and request.headers.get("hx-history-restore-request") != "true"


def go(request: Request, where: str) -> Response:
    """Send the browser to another page of the console, after a form or by htmx."""
    if is_piece(request):
        return HTMLResponse("", headers={"hx-redirect": where})
    return HTMLResponse("", 303, headers={"location": where})
