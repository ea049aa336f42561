"""Runs, the messages of their answers, and what was synced with Discord.

Why: a question is journaled before it is queued, so that a crash loses none; an answer is kept with all that its second pass
needs, so that the inner voice still works after a restart; commands are synced by content hash, since syncing has a daily quota.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From empty."""
    op.create_table(
        "runs",
        sa.Column("id", sa.String(16), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("source", sa.String(16), nullable=False),
        sa.Column("guild_id", sa.BigInteger()),
        sa.Column("channel_id", sa.BigInteger()),
        sa.Column("user_id", sa.BigInteger()),
        sa.Column("question_message_id", sa.BigInteger()),
        sa.Column("answer_message_id", sa.BigInteger()),
        sa.Column("thread_id", sa.BigInteger()),
        sa.Column("parent_run_id", sa.String(16)),
        sa.Column("locale", sa.String(16), nullable=False),
        sa.Column("style", sa.String(16)),
        sa.Column("sampling", sa.JSON()),
        sa.Column("error_kind", sa.String(64)),
        sa.Column("error_text", sa.Text()),
        sa.Column("question", sa.Text(), nullable=False),
        sa.Column("model_id", sa.Text()),
        sa.Column("revision", sa.Text()),
        sa.Column("dtype", sa.String(16)),
        sa.Column("seed", sa.BigInteger()),
        sa.Column("answer_text", sa.Text()),
        sa.Column("finish", sa.String(16)),
        sa.Column("dropped_turns", sa.Integer()),
        sa.Column("seconds_to_first", sa.Double()),
        sa.Column("seconds", sa.Double()),
        sa.Column("prompt_ids", sa.LargeBinary()),
        sa.Column("answer_ids", sa.LargeBinary()),
        sa.Column("sampled_prob", sa.LargeBinary()),
        sa.Column("final_top", sa.LargeBinary()),
        sa.Column("trace", sa.LargeBinary()),
        sa.PrimaryKeyConstraint("id", name="pk_runs"),
        sa.ForeignKeyConstraint(["parent_run_id"], ["runs.id"], name="fk_runs_parent_run_id_runs", ondelete="SET NULL"),
        sa.CheckConstraint(
            "state IN ('queued', 'answering', 'answered', 'told', 'failed', 'cancelled')", name=op.f("ck_runs_state")
        ),
        sa.CheckConstraint("source IN ('mention', 'reply', 'dm', 'slash', 'cli')", name=op.f("ck_runs_source")),
    )
    op.create_index("ix_runs_expires_at", "runs", ["expires_at"])
    op.create_index("ix_runs_state", "runs", ["state"])
    op.create_index("ix_runs_channel_id_created_at", "runs", ["channel_id", "created_at"])
    op.create_index("ix_runs_thread_id", "runs", ["thread_id"])
    op.create_index("ix_runs_question_message_id", "runs", ["question_message_id"])
    op.create_index("ix_runs_parent_run_id", "runs", ["parent_run_id"])
    op.create_table(
        "run_messages",
        sa.Column("message_id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("run_id", sa.String(16), nullable=False),
        sa.Column("part", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("message_id", name="pk_run_messages"),
        sa.ForeignKeyConstraint(["run_id"], ["runs.id"], name="fk_run_messages_run_id_runs", ondelete="CASCADE"),
    )
    op.create_index("ix_run_messages_run_id", "run_messages", ["run_id"])
    op.create_table(
        "synced_commands",
        sa.Column("scope", sa.String(64), nullable=False),
        sa.Column("content_hash", sa.String(128), nullable=False),
        sa.Column("synced_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_synced_commands"),
    )


def downgrade() -> None:
    """To empty; every run is lost."""
    op.drop_table("synced_commands")
    op.drop_table("run_messages")
    op.drop_table("runs")
