"""The words in which the rest of the program speaks to a model. Loads no torch.

A frozen job goes in (`Job`), a frozen result comes out (`Answer`, `models.trace.Trace`). The `Engine` protocol is the seam:
`models.engine.load` gives the real one, `models.fakes.engine.FakeEngine` a scripted one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from pydantic import BaseModel, ByteSize, ConfigDict, Field

if TYPE_CHECKING:
    from models.dump import Chosen, LayerDump, What
    from models.findings import CausalCheck, Findings, Part, SelfReport
    from models.trace import Trace

Style = Literal["chat", "story"]
Finish = Literal["stop", "length", "cancelled"]
Quantization = Literal["none", "bnb-int8", "bnb-int4"]
LearnedLens = Literal["tuned", "jacobian"]
LensName = Literal["logit", "tuned", "jacobian"]
LENSES: tuple[LensName, ...] = ("logit", "tuned", "jacobian")

DEFAULT_MODEL = "default"


class ModelConfig(BaseModel):
    """Which model to load, and where to put it. Each field is a key under `model:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str = Field(
        DEFAULT_MODEL, min_length=1, description="the model to load: `default`, a Hugging Face id, a local folder or a .gguf file"
    )
    revision: str | None = Field(
        None, description="branch, tag or commit of a Hugging Face id; set it to a commit to keep answers reproducible"
    )
    device: str = Field(
        "auto",
        pattern=r"^(auto|cpu|mps|cuda(:\d+)?)$",
        description="where the model runs; auto takes an NVIDIA GPU (cuda) if there is one, else Apple's (mps), else the CPU",
        json_schema_extra={"allowed": "auto, cuda, cuda:N, mps or cpu"},
    )
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = Field(
        "auto", description="number format of the weights; auto is bfloat16 on GPUs and float32 on the CPU"
    )
    device_map: str | dict[str, int | str] | None = Field(
        None,
        description="how to spread the model over devices: auto, balanced, sequential, or module: device",
    )
    max_memory: dict[int | str, str] | None = Field(
        None, description="the most memory that device_map may use on each device, such as {0: 20GiB, cpu: 48GiB}"
    )
    quantization: Quantization = Field(
        "none", description="store the weights in 8 or 4 bits to save memory; needs the `quant` extra"
    )
    memory_limit: ByteSize | None = Field(
        None,
        gt=0,
        description="the most memory that a second pass may use at a time; if empty, it depends on what is free",
        json_schema_extra={"allowed": "a size such as 512MiB, or empty"},
    )
    max_batch: int = Field(32, ge=1, le=256, description="how many answers are written at the same time; other questions wait")
    cache_dir: str | None = Field(None, description="folder that keeps the default model; if empty, the user's cache folder")


class Sampling(BaseModel):
    """How the next token is drawn. Each field is a key under `sampling:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    temperature: float = Field(
        0.0,
        ge=0.0,
        le=2.0,
        description="0 always takes the likeliest token (a piece of a word); the higher, the more is left to chance",
    )
    top_p: float = Field(
        1.0, gt=0.0, le=1.0, description="draw only from the likeliest tokens that together have this much probability; 1 is all"
    )
    top_k: int = Field(0, ge=0, description="draw only from this many of the likeliest tokens; 0 is all")
    max_new_tokens: int = Field(120, ge=1, le=4096, description="the longest answer, in tokens")
    seed: int | None = Field(
        None, ge=0, le=2**63 - 1, description="the same seed gives the same answer; if empty, each answer draws a new one"
    )


class PromptConfig(BaseModel):
    """How a question becomes a prompt. Each field is a key under `prompt:` in config.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    style: Literal["auto", "chat", "story"] = Field(
        "auto",
        description="auto: chat if the model has a chat template, else story",
    )
    system: str | None = Field(None, description="system prompt of the chat style; if empty, the model's own")


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Job:
    """One question for the answer pass."""

    question: str = field(repr=False)
    history: tuple[Turn, ...] = field(default=(), repr=False)
    style: Style | None = None
    """None: what the config says, and then what the model can do."""
    sampling: Sampling = field(default_factory=Sampling)
    request_id: str | None = None
    road: Road | None = field(default=None, repr=False)
    """Go on from here instead of beginning anew; question, history and style are then those of the road's answer."""


@dataclass(frozen=True, slots=True)
class Road:
    """A road not taken: the answer up to token ``t``, then ``token`` in place of the emitted one, then the same sampler."""

    answer: Answer = field(repr=False)
    t: int
    token: int


@dataclass(frozen=True, slots=True)
class FinalTop:
    """What the answer pass itself saw at depth L, kept to hold the second pass against it.

    Shapes: ``ids`` (T, m) and ``logprobs`` (T, m), natural logarithms of the fp32 softmax at temperature 1, likeliest first.
    """

    ids: tuple[tuple[int, ...], ...]
    logprobs: tuple[tuple[float, ...], ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What the answer pass gave: ids are the truth, the text is for show.

    ``answer_ids`` (T,) holds every token that was emitted, a closing end-of-text token or story newline included;
    ``sampled_prob`` (T,) is the probability under the sampler that really drew each (1.0 throughout when greedy).
    Times are in seconds.
    """

    prompt_ids: tuple[int, ...] = field(repr=False)
    answer_ids: tuple[int, ...] = field(repr=False)
    text: str = field(repr=False)
    style: Style
    sampling: Sampling
    seed: int
    finish: Finish
    sampled_prob: tuple[float, ...] = field(repr=False)
    final_top: FinalTop = field(repr=False)
    dropped_turns: int
    seconds_to_first: float
    seconds: float

    @property
    def tokens_per_second(self) -> float:
        """Answer tokens per second of the whole answer pass, prompt included."""
        return len(self.answer_ids) / self.seconds if self.seconds > 0 else 0.0


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What is loaded, in words and numbers for a user."""

    id: str
    revision: str | None
    name: str
    architecture: str
    layers: int
    vocabulary: int
    context: int
    parameters: int
    device: str
    dtype: str
    quantization: str
    styles: tuple[Style, ...]
    default_style: Style
    inner_voice: str | None
    """None when the lens can read this model, else the sentence that says why not."""
    load_seconds: float
    versions: Mapping[str, str]
    width: int = 0
    """D, channels of the residual stream; 0 where it is not known."""
    heads: int = 0
    """Attention heads of a block; 0 where that is not known."""


class Engine(Protocol):
    """A loaded model. Its methods block and are called from one thread at a time, never from the event loop."""

    @property
    def info(self) -> ModelInfo: ...

    def answer(
        self,
        job: Job,
        *,
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> Answer:
        """The answer pass. ``on_text`` gets the whole text so far after each token that completes a character.

        Raises:
            EmptyQuestionError, QuestionTooLongError, OutOfMemoryError.
            AnswerCancelledError: ``cancelled`` returned True between two tokens.
        """
        ...

    def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace:
        """The second pass over an answer of this model.

        Args:
            answer: to read.
            k: candidates to keep.
            lens: what the depths are read through; None is the engine's own, which is never the Jacobian lens.

        Raises:
            UnsupportedArchitectureError, TraceMismatchError, OutOfMemoryError.
            LensError: the lens has not been trained, or cannot be used with this model.
        """
        ...


@runtime_checkable
class BatchEngine(Engine, Protocol):
    """An engine that has several answers under way at once and gives each its next token in turn."""

    @property
    def capacity(self) -> int:
        """How many answers may be under way."""
        ...

    def begin(
        self, job: Job, *, on_text: Callable[[str], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Any:
        """Take a question in; returns a token for it. Raises what `answer` raises before its first token."""
        ...

    def step(self) -> Sequence[tuple[Any, Answer | BaseException]]:
        """One token for every answer under way; returns those that ended, by their token of `begin`, with what came of them."""
        ...

    def traces(self, answers: Sequence[Answer], *, k: int = 10, lens: LensName | None = None) -> Sequence[Trace | BaseException]:
        """The second passes of several answers at once, or why one could not be."""
        ...


@runtime_checkable
class Prober(Protocol):
    """An engine that can look further into an answer of its own than the lens does. Blocks, as `Engine` does."""

    def findings(self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()) -> Findings:
        """What one more look gives: attribution, attention, template pull (with a ``question``) and watched words.

        Words are followed through the lens of the trace. What cannot be looked at with this model is None, and `Findings.notes`
        says why.

        Raises:
            UnsupportedArchitectureError, OutOfMemoryError.
        """
        ...

    def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck:
        """The causal check of answer token ``t``: one batched pass over variants of it, a block's contribution removed in each.

        Raises:
            UnsupportedArchitectureError, OutOfMemoryError.
        """
        ...

    def self_report(self, question: str, answer: Answer) -> SelfReport:
        """P(True): the model is shown question and answer and asked whether it is right.

        Raises:
            QuestionTooLongError, OutOfMemoryError.
        """
        ...


@runtime_checkable
class Dumper(Protocol):
    """An engine that gives away what it reads of an answer of its own. Blocks, as `Engine` does."""

    def dump(
        self,
        answer: Answer,
        what: What,
        *,
        positions: Chosen = None,
        depths: Chosen = None,
        lens: LensName | None = None,
        k: int = 10,
    ) -> LayerDump:
        """What one more pass over prompt and answer holds; see `models.dump` for kinds, positions and depths.

        Args:
            answer: of this engine's model.
            what: lens, hidden or attention.
            positions: places in prompt + answer, from 0; those of the answer when None.
            depths: all when None.
            lens: of a lens dump, what it is read through; the engine's own lens when None.
            k: of a lens dump, candidates to keep.

        Raises:
            NoSuchTokenError, NoSuchDepthError: asked for what there is not.
            UnsupportedArchitectureError, TraceMismatchError, OutOfMemoryError, LensError.
        """
        ...
