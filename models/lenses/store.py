"""Learned lenses as safetensors files: written whole or not at all, and refused for a model that they were not made for."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from models.bounds import BROKEN, from_json
from models.errors import ForwardPassError, LensFileError, LensNotFoundError, LensOfAnotherModelError
from models.lenses.affine import AffineLens, Card
from models.loading import embedded
from models.sentences import Sentence
from models.types import LearnedLens, ModelConfig

log = logging.getLogger(__name__)

_KEY = "forward_pass_lens"
_DTYPES = ("F32", "F16", "BF16")
_ROWS = 64
_TOLERANCE = 2e-3  # what a model loaded in half precision is off by


def default_file(config: ModelConfig, kind: LearnedLens) -> Path:
    """Where the lens of a model lies when no file is named: beside the default model, under a name made from the id."""
    folder = embedded.cache_folder(Path(config.cache_dir) if config.cache_dir else None)
    return folder / "lenses" / f"{re.sub(r'[^A-Za-z0-9._-]+', '--', config.id).strip('-.') or 'model'}.{kind}.safetensors"


@torch.inference_mode()
def fingerprint(model: Any) -> tuple[float, ...]:
    """Lengths of 64 rows of the embeddings, the same in every dtype up to rounding.

    Empty when the weights are kept elsewhere and cannot be looked at.
    """
    weight = model.get_input_embeddings().weight
    if weight.is_meta or not weight.is_floating_point():
        return ()
    at = torch.linspace(0, len(weight) - 1, _ROWS).long()
    return tuple(float(x) for x in weight[at.to(weight.device)].float().norm(dim=-1).cpu())


def save(path: Path, lens: AffineLens) -> None:
    """Write ``lens``; an older file of the name is replaced in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".part")
    tensors = {"weight": lens.weight.contiguous().cpu(), "bias": lens.bias.contiguous().cpu()}
    save_file(tensors, beside, metadata={_KEY: json.dumps(lens.card.to_json())})
    beside.replace(path)


@dataclass(frozen=True, slots=True)
class Identity:
    """What a lens's card is held against."""

    layers: int
    width: int
    fingerprint: tuple[float, ...]
    id: str | None = None
    revision: str | None = None


def identity_of(model: Any, name: str | None = None, revision: str | None = None) -> Identity:
    """What is known of a loaded model, while its weights can be looked at."""
    config = model.config.get_text_config()
    return Identity(int(config.num_hidden_layers), int(config.hidden_size), fingerprint(model), name, revision)


def load(path: Path, model: Any | None = None) -> AffineLens:
    """Read what `save` wrote.

    Args:
        path: of the file.
        model: a model or an `Identity`, held against the lens's card when given.

    Raises:
        LensNotFoundError, LensFileError.
        LensOfAnotherModelError: it was made for another model than ``model``.
    """
    with _opened(path) as (file, card):
        if model is not None:
            check(card, model if isinstance(model, Identity) else identity_of(model))
        return AffineLens(file.get_tensor("weight"), file.get_tensor("bias"), card)


def read_card(path: Path) -> Card:
    """What a lens file says of itself; its tensors are not read. Raises LensNotFoundError, LensFileError."""
    with _opened(path) as (_file, card):
        return card


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Card]]:
    """The file and its card, which has been held against the shapes of the tensors: nothing is allocated for them yet."""
    if not path.is_file():
        raise LensNotFoundError(Sentence("There is no lens file {path}.", path=path))
    try:
        with safe_open(path, framework="pt") as file:
            card = Card.from_json(from_json((file.metadata() or {})[_KEY]))
            _check_tensors(path, file, card)
            yield file, card
    except ForwardPassError:
        raise
    except (*BROKEN, SafetensorError) as error:
        log.info("a lens cannot be read: %s", type(error).__name__)
        raise LensFileError(Sentence("{path} is not a lens file, or it is damaged.", path=path)) from error


def _check_tensors(path: Path, file: Any, card: Card) -> None:
    wanted = {"weight": [card.layers, card.width, card.width], "bias": [card.layers, card.width]}
    for name, shape in wanted.items():
        held = file.get_slice(name)
        if list(held.get_shape()) != shape or held.get_dtype() not in _DTYPES:
            raise LensFileError(Sentence("{path} is damaged: its tensors do not match its description.", path=path))


def check(card: Card, who: Identity) -> None:
    """Raises LensOfAnotherModelError when the lens of ``card`` was made for another model than ``who``."""
    same = (card.layers, card.width) == (who.layers, who.width)
    if same and who.fingerprint and card.fingerprint:
        ones, others = torch.tensor(who.fingerprint), torch.tensor(card.fingerprint)
        same = ones.shape == others.shape and bool(torch.allclose(ones, others, rtol=_TOLERANCE, atol=1e-6))
    if not same:
        raise LensOfAnotherModelError(
            Sentence(
                "This lens was made for `{model}` ({layers} blocks, {width} wide), not for this model.",
                model=card.model,
                layers=card.layers,
                width=card.width,
            )
        )
    if card.model == who.id and card.revision and who.revision and card.revision != who.revision:
        raise LensOfAnotherModelError(
            Sentence(
                "This lens was made for revision {made_for} of `{model}`, but this is revision {revision}.",
                made_for=card.revision,
                model=card.model,
                revision=who.revision,
            )
        )
