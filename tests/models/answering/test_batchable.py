"""Which families may answer several questions in one forward pass: two left-padded prompts against each of them alone."""

import inspect

import pytest
import torch
from transformers import DynamicCache
from transformers.cache_utils import LinearAttentionCacheLayerMixin

from models.network import adapters
from tests.models import tiny

PROMPTS = (tiny.ids_of("How many eyes does my foot have?"), tiny.ids_of("Why is it so?"))
ANSWERS = (tiny.ids_of("Two"), tiny.ids_of("Ask"))
PADDING = 256
NAMES = [*adapters.SUPPORTED, *tiny.VARIANTS]


def alone(model, prompt, answer):
    """The logits (1+A, V) after the prompt and after each token of the answer."""
    cache = DynamicCache(config=model.config)
    rows = [model(input_ids=torch.tensor([prompt]), past_key_values=cache, use_cache=True).logits[0, -1]]
    rows += [model(input_ids=torch.tensor([[i]]), past_key_values=cache, use_cache=True).logits[0, -1] for i in answer]
    return torch.stack(rows)


def together(model):
    """The same of all prompts at once: (B, 1+A, V)."""
    width = max(map(len, PROMPTS))
    ids = torch.tensor([[PADDING] * (width - len(prompt)) + prompt for prompt in PROMPTS])  # (B, P)
    mask = torch.tensor([[0] * (width - len(prompt)) + [1] * len(prompt) for prompt in PROMPTS])  # (B, P)
    cache, rows = DynamicCache(config=model.config), []
    for step in [None, *zip(*ANSWERS, strict=True)]:
        if step is not None:
            ids, mask = torch.tensor(step)[:, None], torch.cat((mask, torch.ones(len(PROMPTS), 1, dtype=mask.dtype)), dim=1)
        positions = {"position_ids": (mask.cumsum(-1) - 1).clamp_min(0)[:, -ids.shape[1] :]}
        positions = positions if "position_ids" in inspect.signature(model.forward).parameters else {}
        out = model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True, **positions)
        rows.append(out.logits[:, -1])
    return torch.stack(rows, dim=1)


@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_a_batch_gives_what_each_prompt_gives_alone(name):
    model = tiny.named(name)
    if not adapters.find(model).batches:
        pytest.skip("marked as one that does not batch")
    expected = torch.stack([alone(model, *pair) for pair in zip(PROMPTS, ANSWERS, strict=True)])
    assert (together(model) - expected).abs().max() < 1e-4


@pytest.mark.parametrize("name", NAMES)
def test_just_those_with_more_than_keys_and_values_are_marked(name):
    """What a batch must be able to pad, cut and join is keys and values, (B, H, S, D) each, sliding or not."""
    model = tiny.named(name)
    running = any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in DynamicCache(config=model.config).layers)
    assert adapters.find(model).batches is not running
