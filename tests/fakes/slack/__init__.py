"""A strict Slack on loopback: Web API, Socket Mode, signed HTTP events, people who type.

It is stricter than Slack where Slack forgives: an unknown argument or a read method called with
JSON is an error here, so that a test fails where a real workspace would silently do nothing.
Facts are from Slack's reference pages; behaviour that only users report is marked so.
"""

from tests.fakes.slack.server import FakeSlack, Fault
from tests.fakes.slack.world import APP_TOKEN, BOT_TOKEN, SIGNING_SECRET, ApiError, Message

__all__ = [
    "APP_TOKEN",
    "BOT_TOKEN",
    "SIGNING_SECRET",
    "ApiError",
    "FakeSlack",
    "Fault",
    "Message",
]
