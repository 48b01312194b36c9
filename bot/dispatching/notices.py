"""What the bot says when it does not answer.

Knows words only. English; a person's language is the composer's business.
"""

from __future__ import annotations

BUSY = (
    "I'm sorry, so many questions are waiting right now that I could not get to yours in time. "
    "Please ask it again in a few minutes."
)
FAILED = (
    "I'm sorry, something went wrong on my side while I worked on this, and it has been noted. "
    "Please try asking it in another way, or ask for a person."
)
STOPPED = "Stopped, as you asked."
WISH = "I would like to talk to a person."  # what a button for it says on somebody's behalf
RESOLVED = "This has been taken care of, and I am listening again. Ask me whenever you like."
REFUSED_FULL = ("Too many questions are waiting right now.", "Please try again in a few minutes.")
REFUSED_ACTOR = (
    "You already have {waiting} questions waiting.",
    "Please wait for an answer before you ask the next one.",
)
REFUSED_RESTART = ("The bot is restarting.", "Please send your message again in a minute.")
REFUSED_CHANNEL = (
    "Replies to {channel} cannot be delivered right now.",
    "Please try again in a few minutes.",
)
REFUSED_LONG = (
    "The message has {length} characters, and {limit} can be read.",
    "Please shorten it, or send it in parts.",
)
REFUSED_STORE = ("Your message could not be saved.", "Please send it again in a minute.")
