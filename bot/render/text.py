"""Names of tokens that a person can read: control characters made visible, long ones cut. Knows no fonts and no Discord.

Markdown is not escaped here; what is shown in Discord passes `bot.ui`, what is drawn passes `bot.render.glyphs`.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST_TOKEN = 24
_VISIBLE = {" ": "␣", "\n": "↵", "\r": "⇤", "\t": "⇥", "\u00a0": "⍽", "\u3000": "␣", "\ufffd": "�"}
_HIDDEN = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp", "Zs"})
STEERING = re.compile(
    "[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff0-\uffff\ud800-\uf8ff"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff]"
)
"""Characters that would steer a terminal or turn a line around, and others that nobody sees: controls, bidi marks, tags, private
use. Line breaks stand, and so do the joiners of scripts and emoji."""
_SPLINTERS = re.compile(r" ?⟨[89A-F][0-9A-F](?: [89A-F][0-9A-F])*⟩")
"""How `models.tokens.piece` shows the bytes of a character that is not whole; none of them is below 80."""
_JOINERS = frozenset("\u200d\ufe0e\ufe0f")
_WORDED = {
    "": "a splinter of a character",
    " ": "a bare space",
    "\u00a0": "a hard space",
    "\t": "a tab",
    "\n": "a line break",
    "\r\n": "a line break",
    "\n\n": "a blank line",
}
IN_CHINESE = {
    "a splinter of a character": "半个字的碎片",
    "a bare space": "空格",
    "a hard space": "硬空格",
    "a tab": "制表符",
    "a line break": "换行",
    "a blank line": "空行",
    "white space": "空白",
}
"""What `in_words` says, in Chinese."""


def visible(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """The text with nothing invisible left in it, at most ``limit`` characters, spaces at its edges as ``␣``."""
    inner = text.strip(" ")
    left = len(text) - len(text.lstrip(" ")) if inner else len(text)
    right = len(text) - left - len(inner)
    shown = "␣" * left + "".join(_visible_char(inner, i) for i in range(len(inner))) + "␣" * right
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def safe(text: str) -> str:
    """A text from a model, a file or a person, each character named that would steer a terminal."""
    return STEERING.sub(lambda found: _visible_char(found[0], 0), text)


def _visible_char(text: str, i: int) -> str:
    char = text[i]
    if char == " ":
        return char
    if char in _VISIBLE:
        return _VISIBLE[char]
    if char in _JOINERS and i > 0:
        return char
    if ord(char) < 0x20:
        return chr(0x2400 + ord(char))
    category = unicodedata.category(char)
    if category in _HIDDEN:
        return f"⟨U+{ord(char):04X}⟩"
    if category.startswith("M") and i == 0:
        return "◌" + char
    return char


def bare(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """A token as a person would write it: visible, without the one space that byte-level vocabularies glue to a word."""
    return visible(text[1:] if text[:1] in (" ", "▁") and text[1:].strip() else text, limit=limit)


def quoted(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """The bare token in typographic quotes."""
    return f"“{bare(text, limit=limit)}”"


def in_words(text: str) -> str | None:
    """What to call a token that has no face of its own: a line break, a bare space, a splinter of a character."""
    if (text and not text.strip("\ufffd")) or _SPLINTERS.fullmatch(text):
        return _WORDED[""]
    if text in _WORDED:
        return _WORDED[text]
    return "white space" if text and not text.strip() else None


def named(text: str, *, limit: int = LONGEST_TOKEN) -> str:
    """How a sentence calls a token: in words where it is invisible, else quoted."""
    return in_words(text) or quoted(text, limit=limit)
