"""The fonts that pictures are drawn with: files that packages bring along, the same on every machine. Knows no traces.

Fonts of the system are not looked at. The faces stand in Matplotlib's list under names of their own, so that no other user of
Matplotlib in this process meets them, and a system font of the same name is never taken in their place.
"""

from __future__ import annotations

import dataclasses
import threading
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources
from pathlib import Path

import matplotlib
from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

LATIN, CJK = "Forward Pass Latin", "Forward Pass CJK"
REGULAR, BOLD = 400, 700
JOINER = "\u200d"
_SCRIPTS = """Emoji Sans SansSymbols SansArabic SansHebrew SansDevanagari SansThai SansBengali SansTamil SansTelugu SansKannada
    SansMalayalam SansGujarati SansGurmukhi SansOriya SansSinhala SansGeorgian SansArmenian SansEthiopic SansKhmer SansLao
    SansMyanmar"""
"""Files of the Noto fonts, in the order in which they are asked. DejaVu, with Arabic and box drawing, and CJK go before."""
_LOCK = threading.Lock()


@dataclass(frozen=True, slots=True)
class Face:
    """A family under its name in Matplotlib's list."""

    family: str
    points: frozenset[int]
    """Code points that its regular face has."""


def faces() -> tuple[Face, ...]:
    """All families, the one for Latin letters first; they are registered by the first call."""
    with _LOCK:
        return _registered()


@cache
def _registered() -> tuple[Face, ...]:
    return tuple(_register(family, regular, bold) for family, regular, bold in _files())


def _files() -> Iterator[tuple[str, Path, Path | None]]:
    """Family, regular file and bold file."""
    own = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    yield LATIN, own / "DejaVuSans.ttf", own / "DejaVuSans-Bold.ttf"
    yield CJK, _file("noto_cjk_sans_jp_regular", "NotoSansCJKjp-Regular.otf"), None
    for script in _SCRIPTS.split():
        yield f"Forward Pass {script}", _file("manimgx_fonts", f"Noto{script}[wght].ttf"), None


def _file(package: str, name: str) -> Path:
    return Path(str(resources.files(package) / name))


def _register(family: str, regular: Path, bold: Path | None) -> Face:
    """Put a family into Matplotlib's list. Without a bold file the regular one stands in, as Matplotlib would log otherwise."""
    font = FT2Font(str(regular))
    entry = dataclasses.replace(font_manager.ttfFontProperty(font), name=family, weight=REGULAR)
    heavy = dataclasses.replace(entry, fname=str(bold or regular), weight=BOLD)
    font_manager.fontManager.ttflist += [entry, heavy]
    return Face(family, frozenset(font.get_charmap()))


@lru_cache(maxsize=8192)
def family_of(cluster: str) -> str | None:
    """The first family that has all characters of a cluster; None when none has."""
    points = {ord(char) for char in cluster}
    return next((face.family for face in faces() if points <= face.points), None)


def families(text: str) -> list[str]:
    """The families to hand to Matplotlib for a text: Latin, and after it what else the text needs."""
    return list(dict.fromkeys([LATIN, *(family for cluster in clusters(text) if (family := family_of(cluster)))]))


def clusters(text: str) -> list[str]:
    """The text in pieces that one font must draw: a character with the marks, joiners and emoji parts that go with it."""
    found: list[str] = []
    for char in text:
        if found and (_goes_on(char) or found[-1].endswith(JOINER)):
            found[-1] += char
        else:
            found.append(char)
    return found


def _goes_on(char: str) -> bool:
    return char == JOINER or is_mark(char) or "\U0001f3fb" <= char <= "\U0001f3ff"


def is_mark(char: str) -> bool:
    """Whether a character stands on the one before it; Thai and Lao am is taken apart into such a one when it is drawn."""
    return unicodedata.category(char)[0] == "M" or char in "\u0e33\u0eb3"


def language(text: str) -> str:
    """The BCP 47 tag by which Chinese characters take the form of their language: ja, ko, zh-Hant, else zh-Hans."""
    for char in text:
        if "\u3041" <= char <= "\u30ff":
            return "ja"
        if "\uac00" <= char <= "\ud7a3" or "\u1100" <= char <= "\u11ff":
            return "ko"
    return "zh-Hans" if _encodes(text, "gb2312") or not _encodes(text, "big5") else "zh-Hant"


def _encodes(text: str, encoding: str) -> bool:
    han = "".join(char for char in text if "\u4e00" <= char <= "\u9fff")
    try:
        han.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True
