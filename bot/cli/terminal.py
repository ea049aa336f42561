"""``forwardpass ask`` and ``chat``: the same answer and inner voice as in Discord, in the terminal."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from bot import log as logs
from bot.catalogue import written_in
from bot.cli.screen import Screen
from bot.cli.streams import write_json
from bot.config import Config
from bot.errors import EmptyQuestionError, ForwardPassError, NoInnerVoiceError
from bot.render.table import causal_panel, depth_map, monologue_panel
from bot.services.figures import figures, mean_probability
from bot.services.monologue import Line, headline, if_true, tell, verify
from bot.services.monologue.written import write_now
from models.readings import pivotal
from models.trace import Trace
from models.types import Answer, Engine, Job, LensName, Prober, Style, Turn

log = logging.getLogger(__name__)
Writer = Literal["told", "model"]
DISPOSED = (
    "Jacobian lens: what each depth is disposed to say. This is no prediction, and the text above still uses the logit lens."
)
NO_QUESTION = (
    'Write it in quotes: forwardpass ask "How many eyes does my foot have?" Or send it through a pipe: echo "…" | forwardpass ask'
)


@dataclass(frozen=True, slots=True)
class Looks:
    """What is looked at beside the answer."""

    top_k: int
    writer: Writer = "told"
    evidence: bool = False
    watch: tuple[str, ...] = ()
    why: bool = False
    lens: LensName = "logit"
    brief: bool = False
    """The headline alone."""
    locale: str | None = None
    """What the inner voice is told in; None is the language of the question."""

    def tongue(self, question: str) -> str:
        """The locale to tell it in."""
        return self.locale or written_in(question)

    @property
    def view(self) -> LensName | None:
        """A lens that is shown and not told from."""
        return self.lens if self.lens == "jacobian" else None

    @classmethod
    def of(
        cls, config: Config, *, watch: Sequence[str] = (), why: bool = False, brief: bool = False, locale: str | None = None
    ) -> Looks:
        """As the config has it; asked-for words are followed even where it wants no evidence, which a headline does not need."""
        evidence = (config.lens.evidence and not brief) or bool(watch)
        return cls(config.lens.top_k, config.monologue.writer, evidence, tuple(watch), why, config.lens.kind, brief, locale)


def ask_once(
    config: Config,
    question: str,
    *,
    style: Style | None,
    as_json: bool,
    why: bool = False,
    watch: Sequence[str] = (),
    brief: bool = False,
    locale: str | None = None,
) -> None:
    """Answer one question and exit; ``why`` adds the causal check of the pivotal token, ``watch`` words to follow, and ``brief``
    leaves only the headline of the inner voice.

    Raises:
        ForwardPassError: the question or the model is not fit.
    """
    if not question.strip():  # said before the model is loaded, and without the hint for Discord
        raise EmptyQuestionError("There is no question.", hint=NO_QUESTION)
    engine = load_engine(config)
    job = Job(question, (), style, config.sampling)
    looks = Looks.of(config, watch=watch, why=why, brief=brief, locale=locale)
    if as_json:
        write_json(report(engine, job, looks))
        return
    _answer(Screen(), engine, job, looks)


def chat_loop(config: Config, *, style: Style | None, locale: str | None = None) -> None:
    """Ask and answer until an empty line. An error is shown, and the conversation goes on."""
    engine = load_engine(config)
    console = Screen()
    console.print(Text(f"{engine.info.name} on {engine.info.device}. An empty line ends the conversation.", "dim"))
    history: list[Turn] = []
    while True:
        try:
            question = console.input("[bold]you ›[/] ").strip()
        except EOFError:
            return
        if not question:
            return
        kept = tuple(history[-config.discord.history_turns :]) if config.discord.history_turns else ()
        try:
            answer = _answer(console, engine, Job(question, kept, style, config.sampling), Looks.of(config, locale=locale))
        except ForwardPassError as error:
            console.print(Text(f"✗ {error.for_host()}", "red"))
            continue
        history += [Turn("user", question), Turn("assistant", answer.text)]


def report(engine: Engine, job: Job, looks: Looks) -> dict[str, Any]:
    """The one JSON object of ``--json``. Greedy, everything but ``timings`` is the same each time.

    ``trace`` is what the monologue is told from; ``view`` is what the Jacobian lens reads, where that was asked for.
    """
    answer = engine.answer(job)
    trace, head, lines, problem = _inner_voice(engine, answer, job.question, looks)
    view = engine.trace(answer, k=looks.top_k, lens=looks.view) if trace is not None and looks.view else None
    timings = {
        "load_seconds": engine.info.load_seconds,
        "answer_pass_seconds": answer.seconds,
        "seconds_to_first_token": answer.seconds_to_first,
        "tokens_per_second": answer.tokens_per_second,
        "second_pass_seconds": trace.meta["second_pass_seconds"] if trace else None,
    }
    return {
        "question": job.question,
        "answer": answer.text,
        "style": answer.style,
        "finish": answer.finish,
        "seed": answer.seed,
        "mean_token_probability": mean_probability(answer),
        "headline": None if head is None else head.to_json(),
        "monologue": [line.to_json() for line in lines],
        "no_inner_voice": problem,
        "trace": _timeless(trace),
        "view": _timeless(view),
        "timings": timings,
    }


def _timeless(trace: Trace | None) -> dict[str, Any] | None:
    """The trace without its times, which stand in one place."""
    if trace is None:
        return None
    shown = trace.to_json()
    for key in ("answer_seconds", "second_pass_seconds"):
        shown["meta"].pop(key, None)
    shown["findings"].get("causal", {}).pop("seconds", None)
    return shown


def load_engine(config: Config) -> Engine:
    """The configured engine, its stages shown on stderr. Raises ModelError."""
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    console = Screen(stderr=True)
    with console.status("waking up…") as status:
        from models.running.engine import load  # torch is imported under the spinner

        return load(
            config.model,
            prompt=config.prompt,
            kind=config.lens.kind,
            lens_file=config.lens.path,
            on_stage=lambda stage: status.update(f"{stage}…"),
        )


def _answer(console: Console, engine: Engine, job: Job, looks: Looks) -> Answer:
    """Stream the answer, then show what the second pass read."""
    with Live(Text("…", "dim"), console=console, refresh_per_second=12, transient=True) as live:
        answer = engine.answer(job, on_text=lambda text: live.update(Text(text, "bold")))
    console.print(Text(answer.text or "(nothing: the first token was the end of the text)", "bold"))
    console.print(Text(" · ".join(figures(answer, engine.info)), "dim"))
    trace, head, lines, problem = _inner_voice(engine, answer, job.question, looks)
    if trace is None:
        console.print(Text(f"No inner voice: {problem}", "yellow"))
        return answer
    if head is not None:
        console.print(Padding(Text(f"💭 {head.text}", "bold"), (1, 0, 0, 0)))
    if looks.brief:
        return answer
    console.print(Padding(Group(monologue_panel(lines), *_map(console, engine, answer, trace, looks)), (1, 0)))
    if trace.findings.causal is not None:
        console.print(Padding(causal_panel(trace.findings.causal), (0, 0, 1, 0)))
    return answer


def _map(console: Console, engine: Engine, answer: Answer, trace: Trace, looks: Looks) -> list[RenderableType]:
    """The depths as the told trace has them, or as the Jacobian lens reads them, which the line above it says."""
    if looks.view is None:
        return [depth_map(trace, width=console.width)]
    view = engine.trace(answer, k=looks.top_k, lens=looks.view)
    return [Text(DISPOSED, "yellow"), depth_map(view, width=console.width)]


def _inner_voice(
    engine: Engine, answer: Answer, question: str, looks: Looks
) -> tuple[Trace | None, Line | None, tuple[Line, ...], str | None]:
    """The trace, its verified headline and lines, or the sentence that says why there are none: the answer stands in any case."""
    try:
        if not answer.answer_ids:
            raise NoInnerVoiceError("Nothing was said, so there was nothing to think.")
        trace = _with_evidence(engine, answer, engine.trace(answer, k=looks.top_k), question, looks)
    except ForwardPassError as error:
        return None, None, (), error.for_host()
    locale = looks.tongue(question)
    lines = verify(tell(trace, locale), trace)
    if looks.writer == "model" and not looks.brief:
        lines = write_now(engine.answer, trace, lines, locale).lines
    return trace, if_true(headline(trace, locale), trace), lines, None


def _with_evidence(engine: Engine, answer: Answer, trace: Trace, question: str, looks: Looks) -> Trace:
    """The trace with what was asked for beside it; nothing where the engine cannot look further."""
    if not isinstance(engine, Prober):
        return trace
    if looks.evidence:
        trace = replace(trace, findings=engine.findings(answer, trace, question=question, watch=looks.watch))
    t = pivotal(trace) if looks.why else None
    return trace if t is None else trace.with_findings(causal=engine.why(answer, t))
