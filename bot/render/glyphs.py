"""Which characters can be drawn, and how much room they take. Knows no traces and no font files.

Matplotlib warns about, and draws a box for, any character that no font has; here such are replaced before.
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache

from bot.render.fonts import clusters, family_of, is_mark

PLACEHOLDER, CIRCLE = "▯", "◌"
LETTER, BOLD = 0.60, 0.70
"""Width of a letter of DejaVu Sans and of its bold face, as a share of the font's size."""


def drawable(text: str) -> str:
    """The text with all that no font has replaced by something visible.

    That is a placeholder, the number of a control picture, or a dotted circle under a mark that the font of its letter lacks.
    """
    return "".join(_drawable(cluster) for cluster in clusters(text))


@lru_cache(maxsize=8192)
def _drawable(cluster: str) -> str:
    if len(cluster) == 1:
        return _drawable_char(cluster)
    if family_of(cluster) is not None:
        return cluster
    return _drawable_char(cluster[0]) + "".join(_apart(char) for char in cluster[1:])


def _drawable_char(char: str) -> str:
    if unicodedata.category(char) == "Cf":  # would turn the letters after it around, if it did anything
        return ""
    if is_mark(char):
        return _apart(char)
    if family_of(char) is not None:
        return char
    if "\u2400" <= char <= "\u241f":  # the pictures of control characters, which hardly any font has
        return f"⟨{ord(char) - 0x2400:02X}⟩"
    return PLACEHOLDER


def _apart(char: str) -> str:
    """What went with another character, by itself: a mark on a dotted circle, nothing for a joiner or selector."""
    if "\U0001f3fb" <= char <= "\U0001f3ff":  # a colour of skin would go with whatever stands before it
        return PLACEHOLDER
    if not is_mark(char):
        return _drawable_char(char)
    shown = not "\ufe00" <= char <= "\ufe0f" and family_of(CIRCLE + char) is not None
    return CIRCLE + char if shown else ""


def columns(text: str) -> int:
    """Roughly how many letter widths the text takes: East Asian wide characters and emoji count as two."""
    return sum(2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text filled up to ``width`` letter widths, at its end or, to stand on the ``right``, before it."""
    space = " " * (width - columns(text))
    return space + text if right else text + space


def fit(text: str, room: float) -> str:
    """The text cut to ``room`` letter widths; "" when less than a telling part would be left."""
    if columns(text) <= room:
        return text
    cut = text
    while cut and columns(cut) > room - 1:
        cut = cut[:-1]
    cut = cut.rstrip("\u200d")
    return cut + "…" if columns(cut) >= 3 else ""


def wrap(text: str, room: float) -> list[str]:
    """The text in lines of at most ``room`` letter widths, broken at spaces and between Chinese characters."""
    lines = [""]
    for part in _parts(text):
        if lines[-1] and columns(lines[-1] + part.rstrip()) > room:
            lines[-1] = lines[-1].rstrip()
            lines.append("")
        lines[-1] += part if lines[-1] else part.lstrip()
    return [fit(line.rstrip(), room) or line for line in lines]


def _parts(text: str) -> list[str]:
    """Where a line may break: after a space, and after a wide character that no closing mark follows."""
    parts, part = [], ""
    for char, after in zip(text, [*text[1:], ""], strict=False):
        part += char
        if char == " " or (unicodedata.east_asian_width(char) in "WF" and after not in "，。；：、？！）”"):
            parts.append(part)
            part = ""
    return [*parts, part] if part else parts
