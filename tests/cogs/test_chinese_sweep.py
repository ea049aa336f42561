"""Everything that commands, menus, buttons and selects show a reader of Chinese: no English phrase, nothing too long."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import discord
import pytest

from tests.cogs.conftest import ANSWER, FOOT, World, control, told

NAMES = ("Forward Pass", "Andrej Karpathy")
"""They stay as they are."""
ENGLISH = re.compile(r"[A-Za-z]{2,}(?:[ ,;:.]+[A-Za-z]{2,})+")
LONG = "The answer is 2, since the sentence about a foot asks for eyes. " * 4


def strings(node: Any) -> Iterator[str]:
    """Each text of a component and of what is in it: contents, labels, placeholders, options, descriptions of pictures."""
    for name in ("content", "label", "placeholder", "description"):
        text = getattr(node, name, None)
        if isinstance(text, str) and text:
            yield text
    for name in ("children", "options", "items", "components"):
        for part in getattr(node, name, None) or ():
            yield from strings(part)
    accessory = getattr(node, "accessory", None)
    if accessory is not None:
        yield from strings(accessory)


def shown(message: discord.Message) -> list[str]:
    found = [message.content, *(text for component in message.components for text in strings(component))]
    return [*found, *(attachment.description or "" for attachment in message.attachments)]


def length(message: discord.Message) -> int:
    """Of all that Discord counts in a message: 2,000 of content, or 4,000 on its cards."""
    texts: list[str] = []

    def walk(component: Any) -> None:
        if isinstance(component, discord.TextDisplay):
            texts.append(component.content)
        for child in getattr(component, "children", []):
            walk(child)

    for component in message.components:
        walk(component)
    return sum(map(len, texts))


def check(message: discord.Message, *, said: tuple[str, ...] = (FOOT, ANSWER, LONG.strip())) -> None:
    assert len(message.content) <= 2000
    assert length(message) <= 4000
    for text in shown(message):
        bare = re.sub(r"`[^`]*`|“[^”]*”|<[^>]*>|\[[^\]]*\]\([^)]*\)|```[^`]*```", "", text)
        for known in (*said, *NAMES):
            bare = bare.replace(known, "")
        assert not ENGLISH.search(bare), text


chinese = pytest.mark.world(discord={"locale": "zh-CN"}, engine={"script": {"long": LONG}})
COMMANDS: list[tuple[str, dict[str, Any]]] = [
    ("layers", {"colour": "kl", "lens": "logit"}),
    ("track", {"words": "没有, 一"}),
    ("dump", {"format": "html"}),
    ("dump", {"what": "hidden", "format": "npz"}),
    ("dump", {"what": "attention", "format": "csv"}),
    ("why", {}),
    ("reconsider", {}),
    ("compare", {"a": FOOT, "b": "长颈鹿有几只眼睛？"}),
    ("help", {}),
    ("about", {}),
    ("model info", {}),
    ("ask", {"question": FOOT, "private": True}),
]


@chinese
@pytest.mark.parametrize("question", [FOOT, "long"])
async def test_answers_threads_and_buttons(world: World, question: str) -> None:
    await world.ask(question)
    (thread,) = world.channel.threads
    history = [message for message in thread.history() if message.author.id == world.bot.user.id]
    for message in [*world.answers(), *history]:
        check(message)
    for action in ("layers", "why", "road", "again", "dump", "all"):
        result = await world.bob.click(history[-1], custom_id=control(history[-1], action))
        replies = [reply for reply in (*result.followups, result.response) if reply is not None]
        assert replies
        for reply in replies:
            check(reply.message)


@chinese
async def test_commands_and_menus(world: World) -> None:
    await world.ask()
    for name, values in COMMANDS:
        reply = told(await world.bob.slash(world.channel, name, **values))
        assert reply is not None, name
        check(reply.message)
    for menu in ("Inner voice", "Layer dump"):
        reply = told(await world.bob.context_menu(world.channel, menu, world.answers()[0]))
        assert reply is not None, menu
        check(reply.message)


@chinese
async def test_what_is_offered_while_typing(world: World) -> None:
    await world.ask()
    for name, option in (("layers", "token"), ("dump", "positions"), ("dump", "depths"), ("fork", "word")):
        offered = await world.bob.autocomplete(world.channel, name, option, "")
        assert offered
        assert not any(ENGLISH.search(choice["name"]) for choice in offered)
