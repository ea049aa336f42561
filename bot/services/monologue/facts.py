"""What the monologue may state: each fact has a name, a place in the trace, and one function that reads it there.

Nothing is told that is not in `READINGS`, and the verifier recomputes each fact by its name from the same table. Knows no
sentences; those are data in ``bot/locales``.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from bot.render.text import named
from bot.services.monologue.evidence import EVIDENCE
from bot.services.monologue.stating import NEEDS, NOWHERE, Fact, Line, Reading, Unit, Value, Where
from models import readings as read
from models.readings_words import word_of
from models.trace import Trace

__all__ = ["NOWHERE", "READINGS", "Fact", "Line", "Reading", "Unit", "Value", "Where", "value_of"]

SURE, LOST_PERPLEXITY, LOST_PROB, CLOSE, LATE = 0.8, 60.0, 0.12, 0.6, 0.8
"""Moods: certain from this final probability on; lost from this spread or to this top; torn from this share of the first;
a number came from nowhere when it was on top at no depth below this share of L."""
CLOSE_PROB, CLOSE_SHARE = 0.05, 0.25
"""Nearly said: from this final probability on, and from this share of the emitted word's."""
_NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion none
    零 一 二 两 三 四 五 六 七 八 九 十 百 千 万 亿"""
NUMBER_WORDS = frozenset(_NUMBERS.split())


def _settled(trace: Trace, t: int) -> int | None:
    settle = read.settle_depth(trace, t)
    return None if settle is None else max(1, settle)  # depth 0 reads back the input where embeddings are tied


def _run_end(trace: Trace, t: int, depth: int, token: int) -> int | None:
    return read.run_end(trace, t, depth) if read.top_token(trace, t, depth) == token else None


def _run_start(trace: Trace, t: int, depth: int, token: int) -> int | None:
    return read.run_start(trace, t, depth) if read.top_token(trace, t, depth) == token else None


def runs(trace: Trace, t: int, token: int) -> list[tuple[int, int]]:
    """First and last depth of each unbroken run of a token on top that reaches into the depths >= L/2."""
    found, depth = [], read.half(trace)
    while depth <= trace.depths:
        end = read.run_end(trace, t, depth)
        if read.top_token(trace, t, depth) == token:
            found.append((read.run_start(trace, t, depth), end))
        depth = end + 1
    return found


def marks_until(trace: Trace, t: int) -> int | None:
    """The last depth up to which, from L/2 on, no word was top-1; None when a word leads at L/2 already."""
    start = read.half(trace)
    for depth in range(start, trace.depths + 1):
        if read.is_word(_text(trace, t, depth)):
            return depth - 1 if depth > start else None
    return trace.depths


def next_word(trace: Trace, t: int) -> int | None:
    """The likeliest kept word at depth L that reads differently from the emitted token."""
    emitted = named(read.emitted_text(trace, t))
    for token in trace.top_ids[t, -1].tolist():
        text = read.token_text(trace, token)
        if token != trace.answer_ids[t] and read.is_word(text) and named(text) != emitted:
            return int(token)
    return None


def close_rivals(trace: Trace, t: int) -> tuple[int, ...]:
    """Up to two kept words that were nearly said in place of the emitted one: likely enough, and no two of them read the same.

    Of a token inside a word there are none, since nobody knows what they would have become.
    """
    word = word_of(trace, t)
    if word is None or word.first != t:
        return ()
    own, begins = read.emitted_text(trace, t), read.emitted_text(trace, t)[:1].isspace()
    read_before, found = {own.strip().casefold()}, []
    for token, prob in zip(trace.top_ids[t, -1].tolist(), trace.top_probs[t, -1].tolist(), strict=True):
        text = read.token_text(trace, token)
        name = text.strip().casefold()
        fits = name.isalnum() and text[:1].isspace() == begins and name not in read_before
        if fits and prob >= _close_to(trace, t):
            found.append(int(token))
            read_before.add(name)
    return tuple(found[:2])


def _no_close_rival(trace: Trace, t: int) -> bool:
    """Whether no word that reads otherwise had a share worth a mention, whatever kind of token it was."""
    own = read.emitted_text(trace, t).strip().casefold()
    kept = zip(trace.top_ids[t, -1].tolist(), trace.top_probs[t, -1].tolist(), strict=True)
    others = [prob for token, prob in kept if read.token_text(trace, token).strip().casefold() != own]
    return max(others, default=0.0) < _close_to(trace, t)


def _close_to(trace: Trace, t: int) -> float:
    """The final probability from which on another word was nearly said."""
    return max(CLOSE_PROB, CLOSE_SHARE * float(trace.emitted_prob[t, -1]))


def _is_whole_word(trace: Trace, t: int) -> bool | None:
    word = word_of(trace, t)
    return None if word is None else read.emitted_text(trace, t).strip() == word.text


def place(trace: Trace, t: int, token: int) -> int | None:
    """The place of a kept token in the line at depth L, from 1; the emitted token's place is known even beyond k."""
    if token == trace.answer_ids[t]:
        return int(trace.emitted_rank[t, -1]) + 1
    kept = trace.top_ids[t, -1].tolist()
    return kept.index(token) + 1 if token in kept else None


def easiest(trace: Trace) -> int | None:
    """The spoken word with the highest final probability."""
    words = [t for t in range(trace.length) if not trace.special[t] and read.is_word(trace.tokens[t])]
    return max(words, key=lambda t: float(trace.emitted_prob[t, -1]), default=None)


def second_pivot(trace: Trace) -> int | None:
    """The next best answer token by pivot score, at least five tokens away from the pivotal one."""
    pivot, scores = read.pivotal(trace), read.pivot_scores(trace)
    if pivot is None:
        return None
    scores[max(0, pivot - 4) : pivot + 5] = 0
    return int(scores.argmax()) if scores.max() > 0 else None


def _peak(trace: Trace, t: int, token: int) -> tuple[int, float] | None:
    """Depth and value of the highest probability of a token while it was on top, in the runs that reach the depths >= L/2."""
    reign = [depth for start, end in runs(trace, t, token) for depth in range(start, end + 1)]
    return max(((d, float(trace.top_probs[t, d, 0])) for d in reign), key=lambda pair: pair[1], default=None)


def _is_kept(trace: Trace, t: int, token: int) -> bool:
    """Whether the trace knows this id as a candidate in the upper half: considered, or emitted."""
    return bool((trace.top_ids[t, read.half(trace) :] == token).any()) or token == trace.answer_ids[t]


def _is_below_peak(trace: Trace, t: int, token: int) -> bool:
    peak, final = _peak(trace, t, token), read.kept_prob(trace, t, trace.depths, token)
    return peak is not None and final is not None and final < peak[1]


def _on_top(trace: Trace, t: int, token: int) -> int:
    return int((trace.top_ids[t, read.half(trace) :, 0] == token).sum())


def _upper_depths(trace: Trace) -> int:
    return trace.depths + 1 - read.half(trace)


def is_number(text: str) -> bool:
    """Whether a token is a numeral or a number word by itself."""
    bare = text.strip().casefold()
    return bare in NUMBER_WORDS or bare.isnumeric()


def came_up(trace: Trace, t: int) -> int | None:
    """The first depth from 1 on at which the emitted token, or the same word in another spelling, was top-1."""
    tops = trace.top_ids[t, 1:, 0].tolist()
    return next((d for d, i in enumerate(tops, 1) if i == trace.answer_ids[t] or is_twin(trace, t, i)), None)


def is_off_page(trace: Trace, t: int) -> bool:
    """Whether no token that is known to read like this one stands in the prompt or earlier in the answer."""
    page = {*trace.prompt_ids.tolist(), *trace.answer_ids[:t].tolist()}
    bare = read.emitted_text(trace, t).strip().casefold()
    return int(trace.answer_ids[t]) not in page and not any(trace.pieces.get(i, "").strip().casefold() == bare for i in page)


def is_from_nowhere(trace: Trace, t: int) -> bool:
    """A number that is not on the page, and that the lens had on top at no depth below `LATE` of L."""
    if trace.emitted_rank[t, -1] > 0 or not is_number(read.emitted_text(trace, t)) or not is_off_page(trace, t):
        return False
    first = came_up(trace, t)
    return first is not None and first >= LATE * trace.depths


def mood(trace: Trace, t: int) -> str:
    """overruled, certain, nowhere, lost, torn or plain: what the numbers at the last depth, and the tops before it, look like."""
    final, top = float(trace.emitted_prob[t, -1]), float(trace.top_probs[t, -1, 0])
    if trace.emitted_rank[t, -1] > 0:
        return "overruled"
    if final >= SURE:
        return "certain"
    if is_from_nowhere(trace, t):
        return "nowhere"
    if (read.perplexity(trace, t) >= LOST_PERPLEXITY and final < 0.5) or top <= LOST_PROB:
        return "lost"
    rival = next_word(trace, t)
    if rival is not None and (read.kept_prob(trace, t, trace.depths, rival) or 0.0) >= CLOSE * final:
        return "torn"
    return "plain"


def is_twin(trace: Trace, t: int, token: int) -> bool:
    """Whether an id is the emitted word in another spelling, or with another space before it: no and No."""
    one, other = read.token_text(trace, token).strip().casefold(), read.emitted_text(trace, t).strip().casefold()
    return token != trace.answer_ids[t] and one == other and read.is_word(one)


def _reads_otherwise(trace: Trace, t: int, token: int) -> bool:
    return is_twin(trace, t, token) and named(read.token_text(trace, token)) != named(read.emitted_text(trace, t))


def _is_gone(trace: Trace, t: int, token: int) -> bool:
    """Whether no token that reads like this one, in any spelling, is emitted or kept at depth L."""
    left = {named(read.token_text(trace, i)) for i in trace.top_ids[t, -1].tolist()} | {named(read.emitted_text(trace, t))}
    return named(read.token_text(trace, token)).casefold() not in {name.casefold() for name in left}


def _unopposed(trace: Trace, t: int) -> bool:
    tops = trace.top_ids[t, read.half(trace) :, 0].tolist()
    return not any(i != trace.answer_ids[t] and read.is_word(read.token_text(trace, i)) for i in tops)


def prefix(trace: Trace, t: int, *, words: int = 6) -> str:
    """What had been written before answer token ``t``: the last few words of it."""
    whole = "".join(trace.tokens[:t]).split()
    return ("… " if len(whole) > words else "") + " ".join(whole[-words:])


def _share(trace: Trace, t: int) -> float:
    return read.handover_depth(trace, t) / trace.depths


def _text(trace: Trace, t: int, depth: int) -> str:
    return read.text_at(trace, t, read.top_token(trace, t, depth))


READINGS: Mapping[str, Reading] = {
    # whole numbers
    "position": Reading("whole", "t", lambda trace, t: len(trace.prompt_ids) + t + 1),
    "length": Reading("whole", "", lambda trace: trace.length),
    "blocks": Reading("whole", "", lambda trace: trace.depths),
    "settle": Reading("whole", "t", _settled),
    "handover": Reading("whole", "t", read.handover_depth),
    "upper_depths": Reading("whole", "", _upper_depths),
    "marks_until": Reading("whole", "t", marks_until),
    "run_start": Reading("whole", "tdi", _run_start),
    "run_end": Reading("whole", "tdi", _run_end),
    "first_on_top": Reading("whole", "ti", lambda trace, t, i: runs(trace, t, i)[0][0] if runs(trace, t, i) else None),
    "last_on_top": Reading("whole", "ti", lambda trace, t, i: runs(trace, t, i)[-1][1] if runs(trace, t, i) else None),
    "depths_on_top": Reading("whole", "ti", _on_top),
    "peak_depth": Reading("whole", "ti", lambda trace, t, i: (_peak(trace, t, i) or (None,))[0]),
    "place": Reading("whole", "ti", place),
    "came_up": Reading("whole", "t", came_up),
    "word_number": Reading("whole", "t", lambda trace, t: (word := word_of(trace, t)) and word.number),
    "choices": Reading("whole", "t", lambda trace, t: round(read.perplexity(trace, t))),
    # probabilities and other shares
    "handover_share": Reading("share", "t", _share),
    "emitted_prob": Reading("share", "t", lambda trace, t: float(trace.emitted_prob[t, -1])),
    "sampled_prob": Reading("share", "t", lambda trace, t: float(trace.sampled_prob[t])),
    "top_prob": Reading("share", "td", lambda trace, t, depth: float(trace.top_probs[t, depth, 0])),
    "final_prob": Reading("share", "ti", lambda trace, t, i: read.kept_prob(trace, t, trace.depths, i)),
    "peak_prob": Reading("share", "ti", lambda trace, t, i: (_peak(trace, t, i) or (None, None))[1]),
    "sureness": Reading("share", "", read.sureness),
    "entropy": Reading("nats", "t", lambda trace, t: float(trace.entropy[t, -1])),
    # tokens and text
    "emitted": Reading("token", "t", read.emitted_text),
    "word": Reading("token", "t", lambda trace, t: (word := word_of(trace, t)) and word.text),
    "top": Reading("token", "td", _text),
    "candidate": Reading("token", "ti", lambda trace, t, i: read.text_at(trace, t, i) if _is_kept(trace, t, i) else None),
    "prefix": Reading("text", "t", prefix),
    # claims: the whole sentence is what is shown, and it stands only where the reading is true
    "is_first": Reading("claim", "t", lambda trace, t: t == 0),
    "is_silent": Reading("claim", "", lambda trace: trace.length == 0),
    "is_all_control": Reading("claim", "", lambda trace: bool(trace.length) and bool(trace.special.all())),
    "is_wordless": Reading("claim", "", lambda trace: bool(trace.length) and read.pivotal(trace) is None),
    "is_pivotal": Reading("claim", "t", lambda trace, t: read.pivotal(trace) == t),
    "settled_at_half": Reading("claim", "t", lambda trace, t: (_settled(trace, t) or trace.depths + 1) <= read.half(trace)),
    "settled_before_last": Reading("claim", "t", lambda trace, t: (_settled(trace, t) or trace.depths) < trace.depths),
    "settled_at_last": Reading("claim", "t", lambda trace, t: _settled(trace, t) == trace.depths),
    "never_settled": Reading("claim", "t", lambda trace, t: _settled(trace, t) is None),
    "took_top": Reading("claim", "t", lambda trace, t: bool(trace.emitted_rank[t, -1] == 0)),
    "passed_over_top": Reading("claim", "t", lambda trace, t: bool(trace.emitted_rank[t, -1] > 0)),
    "was_drawn": Reading("claim", "t", lambda trace, t: float(trace.sampled_prob[t]) != 1.0),
    "handed_over_last": Reading("claim", "t", lambda trace, t: read.handover_depth(trace, t) == trace.depths),
    "handed_over_before": Reading("claim", "t", lambda trace, t: read.handover_depth(trace, t) < trace.depths),
    "is_unopposed": Reading("claim", "t", _unopposed),
    "is_single_run": Reading("claim", "ti", lambda trace, t, i: len(runs(trace, t, i)) == 1),
    "is_broken_run": Reading("claim", "ti", lambda trace, t, i: len(runs(trace, t, i)) > 1),
    "is_whole_word": Reading("claim", "t", _is_whole_word),
    "is_piece_of_word": Reading("claim", "t", lambda trace, t: _is_whole_word(trace, t) is False),
    "is_close_rival": Reading("claim", "ti", lambda trace, t, i: i in close_rivals(trace, t)),
    "has_no_close_rival": Reading("claim", "t", _no_close_rival),
    "is_next_word": Reading("claim", "ti", lambda trace, t, i: next_word(trace, t) == i),
    "is_twin": Reading("claim", "ti", _reads_otherwise),
    "is_gone": Reading("claim", "ti", _is_gone),
    "is_below_peak": Reading("claim", "ti", _is_below_peak),
    "is_denial": Reading("claim", "ti", lambda trace, t, i: read.is_denial(read.token_text(trace, i))),
    "led_most": Reading("claim", "ti", lambda trace, t, i: 2 * _on_top(trace, t, i) > _upper_depths(trace)),
    "is_easiest": Reading("claim", "t", lambda trace, t: easiest(trace) == t),
    "is_second": Reading("claim", "t", lambda trace, t: second_pivot(trace) == t),
    "is_closing": Reading("claim", "t", lambda trace, t: t == trace.length - 1 > 0 and bool(trace.special[t])),
    **{
        f"is_{name}": Reading("claim", "t", lambda trace, t, name=name: mood(trace, t) == name)
        for name in ("overruled", "certain", "lost", "torn", "plain", "nowhere")
    },
    **EVIDENCE,
}


def needed(name: str, where: Where) -> Where:
    """The part of a place that this fact depends on."""
    needs = READINGS[name].needs
    return Where(*(value if need in needs else None for need, value in zip(NEEDS, where, strict=True)))


def value_of(trace: Trace, name: str, where: Where) -> Value:
    """Read one fact; None when it has no value there, when the place lies outside of the trace, or for an unknown name."""
    reading = READINGS.get(name)
    if reading is None or trace.depths < 1:
        return None
    limits = (trace.length, trace.depths + 1, None, len(trace.prompt_ids), trace.depths + 1, 2, None)
    places = dict(zip(NEEDS, zip(where, limits, strict=True), strict=True))
    arguments = []
    for need in reading.needs:
        value, limit = places[need]
        if value is None or value < (need == "b") or (limit is not None and value >= limit):
            return None
        arguments.append(value)
    read_value: Value = reading.of(trace, *arguments)
    return None if isinstance(read_value, float) and not np.isfinite(read_value) else read_value
