"""Interactions as Discord keeps them: acknowledged once and within three seconds, answered through a token of fifteen minutes.

https://docs.discord.com/developers/interactions/receiving-and-responding
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.loopback import payloads
from tests.loopback.payloads import Json

WINDOW, LIFE = 3.0, 15 * 60.0
LOADING, EPHEMERAL = 1 << 7, 1 << 6
UNKNOWN_INTERACTION = 404, {"message": "Unknown interaction", "code": 10062}
ACKNOWLEDGED = 400, {"message": "Interaction has already been acknowledged.", "code": 40060}
UNKNOWN_WEBHOOK = 404, {"message": "Unknown Webhook", "code": 10015}
DEAD_TOKEN = 401, {"message": "Invalid Webhook Token", "code": 50027}
Answer = tuple[int, Json | None]


@dataclass
class Issued:
    """One interaction, from the moment when the gateway sent it."""

    id: str
    payload: Json
    at: float
    kind: int | None = None
    """The type of its acknowledgement; None before there is one."""
    original: str | None = None


class Interactions:
    """All of them, by token.

    Attributes:
        aged: seconds by which each is older than it is.
    """

    def __init__(self) -> None:
        self._by_token: dict[str, Issued] = {}
        self.aged = 0.0

    def issue(self, payload: Json) -> None:
        self._by_token[payload["token"]] = Issued(payload["id"], payload, time.monotonic())

    def unanswered(self) -> list[Issued]:
        return [issued for issued in self._by_token.values() if issued.kind is None]

    def to_acknowledge(self, token: str) -> Issued | Answer:
        """The interaction, or the refusal."""
        issued = self._by_token.get(token)
        if issued is None or (issued.kind is None and self._age(issued) > WINDOW):
            return UNKNOWN_INTERACTION
        return ACKNOWLEDGED if issued.kind is not None else issued

    def to_answer(self, token: str) -> Issued | Answer:
        """The same for the token's webhook, which exists from the acknowledgement on."""
        issued = self._by_token.get(token)
        if issued is None or issued.kind is None:
            return UNKNOWN_WEBHOOK
        return DEAD_TOKEN if self._age(issued) > LIFE else issued

    def _age(self, issued: Issued) -> float:
        return time.monotonic() - issued.at + self.aged


def metadata(issued: Issued, *, follow_up: bool) -> Json:
    """What a message says of the interaction that it came of."""
    user = issued.payload["member"]["user"]
    found = {"id": issued.id, "type": issued.payload["type"], "user": user, "authorizing_integration_owners": {}}
    extra = {"original_response_message_id": issued.original} if follow_up and issued.original else {}
    own = {"webhook_id": str(payloads.BOT), "application_id": str(payloads.BOT)}
    return {**own, "interaction_metadata": {**found, **extra}}
