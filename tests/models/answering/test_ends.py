"""What ends an answer, and what spoils one: stops, reasoning's budget, ids without a row, numbers that are not finite."""

import types

import pytest
import torch
from tokenizers import AddedToken, Tokenizer, pre_tokenizers
from tokenizers import models as parts
from transformers import PreTrainedTokenizerFast

from models.answering import prompts, templates
from models.errors import ModelError, NotFiniteError
from models.running import engine
from models.tokens import special_ids, stop_ids
from models.types import Job, PromptConfig, Sampling
from tests.models import tiny

FOOT = "How many eyes does my foot have?"


def stops(tokenizer, eos=None):
    model = types.SimpleNamespace(generation_config=types.SimpleNamespace(eos_token_id=eos))
    template = templates.of(tokenizer)
    found = stop_ids(model, tokenizer, special_ids(tokenizer), template.ends if template else frozenset())
    return {tokenizer.convert_ids_to_tokens(i) for i in found}


def word_level():
    words = ["<unk>", "<s>", "</s>", "My", "foot", "has", "no", "eyes"]
    core = Tokenizer(parts.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>"))
    core.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    core.add_special_tokens(["<unk>", "<s>", "</s>"])
    return PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>")


def harmony():
    tokenizer = tiny.tokenizer()
    names = ("<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>")
    tokenizer.add_tokens([AddedToken(name, special=True, normalized=False) for name in names])
    tokenizer.eos_token = "<|return|>"
    tokenizer.chat_template = (
        "{% for m in messages %}<|start|>{{ m.role }}{% if m.role == 'assistant' %}<|channel|>final{% endif %}<|message|>"
        "{{ m.content }}<|end|>{% endfor %}{% if add_generation_prompt %}<|start|>assistant{% endif %}"
    )
    return tokenizer


def test_the_unknown_token_is_no_stop():
    assert stops(word_level(), eos=2) == {"</s>"}
    assert stops(word_level()) == {"</s>"}


def test_the_generation_config_the_tokenizer_and_the_template_say():
    tokenizer = tiny.tokenizer()
    assert stops(tokenizer, eos=[256]) == {"<|end|>", "<|im_end|>"}
    bare = tiny.tokenizer(chat=False)
    assert stops(bare, eos=[256]) == {"<|end|>"}


def test_names_are_a_last_resort():
    tokenizer = tiny.tokenizer(chat=False)
    tokenizer.eos_token = None
    assert stops(tokenizer) == {"<|end|>", "<|im_end|>"}


def test_the_end_of_a_channel_is_not_the_end_of_the_answer():
    tokenizer = harmony()
    wanted = {"<|return|>", "<|call|>"}
    assert stops(tokenizer, eos=[tokenizer.convert_tokens_to_ids(name) for name in wanted]) == wanted
    assert "chat" in prompts.styles(tokenizer)


def scripted(tokenizer, text):
    """An engine whose model says this, whatever it is asked."""
    model = tiny.model("llama", vocab_size=len(tokenizer))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    made = engine.from_model(model, tokenizer)
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    step = {"at": 0}

    def forced(_module, _arguments, out):
        logits = torch.full_like(out.logits, -9.0)
        logits[:, -1, ids[min(step["at"], len(ids) - 1)]] = 9.0
        step["at"] += 1
        out.logits = logits
        return out

    model.register_forward_hook(forced)
    return made


def test_an_answer_in_channels_is_read_whole_and_shown_in_part():
    said = "<|channel|>analysis<|message|>Feet have none.<|end|><|start|>assistant<|channel|>final<|message|>None.<|return|>"
    answer = scripted(harmony(), said).answer(Job(FOOT, sampling=Sampling(max_new_tokens=60)))
    assert (answer.text, answer.finish) == ("None.", "stop")
    assert answer.thinking == len(answer.answer_ids) - len("None.") - 1


@pytest.mark.parametrize(("budget", "text", "finish"), [(8, "", "length"), (100, "None.", "stop")])
def test_reasoning_has_a_budget_of_its_own(budget, text, finish):
    shown = []
    made = scripted(tiny.tokenizer(), "<think>Feet have none.</think>None.<|im_end|>")
    job = Job(FOOT, sampling=Sampling(max_new_tokens=6, max_thinking_tokens=budget))
    answer = made.answer(job, on_text=shown.append)
    assert (answer.text, answer.finish) == (text, finish)
    assert answer.thinking == min(budget, len("<think>Feet have none.</think>"))
    assert shown[0].template == "*thinking… {count} tokens*"
    assert all("Feet" not in so_far for so_far in shown)


def test_an_id_beyond_the_embedding_is_refused_and_fails_no_other():
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = tiny.CHAT.replace("<|im_start|>assistant", "[NEW]")
    tokenizer.add_tokens([AddedToken("[NEW]", special=True, normalized=False)])
    made = engine.from_model(tiny.model("llama"), tokenizer)
    other = made.begin(Job(FOOT, style="story", sampling=Sampling(max_new_tokens=3)))
    with pytest.raises(ModelError, match=r"\[NEW\]"):
        made.begin(Job(FOOT, sampling=Sampling(max_new_tokens=3)))
    ended = {}
    while not ended:
        ended = dict(made.step())
    assert len(ended[other].answer_ids) == 3
    assert "260 tokens and the model 259" in " ".join(made.info.notes)


def test_what_is_typed_needs_no_row():
    tokenizer = tiny.tokenizer()
    tokenizer.add_tokens(["[PAD]"])
    ids = prompts.build(tokenizer, Job("What is [PAD]?", sampling=Sampling(max_new_tokens=2)), PromptConfig(), 4096, rows=259).ids
    assert max(ids) < 259


@pytest.mark.parametrize("sampling", [{}, {"temperature": 1.0, "seed": 1}])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_an_error_that_names_the_dtype(value, sampling):
    made = engine.from_model(model := tiny.model("llama"), tiny.tokenizer())

    def spoilt(_module, _arguments, out):
        out.logits[..., 5] = value
        return out

    model.register_forward_hook(spoilt)
    with pytest.raises(NotFiniteError, match="float32") as caught:
        made.answer(Job(FOOT, sampling=Sampling(max_new_tokens=4, **sampling)))
    assert "model.dtype" in caught.value.hint
