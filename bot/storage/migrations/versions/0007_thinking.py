"""How many of an answer's tokens were reasoning.

Why: what a model reasons before it answers is traced and not shown, and the line under the answer says how much of it there was,
also when the answer is brought to its asker by a later process.
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """From a bot that showed reasoning as the answer."""
    op.add_column("runs", sa.Column("thinking", sa.Integer(), nullable=True))


def downgrade() -> None:
    """SQLite can drop a column; a copied table would take messages and votes along."""
    op.drop_column("runs", "thinking")
