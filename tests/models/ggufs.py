"""A tiny Llama written as a GGUF file, quantized to 8 bits a weight, as llama.cpp writes them."""

import gguf
from tokenizers import pre_tokenizers

from tests.models import tiny

MERGES = ("f o", "e y")  # two: transformers 5.17 takes a list of one for a string
SHAPE = {"vocab_size": tiny.VOCABULARY + len(MERGES), "intermediate_size": 64}
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
    "self_attn.q_proj.weight": "attn_q.weight",
    "self_attn.k_proj.weight": "attn_k.weight",
    "self_attn.v_proj.weight": "attn_v.weight",
    "self_attn.o_proj.weight": "attn_output.weight",
    "mlp.gate_proj.weight": "ffn_gate.weight",
    "mlp.up_proj.weight": "ffn_up.weight",
    "mlp.down_proj.weight": "ffn_down.weight",
    "input_layernorm.weight": "attn_norm.weight",
    "post_attention_layernorm.weight": "ffn_norm.weight",
}


def write(path):
    """Write the file, and return the model that its weights were taken from."""
    model = tiny.model("llama", tie_word_embeddings=False, **SHAPE)
    config = model.config
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(config.rope_parameters["rope_theta"])
    writer.add_vocab_size(config.vocab_size)
    _tokenizer(writer)
    for name, weight in model.state_dict().items():
        _tensor(writer, name, weight.numpy(), config)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return model


def _tokenizer(writer):
    tokens = [*sorted(pre_tokenizers.ByteLevel.alphabet()), *tiny.SPECIAL, *(merge.replace(" ", "") for merge in MERGES)]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([3 if token in tiny.SPECIAL else 1 for token in tokens])
    writer.add_token_merges(list(MERGES))
    writer.add_bos_token_id(256)  # as llama.cpp writes it; transformers 5.17 asks for it
    writer.add_eos_token_id(256)


def _tensor(writer, name, weight, config):
    if name.startswith("model.layers."):
        _, _, block, rest = name.split(".", 3)
        known = f"blk.{block}.{NAMES[rest]}"
    else:
        known = NAMES[name]
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(known.split(".")[-2])
    if heads:  # llama.cpp turns neighbouring pairs, transformers the two halves of a head
        weight = weight.reshape(heads, 2, -1, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)
    if weight.ndim == 1:
        writer.add_tensor(known, weight)
    else:
        kind = gguf.GGMLQuantizationType.Q8_0
        writer.add_tensor(known, gguf.quants.quantize(weight, kind), raw_dtype=kind)
