"""The picture of asked-for words followed across the depths at one answer token. Knows no Discord. Pure: bytes out."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from bot.render.canvas import ACCENT, BODY, FAINT, GREEN, INK, ORANGE, PINK, SKY, SMALL, WIDTH, YELLOW, Canvas, Heading, short
from bot.render.layers import context, token_at
from bot.render.plot import Plot, apart, depth_ticks
from bot.render.text import bare
from bot.render.wording import ENGLISH, Words, percent, words
from models.findings import Watched
from models.readings import emitted_text, handover_depth, predicts, settle_depth
from models.trace import FloatArray, Trace

MOST_WORDS = 5
Scale = Literal["log", "sqrt"]
STYLES = ((SKY, "solid", "o"), (ORANGE, (0, (4, 1.6)), "s"), (GREEN, (0, (1.2, 1.2)), "^"), (PINK, (0, (5, 1.4, 1.2, 1.4)), "D"),
          (YELLOW, (0, (2.4, 1.2)), "v"))  # fmt: skip
"""Colour, dashes and marker: each alone tells the lines apart."""
LEFT, RIGHT, HEIGHT, FOOT = 124, 236, 560, 92
FLOOR = 1e-6
"""The logarithmic scale ends there at the latest; what is less lies on its lower edge, whose label says so."""


@dataclass(frozen=True, slots=True, eq=False)
class _Track:
    name: str
    probs: FloatArray  # (L,) at the depths 1 to L
    said: bool
    """It is the token that was emitted."""
    colour: str
    dash: Any
    marker: str


def tracks_png(
    trace: Trace, watched: Watched | None = None, *, t: int | None = None, scale: Scale = "log", locale: str = ENGLISH
) -> bytes:
    """A line for each word, and a thin one for the emitted token when it is none of them.

    Args:
        trace: what the words were watched in.
        watched: one to five words; those of the trace's findings for None.
        t: answer token; the pivotal one for None, the first where there is none.
        scale: of the probabilities.
        locale: of the reader.

    Raises:
        ValueError: no words or too many were watched, or there is no such token.
    """
    say, at = words(locale), token_at(trace, t)
    tracks = _tracks(trace, watched, at)
    heading = _heading(trace, watched or trace.findings.watched, at, scale, say)
    canvas = Canvas(WIDTH, heading.height + 70 + HEIGHT + FOOT)
    heading.draw(canvas)
    low, high, ticks = _range(tracks, scale)
    through = np.log10 if scale == "log" else np.sqrt
    plot = Plot(
        canvas, LEFT, FOOT, WIDTH - LEFT - RIGHT, HEIGHT, (min(1, trace.depths - 1), trace.depths), (low, high), scale=through
    )
    plot.rows(ticks)
    plot.columns(depth_ticks(1, trace.depths))
    canvas.text(LEFT + plot.width / 2, 30, say("depth"), SMALL, color=FAINT, ha="center")
    if predicts(trace):
        _marks(plot, trace, at, say)
    _lines(plot, tracks)
    _names(plot, tracks, say)
    return canvas.png()


def _tracks(trace: Trace, watched: Watched | None, t: int) -> list[_Track]:
    """The watched words, then the emitted token when it is none of them."""
    watched = watched or trace.findings.watched
    if watched is None or not 1 <= len(watched.words) <= MOST_WORDS:
        raise ValueError(f"one to {MOST_WORDS} words can be followed")
    emitted = int(trace.answer_ids[t])
    tracks = [
        _Track(bare(word, limit=16) + ("" if whole else "…"), probs[t, 1:], int(token) == emitted, *style)
        for word, token, probs, whole, style in zip(
            watched.words, watched.ids, watched.probs, watched.whole, STYLES[: len(watched.words)], strict=True
        )
    ]
    if not any(track.said for track in tracks):
        tracks.append(_Track(bare(emitted_text(trace, t), limit=16), trace.emitted_prob[t, 1:], True, INK, (0, (1, 1.4)), ""))
    return tracks


def _heading(trace: Trace, watched: Watched | None, t: int, scale: Scale, say: Words) -> Heading:
    lens = say.lens(trace.lens)
    told = say("tracks_at", at=t + 1, count=trace.length, token=say.named(emitted_text(trace, t)))
    parts = [say("tracks_where", told=told, lens=lens), context(trace, t, say)]
    if watched is not None and not all(watched.whole):
        parts.append(say("tracks_parts"))
    return Heading(WIDTH, say("tracks_title"), *parts, say(f"tracks_{scale}"))


def _range(tracks: list[_Track], scale: Scale) -> tuple[float, float, list[tuple[float, str]]]:
    """Lower and upper end, and what is written beside the lines between."""
    most = max(float(track.probs.max(initial=0.0)) for track in tracks)
    if scale == "sqrt":
        high = next(end for end in (0.01, 0.05, 0.1, 0.25, 0.5, 1.0) if most <= end or end == 1.0)
        shares = [high * part for part in (0.0, 0.01, 0.05, 0.2, 0.5, 1.0)]
        return 0.0, high, [(value, _share(value)) for value in shares]
    ends = [max(float(track.probs[-1]), FLOOR) for track in tracks]
    tens = max(-6, min(-3, math.floor(math.log10(min(ends)))))
    ticks = [(10.0**ten, _share(10.0**ten)) for ten in range(tens + 1, 1)]
    return 10.0**tens, 1.0, [(10.0**tens, f"≤{_share(10.0**tens)}"), *ticks]


def _fine(share: float) -> str:
    """As `percent`, but with two digits of what is less than a tenth of a percent."""
    return percent(share) if share >= 0.0005 or share <= 0 else "<0.0001%" if share < FLOOR else f"{100 * share:.2g}%"


def _share(value: float) -> str:
    return f"{100 * value:.6f}".rstrip("0").rstrip(".") + "%"


def _marks(plot: Plot, trace: Trace, t: int, say: Words) -> None:
    """Upright lines where the emitted token settled and where the distribution was handed over."""
    settle, handover, top = settle_depth(trace, t), handover_depth(trace, t), plot.bottom + plot.height
    marks = [(handover, say("handover", depth=handover), FAINT, 18.0, (0, (2, 2)))]
    if settle is not None:
        marks.append((max(1, settle), say("settled", depth=max(1, settle)), ACCENT, 48.0, (0, (5, 2))))
    for depth, text, colour, above, dash in marks:
        x = plot.x(max(1, depth))
        plot.canvas.line((x, x), (plot.bottom, top + above - 14), color=colour, linestyle=dash, linewidth=2.0)
        right = x < plot.left + plot.width / 2
        plot.canvas.text(x + (8 if right else -8), top + above, text, 20, color=colour, ha="left" if right else "right")


def _lines(plot: Plot, tracks: list[_Track]) -> None:
    for track in tracks:
        depths = range(1, len(track.probs) + 1)
        xs, ys = [plot.x(depth) for depth in depths], [plot.y(float(prob)) for prob in track.probs]
        look: dict[str, Any] = {"linewidth": 3.6 if track.marker else 2.4, "marker": track.marker, "markersize": 9.5}
        look |= {"markevery": max(1, len(xs) // 9), "markeredgewidth": 0.0, "linestyle": track.dash}
        plot.canvas.axes.plot(xs, ys, color=track.colour, zorder=4 if track.marker else 3, **look)


def _names(plot: Plot, tracks: list[_Track], say: Words) -> None:
    """Each line's word and last probability at its end, moved apart where lines end together."""
    ends = [plot.y(float(track.probs[-1])) for track in tracks]
    places = apart(ends, 52.0, plot.bottom + 14, plot.bottom + plot.height - 14)
    right = plot.left + plot.width
    for track, end, place in zip(tracks, ends, places, strict=True):
        plot.canvas.line((right + 3, right + 22), (end, place), color=track.colour, linewidth=1.6)
        name = short(track.name, RIGHT - 60, BODY)
        plot.canvas.text(right + 28, place + 11, name, BODY, color=track.colour, weight="bold")
        share = _fine(float(track.probs[-1]))
        plot.canvas.text(right + 28, place - 15, say("track_said", share=share) if track.said else share, 20, color=track.colour)


def tracks_alt(trace: Trace, watched: Watched | None = None, *, t: int | None = None, locale: str = ENGLISH) -> str:
    """The picture in words; at most 1,024 characters, every number from the trace and the words' probabilities.

    Raises:
        ValueError: as `tracks_png`.
    """
    say, at = words(locale), token_at(trace, t)
    tracks = _tracks(trace, watched, at)
    lens = say.lens(trace.lens)
    parts = [say("alt_tracks", layers=trace.depths, lens=lens, at=at + 1, token=say.named(emitted_text(trace, at)))]
    for track in tracks:
        peak = int(track.probs.argmax())
        slots = {"word": f"“{track.name}”", "share": _fine(float(track.probs[-1])), "peak": _fine(float(track.probs[peak]))}
        parts.append(say("alt_track", depth=peak + 1, **slots))
    if not predicts(trace):
        return say.alt(parts)
    settle = settle_depth(trace, at)
    parts.append(say("alt_marks", handover=handover_depth(trace, at)))
    parts.append(say("alt_never") if settle is None else say("alt_settles", depth=max(1, settle)))
    return say.alt(parts)
