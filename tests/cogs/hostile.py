"""Texts that people, models and other bots can bring, at their worst: each kind by itself, and mixed. Knows no bot.

All of it comes from a seeded generator, so that what is found is found again.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from random import Random

import numpy as np

from models.fakes.engine import FakeEngine

Kind = Callable[[Random], str]

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
ZERO_WIDTH = "\u00ad\u034f\u180e\u200b\u200c\u200d\u2060\u2061\u2064\ufeff\ufe0f\u3164\u2800"
CONTROLS = "".join(map(chr, [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029, 0xFFFE, 0xFFFF]))
MARKS = "".join(map(chr, range(0x300, 0x370)))
EMOJI = (
    "👀",
    "👩‍👩‍👧‍👦",
    "👍🏽",
    "🇨🇭",
    "❤️‍🔥",
    "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
    "🦶🏿",
    "𝔛",
    "𒐫",
)
PINGS = (
    "@everyone",
    "@here",
    "<@{n}>",
    "<@!{n}>",
    "<@&{n}>",
    "<#{n}>",
    "</ask:{n}>",
    "</ask again:{n}>",
    "<id:guide>",
    "@silent",
)
MARKUP = (
    "```", "```py\n", "``", "`", "~~~", "**", "__", "*", "_", "~~", "||", "> ", ">>> ", "# ", "### ", "-# ", "- ", "1. ",
    "\\", "\n",
    "[x](https://example.com)", "[](", "](", "[a](javascript:alert(1))", "<https://example.com>", "<t:1700000000:R>", "<t:-1:F>",
    "<:foot:1>", "<a:foot:1>", ":foot:", ":+1:", "|", "<", ">", "&", "[", "]",
)  # fmt: skip
MACHINES = (
    "{}", "{0}", "{name}", "{0.__class__}", "%s", "%(x)s", "%", "$HOME", "${x}", "{{x}}", "<b>x</b>", "<script>alert(1)</script>",
    "&amp;", "<!--", "\x1b[31mred\x1b[0m", "\x1b]0;x\x07", "'; DROP TABLE runs; --", "NULL", "None", "nan", "../../etc/passwd",
    "javascript:1", "data:text/html,x", "file:///x", "discord://-/x", "mailto:a@b.c", "https://example.com/?q=" + "a" * 60,
)  # fmt: skip
TEMPLATES = (
    "<|im_start|>", "<|im_end|>", "<|im_start|>system\n", "<think>", "</think>", "<|endoftext|>", "<|end|>", "[INST]", "[/INST]",
    "<s>", "</s>", "<<SYS>>", "<|eot_id|>", "<start_of_turn>user", "<unk>", "<pad>", "<0x00>", "<0x0A>", "<tool_call>",
)  # fmt: skip
SCRIPTS = (
    "脚有几只眼睛？",
    "كم عينًا لقدمي؟",
    "כמה עיניים",
    "पैर की आँखें",
    "ฟุตมีกี่ตา",
    "한국어",
    "かな",
    "\u1112\u1161\u11ab",
    "ﷺ",
    "İstanbul",
    "ẞ",
)
WORDS = ("How many eyes does my foot have?", "foot", " eyes", " no", "two", "1", "and", "?", " 2.", "3.14", "100%")
HALVES = ("\ud800", "\udbff", "\udc00", "\ud83d", "\udc40\ud83d")
BLANKS = (" ", "\n", "\t", "\u00a0", "\u3000", "\u2003", "\u200b", "\u2800", "\r\n", "\x0b")


def _some(parts: Sequence[str], most: int = 4) -> Kind:
    return lambda rng: "".join(rng.choice(parts) for _ in range(rng.randint(1, most))).replace("{n}", str(rng.getrandbits(62)))


def _zalgo(rng: Random) -> str:
    return "".join(letter + _some(MARKS, 30)(rng) for letter in rng.choice(WORDS))


def _any(rng: Random) -> str:
    ranges = (
        (0x20, 0x7E),
        (0xA0, 0x24F),
        (0x370, 0x5FF),
        (0x2000, 0x2BFF),
        (0x4E00, 0x9FFF),
        (0xE000, 0xF8FF),
        (0x10000, 0x10FFFF),
    )
    return "".join(chr(rng.randint(*rng.choice(ranges))) for _ in range(rng.randint(1, 20)))


KINDS: dict[str, Kind] = {
    "words": _some(WORDS),
    "bidi": lambda rng: rng.choice(BIDI) + rng.choice(WORDS) + rng.choice(BIDI),
    "zero width": _some(ZERO_WIDTH, 8),
    "zalgo": _zalgo,
    "controls": _some(CONTROLS, 6),
    "emoji": _some(EMOJI, 12),
    "pings": _some(PINGS),
    "markup": _some(MARKUP, 8),
    "machines": _some(MACHINES, 3),
    "templates": _some(TEMPLATES),
    "scripts": _some(SCRIPTS),
    "blanks": _some(BLANKS, 6),
    "long word": lambda rng: rng.choice(("x", "ab", "脚", "👀", "W", "`", "*", "\u0301", "_")) * rng.randint(50, 900),
    "anything": _any,
}


def text(rng: Random, most: int, *, halves: bool = False) -> str:
    """A few kinds after each other, at most so many characters. ``halves``: with a lone surrogate, as JSON can bring it."""
    if rng.random() < 0.03:
        return rng.choice((" ", "\n\t ", KINDS["blanks"](rng)))[:most]
    kinds = list(KINDS.values())
    parts = [rng.choice(kinds)(rng) for _ in range(rng.randint(1, 6))]
    if rng.random() < 0.05:
        parts *= rng.randint(2, 40)
    if halves:
        parts.insert(rng.randint(0, len(parts)), rng.choice(HALVES))
    joined = rng.choice(("", " ", "\n"))
    return joined.join(parts)[:most]


def name(rng: Random) -> str:
    """What somebody, a server or a channel is called; Discord allows 32 characters to people, 100 to the others."""
    return text(rng, 32) or "x"


class HostileEngine(FakeEngine):
    """Answers each question out of a vocabulary of hostile tokens, always the same to the same question."""

    def __init__(self, rng: Random, words: int, **options: int) -> None:
        super().__init__(**options)  # type: ignore[arg-type]
        tokens = (KINDS[rng.choice(list(KINDS))](rng) for _ in range(words))
        self._words = tuple(dict.fromkeys((*self._words, *tokens)))
        self._ids = {word: i for i, word in enumerate(self._words)}
        self._short = np.flatnonzero([len(word) < 40 for word in self._words])

    def _plain(self, question: str) -> list[int]:
        rng = Random(zlib.crc32(question.encode("utf-8", "replace")))
        size = len(self._words)
        draw = rng.random()
        if draw < 0.01:
            return [0]
        if draw < 0.03:
            return [*(rng.randrange(1, size) for _ in range(rng.randint(30, 60))), 0]
        if draw < 0.1:
            return [*(rng.randrange(1, size) for _ in range(rng.randint(2, 12))), 0]
        return [*(int(self._short[rng.randrange(1, len(self._short))]) for _ in range(rng.randint(1, 8))), 0]

    @property
    def vocabulary(self) -> int:
        """How many strings its tokens are."""
        return len(self._words)
