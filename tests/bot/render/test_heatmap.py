"""The heat map: a decodable picture of the promised size for any trace, and true words about it."""

from __future__ import annotations

import io
import re
import threading
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from bot.render.glyphs import PLACEHOLDER, columns, drawable, fit, wrap
from bot.render.heatmap import MOST, alt_text, heatmap_png, page_of, pages, size_of, span
from bot.render.shades import COLOURS, Colour, shade
from bot.render.wording import ALT_LIMIT
from models import readings
from models.trace import Trace
from tests.bot.strategies import TRICKY, make_trace, trace_of_tops, traces


def random_trace(length: int, depths: int, pieces: tuple[str, ...] = (" two", " eyes", ".", " foot", " 脚")) -> Trace:
    random = np.random.default_rng(length * 1000 + depths)
    logits = random.normal(size=(length, depths + 1, len(pieces))) * 3
    return make_trace(logits, [int(row[-1].argmax()) for row in logits], dict(enumerate(pieces)))


def opened(png: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(png))
    image.load()
    return image


@pytest.mark.parametrize(("length", "depths"), [(0, 4), (1, 2), (14, 30), (60, 80), (7, 1)])
def test_the_size_is_the_promised_one(length: int, depths: int) -> None:
    trace = random_trace(length, depths)
    image = opened(heatmap_png(trace))
    assert image.format == "PNG"
    assert image.size == size_of(trace)
    assert 700 <= image.width <= 1400
    assert image.height <= 1400
    assert len(image.convert("RGB").getcolors(maxcolors=2**24) or ()) > 20


@pytest.mark.parametrize("pieces", [TRICKY[i : i + 8] for i in range(0, len(TRICKY), 8)])
def test_hostile_tokens_are_drawn_without_warnings(pieces: tuple[str, ...]) -> None:
    trace = random_trace(10, 6, pieces)
    assert opened(heatmap_png(trace)).size == size_of(trace)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces())
def test_any_trace_is_drawn(trace: Trace) -> None:
    assert opened(heatmap_png(trace)).size == size_of(trace)


def test_hostile_model_names_are_drawn() -> None:
    trace = make_trace(np.zeros((1, 3, 3)), [0], {0: " a", 1: " b", 2: " c"}, meta={"name": "$\\frac{1}" + "x" * 200})
    assert opened(heatmap_png(trace)).size == size_of(trace)


@pytest.mark.parametrize("length", [0, 1, 13, 14, 15, 28, 29, 60, 61, 400])
def test_the_pages_hold_every_token_once(length: int) -> None:
    trace = random_trace(length, 3)
    spans = [span(trace, page) for page in range(pages(trace))]
    assert [t for first, count in spans for t in range(first, first + count)] == list(range(length))
    assert max(count for _, count in spans) <= MOST
    assert max(count for _, count in spans) - min(count for _, count in spans) <= 1
    for t in range(length):
        first, count = span(trace, page_of(trace, t))
        assert first <= t < first + count


def test_a_long_answer_opens_at_the_page_of_its_pivotal_token() -> None:
    trace = random_trace(60, 6)
    first, count = span(trace)
    assert count == 12
    assert first <= (readings.pivotal(trace) or 0) < first + count
    assert f"tokens {first + 1} to {first + 12} of 60" in alt_text(trace)
    assert "第 13 到第 24 个词元，共 60 个" in alt_text(trace, page=1, locale="zh-CN")
    assert opened(heatmap_png(trace, page=4)).size == size_of(trace, page=4)
    for wrong in (-1, 5):
        with pytest.raises(ValueError, match="the pages are 0 to 4"):
            heatmap_png(trace, page=wrong)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("colour", COLOURS)
def test_every_colour_has_its_own_scale_and_words(colour: Colour, locale: str) -> None:
    trace = random_trace(4, 5)
    png, text = heatmap_png(trace, colour=colour, locale=locale), alt_text(trace, colour=colour, locale=locale)
    assert opened(png).size == size_of(trace, locale=locale)
    others = [other for other in COLOURS if other != colour]
    assert all(heatmap_png(trace, colour=other, locale=locale) != png for other in others)
    assert all(alt_text(trace, colour=other, locale=locale) != text for other in others)


@pytest.mark.parametrize("colour", COLOURS)
def test_scales_rise_in_lightness_and_reach_the_values(colour: Colour) -> None:
    trace = random_trace(9, 12)
    shades = shade(trace, colour)
    red, green, blue, _ = shades.colours(np.linspace(0, 1, 40)).T
    light = 0.2126 * red**2.2 + 0.7152 * green**2.2 + 0.0722 * blue**2.2
    assert (np.diff(light) > 0).all() or (np.diff(light) < 0).all()
    assert shades.norm.vmin <= shades.values.min()
    assert shades.values.max() <= shades.norm.vmax
    values = [value for value, _ in shades.ticks]
    assert values == sorted(values)
    with pytest.raises(ValueError, match="cells cannot be coloured by mood"):
        shade(trace, "mood")  # type: ignore[arg-type]


def test_numbers_that_are_none_are_drawn() -> None:
    trace = random_trace(3, 4)
    trace.kl_to_final[1, 1], trace.entropy[0, 2] = np.inf, np.nan
    for colour in COLOURS:
        assert heatmap_png(trace, colour=colour)


def test_the_lens_stands_in_the_heading() -> None:
    trace = random_trace(3, 4)
    pictures = {heatmap_png(replace(trace, meta={"lens": lens})) for lens in ("logit", "tuned", "jacobian", "another")}
    assert len(pictures) == 4
    assert "through the Jacobian lens" in alt_text(replace(trace, meta={"lens": "jacobian"}))
    assert "用调校透镜读出" in alt_text(replace(trace, meta={"lens": "tuned"}), locale="zh-TW")


def test_threads_do_not_disturb_each_other() -> None:
    trace = random_trace(5, 8)
    alone, found = heatmap_png(trace), []
    workers = [threading.Thread(target=lambda: found.append(heatmap_png(trace))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert found == [alone] * 4


def test_alt_text_tells_the_numbers_of_the_trace() -> None:
    pieces = {0: " the", 1: " two", 2: " four", 3: ","}
    trace = trace_of_tops([[3, 3, 3, 3, 2, 2, 1], [3, 3, 3, 3, 3, 3, 3]], [1, 3], pieces)
    text = alt_text(trace)
    prob = 100 * float(trace.emitted_prob[0, -1])
    for part in ("2 answer tokens", "6 layers", "token 1, “two”", "from depth 6", f"{prob:.0f}%"):
        assert part in text
    assert f"handover is at depth {readings.handover_depth(trace, 0)}" in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces())
def test_alt_text_fits_and_holds_no_control_characters(trace: Trace) -> None:
    text = alt_text(trace)
    assert len(text) <= ALT_LIMIT
    assert not re.search(r"[\x00-\x1f\u202a-\u202e]", text)


def test_text_is_cut_and_broken_by_its_width() -> None:
    assert drawable(chr(0x10FFFF)) == PLACEHOLDER
    assert columns("脚a") == 3
    assert fit("answer", 6) == "answer"
    assert fit("answer", 5) == "answ…"
    assert fit("answer", 2) == ""
    assert wrap("one two three", 8) == ["one two", "three"]
    assert wrap("我的脚，有眼睛。", 8) == ["我的脚，", "有眼睛。"]
    assert wrap("", 8) == [""]
