"""Every word of the inner voice holds: real answers are told, and each fact is recomputed by `tests.independent`.

Fifty answers of the default model, in both styles and languages, greedy and drawn. Nothing may be dropped, every fact must
come out within 1e-4 of an untouched model's, and every change of a single value must silence the lines that state it.
"""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.services.monologue import finding, headline, is_true, tell, verify
from bot.services.monologue.facts import READINGS
from models.errors import ModelNotPulledError
from models.fakes.engine import FakeEngine
from models.loading import embedded
from models.readings import pivotal
from models.running import engine
from models.types import Job, ModelConfig, Prober, Sampling
from tests.bot import strategies
from tests.bot.services.mutations import another, mutations
from tests.independent import RECOMPUTE, agrees, of_trace, recompute
from tests.untouched import Untouched

TRICKS = (
    "How many eyes does my foot have?", "How many eyes does a giraffe have?", "Why do clouds eat stones?",
    "What is the capital of France?", "How many moons has a sandwich?",
    "Which came first, the chicken or the egg?", "How many legs does a spoon have?",
    "Who was the king of the Moon in 1820?", "What weighs more, a kilo of feathers or a kilo of lead?",
    "What colour is the number seven?", "How many days are there in February 30?", "Can a fish drown?",
    "Who wrote Romeo and Juliet?", "What is two plus two?", "How many wings does a bicycle have?",
    "What does silence taste like?", "Is the sun older than my grandmother?",
    "How many letters are in the word banana?", "When did Napoleon invent the telephone?",
    "Where does the white go when snow melts?", "What is the opposite of a table?", "Name three colours.",
    "How old is the youngest stone?", "Which animal barks?", "Do trees snore?", "How many months have 28 days?",
    "What is the wife of a bachelor called?", "How deep is a hole with no bottom?",
    "What is heavier, Monday or Tuesday?", "How many corners does a circle have?", "Is water wet?",
    "What is 17 times 3?", "Who is buried in the tomb of the unknown soldier?",
    "How long is a piece of string?", "What do cows drink?", "How many ears does a cornfield have?",
    "Why is the sky green?", "What language do mirrors speak?", "How many thumbs has a snake?",
    "Which planet is made of cheese?",
)  # fmt: skip
CHINESE = (
    "我的脚有几只眼睛？", "长颈鹿有几只眼睛？", "中国的首都是哪里？", "石头几岁了？", "一斤棉花和一斤铁哪个重？", "鱼会淹死吗？",
    "勺子有几条腿？", "太阳从哪边升起？", "What does 你好 mean?", "Write one emoji of a cat. 🐈",
)  # fmt: skip
QUESTIONS = TRICKS + CHINESE
LOCALES = ("en-US", "zh-CN")
CALM = settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def jobs() -> list[Job]:
    """Every second as a story, every fourth drawn, at three temperatures; two of them from a cut distribution."""
    found = []
    for n, question in enumerate(QUESTIONS):
        warm = (
            {"temperature": 0.8 + 0.1 * (n // 4 % 3), "seed": n, "top_p": 0.9 if n % 8 == 2 else 1.0}
            if n % 4 == 2 or n % 16 == 5
            else {}
        )
        style = "story" if n % 2 != n // 10 % 2 else "chat"
        found.append(Job(question, style=style, sampling=Sampling(max_new_tokens=20, **warm)))
    return found


@pytest.fixture(scope="module")
def folder():
    try:
        return embedded.locate()
    except ModelNotPulledError as error:
        pytest.skip(error.for_user())


@pytest.fixture(scope="module")
def told(folder):
    """(job, answer, trace with findings) of every question, answered together."""
    real = engine.load(ModelConfig(device="cpu", dtype="float32", max_batch=len(QUESTIONS)))
    asked = jobs()
    courses = [real.begin(job) for job in asked]
    ended = {}
    while len(ended) < len(asked):
        ended.update({courses.index(course): answer for course, answer in real.step()})
    answers = [ended[n] for n in range(len(asked))]
    return [
        (job, answer, looked_into(real, job, answer, trace))
        for job, answer, trace in zip(asked, answers, real.traces(answers), strict=True)
    ]


def looked_into(real, job, answer, trace):
    """The trace with all evidence that this engine gives."""
    if not isinstance(real, Prober):
        return trace
    findings = real.findings(answer, trace, question=job.question, watch=("yes", "no", "two"))
    pivot = pivotal(trace)
    if pivot is not None:
        findings = replace(findings, causal=real.why(answer, pivot))
    with suppress(NotImplementedError):
        findings = replace(findings, self_report=real.self_report(job.question, answer))
    return replace(trace, findings=findings)


def variants(trace):
    """Both languages: the headline, and the story short and long."""
    for locale in LOCALES:
        head = headline(trace, locale)
        assert head is not None
        found = finding(trace, locale)
        yield (head,) if found is None else (head, found)
        for everything in (False, True):
            yield tell(trace, locale, everything=everything)


def test_every_fact_has_an_independent_definition():
    assert set(RECOMPUTE) == set(READINGS)
    assert {name: kind for name, (kind, _) in RECOMPUTE.items()} == {name: reading.unit for name, reading in READINGS.items()}


def in_proportion(fact, own):
    """Nats or logits whose fp32 rounding passes 1e-4: within 1e-4 and 1e-4 of their size. Counted apart; never a share.

    Where a block is removed the pass goes on from a state that it never sees, and two orders of adding up drift apart further:
    the largest difference seen is 1.8e-4, of 1.16 nats.
    """
    slack = 1e-4 * (1 + abs(own)) if own is not None else 0.0
    return READINGS[fact.name].unit in {"nats", "logits"} and own is not None and agrees(fact.value, own, slack=slack)


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(1800)  # half a minute of model work for each ten answers, and a busy machine is slow
def test_fifty_real_monologues_hold(folder, told):
    plain, counts, false, names = Untouched(folder), Counter(), [], Counter()
    for job, answer, trace in told:
        passage = plain.passage(answer, trace, job.question)
        world = passage.world()
        nudged = passage.nudged(world)
        counts["answers"] += 1
        for lines in variants(trace):
            assert verify(lines, trace) == lines
            for line in lines:
                counts["lines"] += 1
                for fact in line.facts:
                    counts["facts"] += 1
                    names[fact.name] += 1
                    if agrees(fact.value, recompute(world, fact)):
                        continue
                    if in_proportion(fact, recompute(world, fact)):
                        counts["nats or logits beyond 1e-4, within 1e-4 and 1e-4 of their size"] += 1
                        continue
                    counts["needed slack"] += 1
                    if not agrees(fact.value, recompute(nudged, fact)):
                        false.append((job.question, fact, recompute(world, fact), recompute(nudged, fact)))
    print(dict(counts), f"{len(names)} of {len(READINGS)} kinds of fact")  # noqa: T201  the count is what is asked for
    assert not false, "\n".join(map(str, false[:20])) + f"\n{len(false)} false"
    assert counts["answers"] == 50


_BY_PLACE = {"position", "length", "blocks", "upper_depths", "block", "part", "is_first", "is_silent"}
"""What no single value decides: the shapes of the arrays, or the place itself."""


def stands(world, fact):
    """Whether a fact still holds in a world, by its own definition."""
    own = recompute(world, fact)
    if isinstance(own, float) and isinstance(fact.value, float):
        return abs(own - fact.value) <= 1e-9 + 1e-6 * max(abs(own), abs(fact.value))
    return bool(own) if RECOMPUTE[fact.name][0] == "claim" else own == fact.value


def check_mutations(trace, lines):
    """Each change of one value silences exactly the lines that state something about it; returns the facts it was seen at."""
    seen = set()
    pivot = pivotal(trace) or 0
    places = {pivot} | {fact.where.t for line in lines for fact in line.facts if fact.where.t is not None}
    for t in sorted(places) if trace.length else ():
        for path, changed in mutations(trace, t, beside=t == pivot):
            world = of_trace(changed)
            for line in lines:
                false = [fact for fact in line.facts if not stands(world, fact)]
                seen.update(fact.name for fact in false)
                assert is_true(line, changed) is not bool(false), (path, line.text, false)
    return seen


def test_a_changed_finding_silences_what_is_said_of_it():
    """The scripted engine gives all kinds of evidence at once."""
    scripted = FakeEngine()
    job = Job("How many eyes does my foot have?")
    answer = scripted.answer(job)
    trace = looked_into(scripted, job, answer, scripted.trace(answer))
    lines = (headline(trace), *tell(trace))
    assert verify(lines, trace) == lines
    seen = check_mutations(trace, lines)
    assert {fact.name for line in lines for fact in line.facts} - seen <= _BY_PLACE


@pytest.mark.parametrize("locale", LOCALES)
def test_no_figure_is_told_that_the_rounding_wrote(locale):
    """The same removals, on a state that trembles: which block it is may be told, how far it moves may not."""
    scripted = FakeEngine()
    job = Job("How many eyes does my foot have?")
    answer = scripted.answer(job)
    trace = looked_into(scripted, job, answer, scripted.trace(answer))
    figures = {"without_prob", "drop"}
    check = trace.findings.causal
    blocks = check.of("block")
    other = int(next(i for i in trace.top_ids[check.t, -1] if i != check.top_id))
    logprob, top_ids = blocks.logprob.copy(), np.full_like(blocks.top_ids, check.top_id)
    logprob[4], top_ids[4] = check.logprob - 9, other
    flipped = replace(blocks, logprob=logprob, top_ids=top_ids, control_top_ids=np.full_like(top_ids, check.top_id))
    calm = trace.with_findings(causal=replace(check, removals=(flipped,)))
    told = {fact.name for line in tell(calm, locale, everything=True) for fact in line.facts}
    assert told >= figures
    shaken = replace(flipped, jitter=np.full_like(logprob, 1e-3))
    trembling = trace.with_findings(causal=replace(check, removals=(shaken,)))
    lines = tell(trembling, locale, everything=True)
    assert verify(lines, trembling) == lines
    told = {fact.name for line in lines for fact in line.facts}
    assert not told & figures
    assert told >= {"flips", "is_costliest", "without"}


@pytest.mark.slow
@pytest.mark.real_model
@pytest.mark.timeout(1800)  # half a minute of model work for each ten answers, and a busy machine is slow
def test_a_changed_value_silences_what_is_said_of_it(told):
    """On real traces: for every fact there is a single value whose change makes its line false, and the line is dropped."""
    for _, _, trace in told[1:20:9]:
        for locale in LOCALES:
            lines = (headline(trace, locale), *tell(trace, locale))
            seen = check_mutations(trace, lines)
            assert {fact.name for line in lines for fact in line.facts} - seen <= _BY_PLACE


@CALM
@given(strategies.traces(max_length=4, max_depths=5), st.sampled_from(LOCALES))
def test_any_trace_agrees_with_its_own_definitions(trace, locale):
    lines = (*tell(trace, locale, everything=True), *([head] if (head := headline(trace, locale)) else []))
    world = of_trace(trace)
    assert all(stands(world, fact) for line in lines for fact in line.facts)


@CALM
@given(strategies.traces(max_length=3, max_depths=4), st.data())
def test_any_change_of_any_trace(trace, data):
    """One value altered anywhere: the verifier and the independent definitions drop the same lines."""
    lines = (*tell(trace, everything=True), *([head] if (head := headline(trace)) else []))
    changes = list(mutations(trace, data.draw(st.integers(0, trace.length - 1)))) if trace.length else []
    for path, changed in data.draw(st.permutations(changes))[:5] if changes else ():
        world = of_trace(changed)
        for line in lines:
            assert is_true(line, changed) is all(stands(world, fact) for fact in line.facts), (path, line.text)


@CALM
@given(strategies.traces(max_length=4, max_depths=5), st.sampled_from(LOCALES))
def test_an_altered_fact_is_not_told(trace, locale):
    for line in tell(trace, locale):
        for n, fact in enumerate(line.facts):
            for false in (
                replace(fact, value=another(fact.value)),
                replace(fact, value=None),
                replace(fact, shown=fact.shown + "9"),
            ):
                assert not is_true(replace(line, facts=(*line.facts[:n], false, *line.facts[n + 1 :])), trace), (line.text, false)
