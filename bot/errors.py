"""The bot's errors, as one tree. The root and its knowledge branch live in `knowledge.errors`.

DeskhandError
├── KnowledgeError …        see knowledge/errors.py
├── ConfigError             a setting is unknown, malformed or missing
├── StoreError              the database cannot do what was asked
│   ├── AlreadyRunning      another server holds this database
│   ├── StoreUnavailable    it cannot be written now: locked, full or unreachable
│   └── NotFound            there is no such answer or message
├── DeliveryError           a channel could not show a reply
├── Refused                 an event is not taken in, and the sender is told why
│   ├── Busy                too much is waiting
│   └── TooLarge            the message is longer than the limit
├── EngineError             the process that holds the model failed
│   ├── EngineDown          it cannot be reached
│   └── ModelRejected       a model folder failed its checks and may not serve
└── NotAllowed              the actor may not do this
"""

from __future__ import annotations

from knowledge.errors import DeskhandError


class ConfigError(DeskhandError):
    """A setting is unknown, malformed or missing."""


class StoreError(DeskhandError):
    """The database cannot do what was asked."""


class AlreadyRunning(StoreError):
    """Another server process holds this database."""


class StoreUnavailable(StoreError):
    """The database cannot be written or read now: locked, full or unreachable. Worth retrying."""


class NotFound(StoreError):
    """What was asked for is not in the database."""


class DeliveryError(DeskhandError):
    """A channel could not show a reply.

    `maybe_shown`: the platform may have shown it nevertheless (a connection that broke after
    the request was sent), so it is looked up before it is sent again. `final`: trying again is
    pointless (the person blocked the bot). `retry_after`: seconds the platform asks to wait.
    """

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        maybe_shown: bool = False,
        final: bool = False,
        retry_after: float = 0.0,
    ) -> None:
        super().__init__(message, remedy)
        self.maybe_shown = maybe_shown
        self.final = final
        self.retry_after = retry_after


class Refused(DeskhandError):
    """An event is not taken in; the sender is told why."""


class Busy(Refused):
    """Too many questions are waiting already."""


class TooLarge(Refused):
    """The message is longer than the limit."""


class EngineError(DeskhandError):
    """The process that holds the model failed."""


class EngineDown(EngineError):
    """The engine cannot be reached, or stopped answering mid-stream."""


class ModelRejected(EngineError):
    """A model folder failed its checks and may not serve."""


class NotAllowed(DeskhandError):
    """The actor may not do this."""
