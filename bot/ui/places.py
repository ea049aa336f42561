"""Where a question was asked, what is said about it there, and under what heading. Knows no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import discord

from bot.errors import ForwardPassError
from bot.services.figures import figures
from bot.ui.replies import Surface, footer
from bot.ui.text import closed, escape
from bot.ui.threads import Placement
from bot.ui.wording import ENGLISH, told, words
from models.types import Answer, ModelInfo


@dataclass(frozen=True, slots=True)
class Place:
    """Where a question was asked, and where its inner voice goes."""

    surface: Surface
    voice: Placement
    typing_in: discord.abc.Messageable | None
    asker: discord.User | discord.Member
    heading: str = ""
    """Goes above the answer: a slash command does not show what was asked."""
    locale: str = ENGLISH
    refuse: Callable[[ForwardPassError], None] | None = None
    """Says that the line is full, or that this person asks already; None says it as any other error."""


def answer_text(answer: Answer, info: ModelInfo | None, locale: str, *, name: str = "") -> str:
    """The answer and the small line under it: model, tokens, speed, how sure. ``name`` stands in for a model that is unknown."""
    say = words(locale)
    unsaid = say("still_thinking", count=answer.thinking) if answer.thinking else say("said_nothing")
    text = answer.text.strip() or unsaid
    parts = [escape(told(part, locale)) for part in figures(answer, info, name=name)]
    if info is not None and info.inner_voice is not None:
        parts.append(say("print_no_voice", why=escape(told(info.inner_voice, locale))))
    return f"{closed(text)}\n{footer(parts)}"
