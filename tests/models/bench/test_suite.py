"""The whole report of a small model: what is in it, not how fast it was."""

import json

import pytest
import torch

from bot.render.bench_table import tables
from models.bench import passes, suite
from models.bench.suite import parts_of
from models.errors import ModelError
from tests.models.bench.conftest import CPU


def test_the_report_becomes_json(report) -> None:
    found = json.loads(json.dumps(report.to_json(), allow_nan=False))
    parts = {"rates", "answer", "second", "askers", "lag", "scaling", "starve"}
    assert set(found) == {"schema", "machine", "model", "notes", *parts}
    assert found["starve"] is None  # takes minutes, so it is measured when it is named
    assert set(found["machine"]) == {"device", "kind", "cores", "threads", "dtype", "versions"}
    assert set(found["machine"]["versions"]) == {"python", "torch", "transformers"}
    assert set(found["answer"]["ratio"]) == {"median", "low", "q1", "q3", "most", "n", "unit"}
    assert found["model"]["random"] is True


def test_the_engine_and_generate_say_the_same(report) -> None:
    answer = report.answer
    assert answer.prompt_tokens == (38, 38, 38)
    assert answer.answers_equal == answer.answers_compared == 3
    assert answer.speed.n == answer.ratio.n == 2
    assert answer.share_of_limit.median == pytest.approx(answer.decode_speed.median / answer.limit)


def test_each_way_of_the_second_pass_agrees_with_the_reference(report) -> None:
    short, long = report.second
    assert (short.answer_tokens, long.answer_tokens) == (5, 20)
    for work in report.second:
        assert list(work.ways)[:4] == [passes.REFERENCE, passes.LEAN, passes.LENS, passes.COLD]
        for name, way in work.ways.items():
            assert way.floor > 0
            assert way.peak_bytes > 0
            assert (way.probability_off is None) == (name in {passes.REFERENCE, passes.LEAN})
            assert way.probability_off is None or way.probability_off < 1e-5
        assert work.ways[passes.REFERENCE].to_reference.median == 1.0


def test_captured_states_are_told_from_recomputed_ones(report) -> None:
    for work in report.second:
        ways = work.ways
        assert ways[passes.COLD].states == "recomputed"
        assert ways[passes.CAPTURED].states == "captured"
        assert ways[passes.CAPTURED].floor < ways[passes.COLD].floor
    assert report.notes == ()


def test_askers_are_told_beside_one(report) -> None:
    assert [crowd.askers for crowd in report.askers] == [1, 3]
    assert report.askers[0].to_one.median == 1.0
    for crowd in report.askers:
        assert 0 < crowd.first_p50.median <= crowd.latency_p50.median <= crowd.latency_p95.median


def test_the_loop_was_watched(report) -> None:
    for lag in (report.lag.idle, report.lag.busy):
        assert 0 <= lag.p50 <= lag.p99 <= lag.most
        assert lag.n > 0


def test_three_sweeps(report) -> None:
    assert [sweep.over for sweep in report.scaling] == ["answer length", "depth", "vocabulary"]
    assert all(len(sweep.sizes) == len(sweep.seconds) for sweep in report.scaling)


def test_a_part_alone_loads_no_model_when_it_needs_none() -> None:
    settings = suite.Settings(parts=("scaling",), repeats=1, small=True)
    report = suite.run(lambda: pytest.fail("loaded"), settings, device=CPU, dtype=torch.float32, say=lambda _: None)
    assert report.model is None
    assert report.scaling is not None
    assert report.answer is report.second is report.askers is report.lag is report.rates is None


def test_who_waits_for_whom(small) -> None:
    settings = suite.Settings(parts=("starve",), small=True)
    found = suite.run(lambda: small, settings, device=CPU, dtype=torch.float32, say=lambda _: None)
    voices, long, looks = found.starve.voices, found.starve.long, found.starve.looks
    assert voices.told == voices.answered > 0
    assert (voices.refused, looks.refused, looks.looks_refused) == (0, 0, 0)
    assert long.asked > 0
    assert long.long_tokens >= 200
    json.dumps(found.to_json(), allow_nan=False)
    assert any("Who waits for whom" in str(getattr(table, "title", "")) for table in tables(found))


def test_parts_come_in_the_order_of_measuring() -> None:
    assert parts_of("lag, answer") == ("answer", "lag")
    with pytest.raises(ModelError, match="no part `speed`"):
        parts_of("answer,speed")
    with pytest.raises(ModelError, match="There is no part to measure"):
        parts_of(",")


def test_a_model_without_an_inner_voice_is_refused(small, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.setattr(small.engine, "_info", replace(small.engine.info, inner_voice="The lens cannot read it."))
    with pytest.raises(ModelError, match="cannot read"):
        passes.second_pass(small, None, answer_tokens=2, k=2, repeats=1, say=lambda _: None)


def test_an_answer_of_another_length_is_no_measure(small) -> None:
    answer = small.engine.answer(small.jobs(1, 3)[0])
    with pytest.raises(ModelError, match="instead of the 4"):
        passes.check_length(answer, 4)
