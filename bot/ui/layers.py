"""How layers, pages of the heat map, followed words and files read in Discord. Knows no model.

Token strings can hold anything: they are escaped in prose, and have no backticks in a code block.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import discord

from bot.render.export.size import size_text
from bot.render.glyphs import fit, padded
from bot.render.heatmap import span
from bot.render.text import bare, quoted
from bot.render.wording import percent
from bot.render.wording import words as picture_words
from bot.services.layers import Depth, Drawn, MapPage, TokenLayers, Tracks
from bot.ui.beyond import Card
from bot.ui.controls import FileSelect, map_rows, page_of, pages_of, token_row, tokens_on
from bot.ui.text import clip, escape
from bot.ui.tokens import tokens_of
from bot.ui.wording import ENGLISH, told, words
from models.readings import predicts
from models.trace import Trace

if TYPE_CHECKING:
    from bot.services.dumps import DumpFile

_DEPTH, _TOKEN = 5, 11
"""Letter widths of depth and token in a row; a row of 36 fits a phone."""


class PictureCard(Card):
    """A card with pictures under its text, each with its words, and rows of controls."""

    def __init__(self, text: str, pictures: Sequence[Drawn], name: str, rows: Sequence[discord.ui.ActionRow[Any]] = ()) -> None:
        self._pictures = {f"{name}{'' if i == 0 else f'-{i + 1}'}.png": picture for i, picture in enumerate(pictures)}
        first, *others = self._pictures.items()
        # The first as wide as the card, the others beside each other below it.
        super().__init__(text, None, _gallery([first]), *([_gallery(others)] if others else []))
        for row in rows:
            self.add_item(row)

    def files(self) -> list[discord.File]:
        return [
            discord.File(io.BytesIO(picture.png), filename=file, description=clip(picture.alt, 1024))
            for file, picture in self._pictures.items()
        ]


def _gallery(pictures: Sequence[tuple[str, Drawn]]) -> discord.ui.MediaGallery[Any]:
    items = (discord.MediaGalleryItem(f"attachment://{file}", description=clip(drawn.alt, 256)) for file, drawn in pictures)
    return discord.ui.MediaGallery(*items)


def layers_card(found: TokenLayers, locale: str = ENGLISH) -> PictureCard:
    """One token over all depths: the table, its pictures, and a select to look into another token."""
    tokens = tokens_of(found.told, locale)
    row = token_row(found.run.id, tokens, page_of(found.t, len(tokens)), locale)
    return PictureCard(layers_text(found, locale), found.pictures, "layers", [row])


def map_card(found: MapPage, locale: str = ENGLISH) -> PictureCard:
    """A page of the heat map, its colours and its neighbours."""
    say = words(locale)
    first, count = span(found.trace, found.page)
    figures = {"first": first + 1, "last": first + count, "count": found.trace.length, "page": found.page + 1}
    small = say("map_print", **figures, pages=found.pages, colour=say(f"colour_{found.colour}"))
    rows = map_rows(found.run.id, found.page, found.pages, found.colour, locale)
    return PictureCard(f"{say('map_title')}\n{small}", [found.picture], "heatmap", rows)


def tracks_card(found: Tracks, locale: str = ENGLISH) -> PictureCard:
    """Followed words: the chart, and each word's end and peak."""
    return PictureCard(tracks_text(found, locale), [found.picture], "tracks")


def tokens_card(run_id: str, trace: Trace, page: int, locale: str = ENGLISH) -> Card:
    """Another page of the answer's tokens."""
    say, tokens = words(locale), tokens_of(trace, locale)
    page = max(0, min(page, pages_of(len(tokens)) - 1))
    shown = tokens_on(tokens, page)
    small = say("tokens_print", first=shown[0].t + 1, last=shown[-1].t + 1, count=len(tokens))
    return Card(f"{say('tokens_title')}\n{small}", token_row(run_id, tokens, page, locale))


def offer_card(run_id: str, locale: str = ENGLISH) -> Card:
    """What can be dumped, and how."""
    say = words(locale)
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    row.add_item(FileSelect(run_id, locale))
    return Card(f"{say('dump_title')}\n{say('dump_offer')}", row)


class FileCard(Card):
    """A dump as a file, with what it is and how to read it back."""

    def __init__(self, file: DumpFile, what: str, kind: str, locale: str = ENGLISH) -> None:
        self._file, self._note = file, file_line(file, what, kind, locale)
        super().__init__(file_text(file, what, kind, locale), None, discord.ui.File(f"attachment://{file.name}"))

    def files(self) -> list[discord.File]:
        return [discord.File(io.BytesIO(self._file.data), filename=self._file.name, description=clip(self._note, 1024))]


def file_text(file: DumpFile, what: str, kind: str, locale: str = ENGLISH) -> str:
    """What is in the file, how large it is, what was left out, and how to read it back."""
    say = words(locale)
    lines = [say("dump_title"), file_line(file, what, kind, locale)]
    if file.written.lens:
        lines.append(f"-# {picture_words(locale).lens(file.written.lens)}")
    return "\n".join([*lines, say("file_open") if kind == "html" else say("file_back", name=file.name)])


def file_line(file: DumpFile, what: str, kind: str, locale: str = ENGLISH) -> str:
    """What is in the file, and how large it is."""
    say, written = words(locale), file.written
    counts = {"positions": written.positions, "depths": written.depths, "size": told(size_text(written.size), locale)}
    return say("file_line", what=say(f"dump_{what}"), format=say(f"format_{kind.split('.')[0]}"), **counts)


def layers_text(found: TokenLayers, locale: str = ENGLISH) -> str:
    """The table as text, the output first, with what it is above and below."""
    say, trace = words(locale), found.trace
    title = say("layers_title", at=found.t + 1, count=trace.length, token=escape(quoted(found.token)))
    final = percent(float(trace.emitted_prob[found.t, -1]))
    key = "layers_unsettled" if found.settle is None else "layers_settled"
    key = key if predicts(trace) else "layers_disposed"
    where = say(key, final=final, settle=found.settle, layers=trace.depths)
    table = "\n".join([_head(locale), *(_line(row) for row in found.rows)])
    small = [say("layers_print", lens=_lens(trace, locale))]
    if found.rows[-1].depth == 0:
        small[0] += f" · {say('layers_input')}"
    if len(found.rows) <= trace.depths:
        small.append(say("layers_some", shown=len(found.rows), all=trace.depths + 1))
    return "\n".join([title, where, f"```\n{table}\n```", *small])


def tracks_text(found: Tracks, locale: str = ENGLISH) -> str:
    """Each word with its probability at the end and at its peak, depth 0 left out: it is no prediction."""
    say, watched = words(locale), found.watched
    lines = [say("tracks_title", at=found.t + 1, token=escape(quoted(found.token)))]
    for w, word in enumerate(watched.words):
        course = watched.probs[w, found.t]  # (L+1,)
        peak = 1 + int(course[1:].argmax())
        key = "tracks_row" if watched.whole[w] else "tracks_first"
        figures = {"final": percent(float(course[-1])), "peak": percent(float(course[peak])), "depth": peak}
        lines.append(say(key, word=escape(quoted(word, limit=40)), **figures))
    return "\n".join([*lines, "", say("tracks_print", lens=_lens(found.trace, locale))])


def _lens(trace: Trace, locale: str) -> str:
    return picture_words(locale).lens(trace.lens)


def _head(locale: str) -> str:
    say = words(locale)
    depth, top = padded(say("layers_depth"), _DEPTH, right=True), padded(say("layers_top"), _TOKEN)
    return f"{depth} {top}" + " " * 6 + padded(say("layers_said"), 6, right=True) + padded(say("layers_rank"), 7, right=True)


def _line(row: Depth) -> str:
    token = padded(fit(bare(row.top).replace("`", "ˋ"), _TOKEN) or "…", _TOKEN)
    return f"{row.depth:>{_DEPTH}} {token}{_share(row.top_prob):>6}{_share(row.emitted_prob):>6}{row.emitted_rank:>7}"


def _share(share: float) -> str:
    """A probability in at most five characters, never rounded to a 0 or a 100 that it is not."""
    if share >= 1.0:
        return "100%"
    if share > 0.995:
        return ">99%"
    if share < 0.0005:
        return "<.1%" if share > 0 else "0%"
    return f"{100 * share:.1f}%" if share < 0.0995 else f"{100 * share:.0f}%"
