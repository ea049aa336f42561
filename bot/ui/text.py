"""Text as Discord wants it: escaped, clipped, cut into messages with code fences intact. Knows neither messages nor models."""

from __future__ import annotations

import re
import unicodedata

import discord

CONTENT_LIMIT = 2000
_CLOSING = "\n```"
# Discord opens and closes a code block at every run of three backticks, wherever in a line; a language has to end its line.
_FENCE = re.compile(r"`{3,}(?:([\w+.#-]{1,20})(?=\n))?", re.ASCII)
_BARE_OPENING = re.compile(r"(?:^|\n)`{3,}[\w+.#-]{0,20}\s*\Z", re.ASCII)
# What means something anywhere; a colon before `//` (a link) and around a name (an emoji).
_SPECIAL = re.compile(r"[\\`*_~|<\[\]]|:(?=//|[\w~+-]+:)")
# What means something at the beginning of a line: quotes, headings, lists, small print.
_LEADING = re.compile(r"^([^\S\n]*)(?=[>#+-])|^([^\S\n]*\d+)(?=[.)])", re.MULTILINE)


def escape(text: str) -> str:
    """Text that shows in Discord exactly as it is: no markdown, no mention, no link, no emoji out of letters."""
    marked = _SPECIAL.sub(lambda found: f"\\{found[0]}", discord.utils.escape_mentions(text))
    return _LEADING.sub(lambda found: f"{found[0]}\\", marked)


def clip(text: str, limit: int) -> str:
    """At most ``limit`` characters, with an ellipsis where something was cut."""
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


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
    fence, rest = "", text
    while rest.strip():
        head = f"{fence}\n" if fence else ""
        whole = closed(head + rest)
        if len(whole) <= limit:
            return [*parts, whole]
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
    for mark in ("\n\n", "\n", " "):
        at = text.rfind(mark, room // 2, room)
        if at > 0:
            return at + len(mark)
    at = room
    while at > room // 2 and _belong_together(text[at - 1], text[at]):
        at -= 1
    return at if at > room // 2 else room


def _belong_together(left: str, right: str) -> bool:
    """Backticks of one fence, a letter and its accent, the parts of one emoji."""
    if left == right == "`" or "\u200d" in (left, right):
        return True
    return bool(unicodedata.combining(right)) or right == "\ufe0f" or "\U0001f3fb" <= right <= "\U0001f3ff"


def _open_fence(text: str) -> str:
    """The opening line of a fence that is not closed at the end of the text, else ""."""
    opened = ""
    for found in _FENCE.finditer(text):
        opened = "" if opened else f"```{found[1] or ''}"
    return opened
