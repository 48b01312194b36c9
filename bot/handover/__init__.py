"""Conversations in the hands of people."""

from __future__ import annotations

from bot.handover.nouns import Desk, Handover, Line, StaffMessage, Suggestion
from bot.handover.relay import from_staff
from bot.handover.steps import Handovers, wish
from bot.tables import HandoverState, LineKind, SuggestionState

__all__ = [
    "Desk",
    "Handover",
    "HandoverState",
    "Handovers",
    "Line",
    "LineKind",
    "StaffMessage",
    "Suggestion",
    "SuggestionState",
    "from_staff",
    "wish",
]
