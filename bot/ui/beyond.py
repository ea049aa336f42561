"""How a causal check, a road not taken and second thoughts read in Discord. Knows no model.

Token strings and answers can hold anything, so all of them are escaped.
"""

from __future__ import annotations

import io
from typing import Any

import discord

from bot.services.beyond import Crossing, Fork, SecondThoughts, Why
from bot.services.compare import Reading
from bot.services.monologue import Line, tongue_of
from bot.ui.text import clip, escape, title, units
from bot.ui.views import RoadSelect
from bot.ui.voice_message import ACCENT
from bot.ui.wording import ENGLISH, Words, words
from models.readings import Considered

MOST_ROADS = 25
"""Options of one select. https://docs.discord.com/developers/components/reference"""
_ANSWER = 700
PICTURE = "why.png"


class Card(discord.ui.LayoutView):
    """One container of text and what belongs under it, and a row for the answer that it shows."""

    run_id: str | None = None
    """The run whose answer it is: a reply to the card goes on from there."""
    holds: tuple[str, ...] = ()
    """Runs whose words stand on it: they are forgotten when it is deleted."""

    def __init__(
        self,
        text: str,
        row: discord.ui.ActionRow[Any] | None = None,
        *under: discord.ui.Item[Any],
        run_id: str | None = None,
    ) -> None:
        super().__init__(timeout=None)
        self.run_id = run_id
        self.add_item(discord.ui.Container(discord.ui.TextDisplay(clip(text, 3900)), *under, accent_colour=ACCENT))
        if row is not None:
            self.add_item(row)

    def files(self) -> list[discord.File]:
        """Fresh file objects of its pictures: discord.py consumes them when it sends."""
        return []


class WhyCard(Card):
    """The causal check told and drawn."""

    def __init__(self, why: Why, locale: str = ENGLISH) -> None:
        item = discord.MediaGalleryItem(f"attachment://{PICTURE}", description=clip(why.alt, 256))
        super().__init__(why_text(why, locale), None, discord.ui.MediaGallery(item))
        self.why = why

    def files(self) -> list[discord.File]:
        return [discord.File(io.BytesIO(self.why.picture), filename=PICTURE, description=clip(self.why.alt, 1024))]


class CrossingCard(Card):
    """The select of considered tokens; only who pressed sees it."""

    def __init__(self, crossing: Crossing, locale: str = ENGLISH) -> None:
        say = words(locale)
        options = [
            discord.SelectOption(
                label=title(road_label(choice, locale)),
                description=title(_where(choice, say)),
                value=f"{crossing.t}:{choice.id}",
            )
            for choice in crossing.choices[:MOST_ROADS]
        ]
        figures = {"final": crossing.final_prob, "sampled": crossing.sampled_prob}
        offer = say("road_offer", at=crossing.t + 1, token=_token(crossing.emitted, locale), **figures)
        row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
        row.add_item(RoadSelect(crossing.run.id, options, locale))
        super().__init__(f"{say('road_title')}\n{offer}", row)


def road_label(choice: Considered, locale: str = ENGLISH) -> str:
    """A considered token and its final probability, for a select or an autocomplete."""
    token, say = tongue_of(locale).named(choice.text), words(locale)
    if choice.final_prob is None:
        return say("road_no_share", token=token)
    return say("road_share", token=token, final=choice.final_prob)


def _where(choice: Considered, say: Words) -> str:
    if choice.first_depth is None:
        return say("road_never_top")
    return say("road_on_top", count=choice.depths_on_top, first=choice.first_depth)


def why_text(why: Why, locale: str = ENGLISH) -> str:
    """The told lines, and the count beside its control."""
    say = words(locale)
    told = "\n".join(f"{'- ' if index else ''}{escape(line.text)}" for index, line in enumerate(why.lines))
    counts = {"blocks": why.trace.depths, "flips": why.flips, "control": why.control_flips}
    small = say("why_print", at=why.check.t + 1, **counts)
    return f"{say('why_title', token=_token(why.token, locale))}\n{told or say('unproved')}\n\n{small}"


def fork_text(fork: Fork, locale: str = ENGLISH) -> str:
    """Both answers, each with both probabilities of the token at which they part."""
    crossing, say = fork.crossing, words(locale)
    figures = {"final": fork.final_prob, "sampled": fork.sampled_prob}
    return "\n".join(
        [
            say("fork_title", at=crossing.t + 1),
            say("fork_taken", token=_token(crossing.emitted, locale)),
            said(fork.original, say),
            say("fork_probs", final=crossing.final_prob, sampled=crossing.sampled_prob),
            "",
            say("fork_not_taken", token=_token(fork.token, locale)),
            said(fork.answered.answer.text, say),
            say("fork_probs_not_kept" if fork.final_prob is None else "fork_probs", **figures),
        ]
    )


def thoughts_text(thoughts: SecondThoughts, locale: str = ENGLISH) -> str:
    """Whether and where the answer changed, and the figures of both."""
    at, say = thoughts.differs_at, words(locale)
    return "\n".join(
        [
            say("thoughts_title"),
            say("thoughts_same") if at is None else say("thoughts_changed", at=at + 1),
            say("thoughts_first"),
            said(thoughts.first.answer_text or "", say),
            figures_line(thoughts.before, locale),
            "",
            say("thoughts_now"),
            said(thoughts.answered.answer.text, say),
            figures_line(thoughts.after, locale),
        ]
    )


def everything_texts(lines: tuple[Line, ...], locale: str = ENGLISH) -> list[str]:
    """The long form in pieces that fit a message each."""
    say = words(locale)
    found: list[str] = []
    for line in lines:
        text = clip(escape(line.text), 3500)
        if found and units(found[-1]) + units(text) + 2 <= 3500:
            found[-1] += f"\n\n{text}"
        else:
            found.append(text)
    return [f"{say('everything_title')}\n{text}" for text in found or [say("unproved")]]


def figures_line(reading: Reading | None, locale: str) -> str:
    """The figures of an answer at its pivotal token, in small print."""
    say = words(locale)
    if reading is None:
        return say("figures_none")
    figures = {"final": reading.final_prob, "entropy": reading.entropy, "settle": reading.settle}
    key = "figures_unsettled" if reading.settle is None else "figures_settled"
    return say(key, token=_token(reading.token, locale), **figures)


def _token(text: str, locale: str) -> str:
    """A token in quotes, or in words where it has no face of its own."""
    return escape(tongue_of(locale).named(text))


def said(text: str, say: Words) -> str:
    """An answer as it may stand on a card."""
    return escape(clip(text.strip(), _ANSWER)) or say("nothing_said")
