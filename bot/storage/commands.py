"""Which application commands were last synced with Discord, by content hash: a sync has a daily quota. Knows no command."""

from __future__ import annotations

from bot.storage.database import Database
from bot.storage.records import utc_now
from bot.storage.tables import SyncedCommandsRow


class CommandSyncStore:
    """One hash for each scope, such as `global` or a guild's id."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, scope: str) -> str | None:
        """The hash of what was last synced there, or None."""
        async with self._database.read() as session:
            row = await session.get(SyncedCommandsRow, scope)
            return None if row is None else row.content_hash

    async def put(self, scope: str, content_hash: str) -> None:
        """Remember what is synced there now."""
        async with self._database.write() as session:
            await session.merge(SyncedCommandsRow(scope=scope, content_hash=content_hash, synced_at=utc_now()))
