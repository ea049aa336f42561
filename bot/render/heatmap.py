"""The picture of a trace: depth against answer token, each cell with its likeliest token and a colour. Knows no Discord.

Pure: bytes out, no pyplot, no global state, so that it may run in any thread. Depth 0 is at the bottom, the model's own output
at the top, as the residual stream rises. A long answer has several pages, and of a deep model every so many depths are shown; the
picture says so.
"""

from __future__ import annotations

import bisect
import math
from dataclasses import dataclass
from typing import Any

from matplotlib.patches import Rectangle

from bot.render.canvas import (
    ACCENT,
    BACKGROUND,
    DARK,
    FAINT,
    INK,
    MARGIN,
    SMALL,
    Canvas,
    Heading,
)
from bot.render.glyphs import BOLD, LETTER, columns, fit
from bot.render.shades import Colour, Shade, shade
from bot.render.text import LONGEST_TOKEN, bare, visible
from bot.render.wording import ENGLISH, Words, percent, words
from models.readings import emitted_text, handover_depth, pivotal, predicts, settle_depth, text_at, top_token
from models.trace import Trace

WIDEST, NARROWEST, GUTTER, RIGHT, FOOT = 1080, 840, 84, 20, 136.0
MOST = 14
"""Tokens of a page: more of them could not be read on a phone."""
MOST_ROWS = 34
SLANT = 55  # degrees of the labels over narrow columns


@dataclass(frozen=True, slots=True)
class _Layout:
    """Everything in pixels, measured before anything is drawn."""

    first: int
    count: int
    depths: tuple[int, ...]
    """That have a row, the lowest first; L is the last."""
    cell: float
    row: float
    head: float
    size: float
    """Of the letters in the cells."""
    width: int
    heading: Heading

    @property
    def height(self) -> int:
        return round(self.heading.height + self.head + self.row * len(self.depths) + FOOT)

    @property
    def top(self) -> float:
        """Upper edge of the cells."""
        return FOOT + self.row * len(self.depths)

    def x(self, column: int) -> float:
        """Middle of a column."""
        return GUTTER + self.cell * (column + 0.5)

    def y(self, row: int) -> float:
        """Middle of a row, from the bottom."""
        return FOOT + self.row * (row + 0.5)


def pages(trace: Trace) -> int:
    """How many pages the picture of this trace has; at least one."""
    return max(1, math.ceil(trace.length / MOST))


def page_of(trace: Trace, t: int) -> int:
    """The page, from 0, on which answer token ``t`` stands."""
    return next((page for page in range(pages(trace)) if t < sum(span(trace, page))), 0)


def span(trace: Trace, page: int | None = None) -> tuple[int, int]:
    """First token and number of tokens of a page, from 0; without a page, of the one with the pivotal token.

    Raises:
        ValueError: there is no such page.
    """
    if page is None:
        page = page_of(trace, pivotal(trace) or 0)
    if not 0 <= page < pages(trace):
        raise ValueError(f"there is no page {page}, the pages are 0 to {pages(trace) - 1}")
    each, more = divmod(trace.length, pages(trace))
    return page * each + min(page, more), each + (page < more)


def size_of(trace: Trace, *, page: int | None = None, locale: str = ENGLISH, finding: str = "") -> tuple[int, int]:
    """Width and height in pixels of the picture that `heatmap_png` draws."""
    layout = _layout(trace, page, words(locale), finding)
    return layout.width, layout.height


def heatmap_png(
    trace: Trace, *, colour: Colour = "probability", page: int | None = None, locale: str = ENGLISH, finding: str = ""
) -> bytes:
    """One page of the picture as PNG.

    Args:
        trace: any.
        colour: what the cells are coloured by.
        page: from 0; the one with the pivotal token for None.
        locale: of the reader.
        finding: the title: what there is to see; the model and the lens when it is empty.

    Raises:
        ValueError: there is no such page or colour.
    """
    say = words(locale)
    layout, shades = _layout(trace, page, say, finding), shade(trace, colour)
    canvas = Canvas(layout.width, layout.height)
    layout.heading.draw(canvas)
    _cells(canvas, layout, shades)
    _cell_texts(canvas, trace, layout, shades)
    _labels(canvas, trace, layout)
    _depths(canvas, layout, say)
    _legend(canvas, layout, shades, colour, say, framed=predicts(trace), decided=_on_page(layout, pivotal(trace)))
    return canvas.png()


def _layout(trace: Trace, page: int | None, say: Words, finding: str) -> _Layout:
    first, count = span(trace, page)
    cell = min(240.0, max(112.0, (NARROWEST - GUTTER - RIGHT) / max(1, count)), (WIDEST - GUTTER - RIGHT) / max(1, count))
    depths = shown_depths(trace.depths)
    row = min(31.0, 960 / len(depths))
    longest = max((columns(_label(trace, t)) for t in range(first, first + count)), default=1)
    slant = longest * LETTER * SMALL * math.sin(math.radians(SLANT)) + 16
    head = 18.0 + (slant if longest * BOLD * SMALL > cell + 4 else SMALL + 6)
    width = round(max(NARROWEST, GUTTER + RIGHT + cell * count))
    size = max(18.0, min(24.0, cell / 3.4))
    heading = _heading(trace, first, count, width, say, finding)
    return _Layout(first, count, depths, cell, row, head, size, width, heading)


def shown_depths(layers: int) -> tuple[int, ...]:
    """The depths that have a row, in even steps from L down to 0 or a little above it."""
    return tuple(reversed(range(layers, -1, -math.ceil((layers + 1) / MOST_ROWS))))


def _heading(trace: Trace, first: int, count: int, width: int, say: Words, finding: str) -> Heading:
    """What was found; the model and the lens; which tokens and layers of how many; what a word in a cell is."""
    lens, model = trace.lens, visible(str(trace.meta.get("name") or trace.meta.get("model") or ""))
    which = say.either("token", "tokens", count=trace.length)
    if count < trace.length:
        which = say("tokens_of", first=first + 1, last=first + count, count=trace.length)
    step = math.ceil((trace.depths + 1) / MOST_ROWS)
    layers = say("layers", count=trace.depths) if step == 1 else say("layers_of", count=trace.depths, step=step)
    told = say("cell_disposed" if lens == "jacobian" else "cell")
    source, amount = " · ".join(part for part in (model, say.lens(lens).strip()) if part), f"{which} · {layers}"
    return Heading(width, finding, f"{source} · {amount}", told) if finding else Heading(width, source, amount, told)


def _label(trace: Trace, t: int) -> str:
    """The emitted token over its column."""
    return _face(emitted_text(trace, t), limit=14)


def _face(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """A token in a cell; a splinter of a character is a small dot there, as a row of boxes would shout."""
    return "·" if text and not text.strip("\ufffd") else bare(text, limit=limit)


def _cells(canvas: Canvas, layout: _Layout, shades: Shade) -> None:
    shown = shades.values[layout.first : layout.first + layout.count, list(layout.depths)].T  # (rows, count)
    right = GUTTER + layout.cell * layout.count
    if shown.size:
        look: dict[str, Any] = {"origin": "lower", "aspect": "auto", "interpolation": "nearest"}
        extent = (GUTTER, right, FOOT, layout.top)
        canvas.axes.imshow(shown, cmap=shades.colours, norm=shades.norm, extent=extent, **look)
    canvas.frame()
    edges = [GUTTER + layout.cell * i for i in range(1, layout.count)]
    canvas.axes.vlines(edges, FOOT, layout.top, colors=BACKGROUND, linewidth=2.0)


def _cell_texts(canvas: Canvas, trace: Trace, layout: _Layout, shades: Shade) -> None:
    """What was top-1 in each cell: clear where it changes on the way up, fainter where it stays and in the lower half."""
    room = (layout.cell - 4) / (LETTER * layout.size)
    for column in range(layout.count):
        t, below = layout.first + column, None
        for row, depth in enumerate(layout.depths):
            text = fit(_face(text_at(trace, t, top_token(trace, t, depth))), room)
            ink = DARK if shades.bright(float(shades.values[t, depth])) else INK
            alpha = 1.0 if depth == trace.depths or text != below else 0.6
            alpha = min(alpha, 0.45 if 2 * depth < trace.depths else 1.0)
            canvas.text(layout.x(column), layout.y(row), text, layout.size, color=ink, ha="center", alpha=alpha)
            below = text


def _labels(canvas: Canvas, trace: Trace, layout: _Layout) -> None:
    """The emitted tokens above, the pivotal one marked, and frames around the settled stretch of each column."""
    pivot = pivotal(trace) if predicts(trace) else None
    for column in range(layout.count):
        t = layout.first + column
        settle, chosen = settle_depth(trace, t), t == pivot
        if predicts(trace) and (settle is not None or chosen):
            _stretch(canvas, layout, column, settle, chosen=chosen)
        style: dict[str, Any] = {"color": ACCENT, "weight": "bold"} if chosen else {}
        label, letter = _label(trace, t), (BOLD if chosen else LETTER) * SMALL
        if columns(label) * letter <= layout.cell + 4:
            style["ha"] = "center"
        else:  # a slanted label may lean over its neighbours' columns, the last ones only up to the edge
            style |= {"rotation": SLANT, "ha": "left"}
            label = fit(label, max((layout.width - layout.x(column) - 8) / math.cos(math.radians(SLANT)) / letter, 4.0))
        canvas.text(layout.x(column), layout.top + 8, label, SMALL, va="bottom", rotation_mode="anchor", **style)


def _stretch(canvas: Canvas, layout: _Layout, column: int, settle: int | None, *, chosen: bool) -> None:
    """A frame from the settle depth up to the output; dashed, around the output alone, where another token was on top there."""
    last = len(layout.depths) - 1
    bottom = last if settle is None else bisect.bisect_left(layout.depths, settle)
    corner = (GUTTER + layout.cell * column + 2, layout.y(bottom) - layout.row / 2 + 1)
    height = (last - bottom + 1) * layout.row - 2
    frame = Rectangle(corner, layout.cell - 4, height, fill=False, edgecolor=ACCENT if chosen else INK)
    frame.set(linewidth=3.6 if chosen else 1.2, alpha=1.0 if chosen else 0.65, zorder=4 if chosen else 3)
    frame.set_linestyle("solid" if settle is not None else (0, (1.5, 1)))
    canvas.axes.add_patch(frame)


def _depths(canvas: Canvas, layout: _Layout, say: Words) -> None:
    for row, depth in enumerate(layout.depths):
        canvas.text(GUTTER - 10, layout.y(row), str(depth), 20, color=FAINT, ha="right")
    middle = (FOOT + layout.top) / 2
    canvas.text(20, middle, say("depth_axis"), SMALL, color=FAINT, rotation=90, ha="center")


def _on_page(layout: _Layout, t: int | None) -> bool:
    return t is not None and layout.first <= t < layout.first + layout.count


def _legend(canvas: Canvas, layout: _Layout, shades: Shade, colour: Colour, say: Words, *, framed: bool, decided: bool) -> None:
    """The scale of the colours; what the frames mean, of those that are there."""
    left, width, y = MARGIN, 320, 62
    told = say("legend_disposed" if colour == "probability" and not framed else f"legend_{colour}")
    canvas.text(left, 110, told, SMALL, color=INK)
    low, high = float(shades.norm.vmin or 0.0), float(shades.norm.vmax or 1.0)
    canvas.axes.imshow(
        shades.scale(), cmap=shades.colours, norm=shades.norm, aspect="auto", extent=(left, left + width, y, y + 26)
    )
    canvas.frame()
    for value, label in shades.ticks:
        at = float(shades.norm(min(max(value, low), high)))
        canvas.text(left + width * at, y - 20, label, 19, color=FAINT, ha=_side(at))
    x = left + width + 44
    frames = [(1.6, INK, 74.0, "legend_settled"), *([(3.6, ACCENT, 32.0, "legend_decided")] if decided else [])]
    for line, edge, at, key in frames if framed else ():
        canvas.box(x, at - 12, 34, 24, fill=False, edgecolor=edge, linewidth=line)
        canvas.text(x + 46, at, say(key), SMALL, color=FAINT)


def _side(share: float) -> str:
    return "left" if share < 0.03 else "right" if share > 0.97 else "center"


def alt_text(trace: Trace, *, colour: Colour = "probability", page: int | None = None, locale: str = ENGLISH) -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the trace.

    Raises:
        ValueError: there is no such page.
    """
    say = words(locale)
    first, count = span(trace, page)
    lens = say.lens(trace.lens)
    parts = [say("alt_heatmap", tokens=say.either("answer_token", "answer_tokens", count=count), layers=trace.depths, lens=lens)]
    if count < trace.length:
        parts.append(say("alt_page", first=first + 1, last=first + count, count=trace.length))
    if not predicts(trace):
        return say.alt([*parts, say("alt_disposed" if colour == "probability" else f"alt_{colour}")])
    pivot = pivotal(trace)
    if pivot is not None:
        parts.append(_alt_pivot(trace, pivot, say))
    parts += [say(f"alt_{colour}"), say("alt_frames")]
    return say.alt(parts)


def _alt_pivot(trace: Trace, t: int, say: Words) -> str:
    settle = settle_depth(trace, t)
    where = say("alt_unsettled") if settle is None else say("alt_settled", depth=max(1, settle))
    word, share = say.named(emitted_text(trace, t)), percent(float(trace.emitted_prob[t, -1]))
    return say("alt_pivot", at=t + 1, token=word, where=where, share=share, handover=handover_depth(trace, t))
