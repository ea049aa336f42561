"""How a causal check, a road not taken, second thoughts and a comparison read in Discord. Knows no model.

Token strings and answers can hold anything, so all of them are escaped.
"""

from __future__ import annotations

import io
from typing import Any

import discord

from bot.render.text import quoted
from bot.services.beyond import Comparison, Crossing, Fork, Reading, SecondThoughts, Why
from bot.services.monologue import Line
from bot.ui.text import clip, escape
from bot.ui.views import RoadSelect
from bot.ui.voice_message import ACCENT
from models.readings import Considered

MOST_ROADS = 25
"""Options of one select. https://docs.discord.com/developers/components/reference"""
_ANSWER = 700
PICTURE = "why.png"


class Card(discord.ui.LayoutView):
    """One container of text and what belongs under it, and a row for the answer that it shows."""

    def __init__(self, text: str, row: discord.ui.ActionRow[Any] | None = None, *under: discord.ui.Item[Any]) -> None:
        super().__init__(timeout=None)
        self.add_item(discord.ui.Container(discord.ui.TextDisplay(clip(text, 3900)), *under, accent_colour=ACCENT))
        if row is not None:
            self.add_item(row)

    def files(self) -> list[discord.File]:
        """Fresh file objects of its pictures: discord.py consumes them when it sends."""
        return []


class WhyCard(Card):
    """The causal check told and drawn."""

    def __init__(self, why: Why) -> None:
        item = discord.MediaGalleryItem(f"attachment://{PICTURE}", description=clip(why.alt, 256))
        super().__init__(why_text(why), None, discord.ui.MediaGallery(item))
        self.why = why

    def files(self) -> list[discord.File]:
        return [discord.File(io.BytesIO(self.why.picture), filename=PICTURE, description=clip(self.why.alt, 1024))]


class CrossingCard(Card):
    """The select of considered tokens; only who pressed sees it."""

    def __init__(self, crossing: Crossing) -> None:
        options = [
            discord.SelectOption(
                label=clip(road_label(choice), 100), description=clip(_where(choice), 100), value=f"{crossing.t}:{choice.id}"
            )
            for choice in crossing.choices[:MOST_ROADS]
        ]
        text = (
            f"### 🔀 Road not taken\nAt token {crossing.t + 1} I said {_token(crossing.emitted)}: "
            f"{crossing.final_prob:.1%} at the end, {crossing.sampled_prob:.1%} under the sampler. What if not?"
        )
        row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
        row.add_item(RoadSelect(crossing.run.id, options))
        super().__init__(text, row)


def road_label(choice: Considered) -> str:
    """A considered token and its final probability, for a select or an autocomplete."""
    share = "not among the last candidates" if choice.final_prob is None else f"{choice.final_prob:.1%}"
    return f"{quoted(choice.text, limit=60)} · {share}"


def _where(choice: Considered) -> str:
    if choice.first_depth is None:
        return "a candidate at the last depth, never on top"
    return f"top of the lens at {choice.depths_on_top} of the later depths, first at {choice.first_depth}"


def why_text(why: Why) -> str:
    """The told lines, and the count beside its control."""
    blocks = why.trace.depths
    told = (
        "\n".join(f"{'- ' if index else ''}{escape(line.text)}" for index, line in enumerate(why.lines))
        or "*I can say nothing of it that I could prove.*"
    )
    return (
        f"### 🔬 Why {_token(why.token)}?\n{told}\n"
        f"-# Each of the {blocks} blocks was left out alone while token {why.check.t + 1} was predicted: {why.flips} of {blocks} "
        f"made another token the likeliest, against {why.control_flips} of {blocks} random vectors of the same norm."
    )


def fork_text(fork: Fork) -> str:
    """Both answers, each with both probabilities of the token at which they part."""
    crossing = fork.crossing
    final = "not among the candidates that I kept" if fork.final_prob is None else f"{fork.final_prob:.1%}"
    return (
        f"### 🔀 Road not taken, from token {crossing.t + 1}\n"
        f"**Taken: {_token(crossing.emitted)}**\n{_said(fork.original)}\n"
        f"-# final probability at temperature 1: {crossing.final_prob:.1%} · the sampler's: {crossing.sampled_prob:.1%}\n"
        f"**Not taken: {_token(fork.token)}**\n{_said(fork.answered.answer.text)}\n"
        f"-# final probability at temperature 1: {final} · the sampler's: {fork.sampled_prob:.1%}"
    )


def thoughts_text(thoughts: SecondThoughts) -> str:
    """Whether and where the answer changed, and the figures of both."""
    at = thoughts.differs_at
    changed = "My answer stayed the same." if at is None else f"My answer changed, from token {at + 1} on."
    return (
        f"### 🤔 Second thoughts\nI was asked again, with my inner voice before me. {changed}\n"
        f"**First**\n{_said(thoughts.first.answer_text or '')}\n-# {_figures(thoughts.before)}\n"
        f"**Now**\n{_said(thoughts.answered.answer.text)}\n-# {_figures(thoughts.after)}"
    )


def comparison_text(found: Comparison) -> str:
    """Both questions, their answers, and the figures depth by depth."""
    parts = ["### ⚖️ Side by side"]
    for answered, reading in ((found.a, found.reading_a), (found.b, found.reading_b)):
        parts += [f"**{escape(clip(' '.join(answered.run.question.split()), 200))}**", _said(answered.answer.text)]
        parts += [f"- depth {d}: {_token(top)} on top, emitted {p:.1%}, entropy {h:.2f} nats" for d, top, p, h in _rows(reading)]
        parts.append(f"-# {_figures(reading)}")
    return "\n".join(
        [*parts, "-# Two questions alone show no effect: without several matched controls these are figures, no more."]
    )


def everything_text(lines: tuple[Line, ...]) -> list[str]:
    """The long form in pieces that fit a message each."""
    found: list[str] = []
    for line in lines:
        text = clip(escape(line.text), 3500)
        if found and len(found[-1]) + len(text) + 2 <= 3500:
            found[-1] += f"\n\n{text}"
        else:
            found.append(text)
    return found or ["*I can say nothing of it that I could prove.*"]


def _rows(reading: Reading | None) -> tuple[tuple[int, str, float, float], ...]:
    return () if reading is None else reading.quartiles


def _figures(reading: Reading | None) -> str:
    if reading is None:
        return "no word of it was decided"
    settled = "never settled" if reading.settle is None else f"settled at depth {reading.settle}"
    return (
        f"pivotal token {_token(reading.token)} · final probability at temperature 1: {reading.final_prob:.1%} · "
        f"entropy {reading.entropy:.2f} nats · {settled}"
    )


def _token(text: str) -> str:
    return escape(quoted(text))


def _said(text: str) -> str:
    return escape(clip(text.strip(), _ANSWER)) or "*(nothing)*"
