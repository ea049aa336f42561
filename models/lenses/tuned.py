"""The tuned lens: from the regression (or the logit lens) on by gradient steps on KL(final || depth). Knows states and no texts.

The steps move what stands before the final norm by an affine map in whitened coordinates, which begins at zero. The validation
split chooses where each depth begins, and at last whether it keeps the logit lens, the regression or what the steps made of them.

After Belrose et al., "Eliciting Latent Predictions from Transformers with the Tuned Lens" (arXiv 2303.08112).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from models.errors import LensTrainingError
from models.lenses import ridge
from models.lenses.affine import Candidate
from models.lenses.checkpoints import damaged, kept_as, read_checkpoint, write_checkpoint
from models.lenses.measure import kl_by_depth, logprobs
from models.network.adapters import Parts, device_of
from models.reading.lens import Lens

CANDIDATES: tuple[Candidate, ...] = ("identity", "ridge", "tuned")

OnDone = Callable[[str, int, int], None]
"""Gets a stage, how much of it is done, and of how much."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the steps are taken."""

    steps: int = 250
    batch: int = 32
    """Positions a step; each of them is read at every depth."""
    rate: float = 1e-4
    """Adam's, of a map between coordinates of variance about one; falls to zero in a straight line."""
    seed: int = 0
    save_every: int = 25


@dataclass(frozen=True, slots=True, eq=False)
class Maps:
    """``h + A h + b`` for each depth below L."""

    weight: torch.Tensor  # (L, D, D)
    bias: torch.Tensor  # (L, D)

    def __call__(self, state: torch.Tensor, depth: int) -> torch.Tensor:
        """A `models.reading.lens.Lens`."""
        x = state.float()
        weight, bias = self.weight[depth].to(x.device), self.bias[depth].to(x.device)
        return torch.addmm(x + bias, x, weight.mT).to(state.dtype)

    def chosen(self, others: Maps, take: torch.Tensor) -> Maps:
        """``others`` at the depths where ``take`` (L,) is true."""
        return Maps(
            torch.where(take[:, None, None], others.weight, self.weight), torch.where(take[:, None], others.bias, self.bias)
        )


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What training gave, all for depths 0 to L-1."""

    maps: Maps
    ridge: Maps
    chosen: tuple[Candidate, ...]
    validation_kl: dict[str, list[float]]
    """KL(final || depth) in nats on the validation split, of each candidate."""


def train(
    parts: Parts,
    train: torch.Tensor,
    validation: torch.Tensor,
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_done: OnDone = lambda _stage, _done, _of: None,
) -> Fitted:
    """Fit one affine map per depth.

    Args:
        parts: norm, head and what the model does to logits; dense, so that gradients go through them.
        train: (N, L+1, D) of `models.lenses.states`.
        validation: as ``train``, of other texts.
        recipe: steps, batch, rate, seed.
        checkpoint: written every ``recipe.save_every`` steps, so that a run can go on.
        resume: go on from ``checkpoint``, with the same states; the result is that of a run without a break.
        on_done: gets the stages.

    Raises:
        LensTrainingError: there is no such checkpoint, it is damaged, or of another recipe; or a step gave no number.
    """
    on_done("regression", 0, 1)
    whitened = ridge.fit(train, validation)
    regressed = Maps(*whitened.affine())
    on_done("regression", 1, 1)
    none = Maps(torch.zeros_like(regressed.weight), torch.zeros_like(regressed.bias))
    kl = _validate(parts, validation, {"identity": None, "ridge": regressed}, on_done)
    start = none.chosen(regressed, kl["ridge"] < kl["identity"])
    climb = _Climb(parts, train, whitened, start, recipe)
    if resume:
        climb.load(checkpoint)
    while climb.step < recipe.steps:
        climb.take()
        on_done("steps", climb.step, recipe.steps)
        if checkpoint is not None and (climb.step % recipe.save_every == 0 or climb.step == recipe.steps):
            climb.save(checkpoint)
    tuned = climb.maps()
    kl |= _validate(parts, validation, {"tuned": tuned}, on_done)
    best = torch.stack([kl[name] for name in CANDIDATES]).argmin(0)  # (L,)
    return Fitted(
        none.chosen(regressed, best == 1).chosen(tuned, best == 2),
        regressed,
        tuple(CANDIDATES[i] for i in best.tolist()),
        {name: values.tolist() for name, values in kl.items()},
    )


def _validate(parts: Parts, states: torch.Tensor, lenses: dict[str, Lens | None], on_done: OnDone) -> dict[str, torch.Tensor]:
    return kl_by_depth(parts, states, lenses, lambda n: on_done(f"validation of {' and '.join(lenses)}", n, len(states)))


class _Climb:
    """The parameters on their way, and the optimizer's memory."""

    def __init__(self, parts: Parts, states: torch.Tensor, whitened: ridge.Whitened, start: Maps, recipe: Recipe) -> None:
        self._parts, self._states, self._recipe, self._start = parts, states, recipe, start
        self._device = device_of(parts.norm) or states.device
        depths, width = start.bias.shape
        self._mean, self._into = whitened.mean.to(self._device), whitened.into.to(self._device)
        self._scale = _lengths(states, start)
        self._moves = [torch.zeros(width, width, device=self._device, requires_grad=True) for _ in range(depths)]
        self._shifts = [torch.zeros(width, device=self._device, requires_grad=True) for _ in range(depths)]
        self._adam = torch.optim.Adam([*self._moves, *self._shifts], lr=recipe.rate)
        self.step = 0

    def take(self) -> None:
        """One step on positions that depend on the seed and the step's number alone."""
        drawn = torch.Generator().manual_seed(self._recipe.seed * 1_000_003 + self.step)
        at = torch.randint(len(self._states), (self._recipe.batch,), generator=drawn)
        states = self._states[at].to(self._device)  # (n, L+1, D)
        with torch.no_grad():
            wanted = logprobs(self._parts, states[:, -1]).exp()  # (n, V)
        for depth, (move, shift) in enumerate(zip(self._moves, self._shifts, strict=True)):
            move.grad, shift.grad = self._slope(depth, states[:, depth], wanted)
        for group in self._adam.param_groups:
            group["lr"] = self._recipe.rate * (1 - self.step / self._recipe.steps)
        self._adam.step()
        self.step += 1

    def _slope(self, depth: int, state: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """How the mean KL of one depth changes with its move and shift."""
        move, shift = self._moves[depth], self._shifts[depth]
        with torch.no_grad():
            x = (state.float() - self._mean[depth]) @ self._into[depth]
            start = self._start(state, depth).float()
        moved = start + self._scale[depth] * (x @ move + shift)
        normed: Any = self._parts.norm(moved.to(state.dtype))
        head = device_of(self._parts.head)
        logits = self._parts.finish(self._parts.head(normed if head is None else normed.to(head))).float()
        with torch.no_grad():  # the gradient of KL by the logits in closed form: the graph need not hold the softmax
            slope = (logits.softmax(-1) - wanted.to(logits.device)) / len(state)
        if not bool(slope.isfinite().all()):
            raise LensTrainingError(
                f"Training overflowed at depth {depth}: its values are no longer finite numbers.",
                hint="Use a dtype with a larger range, or fewer steps.",
            )
        return torch.autograd.grad(logits, (move, shift), slope)

    @torch.no_grad()
    def maps(self) -> Maps:
        """Start and moves as one map of the residual stream."""
        weight, bias = self._start.weight.clone(), self._start.bias.clone()
        for depth, (move, shift) in enumerate(zip(self._moves, self._shifts, strict=True)):
            whole = self._scale[depth] * (self._into[depth] @ move)  # (D, D), h @ whole
            weight[depth] += whole.mT.cpu()
            bias[depth] += (self._scale[depth] * shift - self._mean[depth] @ whole).cpu()
        return Maps(weight, bias)

    def save(self, path: Path) -> None:
        """Write where the climb is; an older file is replaced in one step."""
        kept = {"recipe": asdict(self._recipe), "step": self.step, "adam": self._adam.state_dict()}
        write_checkpoint(path, kept | {"moves": self._moves, "shifts": self._shifts})

    def load(self, path: Path | None) -> None:
        kept = read_checkpoint(path)
        kept_as(kept, {"recipe": asdict(self._recipe)})
        try:
            with torch.no_grad():
                for mine, theirs in zip([*self._moves, *self._shifts], [*kept["moves"], *kept["shifts"]], strict=True):
                    mine.copy_(theirs)
            self._adam.load_state_dict(kept["adam"])
            self.step = int(kept["step"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise damaged(path) from error


def _lengths(states: torch.Tensor, start: Maps, rows: int = 256) -> Sequence[float]:
    """Root mean square of what each depth begins with, (L,): the norm after it divides by that."""
    sample = states[:: max(1, len(states) // rows)]
    return [float(start(sample[:, d], d).float().pow(2).mean().sqrt()) for d in range(len(start.bias))]
