"""Runs the numbered migrations on an open connection. Needs no alembic.ini and leaves the logging as it is."""

from __future__ import annotations

from importlib.resources import files

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from bot.errors import StorageError
from models.sentences import Sentence


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's own configuration, made in memory; ``connection`` is what `migrations/env.py` works on."""
    config = Config()
    folder = str(files("bot.storage") / "migrations")
    config.set_main_option("script_location", folder.replace("%", "%%"))  # a % is special in an ini file
    config.attributes["connection"] = connection
    return config


def upgrade(connection: Connection, revision: str = "head") -> None:
    """Bring the schema up to ``revision``, in the transaction that the caller has begun.

    Raises:
        StorageError: the database was written by a newer version of this program.
    """
    config = alembic_config(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    present = set(MigrationContext.configure(connection).get_current_heads())
    if not present <= known:
        raise StorageError(
            Sentence(
                "The database has schema {schema}, which this version does not know.", schema=", ".join(sorted(present - known))
            ),
            hint="A newer version of Forward Pass wrote it. Update Forward Pass, or set `storage.url` to another file.",
        )
    command.upgrade(config, revision)
