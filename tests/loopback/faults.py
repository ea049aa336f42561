"""The ways in which a server can answer badly: too busy, broken, slow, late, or not at all. Knows no Discord but its 429s."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any, Literal


@dataclass(frozen=True)
class Fault:
    """What happens to one request in place of, or besides, a proper answer.

    Attributes:
        status: the answer's status; None lets the request through.
        delay: seconds before anything is done.
        drop: cut the connection, before the request had its effect or after.
        done: with a status of its own, whether the request had its effect nevertheless.
        late: seconds after which the request has its effect, whether or not anybody still waits for the answer.
    """

    status: int | None = None
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: Literal["before", "after"] | None = None
    done: bool = False
    late: float | None = None


def limited(seconds: float) -> Fault:
    """Discord's own 429, which discord.py waits out: it knows it by the ``Via`` header."""
    body = {"message": "You are being rate limited.", "retry_after": seconds, "global": False}
    return Fault(429, body, {"Via": "1.1 google", "Retry-After": str(seconds)})


def banned() -> Fault:
    """A 429 from the proxy in front of Discord: no ``Via`` header, no JSON; discord.py does not try again."""
    return Fault(429, "error code: 1015", {"Retry-After": "60"})


def broken(status: int, *, done: bool = False) -> Fault:
    """``done``: after the deed, so that only the answer is wrong."""
    return Fault(status, {"message": f"{status}: Internal Server Error", "code": 0}, done=done)


def slow(seconds: float) -> Fault:
    """Nothing is done when the client does not wait for it."""
    return Fault(delay=seconds)


def dropped(*, after: bool = False) -> Fault:
    return Fault(drop="after" if after else "before")


def late(seconds: float, answer: Fault | None = None) -> Fault:
    """Carried out ``seconds`` later, come what may. ``answer``: what the client gets at once; else it waits for the deed."""
    return replace(answer or Fault(), late=seconds)


class Faults:
    """Which requests go wrong, and how: each rule's faults are used up in their order, then all is well."""

    def __init__(self) -> None:
        self._rules: list[tuple[str, re.Pattern[str], list[Fault]]] = []
        self.injected = 0
        """How many requests really went wrong."""

    def add(self, method: str, path: str, *faults: Fault) -> None:
        """``path`` is a regular expression for the whole path behind ``/api/v10``."""
        self._rules.append((method, re.compile(path), list(faults)))

    def next(self, method: str, path: str) -> Fault:
        for rule_method, pattern, faults in self._rules:
            if faults and rule_method == method and pattern.fullmatch(path):
                fault = faults.pop(0)
                self.injected += fault != Fault()
                return fault
        return Fault()
