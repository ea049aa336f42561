"""Characters never break, whatever the tokens."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, decoders
from tokenizers import models as bpe
from transformers import PreTrainedTokenizerFast

from models.tokens import Detokenizer, piece, pieces, shown_tokens, special_ids
from tests.models import tiny

TOKENIZER = tiny.tokenizer()


@given(st.text(max_size=30))
@settings(deadline=None, max_examples=60)
def test_joined_they_are_the_text(text):
    assert "".join(shown_tokens(TOKENIZER, TOKENIZER(text, split_special_tokens=True)["input_ids"])) == text.removesuffix(
        "\ufffd"
    )


def test_a_character_stands_at_the_token_that_completes_it():
    assert shown_tokens(TOKENIZER, tiny.ids_of("a👀脚")) == ("a", "", "", "", "👀", "", "", "脚")


def test_a_cut_character_is_not_shown():
    assert "".join(shown_tokens(TOKENIZER, tiny.ids_of("ok 👀")[:-1])) == "ok "


def test_bytes_that_are_no_character_do_not_hold_the_rest_back():
    broken = [tiny.ids_of("👀")[1], *tiny.ids_of("ok")]
    assert "".join(shown_tokens(TOKENIZER, broken)).endswith("ok")


def test_control_tokens_are_not_shown():
    assert special_ids(TOKENIZER) == {256, 257, 258}
    detokenizer = Detokenizer(TOKENIZER)
    assert [detokenizer.push(i) for i in (*tiny.ids_of("a"), 257, 256)] == ["a", "", ""]
    assert detokenizer.text == "a"


@pytest.mark.parametrize(("text", "shown"), [("a", "a"), (" ", " "), ("\n", "\n")])
def test_pieces_of_whole_characters(text, shown):
    assert piece(TOKENIZER, tiny.ids_of(text)[0]) == shown


def test_pieces_of_broken_characters_and_unknown_ids():
    assert [piece(TOKENIZER, i) for i in tiny.ids_of("👀")] == ["⟨F0⟩", "⟨9F⟩", "⟨91⟩", "⟨80⟩"]
    assert piece(TOKENIZER, 256) == "<|end|>"
    assert piece(TOKENIZER, 10**6) == "⟨1000000⟩"
    assert pieces(None, [3, 1, 3]) == {1: "⟨1⟩", 3: "⟨3⟩"}


def test_a_piece_may_hold_whole_and_broken_characters():
    alphabet = {"Ġ": 0, "ð": 1, "Ł": 2, "Ġð": 3, "ĠðŁ": 4}
    core = Tokenizer(bpe.BPE(vocab=alphabet, merges=[("Ġ", "ð"), ("Ġð", "Ł")]))
    core.decoder = decoders.ByteLevel()
    assert piece(PreTrainedTokenizerFast(tokenizer_object=core), 4) == " ⟨F0 9F⟩"


def test_sentencepiece_style_keeps_spaces_and_bytes():
    vocabulary = {"▁": 0, "▁foot": 1, "<0xF0>": 2, "<0x9F>": 3, "<0x91>": 4, "<0x80>": 5, "s": 6}
    core = Tokenizer(bpe.BPE(vocab=vocabulary, merges=[], byte_fallback=True))
    core.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    made = PreTrainedTokenizerFast(tokenizer_object=core)
    assert piece(made, 1) == " foot"
    assert piece(made, 2) == "⟨F0⟩"
    assert shown_tokens(made, [6, 1, 6, 2, 3, 4, 5, 1]) == ("s", " foot", "s", "", "", "", "👀", " foot")
