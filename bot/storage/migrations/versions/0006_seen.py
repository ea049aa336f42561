"""How far the gateway was read, so that the next start can look back for what was asked meanwhile.

Why: questions that come while the bot restarts are in no session and in no journal; only Discord's history has them. One number
is kept, the id of a message that the bot has seen, and no word of it.
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From a bot that never looked back."""
    op.create_table(
        "seen",
        sa.Column("scope", sa.String(32), nullable=False),
        sa.Column("message_id", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("scope", name="pk_seen"),
    )


def downgrade() -> None:
    """The next start looks back from the last question in the journal."""
    op.drop_table("seen")
