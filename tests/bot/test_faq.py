"""Entries of the console over the documents: what stays, what goes, and where they are read."""

from __future__ import annotations

from pathlib import Path

import pytest

from bot.errors import StoreError
from bot.reviewing.faq import Entry, entries_of, with_entries
from knowledge.types import Passage

GUIDE = Passage("Press F2 to open it.", "console-guide.md", ("The developer console",))
HOURS = Passage("Nine to five.", "faq.csv", question="When are you open?")


def test_documents_keep_their_place_beside_entries_whatever_they_are_called() -> None:
    entry = Entry("Do you ship?", "Yes.")
    passages = with_entries([GUIDE, HOURS], [entry])
    assert passages == [GUIDE, HOURS, entry.passage()]


def test_an_entry_stands_in_for_a_passage_and_the_entries_of_before_are_gone() -> None:
    old = Entry("Do you ship?", "Yes.")
    new = Entry("When are you open?", "Ten to six.", replaces=HOURS.id)
    away = Entry("", "", replaces=GUIDE.id, removed=True)
    assert with_entries([GUIDE, HOURS, old.passage()], [new, away]) == [new.passage()]


def test_a_database_that_is_not_made_yet_has_no_entries_and_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "deskhand.db"
    assert entries_of(f"sqlite:///{file}") == []
    assert not file.exists()


def test_a_database_that_cannot_be_reached_is_told_in_words() -> None:
    with pytest.raises(StoreError):
        entries_of("postgresql://nobody@127.0.0.1:9/none")
