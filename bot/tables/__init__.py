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

__all__ = [
    "Answer",
    "Audit",
    "Conversation",
    "Message",
    "MessageState",
    "Note",
    "Outbox",
    "Probe",
    "SendState",
    "Vote",
    "answer_values",
    "reply_of",
]
