"""Conversations, inbox, answers, outbox, votes and audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

JSON_TYPE = sa.JSON().with_variant(JSONB(), "postgresql")
MOMENT = sa.DateTime(timezone=True)
WORD = sa.String(16)
NO_CHANGE = "audit rows are never changed or deleted"


def upgrade() -> None:
    """Create everything."""
    _inbox()
    _outbox()
    _judgement()
    op.create_table(
        "probe",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("filler", sa.Text, nullable=False),
    )


def _inbox() -> None:
    op.create_table(
        "conversation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("audience", WORD, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.Column("last", MOMENT, nullable=False),
        sa.UniqueConstraint("channel", "key", name="uq_conversation_key"),
    )
    op.create_index("ix_conversation_last", "conversation", ["last"])
    op.create_table(
        "message",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("event_id", sa.Text, nullable=False),
        sa.Column("conversation_id", sa.Integer, sa.ForeignKey("conversation.id"), nullable=False),
        sa.Column("actor_id", sa.Text, nullable=False),
        sa.Column("actor_name", sa.Text, nullable=False),
        sa.Column("audience", WORD, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("detail", JSON_TYPE, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("accepted", MOMENT, nullable=False),
        sa.Column("state", WORD, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.UniqueConstraint("event_id", name="uq_message_event"),
    )
    op.create_index("ix_message_conversation", "message", ["conversation_id", "id"])
    op.create_index("ix_message_actor_id", "message", ["actor_id"])
    unanswered = sa.text("state <> 'answered'")
    op.create_index(
        "ix_message_unanswered",
        "message",
        ["id"],
        sqlite_where=unanswered,
        postgresql_where=unanswered,
    )


def _outbox() -> None:
    op.create_table(
        "answer",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("message_id", sa.Integer, sa.ForeignKey("message.id"), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("outcome", WORD, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("composer", sa.String, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("index_version", sa.Text, nullable=False),
        sa.Column("rewritten", sa.Text, nullable=False),
        sa.Column("lang", sa.String, nullable=False),
        sa.Column("citations", JSON_TYPE, nullable=False),
        sa.Column("found", JSON_TYPE, nullable=False),
        sa.Column("timings", JSON_TYPE, nullable=False),
        sa.Column("suggestions", JSON_TYPE, nullable=False),
        sa.Column("created", MOMENT, nullable=False),
        sa.UniqueConstraint("message_id", name="uq_answer_message"),
    )
    op.create_index("ix_answer_created", "answer", ["created"])
    op.create_table(
        "outbox",
        sa.Column("answer_id", sa.String, sa.ForeignKey("answer.id"), primary_key=True),
        sa.Column("state", WORD, nullable=False),
        sa.Column("platform_id", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("repeated", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("changed", MOMENT, nullable=False),
    )
    unsent = sa.text("state <> 'sent'")
    op.create_index(
        "ix_outbox_unsent", "outbox", ["answer_id"], sqlite_where=unsent, postgresql_where=unsent
    )


def _judgement() -> None:
    op.create_table(
        "vote",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("answer_id", sa.String, sa.ForeignKey("answer.id"), nullable=False),
        sa.Column("voter", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("correction", sa.Text, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.UniqueConstraint("answer_id", "voter", name="uq_vote_voter"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", JSON_TYPE, nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_audit_target", "audit", ["target"])
    _guard_audit()


def _guard_audit() -> None:
    """Let the database itself refuse to change or delete an audit row."""
    if op.get_bind().dialect.name == "sqlite":
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{verb.lower()} BEFORE {verb} ON audit"
                f" BEGIN SELECT RAISE(ABORT, '{NO_CHANGE}'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS"
        f" $$ BEGIN RAISE EXCEPTION '{NO_CHANGE}'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_no_change BEFORE UPDATE OR DELETE OR TRUNCATE ON audit"
        " FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()"
    )
