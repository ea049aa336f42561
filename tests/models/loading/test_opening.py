"""What can be named in the config, and the words for everything that cannot be loaded."""

import importlib.util

import huggingface_hub.constants
import numpy as np
import pytest
import torch

from models.errors import ModelError, ModelNotFoundError, ModelNotPulledError
from models.loading import embedded, opening
from models.network import packing
from models.reading import lens
from models.running import engine
from models.types import Job, ModelConfig, Sampling
from tests.models import ggufs, tiny


def test_local_folder(folder):
    stages = []
    loaded = engine.load(ModelConfig(id=str(folder), device="cpu"), on_stage=stages.append)
    assert stages == ["loading the tokenizer", "loading the weights"]
    assert loaded.info.name == "tiny-model"
    assert loaded.info.dtype == "float32"
    assert not loaded.model.training
    answer = loaded.answer(Job("How many?", sampling=Sampling(max_new_tokens=4)))
    assert loaded.trace(answer).length == len(answer.answer_ids)


def test_packing_changes_no_weight(folder):
    loaded = engine.load(ModelConfig(id=str(folder), device="cpu")).model
    plain = opening.AutoModelForCausalLM.from_pretrained(folder)
    assert isinstance(loaded.lm_head, packing.PackedLinear) == packing.available()
    for name, module in plain.named_modules():
        if isinstance(module, torch.nn.Linear):
            assert torch.equal(loaded.get_submodule(name).weight, module.weight), name
    ids = torch.tensor([[1, 2, 3, 4]])
    with torch.inference_mode():
        torch.testing.assert_close(loaded(ids).logits, plain.eval()(ids).logits)


def test_dtype_and_device_map(folder):
    config = ModelConfig(id=str(folder), device="cpu", dtype="bfloat16", device_map={"": "cpu"}, max_memory={"cpu": "1GiB"})
    loaded = engine.load(config)
    assert loaded.info.dtype == "bfloat16"
    assert loaded.info.device == "cpu"


def test_spread_by_accelerate_and_partly_offloaded(folder, tmp_path):
    """Weights that accelerate brings in only for a module's call: norm and head must be called, never read."""
    import accelerate

    loaded = opening.open_model(ModelConfig(id=str(folder), device="cpu"), lambda _stage: None)
    whole = engine.from_model(loaded.model, loaded.tokenizer)
    answer = whole.answer(Job("How many?", sampling=Sampling(max_new_tokens=4)))
    expected = whole.trace(answer)
    whole.forget()
    accelerate.cpu_offload(whole.model, execution_device=torch.device("cpu"))
    assert whole.model.lm_head.weight.device.type == "meta"
    assert (whole.trace(answer).top_ids == expected.top_ids).all()
    assert whole.answer(Job("How many?", sampling=Sampling(max_new_tokens=4))).answer_ids == answer.answer_ids


def test_a_gguf_file_keeps_its_inner_voice(tmp_path):
    """Read from 8-bit blocks, dequantized: the weights within the rounding of the blocks, and a trace that checks itself."""
    whole = ggufs.write(tmp_path / "tiny.gguf")
    loaded = engine.load(ModelConfig(id=str(tmp_path / "tiny.gguf"), device="cpu"))
    assert loaded.info.inner_voice is None
    assert loaded.info.name == "tiny"
    for name, theirs in whole.state_dict().items():
        module, _, kind = name.rpartition(".")
        mine = getattr(loaded.model.get_submodule(module), kind)
        assert (mine - theirs).abs().max() <= theirs.abs().max() / 127, name
    answer = loaded.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=6)))
    trace = loaded.trace(answer)
    assert trace.length == len(answer.answer_ids)
    assert trace.meta["argmax_agreement"] == 1.0


@pytest.mark.filterwarnings("ignore")  # torchao looks for the kernels of GPUs when it is imported
def test_quantized_weights_keep_their_inner_voice(tokenizer):
    """Blocks of int8 tensors under a class of their own: norm, blocks and head must be called, never read."""
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    model = tiny.model()
    answer = engine.from_model(model, tokenizer).answer(Job("How many?", sampling=Sampling(max_new_tokens=6)))
    before = lens.trace(model, answer.prompt_ids, answer.answer_ids)
    quantize_(model, Int8WeightOnlyConfig())
    assert type(model.lm_head.weight.data) is not torch.Tensor
    quantized = engine.from_model(model, tokenizer)
    answer = quantized.answer(Job("How many?", sampling=Sampling(max_new_tokens=6)))
    trace = quantized.trace(answer)
    assert trace.meta["argmax_agreement"] == 1.0
    again = lens.trace(model, before.prompt_ids, before.answer_ids)
    off = np.abs(again.emitted_prob - before.emitted_prob).max()
    assert 0 < off < 0.2  # other weights, but nearly


def test_default_needs_a_pull(tmp_path):
    with pytest.raises(ModelNotPulledError, match="not on this machine"):
        engine.load(ModelConfig(cache_dir=str(tmp_path)))


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "no.gguf", "a/b/c"])
def test_paths_that_are_not_there(name):
    with pytest.raises(ModelNotFoundError, match="no file or folder"):
        engine.load(ModelConfig(id=name))


def test_hub_out_of_reach(monkeypatch):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(ModelNotFoundError, match=r"does not answer|cannot be loaded") as caught:
        engine.load(ModelConfig(id="nobody/has-this-model"))
    assert "model.id" in caught.value.hint


def test_missing_device(folder, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    for device in ("cuda", "cuda:1", "mps"):
        with pytest.raises(ModelError, match="no device"):
            engine.load(ModelConfig(id=str(folder), device=device))
    assert opening.choose_device("auto").type == "cpu"


def test_auto_dtype(monkeypatch):
    assert opening.choose_dtype("auto", torch.device("cpu")) == torch.float32
    assert opening.choose_dtype("auto", torch.device("mps")) == torch.float16
    assert opening.choose_dtype("auto", torch.device("mps"), "gemma3_text") == torch.bfloat16
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_options: True)
    assert opening.choose_dtype("auto", torch.device("cuda")) == torch.bfloat16
    assert opening.choose_dtype("float16", torch.device("cuda")) == torch.float16


def test_a_model_that_overflows_in_float16_is_loaded_in_float32(folder, tmp_path, monkeypatch, caplog):
    """On a card that has no bfloat16."""
    chosen = opening.choose_dtype

    def on_such_a_card(wanted, device, model_type=""):
        return torch.float16 if wanted == "auto" else chosen(wanted, device, model_type)

    monkeypatch.setattr(opening, "choose_dtype", on_such_a_card)
    assert opening.open_model(ModelConfig(id=str(folder), device="cpu"), lambda _: None).model.dtype == torch.float16
    large = tiny.model("llama")
    with torch.no_grad():
        large.model.embed_tokens.weight *= 3e5
    large.save_pretrained(tmp_path / "large")
    tiny.tokenizer().save_pretrained(tmp_path / "large")
    loaded = opening.open_model(ModelConfig(id=str(tmp_path / "large"), device="cpu"), lambda _: None)
    assert loaded.model.dtype == torch.float32
    assert "overflows in float16" in caplog.text


def test_quantization_without_its_extra(folder, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="bitsandbytes") as caught:
        engine.load(ModelConfig(id=str(folder), device="cpu", quantization="bnb-int4"))
    assert "forward-pass[quant]" in caught.value.hint


def test_folder_without_a_model(tmp_path):
    with pytest.raises(ModelNotFoundError):
        engine.load(ModelConfig(id=str(tmp_path)))


def test_broken_weights(folder):
    (folder / "model.safetensors").write_bytes(b"nothing of the kind")
    with pytest.raises(ModelError, match="cannot be loaded"):
        engine.load(ModelConfig(id=str(folder), device="cpu"))


def test_other_formats_are_not_read(folder):
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")
    with pytest.raises(ModelNotFoundError, match="no safetensors"):
        engine.load(ModelConfig(id=str(folder), device="cpu"))


def test_an_encoder_is_refused(tmp_path):
    import transformers

    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16, "vocab_size": 260}
    transformers.BertForMaskedLM(transformers.BertConfig(**sizes)).save_pretrained(tmp_path)
    tiny.tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ModelError, match="not a causal language model"):
        engine.load(ModelConfig(id=str(tmp_path), device="cpu"))


def test_missing_weights_are_not_made_up(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["model.norm.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match="lacks weights"):
        engine.load(ModelConfig(id=str(folder), device="cpu"))


class GatedRepoError(OSError):
    pass


class RepositoryNotFoundError(OSError):
    pass


class RevisionNotFoundError(OSError):
    pass


@pytest.mark.parametrize(
    ("cause", "words"),
    [
        (GatedRepoError(), "is gated"),
        (RepositoryNotFoundError(), "hub has no model"),
        (RevisionNotFoundError(), "no revision `v9`"),
        (ConnectionError(), "does not answer"),
        (ValueError("Please pass the argument `trust_remote_code=True`"), "never run"),
        (ValueError("The checkpoint has model type `x` but Transformers does not recognize this architecture"), "does not know"),
        (ValueError("Unrecognized configuration class <X> for this kind of AutoModel"), "not a causal"),
    ],
)
def test_words_for_what_transformers_raises(monkeypatch, cause, words):
    def fail(*_args, **_options):
        raise OSError("it did not work") from cause

    monkeypatch.setattr(opening.AutoTokenizer, "from_pretrained", fail)
    with pytest.raises(ModelError, match=words):
        engine.load(ModelConfig(id="someone/something", revision="v9", device="cpu"))


def test_gguf_is_dequantized_with_any_transformers(monkeypatch):
    import transformers

    class Config:
        def __init__(self, dequantize):
            self.dequantize = dequantize

    monkeypatch.setattr(transformers, "GgufConfig", Config, raising=False)
    assert embedded.dequantized()["quantization_config"].dequantize
    monkeypatch.setattr(transformers, "GgufConfig", None)
    assert embedded.dequantized() == {}
