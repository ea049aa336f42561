"""The words of the pictures: the same in both languages, and all of them used; all pictures at once in many threads."""

from __future__ import annotations

import asyncio
import re
from collections import Counter
from importlib import resources
from pathlib import Path
from string import Formatter

import pytest

from bot.render import wording
from bot.render.attribution import attention_png, attribution_png
from bot.render.causal import causal_png
from bot.render.heatmap import heatmap_png
from bot.render.layers import layer_table_png
from bot.render.shades import COLOURS
from bot.render.tracks import tracks_png
from bot.render.wording import percent, strings, words
from models.fakes.engine import FakeEngine
from models.types import Job
from tests.bot.render.test_attribution import seen
from tests.bot.render.test_tracks import watched

LATIN_ALONE = {"token_face", "col_kl", "short_kl", "short_top_share", "short_second_share", "stop", "comma", "track_said"}
MADE = ("lens_", "legend_", "alt_", "tracks_", "col_", "short_", "causal_", "part_", "compare_")
"""Beginnings of keys that are put together in the code; what follows is one of the names below."""
NAMES = {*COLOURS, "logit", "tuned", "jacobian", "log", "sqrt", "depth", "top", "top_share", "second", "second_share", "rank",
         "share", "entropy", "kl", "block", "attention", "mlp", "probs", "entropies",
         "title_block", "title_attention", "title_mlp"}  # fmt: skip


def test_every_word_has_its_chinese_with_the_same_slots() -> None:
    english, chinese = strings("en-US"), strings("zh-CN")
    assert list(english) == list(chinese)
    for key, text in english.items():
        slots = [{name for _, name, _, _ in Formatter().parse(told) if name} for told in (text, chinese[key])]
        assert slots[0] == slots[1], key
        assert re.search(r"[\u4e00-\u9fff]", chinese[key]) or key in LATIN_ALONE, key
        assert not re.search(r"[\u4e00-\u9fff]", text), key


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_no_key_stands_twice(locale: str) -> None:
    text = (resources.files("bot") / "locales" / f"pictures.{locale}.yaml").read_text(encoding="utf-8")
    keys = Counter(line.split(":")[0] for line in text.splitlines() if line and not line.startswith("#"))
    assert [key for key, count in keys.items() if count > 1] == []


def test_no_word_is_left_over() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in Path(wording.__file__).parent.glob("*.py"))
    for key in strings("en-US"):
        made = any(key.startswith(start) and key.removeprefix(start) in NAMES for start in MADE)
        assert made or f'"{key}"' in source or f"'{key}'" in source, key


def test_languages() -> None:
    assert {words(locale).locale for locale in ("zh-CN", "zh-TW", "zh", "zh_HK")} == {"zh-CN"}
    assert {words(locale).locale for locale in ("en-US", "en-GB", "de", "")} == {"en-US"}
    assert words("zh-CN").named("\n") == "换行"
    assert words("en-US").named(" two") == "“two”"
    assert words("en-US").lens("mine") == "lens: mine"


def test_shares_are_never_rounded_to_what_they_are_not() -> None:
    assert [percent(share) for share in (0.0, 1e-9, 0.0123, 0.5, 0.9951, 0.99999, 1.0)] == [
        "0%", "<0.1%", "1.2%", "50%", "99.5%", ">99.9%", "100%"
    ]  # fmt: skip


async def test_all_pictures_at_once_in_threads_are_those_of_one_thread() -> None:
    trace, engine = seen(5), FakeEngine(layers=5)
    check = engine.why(engine.answer(Job("x")), 3)
    makers = [
        *(lambda locale, colour=colour: heatmap_png(trace, colour=colour, locale=locale) for colour in COLOURS),
        lambda locale: layer_table_png(trace, 1, locale=locale),
        lambda locale: attribution_png(trace, 1, locale=locale),
        lambda locale: attention_png(trace, 1, locale=locale),
        lambda locale: tracks_png(trace, watched(trace, ("two", "脚")), t=1, locale=locale),
        lambda locale: causal_png(check, locale=locale),
    ]
    jobs = [(make, locale) for make in makers for locale in ("en-US", "zh-CN")]
    alone = [make(locale) for make, locale in jobs]
    together = await asyncio.gather(*(asyncio.to_thread(make, locale) for make, locale in jobs))
    assert alone == together
    assert len(set(alone)) == len(alone)
