"""What Alembic runs for each migration: on the connection that `bot.storage.migrating` hands it, in its transaction."""

from alembic import context

from bot.storage.tables import Base

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    compare_type=True,
    render_as_batch=True,  # SQLite cannot alter a column; batch mode copies the table
    transactional_ddl=False,  # the caller has begun the transaction already, and commits it
)
context.run_migrations()
