"""The picture of a comparison: two answers at their pivotal tokens, depth by depth, over the band of their controls.

Knows no Discord and no torch. Pure: bytes out, so that it may run in any thread. Depth 1 is on the left; above the probability of
the token that was emitted, below the entropy.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bot.render.canvas import BODY, FAINT, GREY, MARGIN, ORANGE, SKY, SMALL, WIDTH, Canvas, Heading, short
from bot.render.plot import Plot, apart, depth_ticks, nice_ticks
from bot.render.text import visible
from bot.render.wording import ENGLISH, Words, percent, words
from models.trace import FloatArray

LEFT, RIGHT, PANEL, BETWEEN, FOOT, LEGEND = 112, 64, 330, 116, 96, 150
"""Pixels: margins, height of a panel, room between two, below them, and of the legend above."""
A, B = (ORANGE, "solid"), (SKY, (0, (2.6, 1.2)))
"""Colour and dashes; either alone tells the lines apart."""
SHARES = [(share / 4, f"{share / 4:.0%}") for share in range(5)]


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One answer at its pivotal token, at the depths from 1 to L."""

    token: str = field(repr=False)
    probs: FloatArray  # (L,) of the emitted token
    entropies: FloatArray  # (L,) nats


def compare_png(
    a: Curve, b: Curve, controls: Sequence[Curve] = (), *, title: str = "", lens: str = "logit", locale: str = ENGLISH
) -> bytes:
    """The picture as PNG; without controls there is no band.

    Args:
        a: drawn as a full line.
        b: drawn as a dashed line, with as many depths.
        controls: drawn as a band from the lowest to the highest.
        title: stands under the heading, the model's name mostly.
        lens: what the depths were read through.
        locale: of the reader.
    """
    say = words(locale)
    under = " · ".join(part for part in (visible(title, limit=60), say.lens(lens)) if part)
    heading = Heading(WIDTH, say("compare_title"), under)
    canvas = Canvas(WIDTH, heading.height + LEGEND + 2 * PANEL + BETWEEN + FOOT)
    heading.draw(canvas)
    _legend(canvas, canvas.height - heading.height, a, b, len(controls), say)
    lower, upper = FOOT, FOOT + PANEL + BETWEEN
    highest = max(float(curve.entropies.max(initial=0.1)) for curve in (a, b, *controls)) * 1.06
    for bottom, name, top, ticks in ((upper, "probs", 1.0, SHARES), (lower, "entropies", highest, nice_ticks(0, highest, 4))):
        plot = Plot(canvas, LEFT, bottom, WIDTH - LEFT - RIGHT, PANEL, (min(1, len(a.probs) - 1), len(a.probs)), (0.0, top))
        plot.rows(ticks)
        plot.columns(depth_ticks(1, len(a.probs)))
        canvas.text(LEFT, bottom + PANEL + 32, say(f"compare_{name}"), SMALL)
        _curves(plot, getattr(a, name), getattr(b, name), [getattr(curve, name) for curve in controls])
    canvas.text(LEFT + (WIDTH - LEFT - RIGHT) / 2, 32, say("compare_depth"), SMALL, color=FAINT, ha="center")
    return canvas.png()


def _legend(canvas: Canvas, top: float, a: Curve, b: Curve, controls: int, say: Words) -> None:
    for x, name, curve, (colour, dash) in ((MARGIN, "A", a, A), (WIDTH / 2, "B", b, B)):
        canvas.line((x, x + 54), (top - 30, top - 30), color=colour, linewidth=4.5, linestyle=dash)
        told = short(f"{name}: {say.named(curve.token)}", WIDTH / 2 - 120, BODY)
        canvas.text(x + 68, top - 30, told, BODY, color=colour, weight="bold")
    if controls:
        canvas.box(MARGIN, top - 80, 54, 22, color=GREY, alpha=0.5)
        canvas.text(MARGIN + 68, top - 70, say("compare_band", count=controls), SMALL, color=FAINT)
    else:
        canvas.text(MARGIN, top - 70, say("compare_bare"), SMALL, color=FAINT)


def _curves(plot: Plot, a: FloatArray, b: FloatArray, band: Sequence[FloatArray]) -> None:
    """Each is (L,)."""
    xs = [plot.x(depth) for depth in range(1, len(a) + 1)]
    axes = plot.canvas.axes
    if band:
        low, high = ([plot.y(float(value)) for value in edge(band, axis=0)] for edge in (np.min, np.max))
        axes.fill_between(xs, low, high, color=GREY, alpha=0.5, linewidth=0, zorder=2)
    for order, (curve, (colour, dash)) in enumerate(((a, A), (b, B))):
        axes.plot(xs, [plot.y(float(value)) for value in curve], color=colour, linestyle=dash, linewidth=4.2, zorder=4 + order)
    places = apart([plot.y(float(curve[-1])) for curve in (a, b)], 32.0, plot.bottom + 12, plot.bottom + plot.height - 8)
    for name, y, (colour, _dash) in zip("AB", places, (A, B), strict=True):
        plot.canvas.text(plot.left + plot.width + 18, y, name, 30, color=colour, weight="bold")


def compare_alt(a: Curve, b: Curve, controls: Sequence[Curve] = (), *, locale: str = ENGLISH) -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the curves."""
    say, half, last = words(locale), (len(a.probs) + 1) // 2, len(a.probs)
    parts = [say("alt_compare", depths=last)]
    for name, curve in (("A", a), ("B", b)):
        at = {"half": half, "last": last, "one": percent(float(curve.probs[half - 1])), "two": percent(float(curve.probs[-1]))}
        spread = {"three": f"{curve.entropies[half - 1]:.2f}", "four": f"{curve.entropies[-1]:.2f}"}
        parts.append(say("alt_curve", name=name, token=say.named(curve.token), **at, **spread))
    if controls:
        ends = [[float(getattr(curve, name)[-1]) for curve in controls] for name in ("probs", "entropies")]
        shares = {"one": percent(min(ends[0])), "two": percent(max(ends[0]))}
        parts.append(say("alt_band", count=len(controls), **shares, three=f"{min(ends[1]):.2f}", four=f"{max(ends[1]):.2f}"))
    return say.alt(parts)
