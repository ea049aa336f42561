"""The slash commands in the languages that Discord shows them in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from string import Formatter
from typing import Any

import discord

from bot.ui import wording
from bot.ui.controls import COLOURS, FORMATS, WHATS
from bot.ui.translator import LONGEST, CommandTranslator, _table
from bot.ui.views import ACTIONS
from bot.ui.wording import strings
from tests.cogs.conftest import World
from tests.cogs.test_openapi import check

NEUTRAL = {"road_share", "token_label", "about_title", "help_row"} | {f"format_{kind}" for kind in FORMATS}
"""Words of the cards that are the same in every language."""
FAMILIES = {"colour": COLOURS, "dump": WHATS, "format": FORMATS, "use": FORMATS}
"""Keys that are put together from a head and the name of a choice."""
NO_WORDS = {*FORMATS, "json.gz", "csv.gz"}
"""Choices that are the same in every language."""


async def payload(world: World) -> list[dict[str, Any]]:
    tree = world.bot.tree
    return [await command.get_translated_payload(tree, CommandTranslator()) for command in tree.get_commands()]


def parts(commands: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Commands, subcommands and options."""
    for part in commands:
        yield part
        yield from parts(part.get("options") or [])


async def test_every_name_and_description_has_its_chinese(world: World) -> None:
    described = list(parts(await payload(world)))
    assert len(described) > 40
    for part in described:
        for kind, most in (("name", 32), ("description", LONGEST)):
            if kind not in part:
                continue  # a menu has no description
            chinese = part[f"{kind}_localizations"]
            assert set(chinese) == {"zh-CN", "zh-TW"}, part["name"]
            assert re.search(r"[\u4e00-\u9fff]", chinese["zh-CN"]), part["name"]
            assert 1 <= len(chinese["zh-CN"]) <= most
            assert 1 <= len(part[kind]) <= most
        for choice in part.get("choices") or []:
            assert choice.get("name_localizations") or choice["name"] in NO_WORDS, choice["name"]


async def test_no_chinese_is_left_over(world: World) -> None:
    tree = world.bot.tree
    known = {
        command.qualified_name: {parameter.name for parameter in getattr(command, "parameters", ())}
        for command in tree.walk_commands()
    }
    assert {name: set(entry.get("options", ())) for name, entry in _table("zh-CN").items()} == known
    names = _table("zh-CN", "names.{}.yaml")
    sent = list(parts(await payload(world)))
    assert set(names["commands"]) == set(known)
    assert set(names["menus"]) == {menu.name for menu in tree.get_commands(type=discord.AppCommandType.message)}
    assert set(names["options"]) == {option for options in known.values() for option in options}
    assert set(names["choices"]) == {c["name"] for part in sent for c in part.get("choices") or []} - NO_WORDS


def test_every_word_of_the_cards_has_its_chinese_with_the_same_slots() -> None:
    english, chinese = strings("en-US"), strings("zh-CN")
    assert list(english) == list(chinese)
    for key, text in english.items():
        slots = [{name for _, name, _, _ in Formatter().parse(told) if name} for told in (text, chinese[key])]
        assert slots[0] == slots[1], key
        assert re.search(r"[\u4e00-\u9fff]", chinese[key]) or key in NEUTRAL, key


def test_no_word_of_the_cards_is_left_over() -> None:
    bot = Path(wording.__file__).parents[1]
    files = [*bot.glob("ui/*.py"), *bot.with_name("cogs").glob("*.py"), bot / "client.py"]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    made = {f"{head}_{name}" for head, names in FAMILIES.items() for name in names}
    for key in strings("en-US"):
        if key in made:
            continue
        assert f'"{key}"' in source or f"'{key}'" in source or key.removeprefix("button_") in ACTIONS, key


async def test_discord_is_sent_them(world: World) -> None:
    (sent,) = [r.json for r in world.env.http_requests if r.method == "PUT" and r.path.endswith("/commands")]
    ask = next(command for command in sent if command["name"] == "ask")
    assert "内心独白" in ask["description_localizations"]["zh-CN"]
    check(world)
