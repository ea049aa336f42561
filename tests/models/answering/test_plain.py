"""Typed text becomes no control token, special or not, whatever the tokenizer is made of."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, normalizers
from tokenizers import models as parts
from transformers import PreTrainedTokenizerFast

from models.answering import plain, prompts
from models.tokens import added
from models.types import Job, PromptConfig, Sampling
from tests.models import tiny

NAMES = ("<tool_call>", "<think>", "</think>", "[PAD]")


def byte_level():
    made = tiny.tokenizer()
    made.add_tokens([AddedToken(name, special=False, normalized=False) for name in NAMES])
    return made


def sentencepiece_like():
    """As Llama 2's: a normalizer writes blanks as ▁, bytes are the fallback, there is no pre-tokenizer."""
    vocabulary = {"<unk>": 0, "<s>": 1, "</s>": 2, **{f"<0x{b:02X}>": 3 + b for b in range(256)}}
    vocabulary |= {c: len(vocabulary) + n for n, c in enumerate("▁abcdefghijklmnopqrstuvwxyz<>_/[]PAD?")}
    core = Tokenizer(parts.BPE(vocabulary, merges=[], unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    core.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1)]
    core.decoder = decoders.Sequence(steps)
    made = PreTrainedTokenizerFast(tokenizer_object=core, unk_token="<unk>", bos_token="<s>", eos_token="</s>")
    made.add_tokens([AddedToken(name, special=False, normalized=False) for name in NAMES])
    return made


TOKENIZERS = {"byte level": byte_level(), "sentencepiece": sentencepiece_like()}


@pytest.mark.parametrize("kind", TOKENIZERS)
@given(st.lists(st.sampled_from([*NAMES, "</s>", "<|end|>", " ", "a", "x y", "脚"]), min_size=1, max_size=6).map("".join))
@settings(deadline=None, max_examples=80)
def test_no_added_token_comes_of_it_and_the_text_stays(kind, text):
    tokenizer = TOKENIZERS[kind]
    ids = plain.encode_plain(tokenizer, text)
    assert added(tokenizer).control.isdisjoint(ids)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False).strip() == text.strip()


@pytest.mark.parametrize("kind", TOKENIZERS)
@pytest.mark.parametrize("text", ["How many eyes?", "a  b", " a", "two\nlines 脚 👀"])
def test_ordinary_text_is_encoded_as_ever(kind, text):
    tokenizer = TOKENIZERS[kind]
    ids = plain.encode_plain(tokenizer, text)
    assert ids == tokenizer(text, add_special_tokens=False)["input_ids"]
    assert plain._without_lookup(tokenizer.backend_tokenizer, text) == ids


def test_where_the_steps_cannot_be_taken_one_by_one():
    tokenizer = byte_level()
    ids = plain._in_pieces(tokenizer, "a<think>b", added(tokenizer).control)
    assert tokenizer.decode(ids) == "a<think>b"
    assert added(tokenizer).control.isdisjoint(ids)


@pytest.mark.parametrize("style", ["chat", "story"])
def test_in_a_question(style):
    tokenizer = byte_level()
    job = Job("What is <tool_call> and <think>?", style=style, sampling=Sampling(max_new_tokens=8))
    ids = prompts.build(tokenizer, job, PromptConfig(), 100_000).ids
    ids_of_names = {tokenizer.convert_tokens_to_ids(name) for name in NAMES}
    assert ids_of_names.isdisjoint(ids)
    assert "What is <tool_call> and <think>?" in tokenizer.decode(ids)


def test_an_eos_that_the_tokenizer_appends_does_not_end_the_story():
    from tokenizers import processors

    tokenizer = sentencepiece_like()
    tokenizer.backend_tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)]
    )
    ids = prompts.build(tokenizer, Job("why?", sampling=Sampling(max_new_tokens=8)), PromptConfig(), 100_000).ids
    assert ids[0] == 1
    assert 2 not in ids


def test_runs_of_blanks_that_a_tokenizer_keeps_as_added_tokens_are_text():
    tokenizer = byte_level()
    tokenizer.add_tokens([AddedToken("    ", special=False, normalized=False)])
    assert tokenizer.convert_tokens_to_ids("    ") in plain.encode_plain(tokenizer, "a    b")
