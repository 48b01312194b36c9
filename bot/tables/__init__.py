"""The tables: what is kept, under which keys, with which states.

Every table's module is imported here, so that whoever imports the package sees all of them.
"""

from __future__ import annotations

from bot.tables.conversations import (
    Answer,
    Audit,
    Conversation,
    Message,
    MessageState,
    Note,
    Outbox,
    Probe,
    SendState,
    Vote,
    answer_values,
    reply_of,
)
from bot.tables.handover import (
    Handover,
    HandoverCard,
    HandoverLine,
    HandoverState,
    LineKind,
    StaffMessage,
    Suggestion,
    SuggestionState,
)
from bot.tables.review import (
    Account,
    Case,
    CaseState,
    Consent,
    Curated,
    CuratedState,
    Entry,
    Erasure,
    Role,
    SavedView,
    Verdict,
    Visit,
    Wording,
)
from bot.tables.slack import SlackInstallation, SlackState

__all__ = [
    "Account",
    "Answer",
    "Audit",
    "Case",
    "CaseState",
    "Consent",
    "Conversation",
    "Curated",
    "CuratedState",
    "Entry",
    "Erasure",
    "Handover",
    "HandoverCard",
    "HandoverLine",
    "HandoverState",
    "LineKind",
    "Message",
    "MessageState",
    "Note",
    "Outbox",
    "Probe",
    "Role",
    "SavedView",
    "SendState",
    "SlackInstallation",
    "SlackState",
    "StaffMessage",
    "Suggestion",
    "SuggestionState",
    "Verdict",
    "Visit",
    "Vote",
    "Wording",
    "answer_values",
    "reply_of",
]
