"""Where a model's positions change with the length of the text (longrope): the edge, and what its own `generate` does there.

Up to `original_max_position_embeddings` tokens such a model turns its keys by short factors, in a pass over more by long ones.
What the cache holds was turned by the factors of its time. Phi-3 and Phi-3.5-MoE forget it when a text crosses the edge and read
all again; others go on with both. An answer is the one that `generate` gives only where this is done at the same token.
Source: transformers, `Phi3ForCausalLM.prepare_inputs_for_generation` and `modeling_rope_utils.longrope_frequency_update`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_READS_AGAIN = frozenset({"phi3", "phimoe"})


@dataclass(frozen=True, slots=True)
class Edge:
    """Of one model."""

    at: int
    """The longest text, in tokens, that is turned by the short factors."""
    reads_again: bool
    """Whether a text that crosses it is read again, whole."""

    def beyond(self, length: int) -> bool:
        """Whether a pass whose text has so many tokens, the cached ones included, uses the long factors."""
        return length > self.at

    def crossed(self, prompt: int, answer: int) -> bool:
        """Whether an answer of so many tokens, to a prompt of so many, was begun on one side and predicted on the other, too."""
        return not self.beyond(prompt) and self.beyond(prompt + answer - 1)


def edge_of(model: Any) -> Edge | None:
    """The edge of a model; None where no length changes anything."""
    config = model.config.get_text_config()
    for rope in _ropes(getattr(config, "rope_parameters", None)):
        if rope.get("rope_type") == "longrope":
            at = rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
            return None if at is None else Edge(int(at), config.model_type in _READS_AGAIN)
    return None


def _ropes(parameters: Any) -> Iterator[Mapping[str, Any]]:
    """One set of parameters, or one for each kind of layer."""
    if isinstance(parameters, Mapping):
        yield parameters
        yield from (value for value in parameters.values() if isinstance(value, Mapping))
