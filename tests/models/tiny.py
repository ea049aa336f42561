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
EXTRA = {
    "cohere": {"logit_scale": 2.0},
    "cohere2": {"logit_scale": 2.0},
    "gemma": {"head_dim": 8},
    "gemma2": {"head_dim": 8, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8},
    "gemma3_text": {"head_dim": 8, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8},
    "granite": {"logits_scaling": 3.0, "residual_multiplier": 0.5, "embedding_multiplier": 4.0},
    "mixtral": {"num_local_experts": 4, "num_experts_per_tok": 2},
    "qwen3": {"head_dim": 8},
    "qwen3_moe": {"head_dim": 8, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16},
}


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
    made = transformers.AutoConfig.for_model(model_type, **(SIZE | EXTRA.get(model_type, {}) | changes))
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


def ids_of(text: str) -> list[int]:
    return tokenizer()(text)["input_ids"]
