"""The line that says how sure the model was."""

from __future__ import annotations

from bot.services.figures import mean_probability
from bot.services.sureness import sureness_line
from models.fakes.engine import FakeEngine
from models.findings import SelfReport
from models.readings import mean_token_prob
from models.types import Job

ENGINE = FakeEngine()
TRACE = ENGINE.trace(ENGINE.answer(Job("How many eyes does my foot have?")))


def test_every_figure_has_its_name_and_its_own_value() -> None:
    mean = mean_token_prob(TRACE)
    line = sureness_line(TRACE, SelfReport(0.314, 0.9, agreement=0.6, samples=5, groups=2), "en-US")
    assert line == (
        f"How sure: mean token probability {mean:.0%} · asked whether its answer is right, it says yes with 31%"
        " · 3 of 5 further answers meant the same (2 different meanings among them)"
    )
    chinese = sureness_line(TRACE, SelfReport(0.314, 0.9, agreement=0.6, samples=5, groups=2), "zh-CN")
    assert chinese == f"有多确定：平均词元概率 {mean:.0%} · 自问对不对，答“是” 31% · 再问 5 次，3 次意思相同（共 2 种意思）"


def test_what_is_not_known_is_not_said() -> None:
    assert "asked" not in sureness_line(TRACE, None, "en-US")
    assert "meanings" not in sureness_line(TRACE, SelfReport(None, None, agreement=1.0, samples=5, groups=1), "en-US")
    assert "further" not in sureness_line(TRACE, SelfReport(0.5, 0.9), "en-GB")
    assert "only 20%" in sureness_line(TRACE, SelfReport(0.5, 0.2), "en-US")
    assert "合计仅 20%" in sureness_line(TRACE, SelfReport(0.5, 0.2), "zh-CN")


def test_the_thread_and_the_answer_give_one_figure_one_value() -> None:
    answer = ENGINE.answer(Job("How many eyes does my foot have?"))
    under = mean_probability(answer)
    assert under is not None
    assert f"mean token probability {under:.0%}" in sureness_line(TRACE, None, "en-US")
