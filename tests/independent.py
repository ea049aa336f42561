"""Every fact of the inner voice, recomputed from an untouched model by plain loops; nothing of the code under test.

A `World` is what is true of one answer: arrays by place, a name for each token id, and evidence on demand. `tests.untouched`
fills it from transformers' own forward passes over unchanged
weights; `of_trace` from the arrays of a trace, for the mutation check.
`RECOMPUTE` holds, for every fact's name, its definition written anew after docs/LENS.md. Knows no monologue, lens or probe.

Three things are taken from the trace and said so here: the numbers of random controls, which nobody can redraw without the code;
the name of a token that is only a piece of a character; and, for the agreement of samples, their count and grouping.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

SLACK = 1e-4
"""Absolute difference of two numbers that count as one; discrete facts may differ where it decides."""

_NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion
    零 一 二 两 三 四 五 六 七 八
    九 十 百 千 万 亿"""
_DENIALS = "no not none never nothing nobody neither nor cannot zero 0 没 不 无 否 零 没有 不是"
_WEIGHTY = _NUMBERS + " once twice half none nobody nothing many several few no not never neither yes true false maybe cannot"
_WEIGHTY += " 半 是 否 不 没 无 对 错 没有 不是"
_LIGHT = """a an the this that these those there here it its it's he she they we you i i'm my your his her their our me him them
    us is are was were be been being am has have had do does did will would can could may might shall should of in on at to
    for from by with as and or but if so than then too also into about which who what when where how while because just
    very such some any s t m re ve ll d 的 了 在 和 与 我 你 他 她 它 们 这 那 有 个"""
_SPLINTER, _BLANKS = (
    "(splinter)",
    {" ": "(space)", "\u00a0": "(hard)", "\t": "(tab)", "\n": "(line)", "\r\n": "(line)", "\n\n": "(gap)"},
)


@dataclass
class World:
    """What is true of one answer of T tokens to a prompt of P, in a model of L blocks, k candidates kept."""

    prompt: list[int]
    answer: list[int]
    words: list[str]
    """What each answer token added to the text."""
    control: list[bool]
    top: list[list[list[int]]]  # T x (L+1) x k, likeliest first
    top_p: list[list[list[float]]]
    p: list[list[float]]  # T x (L+1), of the emitted token
    rank: list[list[int]]
    kl: list[list[float]]
    entropy: list[float]  # T, depth L
    drawn: list[float]  # T
    name: Callable[[int], str]
    page: Callable[[int], str]
    """Name of an id of the prompt; "" where it is not known."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """By name, a function that computes it: pull, attention, attribution, causal, watched, report."""

    @property
    def blocks(self) -> int:
        return len(self.top[0]) - 1 if self.top else self.evidence["blocks"]

    @property
    def upper(self) -> list[int]:
        """The depths >= L/2."""
        return [d for d in range(self.blocks + 1) if 2 * d >= self.blocks]

    def lead(self, t: int, d: int) -> int:
        return self.top[t][d][0]

    def reads(self, t: int, token: int | None = None) -> str:
        """A token's text; the emitted one as it stands in the answer."""
        if token is None or token == self.answer[t]:
            return self.words[t] or self.name(self.answer[t])
        return self.name(token)

    def prob(self, t: int, token: int) -> float | None:
        """At depth L, of the emitted or of a kept token."""
        if token == self.answer[t]:
            return self.p[t][-1]
        pairs = [*zip(self.top[t][-1], self.top_p[t][-1], strict=True)]
        return dict(reversed(pairs)).get(token)  # an altered trace may list a token twice; the likelier place counts


# -- words -----------------------------------------------------------------------------------------------------------------------


def says(text: str) -> bool:
    return any(c.isalnum() for c in text)


def face(text: str) -> str:
    """What two tokens must share to read the same."""
    inside = text.strip()[1:-1].split() if text.strip().startswith("⟨") and text.endswith("⟩") else ["?"]
    if not text.strip("\ufffd") or all(len(byte) == 2 and byte[0] in "89ABCDEF" for byte in inside):
        return _SPLINTER
    if not text.strip():
        return _BLANKS.get(text, "(white)")
    return text[1:] if text[0] in " ▁" else text


def plain(text: str) -> str:
    return text.strip().casefold()


def core(text: str) -> str:
    return text.strip().strip(".,:;!?\"'“”‘’()*_").lower()


def weight(w: World, t: int) -> float:
    text, before = w.words[t], "".join(w.words[max(0, t - 2) : t])
    if not says(text):
        return 0.0
    if core(text) in _LIGHT.split():
        return 0.1
    if before:
        one, two = before[-1], text[0]
        if max(one, two) < "\u2e80" and (one.isalnum() or one in "'’-") and (two.isalnum() or two in "'’"):
            return 0.1
    if core(text) in _WEIGHTY.split() or core(text).isnumeric():
        return 1.0
    return 0.3 if w.answer[t] in w.prompt else 0.6


# -- figures ---------------------------------------------------------------------------------------------------------------------


def settle(w: World, t: int) -> int | None:
    found = None
    for d in range(w.blocks, 0, -1):
        if w.rank[t][d] != 0:
            break
        found = d
    return found


def handover(w: World, t: int) -> int:
    limit = w.kl[t][w.upper[0]] / 2
    for d in range(w.blocks + 1):
        if all(w.kl[t][e] < limit for e in range(d, w.blocks + 1)):
            return d
    return w.blocks


def runs(w: World, t: int) -> Iterator[tuple[int, int, int]]:
    """Token, first and last depth of each unbroken run on top; depth 0 begins none, for it is no prediction."""
    d = 0
    while d <= w.blocks:
        end = d
        while end < w.blocks and w.lead(t, end + 1) == w.lead(t, d):
            end += 1
        yield w.lead(t, d), max(d, min(1, end)), end
        d = end + 1


def reign(w: World, t: int, token: int) -> list[tuple[int, int]]:
    return [(start, end) for i, start, end in runs(w, t) if i == token and end >= w.upper[0]]


def run_at(w: World, t: int, d: int, token: int) -> tuple[int, int] | None:
    if w.lead(t, d) != token:
        return None
    start = end = d
    while start > 0 and w.lead(t, start - 1) == token:
        start -= 1
    while end < w.blocks and w.lead(t, end + 1) == token:
        end += 1
    return (max(start, min(1, d)), end)


def peak(w: World, t: int, token: int) -> tuple[int, float] | None:
    best = None
    for start, end in reign(w, t, token):
        for d in range(start, end + 1):
            if best is None or w.top_p[t][d][0] > best[1]:
                best = (d, w.top_p[t][d][0])
    return best


def marks_until(w: World, t: int) -> int | None:
    wordless = None
    for d in w.upper:
        if says(w.reads(t, w.lead(t, d))):
            return wordless
        wordless = d
    return wordless


def next_word(w: World, t: int) -> int | None:
    for token in w.top[t][-1]:
        if token != w.answer[t] and says(w.name(token)) and face(w.name(token)) != face(w.reads(t)):
            return token
    return None


def place(w: World, t: int, token: int) -> int | None:
    if token == w.answer[t]:
        return w.rank[t][-1] + 1
    return w.top[t][-1].index(token) + 1 if token in w.top[t][-1] else None


def twin(w: World, t: int, token: int) -> bool:
    return token != w.answer[t] and says(w.name(token)) and plain(w.name(token)) == plain(w.reads(t))


def came_up(w: World, t: int) -> int | None:
    for d in range(1, w.blocks + 1):
        if w.lead(t, d) == w.answer[t] or twin(w, t, w.lead(t, d)):
            return d
    return None


def scores(w: World) -> list[float]:
    late = [d for d in range(w.blocks + 1) if 3 * d >= 2 * w.blocks]
    found = []
    for t in range(len(w.answer)):
        if w.control[t]:
            found.append(0.0)
            continue
        rivals = sum(w.lead(t, d) != w.answer[t] and says(w.name(w.lead(t, d))) for d in late)
        found.append((1 - w.p[t][-1] + rivals / len(late) / 2) * weight(w, t) / (1 + t / 20))
    return found


def best(values: Sequence[float]) -> int | None:
    return max(range(len(values)), key=lambda t: values[t]) if values and max(values) > 0 else None


def pivot(w: World) -> int | None:
    return best([float(np.float32(score)) for score in scores(w)])


def second(w: World) -> int | None:
    first = pivot(w)
    if first is None:
        return None
    return best([0.0 if abs(t - first) < 5 else float(np.float32(score)) for t, score in enumerate(scores(w))])


def easiest(w: World) -> int | None:
    words = [t for t in range(len(w.answer)) if not w.control[t] and says(w.words[t])]
    return max(words, key=lambda t: w.p[t][-1], default=None)


def sureness(w: World) -> float | None:
    logs = [math.log(max(w.p[t][-1], 1.1754944e-38)) for t in range(len(w.answer)) if not w.control[t]]
    return math.exp(sum(logs) / len(logs)) if logs else None


def from_nowhere(w: World, t: int) -> bool:
    bare = plain(w.reads(t))
    number = bare in [*_NUMBERS.split(), "none"] or bare.isnumeric()
    page = [*w.prompt, *w.answer[:t]]
    written = w.answer[t] in page or any(plain(w.page(i)) == bare for i in page)
    first = came_up(w, t)
    return w.rank[t][-1] == 0 and number and not written and first is not None and first >= 0.8 * w.blocks


def mood(w: World, t: int) -> str:
    mine = w.p[t][-1]
    if w.rank[t][-1] > 0:
        return "overruled"
    if mine >= 0.8:
        return "certain"
    if from_nowhere(w, t):
        return "nowhere"
    if math.exp(w.entropy[t]) >= 60 or w.top_p[t][-1][0] <= 0.12:
        return "lost"
    rival = next_word(w, t)
    return "torn" if rival is not None and (w.prob(t, rival) or 0.0) >= 0.6 * mine else "plain"


def candidate(w: World, t: int, token: int) -> str | None:
    known = token == w.answer[t] or any(token in w.top[t][d] for d in w.upper)
    return w.reads(t, token) if known else None


def prefix(w: World, t: int) -> str:
    said = "".join(w.words[:t]).split()
    return " ".join(said) if len(said) <= 6 else "… " + " ".join(said[-6:])


def gone(w: World, t: int, token: int) -> bool:
    left = [face(w.name(i)).casefold() for i in w.top[t][-1]] + [face(w.reads(t)).casefold()]
    return face(w.name(token)).casefold() not in left


def below_peak(w: World, t: int, token: int) -> bool:
    high, final = peak(w, t, token), w.prob(t, token)
    return high is not None and final is not None and final < high[1]


def unopposed(w: World, t: int) -> bool:
    return all(w.lead(t, d) == w.answer[t] or not says(w.name(w.lead(t, d))) for d in w.upper)


def on_top(w: World, t: int, token: int) -> int:
    return sum(w.lead(t, d) == token for d in w.upper)


def _first(found: Sequence[Any] | None, n: int = 0) -> Any:
    return found[n] if found else None


# -- evidence --------------------------------------------------------------------------------------------------------------------


@dataclass
class Pulled:
    pattern: str
    kl: float
    tops: tuple[tuple[str, float], tuple[str, float]]
    """Text and probability of the likeliest first token: with the pattern, without it."""


@dataclass
class Looked:
    shares: dict[int, float]
    """By place in the prompt, those that say something."""
    sink: float
    names: Callable[[int], str]


@dataclass
class Ledger:
    against: int
    lead: float
    pushes: list[tuple[float, float]]
    """Attention and MLP of each block."""
    rest: tuple[float, float]
    """Embedding and constant: no block's, but a share in the lead all the same."""


@dataclass
class Removed:
    logprob: float
    top: int
    left: list[tuple[float, int, float]]
    """Without each block: log-probability of the emitted token, the likeliest token, its probability."""
    control: list[tuple[float, int]]
    jitter: list[float] | None = None
    """Nats by which each figure moves with the rounding; a figure that moves by more than 3e-5 is no fact."""

    def flips(self) -> list[int]:
        real = [b for b, (_, top, _) in enumerate(self.left) if top != self.top and self.control[b][1] == self.top]
        return [b + 1 for b in sorted(real, key=lambda b: (self.left[b][0], b))]

    def noise(self) -> int:
        return sum(top != self.top and other != self.top for (_, top, _), (_, other) in zip(self.left, self.control, strict=True))

    def drop(self, block: int) -> float:
        return self.logprob - self.left[block - 1][0]

    def steady(self, block: int) -> bool:
        return self.jitter is None or self.jitter[block - 1] <= 3e-5


@dataclass
class Followed:
    word: str
    whole: bool
    p: list[list[float]]  # T x (L+1)


def ask(w: World, what: str, *where: int) -> Any:
    """A piece of evidence; None where it was not looked for."""
    found = w.evidence.get(what)
    return found(*where) if found is not None else None


def of_pull(read: Callable[[Pulled], Any]) -> Callable[..., Any]:
    def value(w: World, at: Any) -> Any:
        pulled = ask(w, "pull")
        return None if pulled is None else read(pulled)

    return value


def same_first(pulled: Pulled) -> bool:
    one, two = (face(text.strip()).casefold() for text, _ in pulled.tops)
    return one == two


def of_look(read: Callable[[Looked, int], Any]) -> Callable[..., Any]:
    def value(w: World, at: Any) -> Any:
        looked = ask(w, "attention", at.t)
        return None if looked is None or (at.p is not None and at.p not in looked.shares) else read(looked, at.p)

    return value


def of_ledger(read: Callable[[Ledger, Any], Any]) -> Callable[..., Any]:
    def value(w: World, at: Any) -> Any:
        ledger = ask(w, "attribution", at.t)
        return None if ledger is None else read(ledger, at)

    return value


def hardest(ledger: Ledger, at: Any, sign: int) -> bool:
    pushes = [sign * value for pair in [*ledger.pushes, ledger.rest] for value in pair]
    mine = sign * ledger.pushes[at.block - 1][at.part]
    return mine > 0 and mine >= max(pushes)


def of_cause(read: Callable[[Removed, Any], Any]) -> Callable[..., Any]:
    def value(w: World, at: Any) -> Any:
        removed = ask(w, "causal", at.t)
        return None if removed is None else read(removed, at)

    return value


def without(w: World, at: Any) -> str | None:
    removed = ask(w, "causal", at.t)
    return None if removed is None else w.reads(at.t, removed.left[at.block - 1][1])


def outdrops(removed: Removed, at: Any) -> bool:
    return removed.drop(at.block) > max(0.0, max(removed.logprob - logprob for logprob, _ in removed.control))


def costliest(removed: Removed) -> int:
    return min(range(len(removed.left)), key=lambda b: removed.left[b][0]) + 1


def of_watch(read: Callable[[Followed, Any], Any]) -> Callable[..., Any]:
    def value(w: World, at: Any) -> Any:
        watched = ask(w, "watched") or []
        return read(watched[at.word], at) if at.word < len(watched) else None

    return value


def followed_peak(word: Followed, at: Any) -> tuple[int, float]:
    d = max(range(1, len(word.p[at.t])), key=lambda d: word.p[at.t][d])
    return d, word.p[at.t][d]


def of_report(name: str) -> Callable[..., Any]:
    return lambda w, at: (ask(w, "report") or {}).get(name) or (0.0 if (ask(w, "report") or {}).get(name) == 0.0 else None)


# -- every fact ------------------------------------------------------------------------------------------------------------------

RECOMPUTE: dict[str, tuple[str, Callable[[World, Any], Any]]] = {
    "position": ("whole", lambda w, at: len(w.prompt) + at.t + 1),
    "length": ("whole", lambda w, at: len(w.answer)),
    "blocks": ("whole", lambda w, at: w.blocks),
    "settle": ("whole", lambda w, at: settle(w, at.t)),
    "handover": ("whole", lambda w, at: handover(w, at.t)),
    "upper_depths": ("whole", lambda w, at: len(w.upper)),
    "marks_until": ("whole", lambda w, at: marks_until(w, at.t)),
    "run_start": ("whole", lambda w, at: _first(run_at(w, at.t, at.depth, at.id), 0)),
    "run_end": ("whole", lambda w, at: _first(run_at(w, at.t, at.depth, at.id), 1)),
    "first_on_top": ("whole", lambda w, at: _first(_first(reign(w, at.t, at.id), 0), 0)),
    "last_on_top": ("whole", lambda w, at: _first(_first(reign(w, at.t, at.id), -1), 1)),
    "depths_on_top": ("whole", lambda w, at: on_top(w, at.t, at.id)),
    "peak_depth": ("whole", lambda w, at: _first(peak(w, at.t, at.id), 0)),
    "place": ("whole", lambda w, at: place(w, at.t, at.id)),
    "came_up": ("whole", lambda w, at: came_up(w, at.t)),
    "choices": ("whole", lambda w, at: round(math.exp(w.entropy[at.t]))),
    "handover_share": ("share", lambda w, at: handover(w, at.t) / w.blocks),
    "emitted_prob": ("share", lambda w, at: w.p[at.t][-1]),
    "sampled_prob": ("share", lambda w, at: w.drawn[at.t]),
    "top_prob": ("share", lambda w, at: w.top_p[at.t][at.depth][0]),
    "final_prob": ("share", lambda w, at: w.prob(at.t, at.id)),
    "peak_prob": ("share", lambda w, at: _first(peak(w, at.t, at.id), 1)),
    "sureness": ("share", lambda w, at: sureness(w)),
    "entropy": ("nats", lambda w, at: w.entropy[at.t]),
    "emitted": ("token", lambda w, at: w.reads(at.t)),
    "top": ("token", lambda w, at: w.reads(at.t, w.lead(at.t, at.depth))),
    "candidate": ("token", lambda w, at: candidate(w, at.t, at.id)),
    "prefix": ("text", lambda w, at: prefix(w, at.t)),
    "is_first": ("claim", lambda w, at: at.t == 0),
    "is_silent": ("claim", lambda w, at: not w.answer),
    "is_all_control": ("claim", lambda w, at: bool(w.answer) and all(w.control)),
    "is_wordless": ("claim", lambda w, at: bool(w.answer) and pivot(w) is None),
    "is_pivotal": ("claim", lambda w, at: pivot(w) == at.t),
    "settled_at_half": ("claim", lambda w, at: settle(w, at.t) is not None and settle(w, at.t) <= w.upper[0]),
    "settled_before_last": ("claim", lambda w, at: settle(w, at.t) is not None and settle(w, at.t) < w.blocks),
    "settled_at_last": ("claim", lambda w, at: settle(w, at.t) == w.blocks),
    "never_settled": ("claim", lambda w, at: settle(w, at.t) is None),
    "took_top": ("claim", lambda w, at: w.rank[at.t][-1] == 0),
    "passed_over_top": ("claim", lambda w, at: w.rank[at.t][-1] > 0),
    "was_drawn": ("claim", lambda w, at: w.drawn[at.t] != 1.0),
    "handed_over_last": ("claim", lambda w, at: handover(w, at.t) == w.blocks),
    "handed_over_before": ("claim", lambda w, at: handover(w, at.t) < w.blocks),
    "is_unopposed": ("claim", lambda w, at: unopposed(w, at.t)),
    "is_single_run": ("claim", lambda w, at: len(reign(w, at.t, at.id)) == 1),
    "is_broken_run": ("claim", lambda w, at: len(reign(w, at.t, at.id)) > 1),
    "is_next_word": ("claim", lambda w, at: next_word(w, at.t) == at.id),
    "is_twin": ("claim", lambda w, at: twin(w, at.t, at.id) and face(w.name(at.id)) != face(w.reads(at.t))),
    "is_gone": ("claim", lambda w, at: gone(w, at.t, at.id)),
    "is_below_peak": ("claim", lambda w, at: below_peak(w, at.t, at.id)),
    "is_denial": ("claim", lambda w, at: core(w.name(at.id)) in _DENIALS.split()),
    "led_most": ("claim", lambda w, at: 2 * on_top(w, at.t, at.id) > len(w.upper)),
    "is_easiest": ("claim", lambda w, at: easiest(w) == at.t),
    "is_second": ("claim", lambda w, at: second(w) == at.t),
    "is_closing": ("claim", lambda w, at: at.t > 0 and at.t + 1 == len(w.answer) and w.control[at.t]),
    "is_overruled": ("claim", lambda w, at: mood(w, at.t) == "overruled"),
    "is_certain": ("claim", lambda w, at: mood(w, at.t) == "certain"),
    "is_lost": ("claim", lambda w, at: mood(w, at.t) == "lost"),
    "is_torn": ("claim", lambda w, at: mood(w, at.t) == "torn"),
    "is_plain": ("claim", lambda w, at: mood(w, at.t) == "plain"),
    "is_nowhere": ("claim", lambda w, at: mood(w, at.t) == "nowhere"),
    "pull": ("nats", of_pull(lambda pulled: pulled.kl)),
    "pull_with": ("token", of_pull(lambda pulled: pulled.tops[0][0])),
    "pull_with_prob": ("share", of_pull(lambda pulled: pulled.tops[0][1])),
    "pull_without": ("token", of_pull(lambda pulled: pulled.tops[1][0])),
    "pull_without_prob": ("share", of_pull(lambda pulled: pulled.tops[1][1])),
    "pull_differs": ("claim", of_pull(lambda pulled: not same_first(pulled))),
    "pull_agrees": ("claim", of_pull(same_first)),
    "pulled_by_story": ("claim", of_pull(lambda pulled: pulled.pattern == "story")),
    "pulled_by_chat": ("claim", of_pull(lambda pulled: pulled.pattern == "chat")),
    "looked_at": ("token", of_look(lambda looked, p: looked.names(p))),
    "look_share": ("share", of_look(lambda looked, p: looked.shares[p])),
    "is_most_looked_at": ("claim", of_look(lambda looked, p: looked.shares[p] >= max(looked.shares.values()))),
    "sink_share": ("share", of_look(lambda looked, p: looked.sink)),
    "against": ("token", lambda w, at: None if (found := ask(w, "attribution", at.t)) is None else w.name(found.against)),
    "lead": ("logits", of_ledger(lambda ledger, at: ledger.lead)),
    "push": ("logits", of_ledger(lambda ledger, at: ledger.pushes[at.block - 1][at.part])),
    "block": ("whole", lambda w, at: at.block),
    "part": ("part", lambda w, at: ("attention", "mlp")[at.part]),
    "is_hardest_push": ("claim", of_ledger(lambda ledger, at: hardest(ledger, at, 1))),
    "is_hardest_drag": ("claim", of_ledger(lambda ledger, at: hardest(ledger, at, -1))),
    "without": ("token", without),
    "without_prob": ("share", of_cause(lambda removed, at: removed.left[at.block - 1][2] if removed.steady(at.block) else None)),
    "drop": ("nats", of_cause(lambda removed, at: removed.drop(at.block) if removed.steady(at.block) else None)),
    "control_drop": ("nats", of_cause(lambda removed, at: max(removed.logprob - logprob for logprob, _ in removed.control))),
    "flip_count": ("whole", of_cause(lambda removed, at: len(removed.flips()))),
    "noise_count": ("whole", of_cause(lambda removed, at: removed.noise())),
    "flips": ("claim", of_cause(lambda removed, at: at.block in removed.flips())),
    "is_costliest_flip": ("claim", of_cause(lambda removed, at: at.block == _first(removed.flips()))),
    "is_costliest": ("claim", of_cause(lambda removed, at: costliest(removed) == at.block)),
    "outdrops": ("claim", of_cause(outdrops)),
    "flips_once": ("claim", of_cause(lambda removed, at: len(removed.flips()) == 1)),
    "flips_more": ("claim", of_cause(lambda removed, at: len(removed.flips()) > 1)),
    "flips_nowhere": ("claim", of_cause(lambda removed, at: not removed.flips() and not removed.noise())),
    "flips_like_noise": ("claim", of_cause(lambda removed, at: not removed.flips() and removed.noise() > 0)),
    "watched": ("token", of_watch(lambda word, at: word.word)),
    "watched_peak_depth": ("whole", of_watch(lambda word, at: followed_peak(word, at)[0])),
    "watched_peak": ("share", of_watch(lambda word, at: followed_peak(word, at)[1])),
    "watched_final": ("share", of_watch(lambda word, at: word.p[at.t][-1])),
    "is_whole": ("claim", of_watch(lambda word, at: word.whole)),
    "is_piece": ("claim", of_watch(lambda word, at: not word.whole)),
    "p_true": ("share", of_report("p_true")),
    "said": ("share", of_report("said")),
    "agreement": ("share", of_report("agreement")),
    "samples": ("whole", of_report("samples")),
    "groups": ("whole", of_report("groups")),
}


def recompute(w: World, fact: Any) -> Any:
    """The value of a fact by its name and place. Raises KeyError for a name that nobody has defined here."""
    return RECOMPUTE[fact.name][1](w, fact.where)


def agrees(told: Any, own: Any, *, slack: float = SLACK) -> bool:
    """Numbers within ``slack``; all else equal."""
    if isinstance(told, float) and isinstance(own, float):
        return abs(told - own) <= slack
    if isinstance(told, bool) or isinstance(own, bool):
        return bool(told) is bool(own)
    return bool(told == own)


# -- a world from a trace --------------------------------------------------------------------------------------------------------


def of_trace(trace: Any) -> World:
    """The arrays of a trace as they are, with the same definitions over them."""
    findings = trace.findings
    further = findings.causal.pieces if findings.causal is not None else {}
    w = World(
        prompt=trace.prompt_ids.tolist(),
        answer=trace.answer_ids.tolist(),
        words=list(trace.tokens),
        control=trace.special.tolist(),
        top=trace.top_ids.tolist(),
        top_p=trace.top_probs.tolist(),
        p=trace.emitted_prob.tolist(),
        rank=trace.emitted_rank.tolist(),
        kl=trace.kl_to_final.tolist(),
        entropy=[float(row[-1]) for row in trace.entropy],
        drawn=trace.sampled_prob.tolist(),
        name=lambda i: trace.pieces.get(i) or further.get(i) or f"⟨{i}⟩",
        page=lambda i: trace.pieces.get(i, ""),
        evidence={"blocks": trace.top_ids.shape[1] - 1},
    )
    w.kl = [[np.float32(value) for value in row] for row in w.kl]  # a half of a float32, as it was compared
    w.evidence |= {
        "pull": lambda: _told_pull(findings.pull),
        "attention": lambda t: _told_look(findings.attention, t),
        "attribution": lambda t: _told_ledger(findings.attribution, t),
        "causal": lambda t: _told_removals(findings.causal, t),
        "watched": lambda: _told_watched(findings.watched),
        "report": lambda: _told_report(findings.self_report),
    }
    return w


def _told_pull(pull: Any) -> Pulled | None:
    if pull is None:
        return None
    sides = ((pull.with_ids, pull.with_probs), (pull.without_ids, pull.without_probs))
    one, two = ((pull.pieces.get(int(ids[0])) or f"⟨{int(ids[0])}⟩", float(probs[0])) for ids, probs in sides)
    return Pulled(pull.pattern, float(pull.kl), (one, two))


def _told_look(attention: Any, t: int) -> Looked | None:
    if attention is None or t >= len(attention.positions):
        return None
    pairs = [*zip(attention.positions[t].tolist(), attention.weights[t].tolist(), strict=True)]
    shares = dict(reversed(pairs))  # a place that stands twice is read where it stands first
    return Looked(shares, float(attention.sink[t]), lambda p: attention.words.get(p))


def _told_ledger(found: Any, t: int) -> Ledger | None:
    if found is None or t >= len(found.against):
        return None
    rest = (float(found.embedding[t]), float(found.constant[t]))
    return Ledger(int(found.against[t]), float(found.difference[t]), [(a, m) for a, m in found.blocks[t].tolist()], rest)


def _told_removals(check: Any, t: int) -> Removed | None:
    blocks = [r for r in check.removals if r.part == "block"] if check is not None and check.t == t else []
    if not blocks:
        return None
    r = blocks[0]
    left = zip(r.logprob.tolist(), r.top_ids.tolist(), r.top_probs.tolist(), strict=True)
    control = zip(r.control_logprob.tolist(), r.control_top_ids.tolist(), strict=True)
    jitter = r.jitter
    return Removed(check.logprob, check.top_id, list(left), list(control), None if jitter is None else jitter.tolist())


def _told_watched(found: Any) -> list[Followed]:
    if found is None:
        return []
    return [Followed(word, whole, p.tolist()) for word, whole, p in zip(found.words, found.whole, found.probs, strict=True)]


def _told_report(report: Any) -> dict[str, Any] | None:
    names = ("p_true", "said", "agreement", "samples", "groups")
    return None if report is None else {name: getattr(report, name) for name in names}
