"""The figures of docs/LENS.md, by plain loops over a `World`."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.independent.world import NUMBERS, World, face, plain, says, weight


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
    number = bare in [*NUMBERS.split(), "none"] or bare.isnumeric()
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


def first_of(found: Sequence[Any] | None, n: int = 0) -> Any:
    return found[n] if found else None
