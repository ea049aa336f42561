"""A trace of the Jacobian lens is shown as what the model is disposed to say, and no figure of a prediction stands beside it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.render.heatmap import alt_text, heatmap_png
from bot.render.table import depth_map, settle_summary
from models.fakes.engine import FakeEngine
from models.types import Job
from tests.bot.render.test_table import printed

ENGINE = FakeEngine(lenses=("logit", "tuned", "jacobian"))
ANSWER = ENGINE.answer(Job("How many eyes does my foot have?"))
LOGIT, TUNED, JACOBIAN = (ENGINE.trace(ANSWER, lens=name) for name in ("logit", "tuned", "jacobian"))


@pytest.mark.parametrize(
    ("locale", "label", "claims"),
    [("en-US", "disposed to say", ("decided", "stays the likeliest", "handover")), ("zh-CN", "倾向于说", ("决定", "交接"))],
)
def test_the_words_for_the_picture_say_so_and_claim_no_depth(locale: str, label: str, claims: tuple[str, ...]) -> None:
    told = alt_text(JACOBIAN, locale=locale)
    assert label in told
    assert not any(claim in told for claim in claims)
    assert label not in alt_text(LOGIT, locale=locale)
    assert any(claim in alt_text(TUNED, locale=locale) for claim in claims)


def test_the_picture_is_another_than_the_same_numbers_as_a_prediction() -> None:
    same = replace(JACOBIAN, meta={**JACOBIAN.meta, "lens": "logit"})
    assert heatmap_png(JACOBIAN) != heatmap_png(same)
    for colour in ("entropy", "kl", "rank"):
        assert heatmap_png(JACOBIAN, colour=colour)  # type: ignore[arg-type]
        assert "disposed to say" in alt_text(JACOBIAN, colour=colour)  # type: ignore[arg-type]


def test_the_terminal_names_the_lens_and_tells_no_settle_depth() -> None:
    assert settle_summary(JACOBIAN) == ""
    assert settle_summary(LOGIT)
    assert "jacobian lens" in printed(depth_map(JACOBIAN), width=120)
