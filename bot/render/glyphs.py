"""Which characters the fonts of this machine can draw. Knows no traces.

Matplotlib warns about, and draws a box for, any character that no font of the family list has; here they are replaced before.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

PREFERRED = ("DejaVu Sans",)
FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Noto Sans SC",
    "Source Han Sans SC",
    "WenQuanYi Zen Hei",
    "WenQuanYi Micro Hei",
    "Droid Sans Fallback",
    "PingFang SC",
    "Hiragino Sans GB",
    "Microsoft YaHei",
    "SimHei",
    "Arial Unicode MS",
    "Noto Emoji",
    "Symbola",
    "Segoe UI Symbol",
)
PLACEHOLDER = "▯"


@cache
def _coverage() -> tuple[tuple[str, frozenset[int]], ...]:
    """The installed families of the lists above with the code points that their regular face has. Read once per process."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    found = []
    for family in (*PREFERRED, *FALLBACKS):
        if family in installed:
            path = font_manager.findfont(font_manager.FontProperties(family=[family]), fallback_to_default=False)
            found.append((family, frozenset(FT2Font(path).get_charmap())))
    return tuple(found)


def families() -> list[str]:
    """The font families to hand to Matplotlib, in order."""
    return [family for family, _ in _coverage()]


@cache
def _drawable_char(char: str) -> str:
    if any(ord(char) in points for _, points in _coverage()):
        return char
    return "" if unicodedata.category(char) in ("Mn", "Me", "Cf") else PLACEHOLDER


def drawable(text: str) -> str:
    """The text with every character that no font has replaced by a visible placeholder."""
    return "".join(_drawable_char(char) for char in text)


def columns(text: str) -> int:
    """Roughly how many letter widths the text takes: East Asian wide characters and emoji count as two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def fit(text: str, room: float) -> str:
    """The text cut to ``room`` letter widths; "" when less than a telling part would be left."""
    if columns(text) <= room:
        return text
    cut = text
    while cut and columns(cut) > room - 1:
        cut = cut[:-1]
    return cut + "…" if columns(cut) >= 3 else ""
