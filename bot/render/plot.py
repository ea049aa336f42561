"""A plotting area on a canvas: values to pixels, and labels that keep out of each other's way. Knows no traces."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bot.render.canvas import FAINT, GRID, Canvas

Values = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class Plot:
    """A rectangle of pixels with a range of values along each side."""

    canvas: Canvas
    left: float
    bottom: float
    width: float
    height: float
    xs: tuple[float, float]
    ys: tuple[float, float]
    scale: Callable[[Values], Values] = np.asarray
    """What the values along the upright side go through first."""

    def x(self, value: float) -> float:
        """The pixel of a value along the lying side."""
        low, high = self.xs
        return self.left + self.width * (value - low) / ((high - low) or 1.0)

    def y(self, value: float) -> float:
        """The pixel of a value along the upright side; values outside lie on its ends."""
        low, high = (float(self.scale(np.asarray(end, dtype=float))) for end in self.ys)
        at = float(self.scale(np.asarray(min(max(value, self.ys[0]), self.ys[1]), dtype=float)))
        return self.bottom + self.height * (at - low) / ((high - low) or 1.0)

    def rows(self, ticks: Sequence[tuple[float, str]], size: float = 20.0) -> None:
        """Lying lines with their labels on the left."""
        for value, label in ticks:
            y = self.y(value)
            self.canvas.line((self.left, self.left + self.width), (y, y), color=GRID)
            self.canvas.text(self.left - 12, y, label, size, color=FAINT, ha="right")

    def columns(self, ticks: Sequence[tuple[float, str]], size: float = 20.0, *, lines: bool = False) -> None:
        """Labels below, with upright lines if wanted."""
        for value, label in ticks:
            x = self.x(value)
            if lines:
                self.canvas.line((x, x), (self.bottom, self.bottom + self.height), color=GRID)
            self.canvas.text(x, self.bottom - 22, label, size, color=FAINT, ha="center")


def apart(places: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """The places moved as little as needed to lie ``gap`` apart between ``low`` and ``high``, in their order."""
    order = sorted(range(len(places)), key=lambda i: places[i])
    moved = [0.0] * len(places)
    floor = low
    for i in order:
        moved[i] = max(places[i], floor)
        floor = moved[i] + gap
    ceiling = high
    for i in reversed(order):
        moved[i] = min(moved[i], ceiling)
        ceiling = moved[i] - gap
    return moved


def depth_ticks(first: int, last: int, most: int = 8) -> list[tuple[float, str]]:
    """Round depths and the last one, with no two too near."""
    step = next(s for s in (1, 2, 5, 10, 20, 50, 100, 200, 500) if (last - first) / s <= most)
    inner = [d for d in range(first, last) if (d % step == 0 or d == first) and last - d >= 0.6 * step]
    inner = [d for i, d in enumerate(inner) if i == 0 or d - inner[0] >= 0.6 * step]
    return [(float(d), str(d)) for d in [*inner, last]]


def nice_ticks(low: float, high: float, most: int = 6) -> list[tuple[float, str]]:
    """Round values from ``low`` to ``high``."""
    rough = max(high - low, 1e-9) / most
    ten = 10.0 ** np.floor(np.log10(rough))
    step = float(next(ten * m for m in (1, 2, 5, 10) if ten * m >= rough))
    values = np.arange(np.ceil(low / step), np.floor(high / step) + 1) * step
    return [(float(v), f"{v:.6g}".replace("-", "−")) for v in values + 0.0]
