"""A strict Telegram on loopback: the Bot API, updates by polling and webhook, people who write.

It is stricter than Telegram where Telegram forgives: an unknown, misspelt or deprecated
parameter is an error here, so that a test fails where a real chat would silently look wrong.
Facts are from core.telegram.org/bots/api (Bot API 10.3, as aiogram's generated classes carry
it); behaviour that only users report is marked so.
"""

from tests.fakes.telegram.server import Call, FakeTelegram, Fault
from tests.fakes.telegram.world import (
    BOT_ID,
    BOT_NAME,
    TOKEN,
    ApiError,
    Business,
    Callback,
    Chat,
    Draft,
    Message,
    Topic,
    User,
)

__all__ = [
    "BOT_ID",
    "BOT_NAME",
    "TOKEN",
    "ApiError",
    "Business",
    "Call",
    "Callback",
    "Chat",
    "Draft",
    "FakeTelegram",
    "Fault",
    "Message",
    "Topic",
    "User",
]
