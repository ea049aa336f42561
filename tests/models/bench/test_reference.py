"""The plain way says what the lens says."""

import numpy as np
import pytest
import torch

from models.bench import reference
from models.reading import lens
from tests.models import tiny

PROMPT, ANSWER = tiny.ids_of("How many eyes does my foot have?"), tiny.ids_of("Two, as far as feet go: none.")


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "gpt2", "cohere"])
@pytest.mark.parametrize("lean", [False, True])
def test_the_reference_equals_the_trace(model_type: str, lean: bool) -> None:
    model = tiny.model(model_type)
    trace = lens.trace(model, PROMPT, ANSWER, k=5)
    plain = reference.second_pass(model, PROMPT, ANSWER, k=5, lean=lean)
    np.testing.assert_allclose(plain.probs.numpy(), trace.top_probs, atol=1e-5)
    assert np.mean(plain.ids.numpy() == trace.top_ids) > 0.99  # ties may be told in another order


def test_probabilities_of_given_tokens() -> None:
    model = tiny.model()
    plain = reference.second_pass(model, PROMPT, ANSWER, k=3)
    torch.testing.assert_close(reference.probabilities_at(model, PROMPT, ANSWER, plain.ids), plain.probs)


def test_generate_gives_as_many_tokens_as_were_asked_for() -> None:
    model = tiny.model(eos_token_id=None, pad_token_id=None)
    answer = reference.generate(model, PROMPT, 7)
    assert len(answer) == 7
    assert answer[0] == int(model(torch.tensor([PROMPT])).logits[0, -1].argmax())
