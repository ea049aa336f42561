"""Open work: what is owed to an asker, and what stands in Discord already.

Why: an answer that was stored and not yet shown was lost with the process, and so was its inner voice. A run now says whether it
is shown and told, which messages were posted for it while it was still being written, and how often a pass over it was begun
without an end: a question that kills the process must not do so at every start. The token of a slash command lives for fifteen
minutes; it is kept only until its run is done, so that a restart can fill the response that shows "thinking".
"""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What was answered or closed before counts as shown: nobody knows better by now."""
    op.add_column("runs", sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("voice_attempts", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("runs", sa.Column("shown_at", sa.DateTime(timezone=True)))
    op.add_column("runs", sa.Column("voice_state", sa.String(16)))
    op.add_column("runs", sa.Column("wants_voice", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.add_column("runs", sa.Column("interaction_token", sa.Text()))
    op.add_column("runs", sa.Column("response_message_id", sa.BigInteger()))
    op.create_index("ix_runs_shown_at", "runs", ["shown_at"])
    op.create_index("ix_runs_voice_state", "runs", ["voice_state"])
    op.add_column("run_messages", sa.Column("final", sa.Boolean(), nullable=False, server_default=sa.true()))
    op.execute("UPDATE runs SET shown_at = created_at, voice_state = 'none' WHERE state NOT IN ('queued', 'answering')")


def downgrade() -> None:
    """What is owed is forgotten; questions without an answer stay open."""
    op.execute("DELETE FROM run_messages WHERE NOT final")
    op.drop_column("run_messages", "final")
    op.drop_index("ix_runs_voice_state", "runs")
    op.drop_index("ix_runs_shown_at", "runs")
    added = ("attempts", "voice_attempts", "shown_at", "voice_state", "wants_voice", "interaction_token", "response_message_id")
    for name in added:
        op.drop_column("runs", name)
