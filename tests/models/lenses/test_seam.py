"""An engine that reads through a learned lens: the same as the lens applied by hand, and the model's own row is left alone."""

import numpy as np
import pytest
import torch

from models.engine import from_model, load
from models.errors import LensNotFoundError, LensOfAnotherModelError
from models.lenses import store
from models.lenses.affine import AffineLens, Card
from models.types import Job, ModelConfig, Sampling
from tests.models import tiny


def random_lens(model):
    drawn = torch.Generator().manual_seed(3)
    weight, bias = 0.2 * torch.randn(4, 32, 32, generator=drawn), torch.randn(4, 32, generator=drawn)
    card = Card("tuned", "tiny", None, "x", 4, 32, "float32", store.fingerprint(model), 0, "model", {}, {})
    return AffineLens(weight, bias, card)


def test_traces_are_read_through_it(llama, tokenizer):
    learned = random_lens(llama)
    engine, plain = from_model(llama, tokenizer, learned=learned), from_model(llama, tokenizer)
    answer = engine.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=6)))
    tuned, logit = engine.trace(answer), plain.trace(answer)
    assert (tuned.meta["lens"], logit.meta["lens"]) == ("tuned", "logit")
    assert (tuned.top_ids[:, -1] == logit.top_ids[:, -1]).all()
    assert np.allclose(tuned.top_probs[:, -1], logit.top_probs[:, -1], atol=1e-5)
    held = []
    with torch.no_grad():
        out = llama(torch.tensor([[*answer.prompt_ids, *answer.answer_ids]]), output_hidden_states=True)
        for depth in range(4):
            state = out.hidden_states[depth][0, len(answer.prompt_ids) - 1 : -1]
            moved = state + state @ learned.weight[depth].T + learned.bias[depth]
            held.append(llama.lm_head(llama.model.norm(moved)).softmax(-1))
    ids = torch.tensor(answer.answer_ids)
    for depth, probs in enumerate(held):
        assert np.allclose(tuned.emitted_prob[:, depth], probs.gather(1, ids[:, None])[:, 0].numpy(), atol=1e-5)


def test_watched_words_are_read_through_it_too(llama, tokenizer):
    learned = random_lens(llama)
    engine = from_model(llama, tokenizer, learned=learned)
    answer = engine.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=6)))
    trace = engine.trace(answer)
    mine = engine.findings(answer, trace, watch=["a"]).watched
    plain = from_model(llama, tokenizer).findings(answer, trace, watch=["a"]).watched
    assert mine is not None
    assert plain is not None
    assert mine != plain


def test_loading_takes_the_file_or_says_why_not(folder, tmp_path):
    config, path = ModelConfig(id=str(folder), device="cpu"), tmp_path / "a.safetensors"
    with pytest.raises(LensNotFoundError, match="There is no lens"):
        load(config, kind="tuned", lens_file=path)
    store.save(path, random_lens(tiny.model()))
    engine = load(config, kind="tuned", lens_file=path)
    answer = engine.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=3)))
    assert engine.trace(answer).meta["lens"] == "tuned"
    store.save(path, random_lens(tiny.model(seed=1)))
    with pytest.raises(LensOfAnotherModelError):
        load(config, kind="tuned", lens_file=path)
