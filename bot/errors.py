"""The bot's errors, as one tree. The root and its knowledge branch live in `knowledge.errors`.

    DeskhandError
    ├── KnowledgeError …        see knowledge/errors.py
    ├── ConfigError             a setting is unknown, malformed or missing
    ├── StoreError              the database cannot do what was asked
    │   └── AlreadyRunning      another server holds this database
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
