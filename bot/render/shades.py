"""What the cells of a heat map may be coloured by, and the scale of each. Knows no canvas.

Every map rises in lightness from end to end, so that it tells the same without colours; bright is near the model's own output
for probability, KL and rank, and bright is undecided for the entropy.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import ListedColormap, LogNorm, Normalize, PowerNorm

from bot.render.wording import percent
from models.trace import FloatArray, Trace

Colour = Literal["probability", "entropy", "kl", "rank"]
COLOURS: tuple[Colour, ...] = get_args(Colour)
NEAR = 0.1
"""Nats of KL below which two distributions are shown as the same."""
_STEPS = np.linspace(0.07, 1.0, 256)
"""Without the black end of a map, which would look like a hole in the picture."""


@dataclass(frozen=True, slots=True, eq=False)
class Shade:
    """The values of all cells and how they become colours."""

    values: FloatArray  # (T, L+1)
    colours: ListedColormap
    norm: Normalize
    ticks: tuple[tuple[float, str], ...]
    """Values on the scale, and how they are written."""

    def bright(self, value: float) -> bool:
        """Whether dark letters are read better on the colour of a value."""
        red, green, blue, _ = self.colours(float(self.norm(value)))
        return bool(0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2 > 0.2)

    def scale(self) -> FloatArray:
        """Values in even steps of colour from one end of the scale to the other, (1, 256)."""
        return np.asarray(self.norm.inverse(np.linspace(0.0, 1.0, 256)), dtype=np.float32)[None, :]


def shade(trace: Trace, colour: Colour) -> Shade:
    """The scale is that of the whole trace, so that its pages can be compared.

    Raises:
        ValueError: cells cannot be coloured by this.
    """
    if colour == "probability":
        ticks = tuple((value, percent(value).replace(".0", "")) for value in (0.0, 0.05, 0.25, 0.5, 1.0))
        return Shade(trace.emitted_prob, _map("inferno"), PowerNorm(0.5, vmin=0.0, vmax=1.0), ticks)
    if colour == "entropy":
        top = _ceiling(trace.entropy)
        return Shade(trace.entropy, _map("plasma"), Normalize(0.0, top), _even(top))
    if colour == "kl":
        return _kl(trace)
    if colour == "rank":
        return _ranks(trace)
    raise ValueError(f"cells cannot be coloured by {colour}, only by one of {', '.join(COLOURS)}")


def _kl(trace: Trace) -> Shade:
    """Depth 0, which reads back the input and is very far from the end, does not stretch the scale: it is cut to its dark end."""
    top = max(10.0, _ceiling(trace.kl_to_final[:, 1:]))
    values = np.clip(trace.kl_to_final, NEAR, top)
    ticks = [(NEAR, f"≤{NEAR:g}"), (1.0, "1"), (10.0, "10"), *([(top, f"≥{top:g}")] if top > 20 else [])]
    return Shade(values, _map("viridis_r"), LogNorm(NEAR, top), tuple(ticks))


def _ranks(trace: Trace) -> Shade:
    ranks = (trace.emitted_rank + 1).astype(np.float32)  # 1 is top-1
    tens = max(1, math.ceil(math.log10(max(float(ranks.max(initial=1.0)), 2.0))))
    every = 1 if tens < 5 else 2
    ticks = tuple((10.0**ten, f"{10**ten:,}") for ten in range(0, tens + 1, every))
    return Shade(ranks, _map("inferno_r"), LogNorm(1.0, 10.0**tens), ticks)


def _map(name: str) -> ListedColormap:
    steps = _STEPS if not name.endswith("_r") else 1.0 - _STEPS[::-1]
    return ListedColormap(colormaps[name](steps), name=f"lens {name}")


def _ceiling(values: FloatArray) -> float:
    """The next whole number above what occurs; what is not finite does not count."""
    finite = values[np.isfinite(values)]
    return float(max(1, math.ceil(float(finite.max(initial=0.0)))))


def _even(top: float) -> tuple[tuple[float, str], ...]:
    step = max(1, math.ceil(top / 4))
    return tuple((float(value), str(value)) for value in range(0, int(top) + 1, step))
