"""Errors of the knowledge room, and the root of every error Deskhand raises on purpose.

DeskhandError               anything a person can act on: says what is wrong and what to do
└── KnowledgeError
    ├── UnreadableFile      one file could not be read; the rest of the build goes on
    ├── EmptyKnowledge      nothing was found to index
    ├── IndexCorrupt        an index folder fails its manifest, or its parts disagree
    ├── IndexMissing        there is no index yet
    ├── IndexBusy           another build is writing this index
    ├── IndexUnwritable     a new version could not be written (disk full, no permission)
    ├── EmbedderMismatch    an index was built with another embedding model
    └── EmbedderUnusable    an embedding model cannot be loaded, or gives unusable numbers
"""

from __future__ import annotations


class DeskhandError(Exception):
    """Something a person can act on.

    The message names the thing that is wrong; `remedy` says what to do about it. Both are
    shown to people, so neither ever holds a secret or a message somebody sent to the bot.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.message} {self.remedy}".strip()


class KnowledgeError(DeskhandError):
    """The knowledge, or the index over it, cannot be used as it is."""


class UnreadableFile(KnowledgeError):
    """One file could not be read as what its name says it is."""


class EmptyKnowledge(KnowledgeError):
    """No readable passage was found where knowledge was expected."""


class IndexCorrupt(KnowledgeError):
    """An index folder does not match its own manifest, or its parts disagree."""


class IndexMissing(KnowledgeError):
    """No index has been built in this folder yet."""


class EmbedderMismatch(KnowledgeError):
    """The index was built with another embedding model than the one that would search it."""


class IndexBusy(KnowledgeError):
    """Another process is building a version of this index."""


class IndexUnwritable(KnowledgeError):
    """A new version of the index could not be written; the one in use is untouched."""


class EmbedderUnusable(KnowledgeError):
    """An embedding model cannot be found or loaded, or gives numbers that are not finite."""
