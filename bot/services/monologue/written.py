"""The monologue that the model writes itself from verified facts; every sentence that says more than its facts is dropped.

Numbers are not enough: “24%” may be put beside the wrong token, a depth may get another verb, a *not* may slip in, and no
recomputation of the number sees it. So the policy is the strictest that can be checked: a written sentence stands only where it
says *one* told sentence again, with all of its facts in their order and all of its words in theirs; the model may choose which
sentences to say and in which order, may add and leave out words of `NEUTRAL`, and may change a word for one beside it in
`ALIKE`. In Chinese a character counts as a word. What is left goes through `verify` like any line. Knows no torch, no Discord.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bot.catalogue import language_of
from bot.errors import ForwardPassError
from bot.services.monologue.facts import READINGS, Fact, Line
from bot.services.monologue.shown import writings
from bot.services.monologue.tongues import CHINESE, tongue_of
from bot.services.monologue.verifier import verify
from models.trace import Trace
from models.types import Answer, Job, Sampling

FEWEST = 3
"""With fewer sentences left than this the told monologue is shown."""
LONGEST_WRITING = 400
"""Tokens that the model may write."""

NEUTRAL = frozenset("a an the and well oh ah here there now dear reader 啊 呢 吧 哦 嗯 呀".split())  # noqa: SIM905 - reads as a row
"""Words that change nothing that is claimed. No negation, degree, cause, order, verb or person is among them."""
ALIKE: tuple[frozenset[str], ...] = tuple(
    frozenset(row.split(",")) for row in ("layer,depth", "layers,depths", "probability,chance,likelihood", "began,started")
)
"""Words that say the same in a told sentence; one may stand for the other."""
BANNED: tuple[tuple[str, str], ...] = (
    (
        r"\bbecause\b|\bsince\b|\btherefore\b|\bthus\b|\bhence\b|\bso that\b|因为|所以|因此|由于|于是",
        "a cause needs a causal check",
    ),
    (r"\b(?:caused|made me|led me|forced|triggered)\b|导致|使我|让我|迫使", "a cause needs a causal check"),
    (r"\bI (?:knew|know|realised|realized|understood)\b|我(?:早就|已经)?(?:知道|明白|意识到)", "a readout is not knowledge"),
    (r"\bI (?:decided|chose to|made up my mind)\b|我(?:决定|下定决心)", "no depth is where it was decided"),
    (r"\bI (?:believed?|was (?:sure|certain|convinced))\b|我(?:相信|确信|认为)", "a probability at mid depth is not a belief"),
    (r"\bI thought\b|我(?:想|以为|觉得)", "the lens reads there, nobody thinks"),
    (r"\b(?:more and more|increasingly|ever more|growing|grew)\b|越来越|愈发|逐渐", "mid depths are often surer than the last"),
    (r"\b(?:every|each) (?:layer|depth)\b|每一?层", "seldom true of every depth"),
    (r"\b(?:half|twice|double|triple|as likely)\b|一半|一倍|两倍|翻倍", "a proportion is a number that is no fact"),
)
"""What no told sentence says and no written one may, with the reason; a told sentence that holds the words has its evidence."""

_WISH = {
    "en-US": (
        "Here is my inner monologue, one forward pass of a language model, in short sentences:",
        "Write it again in the first person. Copy each sentence with its numbers and quoted words exactly; leave out what you do"
        " not like and add nothing.",
    ),
    "zh-CN": (
        "这是我的内心独白，一个语言模型的一次前向传播：",
        "用第一人称重写。每句的数字和引号里的词照抄；不喜欢的句子可以不写，不要添加任何内容。",
    ),
}
# A sign such as ? or ≠ counts as a word: it may turn a sentence round.
_WORD = re.compile(r"#\d+|[^\W\d_]+(?:['’][^\W\d_]+)*|[^\s\w.,;:!…—–\-'’“”()，。；：！、（）]")
_HAN = re.compile(r"([\u4e00-\u9fff])")
_LEAD = re.compile(r"(?m)^\s*(?:[-*•]\s+|\d{1,2}[.)]\s+)")
_CANON = {word: min(words) for words in ALIKE for word in words}


class Told(NamedTuple):
    """One told sentence: its numbers and tokens in order, and the claims that the sentence makes."""

    text: str
    facts: tuple[Fact, ...]
    claims: tuple[Fact, ...]


@dataclass(frozen=True, slots=True)
class Written:
    """What came of it. ``kept`` and ``dropped`` are the model's sentences, the dropped ones with why."""

    lines: tuple[Line, ...] = field(repr=False)
    kept: tuple[str, ...] = field(default=(), repr=False)
    dropped: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    fell_back: bool = True
    """Whether ``lines`` are the told ones."""


def prompt_for(told: Sequence[Line], locale: str, *, request_id: str | None = None) -> Job:
    """The job in which the model gets the told sentences that state something, and the wish to write them."""
    head, wish = _WISH[language_of(locale)]
    facts = "\n".join(f"- {said.text}" for said in told_sentences(told))
    return Job(f"{head}\n{facts}\n\n{wish}", style=None, sampling=Sampling(max_new_tokens=LONGEST_WRITING), request_id=request_id)


def told_sentences(told: Sequence[Line]) -> list[Told]:
    """The sentences of the told monologue that state a number or a token, taken apart."""
    return [said for line in told for said in _apart(line) if said.facts]


def _apart(line: Line) -> Iterator[Told]:
    claims = [fact for fact in line.facts if READINGS[fact.name].unit == "claim"]
    plain = [fact for fact in line.facts if READINGS[fact.name].unit != "claim"]
    for sentence in sentences(line.text):
        at, mine = 0, []
        while plain and (start := sentence.find(plain[0].shown, at)) >= 0:
            at = start + len(plain[0].shown)
            mine.append(plain.pop(0))
        yield Told(sentence, tuple(mine), tuple(claim for claim in claims if sentence in claim.shown or claim.shown in sentence))


def sentences(text: str) -> list[str]:
    """Split at sentence ends and line breaks, never inside of “ and ”. Straight double quotes are taken for curly ones."""
    found, start, quoting = [], 0, False
    text = _LEAD.sub("", re.sub(r'"([^"\n]*)"', r"“\1”", text))
    for i, char in enumerate(text):
        quoting = (quoting or char == "“") and char not in "”\n"
        ends = char in "。！？\n" or (char in ".!?" and text[i + 1 : i + 2] in ("", " ", "\n"))
        if ends and not quoting:
            found.append(text[start : i + 1])
            start = i + 1
    return [clean for piece in [*found, text[start:]] if (clean := piece.strip())]


def lines_from(text: str, trace: Trace, told: Sequence[Line], locale: str) -> tuple[Line, ...]:
    """The sentences of ``text`` that hold, each a line with its facts. Repetitions are dropped."""
    return _judge(text, trace, told_sentences(told), locale)[0]


def judged(text: str, trace: Trace, told: Sequence[Line], locale: str) -> Written:
    """What is left of a writing; the told lines where it is too little."""
    lines, dropped = _judge(text, trace, told_sentences(told), locale)
    short = len(lines) < FEWEST or not any(line.facts for line in lines)
    return Written(tuple(told) if short else lines, tuple(line.text for line in lines), dropped, short)


async def write(
    answer: Callable[[Job], Awaitable[Answer]], trace: Trace, told: Sequence[Line], locale: str, *, request_id: str | None = None
) -> Written:
    """Let the model write. Any trouble with the model, or a busy queue, gives the told lines: the voice never fails for it."""
    if len(told_sentences(told)) < FEWEST:
        return Written(tuple(told))
    try:
        written = await answer(prompt_for(told, locale, request_id=request_id))
    except ForwardPassError:
        return Written(tuple(told))
    return judged(written.text, trace, told, locale)


def write_now(answer: Callable[[Job], Answer], trace: Trace, told: Sequence[Line], locale: str) -> Written:
    """`write` for a caller without an event loop."""
    if len(told_sentences(told)) < FEWEST:
        return Written(tuple(told))
    try:
        return judged(answer(prompt_for(told, locale)).text, trace, told, locale)
    except ForwardPassError:
        return Written(tuple(told))


def _judge(text: str, trace: Trace, said: list[Told], locale: str) -> tuple[tuple[Line, ...], tuple[tuple[str, str], ...]]:
    kept: list[Line] = []
    dropped: list[tuple[str, str]] = []
    left = list(said)
    for sentence in sentences(text):
        line, match = next(((line, one) for one in left if (line := _as_told(sentence, one, locale))), (None, None))
        if line is None or match is None:
            dropped.append((sentence, _banned(sentence) or "says what no told sentence says, or says it again"))
        elif not verify([line], trace):
            dropped.append((sentence, "a fact does not hold"))
        else:
            left.remove(match)
            kept.append(line)
    return tuple(kept), tuple(dropped)


def _as_told(sentence: str, said: Told, locale: str) -> Line | None:
    """The sentence as a line with the facts of the told one; None unless it says the same."""
    reason = _banned(sentence)
    if reason is not None and _banned(said.text) != reason:
        return None
    facts = _placed(sentence, said.facts)
    if facts is None or _skeleton(sentence, facts, locale) != _skeleton(said.text, said.facts, locale):
        return None
    return Line(sentence, (*facts, *(replace(claim, shown=sentence) for claim in said.claims)))


def _banned(sentence: str) -> str | None:
    return next((why for pattern, why in BANNED if re.search(pattern, sentence, re.IGNORECASE)), None)


def _placed(sentence: str, facts: Sequence[Fact]) -> tuple[Fact, ...] | None:
    """Each fact with the characters that state it here, in order; None when one is missing."""
    at, placed = 0, []
    for fact in facts:
        # A word such as “no” states a number only where the told sentence wrote it so.
        ways = {way for way in writings(fact.value, READINGS[fact.name].unit) if way == fact.shown or re.search(r"[\d“]", way)}
        found = [(start, -len(way), way) for way in ways if (start := sentence.find(way, at)) >= 0]
        if not found:
            return None
        start, _, shown = min(found)
        placed.append(replace(fact, shown=shown))
        at = start + len(shown)
    return tuple(placed)


def _skeleton(sentence: str, facts: Sequence[Fact], locale: str) -> list[str]:
    """The words that claim something, with one mark in the place of each fact."""
    text, at = "", 0
    for i, fact in enumerate(facts):
        start = sentence.index(fact.shown, at)
        text += f"{sentence[at:start]} #{i} "
        at = start + len(fact.shown)
    whole = (text + sentence[at:]).casefold().replace("’", "'")
    if tongue_of(locale) is CHINESE:
        whole = _HAN.sub(r" \1 ", whole)
    return [_CANON.get(word, word) for word in _WORD.findall(whole) if word not in NEUTRAL]
