"""The database: tables, migrations and the repositories that the services call."""

from bot.storage.commands import CommandSyncStore
from bot.storage.database import Database, sqlite_file
from bot.storage.records import NewRun, Placed, Run, RunFailure, Source, State, VoiceState, new_run_id, utc_now
from bot.storage.runs import RunStore
from bot.storage.votes import Tally, VoteStore

__all__ = [
    "CommandSyncStore",
    "Database",
    "NewRun",
    "Placed",
    "Run",
    "RunFailure",
    "RunStore",
    "Source",
    "State",
    "Tally",
    "VoiceState",
    "VoteStore",
    "new_run_id",
    "sqlite_file",
    "utc_now",
]
