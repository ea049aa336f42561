"""``forwardpass ask`` and ``chat``: the same answer and inner voice as in Discord, in the terminal."""

from __future__ import annotations

import json
import logging
import sys
from typing import Any, Literal

from rich.console import Console, Group
from rich.live import Live
from rich.padding import Padding
from rich.text import Text

from bot import log as logs
from bot.config import Config
from bot.errors import EmptyQuestionError, ForwardPassError, NoInnerVoiceError
from bot.render.table import depth_map, monologue_panel
from bot.services.ask import figures, mean_probability
from bot.services.monologue import Line, tell, verify
from bot.services.monologue.written import write_now
from models.trace import Trace
from models.types import Answer, Engine, Job, Style, Turn

log = logging.getLogger(__name__)
Writer = Literal["told", "model"]


def ask_once(config: Config, question: str, *, style: Style | None, as_json: bool) -> None:
    """Answer one question and exit.

    Raises:
        ForwardPassError: the question or the model is not fit.
    """
    if not question.strip():  # said before the model is loaded, and without the hint for Discord
        raise EmptyQuestionError("There is no question.", hint='For example: forwardpass ask "How many eyes does my foot have?"')
    engine = _load(config)
    job = Job(question, (), style, config.sampling)
    if as_json:
        sys.stdout.write(
            json.dumps(report(engine, job, config.lens.top_k, config.monologue.writer), ensure_ascii=False, allow_nan=False)
            + "\n"
        )
        return
    _answer(Console(), engine, job, config.lens.top_k, config.monologue.writer)


def chat_loop(config: Config, *, style: Style | None) -> None:
    """Ask and answer until an empty line. An error is shown, and the conversation goes on."""
    engine = _load(config)
    console = Console()
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
            answer = _answer(
                console, engine, Job(question, kept, style, config.sampling), config.lens.top_k, config.monologue.writer
            )
        except ForwardPassError as error:
            console.print(Text(f"✗ {error.for_user()}", "red"))
            continue
        history += [Turn("user", question), Turn("assistant", answer.text)]


def report(engine: Engine, job: Job, top_k: int, writer: Writer = "told") -> dict[str, Any]:
    """The one JSON object of ``--json``. Greedy, everything but ``timings`` is the same each time."""
    answer = engine.answer(job)
    trace, lines, problem = _inner_voice(engine, answer, top_k, writer)
    timings = {
        "load_seconds": engine.info.load_seconds,
        "answer_pass_seconds": answer.seconds,
        "seconds_to_first_token": answer.seconds_to_first,
        "tokens_per_second": answer.tokens_per_second,
        "second_pass_seconds": trace.meta["second_pass_seconds"] if trace else None,
    }
    shown = trace.to_json() if trace else None
    if shown is not None:
        for key in ("answer_seconds", "second_pass_seconds"):
            shown["meta"].pop(key, None)  # times stand in one place
    return {
        "question": job.question,
        "answer": answer.text,
        "style": answer.style,
        "finish": answer.finish,
        "seed": answer.seed,
        "mean_token_probability": mean_probability(answer),
        "monologue": [line.to_json() for line in lines],
        "no_inner_voice": problem,
        "trace": shown,
        "timings": timings,
    }


def _load(config: Config) -> Engine:
    logs.setup(config.log.model_copy(update={"level": "WARNING"}))
    console = Console(stderr=True)
    with console.status("waking up…") as status:
        from models.engine import load  # torch is imported under the spinner

        return load(config.model, prompt=config.prompt, on_stage=lambda stage: status.update(f"{stage}…"))


def _answer(console: Console, engine: Engine, job: Job, top_k: int, writer: Writer = "told") -> Answer:
    """Stream the answer, then show what the second pass read."""
    with Live(Text("…", "dim"), console=console, refresh_per_second=12, transient=True) as live:
        answer = engine.answer(job, on_text=lambda text: live.update(Text(text, "bold")))
    console.print(Text(answer.text or "(nothing: the first token was the end of the text)", "bold"))
    console.print(Text(" · ".join(figures(answer, engine.info)), "dim"))
    trace, lines, problem = _inner_voice(engine, answer, top_k, writer)
    if trace is None:
        console.print(Text(f"No inner voice: {problem}", "yellow"))
        return answer
    console.print(Padding(Group(monologue_panel(lines), depth_map(trace, width=console.width)), (1, 0)))
    return answer


def _inner_voice(engine: Engine, answer: Answer, top_k: int, writer: Writer) -> tuple[Trace | None, tuple[Line, ...], str | None]:
    """The trace and its verified lines, or the sentence that says why there are none: the answer stands in any case."""
    try:
        if not answer.answer_ids:
            raise NoInnerVoiceError("Nothing was said, so there was nothing to think.")
        trace = engine.trace(answer, k=top_k)
    except ForwardPassError as error:
        return None, (), error.for_user()
    lines = verify(tell(trace), trace)
    if writer == "model":
        lines = write_now(engine.answer, trace, lines, "en-US").lines
    return trace, lines, None
