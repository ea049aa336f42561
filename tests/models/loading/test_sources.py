"""Where a model lies: what people have is read, or answered with what to do; nothing but safetensors and GGUF is opened."""

import json

import pytest
import torch

from models.errors import ModelError, ModelNotFoundError
from models.loading import sources
from models.running import engine
from models.types import Job, ModelConfig, Sampling
from tests.models import ggufs, tiny


@pytest.fixture
def folder(tmp_path):
    tiny.save(tmp_path / "whole")
    return tmp_path / "whole"


def refused(place):
    with pytest.raises(ModelError) as caught:
        engine.load(ModelConfig(id=str(place), device="cpu"))
    assert "(ValueError)" not in caught.value.for_user()
    return caught.value


def test_a_gguf_file_is_known_by_its_first_bytes(tmp_path):
    ggufs.write(tmp_path / "sha256-0123abcd")
    loaded = engine.load(ModelConfig(id=str(tmp_path / "sha256-0123abcd"), device="cpu"))
    assert loaded.answer(Job("Why?", sampling=Sampling(max_new_tokens=3))).answer_ids


def test_a_file_that_is_none(folder):
    error = refused(folder / "model.safetensors")
    assert "no GGUF file" in str(error)
    assert "folder" in error.hint


def test_one_part_of_a_gguf_file(tmp_path):
    ggufs.write(tmp_path / "big-00001-of-00003.gguf")
    error = refused(tmp_path / "big-00001-of-00003.gguf")
    assert "one of 3 parts" in str(error)
    assert "llama-gguf-split --merge" in error.hint
    (tmp_path / "big-00001-of-00003.gguf").rename(tmp_path / "big-00001-of-00001.gguf")
    assert sources.find_source(ModelConfig(id=str(tmp_path / "big-00001-of-00001.gguf"))).gguf


def test_a_folder_with_an_adapter_alone(tmp_path):
    (tmp_path / "adapter_config.json").write_text("{}")
    (tmp_path / "adapter_model.safetensors").write_bytes(b"")
    error = refused(tmp_path)
    assert "adapter" in str(error)
    assert "merge_and_unload" in error.hint


def test_a_folder_without_a_config(tmp_path):
    assert "no config.json" in str(refused(tmp_path))
    ggufs.write(tmp_path / "model.gguf")
    assert str(tmp_path / "model.gguf") in refused(tmp_path).hint


@pytest.mark.parametrize(
    "address",
    [
        "https://huggingface.co/Qwen/Qwen3-0.6B",
        "https://huggingface.co/Qwen/Qwen3-0.6B/tree/main",
        "huggingface.co/Qwen/Qwen3-0.6B?library=transformers",
        "https://hf.co/Qwen/Qwen3-0.6B",
    ],
)
def test_the_address_of_a_page(address):
    with pytest.raises(ModelNotFoundError) as caught:
        sources.find_source(ModelConfig(id=address))
    assert caught.value.hint == "Set `model.id` to Qwen/Qwen3-0.6B."


@pytest.mark.parametrize(("method", "package"), [("gptq", "gptqmodel"), ("awq", "gptqmodel"), ("compressed-tensors",) * 2])
def test_quantized_weights_name_the_package_that_reads_them(folder, method, package):
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_config": {"quant_method": method, "bits": 4}}))
    error = refused(folder)
    assert f"needs the package {package}" in str(error)
    assert f"pip install {package}" in error.hint


SHARDS = ("pytorch_model.bin", "../outside.bin", "../outside.safetensors", "a/b.safetensors", 7, "C:\\x.safetensors")


@pytest.mark.parametrize("shard", SHARDS)
def test_an_index_that_names_something_else_is_refused_unread(folder, shard):
    weights = tiny.model().state_dict()
    (folder / "model.safetensors").unlink()
    for place in (folder / "pytorch_model.bin", folder.parent / "outside.bin"):
        torch.save(weights, place)
    (folder / sources.INDEX).write_text(json.dumps({"metadata": {}, "weight_map": dict.fromkeys(weights, shard)}))
    assert "safetensors" in str(refused(folder))


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"weight_map": []}', '{"weight_map": {"a": []}}', "[" * 100_000])
def test_a_broken_index_is_said(folder, text):
    (folder / "model.safetensors").unlink()
    (folder / sources.INDEX).write_text(text)
    assert "index" in str(refused(folder))


def test_whole_shards_are_read(folder):
    tiny.model().save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    assert len(list(folder.glob("model-*.safetensors"))) > 1
    loaded = engine.load(ModelConfig(id=str(folder), device="cpu"))
    assert loaded.answer(Job("Why?", sampling=Sampling(max_new_tokens=3))).answer_ids
