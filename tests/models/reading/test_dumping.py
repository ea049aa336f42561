"""Dumps: equal to what transformers itself gives away, cut as asked for, and nothing left behind in the model."""

import json
import threading

import numpy as np
import pytest
import torch

from models.dump import choose_positions, lens_dump
from models.errors import LensNotFoundError, NoSuchDepthError, NoSuchTokenError, OutOfMemoryError, UnsupportedArchitectureError
from models.fakes.engine import FakeEngine
from models.holding import finding_arrays
from models.network import adapters
from models.running.engine import from_model
from models.running.scheduler import Scheduler
from models.types import Dumper, Job, Sampling
from tests.models import tiny

NAMES = (*adapters.SUPPORTED, *tiny.VARIANTS)
ATTENDS = [name for name in NAMES if adapters.find(tiny.named(name)).attends is not None]
JOB = Job("How many eyes does my foot have?", style="story", sampling=Sampling(max_new_tokens=5))


def hooks(model):
    """How many there are; transformers leaves some of its own when it is asked for states."""
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules())


def answered(model, tokenizer):
    engine = from_model(model, tokenizer)
    answer = engine.answer(JOB)
    return engine, answer, torch.tensor([[*answer.prompt_ids, *answer.answer_ids]])


@pytest.mark.parametrize("name", NAMES)
def test_hidden_is_what_output_hidden_states_gives(name, tokenizer):
    model = tiny.named(name)
    engine, answer, ids = answered(model, tokenizer)
    with torch.no_grad():
        plain = model(input_ids=ids, output_hidden_states=True, use_cache=False).hidden_states
    before = hooks(model)
    dump = engine.dump(answer, "hidden", positions=range(ids.shape[1]))
    assert hooks(model) == before
    for row, depth in enumerate(dump.depths):
        assert np.abs(dump.arrays["hidden"][row] - plain[depth][0].numpy()).max() <= 1e-5
    if "output" in dump.arrays:
        assert list(dump.depths) == [0, 1, 2, 3]
        assert np.abs(dump.arrays["output"] - plain[4][0].numpy()).max() <= 1e-5
    else:
        assert list(dump.depths) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("name", ATTENDS)
def test_attention_is_what_output_attentions_gives(name, tokenizer):
    model = tiny.named(name)
    engine, answer, ids = answered(model, tokenizer)
    with torch.no_grad():
        plain = torch.stack(model(input_ids=ids, output_attentions=True, use_cache=False).attentions)[:, 0].numpy()
    if model._supports_sdpa:
        model.set_attn_implementation("sdpa")
    before = hooks(model)
    dump = engine.dump(answer, "attention", positions=range(ids.shape[1]))
    assert hooks(model) == before
    assert list(dump.depths) == [1, 2, 3, 4]
    assert dump.arrays["attention"].shape == plain.shape
    assert np.abs(dump.arrays["attention"] - plain).max() <= 1e-5


def test_the_usual_positions_predict_the_answer(engine):
    answer = engine.answer(JOB)
    start, length = len(answer.prompt_ids), len(answer.answer_ids)
    dump = engine.dump(answer, "hidden")
    assert list(dump.positions) == list(range(start - 1, start + length))
    # Row t predicted answer token t: its depth L through the head is the trace's last row.
    with torch.no_grad():
        logits = engine.model.get_output_embeddings()(torch.from_numpy(dump.arrays["hidden"][-1, :-1]))
    trace = engine.trace(answer)
    assert np.abs(logits.softmax(-1).numpy().max(-1) - trace.top_probs[:, -1, 0]).max() < 1e-5
    assert dump.tokens[1:] == trace.tokens
    assert {int(i) for i in (*answer.prompt_ids, *answer.answer_ids)} == set(dump.pieces)


def test_chosen_positions_and_depths(engine):
    answer = engine.answer(JOB)
    whole = engine.dump(answer, "hidden", positions=range(12))
    some = engine.dump(answer, "hidden", positions=[7, 3, 7], depths=[4, 0])
    assert (list(some.positions), list(some.depths)) == ([3, 7], [0, 4])
    assert np.array_equal(some.arrays["hidden"], whole.arrays["hidden"][[0, 4]][:, [3, 7]])
    rows = engine.dump(answer, "attention", positions=[5], depths=[2]).arrays["attention"]
    assert rows.shape == (1, 4, 1, len(answer.prompt_ids) + len(answer.answer_ids))
    assert np.allclose(rows.sum(-1), 1, atol=1e-6)
    assert not rows[..., 6:].any()


@pytest.mark.parametrize("make", [lambda: from_model(tiny.model("llama"), tiny.tokenizer()), lambda: FakeEngine(layers=4)])
def test_what_there_is_not_is_refused(make):
    engine = make()
    assert isinstance(engine, Dumper)
    answer = engine.answer(JOB)
    end = len(answer.prompt_ids) + len(answer.answer_ids)
    for what in ("lens", "hidden", "attention"):
        for positions in ([end], [-1], []):
            with pytest.raises(NoSuchTokenError):
                engine.dump(answer, what, positions=positions)
        for depths in ([5], [-1], []):
            with pytest.raises(NoSuchDepthError):
                engine.dump(answer, what, depths=depths)
    with pytest.raises(NoSuchDepthError, match="from 1 to 4"):
        engine.dump(answer, "attention", depths=[0])
    with pytest.raises(NoSuchTokenError):
        engine.dump(answer, "lens", positions=[0])
    with pytest.raises(LensNotFoundError):
        engine.dump(answer, "lens", lens="jacobian")


def test_without_readable_attention(tokenizer):
    engine, answer, _ids = answered(tiny.named("lfm2"), tokenizer)
    assert engine.dump(answer, "hidden").arrays["hidden"].shape[0] == 5
    with pytest.raises(UnsupportedArchitectureError, match="attention"):
        engine.dump(answer, "attention")


def test_too_little_memory(engine, monkeypatch):
    answer = engine.answer(JOB)
    monkeypatch.setattr("models.reading.seen.free_bytes", lambda _device: 1000)
    with pytest.raises(OutOfMemoryError, match="memory"):
        engine.dump(answer, "attention")
    monkeypatch.setattr("models.reading.dumping.free_bytes", lambda _device: 1000)
    for what in ("hidden", "attention"):
        with pytest.raises(OutOfMemoryError, match="this size"):
            engine.dump(answer, what)


def test_hooks_go_when_the_pass_breaks(engine, monkeypatch):
    answer = engine.answer(JOB)

    def broken(*_args, **_kwargs):
        raise RuntimeError("out of order")

    monkeypatch.setattr(engine.model.lm_head, "forward", broken)
    kind = type(engine.model.config)
    for what in ("hidden", "attention"):
        with pytest.raises(RuntimeError, match="out of order"):
            engine.dump(answer, what)
    assert type(engine.model.config) is kind
    assert not hooks(engine.model)


def test_other_threads_are_not_seen(engine):
    answer = engine.answer(JOB)
    expected = engine.dump(answer, "hidden").arrays["hidden"]
    stop = threading.Event()

    def others():
        with torch.inference_mode():
            while not stop.is_set():
                engine.model(input_ids=torch.tensor([[1, 2, 3]]), use_cache=False)

    other = threading.Thread(target=others)
    other.start()
    try:
        for _ in range(5):
            assert np.array_equal(engine.dump(answer, "hidden").arrays["hidden"], expected)
    finally:
        stop.set()
        other.join()


def test_lens_is_the_trace_with_its_evidence(engine):
    answer = engine.answer(JOB)
    trace = engine.trace(answer)
    trace = trace.with_findings(
        attribution=(found := engine.findings(answer, trace, watch=["eyes", "no"])).attribution,
        attention=found.attention,
        watched=found.watched,
        causal=engine.why(answer, 2),
    )
    dump = lens_dump(trace)
    assert dump.trace is not None
    assert np.array_equal(dump.arrays["top_ids"], trace.top_ids)
    assert np.array_equal(dump.arrays["findings.attribution.blocks"], trace.findings.attribution.blocks)
    assert dump.arrays["findings.causal.removals.0.logprob"].shape == (4,)
    assert set(dict(finding_arrays(trace.findings))) <= set(dump.arrays)
    assert not {"answer_seconds", "second_pass_seconds"} & set(dump.meta)
    start = len(trace.prompt_ids)
    some = lens_dump(trace, positions=[start + 1, start + 3], depths=[0, 2, 4])
    assert some.trace is None
    assert np.array_equal(some.arrays["entropy"], trace.entropy[[1, 3]][:, [0, 2, 4]])
    assert np.array_equal(some.arrays["findings.attribution.blocks"], trace.findings.attribution.blocks[[1, 3]][:, [1, 3]])
    assert np.array_equal(some.arrays["findings.watched.probs"], trace.findings.watched.probs[:, [1, 3]][..., [0, 2, 4]])
    assert some.findings.causal is None
    assert "chosen position" in some.findings.notes["causal"]
    rows = lens_dump(trace, positions=[start + 2]).trace
    assert (rows.length, rows.findings.causal.t, rows.tokens) == (1, 0, (trace.tokens[2],))
    assert json.dumps(rows.to_json())


async def test_through_the_scheduler(engine):
    scheduler = Scheduler(engine)
    try:
        answer = await scheduler.answer(JOB)
        dump = await scheduler.dump(answer, "hidden", depths=[1])
        assert np.array_equal(dump.arrays["hidden"], engine.dump(answer, "hidden", depths=[1]).arrays["hidden"])
    finally:
        await scheduler.aclose()


def test_positions_of_the_lens_are_the_answers():
    assert list(choose_positions("lens", None, 3, 2)) == [3, 4]
    assert list(choose_positions("hidden", None, 3, 2)) == [2, 3, 4]
