"""The picture of a comparison, and its words."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image

from bot.render.compare import Curve, compare_alt, compare_png


def curve(seed: int, layers: int = 30, word: str = " two") -> Curve:
    rng = np.random.default_rng(seed)
    return Curve(word, rng.random(layers).astype(np.float32), (6 * rng.random(layers)).astype(np.float32))


def drawn(*args: object, **options: str) -> Image.Image:
    return Image.open(io.BytesIO(compare_png(*args, **options)))  # type: ignore[arg-type]


@pytest.mark.parametrize("layers", [1, 2, 4, 30, 80])
def test_a_picture_for_a_phone(layers: int) -> None:
    a, b, *band = (curve(seed, layers) for seed in range(6))
    picture = drawn(a, b, band, title="Scripted")
    assert picture.width == 1000
    assert 700 < picture.height < 1400
    assert compare_png(a, b, band) == compare_png(a, b, band)


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("token", [" one", "$x^2$", "\n", "脚", "⟨E6⟩", "👀", "", "a" * 60])
def test_any_token_can_be_drawn(token: str, locale: str) -> None:
    a, b = curve(0, word=token), curve(1, word=token)
    assert compare_png(a, b, title="<b>$", locale=locale)
    assert len(compare_alt(a, b, locale=locale)) <= 1024


def test_lines_that_end_together_keep_their_names_apart() -> None:
    flat = np.zeros(12, dtype=np.float32)
    assert drawn(Curve("a", flat, flat), Curve("b", flat, flat), [Curve("c", flat, flat)] * 3)


def test_without_controls_there_is_no_band() -> None:
    a, b, *band = (curve(seed) for seed in range(5))
    assert compare_png(a, b) != compare_png(a, b, band)
    assert "band" not in compare_alt(a, b)


def test_every_number_for_those_who_do_not_see_it_is_of_the_curves() -> None:
    probs, entropies = np.linspace(0, 0.5, 10, dtype=np.float32), np.linspace(3, 1, 10, dtype=np.float32)
    band = [Curve("x", probs * scale, entropies * scale) for scale in (0.5, 0.75, 1.5)]
    text = compare_alt(Curve(" two", probs, entropies), Curve("\n", probs / 2, entropies / 2), band)
    assert "A, “two”: probability 22% at depth 5 and 50% at depth 10; entropy there 2.11 and 1.00 nats." in text
    assert "B, a line break: probability 11%" in text
    assert text.endswith("Grey band of 3 controls, at the last depth: probability 25% to 75%, entropy 0.50 to 1.50 nats.")
    chinese = compare_alt(Curve(" two", probs, entropies), Curve("\n", probs / 2, entropies / 2), band, locale="zh-CN")
    assert sorted(re.findall(r"\d[\d.]*", chinese)) == sorted(re.findall(r"\d(?:[\d.]*\d)?", text))
