"""How far each depth is from the output, a learned lens beside the logit lens, as one picture. Pure: bytes out, no pyplot."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from bot.render.axes import BLUE, FAINT, GREY, GRID, INK, ORANGE, bare_axes, heading

if TYPE_CHECKING:
    from models.fitting.evaluating import Measured


def draw(found: Measured, *, form: str = "png") -> bytes:
    """The picture; ``form`` is png, svg or pdf."""
    picture = Figure(figsize=(8.4, 4.4), dpi=110, facecolor="white")
    FigureCanvasAgg(picture)
    picture.set_layout_engine("constrained", h_pad=0.12, w_pad=0.12)
    axes = picture.subplots()
    bare_axes(axes)
    depths = range(len(found.logit))
    colour = ORANGE if found.card.kind == "jacobian" else BLUE
    axes.plot(depths, found.logit, color=GREY, linewidth=2.0, marker="o", markersize=3.5, label="logit lens")
    name = "Jacobian lens (disposed to say)" if found.card.kind == "jacobian" else f"{found.card.kind} lens"
    axes.plot(depths, found.learned, color=colour, linewidth=2.0, marker="s", markersize=3.5, label=name)
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:g}")
    axes.tick_params(which="minor", length=0)
    axes.grid(True, color=GRID, linewidth=0.8)
    axes.set_ylabel("KL(final || depth), nats", fontsize=9, color=FAINT)
    axes.legend(frameon=False, fontsize=9, labelcolor=INK)
    heading(axes, f"{found.card.model}: how far each depth is from the output", f"depth; mean over {found.positions:,} positions")
    buffer = io.BytesIO()
    picture.savefig(buffer, format=form, facecolor="white")
    return buffer.getvalue()
