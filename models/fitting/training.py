"""From a loaded model to a learned lens with its card: text, fit, and the table on texts that nothing was fitted on.

Knows engines, files and the other modules here; prints nothing.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from models.errors import LensTrainingError, UnsupportedArchitectureError
from models.fitting import texts
from models.lenses import jacobian, states, store, tuned
from models.lenses.affine import AffineLens, Card
from models.lenses.measure import kl_by_depth
from models.lenses.states import Text
from models.lenses.tuned import OnDone, Recipe
from models.loading.opening import Loaded, open_model
from models.network import adapters
from models.network.adapters import Parts
from models.reading import lens
from models.types import LearnedLens, ModelConfig, PromptConfig

Splits = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Train, validation, held out: states (N, L+1, D) each."""

SELF_WRITTEN = "the model's own answers"

TOKENS: Mapping[LearnedLens, int] = {"tuned": 20_000, "jacobian": 384}
"""Where nothing else is wished. Each position of the Jacobian lens costs D backward passes through the blocks."""

_LENGTH = 128
"""Tokens of a piece of the user's text, for the Jacobian lens."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What to train with."""

    kind: LearnedLens = "tuned"
    tokens: int | None = None
    """Of text; `TOKENS` when None. For the Jacobian lens the positions that it is the mean of; what is held out comes on top."""
    held_out: int = 512
    """Positions for the choice and as many for the table, a tenth of all at most; for the Jacobian lens for the table alone."""
    recipe: Recipe = field(default_factory=Recipe)
    """Of the tuned lens; its seed is the text's, too."""
    jacobian: jacobian.Recipe = field(default_factory=jacobian.Recipe)
    words: str | None = field(default=None, repr=False)
    """A text of the user's; the model writes its own when None."""
    source: str = SELF_WRITTEN
    """What the card says of the text."""
    resume: bool = False

    @property
    def wanted(self) -> int:
        """``tokens``, or what is usual for the kind."""
        return self.tokens or TOKENS[self.kind]


def train(config: ModelConfig, wishes: Wishes, path: Path, *, prompt: PromptConfig, on_done: OnDone) -> AffineLens:
    """Load the model, fit a lens and write it to ``path``. Blocks for minutes, on a slow machine for an hour.

    Args:
        config: which model.
        wishes: kind, text and recipe.
        path: of the lens; checkpoint and texts lie beside it until it is done.
        prompt: of the self-written text.
        on_done: gets the stages.

    Raises:
        LensTrainingError, UnsupportedArchitectureError, and what `models.loading.opening.open_model` raises.
    """
    loaded = open_readable(config, on_done)
    checkpoint, written = path.with_name(path.name + ".checkpoint"), path.with_name(path.name + ".texts")
    pieces = _kept(written) if wishes.resume else _texts(loaded, config, prompt, wishes, on_done)
    if not wishes.resume:
        written.parent.mkdir(parents=True, exist_ok=True)
        checkpoint.unlink(missing_ok=True)  # one of other texts
        torch.save([(list(t.ids), t.start) for t in pieces], written)
    if wishes.kind == "jacobian":
        made = average(loaded, config, pieces, wishes, checkpoint=checkpoint, on_done=on_done)
    else:
        splits = _states(loaded.model, adapters.find(loaded.model), pieces, wishes, on_done)
        made = fit(loaded, config, splits, wishes, checkpoint=checkpoint, on_done=on_done)
    store.save(path, made)
    checkpoint.unlink(missing_ok=True)
    written.unlink(missing_ok=True)
    return made


def open_readable(config: ModelConfig, on_done: OnDone) -> Loaded:
    """The model, its weights dense.

    Raises:
        UnsupportedArchitectureError: no lens can read it.
    """
    loaded = open_model(config, lambda stage: on_done(stage, 0, 1))
    reason = adapters.reason_against(loaded.model)
    if reason is not None:
        raise UnsupportedArchitectureError(reason)
    return loaded


def fit(
    loaded: Loaded, config: ModelConfig, splits: Splits, wishes: Wishes, *, checkpoint: Path | None = None, on_done: OnDone
) -> AffineLens:
    """A tuned lens of states that are there already, with its held-out table.

    Args:
        loaded: the model, its weights dense.
        config: how it was named.
        splits: states of texts of which no two splits share one.
        wishes: recipe, seed, and what the card says of the text.
        checkpoint: see `models.lenses.tuned.train`.
        on_done: gets the stages.

    Raises:
        LensTrainingError.
    """
    started, parts, recipe = time.perf_counter(), adapters.find(loaded.model), wishes.recipe
    train_states, validation, held_out = splits
    made = tuned.train(parts, train_states, validation, recipe, checkpoint=checkpoint, resume=wishes.resume, on_done=on_done)
    seconds = time.perf_counter() - started
    kl = table(parts, held_out, {"logit": None, "ridge": made.ridge, "tuned": made.maps}, on_done)
    card = _card(
        loaded,
        config,
        wishes,
        tokens={"train": len(train_states), "validation": len(validation), "held_out": len(held_out)},
        held_out_kl=kl,
        chosen=made.chosen,
        steps=recipe.steps,
        seconds=seconds,
        method=asdict(recipe) | {"validation_kl": made.validation_kl},
    )
    return AffineLens(made.maps.weight, made.maps.bias, card)


def average(
    loaded: Loaded,
    config: ModelConfig,
    pieces: Sequence[Text],
    wishes: Wishes,
    *,
    checkpoint: Path | None = None,
    on_done: OnDone,
) -> AffineLens:
    """A Jacobian lens of texts, with its held-out table.

    Args:
        loaded: the model, its weights dense.
        config: how it was named.
        pieces: the texts; some of them are held out.
        wishes: tokens, recipe, seed, and what the card says of the text.
        checkpoint: see `models.lenses.jacobian.fit`.
        on_done: gets the stages.

    Raises:
        LensTrainingError, OutOfMemoryError.
    """
    started, parts, recipe = time.perf_counter(), adapters.find(loaded.model), wishes.jacobian
    read, apart = texts.split_off(pieces, wishes.recipe.seed, wanted=wishes.wanted, held_out=wishes.held_out, skip=recipe.skip)
    made = jacobian.fit(loaded.model, parts, read, recipe, checkpoint=checkpoint, resume=wishes.resume, on_done=on_done)
    seconds = time.perf_counter() - started
    blank = AffineLens.of_matrices(made.mean, _card(loaded, config, wishes, tokens={}, held_out_kl={}))
    held_out = states.collect(loaded.model, parts, apart)
    card = _card(
        loaded,
        config,
        wishes,
        tokens={"train": made.positions, "held_out": len(held_out)},
        held_out_kl=table(parts, held_out, {"logit": None, "jacobian": blank}, on_done),
        seconds=seconds,
        method={"skip": recipe.skip, "texts": made.texts, "relative_error": made.error},
    )
    return AffineLens(blank.weight, blank.bias, card)


def table(parts: Parts, held_out: torch.Tensor, lenses: dict[str, lens.Lens | None], on_done: OnDone) -> dict[str, list[float]]:
    """KL(final || depth) in nats of each lens by name, (L,) each, over states (N, L+1, D)."""
    kl = kl_by_depth(parts, held_out, lenses, lambda n: on_done("the table, on held-out text", n, len(held_out)))
    return {name: values.tolist() for name, values in kl.items()}


def _card(loaded: Loaded, config: ModelConfig, wishes: Wishes, **facts: Any) -> Card:
    text_config = loaded.model.config.get_text_config()
    return Card(
        kind=wishes.kind,
        model=config.id,
        revision=loaded.revision,
        architecture=type(loaded.model).__name__,
        layers=int(text_config.num_hidden_layers),
        width=int(text_config.hidden_size),
        dtype=str(loaded.model.dtype).removeprefix("torch."),
        fingerprint=store.fingerprint(loaded.model),
        seed=wishes.recipe.seed,
        source=wishes.source,
        versions=lens.versions(),
        **facts,
    )


def _texts(loaded: Loaded, config: ModelConfig, prompt: PromptConfig, wishes: Wishes, on_done: OnDone) -> list[Text]:
    tokens = wishes.wanted + (wishes.held_out if wishes.kind == "jacobian" else 0)
    if wishes.words is not None:
        length = {"length": _LENGTH} if wishes.kind == "jacobian" else {}
        return texts.from_text(loaded.tokenizer, wishes.words, tokens=tokens, **length)
    return written_by(loaded, config, prompt, tokens, seed=wishes.recipe.seed, on_done=on_done)


def written_by(
    loaded: Loaded, config: ModelConfig, prompt: PromptConfig, tokens: int, *, seed: int, on_done: OnDone
) -> list[Text]:
    """What the model itself writes, at least ``tokens`` of it."""
    from models.running.engine import TorchEngine

    engine = TorchEngine(loaded, config, prompt, load_seconds=0.0)  # not packed: training needs dense weights
    return texts.self_written(engine, tokens, seed=seed, on_done=lambda n: on_done("the model writes text", n, tokens))


def _states(model: Any, parts: Parts, pieces: list[Text], wishes: Wishes, on_done: OnDone) -> Splits:
    total, before, made = sum(t.positions for t in pieces), 0, []
    for part in texts.split(pieces, wishes.recipe.seed, held_out=wishes.held_out):
        rows = states.collect(model, parts, part, lambda n, so_far=before: on_done("states", so_far + n, total))  # type: ignore[misc]
        before += len(rows)
        made.append(rows)
    return made[0], made[1], made[2]


def _kept(path: Path) -> list[Text]:
    try:
        return [Text(tuple(ids), start) for ids, start in torch.load(path, weights_only=True)]
    except Exception as error:  # torch raises what its readers raise
        raise LensTrainingError("There is no training to continue.", hint="Start without --resume.") from error
