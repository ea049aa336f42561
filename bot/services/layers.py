"""What the second pass of a stored run knows of one token, one page or a few words, drawn. Knows no Discord and no torch."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from bot.errors import NoInnerVoiceError
from bot.render.attribution import attention_alt, attention_png, attribution_alt, attribution_png
from bot.render.heatmap import alt_text, heatmap_png, page_of, pages
from bot.render.layers import layer_table_alt, layer_table_png
from bot.render.shades import Colour
from bot.render.tracks import tracks_alt, tracks_png
from bot.services.model import Model
from bot.services.monologue import picture_title
from bot.services.places import positions_of
from bot.services.voice import VoiceService
from bot.storage.records import Run
from bot.storage.runs import RunStore
from models import readings as read
from models.findings import Watched
from models.roads import check_place
from models.sentences import Sentence
from models.trace import Trace
from models.types import LensName, whole

MOST_WORDS = 5
MOST_ROWS = 16
"""Depths of a table as text: more are a long way on a phone, and the picture has them."""
LONGEST_WORD = 40


@dataclass(frozen=True, slots=True)
class Drawn:
    """A picture and the same in words."""

    png: bytes = field(repr=False)
    alt: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Depth:
    """One depth of one token: probabilities at temperature 1, entropy in nats."""

    depth: int
    top: str = field(repr=False)
    """The likeliest token there."""
    top_prob: float
    emitted_prob: float
    emitted_rank: int
    """From 1."""
    entropy: float


@dataclass(frozen=True, slots=True)
class TokenLayers:
    """One answer token over all depths, the output first."""

    run: Run
    trace: Trace = field(repr=False)
    told: Trace = field(repr=False)
    """What the inner voice was told from: the same, but where another lens was asked for."""
    t: int
    token: str = field(repr=False)
    settle: int | None
    rows: tuple[Depth, ...] = field(repr=False)
    """Of all depths, or of those that a short text has; depth L first."""
    pictures: tuple[Drawn, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class MapPage:
    """A page of the heat map, from 0."""

    run: Run
    trace: Trace = field(repr=False)
    page: int
    pages: int
    colour: Colour
    picture: Drawn


@dataclass(frozen=True, slots=True)
class Tracks:
    """Asked-for words at one answer token, across the depths."""

    run: Run
    trace: Trace = field(repr=False)
    watched: Watched = field(repr=False)
    t: int
    token: str = field(repr=False)
    picture: Drawn


class LayersService:
    """Looks at stored runs."""

    def __init__(self, *, runs: RunStore, model: Model, voices: VoiceService) -> None:
        self._runs = runs
        self._model = model
        self._voices = voices

    async def token(
        self,
        run_id: str,
        *,
        t: int | None = None,
        colour: Colour | None = None,
        lens: LensName | None = None,
        locale: str | None = None,
    ) -> TokenLayers:
        """One token over all depths, the pivotal one without ``t``; with a ``colour``, its page of the heat map, too.

        Raises:
            ForwardPassError: RunError, NoSuchTokenError, ModelError, LensError.
        """
        run, told, trace = await self._read(run_id, lens)
        at = token_at(told, t)
        pictures = await asyncio.to_thread(_draw_token, trace, at, colour, locale or run.locale)
        rows = tuple(depth_row(trace, at, depth) for depth in told_depths(trace.depths))
        return TokenLayers(run, trace, told, at, read.emitted_text(trace, at), read.settle_depth(trace, at), rows, pictures)

    async def page(
        self,
        run_id: str,
        *,
        page: int | None = None,
        colour: Colour = "probability",
        lens: LensName | None = None,
        locale: str | None = None,
    ) -> MapPage:
        """A page of the heat map, the one with the pivotal token without ``page``. Raises what `token` raises."""
        run, told, trace = await self._read(run_id, lens)
        count = pages(trace)
        at = home_page(told) if page is None else max(0, min(page, count - 1))
        picture = await asyncio.to_thread(_draw_page, trace, colour, at, locale or run.locale)
        return MapPage(run, trace, at, count, colour, picture)

    async def tracks(self, run_id: str, words: tuple[str, ...], *, t: int | None = None, locale: str | None = None) -> Tracks:
        """Follow words at a token, the pivotal one without ``t``. Raises what `token` raises."""
        run, trace = await self._voices.read(run_id)
        at = token_at(trace, t)
        found = await self._model.follow(await self._voices.answer_of(run), trace, words)
        if found.watched is None:
            why = found.notes.get("watched", Sentence("it gives no reason."))
            raise NoInnerVoiceError(Sentence("I cannot follow words in this model: {why}", why=Sentence(why)))
        picture = await asyncio.to_thread(_draw_tracks, trace, found.watched, at, locale or run.locale)
        return Tracks(run, trace, found.watched, at, read.emitted_text(trace, at), picture)

    async def _read(self, run_id: str, lens: LensName | None) -> tuple[Run, Trace, Trace]:
        """A run, the trace that its voice was told from, and the one through the lens that was asked for."""
        run, told = await self._voices.read(run_id)
        return run, told, told if lens is None else await self._voices.through(run, told, lens)

    async def alive(self, run_id: str) -> None:
        """See that a run is still stored. Raises RunExpiredError."""
        await self._runs.get(run_id)

    async def places(self, run_id: str, text: str | None, *, answer_alone: bool = False) -> tuple[int, ...] | None:
        """What a person typed as positions, for this run. Raises RunExpiredError, NoSuchTokenError: see `positions_of`."""
        if text is None:
            return None
        answer = await self._runs.load_answer(run_id)
        prompt, count = len(answer.prompt_ids), len(answer.answer_ids)
        return positions_of(text, prompt=prompt, answer=count, answer_alone=answer_alone)

    async def kept(self, run_id: str) -> Trace | None:
        """The trace if it is stored: for what must be quick, such as an autocomplete. Raises RunExpiredError."""
        return await self._runs.load_trace(run_id)


def words_of(text: str) -> tuple[str, ...]:
    """Up to five words, separated by commas, else by blanks.

    Raises:
        NoInnerVoiceError: there is none, or too many.
    """
    text = whole(text)
    parts = [part.strip() for part in text.replace("，", ",").replace("、", ",").split(",")] if _commas(text) else text.split()
    words = tuple(dict.fromkeys(part for part in parts if part))
    if not 1 <= len(words) <= MOST_WORDS:
        raise NoInnerVoiceError(
            Sentence("I can follow one to {most} words at a time. Separate them with commas.", most=MOST_WORDS)
        )
    if any(len(word) > LONGEST_WORD for word in words):
        raise NoInnerVoiceError(Sentence("A word may have at most {most} characters.", most=LONGEST_WORD))
    return words


def _commas(text: str) -> bool:
    return any(mark in text for mark in ",，、")


def token_at(trace: Trace, t: int | None) -> int:
    """A token of the answer, from 0; the pivotal one for None, and the first where nothing was decided.

    Raises:
        NoSuchTokenError: there is none such.
    """
    at = (read.pivotal(trace) or 0) if t is None else t
    check_place(trace.length, at)
    return at


def home_page(trace: Trace) -> int:
    """The page of the heat map that is shown first: the one with the pivotal token."""
    return page_of(trace, read.pivotal(trace) or 0)


def told_depths(layers: int) -> tuple[int, ...]:
    """The depths of a table as text, L first: all of few, else even steps through the upper half and one look below."""
    if layers <= MOST_ROWS:
        return tuple(range(layers, -1, -1))
    half = (layers + 1) // 2
    step = -(-(layers - half + 1) // MOST_ROWS)
    return (*range(layers, half - 1, -step), layers // 4)


def depth_row(trace: Trace, t: int, depth: int) -> Depth:
    """What one depth held at one token."""
    return Depth(
        depth=depth,
        top=read.text_at(trace, t, read.top_token(trace, t, depth)),
        top_prob=float(trace.top_probs[t, depth, 0]),
        emitted_prob=float(trace.emitted_prob[t, depth]),
        emitted_rank=int(trace.emitted_rank[t, depth]) + 1,
        entropy=float(trace.entropy[t, depth]),
    )


def _draw_token(trace: Trace, t: int, colour: Colour | None, locale: str) -> tuple[Drawn, ...]:
    """The table, the evidence that there is, and the page of the heat map if it was asked for."""
    drawn = [Drawn(layer_table_png(trace, t, locale=locale), layer_table_alt(trace, t, locale=locale))]
    if trace.findings.attribution is not None:
        drawn.append(Drawn(attribution_png(trace, t, locale=locale), attribution_alt(trace, t, locale=locale)))
    if trace.findings.attention is not None:
        drawn.append(Drawn(attention_png(trace, t, locale=locale), attention_alt(trace, t, locale=locale)))
    return (*drawn, *(() if colour is None else (_draw_page(trace, colour, page_of(trace, t), locale),)))


def _draw_page(trace: Trace, colour: Colour, page: int, locale: str) -> Drawn:
    title = picture_title(trace, locale) if colour == "probability" else ""
    png = heatmap_png(trace, colour=colour, page=page, locale=locale, finding=title)
    return Drawn(png, alt_text(trace, colour=colour, page=page, locale=locale))


def _draw_tracks(trace: Trace, watched: Watched, t: int, locale: str) -> Drawn:
    return Drawn(tracks_png(trace, watched, t=t, locale=locale), tracks_alt(trace, watched, t=t, locale=locale))
