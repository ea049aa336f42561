"""Two questions side by side, held against matched controls: a difference is told only beyond their spread.

The spread of a figure is the range (highest minus lowest) among the controls, which are asked with the same sampler. Knows no
Discord and no torch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from bot.render.compare import Curve, compare_alt, compare_png
from bot.services.ask import AskService
from bot.services.asked import Answered, AskRequest, Listener
from bot.services.controls import LEAST, controls_for, given
from bot.services.voice import VoiceService
from models import readings as read
from models.errors import ForwardPassError
from models.trace import FloatArray, Trace
from models.types import Job

FigureName = Literal["final_prob", "entropy", "settle", "handover", "considered"]
FIGURES: tuple[FigureName, ...] = ("final_prob", "entropy", "settle", "handover", "considered")
Progress = Callable[[int, int], None]
"""Hears how many of how many questions are answered."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The figures of one answer at its pivotal token, final ones at temperature 1; entropy in nats."""

    token: str = field(repr=False)
    final_prob: float
    entropy: float
    settle: int | None
    handover: int
    considered: int
    """How many tokens were considered."""
    probs: FloatArray = field(repr=False)  # (L,) of the emitted token at the depths from 1 on
    entropies: FloatArray = field(repr=False)  # (L,) nats
    lens: str = "logit"
    """What the depths below L were read through."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """One figure of the two answers, and its range among the controls."""

    figure: FigureName
    a: float
    b: float
    low: float
    high: float

    @property
    def apart(self) -> float:
        """How far the two are from each other."""
        return abs(self.a - self.b)

    @property
    def spread(self) -> float:
        """How far the controls are from each other at most."""
        return self.high - self.low

    @property
    def told(self) -> bool:
        """Whether the difference may be told."""
        return self.apart > self.spread


@dataclass(frozen=True, slots=True)
class Control:
    """A plain question of the same shape, and what was read of its answer."""

    question: str = field(repr=False)
    text: str = field(repr=False)
    reading: Reading


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two questions side by side. Without enough controls there are no contrasts, and nothing is claimed."""

    a: Answered
    b: Answered
    reading_a: Reading | None
    reading_b: Reading | None
    controls: tuple[Control, ...]
    contrasts: tuple[Contrast, ...]
    picture: bytes | None = field(repr=False)
    """PNG: both answers depth by depth; None when one of them decided no word."""
    alt: str = field(repr=False)


class Comparer:
    """Asks two questions and their controls, one after the other."""

    def __init__(self, *, asks: AskService, voices: VoiceService) -> None:
        self._asks = asks
        self._voices = voices

    async def compare(
        self,
        request: AskRequest,
        other: str,
        listener: Listener,
        *,
        controls: str | None = None,
        progress: Progress | None = None,
    ) -> Comparison:
        """Answer two questions and their controls in one place in the line, and read each at its pivotal token.

        Args:
            request: with the first question.
            other: the second question.
            listener: hears of the line.
            controls: the asker's own, with ``;`` between them; those of the bank when None.
            progress: hears after each answer.

        Raises:
            QuestionError: the asker's controls are not fit.
            ForwardPassError: what `AskService.aside` raises.
        """
        a, b = request.question.strip(), other.strip()
        plain = given(controls, a, b) if controls else await asyncio.to_thread(controls_for, a, b)
        plain = plain if len(plain) >= LEAST else ()
        asked: list[tuple[Answered, Reading | None]] = []
        beside: list[Control] = []
        async with self._asks.in_line(request, listener) as answer:
            for index, question in enumerate((a, b, *plain)):
                found = await answer(Job(question, style=request.style, sampling=self._asks.sampling))
                if index < 2:
                    beside_it = replace(request, about=asked[0][0].run.id) if asked else request
                    kept = await self._asks.keep(beside_it, found, question=question)
                    asked.append((kept, await self._read(kept)))
                elif found.answer_ids and (row := reading(await self._voices.glance(found))):
                    beside.append(Control(question, found.text, row))
                if progress:
                    progress(index + 1, 2 + len(plain))
        (one, own), (two, theirs) = asked
        picture, alt = await asyncio.to_thread(drawn, own, theirs, beside, title=one.info.name, locale=request.locale)
        told = contrasts(own, theirs, [control.reading for control in beside])
        return Comparison(one, two, own, theirs, tuple(beside), told, picture, alt)

    async def _read(self, answered: Answered) -> Reading | None:
        if not answered.answer.answer_ids:
            return None
        try:
            return reading((await self._voices.read(answered.run.id))[1])
        except ForwardPassError:
            if answered.info.inner_voice is None:
                raise
            return None  # this model answers without an inner voice


def reading(trace: Trace) -> Reading | None:
    """The figures at the pivotal token; None when no word was decided."""
    at = read.pivotal(trace)
    if at is None:
        return None
    return Reading(
        token=read.emitted_text(trace, at),
        final_prob=float(trace.emitted_prob[at, -1]),
        entropy=float(trace.entropy[at, -1]),
        settle=read.settle_depth(trace, at),
        handover=read.handover_depth(trace, at),
        considered=len(read.considered(trace, at)),
        probs=trace.emitted_prob[at, 1:],
        entropies=trace.entropy[at, 1:],
        lens=trace.lens,
    )


def contrasts(a: Reading | None, b: Reading | None, controls: Sequence[Reading]) -> tuple[Contrast, ...]:
    """Every figure that both answers and all controls have; none with fewer than `LEAST` controls."""
    if a is None or b is None or len(controls) < LEAST:
        return ()
    found = []
    for figure in FIGURES:
        values = [getattr(row, figure) for row in (a, b, *controls)]
        if all(value is not None for value in values):
            own, other, *rest = map(float, values)
            found.append(Contrast(figure, own, other, min(rest), max(rest)))
    return tuple(found)


def drawn(
    a: Reading | None, b: Reading | None, controls: Sequence[Control], *, title: str, locale: str
) -> tuple[bytes | None, str]:
    """The picture and its words; nothing when one of the answers decided no word."""
    if a is None or b is None:
        return None, ""
    pair = Curve(a.token, a.probs, a.entropies), Curve(b.token, b.probs, b.entropies)
    band = [Curve(c.reading.token, c.reading.probs, c.reading.entropies) for c in controls if len(controls) >= LEAST]
    return compare_png(*pair, band, title=title, lens=a.lens, locale=locale), compare_alt(*pair, band, locale=locale)
