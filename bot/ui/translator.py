"""The slash commands' descriptions in the user's language, for Discord to show. Names stay English. Knows no command's code."""

from __future__ import annotations

from functools import cache
from importlib import resources
from typing import Any, cast

import discord
import yaml
from discord import app_commands
from discord.app_commands import TranslationContextLocation as Location

from bot.services.monologue import tongue_of

LONGEST = 100
"""Characters of a description. https://docs.discord.com/developers/interactions/application-commands"""
_FILE = "commands.{}.yaml"


class CommandTranslator(app_commands.Translator):
    """Reads `bot/locales/commands.<locale>.yaml`; what stands in none is shown in English."""

    async def translate(
        self, string: app_commands.locale_str, locale: discord.Locale, context: app_commands.TranslationContextTypes
    ) -> str | None:
        """The description of a command or an option; None for everything else."""
        data: Any = context.data
        if context.location is Location.command_description:
            return description(locale.value, data.qualified_name)
        if context.location is Location.parameter_description:
            return description(locale.value, data.command.qualified_name, data.name)
        return None


def description(locale: str, command: str, option: str | None = None) -> str | None:
    """What a command or one of its options is, in the language of a Discord locale; None where nothing but English is known."""
    found = _table(tongue_of(locale).locale).get(command, {})
    return cast("str | None", found.get("description") if option is None else found.get("options", {}).get(option))


@cache
def _table(locale: str) -> dict[str, Any]:
    file = resources.files("bot") / "locales" / _FILE.format(locale)
    return yaml.safe_load(file.read_text(encoding="utf-8")) if file.is_file() else {}
