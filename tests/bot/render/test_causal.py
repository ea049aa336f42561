"""The picture of a causal check, and its words."""

import io

import numpy as np
import pytest
from PIL import Image

from bot.render.causal import causal_alt, causal_png
from models.fakes.engine import FakeEngine
from models.findings import CausalCheck, Removals
from models.types import Job


def check_of(layers, pieces):
    rng = np.random.default_rng(layers)
    real, control = rng.normal(-0.5, 0.3, layers), rng.normal(-0.5, 0.05, layers)
    real[2], tops = -6.0, np.full(layers, 7)
    tops[[2, 5]] = 9
    logprobs = real.astype(np.float32), control.astype(np.float32)
    removals = Removals("block", logprobs[0], tops, np.exp(logprobs[0]), logprobs[1], np.full(layers, 7))
    return CausalCheck(3, 7, -0.5, 7, (removals,), pieces, 0, 0.1)


@pytest.mark.parametrize("layers", [4, 30, 80])
def test_a_picture_for_a_phone(layers):
    engine = FakeEngine(layers=layers)
    check = engine.why(engine.answer(Job("x")), 3)
    picture = Image.open(io.BytesIO(causal_png(check, title="Scripted")))
    assert picture.width == 1000
    assert 200 < picture.height < 1450
    assert causal_png(check) == causal_png(check)
    assert causal_alt(check).startswith(f"Bar chart: how far the log-probability of “2” falls when each of {layers} blocks")


@pytest.mark.parametrize("piece", [" one", "$x^2$", "\n", "脚", "\ufffd", "👀", "", "a" * 60])
def test_any_token_can_be_drawn(piece):
    check = check_of(12, {7: piece, 9: piece})
    assert causal_png(check)
    assert len(causal_alt(check)) <= 1024


def test_words_for_those_who_do_not_see_it():
    text = causal_alt(check_of(12, {7: " two", 9: " none"}))
    assert "It falls most without block 3: by 5.50 nats" in text
    assert "Another token leads without these blocks, each taken out alone: 3 (“none”), 6 (“none”)." in text
    with pytest.raises(ValueError, match="mlp"):
        causal_png(check_of(12, {}), part="mlp")


@pytest.mark.parametrize("part", ["block", "attention", "mlp"])
def test_every_part_in_both_languages(part):
    engine = FakeEngine(layers=6)
    check = engine.why(engine.answer(Job("x")), 3, parts=("block", "attention", "mlp"))
    pictures = {causal_png(check, part=part, locale=locale) for locale in ("en-US", "zh-CN")}
    assert len(pictures) == 2
    assert "条形图" in causal_alt(check, part=part, locale="zh-CN")
