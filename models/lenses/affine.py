"""A learned lens: one affine map per depth, and the card that says what it was made for. Knows tensors; knows no files.

The tuned lens is of Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens" (arXiv 2303.08112), the
Jacobian lens of Gurnee et al., "Verbalizable Representations Form a Global Workspace in Language Models" (2026).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from models import typed
from models.types import LearnedLens

Candidate = Literal["identity", "ridge", "tuned"]


@dataclass(frozen=True, slots=True)
class Card:
    """What a learned lens was made for, from what, and how well it does. Goes into the file as JSON."""

    kind: LearnedLens
    model: str
    revision: str | None
    architecture: str
    layers: int
    width: int
    dtype: str
    fingerprint: tuple[float, ...]
    """See `models.lenses.store.fingerprint`; empty when the weights could not be looked at."""
    seed: int
    source: str
    """Where the text came from: the model itself, or the name of a file."""
    tokens: Mapping[str, int]
    """Positions by what they served for: train, validation, held_out."""
    held_out_kl: Mapping[str, Sequence[float]]
    """KL(final || depth) in nats, mean over the held-out positions: (L,) for each of logit, ridge, and this lens."""
    chosen: Sequence[Candidate] = ()
    """(L,) which map the validation chose for each depth; of a tuned lens."""
    steps: int = 0
    seconds: float = 0.0
    method: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> Card:
        """Raises ValueError when ``facts`` are no card."""
        made = typed.build(cls, facts)
        curves = made.held_out_kl.values()
        lengths = {made.layers, *(len(curve) for curve in curves)}
        if made.layers < 1 or made.width < 1 or lengths != {made.layers} or len(made.chosen) not in (0, made.layers):
            raise ValueError("it holds other depths than it says")
        errors = made.method.get("relative_error") or ()
        typed.value_of(tuple[float, ...], errors, "relative_error")
        if not typed.finite(*made.fingerprint, made.seconds):
            raise ValueError("it holds numbers that are none")
        return made


@dataclass(frozen=True, slots=True, eq=False)
class AffineLens:
    """A `models.lens.Lens`: ``lens(state, depth)`` is ``state + A_depth state + b_depth``, what stands before the final norm."""

    weight: torch.Tensor  # (L, D, D) A of each depth; rows are outputs
    bias: torch.Tensor  # (L, D)
    card: Card

    @classmethod
    def of_matrices(cls, matrices: torch.Tensor, card: Card) -> AffineLens:
        """The lens that multiplies by ``matrices`` (L, D, D), and adds nothing."""
        depths, width = matrices.shape[:2]
        return cls(matrices - torch.eye(width), torch.zeros(depths, width), card)

    @property
    def name(self) -> str:
        """As `Trace.meta` says it: tuned or jacobian."""
        return self.card.kind

    def __call__(self, state: torch.Tensor, depth: int) -> torch.Tensor:
        """States (T, D) of a depth below L, in any dtype and on any device, to states (T, D) alike; sums are taken in fp32."""
        x = state.float()
        weight, bias = (t[depth].to(device=x.device, dtype=torch.float32) for t in (self.weight, self.bias))
        return torch.addmm(x + bias, x, weight.t()).to(state.dtype)
