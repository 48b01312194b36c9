"""Conversations, inbox, answers, outbox, votes and audit."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0001"
down_revision = None

NO_CHANGE = "audit rows are never changed or deleted"


def upgrade() -> None:
    """Create everything."""
    json = sa.JSON().with_variant(JSONB(), "postgresql")
    moment = sa.DateTime(timezone=True)
    word = sa.String(16)
    op.create_table(
        "conversation",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("key", sa.Text, nullable=False),
        sa.Column("audience", word, nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.Column("last", moment, nullable=False),
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
        sa.Column("audience", word, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("detail", json, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.Column("accepted", moment, nullable=False),
        sa.Column("state", word, nullable=False),
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
    op.create_table(
        "answer",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("message_id", sa.Integer, sa.ForeignKey("message.id"), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("outcome", word, nullable=False),
        sa.Column("confidence", sa.Float, nullable=False),
        sa.Column("composer", sa.String, nullable=False),
        sa.Column("model", sa.Text, nullable=False),
        sa.Column("index_version", sa.Text, nullable=False),
        sa.Column("rewritten", sa.Text, nullable=False),
        sa.Column("lang", sa.String, nullable=False),
        sa.Column("citations", json, nullable=False),
        sa.Column("found", json, nullable=False),
        sa.Column("timings", json, nullable=False),
        sa.Column("suggestions", json, nullable=False),
        sa.Column("created", moment, nullable=False),
        sa.UniqueConstraint("message_id", name="uq_answer_message"),
    )
    op.create_index("ix_answer_created", "answer", ["created"])
    op.create_table(
        "outbox",
        sa.Column("answer_id", sa.String, sa.ForeignKey("answer.id"), primary_key=True),
        sa.Column("state", word, nullable=False),
        sa.Column("platform_id", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("repeated", sa.Boolean, nullable=False),
        sa.Column("error", sa.Text, nullable=False),
        sa.Column("changed", moment, nullable=False),
    )
    unsent = sa.text("state <> 'sent'")
    op.create_index(
        "ix_outbox_unsent", "outbox", ["answer_id"], sqlite_where=unsent, postgresql_where=unsent
    )
    op.create_table(
        "vote",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("answer_id", sa.String, sa.ForeignKey("answer.id"), nullable=False),
        sa.Column("voter", sa.Text, nullable=False),
        sa.Column("value", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("correction", sa.Text, nullable=False),
        sa.Column("at", moment, nullable=False),
        sa.UniqueConstraint("answer_id", "voter", name="uq_vote_voter"),
    )
    op.create_table(
        "audit",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.String, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("detail", json, nullable=False),
        sa.Column("at", moment, nullable=False),
    )
    op.create_index("ix_audit_target", "audit", ["target"])
    _guard_audit()
    op.create_table(
        "probe",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("filler", sa.Text, nullable=False),
    )


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
