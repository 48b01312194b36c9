"""Handing a conversation to people, and the Slack app's installations."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(16)


def upgrade() -> None:
    """Create the tables."""
    _handovers()
    _staff()
    _lines()
    op.create_table(
        "slackinstallation",
        sa.Column("tenant", sa.Text, primary_key=True),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("expires", MOMENT),
        sa.Column("lease", MOMENT),
        sa.Column("installed", MOMENT, nullable=False),
        sa.Column("changed", MOMENT, nullable=False),
    )
    op.create_table(
        "slackstate",
        sa.Column("digest", sa.String, primary_key=True),
        sa.Column("expires", MOMENT, nullable=False),
    )


def _handovers() -> None:
    unresolved = sa.text("state <> 'resolved'")
    op.create_table(
        "handover",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("conversation_id", sa.Integer, sa.ForeignKey("conversation.id"), nullable=False),
        sa.Column("message_id", sa.Integer, sa.ForeignKey("message.id"), nullable=False),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("opened_by", sa.Text, nullable=False),
        sa.Column("claimed_by", sa.Text, nullable=False),
        sa.Column("claimed_name", sa.Text, nullable=False),
        sa.Column("resolved_by", sa.Text, nullable=False),
        sa.Column("opened", MOMENT, nullable=False),
        sa.Column("changed", MOMENT, nullable=False),
    )
    op.create_index(
        "uq_handover_unresolved",
        "handover",
        ["conversation_id"],
        unique=True,
        sqlite_where=unresolved,
        postgresql_where=unresolved,
    )
    op.create_index("ix_handover_conversation", "handover", ["conversation_id"])
    op.create_index("ix_handover_changed", "handover", ["changed"])
    op.create_table(
        "handovercard",
        sa.Column("handover_id", sa.String, sa.ForeignKey("handover.id"), primary_key=True),
        sa.Column("desk", sa.Text, primary_key=True),
        sa.Column("place", sa.Text, nullable=False),
        sa.UniqueConstraint("desk", "place", name="uq_handover_card_place"),
    )


def _staff() -> None:
    op.create_table(
        "staffmessage",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("handover_id", sa.String, sa.ForeignKey("handover.id"), nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.UniqueConstraint("key", name="uq_staff_message_key"),
    )
    op.create_index("ix_staff_message_handover", "staffmessage", ["handover_id"])
    op.create_table(
        "suggestion",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("staff_id", sa.String, sa.ForeignKey("staffmessage.id"), nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("audience", WORD, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.UniqueConstraint("staff_id", name="uq_suggestion_staff"),
    )
    op.create_index("ix_suggestion_state", "suggestion", ["state"])


def _lines() -> None:
    unsent = sa.text("state <> 'sent'")
    op.create_table(
        "handoverline",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("handover_id", sa.String, sa.ForeignKey("handover.id"), nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("kind", WORD, nullable=False),
        sa.Column("message_id", sa.Integer, sa.ForeignKey("message.id")),
        sa.Column("staff_id", sa.String, sa.ForeignKey("staffmessage.id")),
        sa.Column("state", WORD, nullable=False),
        sa.Column("platform_id", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("changed", MOMENT, nullable=False),
    )
    op.create_index(
        "ix_handover_line_unsent",
        "handoverline",
        ["id"],
        sqlite_where=unsent,
        postgresql_where=unsent,
    )
    op.create_index("ix_handover_line_handover", "handoverline", ["handover_id"])
