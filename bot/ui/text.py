"""Text as Discord wants it: escaped, clipped, cut into messages with code fences intact. Knows neither messages nor models.

Lengths are UTF-16 code units here, in which an emoji counts twice. Discord's documentation says “characters”. Its staff once
said code points (discord/discord-api-docs#1315), and others report units for names and labels; units are never fewer.
"""

from __future__ import annotations

import re
import unicodedata

import discord

from models.types import whole

CONTENT_LIMIT = 2000
_CLOSING = "\n```"
# Discord opens and closes a code block at every run of three backticks, wherever in a line; a language has to end its line.
_FENCE = re.compile(r"`{3,}(?:([\w+.#-]{1,20})(?=\n))?", re.ASCII)
_BARE_OPENING = re.compile(r"(?:^|\n)`{3,}[\w+.#-]{0,20}\s*\Z", re.ASCII)
# What means something anywhere; a colon before `//` (a link) and around a name (an emoji).
_SPECIAL = re.compile(r"[\\`*_~|<\[\]]|:(?=//|[\w~+-]+:)")
# What means something at the beginning of a line: quotes, headings, lists, small print.
_LEADING = re.compile(r"^([^\S\n]*)(?=[>#+-])|^([^\S\n]*\d+)(?=[.)])", re.MULTILINE)

# In a title: a flag that is written with tags and a joiner between two emoji stand; what breaks lines becomes a blank; what turns
# lines around, hides in them or is no character goes.
_EMOJI = "\u2194-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001fbff"
_UNTITLED = re.compile(
    "(?P<stands>\U0001f3f4[\U000e0020-\U000e007e]+\U000e007f"
    f"|(?<=[{_EMOJI}\ufe0f])\u200d(?=[{_EMOJI}]))"
    "|(?P<breaks>[\x00-\x1f\x7f-\x9f\u2028\u2029])"
    "|[\u00ad\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufdd0-\ufdef\ufeff\ufff0-\ufffb\ufffe\uffff"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e00ff]"
)
_BLANK = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0")
"""Letters, marks and symbols that nobody sees."""


def units(text: str) -> int:
    """Its length as Discord may count it."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def title(text: str, limit: int = 100) -> str:
    """A text as a name or a label: one line, with nothing in it that hides or turns it around; “…” where nothing is left."""
    clean = _UNTITLED.sub(lambda found: found[0] if found["stands"] else " " if found["breaks"] else "", whole(text, "ignore"))
    seen = any(not unicodedata.category(char).startswith(("M", "Z")) and char not in _BLANK for char in clean)
    return clip(" ".join(clean.split()), limit) if seen else "…"


def escape(text: str) -> str:
    """Text that shows in Discord exactly as it is: no markdown, no mention, no link, no emoji out of letters."""
    marked = _SPECIAL.sub(lambda found: f"\\{found[0]}", discord.utils.escape_mentions(whole(text)))
    return _LEADING.sub(lambda found: f"{found[0]}\\", marked)


def clip(text: str, limit: int) -> str:
    """At most ``limit`` units, with an ellipsis where something was cut; no emoji and no letter with its marks is cut apart."""
    text = whole(text)
    return text if units(text) <= limit else text[: _boundary(text, limit - 1)].rstrip() + "…"


def quoted(question: str) -> str:
    """A question as one line of quote, for above an answer that does not show it otherwise."""
    return f"> {clip(escape(' '.join(question.split())), 500)}\n"


def closed(text: str) -> str:
    """The text with its last code fence closed: an answer may be cut in the middle of one."""
    return text + _CLOSING if _open_fence(text) else text


def split(text: str, limit: int = CONTENT_LIMIT) -> list[str]:
    """Cut a text into messages at paragraph, line or word ends. A code fence that is cut is closed and opened again.

    Nothing but blanks is lost, and no part is empty.
    """
    parts: list[str] = []
    fence, rest = "", whole(text)
    while rest.strip():
        head = f"{fence}\n" if fence else ""
        last = closed(head + rest)
        if units(last) <= limit:
            return [*parts, last]
        piece, rest = _cut(rest, limit - len(head) - len(_CLOSING))
        if piece.strip():
            parts.append(closed(head + piece))
            fence = _open_fence(head + piece)
    return parts


def _cut(text: str, room: int) -> tuple[str, str]:
    at = _cut_at(text, room)
    opening = _BARE_OPENING.search(text, 0, at)
    if opening is not None and opening.start() > 0 and _open_fence(text[:at]):
        at = opening.start()  # a fence without a line of its code goes with the code
    return text[:at].rstrip(), text[at:].lstrip("\n")


def _cut_at(text: str, room: int) -> int:
    end = _fitting(text, room)
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, end // 2, end)
        if at > 0:
            return at + len(mark)
    return _boundary(text, room)


def _fitting(text: str, room: int) -> int:
    """How many characters have room."""
    at = min(room, len(text))
    while (over := units(text[:at]) - room) > 0:
        at -= -(-over // 2)
    return at


def _boundary(text: str, room: int) -> int:
    """The same, up to the end of what belongs together; within it when that is longer than half of the room."""
    at = end = _fitting(text, room)
    while end // 2 < at < len(text) and _belong_together(text, at):
        at -= 1
    return at if at > end // 2 else end


def _belong_together(text: str, at: int) -> bool:
    """Backticks of one fence, a letter and its marks, the parts of one emoji, the letters of a flag."""
    left, right = text[at - 1], text[at]
    if left == right == "`" or "\u200d" in (left, right) or unicodedata.category(right).startswith("M"):
        return True
    if _is_flag(left) and _is_flag(right):
        return (at - len(text[:at].rstrip(_FLAG_LETTERS))) % 2 == 1
    return "\U0001f3fb" <= right <= "\U0001f3ff" or "\U000e0020" <= right <= "\U000e007f" or "\u1160" <= right <= "\u11ff"


_FLAG_LETTERS = "".join(map(chr, range(0x1F1E6, 0x1F200)))


def _is_flag(char: str) -> bool:
    return "\U0001f1e6" <= char <= "\U0001f1ff"


def _open_fence(text: str) -> str:
    """The opening line of a fence that is not closed at the end of the text, else ""."""
    opened = ""
    for found in _FENCE.finditer(text):
        opened = "" if opened else f"```{found[1] or ''}"
    return opened
