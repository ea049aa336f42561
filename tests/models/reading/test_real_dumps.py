"""Dumps of the pulled default model, held against transformers as it loads the same weights."""

import json

import numpy as np
import pytest
import torch
import transformers
from safetensors import safe_open

from bot.render.export import load, write
from models.loading import embedded
from models.running import engine
from models.types import Job

pytestmark = pytest.mark.real_model


@pytest.fixture(scope="module")
def answer(smollm):
    return smollm.answer(Job("How many eyes does my foot have?"))


@pytest.fixture(scope="module")
def plain(answer):
    """Of a model that nobody packed: hidden states (L+1, S, D) and attention (L, H, S, S)."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        embedded.locate(), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    ids = torch.tensor([[*answer.prompt_ids, *answer.answer_ids]])
    with torch.no_grad():
        out = model(ids, output_hidden_states=True, output_attentions=True, use_cache=False)
    return torch.stack(out.hidden_states)[:, 0].numpy(), torch.stack(out.attentions)[:, 0].numpy()


def test_the_file_of_hidden_states(smollm, answer, plain, tmp_path):
    whole = range(len(answer.prompt_ids) + len(answer.answer_ids))
    write(
        smollm.dump(answer, "hidden", positions=whole), "safetensors", tmp_path / "x.safetensors", created="2026-11-25T12:00:00Z"
    )
    with safe_open(tmp_path / "x.safetensors", framework="numpy") as file:
        hidden = file.get_tensor("hidden")
        ids = [*json.loads(file.metadata()["prompt_ids"]), *json.loads(file.metadata()["answer_ids"])]
    with torch.no_grad():
        own = smollm.model(torch.tensor([ids]), output_hidden_states=True, use_cache=False).hidden_states
    assert np.abs(hidden - torch.stack(own)[:, 0].numpy()).max() <= 1e-5
    # Packed weights add up in another order: equal to a small part of each state's length.
    expected, _attention = plain
    assert hidden.shape == expected.shape == (31, 52, 576)
    apart = np.linalg.norm(hidden - expected, axis=-1) / np.linalg.norm(expected, axis=-1)
    assert apart.max() <= 1e-5


def test_the_file_of_attention(smollm, answer, plain, tmp_path):
    write(smollm.dump(answer, "attention"), "npz", tmp_path / "x.npz", created="2026-11-25T12:00:00Z")
    dump = load(tmp_path / "x.npz")
    _hidden, expected = plain
    assert dump.arrays["attention"].shape == (30, 9, 15, 52)
    assert np.abs(dump.arrays["attention"] - expected[:, :, dump.positions]).max() <= 1e-5


def test_a_plain_model_is_equal_to_the_bit(answer, plain):
    model = transformers.AutoModelForCausalLM.from_pretrained(
        embedded.locate(), dtype=torch.float32, attn_implementation="eager"
    ).eval()
    made = engine.from_model(model, transformers.AutoTokenizer.from_pretrained(embedded.locate()))
    dump = made.dump(answer, "hidden")
    assert np.array_equal(dump.arrays["hidden"], plain[0][:, dump.positions])
