"""Controls that survive a restart: their custom ids carry the run (``fp:v1:<action>:<run id>``). Knows no model.

A press becomes an event of the client (``on_voice_press``), which a cog listens to: nothing here holds state.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Self

import discord

from bot.ui.wording import ENGLISH, words

RUN_ID = r"[A-Za-z0-9_-]{16}"


class OfRun:
    """A control that is made again from its custom id: the template's groups are the first arguments, in their order."""

    @classmethod
    async def from_custom_id(
        cls, _interaction: discord.Interaction[Any], _item: discord.ui.Item[Any], match: re.Match[str], /
    ) -> Self:
        """Called by discord.py when it is pressed."""
        return cls(*match.groups())


class InnerVoiceButton(OfRun, discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"fp:v1:voice:(?P<run>{RUN_ID})"):
    """*💭 Inner voice* under an answer."""

    def __init__(self, run_id: str, locale: str = ENGLISH, label: str | None = None) -> None:
        style, label = discord.ButtonStyle.secondary, label or words(locale)("button_voice")
        button: discord.ui.Button[Any] = discord.ui.Button(
            label=label, emoji="💭", style=style, custom_id=f"fp:v1:voice:{run_id}"
        )
        super().__init__(button)
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        interaction.client.dispatch("voice_press", interaction, self.run_id)


ACTIONS = {"layers": "🔎", "why": "🔬", "road": "🔀", "again": "🤔", "dump": "💾", "all": "📜"}


class RunButton(
    OfRun, discord.ui.DynamicItem[discord.ui.Button[Any]], template=rf"fp:v1:(?P<action>{'|'.join(ACTIONS)}):(?P<run>{RUN_ID})"
):
    """What can be done with an answer from its inner voice; one of `ACTIONS`."""

    def __init__(self, action: str, run_id: str, locale: str = ENGLISH) -> None:
        label, emoji = words(locale)(f"button_{action}"), ACTIONS[action]
        style = discord.ButtonStyle.secondary
        super().__init__(discord.ui.Button(label=label, emoji=emoji, style=style, custom_id=f"fp:v1:{action}:{run_id}"))
        self.action = action
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        interaction.client.dispatch("run_press", interaction, self.action, self.run_id)


class RoadSelect(OfRun, discord.ui.DynamicItem[discord.ui.Select[Any]], template=rf"fp:v1:take:(?P<run>{RUN_ID})"):
    """The considered tokens at a crossing; each value is ``<t>:<token id>``."""

    def __init__(self, run_id: str, options: list[discord.SelectOption] | None = None, locale: str = ENGLISH) -> None:
        select: discord.ui.Select[Any] = discord.ui.Select(
            custom_id=f"fp:v1:take:{run_id}", placeholder=words(locale)("choose_road"), options=options or []
        )
        super().__init__(select)
        self.run_id = run_id

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        t, _, token = chosen(interaction).partition(":")
        if t.isdecimal() and token.isdecimal():
            interaction.client.dispatch("road_choice", interaction, self.run_id, int(t), int(token))


def run_row(run_id: str, *actions: str, locale: str = ENGLISH) -> discord.ui.ActionRow[Any]:
    """A row of buttons for an answer. ``voice`` is the inner-voice button."""
    return row_of(
        [InnerVoiceButton(run_id, locale) if action == "voice" else RunButton(action, run_id, locale) for action in actions]
    )


def row_of(items: Iterable[discord.ui.Item[Any]]) -> discord.ui.ActionRow[Any]:
    """The items beside each other."""
    row: discord.ui.ActionRow[Any] = discord.ui.ActionRow()
    for item in items:
        row.add_item(item)
    return row


def chosen(interaction: discord.Interaction[Any]) -> str:
    """The value that was chosen from a select."""
    data: Any = interaction.data
    return str(data["values"][0])
