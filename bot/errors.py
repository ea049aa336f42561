"""The bot's branches of the one error tree; its root and its model errors are in `models.errors`, re-exported here.

ForwardPassError
├── ModelError, QuestionError, AnswerCancelledError …   see models.errors
├── ConfigError                a key, its value and what is allowed; tells all problems at once
├── PasteError                 a QuestionError: a text that was attached cannot be read
├── WithheldError              a QuestionError: Discord did not hand over the words of a message
├── StorageError               the database cannot be opened, read or written
├── AlreadyRunningError        another process serves this bot or this database
├── QueueError
│   ├── QueueFullError         refused at once, nothing is queued
│   ├── AlreadyAskingError     this user's earlier question is not answered yet
│   ├── TooManyLooksError      this user's earlier looks are not there yet
│   └── ShuttingDownError      the bot is going offline
├── RunError
│   ├── RunExpiredError        the run is gone, or past its time to live
│   ├── RunOfAnotherModelError stored by another model or revision, and its trace was not kept
│   ├── NoInnerVoiceError      this run has no second pass, and why
│   │   └── FatalVoiceError    the process ended each time it was read
│   ├── WordsDeletedError      what it went on from was deleted
│   └── TwiceFatalError        the process ended each time while it was answered
├── DumpError
│   ├── DumpChoiceError        this format cannot hold what was chosen
│   ├── DumpTooLargeError      larger than what may be sent: by how much, and what to choose instead
│   └── DumpFileError          not a dump, or damaged
└── DiscordSetupError
    ├── MissingTokenError
    ├── BadTokenError
    ├── MissingIntentError
    └── MissingPermissionsError   says which
"""

from __future__ import annotations

from collections.abc import Iterable

from models.errors import (
    AnswerCancelledError,
    DownloadError,
    EmptyQuestionError,
    ForwardPassError,
    LensError,
    LensFileError,
    LensNotFoundError,
    LensOfAnotherModelError,
    LensTrainingError,
    ModelError,
    ModelLoadingError,
    ModelNotFoundError,
    ModelNotPulledError,
    NoSuchDepthError,
    NoSuchTokenError,
    NotFiniteError,
    OutOfMemoryError,
    QuestionError,
    QuestionTooLongError,
    TraceMismatchError,
    UnsupportedArchitectureError,
)
from models.sentences import Sentence, listed

__all__ = [
    "AlreadyAskingError",
    "AlreadyRunningError",
    "AnswerCancelledError",
    "BadTokenError",
    "ConfigError",
    "DiscordSetupError",
    "DownloadError",
    "DumpChoiceError",
    "DumpError",
    "DumpFileError",
    "DumpTooLargeError",
    "EmptyQuestionError",
    "FatalVoiceError",
    "ForwardPassError",
    "LensError",
    "LensFileError",
    "LensNotFoundError",
    "LensOfAnotherModelError",
    "LensTrainingError",
    "MissingIntentError",
    "MissingPermissionsError",
    "MissingTokenError",
    "ModelError",
    "ModelLoadingError",
    "ModelNotFoundError",
    "ModelNotPulledError",
    "NoInnerVoiceError",
    "NoSuchDepthError",
    "NoSuchTokenError",
    "NotFiniteError",
    "OutOfMemoryError",
    "PasteError",
    "QuestionError",
    "QuestionTooLongError",
    "QueueError",
    "QueueFullError",
    "RunError",
    "RunExpiredError",
    "RunOfAnotherModelError",
    "ShuttingDownError",
    "StorageError",
    "TooManyLooksError",
    "TraceMismatchError",
    "TwiceFatalError",
    "UnsupportedArchitectureError",
    "WithheldError",
    "WordsDeletedError",
    "permission_names",
]


class ConfigError(ForwardPassError):
    """A setting is wrong: which key, what stands there, what is allowed.

    ``problems`` holds a sentence for each wrong setting when several are told at once; key, value and allowed are of the first.
    """

    def __init__(self, key: str, value: object, allowed: str, *, problems: tuple[str, ...] = ()) -> None:
        self.problems = problems or (f"`{key}` is {value!r}. Allowed: {allowed}.",)
        if len(self.problems) == 1:
            super().__init__(f"config: {self.problems[0]}")
        else:
            super().__init__("\n- ".join((f"config: {len(self.problems)} settings are wrong:", *self.problems)))
        self.key = key
        self.value = value
        self.allowed = allowed


class StorageError(ForwardPassError):
    """The database cannot be opened, read or written.

    Attributes:
        passing: the same may go well later: somebody else holds the lock, the disk is full, the connection is lost.
    """

    hint = "Check `storage.url` in config.yaml, the free disk space, and the permissions of that file and its folder."
    for_askers = "I cannot get at my notes right now. Ask again in a few minutes."

    def __init__(self, message: str, *, hint: str | None = None, request_id: str | None = None, passing: bool = False) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.passing = passing


class PasteError(QuestionError):
    """A text that was attached to the question is too long, or cannot be read."""

    hint = "Ask with a shorter one, or write it into the message."


class WithheldError(QuestionError):
    """A message came without its words: Discord gives those of a message that does not mention the bot to few bots."""

    hint = "Discord gives me the text of a message only if it mentions me."


class AlreadyRunningError(ForwardPassError):
    """Another process serves this bot or this database."""

    hint = "Stop that one first, or take its place with `forwardpass run --force`."


class QueueError(ForwardPassError):
    """The question was not taken."""


class QueueFullError(QueueError):
    """Too many people wait already."""

    hint = "Ask again in a minute."


class AlreadyAskingError(QueueError):
    """One question a person at a time."""

    hint = "Wait for that answer, or delete your question to stop it."


class TooManyLooksError(QueueError):
    """A few looks a person at a time."""

    hint = "Wait until one of them is there."


class ShuttingDownError(QueueError):
    """The bot is going offline."""

    hint = "Ask again when I am back."


class RunError(ForwardPassError):
    """Something about an earlier answer."""


class RunExpiredError(RunError):
    """The run is not stored, or not any more."""

    hint = "Ask the question again, and I will have a new inner voice."


class RunOfAnotherModelError(RunError):
    """The run was answered by another model, and its trace was not kept."""

    hint = "Ask the question again to get an answer from the current model."


class NoInnerVoiceError(RunError):
    """There is no second pass for this run."""


class FatalVoiceError(NoInnerVoiceError):
    """The process ended each time while this answer was read."""


class WordsDeletedError(RunError):
    """The words that it went on from were deleted."""

    hint = "Ask it again without them."


class TwiceFatalError(RunError):
    """The process ended each time while this question was answered."""

    hint = "Ask it in another way, and tell my host."


class DumpError(ForwardPassError):
    """Something about a layer dump."""


class DumpChoiceError(DumpError):
    """This format cannot hold what was chosen."""


class DumpTooLargeError(DumpError):
    """The file would be larger than what may be sent; nothing was cut.

    ``size`` and ``limit`` are bytes; ``estimated`` says that nothing was computed yet, and the size is the least that it can be.
    """

    def __init__(self, message: str, *, hint: str, size: int, limit: int, estimated: bool, request_id: str | None = None) -> None:
        super().__init__(message, hint=hint, request_id=request_id)
        self.size = size
        self.limit = limit
        self.estimated = estimated


class DumpFileError(DumpError):
    """A file is no layer dump, or it is damaged."""

    hint = "Make the file again with `forwardpass dump`, or with /dump in Discord."


class DiscordSetupError(ForwardPassError):
    """Discord does not let the bot in, or not far enough."""


class MissingTokenError(DiscordSetupError):
    """No bot token was given."""

    hint = "Set FORWARDPASS_TOKEN to the token, or set `discord.token_file` in config.yaml to a file that holds it."


class BadTokenError(DiscordSetupError):
    """Discord refused the token."""

    hint = (
        "Get a new token: open your application on https://discord.com/developers/applications, go to Bot, and press Reset Token."
    )


class MissingIntentError(DiscordSetupError):
    """A privileged intent is asked for that the developer portal does not grant."""

    hint = (
        "Turn it on in Discord's developer portal, under Bot, Privileged Gateway Intents."
        " Or set `discord.message_content: false` in config.yaml."
    )


class MissingPermissionsError(DiscordSetupError):
    """The bot may not do something in a channel; says which permissions it lacks."""

    hint = "Ask a server admin to grant it to me."

    def __init__(self, permissions: Iterable[str], where: str = Sentence("here")) -> None:
        self.permissions = tuple(permissions)
        names = permission_names(self.permissions)
        super().__init__(Sentence("I am missing a permission {where}: {names}.", where=where, names=names))


def permission_names(permissions: Iterable[str]) -> str:
    """discord.py's names as Discord shows them: ``send_messages`` is Send Messages."""
    return listed(Sentence(name.replace("_", " ").title()) for name in permissions)
