"""From rows of logits to tokens, one sampler per answer and one sweep for all of them. Knows tensors; knows no model.

Of each row only the chosen token, its probability under the sampler and the likeliest candidates are kept; no row of the whole
vocabulary outlives its step.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from models.network.likeliest import likeliest
from models.types import FinalTop, Road, Sampling

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
        self._road: Road | None = None

    def follow(self, road: Road) -> None:
        """Keep what the road's answer kept of its first tokens; the next draw gives the road's token."""
        answer = road.answer
        self._probs = list(answer.sampled_prob[: road.t])
        self._top_ids = list(answer.final_top.ids[: road.t])
        self._top_logprobs = list(answer.final_top.logprobs[: road.t])
        self._road = road

    def kept(self) -> tuple[tuple[float, ...], FinalTop]:
        """The sampled probabilities (T,) and the final candidates (T, m) of all draws."""
        return tuple(self._probs), FinalTop(ids=tuple(self._top_ids), logprobs=tuple(self._top_logprobs))

    def _take(self, row: torch.Tensor, ids: list[int], logprobs: list[float]) -> int:
        """Choose from raw logits (V,) whose likeliest are known."""
        road, self._road = self._road, None
        if road is not None:
            return self._force(row, road)
        self._top_ids.append(tuple(ids))
        self._top_logprobs.append(tuple(logprobs))
        if self.greedy:
            self._probs.append(1.0)
            return ids[0]
        probs = self._warped(row)
        token = self._drawn(probs)  # (1,)
        chosen, prob = int(token), float(probs[token[0]])
        self._probs.append(prob)
        return chosen

    def _force(self, row: torch.Tensor, road: Road) -> int:
        """The road's token, with the probability that the sampler would have drawn it with; 0 when it cut the token away."""
        ids = road.answer.final_top.ids[road.t]
        self._top_ids.append(ids)
        self._top_logprobs.append(road.answer.final_top.logprobs[road.t])
        if self.greedy:
            self._probs.append(float(road.token == ids[0]))
            return road.token
        self._probs.append(float(self._warped(row)[road.token]))
        for _ in range(road.t + 1):  # the numbers that the road's answer used up; how many depends on V alone
            self._drawn(torch.ones_like(row))
        return road.token

    def _warped(self, row: torch.Tensor) -> torch.Tensor:
        """(V,) to probabilities (V,); temperature, top-k and top-p look at no earlier ids."""
        probs: torch.Tensor = self._warpers(None, row[None])[0].softmax(-1)
        return probs

    def _drawn(self, probs: torch.Tensor) -> torch.Tensor:
        """One token, shape (1,)."""
        if self._generator is None:
            self._generator = torch.Generator(probs.device).manual_seed(self._seed)
        return torch.multinomial(probs, 1, generator=self._generator)


NOT_FINITE = -1
"""In place of a token: the row holds what is no number, or nothing but -inf."""


def draw(logits: torch.Tensor, samplers: Sequence[Sampler]) -> list[int]:
    """The next token of each answer from raw logits (B, V), or `NOT_FINITE`.

    One synchronisation with the device for all greedy ones.
    """
    rows = logits.float()
    values, ids = likeliest(rows.log_softmax(-1), min(FINAL_TOP, rows.shape[-1]))  # (B, m)
    of_each = zip(samplers, rows, ids.tolist(), values.tolist(), strict=True)
    return [
        NOT_FINITE if math.isnan(logprobs[0]) else sampler._take(row, top_ids, logprobs)  # one such logit spoils its whole row
        for sampler, row, top_ids, logprobs in of_each
    ]


def _warpers(sampling: Sampling) -> LogitsProcessorList:
    chain = LogitsProcessorList()
    if sampling.temperature not in {0.0, 1.0}:
        chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    return chain
