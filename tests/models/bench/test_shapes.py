"""The named shapes against the parameter counts that their models publish."""

import pytest
import torch

from models.bench import shapes
from models.errors import ModelError

PUBLISHED = {
    "gemma2-2b": 2_614_341_888,
    "gemma3-1b": 999_885_952,
    "gpt2": 124_439_808,
    "llama-1b": 1_235_814_400,
    "llama-8b": 8_030_261_248,
    "mistral-7b": 7_248_023_552,
    "phi3-mini": 3_821_079_552,
    "pythia-160m": 162_322_944,
    "qwen2.5-0.5b": 494_032_768,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-8b": 8_190_735_360,
    "smollm2-1.7b": 1_711_376_384,
    "smollm2-135m": 134_515_008,
}


def test_every_shape_has_its_count() -> None:
    assert set(PUBLISHED) == set(shapes.SHAPES)


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_has_as_many_parameters_as_the_model(name: str) -> None:
    assert shapes.parameters(shapes.config_of(shapes.shape(name))).num_parameters() == PUBLISHED[name]


@pytest.mark.parametrize("name", ["gpt2", "gemma3-1b", "llama-8b"])
def test_a_shape_can_be_cut(name: str) -> None:
    assert shapes.config_of(shapes.shape(name), layers=2).num_hidden_layers == 2


def test_gemma_2_caps_its_logits() -> None:
    assert shapes.config_of(shapes.shape("gemma2-2b")).final_logit_softcapping == 30.0


def test_an_unknown_shape_is_named_with_the_known_ones() -> None:
    with pytest.raises(ModelError, match="no shape `llama-9b`") as caught:
        shapes.shape("llama-9b")
    assert "llama-8b" in caught.value.hint


def test_a_random_model_is_the_same_again_and_has_its_dtype_from_the_start() -> None:
    config = shapes.config_of(shapes.Shape("x", "llama", {**_SMALL, "tie_word_embeddings": True}))
    drawn = [shapes.random_model(config, device=torch.device("cpu"), dtype=torch.bfloat16) for _ in range(2)]
    pairs = list(zip(*(model.parameters() for model in drawn), strict=True))
    assert all(a.dtype is torch.bfloat16 and torch.equal(a, b) for a, b in pairs)
    assert not drawn[0].training
    assert torch.get_default_dtype() is torch.float32


_SMALL = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "intermediate_size": 48,
    "vocab_size": 300,
}
