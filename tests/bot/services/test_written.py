"""What a model writes of the inner voice: no sentence stands that says more, less or other than a told one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import cast

import pytest

from bot.errors import QueueFullError
from bot.services.monologue import Fact, Line, Where, is_true, tell, verify
from bot.services.monologue.written import (
    BANNED,
    FEWEST,
    judged,
    lines_from,
    prompt_for,
    sentences,
    told_sentences,
    write,
    write_now,
)
from models.types import Answer, Job, Sampling
from tests.bot.services.test_monologue import foot

TRACE = foot()
T = 1


def fact(name: str, value: float | int | str, shown: str, **where: int) -> Fact:
    return Fact(name, value, shown, Where(**where))


OWN, OTHER = float(TRACE.emitted_prob[T, -1]), float(TRACE.top_probs[T, -1, 1])
MARKS = fact("marks_until", 5, "5", t=T)


def told(locale: str = "en-US") -> tuple[Line, ...]:
    return tell(TRACE, locale)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_the_told_sentences_said_again_all_stand_with_their_facts(locale):
    text = "\n".join(f"- {said.text}" for said in told_sentences(told(locale)))
    lines = lines_from(text, TRACE, told(locale), locale)
    assert len(lines) == len(told_sentences(told(locale))) >= FEWEST
    assert all(line.facts and is_true(line, TRACE) for line in lines)


def test_the_order_is_the_models_and_a_repetition_is_dropped():
    texts = [said.text for said in told_sentences(told())]
    assert [line.text for line in lines_from(" ".join([*texts[::-1], *texts]), TRACE, told(), "en-US")] == texts[::-1]


def one(text: str, *facts: Fact) -> list[Line]:
    assert is_true(Line(text, facts), TRACE), "the example must hold itself"
    return [Line(text, facts)]


def marks() -> list[Line]:
    return one("The lens reads marks as far as depth 5 of mine.", MARKS)


@pytest.mark.parametrize(
    "text",
    [
        "The lens reads marks as far as layer 5 of mine.",
        "Well, the lens reads marks, as far as depth 5 of mine!",
        "And here the lens reads the marks as far as depth 5 of mine.",
    ],
)
def test_harmless_words_may_change(text):
    (line,) = lines_from(text, TRACE, marks(), "en-US")
    assert (line.text, line.facts) == (text, (MARKS,))


@pytest.mark.parametrize(
    "text",
    [
        "The lens reads marks as far as depth 6 of mine.",
        "The lens reads marks as far as depth 55 of mine.",
        "The lens reads marks as far as depth five of mine.",
        "The lens reads marks as far as half of mine.",
        "The lens reads no marks as far as depth 5 of mine.",
        "The lens never reads marks as far as depth 5 of mine.",
        "The lens reads marks only as far as depth 5 of mine.",
        "The lens reads marks from depth 5 of mine.",
        "The lens reads marks as far as depth 5 of yours.",
        "I read marks as far as depth 5 of mine.",
        "The lens reads marks as far as depth 5 of mine, twice as likely.",
        "The lens reads marks as far as depth 5 of mine because of “foot”.",
        "The lens reads marks as far as depth 5 of mine, so I knew.",
        "The lens reads marks as far as depth 5 of mine?",
        "The lens reads marks as far as depth ≠ 5 of mine.",
        "The lens reads marks as far as depth 5% of mine.",
        "The lens reads “marks” as far as depth 5 of mine.",
        "The lens reads marks.",
        "I settled at depth 5.",
        "5.",
        "",
    ],
)
def test_what_says_anything_else_is_dropped(text):
    assert lines_from(text, TRACE, marks(), "en-US") == ()


def test_swapped_and_halved_probabilities_are_dropped():
    said = next(s for s in told_sentences(told()) if sum(f.name.endswith("_prob") for f in s.facts) >= 1 and "“" in s.text)
    number, token = (next(f.shown for f in said.facts if f.shown.endswith(end)) for end in ("%", "”"))
    other = said.text.replace(token, "\0").replace(number, token).replace("\0", number)
    for text in (other, said.text.replace(number, "half"), said.text.replace(number, "1%"), said.text.replace(token, "“zebra”")):
        assert lines_from(text, TRACE, told(), "en-US") == ()


@pytest.mark.parametrize(
    "claim",
    ["because", "I knew it", "I decided", "I believed", "I thought", "more and more", "every layer", "因为", "我决定", "越来越"],
)
def test_banned_claims_are_known_in_both_languages(claim):
    written = judged(f"{claim}.", TRACE, told(), "en-US")
    assert written.dropped[0][1] in {why for _, why in BANNED}


def test_chinese_negation_is_dropped():
    said = told_sentences(told("zh-CN"))[0].text
    assert lines_from("不" + said, TRACE, told("zh-CN"), "zh-CN") == ()


def test_sentences_do_not_end_in_a_quotation_or_a_decimal():
    text = '- I had “A. B.” at 2.5 there. "No! Yes" 好。是\n2. End'
    assert sentences(text) == ["I had “A. B.” at 2.5 there.", "“No! Yes” 好。", "是", "End"]


@dataclass
class Said:
    text: str


async def test_too_little_left_falls_back_and_enough_is_kept():
    async def nonsense(job: Job) -> Answer:
        return cast(Answer, Said("I am 100% sure. I knew it."))

    async def copyist(job: Job) -> Answer:
        return cast(Answer, Said(job.question.partition("\n")[2]))

    async def busy(job: Job) -> Answer:
        raise QueueFullError("no")

    lost = await write(nonsense, TRACE, told(), "en-US")
    assert (lost.lines, lost.fell_back, len(lost.dropped)) == (told(), True, 2)
    kept = await write(copyist, TRACE, told(), "en-US")
    assert not kept.fell_back
    assert len(kept.kept) == len(told_sentences(told()))
    said = prompt_for(told(), "en-US").question.partition("\n")[2]
    assert write_now(lambda _: cast(Answer, Said(said)), TRACE, told(), "en-US") == kept
    assert (await write(busy, TRACE, told(), "en-US")).lines == told()


def test_the_prompt_holds_every_told_sentence():
    job = prompt_for(told(), "zh-CN")
    assert all(said.text in job.question for said in told_sentences(told()))


@pytest.mark.real_model
def test_three_writings_of_the_real_model_hold(smollm):
    for thing in ("foot", "table", "cloud"):
        trace = smollm.trace(smollm.answer(Job(f"How many eyes does a {thing} have?", sampling=Sampling(max_new_tokens=20))))
        said = verify(tell(trace), trace)
        job = prompt_for(said, "en-US")
        writing = smollm.answer(replace(job, sampling=Sampling(max_new_tokens=25))).text
        written = judged(writing, trace, said, "en-US")
        assert written.lines == verify(written.lines, trace)
        assert len(written.kept) + len(written.dropped) == len(sentences(writing))
