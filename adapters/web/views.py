"""What the page is given: conversations, replies and votes as JSON-ready data.

Knows which fields a visitor may see: scores, found passages, timings and model versions stay
on the server. Does not read the store.
"""

from __future__ import annotations

from datetime import datetime
from functools import lru_cache
from typing import Any

from adapters.markdown import safe_url
from adapters.web.render import answer_html
from bot.store import Exchange
from bot.types import Citation, Reply, Vote

_KEPT = 1024  # rendered answers kept in memory, some kilobytes each


def reply_view(reply: Reply, answer_id: str) -> dict[str, Any]:
    """Return a finished answer; `html` is safe to put into the page. Takes milliseconds."""
    return {
        "answer_id": answer_id,
        "html": _answer_html(reply.text, reply.citations),
        "text": reply.text,
        "outcome": reply.outcome.value,
        "curated": reply.composer == "curated",
        "lang": reply.lang,
        "citations": [_citation_view(citation) for citation in reply.citations],
        "suggestions": list(reply.suggestions),
    }


def exchange_view(exchange: Exchange, voter: str) -> dict[str, Any]:
    """Return one question with its reply and this voter's vote, as far as there are any."""
    reply = None
    if exchange.reply is not None and exchange.answer_id:
        reply = reply_view(exchange.reply, exchange.answer_id)
    vote = exchange.votes.get(voter)
    return {
        "event_id": exchange.event_id,
        "text": exchange.text,
        "at": exchange.at.isoformat(),
        "reply": reply,
        "vote": vote_view(vote) if vote else None,
    }


def staff_view(event_id: str, at: datetime, reply: Reply) -> dict[str, Any]:
    """Return what somebody of the staff wrote: an exchange without a question."""
    return {
        "event_id": event_id,
        "text": "",
        "at": at.isoformat(),
        "reply": reply_view(reply, event_id),
        "vote": None,
    }


def vote_view(vote: Vote) -> dict[str, Any]:
    """Return a vote as its own voter sees it."""
    return {"value": vote.value, "reason": vote.reason, "correction": vote.correction}


def _citation_view(citation: Citation) -> dict[str, Any]:
    return {
        "number": citation.number,
        "title": citation.title,
        "source": citation.source,
        "url": safe_url(citation.url),
        "quote": citation.quote,
    }


@lru_cache(maxsize=_KEPT)
def _answer_html(text: str, citations: tuple[Citation, ...]) -> str:
    return answer_html(text, citations)
