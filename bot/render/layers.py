"""The table of one answer token over the depths, as a picture and as plain text. Knows no Discord. Pure: bytes out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from bot.render.canvas import ACCENT, FAINT, INK, MARGIN, SMALL, WIDTH, Canvas, Heading
from bot.render.glyphs import LETTER, columns, fit, padded
from bot.render.heatmap import shown_depths
from bot.render.text import bare, visible
from bot.render.wording import ENGLISH, Words, percent, words
from models.readings import emitted_text, handover_depth, pivotal, predicts, settle_depth, text_at, top_token
from models.trace import Trace

ROW, HEAD, FOOT = 30.0, 74.0, 66.0
SIZE = 21.0
_RIGHT = {"depth": 84.0, "top_share": 330.0, "second_share": 566.0, "rank": 672.0, "share": 780.0, "entropy": 872.0, "kl": 972.0}
"""Right edges of the columns of numbers."""
_LEFT = {"top": 108.0, "second": 352.0}
_ROOM = 13
"""Letters of a token."""
STRIPE = "#313338"


@dataclass(frozen=True, slots=True)
class Row:
    """What a depth believed, as it is written."""

    depth: int
    top: str
    top_share: str
    second: str
    second_share: str
    rank: str
    """Of the emitted token, from 1."""
    share: str
    """Probability of the emitted token."""
    entropy: str
    kl: str
    leads: bool
    """The emitted token is the likeliest."""


def picked_depths(trace: Trace, t: int, *, every: bool = False) -> tuple[int, ...]:
    """The depths that a table shows, L first: all, or even steps together with settle depth and handover."""
    if every or trace.depths < 36:
        return tuple(range(trace.depths, -1, -1))
    named = {handover_depth(trace, t), settle_depth(trace, t)} - {None}
    return tuple(sorted({*shown_depths(trace.depths), *(depth for depth in named if depth is not None)}, reverse=True))


def layer_rows(trace: Trace, t: int, *, every: bool = False) -> tuple[Row, ...]:
    """The rows of the table, L first."""
    return tuple(_row(trace, t, depth) for depth in picked_depths(trace, t, every=every))


def _row(trace: Trace, t: int, depth: int) -> Row:
    ids, probs = trace.top_ids[t, depth], trace.top_probs[t, depth]
    second = trace.k > 1
    return Row(
        depth=depth,
        top=bare(text_at(trace, t, top_token(trace, t, depth))),
        top_share=percent(float(probs[0])),
        second=bare(text_at(trace, t, int(ids[1]))) if second else "–",
        second_share=percent(float(probs[1])) if second else "–",
        rank=f"{int(trace.emitted_rank[t, depth]) + 1:,}",
        share=percent(float(trace.emitted_prob[t, depth])),
        entropy=f"{float(trace.entropy[t, depth]):.2f}",
        kl=f"{float(trace.kl_to_final[t, depth]):.2f}",
        leads=int(trace.emitted_rank[t, depth]) == 0,
    )


def layer_table_png(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> bytes:
    """The table as PNG, the model's own output on top; the emitted token is coloured where it leads.

    Args:
        trace: any.
        t: answer token; the pivotal one for None, the first where there is none.
        locale: of the reader.

    Raises:
        ValueError: there is no such token.
    """
    say, at = words(locale), token_at(trace, t)
    rows, heading = layer_rows(trace, at), _heading(trace, at, words(locale))
    canvas = Canvas(WIDTH, heading.height + HEAD + ROW * len(rows) + FOOT)
    heading.draw(canvas)
    top = canvas.height - heading.height - HEAD
    _head(canvas, top, say)
    for i, row in enumerate(rows):
        _draw(canvas, row, top - ROW * (i + 0.5), striped=i % 2 == 1)
    _marks(canvas, trace, at, rows, top, say)
    return canvas.png()


def token_at(trace: Trace, t: int | None) -> int:
    """The answer token that is meant; the pivotal one for None, the first where there is none.

    Raises:
        ValueError: there is no such token.
    """
    at = (pivotal(trace) or 0) if t is None else t
    if not 0 <= at < trace.length:
        raise ValueError(f"there is no answer token {at}, the answer has {trace.length}")
    return at


def _heading(trace: Trace, t: int, say: Words) -> Heading:
    lens = say.lens(trace.lens)
    told = say("tracks_at", at=t + 1, count=trace.length, token=say.named(emitted_text(trace, t)))
    shown = len(picked_depths(trace, t))
    parts = [say("tracks_where", told=told, lens=lens), context(trace, t, say)]
    if shown <= trace.depths:
        parts.append(say("layers_picked", shown=shown, count=trace.depths + 1))
    return Heading(WIDTH, say("layers_title"), *parts)


def context(trace: Trace, t: int, say: Words) -> str:
    """What was said before a token, as a sentence of a heading; "" at the beginning."""
    before = " ".join("".join(trace.tokens[:t]).split())
    if not before:
        return ""
    return say("tracks_after", text=("…" if len(before) > 36 else "") + visible(before[-36:].strip(), limit=120))


def _head(canvas: Canvas, top: float, say: Words) -> None:
    """Two lines over each column: whose it is, and what."""
    style: dict[str, Any] = {"color": FAINT}
    upper, lower = top + 48, top + 20
    canvas.text(_LEFT["top"], lower, say("col_likeliest"), SIZE, **style)
    canvas.text(_LEFT["second"], lower, say("col_second"), SIZE, **style)
    canvas.text(_RIGHT["share"], upper, say("col_said"), SIZE, ha="right", **style)
    for key in ("depth", "rank", "share", "entropy", "kl"):
        canvas.text(_RIGHT[key], lower, say(f"col_{key}"), SIZE, ha="right", **style)
    canvas.line((MARGIN, WIDTH - MARGIN), (top, top), color=FAINT)


def _draw(canvas: Canvas, row: Row, y: float, *, striped: bool) -> None:
    if striped:
        canvas.box(MARGIN, y - ROW / 2, WIDTH - 2 * MARGIN, ROW, color=STRIPE, zorder=0)
    said = ACCENT if row.leads else INK
    canvas.text(_LEFT["top"], y, fit(row.top, _ROOM) or "…", SIZE, color=said, weight="bold" if row.leads else "normal")
    canvas.text(_LEFT["second"], y, fit(row.second, _ROOM) or "…", SIZE, color=FAINT)
    colours = {"depth": FAINT, "top_share": said, "second_share": FAINT, "rank": said, "share": said, "entropy": INK, "kl": INK}
    for key, colour in colours.items():
        canvas.text(_RIGHT[key], y, str(getattr(row, key)), SIZE, color=colour, ha="right")


def _marks(canvas: Canvas, trace: Trace, t: int, rows: tuple[Row, ...], top: float, say: Words) -> None:
    """A bar along the settled depths, a line under the handover, and below what they mean."""
    if not predicts(trace):
        return
    settle, handover = settle_depth(trace, t), handover_depth(trace, t)
    places = {row.depth: i for i, row in enumerate(rows)}
    told = []
    if settle is not None:
        canvas.box(MARGIN - 10, top - ROW * (places[settle] + 1), 7, ROW * (places[settle] + 1), color=ACCENT)
        told.append((f"▌{say('settled', depth=max(1, settle))}", ACCENT))
    y = top - ROW * (places[handover] + 1)
    canvas.line((MARGIN, WIDTH - MARGIN), (y, y), color=FAINT, linestyle=(0, (3, 3)), linewidth=1.8)
    told.append((f"┄ {say('handover', depth=handover)}", FAINT))
    x = float(MARGIN)
    for text, colour in told:
        canvas.text(x, 32, text, SMALL, color=colour)
        x += columns(text) * LETTER * SMALL + 44


def layer_table_alt(trace: Trace, t: int | None = None, *, locale: str = ENGLISH) -> str:
    """The picture in words; at most 1,024 characters, every number from the trace. Raises what `layer_table_png` raises."""
    say, at = words(locale), token_at(trace, t)
    lens, named = say.lens(trace.lens), say.named(emitted_text(trace, at))
    parts = [say("alt_layers", shown=len(picked_depths(trace, at)), at=at + 1, token=named, lens=lens)]
    for depth in sorted({max(1, round(trace.depths * share)) for share in (0.25, 0.5, 0.75, 1.0)}):
        row, top = _row(trace, at, depth), say.named(text_at(trace, at, top_token(trace, at, depth)))
        slots = {"depth": depth, "top": top, "share": row.top_share, "said": row.share, "rank": row.rank}
        parts.append(say("alt_layer", **slots))
    if not predicts(trace):
        return say.alt(parts)
    settle = settle_depth(trace, at)
    parts += [
        say("alt_marks", handover=handover_depth(trace, at)),
        say("alt_never") if settle is None else say("alt_settles", depth=max(1, settle)),
    ]
    return say.alt(parts)


def layer_table_text(trace: Trace, t: int | None = None, *, every: bool = False, letters: int = 12, locale: str = ENGLISH) -> str:
    """The same table in letters of one width, for a code block or a terminal; ``every`` depth, or the picture's choice.

    Tokens are cut to so many ``letters``.

    Raises:
        ValueError: there is no such token.
    """
    say, at = words(locale), token_at(trace, t)
    heads = [
        say(f"short_{key}") for key in ("depth", "top", "top_share", "second", "second_share", "rank", "share", "entropy", "kl")
    ]
    body = [
        [
            *(str(r.depth), fit(r.top, letters), r.top_share, fit(r.second, letters), r.second_share),
            *(r.rank, r.share, r.entropy, r.kl),
        ]
        for r in layer_rows(trace, at, every=every)
    ]
    widths = [max(columns(line[i]) for line in (heads, *body)) for i in range(len(heads))]
    lines = [[padded(cell, widths[i], right=i not in (1, 3)) for i, cell in enumerate(line)] for line in (heads, *body)]
    return "\n".join(" ".join(line).rstrip() for line in lines)
