"""Pictures of attribution and attention, and their words."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bot.render.attribution import attention_alt, attention_png, attribution_alt, attribution_png
from bot.render.wording import ALT_LIMIT
from models.fakes.engine import FakeEngine
from models.findings import Attention
from models.trace import Trace
from models.types import Job
from tests.bot.render.test_heatmap import opened, random_trace


def seen(layers: int) -> Trace:
    engine = FakeEngine(layers=layers)
    answer = engine.answer(Job("How many eyes does my foot have?"))
    trace = engine.trace(answer, k=5)
    return replace(trace, findings=engine.findings(answer, trace, question="How many eyes does my foot have?"))


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize("layers", [2, 30, 80])
def test_pictures_are_made_for_a_phone(layers: int, locale: str) -> None:
    trace = seen(layers)
    for draw in (attribution_png, attention_png):
        image = opened(draw(trace, 1, locale=locale))
        assert image.width == 1000
        assert 250 < image.height < 1500


def test_words_for_those_who_do_not_see_them() -> None:
    trace = seen(12)
    found = trace.findings.attribution
    assert found is not None
    text = attribution_alt(trace, 1)
    block, part = divmod(int(np.abs(found.blocks[1]).argmax()), 2)
    value = f"{float(found.blocks[1, block, part]):+.2f}".replace("-", "−")
    assert f"Most: {('attention', 'MLP')[part]} of block {block + 1} {value}" in text
    assert f"{float(found.difference[1]):+.2f}".replace("-", "−") in text
    assert "share of the attention" in attention_alt(trace, 1)
    assert "注意力份额" in attention_alt(trace, 1, locale="zh-CN")
    assert len(attribution_alt(trace, 1, locale="zh-CN")) <= ALT_LIMIT


def test_any_word_that_was_looked_at_is_drawn() -> None:
    trace = random_trace(2, 3)
    words = {1: "$x^2$", 2: "\n", 3: "", 4: "👀", 5: "العربية", 6: "a" * 90}
    positions = np.tile(np.arange(1, 7), (2, 1))
    found = Attention(positions, np.full((2, 6), 0.001, np.float32), np.full(2, 0.9, np.float32), words)
    assert attention_png(trace.with_findings(attention=found))
    assert len(attention_alt(trace.with_findings(attention=found))) <= ALT_LIMIT
    none = replace(found, positions=positions[:, :0], weights=found.weights[:, :0])
    assert attention_png(trace.with_findings(attention=none))


def test_what_was_not_looked_at_is_refused() -> None:
    trace = random_trace(2, 3)
    with pytest.raises(ValueError, match="no attribution"):
        attribution_png(trace)
    with pytest.raises(ValueError, match="no attention"):
        attention_alt(trace)
    with pytest.raises(ValueError, match="no answer token 99"):
        attribution_png(seen(3), 99)
