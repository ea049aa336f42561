"""Beyond the inner voice of a stored run: why, the road not taken, second thoughts, two questions side by side.

An answer that these cost waits in the same line as every question, and is stored as a run of its own, so that its inner voice can
be opened. Only the causal check speaks of causes; everything else states figures. Knows no Discord and no torch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.errors import NoInnerVoiceError
from bot.render.causal import causal_alt, causal_png
from bot.services.ask import Answered, AskRequest, AskService, Listener, Model
from bot.services.monologue import Line, verify
from bot.services.monologue.beside import causes
from bot.services.monologue.teller import Teller
from bot.services.voice import VoiceService
from bot.storage.records import Run
from bot.storage.runs import RunStore
from models import readings as read
from models.errors import NoSuchTokenError
from models.findings import CausalCheck
from models.trace import Trace
from models.types import Job, Road, Turn


@dataclass(frozen=True, slots=True)
class Why:
    """The causal check of one answer token, told."""

    run: Run
    trace: Trace = field(repr=False)
    check: CausalCheck = field(repr=False)
    token: str = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)
    flips: int
    """How many blocks, left out alone, make another token the likeliest."""
    control_flips: int
    """The same for random vectors of the same norm."""
    picture: bytes = field(repr=False)
    """PNG: what each block's removal costs the token."""
    alt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Crossing:
    """Where a road leaves: the emitted token and those considered in its place."""

    run: Run
    t: int
    emitted: str = field(repr=False)
    final_prob: float
    """Of the emitted token at depth L, temperature 1."""
    sampled_prob: float
    """Of the emitted token under the sampler that drew it."""
    choices: tuple[read.Considered, ...] = field(repr=False)
    """The likeliest at depth L first."""


@dataclass(frozen=True, slots=True)
class Fork:
    """The road not taken beside the one taken."""

    crossing: Crossing
    original: str = field(repr=False)
    answered: Answered
    token: str = field(repr=False)
    final_prob: float | None
    """Of the forced token at depth L, temperature 1; None when it is not among the candidates that were kept."""
    sampled_prob: float
    """Of the forced token under the sampler: 0 when it could never have been drawn."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The figures of one answer at its pivotal token, final ones at temperature 1; entropy in nats."""

    token: str = field(repr=False)
    final_prob: float
    entropy: float
    settle: int | None
    quartiles: tuple[tuple[int, str, float, float], ...] = field(repr=False)
    """Depth, the likeliest token there, probability of the emitted one, entropy: at a quarter, half, three quarters, L."""


@dataclass(frozen=True, slots=True)
class SecondThoughts:
    """The first answer and the one given with the inner monologue in the context."""

    first: Run
    answered: Answered
    differs_at: int | None
    """The first answer token, from 0, that differs; None when the answers are the same."""
    before: Reading | None
    after: Reading | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two questions side by side. No controls were asked, so nothing is claimed of their difference."""

    a: Answered
    b: Answered
    reading_a: Reading | None
    reading_b: Reading | None


class BeyondService:
    """Looks further into stored runs."""

    def __init__(self, *, runs: RunStore, model: Model, asks: AskService, voices: VoiceService, history_turns: int) -> None:
        self._runs = runs
        self._model = model
        self._asks = asks
        self._voices = voices
        self._history_turns = history_turns

    async def find(self, channel_ids: tuple[int, ...], message_id: int | None = None, *, user_id: int | None = None) -> Run:
        """The answer in a message, or the last one, of these channels only: a link opens no door to another one.

        Private answers are found by their asker alone, and only where ``user_id`` says who asks for them.

        Raises:
            NoInnerVoiceError: there is none.
        """
        if message_id is None:
            latest = [await self._runs.latest_in_channel(channel_id, user_id=user_id) for channel_id in channel_ids]
            found = next((run for run in latest if run is not None), None)
        else:
            found = await self._runs.by_message(message_id)
        hidden = found is not None and found.private and found.user_id != user_id
        if found is None or hidden or not {found.channel_id, found.thread_id} & set(channel_ids):
            raise NoInnerVoiceError(
                "I know of no such answer in this channel. Ask me something first, or link an answer from here."
            )
        return found

    async def why(self, run_id: str, *, locale: str | None = None, t: int | None = None) -> Why:
        """Measure which blocks a token hangs on; the pivotal token without ``t``.

        Raises:
            ForwardPassError: RunError, NoSuchTokenError, ModelError.
        """
        run, trace = await self._voices.read(run_id)
        at = _token(trace, t)
        check = trace.findings.causal
        if check is None or check.t != at:
            await self._voices.same_model(run)
            check = await self._model.why(await self._runs.load_answer(run_id), at)
            trace = trace.with_findings(causal=check)
            await self._runs.save_trace(run_id, trace)
        teller = Teller(trace, at, locale or run.locale)
        said = causes(teller, more=True)
        lines = verify(tuple(teller.line([sentence]) for sentence in said), trace)
        removals = check.of("block")
        flips = int((removals.top_ids != check.top_id).sum()) if removals else 0
        control = int((removals.control_top_ids != check.top_id).sum()) if removals else 0
        title = str(trace.meta.get("name") or run.model_id or "")
        picture = await asyncio.to_thread(causal_png, check, title=title)
        return Why(run, trace, check, read.emitted_text(trace, at), lines, flips, control, picture, causal_alt(check))

    async def crossing(self, run_id: str, *, t: int | None = None) -> Crossing:
        """The considered tokens at a token; the pivotal one without ``t``. Raises what `why` raises."""
        run, trace = await self._voices.read(run_id)
        at = _token(trace, t)
        final, sampled = float(trace.emitted_prob[at, -1]), float(trace.sampled_prob[at])
        choices = sorted(read.considered(trace, at), key=lambda choice: -(choice.final_prob or 0.0))
        return Crossing(run, at, read.emitted_text(trace, at), final, sampled, tuple(choices))

    async def fork(self, run_id: str, token: int, request: AskRequest, listener: Listener, *, t: int | None = None) -> Fork:
        """Go on from a considered token in place of the emitted one.

        Raises:
            NoSuchTokenError: the token was not considered there.
            ForwardPassError: what `AskService.aside` raises.
        """
        crossing = await self.crossing(run_id, t=t)
        choice = next((c for c in crossing.choices if c.id == token), None)
        if choice is None:
            raise NoSuchTokenError("I did not consider that token there. Choose one of those that are offered.")
        await self._voices.same_model(crossing.run)
        answer = await self._runs.load_answer(run_id)
        job = Job(crossing.run.question, style=answer.style, sampling=answer.sampling, road=Road(answer, crossing.t, token))
        answered = await self._asks.aside(request, job, listener, parent=run_id)
        sampled = answered.answer.sampled_prob[crossing.t]
        return Fork(crossing, answer.text, answered, choice.text, choice.final_prob, sampled)

    async def reconsider(self, run_id: str, request: AskRequest, listener: Listener) -> SecondThoughts:
        """Ask again with the inner monologue in the context. Raises what `AskService.aside` raises."""
        voice = await self._voices.of(run_id)
        run, first = voice.run, await self._runs.load_answer(run_id)
        earlier = await self._runs.conversation(run_id, max(self._history_turns, 2))
        thoughts = "\n".join(line.text for line in voice.lines)
        again = f"This is what went on in you while you answered:\n{thoughts}\n\nNow answer again: {run.question}"
        history = earlier or (Turn("user", run.question), Turn("assistant", first.text))
        job = Job(again, history, first.style, first.sampling)
        answered = await self._asks.aside(request, job, listener, parent=run_id)
        after = await self._reading(answered)
        return SecondThoughts(
            run, answered, first_difference(first.answer_ids, answered.answer.answer_ids), _reading(voice.trace), after
        )

    async def compare(self, request: AskRequest, other: str, listener: Listener) -> Comparison:
        """Answer two questions in turn, and read both at their pivotal tokens. Raises what `AskService.aside` raises."""
        a, b = [await self._plain(request, question, listener) for question in (request.question, other)]
        return Comparison(a, b, await self._reading(a), await self._reading(b))

    async def _plain(self, request: AskRequest, question: str, listener: Listener) -> Answered:
        job = Job(question.strip(), style=request.style, sampling=self._asks.sampling)
        return await self._asks.aside(request, job, listener, question=question)

    async def _reading(self, answered: Answered) -> Reading | None:
        if not answered.answer.answer_ids:
            return None
        _, trace = await self._voices.read(answered.run.id)
        return _reading(trace)


def first_difference(a: tuple[int, ...], b: tuple[int, ...]) -> int | None:
    """The first place at which two answers differ, the end of the shorter one included; None when they are equal."""
    if a == b:
        return None
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _token(trace: Trace, t: int | None) -> int:
    at = read.pivotal(trace) if t is None else t
    if at is None:
        raise NoInnerVoiceError("No word of that answer was decided: there is nothing to look into.")
    if not 0 <= at < trace.length:
        raise NoSuchTokenError(f"The answer has {trace.length} tokens; there is no token {at + 1}.")
    return at


def _reading(trace: Trace) -> Reading | None:
    at = read.pivotal(trace)
    if at is None:
        return None
    depths = sorted({max(1, round(trace.depths * share / 4)) for share in (1, 2, 3, 4)})
    rows = tuple(
        (d, read.text_at(trace, at, read.top_token(trace, at, d)), float(trace.emitted_prob[at, d]), float(trace.entropy[at, d]))
        for d in depths
    )
    final, entropy = float(trace.emitted_prob[at, -1]), float(trace.entropy[at, -1])
    return Reading(read.emitted_text(trace, at), final, entropy, read.settle_depth(trace, at), rows)
