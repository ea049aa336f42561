"""The tokens of an answer as the options of a select, and the rows under its inner voice. Knows no service."""

from __future__ import annotations

from typing import Any

import discord

from bot.render.heatmap import page_of as map_page_of
from bot.render.heatmap import pages
from bot.render.text import quoted
from bot.render.wording import percent
from bot.ui.controls import Token, page_of, voice_rows
from bot.ui.wording import ENGLISH, words
from models.readings import emitted_text, pivotal, settle_depth
from models.trace import Trace


def tokens_of(trace: Trace, locale: str = ENGLISH) -> list[Token]:
    """Each answer token with its final probability and where it settled."""
    say, pivot = words(locale), pivotal(trace)
    found = []
    for t in range(trace.length):
        settle, final = settle_depth(trace, t), percent(float(trace.emitted_prob[t, -1]))
        note = say("token_unsettled" if settle is None else "token_settled", final=final, settle=settle)
        label = say("token_label", at=t + 1, token=quoted(emitted_text(trace, t)))
        found.append(Token(t, label, say("token_pivotal", note=note) if t == pivot else note))
    return found


def controls(run_id: str, trace: Trace, locale: str = ENGLISH) -> list[discord.ui.ActionRow[Any]]:
    """The rows under an inner voice; both selects of pages begin where the answer was decided."""
    tokens, pivot = tokens_of(trace, locale), pivotal(trace) or 0
    home = map_page_of(trace, pivot)
    return voice_rows(run_id, tokens, page=page_of(pivot, len(tokens)), map_pages=pages(trace), map_page=home, locale=locale)
