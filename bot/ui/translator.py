"""The slash commands in the user's language, for Discord to show: names, descriptions, choices, menus. Knows no cog."""

from __future__ import annotations

from functools import cache
from typing import Any, cast

import discord
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Location

from bot.catalogue import ENGLISH, language_of, table

LONGEST, LONGEST_NAME = 100, 32
"""Characters of a description and of a name. https://docs.discord.com/developers/interactions/application-commands"""
_COMMANDS, _NAMES = "commands.{}.yaml", "names.{}.yaml"


class CommandTranslator(app_commands.Translator):
    """Reads ``commands.<locale>.yaml`` and ``names.<locale>.yaml``; what stands in none is shown in English."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """A name or description; None where there is nothing but English."""
        data: Any = context.data
        match context.location:
            case Location.command_description | Location.group_description:
                return description(locale.value, data.qualified_name)
            case Location.parameter_description:
                return description(locale.value, data.command.qualified_name, data.name)
            case Location.command_name | Location.group_name:
                return name_of(locale.value, data.qualified_name)
            case Location.parameter_name:
                return _name(locale.value, "options", string.message)
            case Location.choice_name:
                return _name(locale.value, "choices", string.message)
            case _:
                return None


def description(locale: str, command: str, option: str | None = None) -> str | None:
    """What a command or one of its options is, in the language of a Discord locale; None where nothing but English is known."""
    found = _table(language_of(locale)).get(command, {})
    return cast("str | None", found.get("description") if option is None else found.get("options", {}).get(option))


def name_of(locale: str, command: str) -> str | None:
    """What a command or a menu is called in a language; None where it keeps its English name. Subcommands by their whole name."""
    return _name(locale, "commands", command) or _name(locale, "menus", command)


def _name(locale: str, kind: str, name: str) -> str | None:
    return cast("str | None", _table(language_of(locale), _NAMES).get(kind, {}).get(name))


@cache
def _table(locale: str, name: str = _COMMANDS) -> dict[str, Any]:
    return {} if locale == ENGLISH else table(name.format(locale))
