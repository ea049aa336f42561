"""The pictures of evidence beside the lens: direct logit attribution per block, and the question's words looked at.

Knows no Discord and no torch. Pure: bytes out. Attribution is not cause, and the picture says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from bot.render.bars import bar_plot, row_height
from bot.render.canvas import BODY, FAINT, GREY, INK, MARGIN, ORANGE, SKY, SMALL, WIDTH, Canvas, Heading, short
from bot.render.layers import context, token_at
from bot.render.plot import Plot
from bot.render.text import bare
from bot.render.wording import ENGLISH, Words, percent, words
from models.findings import Attention, Attribution
from models.readings import emitted_text, token_text
from models.trace import Trace

LABELLED = 6
"""So many of the longest bars have their value beside them."""
PARTS = ((0, SKY), (1, ORANGE))
"""Attention and MLP: their place in `Attribution.blocks`, and their colour."""


def attribution_png(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> bytes:
    """Two bars for each block, attention above MLP: to the right for the emitted token, to the left for its rival.

    Args:
        trace: with an attribution among its findings.
        t: answer token; the pivotal one for None, the first where there is none.
        locale: of the reader.

    Raises:
        ValueError: it has none, or there is no such token.
    """
    found, at, say = _attribution(trace), token_at(trace, t), words(locale)
    blocks, others = found.blocks[at], _others(found, at)
    names = [*(say(name) for name, _ in others), *(str(block) for block in range(1, len(blocks) + 1))]
    values = [*(value for _, value in others), *(float(value) for value in blocks.ravel())]
    legend = [("■", say("part_attention"), SKY), ("■", say("part_mlp"), ORANGE), ("■", say("part_other"), GREY)]
    low, high = min([*values, 0.0]), max([*values, 0.05])
    heading = _heading(trace, found, at, say)
    canvas, plot = bar_plot(heading, names, low, high, legend, axis=say("axis_logit"), right=88, left=88 if low < 0 else 0)
    _bars(plot, blocks, others)
    return canvas.png()


def _attribution(trace: Trace) -> Attribution:
    if trace.findings.attribution is None:
        raise ValueError("this trace has no attribution")
    return trace.findings.attribution


def _others(found: Attribution, t: int) -> list[tuple[str, float]]:
    """What belongs to no block, the lowest row first; biases only where there are some."""
    others = [("part_constant", float(found.constant[t]))] if float(found.constant[t]) else []
    return [*others, ("part_embedding", float(found.embedding[t]))]


def _heading(trace: Trace, found: Attribution, t: int, say: Words) -> Heading:
    emitted, rival = say.named(emitted_text(trace, t)), say.named(token_text(trace, int(found.against[t])))
    told = say("tracks_at", at=t + 1, count=trace.length, token=emitted)
    return Heading(
        WIDTH,
        say("attribution_title", token=emitted, rival=rival),
        told,
        context(trace, t, say),
        say("attribution_sides", token=emitted, rival=rival),
        say("attribution_sum", sum=signed(float(found.difference[t]))),
    )


def _bars(plot: Plot, blocks: Any, others: list[tuple[str, float]]) -> None:
    """Bars of all rows; the longest have their value at their end."""
    zero, row = plot.x(0.0), row_height(len(blocks) + len(others))
    bars = [(plot.y(i), 0.5 * row, value, GREY) for i, (_, value) in enumerate(others)]
    thick = 0.36 * row
    for part, colour in PARTS:
        shift = (0.21 if part == 0 else -0.21) * row
        bars += [(plot.y(i + len(others)) + shift, thick, float(v), colour) for i, v in enumerate(blocks[:, part])]
    longest = sorted(bars, key=lambda bar: -abs(bar[2]))[:LABELLED]
    for y, height, value, colour in bars:
        end = plot.x(value)
        plot.canvas.box(zero, y - height / 2, end - zero, height, color=colour, zorder=3)
        if (y, height, value, colour) in longest:
            side = {"ha": "left"} if value >= 0 else {"ha": "right"}
            plot.canvas.text(end + (8 if value >= 0 else -8), y, signed(value), 19, color=colour, zorder=5, **side)


def signed(value: float) -> str:
    """Two decimals and always a sign."""
    return f"{value:+.2f}".replace("-", "−")


def attribution_alt(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> str:
    """The picture in words; at most 1,024 characters, every number from the findings. Raises what `attribution_png` raises."""
    found, at, say = _attribution(trace), token_at(trace, t), words(locale)
    blocks = found.blocks[at]
    emitted, rival = say.named(emitted_text(trace, at)), say.named(token_text(trace, int(found.against[at])))
    order = [divmod(int(i), 2) for i in np.argsort(-np.abs(blocks).ravel(), kind="stable")[:4]]
    named = ("part_attention", "part_mlp")
    most = [say("alt_part", part=say(named[p]), block=b + 1, value=signed(float(blocks[b, p]))) for b, p in order]
    parts = [
        say("alt_attribution", blocks=len(blocks), token=emitted, rival=rival),
        say("alt_most", parts=say("comma").join(most)),
        say("alt_sum", attention=signed(float(blocks[:, 0].sum())), mlp=signed(float(blocks[:, 1].sum()))),
        say("attribution_sum", sum=signed(float(found.difference[at]))) + say("stop"),
    ]
    return say.alt(parts)


def attention_png(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> bytes:
    """A bar for each word of the question that was looked at most when the token was predicted, in the order of the question.

    Raises:
        ValueError: the trace has no attention among its findings, or there is no such token.
    """
    found, at, say = _attention(trace), token_at(trace, t), words(locale)
    emitted = say.named(emitted_text(trace, at))
    told = say("tracks_at", at=at + 1, count=trace.length, token=emitted)
    sink = say("attention_sink", share=percent(float(found.sink[at])))
    heading = Heading(WIDTH, say("attention_title", token=emitted), told, context(trace, at, say), say("attention_what"), sink)
    looked = _looked(found, at)
    canvas = Canvas(WIDTH, heading.height + 44.0 * len(looked) + 44)
    heading.draw(canvas)
    most, left, right = max((weight for _, weight in looked), default=0.0) or 1.0, 260.0, WIDTH - 130.0
    for i, (word, weight) in enumerate(looked):
        y = canvas.height - heading.height - 14 - 44.0 * (i + 0.5)
        canvas.text(left - 16, y, short(bare(word), left - MARGIN - 16, BODY), BODY, ha="right")
        canvas.box(left, y - 14, (right - left) * weight / most, 28, color=SKY)
        canvas.text(left + (right - left) * weight / most + 12, y, _small(weight), SMALL, color=INK)
    canvas.line((left, left), (26, canvas.height - heading.height - 14), color=FAINT)
    return canvas.png()


def _attention(trace: Trace) -> Attention:
    if trace.findings.attention is None:
        raise ValueError("this trace has no attention")
    return trace.findings.attention


def _looked(found: Attention, t: int) -> list[tuple[str, float]]:
    """Words and shares, in the order of the question."""
    pairs = sorted(zip(found.positions[t].tolist(), found.weights[t].tolist(), strict=True))
    return [(found.words.get(int(place), ""), float(weight)) for place, weight in pairs]


def _small(share: float) -> str:
    return f"{100 * share:.2f}%" if share < 0.00995 else percent(share)


def attention_alt(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> str:
    """The picture in words; at most 1,024 characters, every number from the findings. Raises what `attention_png` raises."""
    found, at, say = _attention(trace), token_at(trace, t), words(locale)
    looked = sorted(_looked(found, at), key=lambda pair: -pair[1])
    told = say("comma").join(f"{say.named(word)} {_small(weight)}" for word, weight in looked)
    parts = [say("alt_attention", token=say.named(emitted_text(trace, at)), words=told)]
    return say.alt([*parts, say("attention_sink", share=percent(float(found.sink[at]))) + say("stop")])
