"""Tiny random models and a byte tokenizer, made from configs: nothing is downloaded."""

import torch
import transformers
from tokenizers import Tokenizer, decoders, pre_tokenizers
from tokenizers import models as bpe
from transformers import PreTrainedTokenizerFast

SPECIAL = ("<|end|>", "<|im_start|>", "<|im_end|>")
CHAT = (
    "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe brief.<|im_end|>\n{% endif %}"
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
VOCABULARY = 256 + len(SPECIAL)

SIZE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 1024,
    "bos_token_id": None,
    "eos_token_id": 256,
    "pad_token_id": 256,
}
MIXTURE = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16}
DEEPSEEK = {
    "n_routed_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 16,
    "n_group": 2,
    "topk_group": 1,
    "first_k_dense_replace": 2,
    "num_key_value_heads": 4,
    "kv_lora_rank": 16,
    "q_lora_rank": 16,
    "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8,
    "v_head_dim": 8,
}
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_expand": 2}
GEMMA = {"head_dim": 8, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8, "sliding_window": 16}
GRANITE = {"logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 4.0}
EXPERTS = {"num_local_experts": 4, "num_experts_per_tok": 2}
EXTRA = {
    "cohere": {"logit_scale": 2.0},
    "cohere2": {"logit_scale": 2.0, "sliding_window": 16},
    "codegen": {"rotary_dim": 4},
    "deepseek_v2": DEEPSEEK,
    "deepseek_v3": DEEPSEEK,
    "ernie4_5": {"head_dim": 8},
    "ernie4_5_moe": {"moe_num_experts": 4, "moe_k": 2, "moe_intermediate_size": 16},
    "exaone4": {"head_dim": 8, "sliding_window": 16},
    "falcon_h1": {**MAMBA, "mamba_d_ssm": 64, "lm_head_multiplier": 3.0},
    "gemma": {"head_dim": 8},
    "gemma2": GEMMA,
    "gemma3": GEMMA,
    "gemma3_text": GEMMA,
    "glm": {"head_dim": 8},
    "glm4": {"head_dim": 8},
    "glm4_moe": {**DEEPSEEK, "n_group": 1, "num_key_value_heads": 2, "head_dim": 8},
    "gpt_neo": {"num_layers": 4, "num_heads": 4, "attention_types": [[["global", "local"], 2]], "window_size": 16},
    "gpt_oss": {**EXPERTS, "head_dim": 8, "sliding_window": 16},
    "gptj": {"rotary_dim": 4},
    "granite": GRANITE,
    "granitemoe": {**GRANITE, **EXPERTS},
    "granitemoehybrid": {
        **GRANITE,
        **EXPERTS,
        **MAMBA,
        "shared_intermediate_size": 16,
        "layer_types": ["mamba", "attention"] * 2,
    },
    "helium": {"head_dim": 8},
    "hunyuan_v1_dense": {"head_dim": 8},
    "lfm2": {"layer_types": ["conv", "full_attention"] * 2},
    "llama4_text": {
        **EXPERTS,
        "head_dim": 8,
        "intermediate_size_mlp": 48,
        "interleave_moe_layer_step": 2,
        "attention_chunk_size": 16,
    },
    "mistral": {"sliding_window": 16},
    "mixtral": EXPERTS,
    "mpt": {"d_model": 32, "n_layers": 4, "n_heads": 4, "max_seq_len": 1024},
    "nanochat": {"final_logit_softcapping": 2.0},
    "nemotron": {"head_dim": 8},
    "olmo3": {"sliding_window": 16},
    "olmoe": MIXTURE,
    "opt": {"ffn_dim": 48, "word_embed_proj_dim": 32, "num_key_value_heads": 4},  # it has no fewer than heads
    "phimoe": EXPERTS,
    "qwen2_moe": {**MIXTURE, "shared_expert_intermediate_size": 16},
    "qwen3": {"head_dim": 8},
    "qwen3_5_moe_text": {**MIXTURE, **DELTA, "head_dim": 8, "shared_expert_intermediate_size": 16},
    "qwen3_5_text": {**DELTA, "head_dim": 8},
    "qwen3_moe": {**MIXTURE, "head_dim": 8},
    "qwen3_next": {**MIXTURE, **DELTA, "head_dim": 8, "shared_expert_intermediate_size": 16},
    "seed_oss": {"head_dim": 8},
    "xglm": {"d_model": 32, "ffn_dim": 48, "num_layers": 4, "attention_heads": 4},
}
EYES = {
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "patch_size": 14,
    "image_size": 28,
}
WRAPPERS = {
    "gemma3": {"vision_config": EYES, "mm_tokens_per_image": 4},
}
"""What stands around a language model that also sees pictures."""

VARIANTS = {
    "falcon-new": ("falcon", {"new_decoder_architecture": True, "num_kv_heads": 2}),
    "falcon-alibi": ("falcon", {"alibi": True, "parallel_attn": False, "multi_query": False}),
    "opt-350m": ("opt", {"word_embed_proj_dim": 16, "do_layer_norm_before": False}),
    "qwen2-window": ("qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 2}),
}
"""Shapes of a family that differ where the lens or a batch could notice: name to model type and changes."""


def tokenizer(chat: bool = True) -> PreTrainedTokenizerFast:
    """One token a byte, GPT-2's way, and three control tokens."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    core = Tokenizer(bpe.BPE(vocab={c: i for i, c in enumerate(alphabet)}, merges=[]))
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.add_special_tokens(list(SPECIAL))
    made = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|end|>")
    if chat:
        made.chat_template = CHAT
    return made


def config(model_type: str = "llama", **changes):
    text = SIZE | EXTRA.get(model_type, {}) | changes
    around = WRAPPERS.get(model_type)
    made = transformers.AutoConfig.for_model(model_type, **({**around, "text_config": text} if around else text))
    made._attn_implementation = "eager"
    return made


def model(model_type: str = "llama", seed: int = 0, **changes):
    """A model with random weights of a size at which norms, scales and caps all matter."""
    torch.manual_seed(seed)
    made = transformers.AutoModelForCausalLM.from_config(config(model_type, **changes)).float()
    with torch.no_grad():
        for name, weights in made.named_parameters():
            torch.nn.init.normal_(weights, mean=1.0 if "norm" in name and weights.ndim == 1 else 0.0, std=0.3)
    return made.eval()


def named(name: str):
    """The model of a `model_type`, or of a variant."""
    model_type, changes = VARIANTS.get(name, (name, {}))
    return model(model_type, **changes)


def ids_of(text: str) -> list[int]:
    return tokenizer()(text)["input_ids"]


def save(folder) -> None:
    """A whole model in ``folder``, as transformers writes it."""
    model().save_pretrained(folder)
    tokenizer().save_pretrained(folder)
