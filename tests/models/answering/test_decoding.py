"""Many answers under way at once: each the same as alone, whoever comes and goes beside it."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from models.answering import decoding, kv
from models.errors import AnswerCancelledError, OutOfMemoryError
from models.network import adapters
from models.running import engine
from models.types import BatchEngine, Job, Sampling
from tests.models import tiny

QUESTIONS = ("How many eyes does my foot have?", "Why?", "What colour is Tuesday, and since when?", "Who am I?", "2+2?")


def jobs(new: int = 12, **options: object) -> list[Job]:
    return [Job(question, sampling=Sampling(max_new_tokens=new + 3 * n, **options)) for n, question in enumerate(QUESTIONS)]


def together(made, wanted, *, every: int = 0):
    """The answers of all jobs, one more of them begun at each ``every`` steps."""
    begun, ended = [], {}
    waiting = list(wanted)
    for step in range(1000):
        while waiting and (not every or step >= every * len(begun)):
            begun.append(made.begin(waiting.pop(0)))
        for token, result in made.step():
            if token in begun:
                ended[begun.index(token)] = result
        if len(ended) == len(wanted):
            return [ended[n] for n in range(len(wanted))]
    raise AssertionError("never ended")


def test_it_is_a_batch_engine(engine):
    assert isinstance(engine, BatchEngine)
    assert engine.capacity == 32


@pytest.mark.parametrize("every", [0, 1, 4])
@pytest.mark.parametrize("options", [{}, {"temperature": 1.1, "seed": 4}])
def test_each_answer_is_the_one_it_would_be_alone(engine, every, options):
    alone = [engine.answer(job) for job in jobs(**options)]
    for mine, theirs in zip(together(engine, jobs(**options), every=every), alone, strict=True):
        assert mine.answer_ids == theirs.answer_ids
        assert mine.text == theirs.text
        assert np.allclose(mine.sampled_prob, theirs.sampled_prob, atol=1e-4)


@pytest.mark.parametrize("model_type", adapters.SUPPORTED)
def test_every_architecture_answers_together_as_alone(model_type):
    made = engine.from_model(tiny.model(model_type), tiny.tokenizer())
    alone = [made.answer(job) for job in jobs(4)]
    answers = together(made, jobs(4), every=2)
    assert [a.answer_ids for a in answers] == [a.answer_ids for a in alone]
    captured = made.traces(answers, k=4)
    made.forget()
    for mine, answer in zip(captured, answers, strict=True):
        again = made.trace(answer, k=4)
        assert (mine.meta["states"], again.meta["states"]) == ("captured", "recomputed")
        assert np.abs(mine.top_probs - again.top_probs).max() < 1e-4
        assert np.abs(mine.entropy - again.entropy).max() < 2e-3
        assert mine.answer_ids.tolist() == list(answer.answer_ids)
        assert mine.tokens == again.tokens


def test_a_sliding_window_slides():
    made = engine.from_model(tiny.model("mistral", sliding_window=8), tiny.tokenizer())
    alone = [made.answer(job) for job in jobs()]
    assert [a.answer_ids for a in together(made, jobs(), every=1)] == [a.answer_ids for a in alone]
    expected = made.model.generate(torch.tensor([alone[0].prompt_ids]), max_new_tokens=12, do_sample=False, pad_token_id=256)
    assert expected[0, len(alone[0].prompt_ids) :].tolist() == list(alone[0].answer_ids)


def test_long_prompts_are_read_in_pieces_between_the_tokens_of_others(engine, monkeypatch):
    monkeypatch.setattr(decoding, "_PIECE", 40)
    monkeypatch.setattr(engine, "_stop_ids", frozenset())
    long = Job("x" * 400, sampling=Sampling(max_new_tokens=4))
    alone = engine.answer(long)
    first = engine.begin(jobs(30)[0])
    engine.step()
    engine.step()
    begun = len(first.ids)
    engine.begin(long)
    ended: list = []
    while not ended:
        ended = engine.step()
    assert len(first.ids) - begun > 400 // 40
    while len(ended) < 2:
        ended += engine.step()
    assert {len(result.answer_ids) for _, result in ended} == {4, 30}
    assert next(result for _, result in ended if len(result.answer_ids) == 4).answer_ids == alone.answer_ids


def test_short_ones_do_not_wait_for_long_ones(engine):
    order = []
    made = {
        id(engine.begin(Job("x", sampling=Sampling(max_new_tokens=n)))): n for n in (40, 3, 40, 2)
    }  # fmt: skip
    while len(order) < 4:
        order += [made[id(token)] for token, _ in engine.step()]
    assert order[:2] == [2, 3]


def test_cancelled_and_broken_ones_leave_the_others_alone(engine):
    wanted = jobs(10)
    alone = engine.answer(wanted[0])
    stop = []

    def breaks(_text):
        raise ZeroDivisionError

    tokens = [
        engine.begin(wanted[0]),
        engine.begin(wanted[1], cancelled=lambda: len(stop) > 2),
        engine.begin(wanted[2], on_text=breaks),
    ]
    results = {}
    while len(results) < 3:
        stop.append(None)
        results.update(dict(engine.step()))
    assert results[tokens[0]].answer_ids == alone.answer_ids
    assert isinstance(results[tokens[1]], AnswerCancelledError)
    assert isinstance(results[tokens[2]], ZeroDivisionError)


def fails_above(model, rows):
    """Out of memory whenever more than ``rows`` sequences share a pass."""

    def check(_module, args):
        if args[0].shape[0] > rows:
            raise RuntimeError("CUDA out of memory.")

    return model.model.embed_tokens.register_forward_pre_hook(check)


def test_too_little_memory_makes_smaller_batches_and_loses_no_answer(engine):
    alone = [engine.answer(job) for job in jobs()]
    with fails_above(engine.model, 2):
        answers = together(engine, jobs())
    assert [a.answer_ids for a in answers] == [a.answer_ids for a in alone]
    assert all(trace.meta["argmax_agreement"] == 1.0 for trace in engine.traces(answers))


@pytest.mark.parametrize("operation", ["join", "keep", "spread"])
def test_too_little_memory_for_the_cache_loses_no_answer(engine, monkeypatch, operation):
    same = "Tell me, as briefly as you can: "
    wanted = [Job(same + q, sampling=Sampling(max_new_tokens=4 + 3 * n)) for n, q in enumerate(QUESTIONS)]
    alone = [engine.answer(job) for job in wanted]
    real, left = getattr(kv.GrowingLayer, operation), [2]  # in the second layer, when the first is done already

    def fails(self, *args):
        left[0] -= 1
        if not left[0]:
            raise RuntimeError("CUDA out of memory.")
        return real(self, *args)

    monkeypatch.setattr(kv.GrowingLayer, operation, fails)
    first = engine.begin(wanted[0])
    engine.step()
    answers = together(engine, wanted[1:])
    assert left[0] <= 0
    assert [a.answer_ids for a in answers] == [a.answer_ids for a in alone[1:]]
    assert first.done
    assert first.ids == list(alone[0].answer_ids)


def test_too_little_memory_for_one_is_told(engine):
    with fails_above(engine.model, 0):
        results = together(engine, jobs()[:2])
    assert all(isinstance(result, OutOfMemoryError) for result in results)


@pytest.mark.parametrize("model_type", ["llama", "lfm2"])
def test_a_defect_belongs_to_everyone_in_the_pass(model_type):
    made = engine.from_model(tiny.model(model_type), tiny.tokenizer())
    handle = made.model.get_input_embeddings().register_forward_pre_hook(lambda *_a: 1 / 0)
    assert all(isinstance(result, ZeroDivisionError) for result in together(made, jobs()))
    handle.remove()
    assert together(made, jobs(3))[0].answer_ids


def test_one_that_cannot_be_read_does_not_spoil_the_other_second_passes(engine):
    answers = together(engine, jobs(4)[:3])
    wrong = answers[1].final_top
    spoiled = type(wrong)(wrong.ids, tuple((row[0] - 1, *row[1:]) for row in wrong.logprobs))
    answers[1] = dataclasses.replace(answers[1], final_top=spoiled)
    kinds = [type(result).__name__ for result in engine.traces(answers)]
    assert kinds == ["Trace", "TraceMismatchError", "Trace"]


def test_a_common_beginning_is_read_once(engine):
    same = "Tell me, and be as brief as you can be: "
    wanted = [Job(same + end, sampling=Sampling(max_new_tokens=9)) for end in ("why?", "what is a giraffe?", "who am I to you?")]
    alone = [engine.answer(job) for job in wanted]
    sizes = []
    handle = engine.model.model.embed_tokens.register_forward_hook(lambda _m, args, _o: sizes.append(tuple(args[0].shape)))
    answers = together(engine, wanted)
    handle.remove()
    assert [a.answer_ids for a in answers] == [a.answer_ids for a in alone]
    assert all(trace.meta["argmax_agreement"] == 1.0 for trace in engine.traces(answers))
    (one, common), (all_of_them, rest) = sizes[:2]
    assert (one, all_of_them) == (1, 3)
    assert common > len(same)
    assert common + rest == max(len(answer.prompt_ids) for answer in answers)


def test_the_longest_lose_their_states_when_all_hold_too_much(engine, monkeypatch):
    monkeypatch.setattr(engine, "_stop_ids", frozenset())
    of_one = 5 * 32 * 4  # L + 1 depths, 32 wide, fp32
    monkeypatch.setattr(decoding, "_MOST_STATES", 30 * of_one)
    answers = together(engine, [Job(q, sampling=Sampling(max_new_tokens=n)) for q, n in zip(QUESTIONS, (60, 5, 5), strict=False)])
    made = engine.traces(answers)
    assert [trace.meta["states"] for trace in made] == ["recomputed", "captured", "captured"]
    assert all(trace.meta["argmax_agreement"] == 1.0 for trace in made)


def test_a_long_prompt_leaves_the_answers_under_way_two_thirds_of_the_time_and_short_ones_pass_it(engine, monkeypatch):
    """On a clock that each pass moves by a second: pieces and tokens take turns, and a newcomer waits for one piece at most."""
    monkeypatch.setattr(decoding, "_PIECE", 120)
    monkeypatch.setattr(decoding, "_SMALL", 20)
    monkeypatch.setattr(engine, "_stop_ids", frozenset())
    now, order, plain = [0.0], [], decoding.Decoder._forward

    def counted(self, batch, tokens, draws):
        now[0] += 1
        order.append("piece" if not draws else "prompt" if len(tokens[0]) > 1 else "token")
        plain(self, batch, tokens, draws)

    monkeypatch.setattr(decoding.Decoder, "_forward", counted)
    monkeypatch.setattr(decoding.time, "perf_counter", lambda: now[0])
    first = engine.begin(Job("Why?", sampling=Sampling(max_new_tokens=100)))
    engine.step()
    long = engine.begin(Job("x" * 300, sampling=Sampling(max_new_tokens=2)))
    engine.step()
    short = engine.begin(Job("Who?", sampling=Sampling(max_new_tokens=3)))
    engine.step()
    engine.step()
    assert "prompt" in order[1:]  # the short one was read before the long one
    assert short.ids
    assert not long.ids
    while not long.ids:
        engine.step()
    assert order.count("piece") > 10
    assert order.count("token") >= 2 * order.count("piece")
    assert not first.done
    while not first.done:
        engine.step()
