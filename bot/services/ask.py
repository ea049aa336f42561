"""From a question to a stored answer: the line, the journal, the answer pass. Knows no Discord and no torch.

The question is journaled before it waits, so that a crash loses none: `unfinished` gives what was left open.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from bot.errors import (
    AlreadyAskingError,
    AnswerCancelledError,
    EmptyQuestionError,
    ForwardPassError,
    QueueFullError,
    RunExpiredError,
    ShuttingDownError,
    StorageError,
    TwiceFatalError,
)
from bot.services.asked import AfterJournal, Answered, AskRequest, Listener
from bot.services.line import Place, WaitingLine
from bot.services.model import Model
from bot.services.owed import Owed
from bot.services.parents import Parents
from bot.services.under_way import Pass, UnderWay
from bot.storage.late import LateWrites
from bot.storage.records import NewRun, Run, State, VoiceState
from bot.storage.runs import RunStore
from models.types import Answer, Job, ModelInfo, Sampling

log = logging.getLogger(__name__)

MOST_DEATHS = 2
"""So often may the process end in the middle of one question's answer; then it is closed with an apology."""


class AskService:
    """Takes questions, keeps them in line, has them answered and stores what came."""

    def __init__(
        self, *, runs: RunStore, late: LateWrites, model: Model, line: WaitingLine, sampling: Sampling, history_turns: int
    ) -> None:
        self._runs = runs
        self._late = late
        self._model = model
        self._line = line
        self._sampling = sampling
        self._history_turns = history_turns
        self.under_way = UnderWay()
        self._parents = Parents(runs)
        self.owed = Owed(runs, late, model)

    def reserve(self, user_id: int) -> Place:
        """A place in the line before anything else is done. It must be given to `ask`, or back with `give_back`.

        Raises:
            QueueError: there is none.
        """
        return self._line.join(user_id, lambda _position: None)

    def give_back(self, seat: Place) -> None:
        """The question of a reserved place will not be asked."""
        self._line.leave(seat)

    async def ask(
        self,
        request: AskRequest,
        listener: Listener,
        *,
        resume: Run | None = None,
        journaled: Callable[[Run], Awaitable[None]] | None = None,
        seat: Place | None = None,
    ) -> Answered:
        """Answer one question.

        Args:
            request: the question.
            listener: hears how it fares.
            resume: its run, when it was journaled before a restart.
            journaled: told the run as soon as there is one.
            seat: the place in the line, when one was reserved.

        Raises:
            ForwardPassError: EmptyQuestionError, QueueError, ModelError, QuestionTooLongError, AnswerCancelledError.
        """
        if not request.question.strip():
            if seat is not None:
                self._line.leave(seat)
            raise EmptyQuestionError("You did not ask anything.")
        positions = AfterJournal(listener)
        if seat is not None:
            self._line.listen(seat, positions.queued)
        place = seat or await self._join(request, positions, resume)
        try:
            run = resume or await self._journal(request)
            positions.begin()
            if self.under_way.comes_too_late(request.question_message_id, request.quoted_message_id):
                await self._runs.forget(run.id)
                raise AnswerCancelledError("The question was deleted before I could begin.", request_id=run.id)
            with self.under_way.watching(_pass(request, run.id)) as one, self._parents.answering(run.id):
                try:
                    if journaled is not None:
                        await journaled(run)
                    self._raise_if_fatal(run)
                    await self._line.wait(place)
                    return await self._answer(run, request, listener, place, one)
                except asyncio.CancelledError:
                    await self._spare(run)
                    raise
                except ForwardPassError as error:
                    error.request_id = run.id
                    await self._close(run, error)
                    raise
                except Exception as error:
                    # Told to the asker, and closed: asked again after a restart, it would break again.
                    await self._close(run, error)
                    raise
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
        place, asked, one = self._line.join(request.user_id, listener.queued), False, _pass(request)

        async def answer(job: Job) -> Answer:
            nonlocal asked
            await (self._line.let_pass(place) if asked else self._line.wait(place))
            asked = True
            if self._model.info is None:
                listener.loading()
            await self._model.ready()
            return await self._passed(one, job, listener)

        try:
            with self.under_way.watching(one):
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
            origin_run_id=request.about,
        )
        run = await self._runs.create(new, owed=False)  # whoever asked shows it, in a card of their own
        await self._runs.save_answer(run.id, answer, model_id=info.id, revision=info.revision, dtype=info.dtype)
        return Answered(await self._runs.get(run.id), answer, info)

    async def unfinished(self) -> tuple[Run, ...]:
        """Runs that a crash or a restart left open."""
        return await self._runs.unfinished()

    async def give_up(self, run: Run) -> None:
        """Close a run that cannot be answered any more."""
        await self._runs.mark(run.id, "failed", error=ShuttingDownError("I was restarted before I could answer."))

    async def shown(self, run_id: str, message_ids: list[int], voice: VoiceState = "none") -> None:
        """Remember the messages in which the answer stands, and where its voice is; back when that is written."""
        await self._late.settle(
            lambda: self._runs.attach_messages(run_id, message_ids, voice=voice), f"the messages of run {run_id}"
        )

    def busy(self, user_id: int) -> bool:
        """Whether this person could not ask anything right now."""
        return self._line.busy(user_id)

    def close(self) -> None:
        """Take no more questions."""
        self._line.close()

    async def _join(self, request: AskRequest, positions: AfterJournal, resume: Run | None) -> Place:
        try:
            return self._line.join(request.user_id, positions.queued, owed=resume is not None)
        except (AlreadyAskingError, QueueFullError) as error:
            if resume is not None:  # refused, and told so: the next restart shall not ask again
                await self._close(resume, error)
            raise

    async def _journal(self, request: AskRequest) -> Run:
        parent = await self._parents.of(request)
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
                wants_voice=request.wants_voice,
                interaction_token=request.interaction_token,
                response_message_id=request.response_message_id,
                quoted_message_id=request.quoted_message_id,
            )
        )

    async def _answer(self, run: Run, request: AskRequest, listener: Listener, place: Place, one: Pass) -> Answered:
        if run.parent_run_id and await self._parents.is_open(run.parent_run_id):
            await self._line.step_aside(place, self._parents.answered(run.parent_run_id))
        if self._model.info is None:
            listener.loading()
        info = await self._model.ready()
        one.raise_if_stopped()
        one.begun = True
        history = await self._runs.conversation(run.parent_run_id, self._history_turns) if run.parent_run_id else ()
        job = Job(request.question.strip(), history, request.style, request.sampling or self._sampling, run.id)
        await self._late.put(lambda: self._runs.open_work.begin(run.id), f"the state of run {run.id}")
        answer = await self._passed(one, job, listener)
        try:
            run = await self._stored(run, answer, info)
        except RunExpiredError as error:
            raise one.why() from error
        log.info("run %s: %d tokens in %.2f s (%s)", run.id, len(answer.answer_ids), answer.seconds, answer.finish)
        return Answered(run, answer, info)

    async def _passed(self, one: Pass, job: Job, listener: Listener) -> Answer:
        """The answer pass, ended when the words that it holds are deleted."""
        one.raise_if_stopped()
        try:
            return await self._model.answer(job, on_text=listener.text, cancelled=lambda: one.stopped)
        except AnswerCancelledError as error:
            raise one.why() from error

    async def _stored(self, run: Run, answer: Answer, info: ModelInfo) -> Run:
        """Keep an answer. Where the database does not take it now, it is shown all the same and stored later."""

        async def save() -> None:
            await self._runs.save_answer(run.id, answer, model_id=info.id, revision=info.revision, dtype=info.dtype)

        saved = await self._late.put(save, f"the answer of run {run.id}")
        try:
            return await self._runs.get(run.id) if saved else run
        except StorageError:  # the host's log has it
            return run

    async def _close(self, run: Run, error: Exception) -> None:
        state: State = "cancelled" if isinstance(error, AnswerCancelledError) else "failed"
        await self._late.put(lambda: self._runs.mark(run.id, state, error=error), f"the end of run {run.id}")
        log.info("run %s: %s (%s)", run.id, state, type(error).__name__)

    async def _spare(self, run: Run) -> None:
        await self._late.put(lambda: self._runs.open_work.spare(run.id), f"the attempt of run {run.id}")

    def _raise_if_fatal(self, run: Run) -> None:
        if run.attempts >= MOST_DEATHS:
            log.error("run %s: the process ended %d times while it was answered; it is given up", run.id, run.attempts)
            raise TwiceFatalError("I went down each time I tried to answer this, so I leave it.", request_id=run.id)


def _pass(request: AskRequest, run_id: str | None = None) -> Pass:
    messages = () if request.question_message_id is None else (request.question_message_id,)
    return Pass(run_id, frozenset(messages), frozenset(() if request.about is None else (request.about,)))
