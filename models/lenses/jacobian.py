"""The Jacobian lens: the average Jacobian from each depth to the last block's output. Knows a model and texts.

For each of the D numbers of the last block's output, before the final norm, a one at every position of a text that counts is
carried back to every depth. What arrives at position p is the sum over all positions p' ≥ p of ∂ output[p'] / ∂ state[p]; its
mean over the positions of a text, and the mean of that over texts, is a row of J. The lens reads norm and unembedding of J·state.
The first positions of a text are left out: they are attention sinks, whose states are unlike all others.

After Gurnee et al., "Verbalizable Representations Form a Global Workspace in Language Models" (2026), whose own code
(`anthropics/jacobian-lens`, fitting.py) takes the same sums and means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import torch

from models.answering.decoding import shared_prefix
from models.errors import LensTrainingError
from models.lenses.checkpoints import damaged, kept_as, read_checkpoint, write_checkpoint
from models.lenses.states import Text
from models.memory import memory_errors
from models.network.adapters import Parts
from models.network.forward import input_device, last_row_only
from models.network.residuals import tapped
from models.reading.seen import eager

OnDone = Callable[[str, int, int], None]

STAGE = "rows of the Jacobians"

_ROOM = 192 << 20
"""Bytes that one batch of output dimensions may take: on a CPU more of them at once is no quicker."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """How the average is taken."""

    skip: int = 16
    """So many positions of each text do not count."""
    rows: int | None = None
    """Output dimensions carried back at once; by the memory when None. More or fewer change nothing but rounding."""
    save_seconds: float = 30.0
    """A checkpoint is written after a text, when the last one is so old."""


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """What the average came to."""

    mean: torch.Tensor  # (L, D, D) J of depths 0 to L-1; rows are outputs
    error: tuple[float, ...]
    """(L,) standard error of the mean over texts, as a share of the mean's length; empty for a single text."""
    texts: int
    positions: int


def fit(
    model: Any,
    parts: Parts,
    texts: Sequence[Text],
    recipe: Recipe,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_done: OnDone = lambda _stage, _done, _of: None,
) -> Fitted:
    """The average Jacobian of each depth below L over ``texts``.

    Args:
        model: in eval mode, its weights dense, so that gradients go through them.
        parts: of the model.
        texts: in order; those without a position that counts are passed over.
        recipe: what counts.
        checkpoint: written from time to time, so that a run can go on.
        resume: go on from ``checkpoint`` with the same texts; the result is that of a run without a break.
        on_done: gets the rows so far.

    Raises:
        LensTrainingError: no text has a position that counts, there is no such checkpoint, or it is of another recipe or model.
        OutOfMemoryError: not even one row fits.
    """
    used = [text for text in texts if positions(text, recipe.skip)]
    if not used:
        raise LensTrainingError("No text is long enough to fit a lens on.", hint="Raise --tokens, or give a longer text.")
    average = _Average(len(parts.blocks), model.config.get_text_config().hidden_size)
    identity = {"recipe": _lasting(recipe), "texts": len(used)}
    if resume:
        average.load(checkpoint, identity)
    saved = monotonic()
    for text in used[average.texts :]:
        for at, rows in of_text(model, parts, text, skip=recipe.skip, rows=recipe.rows):
            average.add(at, rows)
            on_done(STAGE, average.texts * average.width + at.stop, len(used) * average.width)
        average.texts += 1
        average.positions += positions(text, recipe.skip)
        if checkpoint is not None and (monotonic() - saved >= recipe.save_seconds or average.texts == len(used)):
            average.save(checkpoint, identity)
            saved = monotonic()
    return average.result()


def positions(text: Text, skip: int) -> int:
    """How many positions of a text count: those that predict a token that is to be predicted, the first ``skip`` left out."""
    return max(0, len(text.ids) - 1 - max(text.start - 1, skip))


def of_text(model: Any, parts: Parts, text: Text, *, skip: int, rows: int | None = None) -> Iterator[tuple[slice, torch.Tensor]]:
    """The Jacobian of one text, some output dimensions at a time: which, and (L, r, D) in fp32 on the CPU."""
    first = max(text.start - 1, skip)
    with memory_errors(), torch.enable_grad():
        states, out, begin = _states(model, parts, text.ids[:-1], first)
        width, length = out.shape[-1], out.shape[1]
        step = rows or max(1, min(width, _ROOM // (4 * length * width * (len(states) + 24))))
        for start in range(0, width, step):
            at = slice(start, min(start + step, width))
            cotangents = out.new_zeros(at.stop - start, *out.shape)  # (r, 1, S, D)
            for row in range(at.stop - start):
                cotangents[row, 0, begin:, start + row] = 1
            yield at, _carried_back(out, states, cotangents, begin)


def _carried_back(out: torch.Tensor, states: list[torch.Tensor], cotangents: torch.Tensor, begin: int) -> torch.Tensor:
    """Mean over positions from ``begin`` on of what ``cotangents`` (r, 1, S, D) come to at each depth: (L, r, D)."""
    try:
        found = torch.autograd.grad(out, states, cotangents, retain_graph=True, is_grads_batched=True)
    except RuntimeError:  # some operators of mixtures and hybrids have no batched backward pass: one after the other
        if len(cotangents) == 1:
            found = tuple(g[None] for g in torch.autograd.grad(out, states, cotangents[0], retain_graph=True))
        else:
            return torch.cat([_carried_back(out, states, one[None], begin) for one in cotangents], dim=1)
    return torch.stack([gradient[:, 0, begin:].float().mean(1).cpu() for gradient in found])


def _states(model: Any, parts: Parts, ids: Sequence[int], first: int) -> tuple[list[torch.Tensor], torch.Tensor, int]:
    """States (1, S, D) of depths 0 to L-1 with a graph to the last block's output (1, S, D), and where ``first`` lies in them.

    Nothing before ``first`` is carried back to, so that it is read once without a graph, where the model's cache allows that.
    """
    with torch.no_grad():
        cache = shared_prefix(model, ids[:first]) if parts.batches and first > 0 else None
    begin = first if cache is None else 0
    states: dict[int, torch.Tensor] = {}

    def take(depth: int, state: torch.Tensor) -> None:
        if depth < len(parts.blocks):  # depth L comes normed
            states[depth] = state

    tokens = torch.tensor([list(ids if cache is None else ids[first:])], device=input_device(model))
    held = {"use_cache": False} if cache is None else {"use_cache": True, "past_key_values": cache}
    with _frozen(model), eager(model), _last_output(model, parts, states), tapped(model, parts, take):
        model(input_ids=tokens, **held, **last_row_only(model))
    return [states[depth] for depth in range(len(parts.blocks))], states[len(parts.blocks)], begin


@contextmanager
def _frozen(model: Any) -> Iterator[None]:
    """Gradients go to the states and not to the weights."""
    wanted = [p for p in model.parameters() if p.requires_grad]
    for parameter in wanted:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in wanted:
            parameter.requires_grad_(True)


@contextmanager
def _last_output(model: Any, parts: Parts, states: dict[int, torch.Tensor]) -> Iterator[None]:
    """Let a graph begin at the embeddings, and keep what comes to the final norm as depth L."""

    def begin(_embeddings: Any, _args: Any, out: torch.Tensor) -> torch.Tensor:
        return out.detach().requires_grad_().clone()  # a clone may be written into

    def keep(_norm: Any, args: tuple[Any, ...]) -> None:
        states[len(parts.blocks)] = args[0]  # the last call counts: some norm their embeddings with it too

    handles = [
        model.get_input_embeddings().register_forward_hook(begin),
        parts.norm.register_forward_pre_hook(keep),
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


class _Average:
    """Sums over texts, in fp32."""

    def __init__(self, depths: int, width: int) -> None:
        self.width = width
        self.texts = 0
        self.positions = 0
        self._sum = torch.zeros(depths, width, width)
        self._squares = torch.zeros(depths, dtype=torch.float64)

    def add(self, at: slice, rows: torch.Tensor) -> None:
        """Rows (L, r, D) of the text that is under way."""
        self._sum[:, at] += rows
        self._squares += rows.double().pow(2).sum((1, 2))

    def result(self) -> Fitted:
        mean, count = self._sum / self.texts, self.texts
        if not bool(mean.isfinite().all()):
            raise LensTrainingError(
                "The Jacobians overflowed: they are no longer finite numbers.", hint="Use a dtype with a larger range."
            )
        length = mean.double().pow(2).sum((1, 2))  # (L,)
        spread = ((self._squares / count - length).clamp_min(0) / max(1, count - 1) / length.clamp_min(1e-30)).sqrt()
        return Fitted(mean, tuple(spread.tolist()) if count > 1 else (), count, self.positions)

    def save(self, path: Path, identity: dict[str, Any]) -> None:
        """Write the sums; texts are whole there."""
        sums = {"sum": self._sum, "squares": self._squares, "texts_done": self.texts, "positions": self.positions}
        write_checkpoint(path, identity | sums)

    def load(self, path: Path | None, identity: dict[str, Any]) -> None:
        held = read_checkpoint(path)
        kept_as(held, identity)
        try:
            self._sum.copy_(held["sum"])
            self._squares.copy_(held["squares"])
            self.texts, self.positions = int(held["texts_done"]), int(held["positions"])
        except (KeyError, ValueError, RuntimeError, TypeError) as error:
            raise damaged(path) from error


def _lasting(recipe: Recipe) -> dict[str, Any]:
    """What must be the same when a run goes on."""
    return {name: value for name, value in asdict(recipe).items() if name == "skip"}
