"""The named figures of a trace: settle depth, considered tokens, handover, pivotal token. NumPy only.

Every figure is a function of the trace alone, so that the monologue's verifier can recompute it. What the figures are used
for, and in which words they are told, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.trace import FloatArray, Trace

_SAYING = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion once twice half none
    nobody nothing many several few no not never neither yes true false maybe cannot
    零 一 二 两 三 四 五 六 七 八 九 十 百 千 万 亿 半 是 否 不 没 无 对 错 没有 不是"""
_DENYING = "no not none never nothing nobody neither nor cannot zero 0 没 不 无 否 零 没有 不是"
_FUNCTION = """a an the this that these those there here it its it's he she they we you i i'm my your his her their our me him
    them us is are was were be been being am has have had do does did will would can could may might shall should of in on at to
    for from by with as and or but if so than then too also into about which who what when where how while because just very such
    some any s t m re ve ll d 的 了 在 和 与 我 你 他 她 它 们 这 那 有 个"""
SAYING_WORDS, DENYING_WORDS, FUNCTION_WORDS = (frozenset(words.split()) for words in (_SAYING, _DENYING, _FUNCTION))


@dataclass(frozen=True, slots=True)
class Considered:
    """A token that was top-1 at some depth >= L/2, or in the top-k at depth L, and was not emitted."""

    id: int
    text: str
    first_depth: int | None
    """The first depth >= L/2 at which it was top-1; None when it only stood among the last candidates."""
    last_depth: int | None
    """The last depth at which it was top-1; None as above."""
    depths_on_top: int
    """At how many depths >= L/2 it was top-1."""
    peak_depth: int
    """The depth >= L/2 at which its kept probability was highest."""
    peak_prob: float
    final_prob: float | None
    """Its probability at depth L; None when it is not among the k kept there."""


def predicts(trace: Trace) -> bool:
    """Whether its depths say what would be predicted there. The Jacobian lens reads dispositions: no named figure of such a trace
    is shown or told.
    """
    return trace.lens != "jacobian"


def half(trace: Trace) -> int:
    """The first depth that counts as the second half: ceil(L/2)."""
    return (trace.depths + 1) // 2


def settle_depth(trace: Trace, t: int) -> int | None:
    """The smallest depth from which the emitted token stays top-1 up to L; None when it is not top-1 at L."""
    on_top = trace.emitted_rank[t] == 0
    if not on_top[-1]:
        return None
    below = np.flatnonzero(~on_top)
    return int(below[-1]) + 1 if below.size else 0


def first_seen_depth(trace: Trace, t: int) -> int | None:
    """The first depth at which the emitted token is top-1 at all. Depth 0 counts: callers that tell it must not."""
    on_top = np.flatnonzero(trace.emitted_rank[t] == 0)
    return int(on_top[0]) if on_top.size else None


def handover_depth(trace: Trace, t: int) -> int:
    """The smallest depth from which KL(final || depth) stays below half of its value at depth L/2.

    "The depth at which the distribution starts to be the final one." Never above L, where KL is 0; L when KL at L/2 is 0.
    """
    kl = trace.kl_to_final[t]
    limit = kl[half(trace)] / 2
    over = np.flatnonzero(~(kl < limit))
    if not over.size:
        return 0
    return min(int(over[-1]) + 1, trace.depths)


def considered(trace: Trace, t: int) -> tuple[Considered, ...]:
    """The considered tokens of answer token ``t``: those longest on top first, then by their final probability."""
    start, emitted = half(trace), int(trace.answer_ids[t])
    tops = trace.top_ids[t, :, 0]  # (L+1,)
    ids = dict.fromkeys([*(int(i) for i in tops[start:]), *(int(i) for i in trace.top_ids[t, -1])])
    found = [_one_considered(trace, t, i, start) for i in ids if i != emitted]
    return tuple(sorted(found, key=lambda c: (-c.depths_on_top, -(c.final_prob or 0.0), -c.peak_prob, c.id)))


def _one_considered(trace: Trace, t: int, token: int, start: int) -> Considered:
    on_top = [int(d) + start for d in np.flatnonzero(trace.top_ids[t, start:, 0] == token)]
    kept = np.where(trace.top_ids[t] == token, trace.top_probs[t], 0.0).max(axis=1)  # (L+1,)
    peak = start + int(kept[start:].argmax())
    final = float(kept[-1]) if bool((trace.top_ids[t, -1] == token).any()) else None
    return Considered(
        id=token,
        text=token_text(trace, token),
        first_depth=on_top[0] if on_top else None,
        last_depth=on_top[-1] if on_top else None,
        depths_on_top=len(on_top),
        peak_depth=peak,
        peak_prob=float(kept[peak]),
        final_prob=final,
    )


def top_token(trace: Trace, t: int, depth: int) -> int:
    """The id that is top-1 at ``depth``."""
    return int(trace.top_ids[t, depth, 0])


def token_text(trace: Trace, token: int) -> str:
    """The display string of an id, or a visible stand-in when the trace does not carry one."""
    return trace.pieces.get(token) or f"⟨{token}⟩"


def emitted_text(trace: Trace, t: int) -> str:
    """The display string of answer token ``t``. "" in ``tokens`` is a piece of a character; its own piece is shown then."""
    return trace.tokens[t] or token_text(trace, int(trace.answer_ids[t]))


def runner_up(trace: Trace, t: int) -> int | None:
    """The likeliest kept token at depth L other than the emitted one; None when k keeps no other."""
    others = [int(i) for i in trace.top_ids[t, -1] if i != trace.answer_ids[t]]
    return others[0] if others else None


def text_at(trace: Trace, t: int, token: int) -> str:
    """The display string of an id at answer token ``t``: the emitted one reads as it does in the answer."""
    return emitted_text(trace, t) if token == trace.answer_ids[t] else token_text(trace, token)


def kept_prob(trace: Trace, t: int, depth: int, token: int) -> float | None:
    """The probability of any id at ``depth``; None when it is neither emitted nor among the k kept there."""
    if token == trace.answer_ids[t]:
        return float(trace.emitted_prob[t, depth])
    places = np.flatnonzero(trace.top_ids[t, depth] == token)
    return float(trace.top_probs[t, depth, places[0]]) if places.size else None


def run_end(trace: Trace, t: int, depth: int) -> int:
    """The last depth of the unbroken run over which the top-1 of ``depth`` stays top-1."""
    tops = trace.top_ids[t, depth:, 0]
    changes = np.flatnonzero(tops != tops[0])
    return depth + (int(changes[0]) if changes.size else tops.size) - 1


def run_start(trace: Trace, t: int, depth: int) -> int:
    """The first depth of the unbroken run over which the top-1 of ``depth`` is top-1. Depth 0 is no prediction: at least 1."""
    tops = trace.top_ids[t, : depth + 1, 0]
    changes = np.flatnonzero(tops != tops[-1])
    return max(int(changes[-1]) + 1 if changes.size else 0, min(1, depth))


def distinct_tops(trace: Trace, t: int) -> int:
    """How many different tokens were top-1 at the depths >= L/2."""
    return len(set(trace.top_ids[t, half(trace) :, 0].tolist()))


def surprisal(trace: Trace, t: int) -> float:
    """Surprisal of the emitted token at depth L, temperature 1, in nats; never infinite, even for a probability of 0."""
    return float(-np.log(max(float(trace.emitted_prob[t, -1]), float(np.finfo(np.float32).tiny))))


def kl_at_half(trace: Trace, t: int) -> float:
    """KL(final || depth L/2) in nats: how far the distribution still had to go."""
    return float(trace.kl_to_final[t, half(trace)])


def perplexity(trace: Trace, t: int) -> float:
    """exp(entropy) at depth L: over how many equally likely tokens the distribution would be spread as thin."""
    return float(np.exp(trace.entropy[t, -1]))


def sureness(trace: Trace) -> float | None:
    """How sure the answer was: the geometric mean of its tokens' final probabilities at temperature 1.

    Control tokens are left out (the closing one is nearly free); None when nothing else was emitted.
    """
    spoken = [t for t in range(trace.length) if not trace.special[t]]
    return float(np.exp(-np.mean([surprisal(trace, t) for t in spoken]))) if spoken else None


def mean_token_prob(trace: Trace) -> float | None:
    """The geometric mean of all emitted tokens' final probabilities, control tokens too: what stands under the answer."""
    return float(np.exp(-np.mean([surprisal(trace, t) for t in range(trace.length)]))) if trace.length else None


def mean_final_prob(trace: Trace) -> float | None:
    """The arithmetic mean of the same probabilities without control tokens; None when nothing was emitted but control tokens."""
    spoken = ~trace.special
    return float(trace.emitted_prob[spoken, -1].mean()) if spoken.any() else None


def is_word(text: str) -> bool:
    """Whether a token says anything: at least one letter or digit of any script. Broken bytes, spaces and marks do not."""
    return any(char.isalnum() for char in text)


def is_denial(text: str) -> bool:
    """Whether a token denies by itself: no, not, none, zero, 没有 …"""
    return _bare(text) in DENYING_WORDS


def word_weight(text: str, *, before: str = "", repeated: bool = False) -> float:
    """How much an answer can hang on this token, 0 to 1, by its display string and the characters ``before`` it.

    1 for numbers, number words, yes and no; 0.6 for other words, 0.3 when ``repeated`` from the prompt; 0.1 for function words
    and for pieces that merely go on with a word or number; 0 when it is no word at all.
    """
    if not is_word(text):
        return 0.0
    bare = _bare(text)
    if bare in FUNCTION_WORDS or (before and _goes_on(before[-1], text[0])):
        return 0.1
    if bare in SAYING_WORDS or bare.isnumeric():
        return 1.0
    return 0.3 if repeated else 0.6


def _bare(text: str) -> str:
    return text.strip().strip(".,:;!?\"'“”‘’()*_").lower()


def _goes_on(last: str, first: str) -> bool:
    """Whether two characters that touch stand in one word. Scripts without spaces (CJK) begin a new one at each token."""
    return (last.isalnum() or last in "'’-") and (first.isalnum() or first in "'’") and max(last, first) < "\u2e80"


def pivot_scores(trace: Trace) -> FloatArray:
    """How much was decided at each answer token, shape (T,): ``doubt * weight / (1 + t/20)``, 0 where nothing can have been.

    * doubt = (1 - final probability of the emitted token) + half the share of the depths >= 2L/3 whose top-1 was another *word*.
      The first term is about depth L alone; the second finds answers that were contested on the way up.
    * weight = `word_weight`; words that the prompt already holds are mostly the question read back.
    * the divisor prefers early tokens: a long answer is commentary on its beginning.

    Whitespace, punctuation and special tokens score 0. Tuned by hand on the default model's answers to some thirty trick
    questions; it is a choice of what to tell, not a measurement.
    """
    late = -(-2 * trace.depths // 3)
    prompt = set(trace.prompt_ids.tolist())
    scores = np.zeros(trace.length, dtype=np.float32)
    for t, text in enumerate(trace.tokens):
        if not is_word(text) or trace.special[t]:
            continue
        emitted = int(trace.answer_ids[t])
        rivals = (int(i) for i in trace.top_ids[t, late:, 0] if i != emitted)
        contested = sum(is_word(trace.pieces.get(i, "")) for i in rivals) / (trace.depths + 1 - late)
        doubt = 1.0 - float(trace.emitted_prob[t, -1]) + contested / 2
        weight = word_weight(text, before="".join(trace.tokens[max(0, t - 2) : t]), repeated=emitted in prompt)
        scores[t] = doubt * weight / (1 + t / 20)
    return scores


def pivotal(trace: Trace) -> int | None:
    """The answer token where the answer was decided: the best `pivot_scores`, the earlier at a tie; None when all are 0."""
    scores = pivot_scores(trace)
    return int(scores.argmax()) if scores.size and scores.max() > 0 else None
