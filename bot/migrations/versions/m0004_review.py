"""Accounts, cases, verdicts, curated answers and consent: the review console."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0004"
down_revision = "0003"

JSON_TYPE = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(16)


def upgrade() -> None:
    """Create everything."""
    _people()
    _cases()
    _verdicts()
    _curated()
    _own_data()
    _words()


def _column(name: str, kind: sa.types.TypeEngine[Any]) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _people() -> None:
    op.create_table(
        "account",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("name", sa.Text()),
        _column("password", sa.String()),
        _column("role", WORD),
        _column("audience", WORD),
        _column("active", sa.Boolean()),
        _column("created", MOMENT),
        sa.Column("seen", MOMENT, nullable=True),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "visit",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("account_id", sa.Integer, sa.ForeignKey("account.id"), nullable=False),
        _column("csrf", sa.String()),
        _column("created", MOMENT),
        _column("used", MOMENT),
        _column("address", sa.Text()),
        _column("agent", sa.Text()),
    )
    op.create_index("ix_visit_account_id", "visit", ["account_id"])
    op.create_table(
        "saved_view",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("owner", sa.Text()),
        _column("name", sa.Text()),
        _column("query", sa.Text()),
        _column("shared", sa.Boolean()),
        _column("created", MOMENT),
    )


def _cases() -> None:
    op.create_table(
        "review_case",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        _column("answer_id", sa.String()),
        _column("conversation_id", sa.Integer()),
        _column("channel", sa.Text()),
        _column("audience", WORD),
        _column("person", sa.Text()),
        _column("lang", sa.String()),
        _column("outcome", WORD),
        _column("composer", sa.String()),
        _column("model", sa.Text()),
        _column("day", sa.String()),
        _column("asked", MOMENT),
        _column("took_ms", sa.Integer()),
        _column("confidence", sa.Float()),
        _column("up", sa.Integer()),
        _column("down", sa.Integer()),
        _column("handed", sa.Boolean()),
        _column("followed", sa.Boolean()),
        _column("state", WORD),
        _column("weight", sa.Float()),
        _column("reasons", JSON_TYPE),
        _column("kin", sa.String()),
        _column("verdict", sa.String()),
        _column("fault", sa.String()),
        _column("reviewer", sa.Text()),
        _column("holder", sa.Text()),
        sa.Column("held_until", MOMENT, nullable=True),
        sa.UniqueConstraint("answer_id"),
    )
    for name in ("conversation_id", "person", "kin"):
        op.create_index(f"ix_review_case_{name}", "review_case", [name])
    op.create_index("ix_case_queue", "review_case", ["state", "weight", "id", "audience"])
    grouped = ["day", "channel", "model", "lang", "fault"]
    counted = ["outcome", "audience", "verdict", "up", "down", "handed", "followed"]
    counted += ["asked", "took_ms"]
    op.create_index("ix_case_board", "review_case", [*grouped, *counted])


def _verdicts() -> None:
    op.create_table(
        "verdict",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("answer_id", sa.String()),
        _column("reviewer", sa.Text()),
        _column("verdict", sa.String()),
        _column("fault", sa.String()),
        _column("correction", sa.Text()),
        _column("citations", JSON_TYPE),
        _column("note", sa.Text()),
        _column("draft", sa.Boolean()),
        _column("undone", sa.Boolean()),
        _column("batch", sa.String()),
        _column("before", JSON_TYPE),
        sa.Column("curated_id", sa.Integer, nullable=True),
        _column("at", MOMENT),
    )
    op.create_index("ix_verdict_answer_id", "verdict", ["answer_id"])
    op.create_index("ix_verdict_batch", "verdict", ["batch"])


def _curated() -> None:
    op.create_table(
        "curated",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("text", sa.Text()),
        _column("citations", JSON_TYPE),
        _column("audience", WORD),
        _column("lang", sa.String()),
        _column("state", WORD),
        _column("author", sa.Text()),
        _column("answer_id", sa.String()),
        _column("created", MOMENT),
        _column("changed", MOMENT),
    )
    op.create_table(
        "wording",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("curated_id", sa.Integer, sa.ForeignKey("curated.id"), nullable=False),
        _column("text", sa.Text()),
        _column("person", sa.Text()),
    )
    op.create_index("ix_wording_curated_id", "wording", ["curated_id"])
    op.create_index("ix_wording_person", "wording", ["person"])
    op.create_table(
        "faq_entry",
        sa.Column("id", sa.Integer, primary_key=True),
        _column("question", sa.Text()),
        _column("answer", sa.Text()),
        _column("audience", WORD),
        _column("lang", sa.String()),
        _column("replaces", sa.String()),
        _column("removed", sa.Boolean()),
        _column("author", sa.Text()),
        _column("changed", MOMENT),
    )
    op.create_index("ix_faq_entry_replaces", "faq_entry", ["replaces"])


def _own_data() -> None:
    op.create_table(
        "consent",
        sa.Column("person", sa.Text, primary_key=True),
        _column("training", sa.Boolean()),
        _column("at", MOMENT),
    )
    op.create_table(
        "erasure",
        sa.Column("answer_id", sa.String, primary_key=True),
        _column("at", MOMENT),
    )


def _words() -> None:
    """The search's words, in each database's own full-text index. See `bot/reviewing/cases.py`."""
    if op.get_bind().dialect.name == "sqlite":
        op.execute("CREATE VIRTUAL TABLE case_words USING fts5(words, detail=none)")
        return
    op.execute("CREATE TABLE case_words (id integer PRIMARY KEY, words tsvector NOT NULL)")
    op.execute("CREATE INDEX ix_case_words ON case_words USING gin (words)")
