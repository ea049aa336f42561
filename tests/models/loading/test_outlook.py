"""What is told of a model before it is loaded, held against the model once it is."""

import builtins
import dataclasses
import json

import huggingface_hub
import pytest
import torch
from transformers import DynamicCache

from models.errors import ModelError, ModelNotFoundError, ModelNotPulledError
from models.loading import outlook, placing
from models.network import adapters
from models.running import engine
from models.types import ModelConfig
from tests.models import ggufs, tiny


def config_alone(folder, model_type, **changes):
    """A folder with a config and a tokenizer, and no weights."""
    config = tiny.config(model_type, **changes)
    config.architectures = config.pad_token_id = None
    config.save_pretrained(folder)
    tiny.tokenizer().save_pretrained(folder)
    return ModelConfig(id=str(folder), device="cpu")


def test_it_says_what_the_loaded_model_says(folder):
    config = ModelConfig(id=str(folder), device="cpu")
    found, info = outlook.look(config), engine.load(config).info
    for name in ("id", "name", "revision", "architecture", "layers", "vocabulary", "context", "parameters"):
        assert getattr(found, name) == getattr(info, name), name
    assert (found.dtype, found.quantization, found.styles) == (info.dtype, info.quantization, info.styles)
    assert (found.chat, found.inner_voice, found.notes) == (None, info.inner_voice, ())
    assert found.download == (folder / "model.safetensors").stat().st_size
    assert found.placement is not None
    assert (found.placement.fits, found.placement.words) == (True, "all on cpu")
    assert found.placement.places[0].blocks == ((0, 3),)
    json.dumps(dataclasses.asdict(found))


@pytest.mark.parametrize("model_type", adapters.SUPPORTED)
def test_sizes_are_those_of_the_real_thing(tmp_path, model_type):
    """Bytes of the weights, of the keys and values, and whether there is an inner voice, for each architecture."""
    config, model = config_alone(tmp_path, model_type), tiny.model(model_type)
    found = outlook.look(config)
    assert found.inner_voice is None
    assert found.architecture == type(model).__name__
    assert found.parameters == model.num_parameters()
    counted = found.weights["float32"] - 4 * found.parameters
    assert 0 <= counted <= sum(b.numel() * 8 for b in model.buffers()) + 4096
    assert found.weights["float32"] > found.weights["bfloat16"] >= found.weights["int8"] >= found.weights["int4"]
    cache = DynamicCache(config=model.config)
    with torch.inference_mode():
        model(input_ids=torch.full((1, 1000), 65), past_key_values=cache, use_cache=True)
    held = [getattr(layer, name, None) for layer in cache.layers for name in ("keys", "values")]
    size = getattr(torch, found.dtype).itemsize  # a config may name a smaller type than the tiny model has
    assert found.cache == size * sum(t.numel() for t in held if t is not None)


def test_no_weights_are_read(folder, monkeypatch):
    (folder / "model.safetensors").write_bytes(b"not to be opened")
    opened, plain = [], builtins.open
    monkeypatch.setattr(builtins, "open", lambda file, *a, **k: (opened.append(str(file)), plain(file, *a, **k))[1])
    assert outlook.look(ModelConfig(id=str(folder), device="cpu")).parameters
    assert not [name for name in opened if name.endswith(".safetensors")]


def test_a_gguf_file(tmp_path):
    whole = ggufs.write(tmp_path / "tiny.gguf")
    found = outlook.look(ModelConfig(id=str(tmp_path / "tiny.gguf"), device="cpu"))
    assert (found.source, found.name, found.inner_voice) == ("GGUF file", "tiny", None)
    assert found.parameters == whole.num_parameters()
    assert found.download == (tmp_path / "tiny.gguf").stat().st_size
    assert found.context == 1024


def test_without_an_inner_voice_without_a_template_without_weights(tmp_path):
    config = config_alone(tmp_path, "openai-gpt")
    tiny.tokenizer(chat=False).save_pretrained(tmp_path)
    (tmp_path / "chat_template.jinja").unlink()
    found = outlook.look(config)
    assert "openai-gpt" in found.inner_voice
    assert "no chat template" in found.chat
    assert found.styles == ("story",)
    assert not found.batches
    assert any("safetensors" in note for note in found.notes)


def test_an_architecture_that_cannot_be_laid_out(folder, monkeypatch):
    def fail(*_args, **_options):
        raise NotImplementedError("numbers, please")

    monkeypatch.setattr(outlook.AutoModelForCausalLM, "from_config", fail)
    found = outlook.look(ModelConfig(id=str(folder), device="cpu"))
    assert (found.parameters, found.configured, found.placement, found.weights) == (None, None, None, {})
    assert found.layers == 4
    assert found.cache == 2 * 4 * 2 * 8 * 1000 * 4  # from the config: keys and values, layers, heads, head size, tokens, bytes
    assert "NotImplementedError" in found.notes[0]


def test_quantized_linear_layers_alone_become_small(tmp_path):
    found = outlook.look(config_alone(tmp_path, "llama"))
    linear = 4 * (2 * 32 * 32 + 2 * 32 * 16 + 3 * 32 * 48)
    assert found.weights["bfloat16"] - found.weights["int8"] == linear
    assert found.weights["bfloat16"] - found.weights["int4"] == linear * 1.4375
    mixture = tmp_path / "mixture"
    found = outlook.look(config_alone(mixture, "mixtral", intermediate_size=512))
    assert "leave most of these weights" in found.notes[1]


def blocks(found):
    return {place.device: place.blocks for place in found.placement.places}


@pytest.fixture
def gpus(monkeypatch):
    """Two small GPUs of 8 MB each, as transformers and torch would tell them."""
    free = {0: 8_000_000, 1: 8_000_000, "cpu": 50_000_000}
    monkeypatch.setattr(placing.inside, "get_max_memory", lambda limits=None: {**free, **(limits or {})})
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_options: True)
    monkeypatch.setattr(outlook, "chunk_bytes", lambda _device, _limit: 100_000)
    return free


WIDE = {"hidden_size": 128, "intermediate_size": 2048, "num_hidden_layers": 12, "num_key_value_heads": 1}


def test_over_several_devices(tmp_path, gpus):
    config = config_alone(tmp_path, "llama", **WIDE).model_copy(update={"device": "auto"})
    one = outlook.look(config.model_copy(update={"device": "cuda:1"}))
    assert not one.placement.fits
    assert one.placement.words.startswith("does not fit: needs 22 MB on cuda:1, 8 MB free")
    spread = outlook.look(config.model_copy(update={"device_map": "sequential"}))
    held = blocks(spread)
    assert held == {"cuda:0": ((0, 2),), "cuda:1": ((3, 6),), "cpu": ((7, 11),)}
    assert spread.placement.fits
    assert spread.placement.words == "cuda:0: blocks 0–2, cuda:1: blocks 3–6, cpu: blocks 7–11"
    assert sum(place.weights for place in spread.placement.places) == pytest.approx(spread.configured, rel=0.01)
    gpus["cpu"] = 1_000_000
    full = outlook.look(config.model_copy(update={"device_map": "sequential"}))
    assert not full.placement.fits
    assert "on the disk" in full.placement.words


def test_a_map_by_hand(tmp_path, gpus):
    config = config_alone(tmp_path, "llama")
    mapped = {"model.embed_tokens": 0, "model.layers": 0, "model.layers.3": "cpu", "model.norm": "cpu", "lm_head": "cpu"}
    mapped["model.rotary_emb"] = 0
    found = outlook.look(config.model_copy(update={"device_map": mapped}))
    assert blocks(found) == {"cuda:0": ((0, 2),), "cpu": ((3, 3),)}
    assert found.placement.words == "cuda:0: blocks 0–2, cpu: block 3"


def test_the_placement_is_the_one_that_loading_follows(folder):
    limits = {"cpu": "1GiB"}
    config = ModelConfig(id=str(folder), device="cpu", device_map="auto", max_memory=limits)
    found = outlook.look(config)
    assert found.placement.words == "all on cpu"
    assert engine.load(config).info.device == "cpu"


def test_a_device_that_is_not_here(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    found = outlook.look(ModelConfig(id=str(folder), device="cuda:3"))
    assert "no device `cuda:3`" in found.notes[0]
    assert found.placement.words == "all on cpu"
    mapped = outlook.look(ModelConfig(id=str(folder), device="cpu", device_map={"": 0}))
    assert (mapped.placement.fits, mapped.placement.words) == (False, "does not fit: this machine has no device cuda:0")


class _Hub:
    """A hub that knows the files of one repository."""

    def model_info(self, _place, *, revision, files_metadata):
        from types import SimpleNamespace

        assert files_metadata
        assert revision is None
        names = {"model-1.safetensors": 600, "model-2.safetensors": 400, "pytorch_model.bin": 999, "original/x.safetensors": 5}
        return SimpleNamespace(siblings=[SimpleNamespace(rfilename=name, size=size) for name, size in names.items()])


def test_the_files_on_the_hub_are_counted(monkeypatch):
    monkeypatch.setattr(huggingface_hub, "HfApi", _Hub)
    source = outlook.Source("someone/something", "something", on_hub=True)
    notes = []
    assert outlook._weight_bytes(source, notes) == 1000
    assert notes == []


def test_what_cannot_be_looked_at(tmp_path, monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match=r"does not answer|cannot be loaded"):
        outlook.look(ModelConfig(id="nobody/has-this-model"))
    with pytest.raises(ModelNotPulledError):
        outlook.look(ModelConfig(cache_dir=str(tmp_path)))
    with pytest.raises(ModelNotFoundError, match="no file or folder"):
        outlook.look(ModelConfig(id="./nothing"))
    strange = tmp_path / "strange"
    strange.mkdir()
    written = {"model_type": "strange", "auto_map": {"AutoConfig": "c.C", "AutoModelForCausalLM": "m.M"}}
    (strange / "config.json").write_text(json.dumps(written), encoding="utf-8")
    with pytest.raises(ModelError, match="never run"):
        outlook.look(ModelConfig(id=str(strange)))
    for model_type in ("t5", "clip"):
        (strange / "config.json").write_text(json.dumps({"model_type": model_type}), encoding="utf-8")
        with pytest.raises(ModelError, match="not a causal language model"):
            outlook.look(ModelConfig(id=str(strange)))
