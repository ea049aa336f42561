"""From a question to a stored answer: the line, the journal, the answer pass. Knows no Discord and no torch.

The question is journaled before it waits, so that a crash loses none: `unfinished` gives what was left open.
"""

from __future__ import annotations

import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bot.errors import (
    AlreadyAskingError,
    AnswerCancelledError,
    EmptyQuestionError,
    ForwardPassError,
    QueueFullError,
    RunExpiredError,
    ShuttingDownError,
    StorageError,
)
from bot.services.line import Place, WaitingLine
from bot.storage.records import NewRun, Run, Source, State
from bot.storage.runs import RunStore
from models.findings import CausalCheck, Findings, Part, SelfReport
from models.sentences import Sentence
from models.trace import Trace
from models.types import Answer, Job, LensName, ModelInfo, Sampling, Style

log = logging.getLogger(__name__)


class Model(Protocol):
    """The loaded or loading model, as the services see it. Its coroutines never block the event loop."""

    @property
    def info(self) -> ModelInfo | None:
        """What is loaded; None while it loads."""
        ...

    async def ready(self) -> ModelInfo:
        """Wait until the model is loaded; raises the ModelError that kept it from loading."""
        ...

    async def answer(
        self, job: Job, *, on_text: Callable[[str], None] | None = None, cancelled: Callable[[], bool] | None = None
    ) -> Answer: ...

    async def sample(self, job: Job) -> Answer:
        """An answer that nobody waits for: everything else goes first."""
        ...

    async def trace(self, answer: Answer, *, k: int = 10, lens: LensName | None = None) -> Trace: ...

    async def findings(
        self, answer: Answer, trace: Trace, *, question: str | None = None, watch: Sequence[str] = ()
    ) -> Findings: ...

    async def why(self, answer: Answer, t: int, *, parts: Sequence[Part] = ("block",), seed: int = 0) -> CausalCheck: ...

    async def self_report(self, question: str, answer: Answer) -> SelfReport: ...


@dataclass(frozen=True, slots=True)
class AskRequest:
    """One question, as it came in."""

    question: str = field(repr=False)
    user_id: int
    channel_id: int
    source: Source
    guild_id: int | None = None
    question_message_id: int | None = None
    reply_to_message_id: int | None = None
    """The message that the question replies to; when the bot wrote it, the question continues that run's conversation."""
    locale: str = "en-US"
    style: Style | None = None
    sampling: Sampling | None = None
    private: bool = False
    """Nobody but the asker shall see the answer, or find it later."""


class Listener(Protocol):
    """Hears how the question fares. Called on the event loop; must return at once."""

    def loading(self) -> None:
        """The model is still being loaded; the question keeps its place."""

    def queued(self, position: int) -> None:
        """``position`` 1 is next."""

    def text(self, so_far: str) -> None:
        """The whole answer so far."""


@dataclass(frozen=True, slots=True)
class Answered:
    """The stored run and its answer."""

    run: Run
    answer: Answer
    info: ModelInfo


def mean_probability(answer: Answer) -> float | None:
    """Geometric mean of the emitted tokens' final probabilities at temperature 1.

    None when a token was drawn from beyond the candidates that the answer pass kept: no number is better than a wrong one.
    """
    total = 0.0
    for token, ids, logprobs in zip(answer.answer_ids, answer.final_top.ids, answer.final_top.logprobs, strict=True):
        if token not in ids:
            return None
        total += logprobs[ids.index(token)]
    return math.exp(total / len(answer.answer_ids)) if answer.answer_ids else None


def figures(answer: Answer, info: ModelInfo) -> list[str]:
    """What stands in the line under an answer: model, tokens, speed, how sure, what was cut. All but the name are Sentences."""
    speed = Sentence("{speed:.1f} tokens/s", speed=answer.tokens_per_second)
    parts = [info.name, Sentence("{count} tokens", count=len(answer.answer_ids)), speed]
    sure = mean_probability(answer)
    if sure is not None:
        parts.append(Sentence("mean token probability {sure:.0%}", sure=sure))
    if answer.finish == "length":
        parts.append(Sentence("cut off: my answers may not be longer"))
    if answer.dropped_turns:
        parts.append(Sentence("the {count} oldest messages of this conversation no longer fit", count=answer.dropped_turns))
    return parts


class AskService:
    """Takes questions, keeps them in line, has them answered and stores what came."""

    def __init__(self, *, runs: RunStore, model: Model, line: WaitingLine, sampling: Sampling, history_turns: int) -> None:
        self._runs = runs
        self._model = model
        self._line = line
        self._sampling = sampling
        self._history_turns = history_turns
        self._stopped: dict[str, bool] = {}
        self._by_question: dict[int, str] = {}

    async def ask(self, request: AskRequest, listener: Listener, *, resume: Run | None = None) -> Answered:
        """Answer one question.

        Raises:
            ForwardPassError: EmptyQuestionError, QueueError, ModelError, QuestionTooLongError, AnswerCancelledError.
        """
        if not request.question.strip():
            raise EmptyQuestionError("You did not ask anything.")
        place = await self._join(request, listener, resume)
        try:
            run = resume or await self._journal(request)
            self._watch(run, request)
            try:
                await self._line.wait(place)
                return await self._answer(run, request, listener)
            except ForwardPassError as error:
                error.request_id = run.id
                await self._close(run, error)
                raise
            except Exception as error:
                # Told to the asker, and closed: asked again after a restart, it would break again.
                await self._close(run, error)
                raise
            finally:
                self._unwatch(run, request)
        finally:
            self._line.leave(place)

    @property
    def sampling(self) -> Sampling:
        """What the config says of drawing tokens."""
        return self._sampling

    async def aside(
        self, request: AskRequest, job: Job, listener: Listener, *, parent: str | None = None, question: str | None = None
    ) -> Answered:
        """An answer pass beside the questions, such as a road not taken: in the same line, stored once it is there.

        It is not journaled before: picked up after a crash it would be asked as a plain question.

        Raises:
            ForwardPassError: QueueError, ModelError, QuestionTooLongError.
        """
        async with self.in_line(request, listener) as answer:
            found = await answer(job)
        return await self.keep(request, found, parent=parent, question=question)

    @asynccontextmanager
    async def in_line(self, request: AskRequest, listener: Listener) -> AsyncIterator[Callable[[Job], Awaitable[Answer]]]:
        """One place in the line for several answer passes, none of them stored. Between two of them, whoever waits goes first.

        Raises:
            ForwardPassError: as `aside`, from here or from what is yielded.
        """
        place, asked = self._line.join(request.user_id, listener.queued), False

        async def answer(job: Job) -> Answer:
            nonlocal asked
            await (self._line.let_pass(place) if asked else self._line.wait(place))
            asked = True
            if self._model.info is None:
                listener.loading()
            await self._model.ready()
            return await self._model.answer(job, on_text=listener.text)

        try:
            yield answer
        finally:
            self._line.leave(place)

    async def keep(
        self, request: AskRequest, answer: Answer, *, parent: str | None = None, question: str | None = None
    ) -> Answered:
        """Store an answer pass of `in_line` as a run, so that it can be read and replied to."""
        info = await self._model.ready()
        new = NewRun(
            source=request.source,
            guild_id=request.guild_id,
            channel_id=request.channel_id,
            user_id=request.user_id,
            question_message_id=request.question_message_id,
            parent_run_id=parent,
            question=question or request.question,
            locale=request.locale,
            style=answer.style,
            sampling=answer.sampling,
            private=request.private,
        )
        run = await self._runs.create(new)
        await self._runs.save_answer(run.id, answer, model_id=info.id, revision=info.revision, dtype=info.dtype)
        return Answered(await self._runs.get(run.id), answer, info)

    def stop_by_question(self, message_id: int) -> bool:
        """The question's message was deleted: stop between two tokens. True when such a question was in flight."""
        run_id = self._by_question.get(message_id)
        if run_id is None:
            return False
        self._stopped[run_id] = True
        return True

    async def forget_question(self, message_id: int) -> None:
        """Remove the stored text of a question whose message was deleted, and of what was asked of it again."""
        while (run := await self._runs.by_question(message_id)) is not None:
            await self._runs.forget(run.id)

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that a crash or a restart left open."""
        return await self._runs.unfinished()

    async def give_up(self, run: Run) -> None:
        """Close a run that cannot be answered any more."""
        await self._runs.mark(run.id, "failed", error=ShuttingDownError("I was restarted before I could answer."))

    async def shown(self, run_id: str, message_ids: list[int]) -> None:
        """Remember the messages in which the answer stands."""
        await self._runs.attach_messages(run_id, message_ids)

    def close(self) -> None:
        """Take no more questions."""
        self._line.close()

    async def _join(self, request: AskRequest, listener: Listener, resume: Run | None) -> Place:
        try:
            return self._line.join(request.user_id, listener.queued)
        except (AlreadyAskingError, QueueFullError) as error:
            if resume is not None:  # refused, and told so: the next restart shall not ask again
                await self._close(resume, error)
            raise

    async def _journal(self, request: AskRequest) -> Run:
        replied_to = request.reply_to_message_id
        parent = await self._runs.by_message(replied_to) if replied_to is not None else None
        return await self._runs.create(
            NewRun(
                source=request.source,
                guild_id=request.guild_id,
                channel_id=request.channel_id,
                user_id=request.user_id,
                question_message_id=request.question_message_id,
                parent_run_id=parent.id if parent else None,
                question=request.question,
                locale=request.locale,
                style=request.style,
                sampling=request.sampling or self._sampling,
                private=request.private,
            )
        )

    async def _answer(self, run: Run, request: AskRequest, listener: Listener) -> Answered:
        if self._model.info is None:
            listener.loading()
        info = await self._model.ready()
        self._raise_if_stopped(run)
        history = await self._runs.conversation(run.parent_run_id, self._history_turns) if run.parent_run_id else ()
        job = Job(request.question.strip(), history, request.style, request.sampling or self._sampling, run.id)
        await self._runs.mark(run.id, "answering")
        answer = await self._model.answer(job, on_text=listener.text, cancelled=lambda: self._stopped.get(run.id, False))
        try:
            await self._runs.save_answer(run.id, answer, model_id=info.id, revision=info.revision, dtype=info.dtype)
            run = await self._runs.get(run.id)
        except RunExpiredError as error:
            raise AnswerCancelledError("The question was deleted while it was answered.") from error
        log.info("run %s: %d tokens in %.2f s (%s)", run.id, len(answer.answer_ids), answer.seconds, answer.finish)
        return Answered(run, answer, info)

    async def _close(self, run: Run, error: Exception) -> None:
        state: State = "cancelled" if isinstance(error, AnswerCancelledError) else "failed"
        try:
            await self._runs.mark(run.id, state, error=error)
        except StorageError as broken:
            log.warning("run %s could not be closed: %s", run.id, broken.for_user())
        log.info("run %s: %s (%s)", run.id, state, type(error).__name__)

    def _watch(self, run: Run, request: AskRequest) -> None:
        self._stopped[run.id] = False
        if request.question_message_id is not None:
            self._by_question[request.question_message_id] = run.id

    def _unwatch(self, run: Run, request: AskRequest) -> None:
        self._stopped.pop(run.id, None)
        if request.question_message_id is not None:
            self._by_question.pop(request.question_message_id, None)

    def _raise_if_stopped(self, run: Run) -> None:
        if self._stopped.get(run.id):
            raise AnswerCancelledError("The question was deleted.", request_id=run.id)
