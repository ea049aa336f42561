"""The heat map: a decodable picture of the promised size for any trace, and true words about it."""

from __future__ import annotations

import io
import re
import threading

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from PIL import Image

from bot.render.glyphs import PLACEHOLDER, columns, drawable, families, fit
from bot.render.heatmap import ALT_LIMIT, alt_text, heatmap_png, size_of, window
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


@pytest.mark.parametrize(("length", "depths"), [(0, 4), (1, 2), (1, 30), (6, 12), (14, 30), (40, 30), (60, 80), (3, 80), (7, 1)])
def test_the_size_is_the_promised_one(length: int, depths: int) -> None:
    trace = random_trace(length, depths)
    image = opened(heatmap_png(trace))
    assert image.format == "PNG"
    assert image.size == size_of(trace)
    assert 700 <= image.width <= 1400
    assert image.height <= 1500
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


def test_a_long_answer_is_a_window_around_the_pivotal_token() -> None:
    trace = random_trace(60, 6)
    first, count = window(trace, 20)
    assert count == 20
    assert first <= (readings.pivotal(trace) or 0) < first + count
    assert f"tokens {first + 1} to {first + 20} of 60" in alt_text(trace, max_tokens=20)
    assert window(trace, 60) == (0, 60)
    assert opened(heatmap_png(trace, max_tokens=20)).size == size_of(trace, max_tokens=20)


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
    for part in ("2 answer tokens", "6 layers", "token 1, “two”", "from depth 6", f"{prob:.1f}%"):
        assert part in text
    assert f"handover lies at depth {readings.handover_depth(trace, 0)}" in text


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(traces())
def test_alt_text_fits_and_holds_no_control_characters(trace: Trace) -> None:
    text = alt_text(trace)
    assert len(text) <= ALT_LIMIT
    assert not re.search(r"[\x00-\x1f\u202a-\u202e]", text)


def test_characters_that_no_font_has_are_replaced_by_a_visible_one() -> None:
    assert "DejaVu Sans" in families()
    assert drawable("two ␣ ↵ …") == "two ␣ ↵ …"
    assert drawable(chr(0x10FFFF)) == PLACEHOLDER
    assert columns("脚a") == 3
    assert fit("answer", 6) == "answer"
    assert fit("answer", 5) == "answ…"
    assert fit("answer", 2) == ""
