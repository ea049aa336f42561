"""The lean decode step against the model's own forward pass."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from models.answering import lean
from models.answering.kv import GrowingCache
from models.network import adapters, packing
from models.running import engine
from models.types import Job, Sampling
from tests.models import tiny

pytestmark = pytest.mark.skipif(not packing.available(), reason="this build of torch has no oneDNN")

FAMILIES = ("llama", "mistral", "qwen2", "qwen3")


def packed(model_type, **changes):
    if model_type == "mistral":
        changes.setdefault("sliding_window", None)
    plain, model = tiny.model(model_type, **changes), tiny.model(model_type, **changes)
    packing.pack(model)
    return plain, model, adapters.find(model)


@pytest.mark.parametrize("model_type", FAMILIES)
@pytest.mark.parametrize("lengths", [(9,), (9, 9), (9, 4, 1)])
@torch.inference_mode()
def test_equals_the_forward_pass(model_type, lengths):
    plain, model, parts = packed(model_type)
    step = lean.build(model, parts)
    assert step is not None
    torch.manual_seed(1)
    ids = torch.randint(0, 256, (len(lengths), 9))
    own = torch.tensor(lengths)[:, None]
    mask = torch.arange(9) >= 9 - own
    positions = (torch.arange(9) - (9 - own)).clamp_min(0)
    whole = plain(input_ids=ids, attention_mask=mask.long(), position_ids=positions, output_hidden_states=True)
    cache = GrowingCache()
    first = {"attention_mask": mask[:, :-3].long(), "position_ids": positions[:, :-3]}
    model(input_ids=ids[:, :-3], past_key_values=cache, use_cache=True, **first)
    for at in (6, 7, 8):
        logits, states = step(
            ids[:, at : at + 1], positions[:, at : at + 1], cache, mask[:, : at + 1] if len(set(lengths)) > 1 else None
        )
    torch.testing.assert_close(logits, whole.logits[:, -1], atol=1e-4, rtol=1e-4)
    for mine, theirs in zip(states, whole.hidden_states, strict=True):
        torch.testing.assert_close(mine, theirs[:, -1], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("model_type", FAMILIES)
def test_answers_are_those_of_the_model(model_type, tokenizer):
    plain, model, _parts = packed(model_type)
    slow, quick = engine.from_model(plain, tokenizer), engine.from_model(model, tokenizer)
    quick._lean = lean.build(model, adapters.find(model))
    for options in ({}, {"temperature": 1.0, "seed": 3}):
        job = Job("How many eyes?", sampling=Sampling(max_new_tokens=30, **options))
        mine, theirs = quick.answer(job), slow.answer(job)
        assert mine.answer_ids == theirs.answer_ids
        assert np.abs(quick.trace(mine).top_probs - slow.trace(theirs).top_probs).max() < 1e-4


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [("mistral", {"sliding_window": 8}), ("gemma2", {}), ("olmo2", {}), ("llama", {"hidden_act": "gelu"})],
)
def test_other_shapes_are_left_to_the_model(model_type, changes):
    _plain, model, parts = packed(model_type, **changes)
    assert lean.build(model, parts) is None


def test_unpacked_weights_are_left_to_the_model(llama):
    assert lean.build(llama, adapters.find(llama)) is None
    assert lean.build(llama, None) is None


def test_numbers_that_are_not_the_models_own_are_refused(caplog):
    _plain, model, parts = packed("llama")
    wrong = model.model.layers[2].input_layernorm
    wrong.variance_epsilon = 1.0  # as if a family had another norm
    plain_forward = type(wrong).forward

    def forward(self, x):
        self.variance_epsilon, kept = 1e-6, self.variance_epsilon
        try:
            return plain_forward(self, x)
        finally:
            self.variance_epsilon = kept

    wrong.forward = forward.__get__(wrong)
    assert lean.build(model, parts) is None
    assert "is not used" in caplog.text


def test_half_precision(tokenizer):
    """Where the CPU cannot pack bfloat16 the model keeps its own layers, and answers all the same."""
    model, able = tiny.model().bfloat16(), packing.available(torch.bfloat16)
    assert bool(packing.pack(model)) == able
    parts = adapters.find(model)
    made = engine.from_model(model, tokenizer)
    made._lean = lean.build(model, parts)
    assert (made._lean is not None) == able
    answer = made.answer(Job("How many?", sampling=Sampling(max_new_tokens=8)))
    trace = made.trace(answer)
    assert trace.meta["states"] == "captured"
    assert trace.meta["argmax_agreement"] == 1.0
