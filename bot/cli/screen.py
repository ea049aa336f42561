"""The one door to the terminal: what is printed holds no character that would steer it. Knows no command and no model.

An answer, a token, a model's name and a field of a file are other people's text. An escape sequence among them could change the
window's title, clear the screen or write over what stands above; a bidi control could turn a line around. rich's own sequences
(colours, the cursor of a progress bar) come as styles and control segments and not as text.
"""

from __future__ import annotations

from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from bot.render.text import safe


class Screen(Console):
    """rich's console for stdout or stderr, whose text is `safe`."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Every segment of text, its characters named where they would steer; layout happens around what is shown."""
        for segment in super().render(renderable, options):
            shown = segment.text if segment.control else safe(segment.text)
            yield segment if shown == segment.text else Segment(shown, segment.style)
