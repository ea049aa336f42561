"""The monologue: every line it tells holds, and no line that does not hold gets past the verifier."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.services.monologue import Fact, Line, Where, is_true, phrases_of, tell, verify
from bot.services.monologue.facts import READINGS, mood, value_of
from bot.services.monologue.plot import LONGEST
from bot.services.monologue.shown import nth, percent
from models import readings
from models.trace import Trace
from tests.bot.strategies import make_trace, trace_of_tops, traces

PIECES = {0: " the", 1: " two", 2: " four", 3: " no", 4: ",", 5: " eyes", 6: "<|end|>", 7: " has", 8: " Two"}
FORBIDDEN = re.compile(
    r"\bI (knew|know|decided|believed|was sure|was certain)\b|\bbecause\b|\bconfiden|\bdepth 0\b|\bevery layer\b|\bmade me\b",
    re.IGNORECASE,
)
many = settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])


def foot(**more: Any) -> Trace:
    """ "The" is plain; at " two" the lens reads marks, then " four", then " no", then " two"; a closing token."""
    tops = [
        [4, 4, 4, 4, 0, 0, 0, 0, 0],
        [4, 4, 4, 4, 4, 4, 2, 3, 1],
        [4, 4, 4, 4, 4, 4, 5, 5, 5],
        [6, 6, 6, 6, 6, 6, 6, 6, 6],
    ]
    return trace_of_tops(
        tops, [0, 1, 5, 6], PIECES, prompt_ids=list(range(100, 138)), special=[False, False, False, True], **more
    )


def words_outside_facts(line: Line) -> str:
    text = line.text
    for fact in line.facts:
        if READINGS[fact.name].unit != "claim":
            text = text.replace(fact.shown, "X", 1)
    return text


@many
@given(traces())
def test_every_told_line_holds(trace: Trace) -> None:
    lines = tell(trace)
    assert verify(lines, trace) == lines
    assert lines == tell(trace)
    assert 2 <= len(lines) <= 8
    assert sum(len(line.text) + 2 for line in lines) < LONGEST
    for line in lines:
        assert not FORBIDDEN.search(words_outside_facts(line)), line.text
        assert not re.search(r"[\d%“”]", words_outside_facts(line)), line.text
        assert not re.search(r"\s\s|\s[,.;:?!]|[\x00-\x1f]", words_outside_facts(line)), line.text


@settings(many, max_examples=150)
@given(traces(), st.booleans())
def test_chinese_and_the_long_form_hold_too(trace: Trace, everything: bool) -> None:
    for locale in ("zh-CN", "en-US"):
        lines = tell(trace, locale, everything=everything)
        assert verify(lines, trace) == lines
        if locale == "zh-CN":
            assert not re.search(r"[a-z]{3}", "".join(map(words_outside_facts, lines))), lines


@settings(many, max_examples=60)
@given(traces(), st.sampled_from(("en-US", "zh-CN")))
def test_no_phrase_comes_twice_in_ten_monologues(trace: Trace, locale: str) -> None:
    """The worst case: the same answer ten times in a row."""
    heard: list[str] = []
    for _ in range(10):
        lines = tell(trace, locale, avoid=heard)
        assert verify(lines, trace) == lines
        assert not set(phrases_of(lines)) & set(heard)
        assert lines == tell(trace, locale, avoid=heard)
        heard += phrases_of(lines)
    assert len(set(heard)) == len(heard)


def test_when_all_has_been_said_the_oldest_comes_back_and_nothing_fails() -> None:
    heard: list[str] = []
    for _ in range(30):
        lines = tell(foot(), avoid=heard)
        assert len(lines) >= 4
        heard += phrases_of(lines)


@pytest.mark.parametrize(
    ("locale", "table"), [("zh-TW", "zh-CN"), ("zh", "zh-CN"), ("zh_CN", "zh-CN"), ("en-GB", "en-US"), ("de", "en-US")]
)
def test_locales(locale: str, table: str) -> None:
    assert tell(foot(), locale) == tell(foot(), table)


@many
@given(traces())
def test_lines_survive_storage_and_json(trace: Trace) -> None:
    lines = tell(trace)
    assert verify(lines, Trace.from_bytes(trace.to_bytes())) == lines
    again = json.loads(json.dumps([line.to_json() for line in lines]))
    rebuilt = tuple(
        Line(line["text"], tuple(Fact(f["name"], f["value"], f["shown"], Where(**f["where"])) for f in line["facts"]))
        for line in again
    )
    assert rebuilt == lines


@many
@given(traces())
def test_a_tampered_fact_drops_its_line(trace: Trace) -> None:
    for line in tell(trace):
        for index, fact in enumerate(line.facts):
            for changed in _tampered(fact):
                facts = (*line.facts[:index], changed, *line.facts[index + 1 :])
                assert not is_true(Line(line.text, facts), trace), changed
            if READINGS[fact.name].unit != "claim":
                assert (
                    not is_true(Line(line.text, (*line.facts[:index], *line.facts[index + 1 :])), trace) or "“" not in fact.shown
                )


def _tampered(fact: Fact) -> list[Fact]:
    beyond = fact.where._replace(t=10_000) if fact.where.t is not None else None
    changed = [
        replace(fact, name="no_such_reading"),
        replace(fact, value=None),
        replace(fact, shown=fact.shown + "9"),
        replace(fact, shown=""),
    ]
    if isinstance(fact.value, bool):
        changed.append(replace(fact, value=not fact.value))
    elif isinstance(fact.value, int):
        changed.append(replace(fact, value=fact.value + 1))
    elif isinstance(fact.value, float):
        changed.append(replace(fact, value=fact.value + 0.25))
    else:
        changed.append(replace(fact, value=f"{fact.value}x"))
    return [*changed, replace(fact, where=beyond)] if beyond else changed


@pytest.mark.parametrize(
    "text",
    [
        "I have 31 layers.",
        "I was 99% there.",
        "It was “five”.",
        "There were seventeen of them.",
        "Twice, I looked.",
        "½ of me.",
        "It was ３.",
        "At ninety percent I stopped.",
        'They said "no".',
    ],
)
def test_a_number_that_is_no_fact_drops_the_line(text: str) -> None:
    assert not is_true(Line(text), foot())
    assert is_true(Line("It was a quiet pass, and one is not consulted."), foot())


def test_a_fact_covers_one_place_only() -> None:
    trace = foot()
    blocks = Fact("blocks", 8, "8")
    assert is_true(Line("I have 8 layers.", (blocks,)), trace)
    assert not is_true(Line("I have 8 layers, 8.", (blocks,)), trace)
    assert is_true(Line("I have 8 layers, 8.", (blocks, blocks)), trace)
    for text in (
        "I have 18 layers.",
        "I have 8.5 layers.",
        "I have -8 layers.",
        "I have 8% of it.",
        "I have 8 million.",
        "I have 8/9.",
    ):
        assert not is_true(Line(text, (blocks,)), trace), text


def test_a_claim_covers_no_number_and_must_hold() -> None:
    trace = foot()
    assert is_true(Line("It took the top.", (Fact("took_top", True, "It took the top.", Where(1)),)), trace)
    assert not is_true(Line("It did not.", (Fact("passed_over_top", True, "It did not.", Where(1)),)), trace)
    assert not is_true(Line("It took 3.", (Fact("took_top", True, "It took 3.", Where(1)),)), trace)
    assert not is_true(Line("It took the top.", (Fact("took_top", True, "It took the bottom.", Where(1)),)), trace)


@pytest.mark.parametrize("where", [Where(), Where(-1), Where(4), Where(None, 3, 1), Where(1, None, -2)])
def test_a_place_outside_of_the_trace_has_no_value(where: Where) -> None:
    assert value_of(foot(), "emitted_prob", where) is None or where.t == 1


def test_lines_of_another_trace_are_dropped() -> None:
    trace = foot()
    lines = tell(trace)
    changed = replace(trace, emitted_prob=trace.emitted_prob * np.float32(0.9), top_probs=trace.top_probs * np.float32(0.9))
    kept = verify(lines, changed)
    assert len(kept) < len(lines)
    assert all(not any(fact.name.endswith("_prob") for fact in line.facts) for line in kept)
    shorter = replace(trace, prompt_ids=trace.prompt_ids[:-1])
    assert lines[0] not in verify(lines, shorter)


def test_it_tells_the_story() -> None:
    trace = foot()
    assert readings.pivotal(trace) == 1
    text = "\n".join(line.text for line in tell(trace))
    named = {fact.name: fact for line in tell(trace) for fact in line.facts if fact.where.t in (1, None)}
    assert named["position"].value == 40
    assert named["position"].shown == "40th"
    assert named["settle"].value == 8
    assert named["emitted"].value == " two"
    assert named["marks_until"].value == 5
    assert "handed_over_last" in named or named["handover_share"].value == pytest.approx(readings.handover_depth(trace, 1) / 8)
    for word in ("“two”", "“four”", "“no”", "lens", "pass"):
        assert word in text
    assert "“ " not in text


def test_numbers_against_plain_numpy() -> None:
    trace = foot()
    for line in tell(trace):
        for fact in line.facts:
            where = fact.where
            if fact.name == "emitted_prob":
                assert fact.value == pytest.approx(float(trace.emitted_prob[where.t, -1]))
            if fact.name == "run_end":
                assert (trace.top_ids[where.t, where.depth : fact.value + 1, 0] == where.id).all()
            if fact.name in ("final_prob", "peak_prob"):
                kept = trace.top_probs[where.t][trace.top_ids[where.t] == where.id]
                assert float(kept.max()) >= fact.value > 0
            if fact.name == "choices":
                assert fact.value == round(float(np.exp(trace.entropy[where.t, -1])))


def test_moods() -> None:
    def at(final: list[float], emitted: int) -> str:
        logits = np.log(np.tile(np.asarray(final), (1, 3, 1)))
        return mood(make_trace(logits, [emitted], dict(enumerate([" two", " four", " a", ","]))), 0)

    assert at([0.9, 0.05, 0.03, 0.02], 0) == "certain"
    assert at([0.45, 0.4, 0.1, 0.05], 0) == "torn"
    assert at([0.7, 0.1, 0.1, 0.1], 0) == "plain"
    assert at([0.7, 0.1, 0.1, 0.1], 1) == "overruled"
    flat = make_trace(np.zeros((1, 3, 100)), [0], {i: f" w{i}" for i in range(100)})
    assert mood(flat, 0) == "lost"


def test_sure_from_early_on_is_told_shortly() -> None:
    tops = [[4, 4, 4, 0, 0, 0, 0, 0, 0], [4, 4, 1, 1, 1, 1, 1, 1, 1]]
    lines = tell(trace_of_tops(tops, [0, 1], PIECES, sharp=12.0))
    assert len(lines) == 3
    assert any(fact.name == "settled_at_half" for line in lines for fact in line.facts)
    assert sum(len(line.text) for line in lines) < 500


def test_sampled_against_the_top_says_so_and_keeps_both_probabilities_apart() -> None:
    tops = [[4, 4, 4, 4, 0, 0, 2, 2, 2]]
    trace = trace_of_tops(tops, [1], PIECES, sampled_prob=[0.5], sharp=2.0)
    facts = {fact.name: fact for line in tell(trace) for fact in line.facts}
    assert {"never_settled", "passed_over_top", "was_drawn", "place"} <= set(facts)
    assert facts["sampled_prob"].value == 0.5
    assert facts["emitted_prob"].value == pytest.approx(float(trace.emitted_prob[0, -1]))
    assert facts["emitted_prob"].shown != facts["sampled_prob"].shown


def test_another_spelling_is_no_rival() -> None:
    trace = trace_of_tops([[4, 4, 4, 4, 4, 8, 8, 1, 1]], [1], PIECES)
    facts = [fact for line in tell(trace) for fact in line.facts]
    assert any(fact.name == "is_twin" and fact.where.id == 8 for fact in facts)


@pytest.mark.parametrize(
    ("answer", "special", "key"),
    [([], [], "is_silent"), ([6], [True], "is_all_control"), ([4, 4], [False, False], "is_wordless")],
)
def test_answers_without_a_word(answer: list[int], special: list[bool], key: str) -> None:
    logits = np.zeros((len(answer), 4, 9))
    trace = make_trace(logits, answer, PIECES, special=special)
    lines = tell(trace)
    assert verify(lines, trace) == lines
    assert any(fact.name == key for line in lines for fact in line.facts)


def test_different_answers_are_told_differently() -> None:
    openings = {
        tell(foot(meta={}) if not n else replace(foot(), prompt_ids=np.arange(n + 1)))[0].text.split("token")[0]
        for n in range(12)
    }
    assert len({re.sub(r"\d", "", opening) for opening in openings}) >= 4


def test_an_unknown_locale_is_told_in_english() -> None:
    assert tell(foot(), "xx-YY") == tell(foot(), "en-US")


@pytest.mark.parametrize(
    ("n", "said"), [(1, "1st"), (2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (23, "23rd"), (113, "113th")]
)
def test_ordinals(n: int, said: str) -> None:
    assert nth(n) == said


@pytest.mark.parametrize(
    ("share", "said"),
    [
        (1.0, "100%"),
        (0.9999, "over 99.9%"),
        (0.996, "99.6%"),
        (0.24, "24%"),
        (0.004, "0.4%"),
        (0.0001, "under 0.1%"),
        (0.0, "0%"),
    ],
)
def test_percentages(share: float, said: str) -> None:
    assert percent(share) == said
