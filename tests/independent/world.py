"""What is true of one answer, and what its words are; the ground of the independent definitions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SLACK = 1e-4
"""Absolute difference of two numbers that count as one; discrete facts may differ where it decides."""

NUMBERS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen
    eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred thousand million billion
    零 一 二 两 三 四 五 六 七 八
    九 十 百 千 万 亿"""
DENIALS = "no not none never nothing nobody neither nor cannot zero 0 没 不 无 否 零 没有 不是"
_WEIGHTY = NUMBERS + " once twice half none nobody nothing many several few no not never neither yes true false maybe cannot"
_WEIGHTY += " 半 是 否 不 没 无 对 错 没有 不是"
_LIGHT = """a an the this that these those there here it its it's he she they we you i i'm my your his her their our me him them
    us is are was were be been being am has have had do does did will would can could may might shall should of in on at to
    for from by with as and or but if so than then too also into about which who what when where how while because just
    very such some any s t m re ve ll d 的 了 在 和 与 我 你 他 她 它 们 这 那 有 个"""
_SPLINTER, _BLANKS = (
    "(splinter)",
    {" ": "(space)", "\u00a0": "(hard)", "\t": "(tab)", "\n": "(line)", "\r\n": "(line)", "\n\n": "(gap)"},
)


@dataclass
class World:
    """What is true of one answer of T tokens to a prompt of P, in a model of L blocks, k candidates kept."""

    prompt: list[int]
    answer: list[int]
    words: list[str]
    """What each answer token added to the text."""
    control: list[bool]
    top: list[list[list[int]]]  # T x (L+1) x k, likeliest first
    top_p: list[list[list[float]]]
    p: list[list[float]]  # T x (L+1), of the emitted token
    rank: list[list[int]]
    kl: list[list[float]]
    entropy: list[float]  # T, depth L
    drawn: list[float]  # T
    name: Callable[[int], str]
    page: Callable[[int], str]
    """Name of an id of the prompt; "" where it is not known."""
    evidence: dict[str, Any] = field(default_factory=dict)
    """By name, a function that computes it: pull, attention, attribution, causal, watched, report."""

    @property
    def blocks(self) -> int:
        return len(self.top[0]) - 1 if self.top else self.evidence["blocks"]

    @property
    def upper(self) -> list[int]:
        """The depths >= L/2."""
        return [d for d in range(self.blocks + 1) if 2 * d >= self.blocks]

    def lead(self, t: int, d: int) -> int:
        return self.top[t][d][0]

    def reads(self, t: int, token: int | None = None) -> str:
        """A token's text; the emitted one as it stands in the answer."""
        if token is None or token == self.answer[t]:
            return self.words[t] or self.name(self.answer[t])
        return self.name(token)

    def prob(self, t: int, token: int) -> float | None:
        """At depth L, of the emitted or of a kept token."""
        if token == self.answer[t]:
            return self.p[t][-1]
        pairs = [*zip(self.top[t][-1], self.top_p[t][-1], strict=True)]
        return dict(reversed(pairs)).get(token)  # an altered trace may list a token twice; the likelier place counts


def says(text: str) -> bool:
    return any(c.isalnum() for c in text)


def face(text: str) -> str:
    """What two tokens must share to read the same."""
    inside = text.strip()[1:-1].split() if text.strip().startswith("⟨") and text.endswith("⟩") else ["?"]
    if not text.strip("\ufffd") or all(len(byte) == 2 and byte[0] in "89ABCDEF" for byte in inside):
        return _SPLINTER
    if not text.strip():
        return _BLANKS.get(text, "(white)")
    return text[1:] if text[0] in " ▁" else text


def plain(text: str) -> str:
    return text.strip().casefold()


def core(text: str) -> str:
    return text.strip().strip(".,:;!?\"'“”‘’()*_").lower()


def weight(w: World, t: int) -> float:
    text, before = w.words[t], "".join(w.words[max(0, t - 2) : t])
    if not says(text):
        return 0.0
    if core(text) in _LIGHT.split():
        return 0.1
    if before:
        one, two = before[-1], text[0]
        if max(one, two) < "\u2e80" and (one.isalnum() or one in "'’-") and (two.isalnum() or two in "'’"):
            return 0.1
    if core(text) in _WEIGHTY.split() or core(text).isnumeric():
        return 1.0
    return 0.3 if w.answer[t] in w.prompt else 0.6
