"""What is known of an answer beyond its trace: attribution, attention, watched words, template pull, causal checks, self-report.

Each is optional evidence: a sentence of the monologue that needs it is told only where it is there. Frozen, NumPy only; how it is
computed is in `models.probes`. `L` blocks, `T` answer tokens, `P` prompt tokens; block ``b``, from 1, puts out depth ``b``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from models import typed

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float32]

Part = Literal["block", "attention", "mlp"]
Pattern = Literal["story", "chat"]


@dataclass(frozen=True, slots=True, eq=False)
class Attribution:
    """Direct logit attribution (Elhage et al. 2021): the logit of the emitted token minus that of ``against``, taken apart.

    The final norm's statistics are held at those of the real pass, so the parts add up:
    ``embedding + blocks.sum((1, 2)) + constant == difference``, to rounding. Attribution is not cause.
    """

    against: IntArray  # (T,) the strongest considered token at depth L: the likeliest that was not emitted
    blocks: FloatArray  # (T, L, 2) attention and MLP of each block
    embedding: FloatArray  # (T,)
    constant: FloatArray  # (T,) biases of norm and head, and what else belongs to no block
    difference: FloatArray  # (T,) logits at depth L, before soft-capping and scaling


@dataclass(frozen=True, slots=True, eq=False)
class Attention:
    """Where answer tokens looked when they were predicted: mean over all heads of the last third of the blocks.

    Only prompt tokens that say something count (no control tokens, no chat markers, and not the first token, which is a sink);
    weights are shares of the whole attention, so a row does not add up to 1.
    """

    positions: IntArray  # (T, n) places in the prompt, from 0, most looked at first
    weights: FloatArray  # (T, n)
    sink: FloatArray  # (T,) share that went to the prompt's first token
    words: Mapping[int, str]
    """Display string of each prompt position in ``positions``."""


@dataclass(frozen=True, slots=True, eq=False)
class Watched:
    """Asked-for words followed across the depths; the first token of each stands for it."""

    words: tuple[str, ...]
    ids: IntArray  # (W,)
    probs: FloatArray  # (W, T, L+1)
    whole: tuple[bool, ...]
    """Whether the first token is the whole word."""


@dataclass(frozen=True, slots=True, eq=False)
class Pull:
    """Template pull: KL(with ‖ without) in nats between the final distributions at the first answer token.

    ``pattern`` story: with and without the list of questions and answers. chat: in the chat frame, and as a bare ``Q: … A:``.
    """

    pattern: Pattern
    kl: float
    with_ids: IntArray  # (k,) likeliest first
    with_probs: FloatArray  # (k,)
    without_ids: IntArray  # (k,)
    without_probs: FloatArray  # (k,)
    pieces: Mapping[int, str]


@dataclass(frozen=True, slots=True, eq=False)
class Removals:
    """One row per block: its contribution removed from the residual stream where the token is predicted, and nowhere else."""

    part: Part
    logprob: FloatArray  # (L,) of the emitted token after the removal
    top_ids: IntArray  # (L,) the likeliest token after the removal
    top_probs: FloatArray  # (L,)
    control_logprob: FloatArray  # (L,) after removing a random vector of the same norm instead
    control_top_ids: IntArray  # (L,)
    jitter: FloatArray | None = None
    """(L,) nats by which ``logprob`` moves when all keys and values before are as far off as fp32 rounding puts them: removing
    an early block can leave a state on which rounding grows a thousandfold. None in half precision and where it was not tried."""


@dataclass(frozen=True, slots=True, eq=False)
class CausalCheck:
    """Which blocks answer token ``t`` hangs on, measured in one batched pass over variants of it."""

    t: int
    emitted: int
    logprob: float
    """Of the emitted token with nothing removed, temperature 1, nats."""
    top_id: int
    """The likeliest token with nothing removed."""
    removals: tuple[Removals, ...]
    pieces: Mapping[int, str]
    seed: int
    """Of the random controls."""
    seconds: float

    def of(self, part: Part = "block") -> Removals | None:
        """The removals of one part; None when they were not asked for."""
        return next((r for r in self.removals if r.part == part), None)


@dataclass(frozen=True, slots=True)
class SelfReport:
    """How sure the model says it is (P(True), Kadavath et al. 2022), and how often it would say the same again."""

    p_true: float | None
    """Probability of yes among yes and no, asked whether its answer is right."""
    said: float | None
    """Probability that the model gave to yes and no together: far below 1, ``p_true`` means little."""
    agreement: float | None = None
    """Share of ``samples`` that mean the same as the answer."""
    samples: int = 0
    groups: int = 0
    """How many different meanings the samples had."""


@dataclass(frozen=True, slots=True, eq=False)
class Findings:
    """All evidence beside a trace; None for what was not looked at."""

    attribution: Attribution | None = None
    attention: Attention | None = None
    watched: Watched | None = None
    pull: Pull | None = None
    causal: CausalCheck | None = None
    self_report: SelfReport | None = None
    notes: Mapping[str, str] = field(default_factory=dict)
    """Why something could not be looked at, by the name of its field."""

    def to_json(self) -> dict[str, Any]:
        """Plain values under the names of the fields; what is None is left out."""
        return {key: value for key, value in _plain(self).items() if value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Findings:
        """Read what `to_json` wrote; float32 survives the way through JSON unchanged. Raises ValueError for anything else."""
        return typed.build(cls, data)


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
