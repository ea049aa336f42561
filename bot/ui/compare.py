"""How a comparison reads in Discord: both answers, what may be told of their difference, and the picture. Knows no model."""

from __future__ import annotations

import io
from typing import Any

import discord

from bot.services.compare import Comparison, Contrast, FigureName
from bot.services.monologue.tongues import CHINESE, capital, tongue_of
from bot.ui.beyond import Card, figures_line, said
from bot.ui.text import clip, escape
from bot.ui.views import InnerVoiceButton
from bot.ui.wording import ENGLISH, Words, words

PICTURE = "compare.png"
_ROWS: dict[FigureName, tuple[str, str]] = {
    "final_prob": ("compare_final_prob", "compare_row_share"),
    "entropy": ("compare_entropy", "compare_row_nats"),
    "settle": ("compare_settle", "compare_row_whole"),
    "handover": ("compare_handover", "compare_row_whole"),
    "considered": ("compare_considered", "compare_row_whole"),
}
"""What each figure is called, and how its values are written."""


class ComparisonCard(Card):
    """Both questions, side by side."""

    def __init__(self, found: Comparison, locale: str = ENGLISH) -> None:
        self.found = found
        super().__init__(comparison_text(found, locale), _voices(found, locale), *self._gallery())
        self.holds = (found.a.run.id, found.b.run.id)

    def _gallery(self) -> list[discord.ui.Item[Any]]:
        if self.found.picture is None:
            return []
        item = discord.MediaGalleryItem(f"attachment://{PICTURE}", description=clip(self.found.alt, 256))
        return [discord.ui.MediaGallery(item)]

    def files(self) -> list[discord.File]:
        if self.found.picture is None:
            return []
        return [discord.File(io.BytesIO(self.found.picture), filename=PICTURE, description=clip(self.found.alt, 1024))]


def comparison_text(found: Comparison, locale: str = ENGLISH) -> str:
    """Both questions with their answers and figures, and the differences that their controls let stand."""
    say = words(locale)
    parts = [say("compare_title")]
    for name, answered, reading in (("A", found.a, found.reading_a), ("B", found.b, found.reading_b)):
        question = escape(clip(" ".join(answered.run.question.split()), 200))
        parts += [f"**{name} · {question}**", said(answered.answer.text, say), figures_line(reading, locale), ""]
    between = "、" if tongue_of(locale) is CHINESE else ", "
    return "\n".join([*parts, *_told(found, say, between)])


def _told(found: Comparison, say: Words, between: str) -> list[str]:
    if not found.contrasts:
        return [say("compare_no_controls")]
    count = len(found.controls)
    told = [contrast for contrast in found.contrasts if contrast.told]
    within = [say(_ROWS[contrast.figure][0]) for contrast in found.contrasts if not contrast.told]
    lines = [say("compare_beyond", count=count), *(_row(contrast, say) for contrast in told)] if told else []
    if within:
        key = "compare_within" if told else "compare_nothing"
        lines.append(say(key, count=count, figures=between.join(within)))
    asked = between.join(f"“{escape(clip(' '.join(c.question.split()), 70))}”" for c in found.controls)
    return [*lines, say("compare_print", count=count, asked=asked)]


def _row(contrast: Contrast, say: Words) -> str:
    name, row = _ROWS[contrast.figure]
    values = {"a": contrast.a, "b": contrast.b, "low": contrast.low, "high": contrast.high}
    return say(row, name=capital(say(name)), **values)


def _voices(found: Comparison, locale: str) -> discord.ui.ActionRow[Any]:
    """A button for the inner voice of each answer."""
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    for name, answered in (("A", found.a), ("B", found.b)):
        button = InnerVoiceButton(answered.run.id, locale)
        button.item.label = f"{button.item.label} · {name}"
        row.add_item(button)
    return row
