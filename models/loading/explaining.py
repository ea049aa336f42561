"""What transformers, the hub and torch raise while a model is read or loaded, in the project's words. Loads nothing itself."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from models.errors import ForwardPassError, ModelError, ModelNotFoundError
from models.memory import memory_errors
from models.sentences import Sentence
from models.types import ModelConfig

log = logging.getLogger(__name__)

_ROOT = Path(__file__).resolve().parents[1]
_USUAL = (OSError, ValueError, KeyError, RuntimeError, ImportError)

_NO_NETWORK = frozenset(
    {"ConnectError", "ConnectTimeout", "ReadTimeout", "ConnectionError", "OfflineModeIsEnabled", "ProxyError"}
)


@contextlib.contextmanager
def explained(config: ModelConfig) -> Iterator[None]:
    """Turn what transformers, the hub and torch raise while ``config`` is being read or loaded into the project's errors."""
    try:
        with memory_errors():
            yield
    except ForwardPassError:
        raise
    except Exception as error:
        if not isinstance(error, _USUAL) and _is_own(error):
            raise
        log.info("loading failed: %s: %s", type(error).__name__, error)
        raise _explain(config, error) from error


def _is_own(error: Exception) -> bool:
    """Whether it was raised in a line of this package: then it is a defect, which must not pass for a broken file.

    A broken file makes transformers, gguf, tokenizers and jinja raise anything: struct.error, TypeError, AssertionError, even a
    bare Exception.
    """
    frame = error.__traceback__
    while frame is not None and frame.tb_next is not None:
        frame = frame.tb_next
    return frame is not None and Path(frame.tb_frame.f_code.co_filename).is_relative_to(_ROOT)


def _explain(config: ModelConfig, error: BaseException) -> ModelError:
    """The project's error for what transformers raised, told by the names of its causes and by its words."""
    names, words = causes(error)
    if "GatedRepoError" in names:
        return ModelError(
            Sentence("`{id}` is gated.", id=config.id),
            hint=Sentence(
                "Accept its terms on https://huggingface.co/{id} and set HF_TOKEN (or run `hf auth login`), or choose another.",
                id=config.id,
            ),
        )
    if "RevisionNotFoundError" in names:
        return ModelNotFoundError(
            Sentence("`{id}` has no revision `{revision}`.", id=config.id, revision=config.revision),
            hint="Correct `model.revision`, or leave it empty.",
        )
    if names & {"RepositoryNotFoundError", "HFValidationError"}:
        return ModelNotFoundError(Sentence("The Hugging Face hub has no model `{id}` (or it is private).", id=config.id))
    if names & _NO_NETWORK or "couldn't connect" in words:
        return ModelNotFoundError(
            Sentence("The Hugging Face hub does not answer, and `{id}` is not in its local cache.", id=config.id)
        )
    if "trust_remote_code" in words or "custom code" in words:
        return ModelError(
            Sentence("`{id}` needs code from its own repository, and such code is never run here.", id=config.id),
            hint=ModelNotFoundError.hint,
        )
    if "unrecognized configuration class" in words:
        return ModelError(Sentence("`{id}` is not a causal language model.", id=config.id), hint=ModelNotFoundError.hint)
    if "does not recognize this architecture" in words or "unrecognized model" in words:
        return ModelError(Sentence("The installed transformers does not know the architecture of `{id}`.", id=config.id))
    if "safetensors" in words and "file named" in words:
        return ModelNotFoundError(Sentence("`{id}` has no safetensors weights; other formats are not read.", id=config.id))
    return ModelNotFoundError(Sentence("The model `{id}` cannot be loaded ({why}).", id=config.id, why=type(error).__name__))


def causes(error: BaseException) -> tuple[frozenset[str], str]:
    """The class names (bases included) and the lower-case words of an error and of everything that caused it."""
    names: set[str] = set()
    words: list[str] = []
    current: BaseException | None = error
    seen: set[int] = set()
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        names.update(cls.__name__ for cls in type(current).__mro__)
        words.append(str(current).lower())
        current = current.__cause__ or current.__context__
    return frozenset(names), "\n".join(words)
