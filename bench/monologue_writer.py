"""How much of the inner voice that a model writes itself stands: ``python bench/monologue_writer.py [--model ID] [--answers N]``.

For each question: an answer, its second pass, the told monologue, and the model's own writing of it; prints how many sentences it
wrote, how many stood, and how often the told one was shown instead. Knows no Discord.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from bot.services.monologue import tell, verify
from bot.services.monologue.written import Written, judged, prompt_for
from models.running.engine import load
from models.trace import Trace
from models.types import Answer, BatchEngine, Job, ModelConfig, Sampling

THINGS = "foot hand nose cat table spoon cloud bicycle shoe tree river clock chair song egg".split()  # noqa: SIM905 - reads as a row
QUESTIONS = [f"How many {part} does a {thing} have?" for part in ("eyes", "legs") for thing in THINGS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="default")
    parser.add_argument("--answers", type=int, default=len(QUESTIONS))
    parser.add_argument("--locale", default="en-US")
    parser.add_argument("--longest", type=int, default=400, help="tokens that it may write")
    parser.add_argument("--together", type=int, default=6, help="answers at a time")
    chosen = parser.parse_args(arguments)
    engine = load(ModelConfig(id=chosen.model))
    results: list[Written] = []
    questions = QUESTIONS[: chosen.answers]
    for start in range(0, len(questions), chosen.together):
        some = questions[start : start + chosen.together]
        for question, written in zip(some, writings(engine, some, chosen.locale, chosen.longest), strict=True):
            results.append(written)
            show(question, written)
    table(chosen.model, results)


def writings(engine: BatchEngine, questions: Sequence[str], locale: str, longest: int) -> list[Written]:
    """What the model writes of its answers to some questions, judged."""
    answers = together(engine, [Job(question, sampling=Sampling(max_new_tokens=40)) for question in questions])
    traces = [trace for trace in engine.traces(answers) if isinstance(trace, Trace)]
    told = [verify(tell(trace, locale), trace) for trace in traces]
    jobs = [replace(prompt_for(lines, locale), sampling=Sampling(max_new_tokens=longest)) for lines in told]
    texts = [answer.text for answer in together(engine, jobs)]
    return [judged(text, trace, lines, locale) for text, trace, lines in zip(texts, traces, told, strict=True)]


def together(engine: BatchEngine, jobs: Sequence[Job]) -> list[Answer]:
    """Several answers under way at once."""
    begun = [engine.begin(job) for job in jobs]
    ended: dict[int, Answer] = {}
    while len(ended) < len(begun):
        for course, answer in engine.step():
            if not isinstance(answer, Answer):
                raise answer
            ended[begun.index(course)] = answer
    return [ended[i] for i in range(len(begun))]


def say(text: str) -> None:
    """One line, at once: a run takes long."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def show(question: str, written: Written) -> None:
    """One answer's sentences, as they come."""
    say(f"\n## {question}{'  (fell back)' if written.fell_back else ''}")
    for text in written.kept:
        say(f"kept     {text}")
    for text, why in written.dropped:
        say(f"dropped  {text[:160]}  [{why}]")


def table(model: str, results: Sequence[Written]) -> None:
    """The figures of all answers."""
    kept, dropped = sum(len(r.kept) for r in results), sum(len(r.dropped) for r in results)
    say(f"\n{model}: {len(results)} answers, {kept + dropped} sentences, {kept} stood,")
    say(f"fell back {sum(r.fell_back for r in results)} times")
    for why, count in Counter(why for r in results for _, why in r.dropped).most_common():
        say(f"  {count:5d} dropped: {why}")


if __name__ == "__main__":
    main()
