"""Two questions against their controls: what is asked, what is kept, and what may be told."""

from __future__ import annotations

import asyncio
import io
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bot.errors import AlreadyAskingError, QuestionError
from bot.services.compare import FIGURES, Comparison, Reading, contrasts
from bot.services.controls import LEAST, MOST, controls_for, given, tricks, twins
from bot.storage.runs import RunStore
from models.errors import ModelNotPulledError
from models.fakes.engine import FakeEngine
from models.running.engine import TorchEngine
from models.trace import Trace
from models.types import Answer
from tests.bot.services.rig import FOOT, Engine, Heard, Rig, request, rigged, until

GIRAFFE = "How many eyes does a giraffe have?"
SCRIPT = {
    FOOT: "The answer is 2.",
    GIRAFFE: "Two eyes.",
    "How many eyes does a horse have?": "It has two eyes.",
    "How many eyes does a cat have?": "A cat has 2.",
    "How many eyes does a dog have?": "Two, I think.",
    "How many eyes does a cow have?": "no more than 2",
    "How many toes does my foot have?": "five",
}


class Kept(Engine):
    """Keeps every trace that it gave, by the answer's text."""

    def __init__(self) -> None:
        super().__init__(script=SCRIPT)
        self.seen: dict[str, Trace] = {}

    def trace(self, answer: Answer, *, k: int = 10) -> Trace:
        self.seen[answer.text] = super().trace(answer, k=k)
        return self.seen[answer.text]


def row(final_prob: float, settle: int | None = 5) -> Reading:
    line = np.zeros(4, dtype=np.float32)
    return Reading("x", final_prob, 1.0, settle, 3, 2, line, line)


async def compared(rig: Rig, a: str = FOOT, b: str = GIRAFFE, **options: str) -> Comparison:
    return await rig.app.comparer.compare(request(a), b, Heard(), **options)


def test_a_trick_has_the_plain_questions_of_its_entry() -> None:
    found = controls_for("how many EYES does my foot have", GIRAFFE)
    assert found == tuple(SCRIPT)[2:]
    assert controls_for(GIRAFFE, "How many eyes does a horse have?")[0] == "How many eyes does a cat have?"
    assert "马有几只眼睛？" in controls_for("我的脚有几只眼睛")


def test_two_tricks_take_turns_and_what_is_not_in_the_bank_has_none() -> None:
    both = controls_for(FOOT, "How many legs does a spoon have?")
    assert len(both) == MOST
    assert both[0] == GIRAFFE
    assert both[1] == "How many legs does a dog have?"
    assert controls_for("Why?", "How many eyes does my foot have, on a good day?") == ()


def test_an_asker_writes_controls_with_semicolons() -> None:
    assert given("One? ; Two?;Three；Four?", FOOT, GIRAFFE) == ("One?", "Two?", "Three", "Four?")
    for text in ("One?; Two?", ";;", f"One?; Two?; {FOOT}; one", "; ".join("abcdefg"), f"a; b; {'c' * 1501}"):
        with pytest.raises(QuestionError, match="control questions"):
            given(text, FOOT, GIRAFFE)


def test_tricks_and_twins_for_a_list() -> None:
    assert FOOT in tricks("en-US", "FOOT")
    assert "我的脚有几只眼睛？" in tricks("zh-CN")
    assert twins(FOOT)[0] == GIRAFFE
    assert twins("Why?") == ()


def test_a_difference_counts_beyond_the_range_of_the_controls_alone() -> None:
    controls = [row(0.3), row(0.5), row(0.4)]
    (wide,) = [c for c in contrasts(row(0.1), row(0.9), controls) if c.figure == "final_prob"]
    assert wide.told
    assert (wide.a, wide.b, wide.low, wide.high) == (0.1, 0.9, 0.3, 0.5)
    assert (round(wide.apart, 6), round(wide.spread, 6)) == (0.8, 0.2)
    near = contrasts(row(0.1), row(0.3), controls)[0]
    assert not near.told
    assert [c.told for c in contrasts(row(0.5), row(0.5), [row(0.5)] * 3)] == [False] * 5  # no difference is none


def test_too_few_controls_and_missing_figures_claim_nothing() -> None:
    assert contrasts(row(0.1), row(0.9), [row(0.5)] * (LEAST - 1)) == ()
    assert contrasts(None, row(0.9), [row(0.5)] * LEAST) == ()
    told = {c.figure for c in contrasts(row(0.1), row(0.9), [row(0.5, None), row(0.5), row(0.5)])}
    assert told == set(FIGURES) - {"settle"}


async def test_every_figure_is_that_of_its_trace(tmp_path: Path) -> None:
    async with rigged(tmp_path, engine := Kept()) as rig:
        found = await compared(rig)
    assert [c.question for c in found.controls] == list(SCRIPT)[2:]
    assert [job.question for job in engine.jobs] == list(SCRIPT)
    by_name = {c.figure: c for c in found.contrasts}
    assert tuple(by_name) == FIGURES
    traces = [engine.seen[text] for text in SCRIPT.values()]
    rows = [found.reading_a, found.reading_b, *(c.reading for c in found.controls)]
    final, entropy = [], []
    for trace, read in zip(traces, rows, strict=True):
        assert read is not None
        (at,) = [t for t in range(trace.length) if np.array_equal(trace.emitted_prob[t, 1:], read.probs)]
        final.append(float(trace.emitted_prob[at, -1]))
        entropy.append(float(trace.entropy[at, -1]))
        assert read.settle == max((d for d in range(trace.depths + 1) if trace.emitted_rank[at, d] > 0), default=-1) + 1
    for name, values in (("final_prob", final), ("entropy", entropy)):
        contrast, spread = by_name[name], max(values[2:]) - min(values[2:])
        assert (contrast.a, contrast.b, contrast.low, contrast.high) == (*values[:2], min(values[2:]), max(values[2:]))
        assert contrast.told == (abs(values[0] - values[1]) > spread)


async def test_the_two_are_kept_and_the_controls_are_not(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        found = await compared(rig)
        latest = await rig.runs.latest_in_channel(7)
        assert latest is not None
        assert latest.id == found.b.run.id
        for answered in (found.a, found.b):
            assert (await rig.app.voices.of(answered.run.id)).lines
        assert await _count(rig.runs) == 2


async def _count(runs: RunStore) -> int:
    from sqlalchemy import func, select

    from bot.storage.tables import RunRow

    async with runs._database.read() as session:
        return int(await session.scalar(select(func.count()).select_from(RunRow)) or 0)


async def test_without_controls_nothing_is_claimed_and_the_picture_has_no_band(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        found = await compared(rig, "Why is it so?", "And why not?")
        assert (found.controls, found.contrasts) == ((), ())
        assert found.picture is not None
        assert "controls" not in found.alt
        assert len(rig.engine.jobs) == 2


async def test_the_askers_own_controls(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        found = await compared(rig, "Why is it so?", "And why not?", controls="One?; Two?; Three?")
        assert [c.question for c in found.controls] == ["One?", "Two?", "Three?"]
        assert len(found.contrasts) == len(FIGURES)
        with pytest.raises(QuestionError, match="2 control questions"):
            await compared(rig, controls="One?; Two?")
        picture = Image.open(io.BytesIO(found.picture or b""))
        assert (picture.width, picture.height < 1200) == (1000, True)
        assert "Grey band of 3 controls" in found.alt


async def test_progress_is_told_and_others_come_between(tmp_path: Path) -> None:
    gate, heard, done = threading.Event(), Heard(), list[tuple[int, int]]()
    async with rigged(tmp_path, Engine(gate=gate)) as rig:
        comparing = asyncio.create_task(
            rig.app.comparer.compare(request(FOOT), GIRAFFE, heard, progress=lambda *at: done.append(at))
        )
        await until(lambda: rig.engine.jobs)
        other = asyncio.create_task(rig.ask("Mine?", user=2))
        await asyncio.sleep(0.05)
        with pytest.raises(AlreadyAskingError):
            await rig.ask("Another of mine?", user=1)
        gate.set()
        await asyncio.gather(comparing, other)
        assert [job.question for job in rig.engine.jobs][:3] == [FOOT, "Mine?", GIRAFFE]
        assert done == [(n, 7) for n in range(1, 8)]
        assert heard.positions == [1]
        assert (await rig.ask("And now?", user=1)).answer.text


async def test_an_answer_without_a_word_is_shown_without_a_picture(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(script={FOOT: "..."})) as rig:
        found = await compared(rig)
        assert found.reading_a is None
        assert (found.picture, found.alt, found.contrasts) == (None, "", ())


async def test_a_model_without_an_inner_voice_still_answers(tmp_path: Path) -> None:
    blind = FakeEngine(inner_voice="This model cannot be read.")
    blind.trace_error = ModelNotPulledError("no")
    async with rigged(tmp_path, blind) as rig:  # type: ignore[arg-type]
        found = await compared(rig, "Why is it so?", "And why not?")
        assert (found.reading_a, found.picture) == (None, None)


@pytest.mark.real_model
async def test_foot_and_giraffe_on_the_real_model(tmp_path: Path, smollm: TorchEngine) -> None:
    short = {"sampling": {"max_new_tokens": 12}, "lens": {"evidence": False, "self_report": False}}
    async with rigged(tmp_path, smollm, **short) as rig:
        found = await compared(rig)
        assert len(found.contrasts) == len(FIGURES)
        for read in (found.reading_a, found.reading_b, *(c.reading for c in found.controls)):
            assert read is not None
            assert read.probs.shape == read.entropies.shape == (30,)
            assert read.final_prob == float(read.probs[-1])
        for contrast in found.contrasts:
            others = [float(getattr(c.reading, contrast.figure)) for c in found.controls]
            assert contrast.told == (abs(contrast.a - contrast.b) > max(others) - min(others))
        again = await compared(rig, GIRAFFE, GIRAFFE.replace("giraffe", "horse"))
        assert {c.question for c in again.controls} >= {"How many eyes does a cat have?"}
