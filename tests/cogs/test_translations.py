"""The slash commands in the languages that Discord shows them in."""

from __future__ import annotations

import re
from pathlib import Path
from string import Formatter
from typing import Any

from bot.ui import wording
from bot.ui.translator import LONGEST, CommandTranslator, _table
from bot.ui.views import ACTIONS
from bot.ui.wording import strings
from tests.cogs.conftest import World
from tests.cogs.test_openapi import check


async def test_every_description_has_its_chinese(world: World) -> None:
    tree = world.bot.tree
    payload = [await command.get_translated_payload(tree, CommandTranslator()) for command in tree.get_commands()]
    described: list[dict[str, Any]] = [part for command in payload for part in (command, *command.get("options", ()))]
    assert len(described) > 15
    for part in described:
        chinese = part["description_localizations"]
        assert set(chinese) == {"zh-CN", "zh-TW"}, part["name"]
        assert 1 <= len(chinese["zh-CN"]) <= LONGEST
        assert 1 <= len(part["description"]) <= LONGEST
        assert not part.get("name_localizations")


async def test_no_chinese_is_left_over(world: World) -> None:
    known = {
        command.qualified_name: {parameter.name for parameter in getattr(command, "parameters", ())}
        for command in world.bot.tree.get_commands()
    }
    assert {name: set(entry.get("options", ())) for name, entry in _table("zh-CN").items()} == known


def test_every_word_of_the_cards_has_its_chinese_with_the_same_slots() -> None:
    english, chinese = strings("en-US"), strings("zh-CN")
    assert list(english) == list(chinese)
    for key, text in english.items():
        slots = [{name for _, name, _, _ in Formatter().parse(told) if name} for told in (text, chinese[key])]
        assert slots[0] == slots[1], key
        assert re.search(r"[\u4e00-\u9fff]", chinese[key]) or key == "road_share", key


def test_no_word_of_the_cards_is_left_over() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(wording.__file__).parent.glob("*.py"))
    for key in strings("en-US"):
        assert f'"{key}"' in source or f"'{key}'" in source or key.removeprefix("button_") in ACTIONS, key


async def test_discord_is_sent_them(world: World) -> None:
    (sent,) = [r.json for r in world.env.http_requests if r.method == "PUT" and r.path.endswith("/commands")]
    ask = next(command for command in sent if command["name"] == "ask")
    assert "内心独白" in ask["description_localizations"]["zh-CN"]
    check(world)
