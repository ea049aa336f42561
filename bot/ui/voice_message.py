"""The inner voice as Discord shows it: Components V2 containers with the monologue and the heat map. Knows no model."""

from __future__ import annotations

import io
from collections.abc import Iterable

import discord

from bot.render.wording import words as picture_words
from bot.services.voice import TOO_LONG, InnerVoice
from bot.ui.text import clip, escape, units
from bot.ui.tokens import controls
from bot.ui.wording import words

# Components V2 allow 4,000 characters of text in all; a part stays well below, so that one message is one screen on a phone.
# https://docs.discord.com/developers/components/reference
PART_LIMIT = 1800
SCREEN_LIMIT = 2900
"""With the title, the headline, the small print and the note it stays below those 4,000."""
ACCENT = discord.Colour(0x8E7CC3)
PICTURE = "heatmap.png"


def paragraphs(voice: InnerVoice) -> list[str]:
    """The lines of the monologue, escaped, gathered into parts of at most `PART_LIMIT` characters."""
    parts = _gathered((clip(escape(line.text), PART_LIMIT) for line in voice.lines), PART_LIMIT)
    return parts or [words(voice.locale)("unproved")]


def screens(voice: InnerVoice) -> list[str]:
    """The paragraphs in as few messages as Discord allows; nearly always one."""
    return _gathered(paragraphs(voice), SCREEN_LIMIT)


def _gathered(texts: Iterable[str], limit: int) -> list[str]:
    """Neighbours joined by an empty line, as long as they stay within the limit."""
    found: list[str] = []
    for text in texts:
        if found and units(found[-1]) + units(text) + 2 <= limit:
            found[-1] += f"\n\n{text}"
        else:
            found.append(text)
    return found


def picture_file(voice: InnerVoice) -> discord.File:
    """A fresh file object of the heat map: discord.py consumes it when it sends."""
    return discord.File(io.BytesIO(voice.heatmap), filename=PICTURE, description=clip(voice.alt, 1024))


def small_print(voice: InnerVoice) -> str:
    """How sure it was; what was read, and with what."""
    meta, say = voice.trace.meta, words(voice.locale)
    name = str(meta.get("name") or voice.run.model_id or say("print_model"))
    dtype = str(meta.get("dtype", ""))
    agree = meta.get("argmax_agreement")
    parts = [
        escape(clip(name, 200)),
        picture_words(voice.locale).lens(voice.trace.lens).strip(),
        say("print_blocks", count=voice.trace.depths),
        dtype,
    ]
    if voice.picture_lens != voice.trace.lens:
        parts.append(f"🖼 {picture_words(voice.locale).lens(voice.picture_lens)}")
    if dtype and dtype != "float32" and agree is not None:
        parts.append(say("print_agree", share=float(agree)))
    if voice.trace.findings.notes.get("attention") == TOO_LONG:
        parts.append(say("print_no_evidence", count=len(voice.trace.prompt_ids) + voice.trace.length))
    sureness = f"-# {voice.sureness}\n" if voice.sureness else ""
    return f"{sureness}-# " + " · ".join(part for part in parts if part)


def voice_title(voice: InnerVoice) -> str:
    """What stands on top: the name of the thing, and the headline."""
    name = words(voice.locale)("voice_title")
    return f"{name}\n**{escape(voice.headline.text)}**" if voice.headline is not None else name


class TextPart(discord.ui.LayoutView):
    """One container of monologue."""

    def __init__(self, text: str, *, title: str = "") -> None:
        super().__init__(timeout=None)
        head = [discord.ui.TextDisplay[TextPart](title)] if title else []
        self.add_item(discord.ui.Container(*head, discord.ui.TextDisplay(text), accent_colour=ACCENT))


class PicturePart(discord.ui.LayoutView):
    """The heat map and the small print."""

    def __init__(self, voice: InnerVoice) -> None:
        super().__init__(timeout=None)
        self.add_item(_picture_container([], voice))
        for row in controls(voice.run.id, voice.trace, voice.locale):
            self.add_item(row)


class WholePart(discord.ui.LayoutView):
    """Everything in one message: for the button, whose reply only the presser sees."""

    def __init__(self, voice: InnerVoice, text: str, *, titled: bool = True, note: str = "") -> None:
        super().__init__(timeout=None)
        head: list[discord.ui.Item[discord.ui.LayoutView]] = [discord.ui.TextDisplay(voice_title(voice))] if titled else []
        self.add_item(_picture_container([*head, discord.ui.TextDisplay(text), discord.ui.Separator()], voice, note))
        for row in controls(voice.run.id, voice.trace, voice.locale):
            self.add_item(row)


def _picture_container(
    head: list[discord.ui.Item[discord.ui.LayoutView]], voice: InnerVoice, note: str = ""
) -> discord.ui.Container[discord.ui.LayoutView]:
    gallery: discord.ui.MediaGallery[discord.ui.LayoutView] = discord.ui.MediaGallery(_picture_item(voice))
    foot: discord.ui.TextDisplay[discord.ui.LayoutView] = discord.ui.TextDisplay(
        small_print(voice) + (f"\n-# {escape(note)}" if note else "")
    )
    return discord.ui.Container(*head, gallery, foot, accent_colour=ACCENT)


def _picture_item(voice: InnerVoice) -> discord.MediaGalleryItem:
    return discord.MediaGalleryItem(f"attachment://{PICTURE}", description=clip(voice.alt, 256))
