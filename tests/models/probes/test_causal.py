"""The causal check against the slow way: a whole forward pass for each removal, without a cache, by hooks of its own."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models import readings_causal
from models.errors import NoSuchTokenError, UnsupportedArchitectureError
from models.findings import CausalCheck, Removals
from models.network import adapters
from models.probes import causal
from models.probes.causal import Variant
from models.types import Job, Sampling
from tests.models import tiny

IDS = tiny.ids_of("How many eyes does my foot have? None, I th")
NAMES = [*adapters.SUPPORTED, *tiny.VARIANTS]


@torch.no_grad()
def slowly(model, block, ids, instead):
    """The last logits (V,) of a plain pass in which ``instead(before, after)`` is what block ``block`` leaves at the end."""
    came = {}

    def enter(_module, args, kwargs):
        came["in"] = (args[0] if args else kwargs["hidden_states"])[0, -1].clone()

    def leave(_module, _args, out):
        state = (out[0] if isinstance(out, tuple) else out).clone()
        state[0, -1] = instead(came["in"], state[0, -1])
        return (state, *out[1:]) if isinstance(out, tuple) else state

    handles = [block.register_forward_pre_hook(enter, with_kwargs=True), block.register_forward_hook(leave)]
    try:
        return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1]
    finally:
        for handle in handles:
            handle.remove()


def removed(model, parts, variants, **options):
    gone = {}
    rows = causal.removed_logits(model, parts, IDS, variants, gone=lambda v, x: gone.update({v: x.clone()}), **options)
    return torch.cat(list(rows)), gone


@pytest.mark.parametrize("name", NAMES)
def test_a_block_removed_in_the_batch_is_a_block_removed_alone(name):
    model = tiny.named(name)
    parts = adapters.find(model)
    blocks = range(len(parts.blocks))
    variants = [None, *(Variant("block", b, control) for b in blocks for control in (False, True))]
    logits, gone = removed(model, parts, variants, seed=7)
    with torch.no_grad():
        plain = model(input_ids=torch.tensor([IDS]), use_cache=False).logits[0, -1]
    assert (logits[0] - plain).abs().max() < 1e-4
    for variant, row in zip(variants[1:], logits[1:], strict=True):
        taken = gone[variant]
        keeps = (lambda _in, out, x=taken: out - x) if variant.control else (lambda came, _out: came)
        assert (row - slowly(model, parts.blocks[variant.block], IDS, keeps)).abs().max() < 1e-4, variant
        assert torch.isclose(taken.norm(), gone[Variant("block", variant.block, False)].norm(), rtol=1e-4), variant
    assert (logits[1:] - plain).abs().amax(-1).min() > 1e-3  # each of them changes something


@torch.no_grad()
def slowly_apart(model, parts, variant, ids, taken):
    """As `slowly`, for attention or MLP: what attention adds is changed on the way, or what is left beside it at the end."""
    added, scale = {}, parts.residual

    def attended(_module, _args, out):
        state = (out[0] if isinstance(out, tuple) else out).clone()
        if variant.part == "attention":
            state[0, -1] = state[0, -1] - taken / scale if variant.control else 0.0
        added["it"] = state[0, -1] * scale
        return (state, *out[1:]) if isinstance(out, tuple) else state

    def instead(came, left):
        if variant.part == "attention":
            return left
        return left - taken if variant.control else came + added["it"]

    handle = parts.attention[variant.block].register_forward_hook(attended)
    try:
        return slowly(model, parts.blocks[variant.block], ids, instead)
    finally:
        handle.remove()


@pytest.mark.parametrize("name", ["llama", "gemma3_text", "gpt2", "gpt_neox", "qwen3", "granite", "bloom", "phi"])
def test_attention_and_mlp_removed_apart(name):
    model = tiny.named(name)
    parts = adapters.find(model)
    variants = [Variant(p, b, c) for p in ("attention", "mlp") for b in range(len(parts.blocks)) for c in (False, True)]
    logits, gone = removed(model, parts, variants, seed=3)
    for variant, row in zip(variants, logits, strict=True):
        assert (row - slowly_apart(model, parts, variant, IDS, gone[variant])).abs().max() < 1e-4, variant
        assert torch.isclose(gone[variant].norm(), gone[Variant(variant.part, variant.block, False)].norm(), rtol=1e-4), variant


def test_what_comes_of_it(engine):
    answer = engine.answer(Job("How many eyes does my foot have?", sampling=Sampling(max_new_tokens=6)))
    trace = engine.trace(answer)
    check = engine.why(answer, 2, parts=("block", "mlp"), seed=5)
    assert check.logprob == pytest.approx(float(np.log(trace.emitted_prob[2, -1])), abs=1e-4)
    assert check.top_id == trace.top_ids[2, -1, 0]
    assert [r.part for r in check.removals] == ["block", "mlp"]
    again = engine.why(answer, 2, parts=("mlp", "block"), seed=5)
    assert np.allclose(check.of().control_logprob, again.of().control_logprob, atol=1e-5)
    assert not np.allclose(check.of().control_logprob, engine.why(answer, 2, seed=6).of().control_logprob, atol=1e-3)
    assert engine.why(answer, 0).of().logprob.shape == (4,)


def test_in_chunks_and_without_a_cache_it_says_the_same(llama):
    parts = adapters.find(llama)
    variants = [None, *(Variant("block", b, c) for b in range(4) for c in (False, True))]
    whole, _ = removed(llama, parts, variants)
    for options in ({"memory_limit": 1}, {"cached": False}, {"cached": False, "memory_limit": 1 << 20}):
        assert (removed(llama, parts, variants, **options)[0] - whole).abs().max() < 1e-4, options


def test_too_little_memory_means_fewer_rows(llama, monkeypatch):
    parts, forward, seen = adapters.find(llama), llama.forward, []

    def short(*args, **kwargs):
        seen.append(len(kwargs["input_ids"]))
        if seen[-1] > 2:
            raise MemoryError
        return forward(*args, **kwargs)

    variants = [Variant("block", b, False) for b in range(4)]
    whole, _ = removed(llama, parts, variants)
    monkeypatch.setattr(llama, "forward", short)
    monkeypatch.setattr(causal, "last_row_only", lambda _model: {})
    assert (removed(llama, parts, variants)[0] - whole).abs().max() < 1e-4
    assert seen == [4, 2, 2]


def test_hooks_go_after_an_error(llama, monkeypatch):
    parts = adapters.find(llama)
    monkeypatch.setattr(causal._Run, "instead", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        removed(llama, parts, [Variant("mlp", 1, False)])
    for module in llama.modules():
        assert not module._forward_hooks
        assert not module._forward_pre_hooks


def test_what_is_not_there_is_refused(engine):
    answer = engine.answer(Job("Why?", sampling=Sampling(max_new_tokens=3)))
    for t in (-1, 3):
        with pytest.raises(NoSuchTokenError):
            engine.why(answer, t)
    mixed = tiny.named("falcon_h1")
    assert adapters.find(mixed).attention is None
    with pytest.raises(UnsupportedArchitectureError):
        removed(mixed, adapters.find(mixed), [Variant("mlp", 1, False)])


@pytest.mark.real_model
def test_on_the_real_model_with_packed_weights(smollm):
    model, parts = smollm.model, smollm._parts
    answer = smollm.answer(Job("How many eyes does my foot have?"))
    ids = [*answer.prompt_ids, *answer.answer_ids[:4]]
    blocks = (0, 1, 11, 22, 29)
    variants = [None, *(Variant(p, b, False) for p in causal.PARTS for b in blocks)]
    logits = torch.cat(list(causal.removed_logits(model, parts, ids, variants)))
    for variant, row in zip(variants[1:], logits[1:], strict=True):
        if variant.part == "block":
            slow = slowly(model, parts.blocks[variant.block], ids, lambda came, _left: came)
        else:
            slow = slowly_apart(model, parts, variant, ids, None)
        assert (row - slow).abs().max() < 1e-4, variant


def check_of(logprob, tops, control, control_tops):
    n = len(logprob)
    as_floats = [np.asarray(x, dtype=np.float32) for x in (logprob, [0.5] * n, control)]
    removals = Removals("block", as_floats[0], np.asarray(tops), as_floats[1], as_floats[2], np.asarray(control_tops))
    return CausalCheck(3, 7, -0.5, 7, (removals,), {7: " two"}, 0, 0.1)


def test_a_block_is_told_only_where_chance_does_not_do_the_same():
    check = check_of([-1.0, -4.5, -2.0, -0.4], [9, 9, 7, 8], [-3.0, -0.5, -0.6, -0.5], [7, 5, 7, 7])
    assert [(f.block, f.token) for f in readings_causal.flips(check)] == [(1, 9), (4, 8)]  # at 2 the control changes it too
    assert readings_causal.flips(check)[1].drop == pytest.approx(-0.1)
    assert readings_causal.matters(check) == (1, 2, 4)  # 2 falls by 4, no control by more than 2.5
    assert readings_causal.strongest(check) == 2
    calm = check_of([-0.6, -0.5], [7, 7], [-0.7, -0.5], [7, 7])
    assert readings_causal.strongest(calm) is None
    with pytest.raises(ValueError, match="mlp"):
        readings_causal.flips(check, "mlp")


def test_a_figure_that_trembles_with_the_rounding_is_known(engine):
    answer = engine.answer(Job("How many eyes does my foot have?", sampling=Sampling(max_new_tokens=6)))
    for part in ("block", "mlp"):
        removals = engine.why(answer, 2, parts=("block", "mlp")).of(part)
        assert removals.jitter.shape == removals.logprob.shape
        assert 0 < removals.jitter.max() < readings_causal.STEADY  # a tiny random model is calm
        assert all(readings_causal.is_steady(removals, block) for block in range(1, 5))
    shaken = replace(removals, jitter=np.full_like(removals.jitter, 1e-3))
    assert not readings_causal.is_steady(shaken, 1)
    assert readings_causal.is_steady(replace(removals, jitter=None), 1)
