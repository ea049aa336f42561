"""P(True) against a plain forward pass."""

from __future__ import annotations

import pytest
import torch

from models.errors import QuestionTooLongError
from models.pieces import whole
from models.probes.self_report import NO, YES, prompt_ids, self_report, word_ids
from models.running import engine as engines
from models.types import Job, ModelConfig, Sampling
from tests.models import tiny


@pytest.mark.parametrize("name", ["llama", "gpt2", "gpt_neox", "gemma3_text"])
@pytest.mark.parametrize("chat", [True, False])
def test_it_is_read_from_the_last_row_of_a_plain_forward(name: str, chat: bool) -> None:
    model, tokenizer = tiny.named(name), tiny.tokenizer(chat)
    ids = prompt_ids(model, tokenizer, "How many eyes?", "Two.")
    with torch.no_grad():
        probs = model(torch.tensor([ids])).logits[0, -1].double().softmax(-1)
    yes, no = word_ids(tokenizer, YES), word_ids(tokenizer, NO)
    shared = yes & no
    one, two = (sum(float(probs[i]) for i in side - shared) for side in (yes, no))
    found = whole(self_report(model, tokenizer, "How many eyes?", "Two."))
    assert found.p_true == pytest.approx(one / (one + two), abs=1e-5)
    assert found.said == pytest.approx(one + two, abs=1e-5)
    assert found.agreement is None


def test_the_chat_template_is_used_where_there_is_one(tokenizer) -> None:
    model = tiny.model()
    text = tokenizer.decode(prompt_ids(model, tokenizer, " How? ", "So."))
    assert text.startswith("<|im_start|>system")
    assert text.endswith("<|im_start|>assistant\n")
    assert "Question: How?\nProposed answer: So.\n" in text
    plain = tiny.tokenizer(chat=False)
    assert plain.decode(prompt_ids(model, plain, "How?", "<|im_end|>")).endswith("yes or no?\nAnswer:")
    assert 258 not in prompt_ids(model, plain, "How?", "<|im_end|>")  # what is typed is no control token


@pytest.mark.parametrize("chat", [True, False])
def test_what_does_not_fit_is_refused(chat: bool) -> None:
    with pytest.raises(QuestionTooLongError):
        prompt_ids(tiny.model(), tiny.tokenizer(chat), "x" * 2000, "y")


@pytest.mark.real_model
def test_the_default_model_says_yes_or_no() -> None:
    engine = engines.load(ModelConfig())
    assert word_ids(engine.tokenizer, YES) == {10539, 10407, 9230, 9805}
    answer = engine.answer(Job("What is the capital of France?", sampling=Sampling(max_new_tokens=12)))
    report = engine.self_report("What is the capital of France?", answer)
    assert report.p_true is not None
    assert report.said is not None
    assert report.said > 0.5
    assert 0 < report.p_true < 1
