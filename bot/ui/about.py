"""What `/help`, `/about` and `/model info` say. The commands are read off the tree, so that the list is whole and true."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import discord
from discord import app_commands

from bot.errors import ForwardPassError
from bot.render.wording import words as picture_words
from bot.ui.text import escape
from bot.ui.translator import description, name_of
from bot.ui.wording import ENGLISH, told, words
from models.types import ModelInfo

Tree = app_commands.CommandTree[Any]
_MENUS = {"Inner voice": "menu_voice", "Layer dump": "menu_dump"}


@dataclass(frozen=True, slots=True)
class CommandLines:
    """All commands, a line each."""

    slash: tuple[str, ...]
    menus: tuple[str, ...]


def command_lines(tree: Tree, locale: str = ENGLISH) -> CommandLines:
    """Every slash command and menu of the tree with what it does."""
    say = words(locale)
    slash = [
        say("help_row", name=f"`{shown_name(command.qualified_name, locale)}`", what=escape(_what(command, locale)))
        for command in sorted(_leaves(tree), key=lambda command: command.qualified_name)
    ]
    menus = [
        say("help_row", name=f"**{name_of(locale, menu.name) or menu.name}**", what=say(_MENUS[menu.name]))
        for menu in tree.get_commands(type=discord.AppCommandType.message)
    ]
    return CommandLines(tuple(slash), tuple(menus))


def help_text(lines: CommandLines, locale: str = ENGLISH) -> str:
    """How to ask, and everything that can be asked for."""
    say = words(locale)
    intro = [say("help_title"), say("help_ask", ask=f"`{shown_name('ask', locale)}`"), "", say("help_voice"), ""]
    habits = [say("help_reply"), say("help_answer"), say("help_thumbs")]
    return "\n".join([*intro, *habits, say("help_commands"), *lines.slash, say("help_menus"), *lines.menus])


def about_text(version: str, keep_days: int, locale: str = ENGLISH) -> str:
    """What this is, what is true of it, and what it keeps."""
    say = words(locale)
    parts = [say("about_what"), say("about_true"), say("about_kept", days=keep_days)]
    return "\n\n".join([f"{say('about_title', version=version)}\n{parts[0]}", *parts[1:]])


class Model(Protocol):
    """The loaded or loading model."""

    @property
    def info(self) -> ModelInfo | None: ...

    @property
    def failure(self) -> ForwardPassError | None: ...


def state_text(model: Model, locale: str = ENGLISH) -> str:
    """Why no model is there to speak of; "" when one is."""
    if model.info is not None:
        return ""
    return f"⚠️ {told(model.failure, locale)}" if model.failure is not None else words(locale)("about_loading")


def thinking_text(model: Model, locale: str = ENGLISH) -> str:
    """The loaded model by its name."""
    return "" if model.info is None else words(locale)("about_thinking", name=escape(model.info.name))


def model_text(model: Model, lens: str, locale: str = ENGLISH) -> str:
    """The loaded model in words."""
    say, info = words(locale), model.info
    if info is None:
        return ""
    revision = say("model_revision", revision=info.revision[:12]) if info.revision else ""
    sizes = {"layers": info.layers, "vocabulary": f"{info.vocabulary:,}", "context": f"{info.context:,}"}
    if info.inner_voice is None:
        voice = say("model_voice", lens=picture_words(locale).lens(lens))
    else:
        voice = say("model_no_voice", why=escape(told(info.inner_voice, locale)))
    return "\n".join(
        [
            f"### {escape(info.name)}",
            say("model_id", id=info.id, revision=revision, architecture=info.architecture),
            say("model_size", parameters=f"{info.parameters / 1e6:,.0f}", **sizes),
            say("model_place", device=info.device, dtype=info.dtype, seconds=f"{info.load_seconds:.1f}"),
            voice,
            *(f"ℹ️ {escape(told(note, locale))}" for note in info.notes),
            "-# " + ", ".join(f"{name} {version}" for name, version in info.versions.items()),
        ]
    ).removesuffix("\n-# ")


def shown_name(command: str, locale: str = ENGLISH) -> str:
    """``/model info`` as a user of that language finds it, the English name behind a translated one."""
    parts = command.split()
    told = [name_of(locale, " ".join(parts[: i + 1])) or part for i, part in enumerate(parts)]
    english = f"/{command}"
    shown = f"/{' '.join(told)}"
    return english if shown == english else f"{shown} ({english})"


def _leaves(tree: Tree) -> Iterator[app_commands.Command[Any, ..., Any]]:
    for command in tree.walk_commands():
        if isinstance(command, app_commands.Command):
            yield command


def _what(command: app_commands.Command[Any, ..., Any], locale: str) -> str:
    return description(locale, command.qualified_name) or command.description
