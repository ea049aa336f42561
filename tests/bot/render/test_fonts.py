"""Fonts: every script, emoji and mark that a token may hold is drawn from packaged files, without a font of the system."""

from __future__ import annotations

import subprocess
import sys
import threading
import unicodedata

import pytest

from bot.render.canvas import Canvas
from bot.render.fonts import LATIN, faces, families, family_of, language
from bot.render.glyphs import PLACEHOLDER, drawable
from bot.render.text import visible

SAMPLES = {
    "English": "The quick brown fox — “two” eyes… ½ naïve € № ™",
    "simplified Chinese": "我的脚有几只眼睛？简体中文，直角骨头，龟。",
    "traditional Chinese": "我的腳有幾隻眼睛？繁體中文，龜，麵，鹽，灣。",
    "Japanese": "私の足には目がいくつありますか？ひらがな カタカナ 漢字 々〆ヶ",
    "Korean": "내 발에는 눈이 몇 개 있습니까? 꿹뷁",
    "Arabic": "كم عينًا لقدمي؟ العربية ﷺ ١٢٣",
    "Persian": "پای من چند چشم دارد؟ گچپژ",
    "Hebrew": "כמה עיניים יש לכף הרגל שלי? שָׁלוֹם",
    "Hindi": "मेरे पैर की कितनी आँखें हैं? क्षत्रिय १२३",
    "Thai": "เท้าของฉันมีกี่ตา สวัสดีครับ",
    "Greek": "Πόσα μάτια έχει το πόδι μου;",
    "Russian": "Сколько глаз у моей ноги? Ґґ Її",
    "Vietnamese": "Bàn chân tôi có mấy mắt? Ưỡ ệ",
    "Georgian, Armenian": "რამდენი თვალი Քանի աչք",
    "Bengali, Tamil, Telugu": "বাংলা தமிழ் తెలుగు",
    "bytes and marks": "⟨F0 9F⟩ ⟨U+202E⟩ � · ␣ ↵ ⇤ ⇥ ⍽ ◌ … → ◌́",
    "boxes": "─│┌┐└┘├┤┬┴┼═║█▓▒░▀▄■□▪▫●○◆◇★☆",
    "mathematics": "∀∃∈∉∑∏√∞≈≠≤≥±×÷∂∇∫ℝℕ⊂⊆∪∩",
    "emoji sequences": "👩‍👩‍👧 👍🏽 🇩🇪 ❤️ 1️⃣ 🧑‍🚀 ☃️ 🏳️‍🌈 🫠",
}
EMOJI_BLOCKS = ((0x1F300, 0x1F64F), (0x1F680, 0x1F6FF), (0x1F7E0, 0x1F7EB), (0x1F90C, 0x1F9FF), (0x1FA70, 0x1FAFF))


def emoji() -> list[str]:
    """The emoji with a face of their own: wide in East Asian text, which is what makes them emoji by default."""
    blocks = [chr(i) for first, last in EMOJI_BLOCKS for i in range(first, last + 1)]
    early = [chr(i) for i in range(0x2190, 0x2C00)]
    return [char for char in blocks + early if unicodedata.east_asian_width(char) == "W" and unicodedata.category(char) != "Cn"]


def pixels(text: str) -> bytes:
    canvas = Canvas(1200, 60)
    canvas.text(10, 30, text, 26)
    return canvas.png()


@pytest.mark.parametrize("script", SAMPLES)
def test_every_script_is_drawn_with_no_glyph_missing(script: str) -> None:
    text = SAMPLES[script]
    assert drawable(text) == text
    assert pixels(text) != pixels("")  # a missing glyph would be a warning, and warnings are errors


def test_every_emoji_is_drawn() -> None:
    found = emoji()
    assert len(found) > 1100
    assert [char for char in found if drawable(char) != char] == []
    for start in range(0, len(found), 40):
        pixels("".join(found[start : start + 40]))


def test_common_characters_of_the_east_are_all_there() -> None:
    hangul = range(0xAC00, 0xD7A4)
    kana = (i for i in range(0x3041, 0x3100) if unicodedata.category(chr(i)) != "Cn")
    han = (ord(char) for encoding in ("gb2312", "big5", "shift_jis") for char in _all_of(encoding))
    assert [chr(i) for points in (hangul, kana, han) for i in points if family_of(chr(i)) is None] == []


def _all_of(encoding: str) -> str:
    pairs = (bytes((high, low)) for high in range(0x81, 0xFF) for low in range(0x40, 0xFF))
    text = "".join(pair.decode(encoding, "ignore") for pair in pairs)
    return "".join(char for char in text if "\u4e00" <= char <= "\u9fff")


def test_bytes_of_a_split_character_and_control_characters_are_drawn() -> None:
    for i in (*range(0x20), *range(0x7F, 0xA1), 0x200B, 0x200E, 0x202E, 0x2066, 0xFEFF, 0xFFFD, 0xE000):
        assert PLACEHOLDER not in drawable(visible(chr(i)))
    assert drawable(visible("\x1b[")) == "⟨1B⟩["


def test_what_no_font_has_is_a_placeholder() -> None:
    assert drawable("a\U0010ffffb") == f"a{PLACEHOLDER}b"
    assert drawable("a\U00012000b") == f"a{PLACEHOLDER}b"  # cuneiform
    assert drawable("é👀\u0301") == "é👀◌\u0301"
    assert drawable("x\U000e0100") == "x"  # a variation selector that nobody has is left out
    assert family_of(PLACEHOLDER)


@pytest.mark.parametrize("base", ["e", "脚", "한", "ع", "ﷺ", "अ", "ก", "👀", "☝", "ℝ", "█"])
@pytest.mark.parametrize("mark", ["\u0301", "\u0651", "\u093f", "\u0e34", "\u0e33", "\ufe0f", "\u200d", "\u20e3", "🏽"])
def test_marks_on_letters_of_another_font_are_set_apart(base: str, mark: str) -> None:
    for text in (base + mark, mark + base, base + mark + mark + base):
        pixels(text)
    assert base in drawable(base + mark)


def test_arabic_is_shaped_and_runs_from_right_to_left() -> None:
    joined, apart = pixels("عين"), pixels("ع ي ن")
    assert joined != apart
    assert pixels("عين") != pixels("نيع")


def test_chinese_characters_take_the_form_of_their_language() -> None:
    assert [language(text) for text in ("two", "我的脚", "我的腳", "ひら漢字", "漢字 한국")] == [
        "zh-Hans",
        "zh-Hans",
        "zh-Hant",
        "ja",
        "ko",
    ]
    assert pixels("直の") != pixels("直。")


def test_only_needed_families_are_handed_over() -> None:
    assert families("two eyes") == [LATIN]
    assert families("two 眼 👀") == [LATIN, "Forward Pass CJK", "Forward Pass Emoji"]
    assert len(faces()) == len({face.family for face in faces()}) == 24


HIDDEN = """
import sys, threading
from matplotlib import font_manager
font_manager.findSystemFonts = lambda *a, **k: []
font_manager.fontManager.ttflist = []
import warnings
warnings.simplefilter("error")
from bot.render import canvas, fonts
texts = sys.argv[1:]
def draw():
    ground = canvas.Canvas(1200, 60 * len(texts))
    for row, text in enumerate(texts):
        ground.text(10, 60 * row + 30, text, 26, weight="bold")
    done.append(ground.png())
done = []
workers = [threading.Thread(target=draw) for _ in range(4)]
[w.start() for w in workers]; [w.join() for w in workers]
assert len(set(done)) == 1 and len(done) == 4, len(done)
entries = font_manager.fontManager.ttflist
assert len(entries) == 2 * len(fonts.faces()), len(entries)  # registered once, though four threads asked at once
files = {entry.fname for entry in entries}
assert all("site-packages" in f or "dist-packages" in f for f in files), files
"""


def test_a_machine_without_fonts_draws_the_same() -> None:
    """In a process of its own, as the list of fonts is one for the whole process; four threads, at once from the start."""
    done = subprocess.run([sys.executable, "-c", HIDDEN, *SAMPLES.values()], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""


def test_families_of_the_system_are_left_alone() -> None:
    from matplotlib import font_manager

    faces()
    mine = [entry for entry in font_manager.fontManager.ttflist if entry.name.startswith("Forward Pass ")]
    assert {entry.weight for entry in mine} == {400, 700}
    assert len(mine) == 2 * len(faces())
    assert font_manager.findfont("DejaVu Sans").endswith("DejaVuSans.ttf")


def test_threads_draw_scripts_at_once() -> None:
    alone = [pixels(text) for text in SAMPLES.values()]
    found: list[list[bytes]] = []
    workers = [threading.Thread(target=lambda: found.append([pixels(text) for text in SAMPLES.values()])) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [alone] * 3
