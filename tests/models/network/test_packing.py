"""Packed linear layers against torch's own, and the memory that the second pass takes."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from models import memory
from models.errors import OutOfMemoryError
from models.network import packing
from models.reading import held, lens
from models.running import engine, reads
from models.types import Job, ModelConfig, Sampling
from tests.models import tiny

pytestmark = pytest.mark.skipif(not packing.available(), reason="this build of torch has no oneDNN")


@pytest.mark.parametrize("shape", [(64, 48), (576, 1536), (192, 20_000), (576, 8192), (200, 8193), (7, 5)])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_equals_a_linear_layer(shape, bias, dtype):
    if not packing.available(dtype):
        pytest.skip(f"oneDNN refuses {dtype} on this CPU")
    linear = nn.Linear(*shape, bias=bias, dtype=dtype)
    for unembeds in (False, True):
        packed = packing.PackedLinear(linear, unembeds=unembeds)
        assert torch.equal(packed.weight, linear.weight)
        for size in ((1,), (2, 3), (70,)):
            x = torch.randn(*size, shape[0], dtype=dtype)
            with torch.inference_mode():
                mine, theirs = packed(x), linear(x)
            assert mine.shape == theirs.shape
            assert mine.dtype == dtype
            torch.testing.assert_close(mine, theirs, atol=2e-2 if dtype is torch.bfloat16 else 1e-5, rtol=1e-2)


def test_a_buffer_is_filled():
    linear = nn.Linear(576, 9000, bias=False)
    packed, out, x = packing.PackedLinear(linear, unembeds=True), torch.empty(5, 9000), torch.randn(5, 576)
    with torch.inference_mode():
        packed.into(x, out)
        assert torch.equal(out, packed(x))


def test_only_plain_layers_of_a_cpu_are_packed():
    model = tiny.model("gpt2")
    layers = sum(type(m) is nn.Linear for m in model.modules())
    assert layers == 1
    assert packing.pack(model) == 1  # GPT-2 has its own kind of layer but for the head
    model = tiny.model()
    model.lm_head.register_forward_hook(lambda *_a: None)
    packing.pack(model)
    assert type(model.lm_head) is nn.Linear
    assert isinstance(model.model.layers[0].mlp.down_proj, packing.PackedLinear)
    assert isinstance(model.model.layers[0].mlp.up_proj, packing.PackedPart)


def test_a_model_of_the_callers_is_left_as_it_is():
    model = tiny.model(vocab_size=9000)
    before = {name: type(module) for name, module in model.named_modules()}
    trace = lens.trace(model, list(range(20)), list(range(70)), k=3)  # enough cells for a packed unembedding
    assert {name: type(module) for name, module in model.named_modules()} == before
    few = [lens.trace(model, list(range(20 + n)), [20 + n], k=3, rows=1) for n in range(-20 + 20, 1)]
    assert abs(few[0].top_probs[0] - lens.trace(model, list(range(20)), [20], k=3).top_probs[0]).max() < 1e-6
    assert trace.length == 70


def test_traces_of_a_packed_model_are_those_of_the_plain_one(tokenizer):
    model = tiny.model()
    made = engine.from_model(model, tokenizer)
    answer = made.answer(Job("How many?", sampling=Sampling(max_new_tokens=6)))
    expected = lens.trace(model, answer.prompt_ids, answer.answer_ids)
    assert packing.pack(model) == 4 * 7 + 1
    mine = lens.trace(model, answer.prompt_ids, answer.answer_ids)
    assert (mine.top_ids == expected.top_ids).all()
    assert abs(mine.top_probs - expected.top_probs).max() < 1e-5


def test_chunks_follow_the_memory(monkeypatch):
    cpu = torch.device("cpu")
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 1 << 40)
    assert memory.chunk_bytes(cpu) == 48 << 20
    assert memory.chunk_bytes(cpu, 5 << 20) == 5 << 20
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 80 << 20)
    assert memory.chunk_bytes(cpu) == 10 << 20
    monkeypatch.setattr(memory, "free_bytes", lambda _device: 0)
    assert memory.chunk_bytes(cpu) == 1 << 20
    monkeypatch.undo()
    assert memory.free_bytes(cpu) > 0


def limited(model, rows):
    """Out of memory whenever the unembedding gets more than ``rows`` states."""

    def check(_module, args):
        if args[0].shape[0] > rows and args[0].ndim == 2:  # the answer pass has three dimensions
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate")

    return model.lm_head.register_forward_pre_hook(check)


def test_a_second_pass_without_memory_goes_on_with_smaller_chunks(tokenizer, monkeypatch):
    monkeypatch.setattr(reads, "chunk_bytes", lambda _device, _limit: 1 << 30)
    monkeypatch.setattr(reads, "_LEAST_CHUNK", 1)
    made = engine.from_model(tiny.model(), tokenizer)
    answer = made.answer(Job("How many?", sampling=Sampling(max_new_tokens=20)))
    expected = made.trace(answer)
    with limited(made.model, 3):
        assert (made.trace(answer).top_ids == expected.top_ids).all()
    with limited(made.model, 0), pytest.raises(OutOfMemoryError):
        made.trace(answer)


def test_the_limit_of_the_config_is_kept(folder):
    made = engine.load(ModelConfig(id=str(folder), device="cpu", memory_limit="8KiB"))
    answer = made.answer(Job("How many?", sampling=Sampling(max_new_tokens=20)))
    assert made.trace(answer).length == len(answer.answer_ids)
    assert ModelConfig(memory_limit="512MiB").memory_limit == 512 << 20


def test_what_is_held_is_bounded(monkeypatch):
    states = (torch.zeros(4, 8), torch.zeros(4, 8))  # 256 bytes
    kept = held.HeldStates()
    monkeypatch.setattr(held, "free_bytes", lambda _device: 600 * held._SHARE)
    for n in range(3):
        kept.put([n], [1], states)
    kept.put([2], [1], states)
    assert kept.get([0], [1]) is None
    assert kept.get([1], [1]) is not None
    assert kept.get((2,), (1,)) is not None
    monkeypatch.setattr(held, "free_bytes", lambda _device: 0)
    kept.put([3], [1], states)
    assert all(kept.get([n], [1]) is None for n in range(4))
    monkeypatch.undo()
    kept.put([3], [1], states)
    kept.clear()
    assert kept.get([3], [1]) is None
