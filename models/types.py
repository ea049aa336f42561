"""The words in which the rest of the program speaks to a model. Loads no torch.

A frozen job goes in (`Job`), a frozen result comes out (`Answer`, `models.trace.Trace`). The `Engine` protocol is the seam:
`models.engine.load` gives the real one, `models.fakes.engine.FakeEngine` a scripted one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from models.sentences import Sentence
from models.settings import DEFAULT_MODEL as DEFAULT_MODEL
from models.settings import ModelConfig as ModelConfig
from models.settings import PromptConfig as PromptConfig
from models.settings import Quantization as Quantization
from models.settings import Sampling as Sampling

if TYPE_CHECKING:
    from models.dump import Chosen, LayerDump, What
    from models.findings import CausalCheck, Findings, Part, SelfReport
    from models.pieces import Pieces
    from models.trace import Trace

Style = Literal["chat", "story"]
Finish = Literal["stop", "length", "cancelled"]
LearnedLens = Literal["tuned", "jacobian"]
LensName = Literal["logit", "tuned", "jacobian"]
LENSES: tuple[LensName, ...] = ("logit", "tuned", "jacobian")


@dataclass(frozen=True, slots=True)
class Turn:
    """One earlier message of the conversation."""

    role: Literal["user", "assistant"]
    text: str = field(repr=False)


def whole(text: str, instead: Literal["replace", "ignore"] = "replace") -> str:
    """The text without halves of characters: JSON can bring a lone surrogate, which can be neither read, stored nor sent."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", instead)
    return text


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

    def __post_init__(self) -> None:
        object.__setattr__(self, "question", whole(self.question))


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
    thinking: int = 0
    """How many of the answer's tokens were reasoning and not said aloud; ``text`` is what follows them."""

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
    notes: tuple[Sentence, ...] = ()
    """What a host should know of how this model is used: its template, its reasoning, its tokenizer."""


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

    def follow(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Findings:
        """Watched words alone, through the lens of the trace; what `findings` gives of them, without the rest.

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
class Piecewise(Protocol):
    """A `BatchEngine` and `Prober` whose long work can pause, so that answers go on in between. Results are those of the method
    without ``_in_pieces``, up to the rounding of a text that is read in pieces.
    """

    def traces_in_pieces(
        self, answers: Sequence[Answer], *, k: int = 10, lens: LensName | None = None
    ) -> Pieces[Sequence[Trace | BaseException]]: ...

    def findings_in_pieces(
        self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()
    ) -> Pieces[Findings]: ...

    def follow_in_pieces(self, answer: Answer, trace: Trace, words: Sequence[str]) -> Pieces[Findings]: ...

    def why_in_pieces(
        self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0
    ) -> Pieces[CausalCheck]: ...

    def self_report_in_pieces(self, question: str, answer: Answer) -> Pieces[SelfReport]: ...


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

    def bare_prompt(self, question: str, style: Style) -> tuple[int, ...]:
        """The prompt (P,) that this question alone gets: no system prompt of the config, no earlier turns.

        Raises:
            ModelError: the style is not one of this model's.
        """
        ...
