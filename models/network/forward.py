"""What a forward pass of any architecture takes: where its ids go, and which rows of logits it computes."""

from __future__ import annotations

import inspect
from typing import Any

import torch

from models.errors import NotFiniteError
from models.network.adapters import device_of
from models.sentences import Sentence


def not_finite(model: Any) -> NotFiniteError:
    """The error of a model whose numbers overflowed, which names its dtype."""
    dtype = str(model.dtype).removeprefix("torch.")
    return NotFiniteError(Sentence("The model's numbers are not finite in {dtype}.", dtype=dtype))


def last_row_only(model: Any, rows: int = 1) -> dict[str, int]:
    """The argument that makes a forward pass compute only the last rows of the logits, where the model takes it."""
    return {"logits_to_keep": rows} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}


def input_device(model: Any) -> torch.device:
    """Where the token ids go: to the embeddings."""
    return device_of(model.get_input_embeddings()) or torch.device("cpu")
