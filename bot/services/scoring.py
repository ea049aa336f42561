"""How well a figure tells wrong answers from right ones: AUROC, bootstrap intervals, calibration. NumPy alone.

Knows numbers; knows no questions and no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
REPLICATES = 1000
LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Interval:
    """A value and its bootstrap interval of 95 %."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers whose figure lies in [low, high): how many, their mean figure, and the share that was right."""

    low: float
    high: float
    count: int
    confidence: float
    right: float


def auroc(doubt: Sequence[float] | Numbers, wrong: Sequence[bool] | npt.NDArray[np.bool_]) -> float | None:
    """The probability that a wrong answer has more doubt than a right one, ties counting half; None without one of each."""
    values, is_wrong = np.asarray(doubt, dtype=np.float64), np.asarray(wrong, dtype=bool)
    positives = int(is_wrong.sum())
    negatives = is_wrong.size - positives
    if not positives or not negatives:
        return None
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2  # mean rank of each distinct value, from 1
    rank_sum = float(ranks[inverse][is_wrong].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def compared(
    doubt: Numbers, baseline: Numbers, wrong: npt.NDArray[np.bool_], groups: Sequence[str], *, seed: int = 0
) -> tuple[Interval, Interval] | None:
    """The AUROC of a figure, and its difference to the baseline's on the same answers; None where there is no AUROC.

    Whole ``groups`` are drawn (a trick with its twin), so that answers to like questions do not count as independent.
    """
    own, other = auroc(doubt, wrong), auroc(baseline, wrong)
    if own is None or other is None:
        return None
    members: dict[str, list[int]] = {}
    for at, name in enumerate(groups):
        members.setdefault(name, []).append(at)
    blocks = [np.asarray(block) for block in members.values()]
    rng = np.random.default_rng(seed)
    drawn: list[tuple[float, float]] = []
    for _ in range(REPLICATES):
        rows = np.concatenate([blocks[i] for i in rng.integers(0, len(blocks), len(blocks))])
        one, two = auroc(doubt[rows], wrong[rows]), auroc(baseline[rows], wrong[rows])
        if one is not None and two is not None:
            drawn.append((one, one - two))
    if not drawn:
        return None
    low, high = np.quantile(np.asarray(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    return Interval(own, float(low[0]), float(high[0])), Interval(own - other, float(low[1]), float(high[1]))


def reliability(confidence: Sequence[float] | Numbers, right: Sequence[bool] | npt.NDArray[np.bool_], bins: int = 5) -> list[Bin]:
    """Bins of equal width over [0, 1]; the last one holds 1, and those without answers are left out."""
    values, is_right = np.asarray(confidence, dtype=np.float64), np.asarray(right, dtype=bool)
    place = np.minimum((values * bins).astype(int), bins - 1)
    return [
        Bin(b / bins, (b + 1) / bins, int(here.sum()), float(values[here].mean()), float(is_right[here].mean()))
        for b in range(bins)
        if (here := place == b).any()
    ]


def calibration_error(bins: Sequence[Bin]) -> float | None:
    """Expected calibration error: the mean distance of figure and share right, weighted by the answers; None without any."""
    total = sum(b.count for b in bins)
    return sum(b.count * abs(b.confidence - b.right) for b in bins) / total if total else None
