"""The picture of a causal check: what the answer token loses when each block is taken out, beside a random removal.

Knows no Discord and no torch. Pure: bytes out, no pyplot, no global state, so that it may run in any thread. Block 1 is at the
bottom, as the residual stream rises in the heat map.
"""

from __future__ import annotations

from bot.render.bars import bar_plot, row_height
from bot.render.canvas import BACKGROUND, GREY, INK, ORANGE, SKY, WIDTH, Heading
from bot.render.plot import Plot
from bot.render.text import bare, visible
from bot.render.wording import ENGLISH, Words, words
from models.findings import CausalCheck, FloatArray, Part
from models.readings_causal import drops, flips, matters, strongest

RIGHT = 210
"""Pixels for the words beside the bars."""
REMOVED, CHANGED = SKY, ORANGE


def causal_png(check: CausalCheck, *, part: Part = "block", title: str = "", locale: str = ENGLISH) -> bytes:
    """The picture as PNG: a bar per block, its control as a tick; where the likeliest token changes, the new one is named.

    Args:
        check: with ``part`` among its removals.
        part: what was taken out.
        title: stands under the heading, the model's name mostly.
        locale: of the reader.

    Raises:
        ValueError: this part was not asked for.
    """
    say = words(locale)
    real, control = drops(check, part)
    emitted = say.named(check.pieces.get(check.emitted, ""))
    heading = Heading(
        WIDTH, say(f"causal_title_{part}", token=emitted), visible(title, limit=60), say("causal_what"), say("causal_left")
    )
    legend = [("■", say("causal_changed"), CHANGED), ("■", say("causal_kept"), REMOVED), ("❙", say("causal_control"), INK)]
    legend.append(("┆", say("causal_largest"), GREY))
    low, high = float(min(real.min(), control.min(), 0.0)), float(max(real.max(), control.max(), 0.5))
    names = [str(block) for block in range(1, len(real) + 1)]
    canvas, plot = bar_plot(heading, names, low, high, legend, axis=say("axis_nats"), right=RIGHT)
    _bars(plot, check, part, real, control)
    _names(plot, check, part, say)
    return canvas.png()


def _bars(plot: Plot, check: CausalCheck, part: Part, real: FloatArray, control: FloatArray) -> None:
    """Bars, ticks of the controls, and the controls' largest drop as a line that a telling bar must pass."""
    changed, row, zero = {flip.block for flip in flips(check, part)}, row_height(len(real)), plot.x(0.0)
    for i, (drop, random) in enumerate(zip(real.tolist(), control.tolist(), strict=True)):
        y, tick = plot.y(i), plot.x(random)
        plot.canvas.box(
            zero, y - 0.36 * row, plot.x(drop) - zero, 0.72 * row, color=CHANGED if i + 1 in changed else REMOVED, zorder=3
        )
        for colour, width in ((BACKGROUND, 7.0), (INK, 3.0)):
            plot.canvas.box(tick - width / 2, y - 0.42 * row, width, 0.84 * row, color=colour, zorder=4)
    most = plot.x(max(0.0, float(control.max())))
    plot.canvas.line((most, most), (plot.bottom, plot.bottom + plot.height), color=GREY, linestyle=(0, (4, 4)), linewidth=1.8)


def _names(plot: Plot, check: CausalCheck, part: Part, say: Words) -> None:
    """Beside the bars: the token that would have led, or that the block matters."""
    changed, told = {flip.block: flip for flip in flips(check, part)}, set(matters(check, part))
    blocks = len(drops(check, part)[0])
    size = max(13.0, min(20.0, row_height(blocks) * 0.95))
    for block in sorted(changed.keys() | told):
        flip = changed.get(block)
        word = (
            f"→ {bare(check.pieces.get(flip.token, '') or f'⟨{flip.token}⟩', limit=12)}" if flip else f"• {say('causal_matters')}"
        )
        x, colour = plot.left + plot.width + 14, CHANGED if flip else REMOVED
        plot.canvas.text(x, plot.y(block - 1), word, size, color=colour, weight="bold")


def causal_alt(check: CausalCheck, *, part: Part = "block", locale: str = ENGLISH) -> str:
    """The picture in words, for those who do not see it; at most 1,024 characters, every number from the check.

    Raises:
        ValueError: this part was not asked for.
    """
    say = words(locale)
    real, control = drops(check, part)
    emitted = say.named(check.pieces.get(check.emitted, ""))
    parts = [say("alt_causal", token=emitted, blocks=len(real), part=say(f"causal_{part}"))]
    block = strongest(check, part)
    if block is None:
        parts.append(say("alt_no_block"))
    else:
        parts.append(say("alt_strongest", block=block, drop=f"{real[block - 1]:.2f}", control=f"{control[block - 1]:.2f}"))
    changed = [f"{flip.block} ({say.named(check.pieces.get(flip.token, ''))})" for flip in flips(check, part)]
    if changed:
        parts.append(say("alt_flips", blocks=say("comma").join(changed)))
    return say.alt(parts)
