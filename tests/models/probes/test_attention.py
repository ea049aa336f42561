"""Attention: the weights against `output_attentions=True`, the words that count, and the manners of the eager pass."""

import threading

import numpy as np
import pytest
import torch

from models.network import adapters
from models.pieces import whole
from models.probes.attention import attention, telling
from models.reading.seen import eager, last_third, look
from models.running.engine import from_model
from models.types import Job, Sampling
from tests.models import tiny

PROMPT = tiny.ids_of("How many eyes does my foot have?")
ANSWER = [*tiny.ids_of(" None"), 256]
NAMES = [name for name in (*adapters.SUPPORTED, *tiny.VARIANTS) if adapters.find(tiny.named(name)).attends is not None]


@torch.no_grad()
def reference(model):
    """(T, P): the mean over the heads of the last two of four blocks, by the library's own way."""
    out = model(input_ids=torch.tensor([[*PROMPT, *ANSWER]]), output_attentions=True, use_cache=False)
    rows = torch.stack(out.attentions[-2:]).double().mean((0, 1, 2))  # (S, S)
    return rows[len(PROMPT) - 1 : -1, : len(PROMPT)].numpy()


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_those_of_an_eager_model(name):
    model = tiny.named(name)
    expected = reference(model)
    if model._supports_sdpa:
        model.set_attn_implementation("sdpa")
    with torch.inference_mode():
        seen = whole(look(model, adapters.find(model), PROMPT, ANSWER))
    assert np.abs(seen.looked.numpy() - expected).max() < 1e-5
    assert list(last_third(4)) == [2, 3]


def test_the_model_is_as_before_and_others_never_notice():
    model = tiny.model("llama")
    model.set_attn_implementation("sdpa")
    kind, seen = type(model.config), []
    with eager(model):
        assert model.config._attn_implementation == "eager"
        other = threading.Thread(target=lambda: seen.append(model.config._attn_implementation))
        other.start()
        other.join()
    assert seen == ["sdpa"]
    assert model.config._attn_implementation == "sdpa"
    with pytest.raises(RuntimeError), eager(model):
        raise RuntimeError
    assert type(model.config) is kind
    assert model.config._attn_implementation == "sdpa"
    with torch.inference_mode():
        whole(look(model, adapters.find(model), PROMPT, ANSWER))
    assert not any(m._forward_hooks or m._forward_pre_hooks for m in model.modules())


@pytest.mark.parametrize("style", ["chat", "story"])
def test_only_the_words_of_the_question_count(style, tokenizer):
    engine = from_model(tiny.model("llama"), tokenizer)
    question = "How  many eyes, my foot?"
    answer = engine.answer(Job(question, style=style, sampling=Sampling(max_new_tokens=4)))
    places = telling(tokenizer, answer.prompt_ids, question)
    asked = "".join(tokenizer.decode([answer.prompt_ids[p]]) for p in places)
    assert asked == "Howmanyeyesmyfoot"
    found = engine.findings(answer, engine.trace(answer), question=question).attention
    assert set(found.positions.ravel().tolist()) <= set(places)
    assert (np.diff(found.weights) <= 0).all()
    assert found.positions.shape == (len(answer.answer_ids), 8)
    assert set(found.words) == set(found.positions.ravel().tolist())


def test_without_the_question_the_frame_is_left_out(tokenizer):
    frame = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nA foot?<|im_end|>\n<|im_start|>assistant\n"
    ids = tokenizer(frame)["input_ids"]
    for question in (None, "another question"):
        assert "".join(tokenizer.decode([ids[p]]) for p in telling(tokenizer, ids, question)) == "BebriefAfoot"
    bare = tokenizer("x and y")["input_ids"]
    assert telling(tokenizer, bare, None) == [2, 3, 4, 6]  # never the first token
    framed = tokenizer("<|im_start|>words alone")["input_ids"]
    assert len(telling(tokenizer, framed, None)) == len("wordsalone")  # a template without lines: better all than none


def test_the_sink_is_the_first_token(llama, tokenizer):
    with torch.inference_mode():
        seen = whole(look(llama, adapters.find(llama), PROMPT, ANSWER))
    found = attention(seen, tokenizer, PROMPT)
    assert np.allclose(found.sink, seen.looked[:, 0])
    assert 0 not in found.positions


@pytest.mark.parametrize("name", ["lfm2", "qwen3_next"])
def test_hybrids_are_said_to_have_none(name, tokenizer):
    engine = from_model(tiny.named(name), tokenizer)
    answer = engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=2)))
    found = engine.findings(answer, engine.trace(answer))
    assert found.attention is None
    assert "attention" in found.notes["attention"]


def test_too_little_memory_is_said(llama, tokenizer, monkeypatch):
    monkeypatch.setattr("models.reading.seen.free_bytes", lambda _device: 1000)
    engine = from_model(llama, tokenizer)
    answer = engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=2)))
    found = engine.findings(answer, engine.trace(answer))
    assert "memory" in found.notes["attention"]
    assert found.attribution is not None
