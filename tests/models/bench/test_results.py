"""Figures, quartiles and slopes, by hand."""

import pytest

from models.bench.results import Figure, percentile, slope


def test_a_figure_has_its_median_and_its_spread() -> None:
    figure = Figure.of([4.0, 1.0, 3.0, 2.0, 5.0], "s")
    assert (figure.median, figure.low, figure.q1, figure.q3, figure.most, figure.n) == (3.0, 1.0, 2.0, 4.0, 5.0, 5)
    assert Figure.of([7.0], "s") == Figure(7.0, 7.0, 7.0, 7.0, 7.0, 1, "s")


def test_a_ratio_is_that_of_the_medians_with_the_spread_of_the_pairs() -> None:
    ratio = Figure.ratio([1.0, 2.0, 9.0], [2.0, 2.0, 3.0])
    assert ratio.median == 1.0  # 2 over 2; the pairs are 0.5, 1 and 3
    assert (ratio.low, ratio.most, ratio.q1, ratio.q3) == (0.5, 3.0, 0.75, 2.0)


def test_another_unit() -> None:
    assert Figure.of([1.0, 2.0], "s").scaled(1000, "ms") == Figure.of([1000.0, 2000.0], "ms")


@pytest.mark.parametrize(("percent", "value"), [(0, 10.0), (50, 25.0), (95, 38.5), (100, 40.0)])
def test_percentiles_lie_between_the_values(percent: float, value: float) -> None:
    assert percentile([40.0, 10.0, 30.0, 20.0], percent) == pytest.approx(value)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 2.0, -0.5])
def test_the_slope_is_the_exponent(exponent: float) -> None:
    sizes = [1, 2, 4, 8]
    assert slope(sizes, [3.0 * size**exponent for size in sizes]) == pytest.approx(exponent)
