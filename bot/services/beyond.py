"""Beyond the inner voice of a stored run: why, the road not taken, second thoughts. Two questions side by side: `compare`.

An answer that these cost waits in the same line as every question, and is stored as a run of its own, so that its inner voice can
be opened. Only the causal check speaks of causes; everything else states figures. Knows no Discord and no torch.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

from bot.catalogue import language_of
from bot.errors import NoInnerVoiceError, RunExpiredError
from bot.render.causal import causal_alt, causal_png
from bot.services.ask import AskService
from bot.services.asked import Answered, AskRequest, Listener
from bot.services.compare import Reading, reading
from bot.services.model import Model
from bot.services.monologue import Line, verify
from bot.services.monologue.beside import causes
from bot.services.monologue.teller import Teller
from bot.services.voice import VoiceService
from bot.storage.records import Run
from bot.storage.runs import RunStore
from models import readings as read
from models.errors import NoSuchTokenError
from models.findings import CausalCheck
from models.roads import check_place
from models.trace import Trace
from models.types import Job, Road, Turn

_AGAIN = {
    "en-US": "This is what went on in you while you answered:\n{thoughts}\n\nNow answer again: {question}",
    "zh-CN": "你回答的时候，心里是这样的：\n{thoughts}\n\n现在请重新回答：{question}",
}
"""What is asked with the inner monologue in the context."""


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
class SecondThoughts:
    """The first answer and the one given with the inner monologue in the context."""

    first: Run
    answered: Answered
    differs_at: int | None
    """The first answer token, from 0, that differs; None when the answers are the same."""
    before: Reading | None
    after: Reading | None


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
            raise no_such_answer()
        return found

    async def hidden(self, run_id: str) -> bool:
        """Whether only its asker may see what comes of a run; one that is gone has nothing to hide."""
        try:
            return (await self._runs.get(run_id)).private
        except RunExpiredError:
            return False

    async def why(self, run_id: str, *, locale: str | None = None, t: int | None = None) -> Why:
        """Measure which blocks a token hangs on; the pivotal token without ``t``.

        Raises:
            ForwardPassError: RunError, NoSuchTokenError, ModelError.
        """
        run, trace = await self._voices.read(run_id)
        at = _token(trace, t)
        check = trace.findings.causal
        if check is None or check.t != at:
            check = await self._model.why(await self._voices.answer_of(run), at)
            trace = await self._voices.add(run_id, causal=check)
        teller = Teller(trace, at, locale or run.locale)
        said = causes(teller, more=True)
        lines = verify(tuple(teller.line([sentence]) for sentence in said), trace)
        removals = check.of("block")
        flips = int((removals.top_ids != check.top_id).sum()) if removals else 0
        control = int((removals.control_top_ids != check.top_id).sum()) if removals else 0
        title = str(trace.meta.get("name") or run.model_id or "")
        language = locale or run.locale
        picture = await asyncio.to_thread(causal_png, check, title=title, locale=language)
        alt = causal_alt(check, locale=language)
        return Why(run, trace, check, read.emitted_text(trace, at), lines, flips, control, picture, alt)

    async def crossing(self, run_id: str, *, t: int | None = None) -> Crossing:
        """The considered tokens at a token; the pivotal one without ``t``. Raises what `why` raises."""
        return self._crossing(*await self._voices.read(run_id), t)

    async def kept_crossing(self, run_id: str) -> Crossing | None:
        """The same at the pivotal token if the trace is stored: whoever types starts no second pass. Raises what `why` raises."""
        trace = await self._runs.load_trace(run_id)
        return None if trace is None else self._crossing(await self._runs.get(run_id), trace, None)

    def _crossing(self, run: Run, trace: Trace, t: int | None) -> Crossing:
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
            raise NoSuchTokenError("I did not consider that token at that point. Choose one from the list.")
        answer = await self._voices.answer_of(crossing.run)
        job = Job(crossing.run.question, style=answer.style, sampling=answer.sampling, road=Road(answer, crossing.t, token))
        # In a conversation this answer stands in the place of the one that it left.
        request = _of(crossing.run, request)
        answered = await self._asks.aside(request, job, listener, parent=crossing.run.parent_run_id)
        sampled = answered.answer.sampled_prob[crossing.t]
        return Fork(crossing, answer.text, answered, choice.text, choice.final_prob, sampled)

    async def reconsider(self, run_id: str, request: AskRequest, listener: Listener) -> SecondThoughts:
        """Ask again with the inner monologue in the context. Raises what `AskService.aside` raises."""
        voice = await self._voices.of(run_id, locale=request.locale)
        run, first = voice.run, await self._runs.load_answer(run_id)
        earlier = await self._runs.conversation(run_id, max(self._history_turns, 2))
        thoughts = "\n".join(line.text for line in voice.lines)
        again = _AGAIN[language_of(request.locale)].format(thoughts=thoughts, question=run.question)
        history = earlier or (Turn("user", run.question), Turn("assistant", first.text))
        job = Job(again, history, first.style, first.sampling)
        answered = await self._asks.aside(_of(run, request), job, listener, parent=run_id)
        after = await self._reading(answered)
        return SecondThoughts(
            run, answered, first_difference(first.answer_ids, answered.answer.answer_ids), reading(voice.trace), after
        )

    async def _reading(self, answered: Answered) -> Reading | None:
        if not answered.answer.answer_ids:
            return None
        _, trace = await self._voices.read(answered.run.id)
        return reading(trace)


def no_such_answer() -> NoInnerVoiceError:
    """Whatever was named, it is no answer that may be read here."""
    return NoInnerVoiceError(
        "I cannot find that answer in this channel. Ask me something first, or give the link of one of my answers here."
    )


def first_difference(a: tuple[int, ...], b: tuple[int, ...]) -> int | None:
    """The first place at which two answers differ, the end of the shorter one included; None when they are equal."""
    if a == b:
        return None
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))


def _of(run: Run, request: AskRequest) -> AskRequest:
    """The request as one about a run: as private, and forgotten with its question."""
    private = request.private or run.private
    return replace(request, private=private, question_message_id=run.question_message_id, about=run.id)


def _token(trace: Trace, t: int | None) -> int:
    at = read.pivotal(trace) if t is None else t
    if at is None:
        raise NoInnerVoiceError("That answer has no deciding word (pivotal token), so there is nothing to look into.")
    check_place(trace.length, at)
    return at
