"""What stands in the loopback Discord in the end, question by question: answered once, with its voice, and nothing left over.

Knows what members see; knows nothing of the bot's journal.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from bot.ui.wording import ENGLISH, words
from tests.loopback.payloads import CHANNEL, Json
from tests.loopback.rest import Rest

KINDS = ("lost", "doubled", "voiceless", "voice doubled", "left over")
CURSOR = "▌"
LOADING = 128
"""Discord's message flag of *Thinking…*."""


@dataclass(frozen=True)
class Asked:
    """One question of the run. ``key`` stands in its answer and in no other; ``token`` is a slash command's."""

    key: str
    question: str
    message_id: str | None = None
    token: str | None = None
    long: bool = False


def question_of(key: str) -> str:
    return f"Who is {key}?"


def answer_of(key: str, *, long: bool = False) -> str:
    """The answer that the scripted engine gives. A long one takes several messages."""
    first = f"This is answer number {key}."
    if not long:
        return first
    middle = "\n\n".join(" ".join([f"Still about {key}:"] + ["there is more to be said of eyes and feet."] * 8) for _ in range(8))
    return f"{first}\n\n{middle}\n\nThis is the end of {key}."


@dataclass
class Verdict:
    """How many were asked, and the keys of those that show a fault, by its kind."""

    asked: int = 0
    faults: dict[str, list[str]] = field(default_factory=dict)

    def add(self, kind: str, key: str) -> None:
        self.faults.setdefault(kind, []).append(key)

    def row(self) -> Mapping[str, int]:
        return {"asked": self.asked, **{kind: len(self.faults.get(kind, [])) for kind in KINDS}}


def judged(rest: Rest, asked: Iterable[Asked]) -> Verdict:
    """Look at every message that stands now."""
    verdict = Verdict()
    for one in asked:
        verdict.asked += 1
        for kind in _of(rest, one):
            verdict.add(kind, one.key)
    for message in _channel(rest):
        if CURSOR in message["content"] or (message["flags"] & LOADING and not message["content"]):
            verdict.add("left over", message["id"])
    return verdict


def settled(rest: Rest, one: Asked) -> bool:
    """Whether there is nothing to wait for."""
    return not set(_of(rest, one)) & {"lost", "voiceless", "left over"}


def _of(rest: Rest, one: Asked) -> Iterator[str]:
    mine = list(_about(rest, one))
    firsts = [m for m in mine if f"answer number {one.key}." in m["content"]]
    sorry = [m for m in mine if _apologises(m)]
    if not firsts and not sorry:
        yield "lost"
    if len(firsts) + len(sorry) > 1 or _ends(mine, one) > 1:
        yield "doubled"
    if firsts and one.long and not _ends(mine, one):
        yield "lost"
    if any(m not in firsts and m not in sorry and f"about {one.key}" not in m["content"] and not _ends([m], one) for m in mine):
        yield "left over"
    if firsts:
        yield from _voice(rest, mine)


def _voice(rest: Rest, mine: list[Json]) -> Iterator[str]:
    """A whole monologue in a thread under one of these messages, or a button on one of them."""
    ids = {m["id"] for m in mine}
    inside = [m for m in rest.messages.values() if m["channel_id"] in ids]
    whole = sum("fp:v1:layers:" in json.dumps(m["components"]) for m in inside)
    titles = sum(words(ENGLISH)("voice_title") in json.dumps(m["components"], ensure_ascii=False) for m in inside)
    button = any("fp:v1:voice:" in json.dumps(m["components"]) for m in mine)
    if not whole and not button:
        yield "voiceless"
    if whole > 1 or titles > 1:
        yield "voice doubled"


def _channel(rest: Rest) -> Iterator[Json]:
    return (m for m in rest.messages.values() if m["channel_id"] == str(CHANNEL) and m["author"]["bot"])


def _about(rest: Rest, one: Asked) -> Iterator[Json]:
    """The bot's messages that reply to the question, answer its command, or name its key."""
    original = rest.original.get(one.token or "")
    for message in _channel(rest):
        reference = str((message.get("message_reference") or {}).get("message_id"))
        named = any(text in message["content"] for text in (f"number {one.key}.", f"about {one.key}:", f"end of {one.key}."))
        if reference == one.message_id or message["id"] == original or named:
            yield message


def _ends(messages: list[Json], one: Asked) -> int:
    return sum(m["content"].count(f"end of {one.key}.") for m in messages)


def _apologises(message: Json) -> bool:
    return any(text in message["content"] for text in (words(ENGLISH)("restarted"), "I went down each time I tried to answer"))
