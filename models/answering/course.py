"""One answer on its way, token by token: its text, its end, and what is kept of it. Knows tokens; knows no model."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from models.answering import templates
from models.answering.prompts import Prompt
from models.answering.sampling import Sampler
from models.answering.speech import Speech
from models.errors import AnswerCancelledError
from models.sentences import Sentence
from models.types import FinalTop, Finish, Road, Sampling, Style


@dataclass(frozen=True, slots=True)
class Decoded:
    """What the loop gave; shapes as in `models.types.Answer`."""

    ids: tuple[int, ...]  # (T,)
    text: str
    finish: Finish
    sampled_prob: tuple[float, ...]  # (T,)
    final_top: FinalTop  # (T, m)
    states: tuple[torch.Tensor, ...] | None = field(repr=False)
    """L+1 tensors (T, D): the residual stream where each token was predicted, depth L normed. None when it was not kept."""
    seconds_to_first: float
    seconds: float
    thinking: int


class Course:
    """One answer on its way: what it is made of, and what came of it."""

    def __init__(
        self,
        tokenizer: Any,
        prompt: Prompt,
        sampling: Sampling,
        *,
        seed: int,
        stop_ids: Collection[int],
        special: Collection[int],
        on_text: Callable[[str], None] | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> None:
        self.started = time.perf_counter()
        self.prompt = prompt
        self.sampling = sampling
        self.seed = seed
        self.sampler = Sampler(sampling, seed)
        self.ids: list[int] = []
        self.decoded: Decoded | None = None
        self.error: BaseException | None = None
        self.states: list[list[torch.Tensor]] = []  # T lists of L+1 states (D,)
        self.keeps = True
        template = templates.of(tokenizer) if prompt.style == "chat" else None
        self._text = _Text(Speech(tokenizer, special, template), prompt.style, on_text)
        self._stop_ids = stop_ids
        self._cancelled = cancelled
        self._first = 0.0

    def follow(self, road: Road, states: tuple[torch.Tensor, ...] | None) -> None:
        """Begin with the kept tokens of a road's answer, the next one given.

        Args:
            road: its answer has this course's prompt, sampling and seed.
            states: of that answer, as in `Decoded`; None when they are not held.
        """
        self.ids = list(road.answer.answer_ids[: road.t])
        self.sampler.follow(road)
        self._text.resume(self.ids)
        if states is not None:
            self.states = [[state[at] for state in states] for at in range(road.t)]

    @property
    def done(self) -> bool:
        return self.decoded is not None or self.error is not None

    @property
    def tokens(self) -> list[int]:
        """Prompt and answer so far."""
        return [*self.prompt.ids, *self.ids]

    def check(self) -> None:
        """End it when it was cancelled."""
        if self._cancelled is not None and self._cancelled():
            self.error = AnswerCancelledError("The answer was stopped.")

    def push(self, token: int) -> None:
        """Take the next token, and end when it says so."""
        self.ids.append(token)
        self._first = self._first or time.perf_counter() - self.started
        if token in self._stop_ids or self._text.push(token):
            self._end("stop")
        elif self._is_full():
            self._end("length")

    def _is_full(self) -> bool:
        """Reasoning and answer have a budget each, and the context is for both."""
        thinking = self._text.speech.thinking
        aloud = len(self.ids) - thinking
        budget = self.sampling.max_thinking_tokens
        return aloud >= self.prompt.max_new_tokens or thinking >= budget or len(self.ids) >= self.prompt.room

    def _end(self, finish: Finish) -> None:
        sampled_prob, final_top = self.sampler.kept()
        whole = len(self.states) == len(self.ids)
        self.decoded = Decoded(
            ids=tuple(self.ids),
            text=self._text.final(),
            finish=finish,
            sampled_prob=sampled_prob,
            final_top=final_top,
            states=tuple(torch.stack(at_depth) for at_depth in zip(*self.states, strict=True)) if whole else None,
            seconds_to_first=self._first,
            seconds=time.perf_counter() - self.started,
            thinking=self._text.speech.thinking,
        )


class _Text:
    """The answer's text as it grows, streamed whenever what is shown of it changes."""

    def __init__(self, speech: Speech, style: Style, on_text: Callable[[str], None] | None) -> None:
        self.speech = speech
        self._one_line = style == "story"
        self._on_text = on_text
        self._streamed = ""

    def push(self, token: int) -> bool:
        """Take a token in; True when the story's line has ended. Blank lines before the answer end nothing."""
        added = self.speech.push(token)
        if not self.speech.aloud:
            self._stream(Sentence("*thinking… {count} tokens*", count=self.speech.thinking))
        if not added:
            return False
        shown = self._shown()
        self._stream(shown)
        return self._one_line and "\n" in self.speech.text.lstrip()

    def _stream(self, shown: str) -> None:
        if self._on_text and shown != self._streamed:
            self._streamed = shown
            self._on_text(shown)

    def resume(self, tokens: Sequence[int]) -> None:
        """Take in what was said before, of which nothing is streamed and nothing ends."""
        for token in tokens:
            self.speech.push(token)

    def final(self) -> str:
        self.speech.end()
        return self._shown().strip()

    def _shown(self) -> str:
        text = self.speech.text.lstrip()
        return text.partition("\n")[0] if self._one_line else text
