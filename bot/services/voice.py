"""The inner voice of a stored run: a second pass, run once and kept, told and drawn. Knows no Discord and no torch."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Collection
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from bot.errors import FatalVoiceError, ForwardPassError, NoInnerVoiceError, RunOfAnotherModelError
from bot.log import log_unexpected
from bot.render.heatmap import alt_text, heatmap_png
from bot.services.agreement import sampled_jobs, with_agreement
from bot.services.ask import MOST_DEATHS
from bot.services.model import Model
from bot.services.monologue import Line, headline, if_true, phrases_of, picture_title, tell, verify
from bot.services.monologue.memory import PhraseMemory
from bot.services.monologue.written import write
from bot.services.sureness import sureness_line
from bot.storage.records import ANSWERED, Run
from bot.storage.runs import RunStore
from models.findings import Findings, SelfReport
from models.sentences import Sentence
from models.trace import Trace
from models.types import Answer, Job, LensName

T = TypeVar("T")

_VIEWS = 16
"""Traces through another lens than the told one, and monologues of the model's own, that are kept in memory: people look at
them again within a minute."""

log = logging.getLogger(__name__)

PATIENCE = 900.0
"""Seconds after which samples that nothing but a busy model held back are given up."""


TOO_LONG = Sentence("The text is longer than I look into further.")
"""Stands among the notes of a trace that got no evidence for its length."""


@dataclass(frozen=True, slots=True)
class InnerVoice:
    """What stands in the thread: verified lines and the picture."""

    run: Run
    trace: Trace = field(repr=False)
    lines: tuple[Line, ...] = field(repr=False)
    headline: Line | None = field(repr=False)
    """For whoever reads no more; None when nothing of it holds."""
    heatmap: bytes = field(repr=False)
    alt: str = field(repr=False)
    sureness: str = field(default="", repr=False)
    """How sure it was, each figure by its name; "" when nothing is known."""
    locale: str = "en-US"
    picture_lens: str = "logit"
    """What the picture was read through; with the Jacobian lens another one than the told lines."""


class VoiceService:
    """Reads the second pass of a run and tells it."""

    def __init__(
        self,
        *,
        runs: RunStore,
        model: Model,
        top_k: int,
        writer: Literal["told", "model"] = "told",
        evidence: bool = True,
        self_report: bool = True,
        evidence_tokens: int = 1000,
        agreement: int = 0,
        history_turns: int = 6,
        lens: LensName = "logit",
    ) -> None:
        self._lens = lens
        self._views: OrderedDict[tuple[str, LensName], Trace] = OrderedDict()
        self._written: OrderedDict[tuple[str, str], tuple[Line, ...]] = OrderedDict()
        self._agreement = agreement
        self._history_turns = history_turns
        self._asking_again = asyncio.Lock()
        self._adding = asyncio.Lock()
        self._evidence = evidence
        self._self_report = self_report
        self._evidence_tokens = evidence_tokens
        self._memory = PhraseMemory()
        self._runs = runs
        self._model = model
        self._top_k = top_k
        self._writer = writer
        self._running: dict[str, asyncio.Task[Trace]] = {}

    async def of(self, run_id: str, *, locale: str | None = None) -> InnerVoice:
        """The inner voice of a run, from the stored trace or from a new second pass.

        Raises:
            RunExpiredError: the run is not stored any more.
            RunOfAnotherModelError: its trace was not kept, and the model is another by now.
            NoInnerVoiceError: the run has no answer, or not one word of its monologue holds.
            ModelError: the second pass failed.
        """
        run = await self._runs.get(run_id)
        trace = await self._trace(run)
        language = locale or run.locale
        lines = verify(tell(trace, language, avoid=self._memory.avoid(run.channel_id, run.id)), trace)
        self._memory.told(run.channel_id, run.id, phrases_of(lines))
        if self._writer == "model":
            lines = await self._written_by_model(run, trace, lines, language)
        head = if_true(headline(trace, language), trace)
        seen = await self._pictured(run, trace)
        title = picture_title(trace, language) if seen is trace else ""  # the Jacobian lens shows no winner
        picture = await asyncio.to_thread(heatmap_png, seen, locale=language, finding=title)
        sureness = sureness_line(trace, trace.findings.self_report, language)
        return InnerVoice(run, trace, lines, head, picture, alt_text(seen, locale=language), sureness, language, seen.lens)

    async def _written_by_model(self, run: Run, trace: Trace, told: tuple[Line, ...], language: str) -> tuple[Line, ...]:
        """What the model wrote of this run lately, or writes now: a second look costs no second writing."""
        held = self._written.get((run.id, language), ())
        if held and verify(held, trace) == held:
            return held
        written = await write(self._model.answer, trace, told, language, request_id=run.id)
        if not written.fell_back:
            self._written[run.id, language] = written.lines
            while len(self._written) > _VIEWS:
                self._written.popitem(last=False)
        return written.lines

    async def read(self, run_id: str, *, lens: LensName | None = None) -> tuple[Run, Trace]:
        """A run and its trace, without telling.

        Args:
            run_id: of the run.
            lens: read it through this one. The stored trace, which the monologue is told from, stays as it is.

        Raises:
            LensError: the lens has not been trained, or cannot be used with this model; and what `of` raises.
        """
        run = await self._runs.get(run_id)
        trace = await self._trace(run)
        return run, trace if lens is None else await self.through(run, trace, lens)

    async def glance(self, answer: Answer) -> Trace:
        """The second pass of an answer that is not stored, without further evidence. Raises ModelError."""
        return await self._model.trace(answer, k=self._top_k)

    async def add(self, run_id: str, **found: Any) -> Trace:
        """Keep more findings, by the names of `Findings`, with a run's trace. Raises what `of` raises."""
        async with self._adding:  # two looks at one run may end together: neither overwrites the other's
            trace = (await self._trace(await self._runs.get(run_id))).with_findings(**found)
            await self._runs.save_trace(run_id, trace)
        return trace

    async def ask_again(self, run_id: str, *, locale: str | None = None) -> str | None:
        """Sample the question in the background as often as the config says, and keep how many samples mean the same.

        The samples are the last that the model does, one after another, for one run at a time. Returns the line that says how
        sure it was, with the agreement in it; None when the config wants none, or it took longer than `PATIENCE`.

        Raises:
            ForwardPassError: what `of` raises; RunExpiredError when the question was deleted meanwhile.
        """
        if not self._agreement:
            return None
        run = await self._runs.get(run_id)
        report = (await self._trace(run)).findings.self_report or SelfReport(None, None)
        if report.agreement is None:
            answer = await self.answer_of(run)
            history = await self._runs.conversation(run.parent_run_id, self._history_turns) if run.parent_run_id else ()
            job = Job(run.question.strip(), history, answer.style, answer.sampling)
            try:
                async with asyncio.timeout(PATIENCE), self._asking_again:
                    samples = [await self._model.sample(again) for again in sampled_jobs(job, self._agreement)]
            except TimeoutError:
                log.info("run %s: no agreement, the model was busy", run_id)
                return None
            if any(sample.prompt_ids != answer.prompt_ids for sample in samples):
                return None  # its conversation is not whole any more: that was another question
            report = with_agreement(report, answer.text, [sample.text for sample in samples])
        trace = await self.add(run_id, self_report=report)
        return sureness_line(trace, report, locale or run.locale)

    async def everything(self, run_id: str, *, locale: str | None = None) -> tuple[Line, ...]:
        """The long form of the monologue, verified. Raises what `of` raises."""
        run, trace = await self.read(run_id)
        return verify(tell(trace, locale or run.locale, everything=True), trace)

    async def same_model(self, run: Run) -> None:
        """See that the model that is loaded is the one that gave the answer.

        Raises:
            RunOfAnotherModelError: it is not.
            ModelError: none could be loaded.
        """
        info = await self._model.ready()
        if (run.model_id, run.revision) != (info.id, info.revision):
            raise RunOfAnotherModelError(
                Sentence("That answer came from the model {then}, and I now run {now}.", then=run.model_id, now=info.name),
                request_id=run.id,
            )

    async def answer_of(self, run: Run) -> Answer:
        """The stored answer of a run, for the model to look into again.

        Raises:
            NoInnerVoiceError: there is none, or nothing was said.
            RunExpiredError, RunOfAnotherModelError, ModelError.
        """
        if run.state not in ANSWERED:
            raise NoInnerVoiceError("That question was never answered.", request_id=run.id)
        await self.same_model(run)
        answer = await self._runs.load_answer(run.id)
        if not answer.answer_ids:
            raise NoInnerVoiceError("I said nothing in that answer, so there is no inner voice to tell.", request_id=run.id)
        return answer

    async def prepare(self, run_id: str) -> None:
        """Run the second pass and keep it; `of` then only tells and draws. Raises what `of` raises."""
        await self._trace(await self._runs.get(run_id))

    async def told(self, run_id: str, thread_id: int | None) -> None:
        """The inner voice stands where people can read it."""
        if thread_id is not None:
            await self._runs.set_thread(run_id, thread_id)
            await self._runs.open_work.settle(run_id, "thread")
        await self._runs.mark(run_id, "told")

    def drop(self, run_ids: Collection[str]) -> None:
        """Keep nothing of these in memory."""
        for held in (self._views, self._written):
            for key in [key for key in held if key[0] in run_ids]:
                del held[key]  # type: ignore[arg-type]

    async def aclose(self) -> None:
        """Stop what runs; the database and the model are closed next."""
        running = list(self._running.values())
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _trace(self, run: Run) -> Trace:
        # Two people may press the button at once: the pass runs once, and one of them leaving does not stop it for the other.
        # What is stored is looked up by the one task, too, so that nobody misses a pass that ends while they look.
        task = self._running.get(run.id)
        if task is None:
            task = self._running[run.id] = asyncio.create_task(self._stored_or_new(run))
            task.add_done_callback(lambda done: self._finished(run.id, done))
        return await asyncio.shield(task)

    async def through(self, run: Run, told: Trace, lens: LensName) -> Trace:
        """The run's trace through a lens: ``told`` if it is that, else a second pass of its own, which is not stored.

        Raises what `read` raises.
        """
        if told.lens == lens:
            return told
        if (run.id, lens) not in self._views:
            answer = await self.answer_of(run)
            self._views[run.id, lens] = await self._model.trace(answer, k=self._top_k, lens=lens)
            while len(self._views) > _VIEWS:
                self._views.popitem(last=False)
        self._views.move_to_end((run.id, lens))
        return replace(self._views[run.id, lens], findings=replace(told.findings, watched=None))  # words are of one lens

    async def _pictured(self, run: Run, trace: Trace) -> Trace:
        """What the picture shows: the told trace, or where the Jacobian lens is the configured one, what that reads."""
        if self._lens != "jacobian":
            return trace
        return await self._extra(run, self.through(run, trace, self._lens)) or trace

    async def _with_evidence(self, run: Run, answer: Answer, trace: Trace) -> Trace:
        """More looks beside the lens. Each is an extra: without it the rest is told alone. A long text gets none."""
        if (self._evidence or self._self_report) and len(trace.prompt_ids) + trace.length > self._evidence_tokens:
            return replace(trace, findings=Findings(notes=dict.fromkeys(("attribution", "attention", "pull"), TOO_LONG)))
        if self._evidence and (seen := await self._extra(run, self._model.findings(answer, trace, question=run.question))):
            trace = replace(trace, findings=seen)
        if self._self_report and (report := await self._extra(run, self._model.self_report(run.question, answer))):
            trace = trace.with_findings(self_report=report)
        return trace

    async def _extra(self, run: Run, look: Awaitable[T]) -> T | None:
        try:
            return await look
        except ForwardPassError as error:
            log.info("run %s: told without further evidence (%s)", run.id, type(error).__name__)
        except Exception as error:  # noqa: BLE001  a defect of an extra is logged, and keeps nobody from the rest
            log_unexpected(log, error, run_id=run.id)
        return None

    def _finished(self, run_id: str, task: asyncio.Task[Trace]) -> None:
        self._running.pop(run_id, None)
        if not task.cancelled():
            task.exception()  # seen, also when whoever pressed the button has left

    async def _stored_or_new(self, run: Run) -> Trace:
        return await self._runs.load_trace(run.id) or await self._second_pass(run)

    async def _second_pass(self, run: Run) -> Trace:
        answer = await self.answer_of(run)
        if run.voice_attempts >= MOST_DEATHS:
            log.error("run %s: the process ended %d times in its second pass; it is given up", run.id, run.voice_attempts)
            raise FatalVoiceError("I went down each time I tried to read that answer, so I leave it.", request_id=run.id)
        async with self._runs.open_work.voice_attempt(run.id):
            trace = await self._model.trace(answer, k=self._top_k)
            trace = await self._with_evidence(run, answer, trace)
            await self._runs.save_trace(run.id, trace)
        log.info("run %s: second pass over %d tokens", run.id, trace.length)
        return trace
