"""Thousands of hostile questions, answers, names and tokens through the simulated Discord: nobody is pinged, nothing breaks.

Every question gets a visible answer or one refusal, every look something to read. ``pytest -s`` shows the counts.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from pprint import pformat
from random import Random
from typing import Any

import pytest
from simcord.results import to_discord_message

from bot.ui.views import ACTIONS
from tests.cogs import hostile
from tests.cogs.conftest import World, config, control, populate, running, told
from tests.cogs.discord_schema import operation, problems

CANARY = "kanarienvogel"
"""Stands in every question and may stand in no line of the log."""
MOST = 1500
PER_CHANNEL = 25
KEPT = 5
"""Examples that are shown of each kind of trouble."""
LOOKS = ("layers", "track", "why", "fork", "dump", "reconsider", "compare", "voice", "voice")


@dataclass
class Tally:
    """What was counted, and examples of what went wrong."""

    counts: Counter[str] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, list[str]] = field(default_factory=dict)

    def blame(self, kind: str, what: str) -> None:
        self.counts[kind] += 1
        examples = self.wrong.setdefault(kind, [])
        if len(examples) < KEPT:
            examples.append(what)

    def table(self) -> str:
        """The counts, a line for each group."""
        zeros = ("unhandled", "pings", "over a limit", "without allowed_mentions", "silent", "text in the log")
        done = {key: count for key, count in sorted(self.counts.items()) if key not in zeros}
        return "\n".join(
            [
                "  ".join(f"{key} {count}" for key, count in done.items()),
                "  ".join(f"{key} {count}" for key, count in sorted(self.routes.items())),
                "  ".join(f"{key} {self.counts[key]}" for key in zeros),
            ]
        )


class Watch(logging.Handler):
    """Errors, tracebacks and the text of questions, among all log records."""

    def __init__(self, tally: Tally) -> None:
        super().__init__(logging.INFO)
        self._tally = tally

    def emit(self, record: logging.LogRecord) -> None:
        line = record.getMessage()
        self._tally.counts["log lines"] += 1
        if record.levelno >= logging.ERROR or record.exc_info:
            error = record.exc_info[1] if record.exc_info else None
            lines = line.splitlines()
            self._tally.blame("unhandled", f"{record.name}: {lines[0][:200]} … {lines[-1][:200]} {error!r:.200}")
        if CANARY in line:
            self._tally.blame("text in the log", f"{record.name}: {record.msg!r:.200}")


class Fuzz:
    """Asks, looks and checks each request as soon as it was made."""

    def __init__(self, world: World, rng: Random, tally: Tally, modes: dict[str, str]) -> None:
        self.world, self.rng, self.tally, self._modes = world, rng, tally, modes
        self._guilds = [world.guild, world.env.create_guild(hostile.name(rng), preferred_locale="zh-CN")]
        self._crowds = [[self._person(guild) for _ in range(20)] for guild in self._guilds]
        self.people = self._crowds[0]
        self.channel: Any = None
        self.mode = "off"
        self.last: Any = None

    def _person(self, guild: Any) -> Any:
        user = self.world.env.create_user(hostile.name(self.rng), global_name=hostile.name(self.rng))
        return guild.add_member(user, nick=hostile.name(self.rng) if self.rng.random() < 0.5 else None)

    def move(self) -> None:
        """To a new channel: most have no inner voice, some a button, a few a thread."""
        made = self.tally.counts["channels"]
        self.people = self._crowds[made % 2]
        self.channel = self._guilds[made % 2].create_text_channel(hostile.name(self.rng))
        modes = ("thread", "button", "off")  # the first channels one of each, for the short run
        self.mode = modes[made] if made < len(modes) else self.rng.choices(modes, (3, 3, 94))[0]
        self._modes[str(self.channel.id)] = self.mode
        self.last = None
        self.tally.counts["channels"] += 1

    def question(self) -> str:
        text = hostile.text(self.rng, MOST - len(CANARY) - 60, halves=self.rng.random() < 0.03)
        if not text.strip():
            return text
        if self.rng.random() < 0.1:
            text += self.rng.choice(self.people).mention
        return self.rng.choice((f"{text}{CANARY}", f"{CANARY} {text}"))

    async def ask(self) -> None:
        """One question in one of the ways, and what came of it."""
        person, text = self.rng.choice(self.people), self.question()
        way = self.rng.choices(("mention", "reply", "dm", "slash", "private"), (55, 10, 10, 20, 5))[0]
        self.tally.counts["questions"] += 1
        self.tally.counts[f"by {way}"] += 1
        if way in ("dm", "reply") and not text.strip():
            text = "\u200b"  # Discord takes no message that is blank altogether
        if way == "dm":
            await person.send_dm(text)
        elif way in ("slash", "private"):
            await person.slash(self.channel, "ask", question=text or " ", **self._options(way))
        elif way == "reply" and self.last is not None:
            await person.send(self.channel, text, reply_to=self.last)
        else:
            await person.send(self.channel, f"{self.world.mention} {text}")
        self._judge(self.take(), way, text)

    def _options(self, way: str) -> dict[str, Any]:
        offered = {
            "style": self.rng.choice(("chat", "story")),
            "temperature": self.rng.choice((0.0, 0.7, 2.0)),
            "seed": self.rng.choice((0, 2**53 - 1)),
            "inner_voice": self.rng.random() < 0.5,
        }
        given = {key: value for key, value in offered.items() if self.rng.random() < 0.4}
        return given | ({"private": True} if way == "private" else {})

    def _judge(self, said: list[str], way: str, text: str) -> None:
        """The last message of an answer ends in the small line of figures; a refusal is one message with its sign."""
        answers = sum(one.rsplit("\n", 1)[-1].startswith("-# Scripted") for one in said)
        refusals = sum("⚠️ " in one for one in said if len(said) == 1) if not answers else 0
        if answers + refusals != 1:
            self.tally.blame("silent", f"{way} {text!a:.120} got {[one[:80] for one in said]!a}")
        self.tally.counts["answers"] += answers
        self.tally.counts["refusals"] += refusals
        self.tally.counts["answers of several messages"] += answers and len(said) > 1
        if answers and way in ("mention", "reply"):
            stored = self.world.env.backend.messages[self.channel.id].values()
            latest = next(m for m in reversed(list(stored)) if m.author_id == self.world.bot.user.id)
            self.last = to_discord_message(self.world.env, latest)

    async def look(self) -> None:
        """One look into the last answer of this channel, with hostile words."""
        person, rng = self.rng.choice(self.people), self.rng
        name = rng.choice(LOOKS)
        word = hostile.text(rng, 90, halves=rng.random() < 0.1) or "x"
        given: dict[str, Any] = {"track": {"words": word}, "fork": {"word": word}, "compare": {"a": word, "b": "no?"}}.get(
            name, {}
        )
        if name == "dump" and rng.random() < 0.5:
            given = {"positions": word, "format": rng.choice(("html", "json", "csv", "npz"))}
        if name not in ("compare", "voice") and rng.random() < 0.3:
            given["answer"] = rng.choice((word, str(2**63), "9" * 40, f"https://discord.com/channels/1/2/{2**64}"))
        pressed = self._button() if name == "voice" else None
        if pressed is not None:
            result = await person.click(pressed[0], custom_id=control(*pressed))
        else:
            result = await person.slash(self.channel, "layers" if name == "voice" else name, **given)
        self.tally.counts["looks"] += 1
        if told(result) is None:
            self.tally.blame("silent", f"/{name} {given!a:.150}")
        for option in {"layers": ["token"], "dump": ["positions", "depths"], "fork": ["word"], "compare": ["a", "b"]}.get(
            name, []
        ):
            await person.autocomplete(self.channel, name, option, word[:50])
            self.tally.counts["completions"] += 1
        self.take()

    def _button(self) -> tuple[Any, str] | None:
        """A message with a button of an inner voice, and what that does."""
        if self.mode == "button" and self.last is not None:
            return self.last, "voice"
        threads = self.channel.threads if self.mode == "thread" else []
        return (threads[-1].history()[-1], self.rng.choice(tuple(ACTIONS))) if threads else None

    def take(self) -> list[str]:
        """Check what was requested since the last time; the texts that it wrote."""
        backend, said = self.world.env.backend, []
        for request in backend.http_requests:
            self.tally.routes[f"{request.method} {operation(request.method, request.path)['operationId']}"] += 1
            for text in problems(request.method, request.path, request.json):
                ping, missing = "may ping" in text, "without allowed_mentions" in text
                kind = "pings" if ping else "without allowed_mentions" if missing else "over a limit"
                self.tally.blame(kind, f"{text!a:.300}")
            content = request.json.get("content") if isinstance(request.json, dict) else None
            if content and content.strip():
                said.append(content)
        backend.http_requests.clear()
        backend.transcript.clear()
        return said

    def count_pings(self) -> None:
        """Whom Discord would have pinged with the bot's messages, but for the authors of what they reply to."""
        for stored in self.world.env.backend.messages.values():
            for message in stored.values():
                if message.author_id != self.world.bot.user.id:
                    continue
                reply = stored.get(int((message.reference or {}).get("message_id") or 0))
                pinged = {*message.ping_user_ids} - {reply.author_id if reply else 0}
                if pinged or message.ping_role_ids or message.mention_everyone:
                    self.tally.blame("pings", f"{message.content!a:.200}")
                self.tally.counts["messages by the bot"] += 1


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("count", [150, pytest.param(10_000, marks=pytest.mark.slow)])
async def test_hostile_texts(tmp_path: Path, caplog: pytest.LogCaptureFixture, count: int) -> None:
    rng, tally, started = Random(20261129), Tally(), time.perf_counter()
    engine = hostile.HostileEngine(rng, 200 + count // 4, layers=3)
    settings = config(tmp_path, discord={"inner_voice": "off", "stream_after_seconds": 60.0})
    watch, loop = Watch(tally), asyncio.get_running_loop()
    loop.set_exception_handler(
        lambda _, context: tally.blame("unhandled", f"{context.get('message')} {context.get('exception')!r}")
    )
    logging.getLogger().addHandler(watch)
    caplog.set_level(logging.INFO, "bot")
    try:
        async with running(settings, engine) as (app, env):
            fuzz = Fuzz(populate(env, app, engine), rng, tally, settings.discord.channels)  # type: ignore[arg-type]
            for number in range(count):
                if number % PER_CHANNEL == 0:
                    fuzz.move()
                await fuzz.ask()
                if rng.random() < 0.02 + 0.1 * (count < 1000):
                    await fuzz.look()
                    caplog.clear()
            fuzz.count_pings()
            tally.counts["token strings"] = engine.vocabulary
    finally:
        logging.getLogger().removeHandler(watch)
        loop.set_exception_handler(None)
        sys.stdout.write(f"\n{tally.table()}\n{time.perf_counter() - started:.0f} s\n{pformat(tally.wrong, width=250)}\n")
    assert tally.wrong == {}
    assert tally.counts["answers"] + tally.counts["refusals"] == tally.counts["questions"] == count
