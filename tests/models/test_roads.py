"""Roads not taken: an answer goes on from a forced token, with the sampler and the numbers that it would have had."""

import numpy as np
import pytest
import torch

from models.errors import AnswerCancelledError, NoSuchTokenError, OutOfMemoryError
from models.running.engine import from_model
from models.types import Job, Road, Sampling
from tests.models import tiny

FOOT = "How many eyes does my foot have?"
WARM = Sampling(temperature=0.8, top_p=0.9, top_k=12, max_new_tokens=24, seed=11)
COOL = Sampling(max_new_tokens=24)


def follow(engine, answer, t, token, **options):
    return engine.answer(Job("", road=Road(answer, t, token)), **options)


@pytest.mark.parametrize("sampling", [COOL, WARM, Sampling(temperature=1.3, max_new_tokens=24)], ids=["cool", "warm", "unseeded"])
@pytest.mark.parametrize("name", ["llama", "gpt2", "gemma3_text", "qwen3_5_text"])
def test_the_emitted_token_forced_is_the_answer_again(name, sampling, tokenizer):
    engine = from_model(tiny.named(name), tokenizer)
    answer = engine.answer(Job(FOOT, sampling=sampling))
    for t in {0, 1, len(answer.answer_ids) // 2, len(answer.answer_ids) - 1} & {*range(len(answer.answer_ids))}:  # one may be all
        again = follow(engine, answer, t, answer.answer_ids[t])
        assert again.answer_ids == answer.answer_ids
        assert (again.text, again.finish, again.style, again.seed) == (answer.text, answer.finish, answer.style, answer.seed)
        assert (again.prompt_ids, again.sampling) == (answer.prompt_ids, answer.sampling)
        assert np.allclose(again.sampled_prob, answer.sampled_prob, atol=1e-5)
        assert np.allclose(again.final_top.logprobs, answer.final_top.logprobs, atol=1e-4)


@torch.no_grad()
def test_what_a_road_carries(engine, llama):
    answer = engine.answer(Job(FOOT, sampling=WARM))
    t = 5
    logits = llama(torch.tensor([[*answer.prompt_ids, *answer.answer_ids[:t]]])).logits[0, -1]
    token = next(i for i in logits.topk(5).indices.tolist() if i != answer.answer_ids[t])
    road = follow(engine, answer, t, token)
    assert road.answer_ids[: t + 1] == (*answer.answer_ids[:t], token)
    assert road.sampled_prob[:t] == answer.sampled_prob[:t]
    assert road.final_top.ids[: t + 1] == answer.final_top.ids[: t + 1]
    assert road.final_top.logprobs[: t + 1] == answer.final_top.logprobs[: t + 1]
    kept = (logits / 0.8).topk(12)
    probs = kept.values.softmax(-1)
    within = probs.cumsum(-1) - probs < 0.9
    expected = {int(i): float(p) for i, p in zip(kept.indices[within], probs[within] / probs[within].sum(), strict=True)}
    assert road.sampled_prob[t] == pytest.approx(expected.get(token, 0.0), abs=1e-5)
    least = int(logits.argmin())
    assert follow(engine, answer, t, least).sampled_prob[t] == 0.0  # top-k had cut it away
    cool = engine.answer(Job(FOOT, sampling=COOL))
    assert follow(engine, cool, t, least).sampled_prob[t] == 0.0
    assert len(road.answer_ids) <= WARM.max_new_tokens


@torch.no_grad()
def test_a_greedy_road_goes_on_as_the_model_would(engine, llama):
    answer = engine.answer(Job(FOOT, sampling=COOL))
    road = follow(engine, answer, 3, 65)
    ids = [*road.prompt_ids, *road.answer_ids[:4]]
    for token in road.answer_ids[4:]:
        assert int(llama(torch.tensor([ids])).logits[0, -1].argmax()) == token
        ids.append(token)
    assert len(road.answer_ids) == COOL.max_new_tokens or road.finish == "stop"


@pytest.mark.parametrize("held", [True, False])
def test_its_trace_holds(engine, held):
    answer = engine.answer(Job(FOOT, sampling=WARM))
    if not held:
        engine.forget()
    road = follow(engine, answer, 4, 65)
    assert (engine._held.get(road.prompt_ids, road.answer_ids) is not None) is held
    trace, before = engine.trace(road), engine.trace(answer)
    assert np.allclose(trace.emitted_prob[:4], before.emitted_prob[:4], atol=1e-5)
    assert np.allclose(trace.sampled_prob, road.sampled_prob)
    assert (trace.top_ids[:5, -1, 0] == before.top_ids[:5, -1, 0]).all()
    assert trace.answer_ids[4] == 65


def test_a_forced_end_ends_it(engine):
    answer = engine.answer(Job(FOOT, sampling=COOL))
    road = follow(engine, answer, 3, 256)
    assert road.answer_ids == (*answer.answer_ids[:3], 256)
    assert road.finish == "stop"


def test_it_streams_and_can_be_stopped(engine):
    answer = engine.answer(Job(FOOT, sampling=COOL))
    seen = []
    road = follow(engine, answer, 3, 65, on_text=seen.append)
    assert seen[-1].strip() == road.text
    assert len(seen) <= len(road.answer_ids) - 3  # nothing of what was kept
    with pytest.raises(AnswerCancelledError):
        follow(engine, answer, 3, 65, cancelled=lambda: True)


def test_roads_go_beside_other_answers(engine):
    first = engine.answer(Job(FOOT, sampling=WARM))
    jobs = [
        Job("", road=Road(first, 2, 65)),
        Job(FOOT, sampling=COOL),
        Job("Why?", sampling=WARM),
        Job("", road=Road(first, 9, 70)),
    ]
    alone = [engine.answer(job) for job in jobs]
    begun, ended = [engine.begin(job) for job in jobs], {}
    while len(ended) < len(jobs):
        ended |= dict(engine.step())
    for course, other in zip(begun, alone, strict=True):
        assert ended[course].answer_ids == other.answer_ids
        assert ended[course].text == other.text


def test_a_road_that_lost_its_batch_begins_anew(engine, monkeypatch):
    first = engine.answer(Job(FOOT, sampling=WARM))
    jobs = [Job("", road=Road(first, 2, 65)), Job("", road=Road(first, 9, 70))]
    alone = [engine.answer(job) for job in jobs]
    forward, failed = engine._decoder._forward, []

    def short_of_memory(batch, tokens, draws):
        if len(batch.courses) == 2 and not failed:
            failed.append(True)
            raise OutOfMemoryError("none left")
        forward(batch, tokens, draws)

    monkeypatch.setattr(engine._decoder, "_forward", short_of_memory)
    begun, ended = [engine.begin(job) for job in jobs], {}
    while len(ended) < len(jobs):
        ended |= dict(engine.step())
    assert failed
    assert [ended[course].answer_ids for course in begun] == [answer.answer_ids for answer in alone]


@pytest.mark.parametrize(("t", "token"), [(-1, 65), (24, 65), (0, -1), (0, tiny.VOCABULARY)])
def test_a_road_from_nowhere_is_refused(engine, t, token):
    answer = engine.answer(Job(FOOT, sampling=COOL))
    with pytest.raises(NoSuchTokenError):
        follow(engine, answer, t, token)
    with pytest.raises(NoSuchTokenError):
        engine.begin(Job("", road=Road(answer, t, token)))
