"""Direct logit attribution against a slow reference: hooks on the MLP itself, norms written out, sums in float64."""

import numpy as np
import pytest
import torch
from torch import nn

from models.network import adapters, packing
from models.pieces import whole
from models.probes import attribution as dla
from models.reading import lens
from models.reading.seen import Unseen, look
from models.running.engine import from_model
from models.types import Job, Sampling
from tests.models import tiny
from tests.models.reading.test_lens import norm_of

PROMPT = tiny.ids_of("How many eyes does my foot have?")
ANSWER = [*tiny.ids_of(" None, 👀."), 256]
NAMES = [*adapters.SUPPORTED, *tiny.VARIANTS]
APART = ("falcon_h1", "granitemoehybrid", "lfm2", "opt-350m", "qwen3_5_moe_text", "qwen3_5_text", "qwen3_next")
"""Architectures whose blocks are not attention plus MLP."""

# the module whose output a block adds to the stream as its MLP's; those that put the residual in themselves have no such module
MLPS = {
    "codegen": "mlp",
    "ernie4_5_moe": "mlp",
    "exaone4": "post_feedforward_layernorm",
    "gemma2": "post_feedforward_layernorm",
    "gemma3": "post_feedforward_layernorm",
    "gemma3_text": "post_feedforward_layernorm",
    "glm4": "post_mlp_layernorm",
    "granitemoe": "block_sparse_moe",
    "llama4_text": "feed_forward",
    "olmo2": "post_feedforward_layernorm",
    "olmo3": "post_feedforward_layernorm",
    "bloom": "mlp.dense_4h_to_h",
    "mpt": "ffn.down_proj",
    "opt": "fc2",
    "xglm": "fc2",
}


def family(name):
    return tiny.VARIANTS.get(name, (name,))[0]


@torch.no_grad()
def reference(model, name, answer, against):
    """(T, L, 2), embedding and difference by plain hooks: what norm and MLP got and gave, and the norm's arithmetic by hand."""
    at = slice(len(PROMPT) - 1, len(PROMPT) + len(answer) - 1)
    blocks = adapters.find(model).blocks
    added, entered = {}, {}

    def keep(where, key):
        def hook(_m, args, kwargs, out=None):
            value = (args[0] if args else kwargs["hidden_states"]) if out is None else out[0] if isinstance(out, tuple) else out
            where[key] = value.reshape(-1, value.shape[-1])[at].double()

        return hook

    norm, handles = norm_of(model, name), []
    for b, block in enumerate(blocks):
        mlp = block.get_submodule(MLPS.get(family(name), "mlp"))
        handles.append(mlp.register_forward_hook(keep(added, b), with_kwargs=True))
        handles.append(block.register_forward_pre_hook(keep(entered, b), with_kwargs=True))
    handles.append(norm.register_forward_pre_hook(keep(entered, len(blocks)), with_kwargs=True))
    model(input_ids=torch.tensor([[*PROMPT, *answer]]), use_cache=False)
    for handle in handles:
        handle.remove()

    def normed(x):
        return norm(x.float()).double()

    x = entered[len(blocks)]
    scale = getattr(model.config.get_text_config(), "residual_multiplier", 1.0)
    rows = model.get_output_embeddings().weight.double()
    direction = rows[list(answer)] - rows[against]  # (T, D)
    centred = bool((norm(torch.ones(1, x.shape[-1])) - norm(torch.zeros(1, x.shape[-1]))).abs().max() < 1e-2)
    flat = x - x.mean(-1, keepdim=True) if centred else x
    named = [getattr(norm, n) for n in ("eps", "variance_epsilon", "epsilon", "norm_eps") if hasattr(norm, n)]
    eps = named[0] if named else 1e-5  # OLMo's stands in its code
    length = (flat.square().mean(-1, keepdim=True) + eps).sqrt()
    weight, bias = getattr(norm, "weight", None), getattr(norm, "bias", None)
    weight = torch.ones(x.shape[-1]) if weight is None else weight
    weight = weight.double() + (1.0 if family(name) in ("gemma", "gemma2", "gemma3", "gemma3_text", "nemotron") else 0.0)
    bias = torch.zeros_like(weight) if bias is None else bias.double()

    def part(v):
        v = v - v.mean(-1, keepdim=True) if centred else v
        return (v / length * weight * direction).sum(-1)

    assert torch.allclose(flat / length * weight + bias, normed(x), atol=1e-3)
    mlps = torch.stack([part(added[b] * scale) for b in range(len(blocks))], 1)
    whole = torch.stack([part(entered[b + 1] - entered[b]) for b in range(len(blocks))], 1)
    return torch.stack((whole - mlps, mlps), -1).numpy(), part(entered[0]).numpy()


@pytest.mark.parametrize("name", [name for name in NAMES if name not in APART])
def test_equals_the_reference_and_adds_up(name):
    model = tiny.named(name)
    trace = lens.trace(model, PROMPT, ANSWER, k=3)
    parts = adapters.find(model)
    with torch.inference_mode():
        found = dla.attribution(parts, whole(look(model, parts, PROMPT, ANSWER)), trace)
        logits = model(input_ids=torch.tensor([[*PROMPT, *ANSWER]])).logits[0, len(PROMPT) - 1 : -1]
    assert (found.against != trace.answer_ids).all()
    for t in range(trace.length):  # the likeliest of all others, by the model's own logits
        others = logits[t].clone()
        others[ANSWER[t]] = -torch.inf
        assert logits[t, found.against[t]] == pytest.approx(float(others.max()), abs=1e-5)
    blocks, embedding = reference(model, name, ANSWER, found.against)
    assert np.abs(found.blocks - blocks).max() < 1e-3 * max(1.0, np.abs(blocks).max())
    assert np.abs(found.embedding - embedding).max() < 1e-3
    total = found.embedding + found.blocks.sum((1, 2)) + found.constant
    assert np.abs(total - found.difference).max() < 1e-3
    at = torch.arange(trace.length)
    theirs = (logits[at, torch.tensor(ANSWER)] - logits[at, torch.tensor(found.against)]).numpy()
    raw_emitted, raw_other = (logits_at(model, parts, ids) for ids in (ANSWER, found.against))
    mine = parts.finish(torch.tensor(raw_emitted)) - parts.finish(torch.tensor(raw_other))
    assert np.abs(mine.numpy() - theirs).max() < 1e-4
    assert np.abs(found.difference - (raw_emitted - raw_other)).max() < 1e-3


@torch.no_grad()
def logits_at(model, parts, ids):
    """The head's own logits (T,) of ``ids`` at depth L, before anything is done to them."""
    seen = whole(look(model, parts, PROMPT, ANSWER))
    return parts.head(seen.normed)[torch.arange(len(ANSWER)), torch.tensor(list(ids))].numpy()


@pytest.mark.parametrize("name", APART)
def test_what_does_not_come_apart_is_said(name):
    model = tiny.named(name)
    engine = from_model(model, tiny.tokenizer())
    answer = engine.answer(Job("How many?", sampling=Sampling(max_new_tokens=3)))
    found = engine.findings(answer, engine.trace(answer))
    assert found.attribution is None
    assert found.notes["attribution"].endswith(".")


def test_one_candidate_is_too_few(llama):
    parts = adapters.find(llama)
    with pytest.raises(Unseen, match="two"), torch.inference_mode():
        dla.attribution(parts, whole(look(llama, parts, PROMPT, ANSWER)), lens.trace(llama, PROMPT, ANSWER, k=1))


class Quantized(nn.Module):
    """A head that shows no weights."""

    def __init__(self, linear):
        super().__init__()
        self._hidden = [linear]

    def forward(self, x):
        return self._hidden[0](x)


@pytest.mark.parametrize("bias", [False, True])
def test_rows_of_any_head(bias):
    torch.manual_seed(0)
    head = nn.Linear(32, 300, bias=bias)
    ids = [0, 7, 299]
    like = torch.zeros(1, 32)
    rows, biases = dla.unembedding_rows(head, ids, like)
    assert torch.equal(rows, head.weight.detach()[ids].double())
    for other in (packing.PackedLinear(head, unembeds=True) if packing.available() else head, Quantized(head)):
        with torch.inference_mode():
            theirs, shifts = dla.unembedding_rows(other, ids, like)
        assert torch.allclose(theirs, rows, atol=1e-6)
        assert torch.allclose(shifts, biases, atol=1e-6)


def test_a_packed_model_says_the_same(tokenizer):
    plain, packed = from_model(tiny.model("llama"), tokenizer), from_model(tiny.model("llama"), tokenizer)
    packed.pack()
    answer = plain.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=6)))
    one, two = (e.findings(answer, e.trace(answer)).attribution for e in (plain, packed))
    assert (one.against == two.against).all()
    assert np.abs(one.blocks - two.blocks).max() < 1e-3


@pytest.mark.parametrize("dtype", [torch.bfloat16])
def test_other_dtypes_add_up_to_their_rounding(dtype):
    model = tiny.model("gemma3_text").to(dtype)
    parts = adapters.find(model)
    trace = lens.trace(model, PROMPT, ANSWER, k=3)
    with torch.inference_mode():
        found = dla.attribution(parts, whole(look(model, parts, PROMPT, ANSWER)), trace)
    total = found.embedding + found.blocks.sum((1, 2)) + found.constant
    assert np.abs(total - found.difference).max() < 0.05 * max(1.0, np.abs(found.difference).max())
