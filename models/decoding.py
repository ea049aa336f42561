"""The answer pass: prefill, then token by token with a KV cache. Knows one loaded model; knows no questions and no prompts' text.

Of each step only the chosen token, its probability under the sampler and the likeliest candidates are kept; no row of the whole
vocabulary outlives its step.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import torch
from transformers import LogitsProcessorList, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

from models.adapters import device_of
from models.errors import AnswerCancelledError
from models.prompts import Prompt
from models.tokens import Detokenizer
from models.types import FinalTop, Finish, Sampling, Style

FINAL_TOP = 16
"""m, the candidates of depth L that an answer keeps of each token."""


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the loop gave; shapes as in `models.types.Answer`."""

    ids: tuple[int, ...]  # (T,)
    text: str
    finish: Finish
    sampled_prob: tuple[float, ...]  # (T,)
    final_top: FinalTop  # (T, m)
    seconds_to_first: float
    seconds: float


@torch.inference_mode()
def decode(
    model: Any,
    tokenizer: Any,
    prompt: Prompt,
    sampling: Sampling,
    *,
    seed: int,
    stop_ids: Collection[int],
    special: Collection[int],
    on_text: Callable[[str], None] | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> Decoded:
    """Generate until a stop token, the end of the line (story), or ``prompt.max_new_tokens``.

    Raises:
        AnswerCancelledError: ``cancelled`` returned True between two tokens.
    """
    started = time.perf_counter()
    steps, sampler = Steps(model, prompt.ids), Sampler(sampling, seed)
    text = _Text(Detokenizer(tokenizer, special), prompt.style, on_text)
    ids: list[int] = []
    first, finish = 0.0, "length"
    while len(ids) < prompt.max_new_tokens:
        if cancelled is not None and cancelled():
            raise AnswerCancelledError("The answer was stopped.")
        ids.append(sampler.draw(steps.next(ids[-1] if ids else None)))
        first = first or time.perf_counter() - started
        if ids[-1] in stop_ids or text.push(ids[-1]):
            finish = "stop"
            break
    sampled_prob, final_top = sampler.kept()
    return Decoded(
        ids=tuple(ids),
        text=text.final(),
        finish="stop" if finish == "stop" else "length",
        sampled_prob=sampled_prob,
        final_top=final_top,
        seconds_to_first=first,
        seconds=time.perf_counter() - started,
    )


class Steps:
    """The model's forward passes over a growing sequence, each over what the cache does not hold yet."""

    def __init__(self, model: Any, prompt_ids: Collection[int]) -> None:
        self._model = model
        self._device = input_device(model)
        self._ids = torch.tensor([list(prompt_ids)], device=self._device)  # (1, P)
        self._cache: Any = None
        self._last_only = last_row_only(model)

    def next(self, token: int | None) -> torch.Tensor:
        """Append ``token`` (None: nothing, the prompt itself) and return the raw logits that follow, fp32 (V,)."""
        if token is not None:
            new = torch.tensor([[token]], device=self._device)  # (1, 1)
            # a model that returns no cache is run over the whole sequence again
            self._ids = new if self._cache is not None else torch.cat((self._ids, new), dim=1)
        out = self._model(input_ids=self._ids, past_key_values=self._cache, use_cache=True, **self._last_only)
        self._cache = getattr(out, "past_key_values", None)
        row: torch.Tensor = out.logits[0, -1]  # (V,)
        return row.float()


class Sampler:
    """Draws tokens from raw logits, and keeps what the second pass is held against."""

    def __init__(self, sampling: Sampling, seed: int) -> None:
        self._greedy = sampling.temperature == 0
        self._warpers: Any = _warpers(sampling)
        self._seed = seed
        self._generator: torch.Generator | None = None
        self._probs: list[torch.Tensor] = []  # T of ()
        self._top_ids: list[torch.Tensor] = []  # T of (m,)
        self._top_logprobs: list[torch.Tensor] = []  # T of (m,)

    def draw(self, row: torch.Tensor) -> int:
        """Choose from raw logits (V,)."""
        top = row.log_softmax(-1).topk(min(FINAL_TOP, row.numel()))
        self._top_ids.append(top.indices)
        self._top_logprobs.append(top.values)
        if self._greedy:
            self._probs.append(torch.ones((), device=row.device))
            return int(top.indices[0])
        scores = self._warpers(None, row[None])  # (1, V); temperature, top-k and top-p look at no earlier ids
        probs = scores[0].softmax(-1)  # (V,)
        if self._generator is None:
            self._generator = torch.Generator(row.device).manual_seed(self._seed)
        token = torch.multinomial(probs, 1, generator=self._generator)  # (1,)
        self._probs.append(probs[token[0]])
        return int(token)

    def kept(self) -> tuple[tuple[float, ...], FinalTop]:
        """The sampled probabilities (T,) and the final candidates (T, m) of all draws."""
        ids, logprobs = torch.stack(self._top_ids).tolist(), torch.stack(self._top_logprobs).tolist()
        top = FinalTop(ids=tuple(map(tuple, ids)), logprobs=tuple(map(tuple, logprobs)))
        return tuple(torch.stack(self._probs).tolist()), top


class _Text:
    """The answer's text as it grows, streamed whenever what is shown of it changes."""

    def __init__(self, detokenizer: Detokenizer, style: Style, on_text: Callable[[str], None] | None) -> None:
        self._detokenizer = detokenizer
        self._one_line = style == "story"
        self._on_text = on_text
        self._streamed = ""

    def push(self, token: int) -> bool:
        """Take a token in; True when the story's line has ended. Blank lines before the answer end nothing."""
        if not self._detokenizer.push(token):
            return False
        shown = self._shown()
        if self._on_text and shown != self._streamed:
            self._streamed = shown
            self._on_text(shown)
        return self._one_line and "\n" in self._detokenizer.text.lstrip()

    def final(self) -> str:
        return self._shown().strip()

    def _shown(self) -> str:
        text = self._detokenizer.text.lstrip()
        return text.partition("\n")[0] if self._one_line else text


def last_row_only(model: Any, rows: int = 1) -> dict[str, int]:
    """The argument that makes a forward pass compute only the last rows of the logits, where the model takes it."""
    return {"logits_to_keep": rows} if "logits_to_keep" in inspect.signature(model.forward).parameters else {}


def input_device(model: Any) -> torch.device:
    """Where the token ids go: to the embeddings."""
    return device_of(model.get_input_embeddings()) or torch.device("cpu")


def _warpers(sampling: Sampling) -> LogitsProcessorList:
    chain = LogitsProcessorList()
    if sampling.temperature not in {0.0, 1.0}:
        chain.append(TemperatureLogitsWarper(sampling.temperature))
    if sampling.top_k:
        chain.append(TopKLogitsWarper(sampling.top_k))
    if sampling.top_p < 1:
        chain.append(TopPLogitsWarper(sampling.top_p))
    return chain
