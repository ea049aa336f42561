"""How the panels of a plotted report look: colours, bare axes, a heading. Knows no report.

Colours are Okabe and Ito's, which every eye tells apart.
"""

from __future__ import annotations

from matplotlib.axes import Axes

INK, FAINT, GRID = "#1f2328", "#6e7681", "#d8dee4"
BLUE, ORANGE, GREEN, VERMILION, GREY = "#0072b2", "#e69f00", "#009e73", "#d55e00", "#8c959f"


def bare_axes(axes: Axes) -> None:
    """Only the axes that are read, in quiet colours, behind the data."""
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(GRID)
    axes.tick_params(colors=FAINT, labelsize=9, length=0)
    axes.set_axisbelow(True)


def heading(axes: Axes, title: str, below: str) -> None:
    """The panel's title, and what its axis shows."""
    axes.set_title(title, loc="left", fontsize=10.5, color=INK, fontweight="bold", pad=10)
    axes.set_xlabel(below, fontsize=9, color=FAINT)
