"""A text that is read in pieces gives what one plain pass over it gives, whoever looks."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from models.network import adapters
from models.pieces import whole
from models.probes import causal, self_report
from models.reading import passes
from models.reading.seen import look
from models.running import engine as engines
from models.types import Job, Sampling
from tests.models import tiny

QUESTION = "How many eyes does my foot have, and " * 6


@pytest.fixture
def cut(monkeypatch):
    """From now on texts are cut into pieces of 16 tokens."""

    def now():
        monkeypatch.setattr(passes, "PIECE", 16)
        monkeypatch.setattr(passes, "WHOLE", 32)

    return now


def made(model_type="llama", new=40):
    one = engines.from_model(tiny.model(model_type), tiny.tokenizer())
    one._stop_ids = frozenset()
    answer = one.answer(Job(QUESTION, sampling=Sampling(max_new_tokens=new)))
    one.forget()
    return one, answer


def count(pieces):
    """How often it pauses, and what comes of it."""
    pauses = 0
    while True:
        try:
            next(pieces)
        except StopIteration as end:
            return pauses, end.value
        pauses += 1


CASES = [(name, 15) for name in adapters.SUPPORTED] + [(name, new) for name in ("llama", "gemma2", "gpt2") for new in (1, 16, 40)]


@pytest.mark.parametrize(("model_type", "new"), CASES)
def test_second_passes_and_evidence(model_type, new, cut):
    one, answer = made(model_type, new)
    plain = one.trace(answer, k=4)
    evidence = one.findings(answer, plain, question=QUESTION)
    report = one.self_report(QUESTION, answer)
    cut()
    pauses, (pieced,) = count(one.traces_in_pieces([answer], k=4))
    if one._parts.batches:
        assert pauses > len(answer.prompt_ids) // 16
    for name in ("top_probs", "emitted_prob", "entropy", "kl_to_final"):
        assert np.abs(getattr(plain, name) - getattr(pieced, name)).max() < 2e-3, name
    assert np.abs(plain.top_probs - pieced.top_probs).max() < 1e-4
    found = one.findings(answer, plain, question=QUESTION)
    assert found.notes == evidence.notes
    if evidence.attribution is not None:
        assert np.allclose(found.attribution.blocks, evidence.attribution.blocks, atol=1e-3)
    if evidence.attention is not None:
        assert np.allclose(np.sort(found.attention.weights), np.sort(evidence.attention.weights), atol=1e-4)
        assert np.allclose(found.attention.sink, evidence.attention.sink, atol=1e-4)
    assert abs(found.pull.kl - evidence.pull.kl) < 1e-3
    assert abs(one.self_report(QUESTION, answer).said - report.said) < 1e-4


def test_causal_checks(cut):
    one, answer = made()
    plain = one.why(answer, 20)
    cut()
    pauses, pieced = count(one.why_in_pieces(answer, 20))
    assert pauses > len(answer.prompt_ids) // 16
    assert np.allclose(plain.removals[0].logprob, pieced.removals[0].logprob, atol=1e-4)
    assert abs(plain.logprob - pieced.logprob) < 1e-5


def test_words_are_followed_from_held_states_without_a_pass_and_else_alike(monkeypatch):
    one = engines.from_model(tiny.model("llama"), tiny.tokenizer())
    answer = one.answer(Job(QUESTION, sampling=Sampling(max_new_tokens=10)))
    trace = one.trace(answer)
    expected = one.findings(answer, trace, watch=("no", "two")).watched
    one.forget()
    recomputed = one.follow(answer, trace, ("no", "two"))
    assert (recomputed.attribution, recomputed.attention, recomputed.pull) == (None, None, None)
    answer = one.answer(Job(QUESTION, sampling=Sampling(max_new_tokens=10)))
    calls = []
    handle = one.model.register_forward_pre_hook(lambda *_: calls.append(1))
    held = one.follow(answer, trace, ("no", "two"))
    handle.remove()
    assert calls == []
    for found in (recomputed, held):
        assert found.watched.words == expected.words
        assert np.allclose(found.watched.probs, expected.probs, atol=1e-5)


def test_answers_go_on_between_the_pieces_and_are_not_touched(cut):
    """No hook and no other attention stays in place across a pause."""
    one, answer = made()
    alone = one.answer(Job("Why?", sampling=Sampling(max_new_tokens=30)))
    trace = one.trace(answer)
    cut()
    token = one.begin(Job("Why?", sampling=Sampling(max_new_tokens=30)))
    works = [
        one.traces_in_pieces([answer]),
        one.findings_in_pieces(answer, trace, question=QUESTION),
        one.why_in_pieces(answer, 3),
        one.self_report_in_pieces(QUESTION, answer),
    ]
    ended = []
    for work in itertools.cycle(works):
        next(work, None)
        ended += one.step()
        if ended:
            break
    assert ended[0][0] is token
    assert ended[0][1].answer_ids == alone.answer_ids
    assert np.allclose(ended[0][1].sampled_prob, alone.sampled_prob, atol=1e-5)


def test_a_short_text_is_one_plain_pass(monkeypatch):
    one, answer = made()
    calls = []
    handle = one.model.register_forward_pre_hook(lambda _m, _args, kwargs: calls.append(kwargs), with_kwargs=True)
    one.trace(answer)
    whole(look(one.model, one._parts, answer.prompt_ids, answer.answer_ids))
    handle.remove()
    assert len(calls) == 2
    assert all(not call["use_cache"] for call in calls)


def test_what_cannot_share_a_cache_is_read_whole(cut):
    one, answer = made()
    cut()
    bare = replace(one._parts, batches=False)
    pauses, _ = count(passes.forward(one.model, bare, answer.prompt_ids, 4))
    assert pauses == 0
    assert count(self_report.self_report(one.model, one.tokenizer, QUESTION, answer.text))[0] == 0
    assert count(causal.why(one.model, bare, one.tokenizer, answer, 1))[0] >= 1  # its rows all the same
