"""The scripted engine holds together: its traces obey every rule that real ones obey."""

import threading

import numpy as np
import pytest

from models.errors import (
    AnswerCancelledError,
    EmptyQuestionError,
    ModelError,
    NoSuchTokenError,
    QuestionTooLongError,
    UnsupportedArchitectureError,
)
from models.fakes.engine import DEFAULT_ANSWER, DEFAULT_ROAD, FakeEngine
from models.findings import Findings
from models.trace import Trace
from models.types import Engine, Job, Prober, Road, Sampling

SCRIPT = {"How many eyes does my foot have?": "Your foot has no eyes. 👀"}


def test_answers_from_the_script_and_streams():
    engine: Engine = FakeEngine(SCRIPT)
    seen = []
    answer = engine.answer(Job("how many eyes does my  foot have? "), on_text=seen.append)
    assert answer.text == "Your foot has no eyes. 👀"
    assert seen[-1] == answer.text
    assert len(seen) > 3
    assert engine.answer(Job("else")).text == DEFAULT_ANSWER
    assert answer.finish == "stop"
    assert engine.answer(Job("else", sampling=Sampling(max_new_tokens=2))).text == "The answer"


def test_trace_holds_together():
    engine = FakeEngine(SCRIPT, layers=6)
    answer = engine.answer(Job("How many eyes does my foot have?"))
    trace = engine.trace(answer, k=5)
    assert trace.depths == 6
    assert "".join(trace.tokens) == answer.text
    assert trace.special.tolist() == [False] * (trace.length - 1) + [True]
    assert trace.top_ids.shape == trace.top_probs.shape == (trace.length, 7, 5)
    assert (np.diff(trace.top_probs, axis=-1) <= 0).all()
    assert (trace.top_probs.sum(-1) <= 1 + 1e-5).all()
    assert (trace.kl_to_final[:, -1] == 0).all()
    assert (trace.emitted_rank[:, -1] == 0).all()
    on_top = trace.top_ids[:, :, 0] == trace.answer_ids[:, None]
    assert (on_top == (trace.emitted_rank == 0)).all()
    assert np.allclose(trace.top_probs[:, :, 0][on_top], trace.emitted_prob[on_top])
    assert set(trace.pieces) >= {int(i) for i in np.unique(trace.top_ids)}
    assert (np.asarray(answer.final_top.ids)[:, :5] == trace.top_ids[:, -1]).all()


def test_same_answer_same_trace_even_in_another_engine():
    answer = FakeEngine(SCRIPT).answer(Job("How many eyes does my foot have?"))
    one, two = FakeEngine(SCRIPT).trace(answer), FakeEngine(SCRIPT).trace(answer)
    assert (one.top_probs == two.top_probs).all()
    back = Trace.from_bytes(one.to_bytes())
    assert (back.top_ids == one.top_ids).all()
    assert back.tokens == one.tokens


def test_refuses_what_a_real_engine_refuses():
    engine = FakeEngine()
    with pytest.raises(EmptyQuestionError):
        engine.answer(Job("  \n"))
    with pytest.raises(QuestionTooLongError):
        engine.answer(Job("eye " * 3000))
    with pytest.raises(AnswerCancelledError):
        engine.answer(Job("a"), cancelled=lambda: True)
    with pytest.raises(ModelError):
        FakeEngine(answer_error=ModelError("no")).answer(Job("a"))
    with pytest.raises(ModelError):
        FakeEngine(trace_error=ModelError("no")).trace(engine.answer(Job("a")))


def test_gate_holds_the_answer_back():
    gate = threading.Event()
    engine = FakeEngine(gate=gate)
    with pytest.raises(AnswerCancelledError):
        engine.answer(Job("a"), cancelled=lambda: True)
    gate.set()
    assert engine.answer(Job("a")).text == DEFAULT_ANSWER


FOOT = "How many eyes does my foot have?"


def test_a_road_not_taken_shares_what_it_kept():
    engine = FakeEngine(SCRIPT, roads={"one": " eye only."})
    answer = engine.answer(Job(FOOT))
    token = engine._ids[" one"]
    seen = []
    road = engine.answer(Job(FOOT, road=Road(answer, 3, token)), on_text=seen.append)
    assert road.text == seen[-1] == "Your foot has one eye only."
    assert seen[0] == "Your foot has one"
    assert road.prompt_ids == answer.prompt_ids
    assert road.answer_ids[:3] == answer.answer_ids[:3]
    assert road.final_top.ids[:4] == answer.final_top.ids[:4]
    assert road.final_top.logprobs[:4] == answer.final_top.logprobs[:4]
    assert road.sampled_prob == (1.0, 1.0, 1.0, 0.0, *[1.0] * (len(road.answer_ids) - 4))
    mine, others = engine.trace(road), engine.trace(answer)
    assert (mine.top_probs[:4] == others.top_probs[:4]).all()
    assert mine.emitted_rank[3, -1] > 0
    assert mine.top_ids[3, -1, 0] == answer.answer_ids[3]
    assert (np.asarray(road.final_top.ids)[:, :5] == mine.top_ids[:, -1, :5]).all()
    assert engine.answer(Job(FOOT, road=Road(answer, 3, engine._ids[" two"]))).text == f"Your foot has two{DEFAULT_ROAD}"


def test_a_road_of_the_emitted_token_or_of_the_end_is_what_it_should_be():
    engine = FakeEngine(SCRIPT)
    answer = engine.answer(Job(FOOT))
    same = engine.answer(Job(FOOT, road=Road(answer, 2, answer.answer_ids[2])))
    assert (same.answer_ids, same.final_top, same.sampled_prob) == (answer.answer_ids, answer.final_top, answer.sampled_prob)
    ended = engine.answer(Job(FOOT, road=Road(answer, 2, 0)))
    assert (ended.text, ended.finish) == ("Your foot", "stop")
    for t, token in ((99, 3), (-1, 3), (0, 9_999)):
        with pytest.raises(NoSuchTokenError):
            engine.answer(Job(FOOT, road=Road(answer, t, token)))


def test_its_evidence_holds_together():
    engine = FakeEngine(SCRIPT, layers=6)
    assert isinstance(engine, Prober)
    answer = engine.answer(Job(FOOT))
    trace = engine.trace(answer)
    found = engine.findings(answer, trace, question=FOOT, watch=("foot", "zebra"))
    parts = found.attribution
    total = parts.embedding + parts.blocks.sum((1, 2)) + parts.constant
    assert np.allclose(total, parts.difference, atol=1e-5)
    ratio = trace.emitted_prob[:, -1] / np.take_along_axis(trace.top_probs[:, -1], np.full((trace.length, 1), 1), -1)[:, 0]
    assert np.allclose(np.log(ratio), parts.difference, atol=1e-4)
    assert found.watched.probs.shape == (2, trace.length, 7)
    assert found.watched.whole == (True, False)
    assert np.isclose(found.watched.probs[0, 1, -1], trace.emitted_prob[1, -1])
    assert found.pull.kl > 0
    assert set(found.attention.words.values()) <= {" foot", " have", " my", " does", " eyes", " many"}
    again = FakeEngine(SCRIPT, layers=6).findings(answer, trace, question=FOOT, watch=("foot", "zebra"))
    assert Findings.from_json(found.to_json()).to_json() == again.to_json()


def test_its_causal_check_and_its_self_report_hold_together():
    engine = FakeEngine(SCRIPT, layers=6)
    answer = engine.answer(Job(FOOT))
    trace = engine.trace(answer)
    check = engine.why(answer, 3, parts=("block", "mlp"), seed=4)
    assert np.isclose(check.logprob, np.log(trace.emitted_prob[3, -1]), atol=1e-5)
    assert check.top_id == answer.answer_ids[3] == check.emitted
    blocks = check.of("block")
    assert blocks.logprob.shape == blocks.control_top_ids.shape == (6,)
    same = blocks.top_ids == check.emitted
    assert np.allclose(np.exp(blocks.logprob[same]), blocks.top_probs[same], atol=1e-6)
    assert check.of("mlp") is not None
    assert check.of("attention") is None
    assert set(check.pieces) >= {*blocks.top_ids.tolist(), *blocks.control_top_ids.tolist()}
    with pytest.raises(NoSuchTokenError):
        engine.why(answer, 99)
    with pytest.raises(UnsupportedArchitectureError):
        FakeEngine(inner_voice="It has none.").why(answer, 1)
    assert 0 < engine.self_report(FOOT, answer).p_true < 1
