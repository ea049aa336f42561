"""Further controls that survive a restart: votes, tokens to look into, pages of the heat map, files. Knows no model.

As in `bot.ui.views`, a custom id is ``fp:v1:<action>:<run id>``, with what else the action needs behind it, and a press becomes
an event of the client. Who can see a control may press it; what is shown then is for the presser alone.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import discord

from bot.render.export import Format
from bot.render.shades import COLOURS
from bot.ui.text import title
from bot.ui.views import RUN_ID, InnerVoiceButton, OfRun, RunButton, chosen, row_of
from bot.ui.wording import ENGLISH, words
from models.dump import WHATS

MOST_OPTIONS = 25
"""Of one select. https://docs.discord.com/developers/components/reference"""
PER_PAGE = 23
"""Tokens of one select when it has pages: two options lead to its neighbours."""
THUMBS = {"up": ("👍", 1), "down": ("👎", -1)}
FORMATS: tuple[Format, ...] = ("html", "json", "csv", "npz", "safetensors")


@dataclass(frozen=True, slots=True)
class Token:
    """One option of a select: an answer token, from 0, with its display string and what is known of it."""

    t: int
    label: str
    note: str = ""


class VoteButton(OfRun, discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"fp:v1:(?P<way>up|down):(?P<run>{RUN_ID})"):
    """👍 or 👎 with its count; none is shown as none."""

    def __init__(self, way: str, run_id: str, count: int = 0) -> None:
        style, label = discord.ButtonStyle.secondary, str(count) if count else None
        super().__init__(discord.ui.Button(label=label, emoji=THUMBS[way][0], style=style, custom_id=f"fp:v1:{way}:{run_id}"))
        self.way = way
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        interaction.client.dispatch("vote_press", interaction, self.run_id, THUMBS[self.way][1])


class TokenSelect(OfRun, discord.ui.DynamicItem[discord.ui.Select[Any]], template=rf"fp:v1:look:(?P<run>{RUN_ID})"):
    """The answer's tokens; each value is the token's place from 0, or ``page:<n>``."""

    def __init__(self, run_id: str, tokens: Sequence[Token] = (), *, page: int = 0, locale: str = ENGLISH) -> None:
        say = words(locale)
        select: discord.ui.Select[Any] = discord.ui.Select(
            custom_id=f"fp:v1:look:{run_id}", placeholder=say("choose_token"), options=_token_options(tokens, page, locale)
        )
        super().__init__(select)
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        value = chosen(interaction)
        page, _, number = value.rpartition(":")
        if number.isdecimal() and page in ("", "page"):
            interaction.client.dispatch("page_choice" if page else "token_choice", interaction, self.run_id, int(number))


class FileSelect(OfRun, discord.ui.DynamicItem[discord.ui.Select[Any]], template=rf"fp:v1:file:(?P<run>{RUN_ID})"):
    """What to dump and how; each value is ``<what>:<format>``."""

    def __init__(self, run_id: str, locale: str = ENGLISH) -> None:
        say = words(locale)
        options = [
            discord.SelectOption(
                label=f"{say(f'dump_{what}')} · {say(f'format_{kind}')}", value=f"{what}:{kind}", description=say(f"use_{kind}")
            )
            for what in WHATS
            for kind in FORMATS
            if what == "lens" or kind != "html"
        ]
        super().__init__(discord.ui.Select(custom_id=f"fp:v1:file:{run_id}", placeholder=say("choose_format"), options=options))
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        what, _, kind = chosen(interaction).partition(":")
        if what in WHATS and kind in FORMATS:
            interaction.client.dispatch("file_choice", interaction, self.run_id, what, kind)


class MapButton(
    discord.ui.DynamicItem[discord.ui.Button[Any]],
    template=rf"fp:v1:(?P<way>map|turn):(?P<run>{RUN_ID}):(?P<page>\d{{1,4}}):(?P<colour>{'|'.join(COLOURS)})",
):
    """Leads to a page of the heat map: ``map`` from an inner voice to one of the presser's own, ``turn`` from there in place."""

    def __init__(
        self,
        way: str,
        run_id: str,
        page: int,
        colour: str = "probability",
        *,
        label: str = "",
        emoji: str | None = None,
        dead: bool = False,
    ) -> None:
        custom_id = f"fp:v1:{way}:{run_id}:{page}:{colour}"
        style = discord.ButtonStyle.secondary
        super().__init__(discord.ui.Button(label=label or None, emoji=emoji, style=style, custom_id=custom_id, disabled=dead))
        self.way, self.run_id, self.page, self.colour = way, run_id, page, colour

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["way"], match["run"], int(match["page"]), match["colour"], label="…")

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        own = self.way == "turn"
        interaction.client.dispatch("map_press", interaction, self.run_id, self.page, self.colour, own=own)


class ColourSelect(discord.ui.DynamicItem[discord.ui.Select[Any]], template=rf"fp:v1:hue:(?P<run>{RUN_ID}):(?P<page>\d{{1,4}})"):
    """What the colours of the heat map mean."""

    def __init__(self, run_id: str, page: int, colour: str = "probability", locale: str = ENGLISH) -> None:
        say = words(locale)
        options = [discord.SelectOption(label=say(f"colour_{name}"), value=name, default=name == colour) for name in COLOURS]
        super().__init__(
            discord.ui.Select(custom_id=f"fp:v1:hue:{run_id}:{page}", placeholder=say("choose_colour"), options=options)
        )
        self.run_id, self.page = run_id, page

    @classmethod
    async def from_custom_id(
        cls, interaction: discord.Interaction[Any], item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        return cls(match["run"], int(match["page"]))

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        colour = chosen(interaction)
        if colour in COLOURS:
            interaction.client.dispatch("map_press", interaction, self.run_id, self.page, colour, own=True)


CONTROLS = (VoteButton, TokenSelect, FileSelect, MapButton, ColourSelect)


def answer_view(
    run_id: str,
    locale: str = ENGLISH,
    *,
    voice: bool = False,
    voice_label: str | None = None,
    votes: bool = True,
    up: int = 0,
    down: int = 0,
) -> discord.ui.View | None:
    """What stands under an answer: the inner-voice button and the thumbs, each only if wanted; None when nothing is."""
    view = discord.ui.View(timeout=None)
    if voice:
        view.add_item(InnerVoiceButton(run_id, locale, voice_label))
    if votes:
        view.add_item(VoteButton("up", run_id, up))
        view.add_item(VoteButton("down", run_id, down))
    return view if view.children else None


def voice_rows(
    run_id: str, tokens: Sequence[Token], *, page: int = 0, map_pages: int = 1, map_page: int = 0, locale: str = ENGLISH
) -> list[discord.ui.ActionRow[Any]]:
    """The rows under an inner voice: a token to look into, what can be looked at, and pages of the heat map if it has any."""
    rows: list[list[discord.ui.Item[Any]]] = []
    if tokens:
        rows.append([TokenSelect(run_id, tokens, page=page, locale=locale)])
    rows.append([RunButton(action, run_id, locale) for action in ("layers", "why", "road", "again")])
    last: list[discord.ui.Item[Any]] = [RunButton(action, run_id, locale) for action in ("dump", "all")]
    if map_pages > 1:
        label = words(locale)("button_pages")
        last.append(MapButton("map", run_id, map_page, label=label, emoji="🗺️"))
    rows.append(last)
    return [row_of(items) for items in rows]


def map_rows(run_id: str, page: int, pages: int, colour: str, locale: str = ENGLISH) -> list[discord.ui.ActionRow[Any]]:
    """Under a heat map of one's own: its colours, and its neighbours if there are any."""
    rows = [row_of([ColourSelect(run_id, page, colour, locale)])]
    if pages > 1:
        first, last = page == 0, page + 1 >= pages  # a dead button needs a custom id of its own, too
        back = MapButton("turn", run_id, 9_998 if first else page - 1, colour, emoji="◀️", dead=first)
        on = MapButton("turn", run_id, 9_999 if last else page + 1, colour, emoji="▶️", dead=last)
        rows.append(row_of([back, on]))
    return rows


def token_row(run_id: str, tokens: Sequence[Token], page: int, locale: str = ENGLISH) -> discord.ui.ActionRow[Any]:
    """The select of tokens alone."""
    return row_of([TokenSelect(run_id, tokens, page=page, locale=locale)])


def page_of(t: int, count: int) -> int:
    """On which page of the select token ``t`` of ``count`` stands."""
    return 0 if count <= MOST_OPTIONS else t // PER_PAGE


def pages_of(count: int) -> int:
    """How many pages the select of ``count`` tokens has."""
    return 1 if count <= MOST_OPTIONS else -(-count // PER_PAGE)


def tokens_on(tokens: Sequence[Token], page: int) -> Sequence[Token]:
    """The tokens of one page of the select."""
    return tokens if pages_of(len(tokens)) == 1 else tokens[page * PER_PAGE : (page + 1) * PER_PAGE]


def _token_options(tokens: Sequence[Token], page: int, locale: str) -> list[discord.SelectOption]:
    say, pages = words(locale), pages_of(len(tokens))
    page = max(0, min(page, pages - 1))
    options = [
        discord.SelectOption(label=title(token.label), value=str(token.t), description=title(token.note) if token.note else None)
        for token in tokens_on(tokens, page)
    ]
    if page > 0:
        options.insert(0, discord.SelectOption(label=say("earlier_tokens"), value=f"page:{page - 1}", emoji="⬆️"))
    if page + 1 < pages:
        options.append(discord.SelectOption(label=say("later_tokens"), value=f"page:{page + 1}", emoji="⬇️"))
    return options
