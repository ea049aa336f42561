"""Runs that only their asker sees.

Why: `/ask private:true` is answered where others read along. Without a mark on its run, the last answer of that channel would be
shown to whoever looks for it next.
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """All runs so far were for everybody."""
    op.add_column("runs", sa.Column("private", sa.Boolean(), nullable=False, server_default=sa.false()))


def downgrade() -> None:
    """Private runs go: without the mark they would be everybody's."""
    op.execute("DELETE FROM runs WHERE private")
    # Not in batch mode, which would drop the table and its messages with it.
    op.drop_column("runs", "private")
