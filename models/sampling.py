"""From rows of logits to tokens, one sampler per answer and one sweep for all of them. Knows tensors; knows no model.

Of each row only the chosen token, its probability under the sampler and the likeliest candidates are kept; no row of the whole
vocabulary outlives its step.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from models.likeliest import likeliest
from models.types import FinalTop, Sampling

FINAL_TOP = 16
"""m, the candidates of depth L that an answer keeps of each token."""


class Sampler:
    """Draws the tokens of one answer, and keeps what the second pass is held against."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self.greedy = sampling.temperature == 0
        self._warpers: Any = _warpers(sampling)
        self._seed = seed
        self._generator: torch.Generator | None = None
        self._probs: list[float] = []  # (T,)
        self._top_ids: list[tuple[int, ...]] = []  # (T, m)
        self._top_logprobs: list[tuple[float, ...]] = []  # (T, m)

    def kept(self) -> tuple[tuple[float, ...], FinalTop]:
        """The sampled probabilities (T,) and the final candidates (T, m) of all draws."""
        return tuple(self._probs), FinalTop(ids=tuple(self._top_ids), logprobs=tuple(self._top_logprobs))

    def _take(self, row: torch.Tensor, ids: list[int], logprobs: list[float]) -> int:
        """Choose from raw logits (V,) whose likeliest are known."""
        self._top_ids.append(tuple(ids))
        self._top_logprobs.append(tuple(logprobs))
        if self.greedy:
            self._probs.append(1.0)
            return ids[0]
        scores = self._warpers(None, row[None])  # (1, V); temperature, top-k and top-p look at no earlier ids
        probs = scores[0].softmax(-1)  # (V,)
        if self._generator is None:
            self._generator = torch.Generator(row.device).manual_seed(self._seed)
        token = torch.multinomial(probs, 1, generator=self._generator)  # (1,)
        chosen, prob = int(token), float(probs[token[0]])
        self._probs.append(prob)
        return chosen


def draw(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """The next token of each answer from raw logits (B, V). One synchronisation with the device for all greedy ones."""
    rows = logits.float()
    values, ids = likeliest(rows.log_softmax(-1), min(FINAL_TOP, rows.shape[-1]))  # (B, m)
    of_each = zip(samplers, rows, ids.tolist(), values.tolist(), strict=True)
    return [sampler._take(row, top_ids, logprobs) for sampler, row, top_ids, logprobs in of_each]


def _warpers(sampling: Sampling) -> LogitsProcessorList:
    chain = LogitsProcessorList()
    if sampling.temperature not in {0.0, 1.0}:
        chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    return chain
