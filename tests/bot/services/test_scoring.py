"""Scores against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.services.scoring import auroc, calibration_error, compared, reliability


def by_definition(doubt: list[float], wrong: list[bool]) -> float | None:
    bad = [d for d, w in zip(doubt, wrong, strict=True) if w]
    good = [d for d, w in zip(doubt, wrong, strict=True) if not w]
    pairs = [1.0 if b > g else 0.5 if b == g else 0.0 for b in bad for g in good]
    return sum(pairs) / len(pairs) if pairs else None


@given(st.lists(st.tuples(st.integers(-3, 3) | st.floats(-5, 5), st.booleans()), max_size=40))
def test_auroc_is_the_share_of_pairs_in_order(rows: list[tuple[float, bool]]) -> None:
    doubt, wrong = [float(d) for d, _ in rows], [w for _, w in rows]
    expected = by_definition(doubt, wrong)
    found = auroc(doubt, wrong)
    assert found == (None if expected is None else pytest.approx(expected))


def test_auroc_of_ties_of_the_best_and_of_the_worst() -> None:
    assert auroc([1, 1, 1, 1], [True, False, True, False]) == 0.5
    assert auroc([2, 1], [True, False]) == 1.0
    assert auroc([1, 2], [True, False]) == 0.0
    assert auroc([1, 2], [True, True]) is None


def test_the_calibration_error_by_hand() -> None:
    bins = reliability([0.1, 0.15, 0.5, 0.95, 1.0], [False, True, True, True, False], bins=5)
    assert [(b.low, b.count) for b in bins] == [(0.0, 2), (0.4, 1), (0.8, 2)]
    # |0.125 - 0.5| * 2/5 + |0.5 - 1| * 1/5 + |0.975 - 0.5| * 2/5
    assert calibration_error(bins) == pytest.approx(0.15 + 0.1 + 0.19)
    assert calibration_error([]) is None


def test_a_better_figure_is_told_from_the_baseline() -> None:
    rng = np.random.default_rng(1)
    wrong = rng.random(300) < 0.5
    good, noise = wrong + rng.normal(size=300) * 0.3, rng.normal(size=300)
    groups = [str(i // 2) for i in range(300)]
    found = compared(good, noise, wrong, groups)
    assert found is not None
    own, difference = found
    assert own.low <= own.value <= own.high
    assert difference.low > 0
    same = compared(noise, noise, wrong, groups)
    assert same is not None
    assert (same[1].low, same[1].value, same[1].high) == (0, 0, 0)
    assert compared(good, noise, np.ones(300, dtype=bool), groups) is None
    assert compared(good, noise, wrong, groups) == found  # the seed is fixed
