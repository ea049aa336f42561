"""The causal check against the slow way: a whole forward pass for each removal, without a cache, by hooks of its own."""

import pytest
import torch

from models import adapters, engine
from models.errors import NoSuchTokenError
from models.probes import causal
from models.probes.causal import Variant
from models.types import Job, ModelConfig, Sampling
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
