"""Reasoning is read and counted, and not said: tags of one token or many, opened by template or model, and channels."""

import pytest
from tokenizers import AddedToken

from models.answering.speech import Speech
from models.answering.templates import THINKING, Template
from models.tokens import special_ids
from tests.models import tiny

HARMONY = ("<|start|>", "<|channel|>", "<|message|>", "<|return|>", "<|call|>")


def tokenizer_with(*names, special=False):
    made = tiny.tokenizer()
    made.add_tokens([AddedToken(name, special=special, normalized=False) for name in names])
    return made


def spoken(tokenizer, text, opens=None):
    """The texts after each token, the final one, and how many tokens were silent."""
    speech = Speech(tokenizer, special_ids(tokenizer), Template(opens=opens))
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    grown = []
    for token in ids:
        before = speech.text
        added = speech.push(token)
        assert speech.text == before + added or not speech.text.startswith(before)
        grown.append(speech.text)
    return grown, speech.end(), speech.thinking, len(ids)


KINDS = {
    "one token": tokenizer_with("<think>", "</think>"),
    "a control token": tokenizer_with("<think>", "</think>", special=True),
    "many tokens": tiny.tokenizer(),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("opens", [None, ("<think>", "</think>")], ids=["by the model", "by the template"])
def test_what_follows_the_reasoning_is_the_answer(kind, opens):
    text = "A foot has no eyes.\n</think>\n\nNone, 脚 has none."
    grown, final, silent, _count = spoken(KINDS[kind], ("" if opens else "\n<think>") + text, opens)
    assert final.strip() == "None, 脚 has none."
    assert all("foot" not in shown and "think" not in shown for shown in grown)
    assert silent == len(KINDS[kind](("" if opens else "\n<think>") + "A foot has no eyes.\n</think>")["input_ids"])


@pytest.mark.parametrize("kind", KINDS)
def test_an_answer_without_reasoning_is_said_at_once(kind):
    grown, final, silent, _count = spoken(KINDS[kind], "None <b>at all</b>.")
    assert (final, silent) == ("None <b>at all</b>.", 0)
    assert grown[3] == "None"


def test_what_only_looks_like_a_tag_is_said():
    grown, final, silent, _count = spoken(tiny.tokenizer(), "<thin ice")
    assert (final, silent) == ("<thin ice", 0)
    assert grown[4] == ""  # in doubt
    _grown, cut, _silent, _count = spoken(tiny.tokenizer(), "<thi")
    assert cut == "<thi"


def test_an_answer_that_ends_inside_its_reasoning_says_nothing():
    _grown, final, silent, count = spoken(tiny.tokenizer(), "I wonder whether", ("<think>", "</think>"))
    assert (final, silent) == ("", count)


def test_reasoning_that_nothing_opened_ends_where_it_says():
    grown, final, silent, count = spoken(KINDS["one token"], "Feet, hm.</think>None.")
    assert final == "None."
    assert silent == count - len("None.")
    assert grown[3] == "Feet"  # nothing told that this was reasoning


@pytest.mark.parametrize("pair", THINKING)
def test_every_kind_of_tag(pair):
    assert spoken(tiny.tokenizer(), f"{pair[0]}hm{pair[1]}None.")[1] == "None."


ANALYSIS = "<|channel|>analysis<|message|>A foot has none.<|end|><|start|>assistant"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{ANALYSIS}<|channel|>final<|message|>None.<|return|>", "None."),
        (f"{ANALYSIS}<|channel|>commentary<|message|>{{}}<|end|><|start|>assistant<|channel|>final<|message|>None.", "None."),
        ("<|channel|>final<|message|>None.<|return|>", "None."),
        ("<|channel|>analysis<|message|>A foot", ""),
        ("None.<|return|>", "None."),
    ],
)
def test_of_harmonys_channels_only_final_is_the_answer(text, said):
    tokenizer = tokenizer_with(*HARMONY, special=True)
    grown, final, _silent, _count = spoken(tokenizer, text)
    assert final == said
    assert all("foot" not in shown and "assistant" not in shown for shown in grown)
