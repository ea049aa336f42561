"""The scripted engine holds together: its traces obey every rule that real ones obey."""

import threading

import numpy as np
import pytest

from models.errors import AnswerCancelledError, EmptyQuestionError, ModelError, QuestionTooLongError
from models.fake import DEFAULT_ANSWER, FakeEngine
from models.trace import Trace
from models.types import Engine, Job, Sampling

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
