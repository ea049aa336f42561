"""The root of the project's one error tree, and its branch of model errors.

The whole tree (the bot's branches live in ``bot.errors``, which re-exports everything here):

    ForwardPassError                   has a sentence for the user, and a hint that says what to do
    ├── ModelError
    │   ├── ModelNotPulledError        the embedded model has not been downloaded yet
    │   ├── ModelNotFoundError         the id, folder or file cannot be loaded
    │   ├── ModelLoadingError          asked before the model was ready
    │   ├── DownloadError              offline, interrupted, or a checksum that does not match
    │   ├── OutOfMemoryError           the device ran out of memory
    │   ├── NotFiniteError             the model's numbers overflowed
    │   ├── UnsupportedArchitectureError   answers, but has no inner voice
    │   ├── TraceMismatchError         the second pass does not agree with the answer pass
    │   └── LensError                  something about a learned lens
    │       ├── LensNotFoundError      there is no such file: it has not been trained yet
    │       ├── LensFileError          the file is damaged, or no lens
    │       ├── LensOfAnotherModelError   it was made for another model
    │       └── LensTrainingError      the text or the checkpoint is not fit to train with
    ├── QuestionError
    │   ├── EmptyQuestionError
    │   ├── QuestionTooLongError       longer than the context, even alone
    │   ├── NoSuchTokenError           asked about a token that the answer, or the model, does not have
    │   └── NoSuchDepthError           asked about a depth that the model does not have
    ├── AnswerCancelledError           the question was deleted, or the asker stopped it
    └── (bot.errors)  ConfigError, QueueError, RunError, DiscordSetupError …

An error that is *not* in the tree is a defect: it is logged with its traceback and an id, and the user sees the id.
Never put the text of a question into an error: errors are logged.
"""

from __future__ import annotations


class ForwardPassError(Exception):
    """An error whose words are fit for a user.

    Some are for the host alone: they name settings, files or commands, with which whoever asks in Discord can do nothing.

    Attributes:
        message: one sentence that says what is wrong.
        hint: one sentence that says what to do about it ("" when there is nothing to do).
        for_askers: what whoever asks in Discord reads in place of both ("" when both are fit for them).
        request_id: id of the run that it belongs to, or None.
    """

    hint: str = ""
    for_askers: str = ""

    def __init__(self, message: str, *, hint: str | None = None, request_id: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.hint if hint is None else hint
        self.request_id = request_id

    def for_user(self) -> str:
        """As shown in Discord."""
        return self.for_askers or self.for_host()

    def for_host(self) -> str:
        """The sentence and the hint, as shown in the terminal and in the log."""
        return f"{self.message} {self.hint}".strip()


class ModelError(ForwardPassError):
    """Something about the model, its weights or its device."""


class ModelNotPulledError(ModelError):
    """The embedded default model is not in the cache yet."""

    hint = "Run `forwardpass model pull` once; it downloads about 93 MB."


class ModelNotFoundError(ModelError):
    """The configured id, folder or file cannot be loaded as a causal language model."""

    hint = "Set `model.id` in config.yaml to `default`, a Hugging Face id, a local folder or a .gguf file."


class ModelLoadingError(ModelError):
    """Asked while the model is still being loaded."""

    hint = "Ask again in a moment."


class DownloadError(ModelError):
    """The default model could not be fetched, or what came is not what was expected."""


class OutOfMemoryError(ModelError):
    """The device ran out of memory."""

    hint = "Ask something shorter. The host can also choose a smaller model or `model.dtype`, or lower `sampling.max_new_tokens`."
    for_askers = "I ran out of memory over that. Ask something shorter."


class NotFiniteError(ModelError):
    """The model's numbers overflowed: there is no answer in them, and no reading."""

    hint = "Set `model.dtype` to float32 or bfloat16."


class UnsupportedArchitectureError(ModelError):
    """The model answers, but the lens does not know where it keeps its norm, head and blocks."""


class TraceMismatchError(ModelError):
    """The second pass's last row is not the distribution that the answer pass used; the trace is refused."""


class LensError(ModelError):
    """Something about a learned lens: its file, the model that it was made for, or its training."""


class LensNotFoundError(LensError):
    """No lens lies where it was looked for."""

    hint = "Train a lens with `forwardpass lens train`, or set `lens.file` to the file of one."


class LensFileError(LensError):
    """The file is damaged, or no lens of this program."""

    hint = "Train it again with `forwardpass lens train`."
    for_askers = "The file of that lens cannot be used. My host's log says more."


class LensOfAnotherModelError(LensError):
    """The lens was made for another model, whose states mean something else."""

    hint = (
        "Train a lens for this model with `forwardpass lens train`, or set `model.id` to the model that this lens was made for."
    )
    for_askers = "The file of that lens was made for another model. My host's log says more."


class LensTrainingError(LensError):
    """The text or the checkpoint is not fit to train a lens with."""


class QuestionError(ForwardPassError):
    """Something about the question itself."""


class EmptyQuestionError(QuestionError):
    """There is no question in the message."""

    hint = "Write the question after the mention, for example: How many eyes does my foot have?"


class QuestionTooLongError(QuestionError):
    """The question alone does not fit the model's context."""


class NoSuchTokenError(QuestionError):
    """Asked about a token that the answer does not have, or for one that the model does not have."""

    hint = "Choose a token of the answer, or one that the model considered."


class NoSuchDepthError(QuestionError):
    """Asked about a depth that the model does not have."""

    hint = "Depth 0 is the model's input (its embeddings). Each block (layer) adds one depth."


class AnswerCancelledError(ForwardPassError):
    """The answer was stopped between two tokens, on purpose."""
