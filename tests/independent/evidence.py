"""Pattern, attention, attribution, removals, watched words and self-report, as an untouched model has them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.independent.world import World, face


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
