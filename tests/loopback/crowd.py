"""Many people in many channels, who ask all at once; and what became of each. Knows no bot."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections import Counter
from dataclasses import dataclass, field

from tests.loopback import payloads
from tests.loopback.payloads import Json
from tests.loopback.server import Server

FIRST_CHANNEL, FIRST_PERSON = 310000000000000000, 110000000000000000
QUESTION = "How many eyes does my foot have?"
ANSWER = "The answer is 2."
_REFUSALS = ("I cannot take more", "still busy")
_NAMED = re.compile(r"<@(\d+)>")


@dataclass
class Asker:
    """One person's question, and what the bot did about it.

    Attributes:
        order: the how manyth question of all it was.
        first_sign: when something that its asker sees came, on the monotonic clock; typing is no sign, since it names nobody.
    """

    person: int
    channel: int
    order: int
    key: str
    """The id of the question's message, or the interaction's token."""
    asked: float = field(default_factory=time.monotonic)
    first_sign: float | None = None
    answered: bool = False
    refused: bool = False
    by_dm: bool = False
    """A DM was opened for what could not be said in the channel."""

    def saw(self, at: float, text: str, *, reaction: bool) -> None:
        """Something came for this asker."""
        self.first_sign = at if self.first_sign is None else self.first_sign
        self.answered |= text.startswith(ANSWER) or f"\n{ANSWER}" in text
        self.refused |= reaction or any(words in text for words in _REFUSALS)


class Crowd:
    """``people`` persons, the first ``channels`` of them each the first in a channel of their own."""

    def __init__(self, server: Server, *, channels: int, people: int) -> None:
        self._server = server
        self.channels = [FIRST_CHANNEL + n for n in range(channels)]
        self.people = [FIRST_PERSON + n for n in range(people)]
        self.askers: list[Asker] = []
        payloads.NAMES.update({person: f"guest{n}" for n, person in enumerate(self.people)})

    async def arrive(self) -> None:
        """The channels are made, as Discord tells of it."""
        for number, channel in enumerate(self.channels):
            await self._server.gateway.dispatch(
                "CHANNEL_CREATE", {**payloads.channel(), "id": str(channel), "name": f"room-{number}"}
            )

    async def mention(self, person: int, channel: int) -> Asker:
        message = payloads.message(person, f"{payloads.MENTION} {QUESTION}", str(channel))
        asker = Asker(person, channel, len(self.askers), message["id"])
        self.askers.append(asker)
        await self._server.gateway.dispatch("MESSAGE_CREATE", message)
        return asker

    async def slash(self, person: int, channel: int) -> Asker:
        interaction = payloads.slash("ask", person, question=QUESTION)
        interaction |= {"channel_id": str(channel), "channel": {**payloads.channel(), "id": str(channel)}}
        asker = Asker(person, channel, len(self.askers), interaction["token"])
        self.askers.append(asker)
        await self._server.interact(interaction)
        return asker

    async def burst(self, kind: str) -> None:
        """Everybody at once: each person asks in the next channel."""
        ask = self.slash if kind == "slash" else self.mention
        for number, person in enumerate(self.people):
            await ask(person, self.channels[number % len(self.channels)])
            await asyncio.sleep(0)  # the server hears the bot meanwhile

    async def quiet(self, seconds: float, *, at_most: float) -> None:
        """Return when no request has come for so long."""
        calls = self._server.rest.calls
        async with asyncio.timeout(at_most):
            while not calls or time.monotonic() - calls[-1].at < seconds:  # noqa: ASYNC110  requests set no event
                await asyncio.sleep(0.2)

    def judge(self) -> None:
        """Read off the requests and the messages what each asker saw."""
        rest, by_key = self._server.rest, {asker.key: asker for asker in self.askers}
        by_person = {str(asker.person): asker for asker in self.askers}
        whose = {message_id: _named(message, by_key, by_person) for message_id, message in rest.messages.items()}
        whose |= {message_id: [by_key[token]] for token, message_id in rest.original.items() if token in by_key}
        for call in rest.calls:
            if call.status is None or call.status >= 300:
                continue
            body = call.body if isinstance(call.body, dict) else {}  # commands come as a list
            data = body.get("data") or body
            text = str(data.get("content") or "")
            if "recipient_id" in data:
                by_person[str(data["recipient_id"])].by_dm = True
            key = re.search(r"interaction-\d+|(?<=/messages/)\d+", call.path)
            found = whose.get(key[0], [by_key[key[0]]] if key[0] in by_key else []) if key else []
            for asker in found or _named(data, by_key, by_person):
                asker.saw(call.at, text, reaction="/reactions/" in call.path)


def _named(data: Json, by_key: dict[str, Asker], by_person: dict[str, Asker]) -> list[Asker]:
    """Whom a message is for: whose question it replies to, and whom it names."""
    named = [by_person[person] for person in _NAMED.findall(str(data.get("content") or "")) if person in by_person]
    reference = str((data.get("message_reference") or {}).get("message_id", ""))
    return ([by_key[reference]] if reference in by_key else []) + named


@dataclass(frozen=True)
class Report:
    """The figures of one burst."""

    asked: int
    answered: int
    refused: int
    by_dm: int
    """Told by DM alone."""
    nothing: int
    global_429: int
    route_429: int
    busiest: int
    invalid: int
    requests: int
    by_route: dict[str, int]
    first_sign: tuple[float, float]
    """Median and 99th percentile, in seconds."""
    inversions: float
    """The share of pairs in which who asked later saw a first sign more than a second earlier: 0 is order, 0.5 is none."""
    seconds: float


def report(crowd: Crowd, server: Server) -> Report:
    """What the burst came to. Reads everything off the requests that the server let through."""
    crowd.judge()
    calls, limits = server.rest.calls, server.limits
    assert limits is not None
    begin = crowd.askers[0].asked
    since = [call for call in calls if call.at >= begin]
    waits = sorted(a.first_sign - a.asked for a in crowd.askers if a.first_sign is not None) or [float("nan")]
    return Report(
        asked=len(crowd.askers),
        answered=sum(a.answered for a in crowd.askers),
        refused=sum(a.refused and not a.answered for a in crowd.askers),
        by_dm=sum(a.by_dm and not a.answered and not a.refused for a in crowd.askers),
        nothing=sum(not a.answered and not a.refused and not a.by_dm for a in crowd.askers),
        global_429=limits.refused["global"],
        route_429=limits.refused.total() - limits.refused["global"],
        busiest=limits.busiest,
        invalid=limits.invalid,
        requests=len(since),
        by_route=dict(Counter(call.line for call in since if call.status is not None and call.status < 300).most_common()),
        first_sign=(statistics.median(waits), waits[min(int(len(waits) * 0.99), len(waits) - 1)]),
        inversions=_inversions([a.first_sign for a in crowd.askers if a.first_sign is not None]),
        seconds=since[-1].at - begin if since else 0.0,
    )


def _inversions(signs: list[float]) -> float:
    pairs = len(signs) * (len(signs) - 1) // 2
    wrong = sum(later < earlier - 1 for index, earlier in enumerate(signs) for later in signs[index + 1 :])
    return wrong / pairs if pairs else 0.0


def printed(name: str, found: Report) -> str:
    """One burst as lines for a person."""
    p50, p99 = found.first_sign
    outcome = f"{found.answered} answered, {found.refused} refused, {found.by_dm} told by DM, {found.nothing} got nothing"
    limits = (
        f"429: {found.global_429} global, {found.route_429} of a route; busiest second {found.busiest}; invalid {found.invalid}"
    )
    order = f"first sign p50 {p50:.1f} s, p99 {p99:.1f} s; out of order {found.inversions:.1%}; over after {found.seconds:.0f} s"
    routes = ", ".join(f"{line} {count}" for line, count in found.by_route.items())
    return f"{name}: {found.asked} asked, {outcome}\n  {limits}\n  {order}\n  {found.requests} requests: {routes}"
