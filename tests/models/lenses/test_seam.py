"""An engine that reads through a learned lens: the same as the lens applied by hand, and the model's own row is left alone."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from models.errors import LensFileError, LensNotFoundError, LensOfAnotherModelError
from models.lenses import store
from models.lenses.affine import AffineLens, Card
from models.running.engine import from_model, load
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
    other = from_model(llama, tokenizer)
    plain = other.findings(answer, other.trace(answer), watch=["a"]).watched
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


def jacobian_lens(model):
    drawn = torch.Generator().manual_seed(4)
    card = Card("jacobian", "tiny", None, "x", 4, 32, "float32", store.fingerprint(model), 0, "model", {}, {})
    return AffineLens.of_matrices(torch.eye(32) + 0.2 * torch.randn(4, 32, 32, generator=drawn), card)


def asked(engine):
    return engine.answer(Job("How many eyes?", sampling=Sampling(max_new_tokens=3)))


@pytest.fixture
def cached(folder, tmp_path):
    """A config of the tiny model, in whose cache both learned lenses lie."""
    config = ModelConfig(id=str(folder), device="cpu", cache_dir=str(tmp_path))
    for made in (random_lens(tiny.model()), jacobian_lens(tiny.model())):
        store.save(store.default_file(config, made.name), made)
    return config


def test_each_call_may_name_its_lens_and_nothing_is_told_through_the_jacobian_one(cached):
    for kind, told in (("logit", "logit"), ("tuned", "tuned"), ("jacobian", "logit")):
        engine = load(cached, kind=kind)
        answer = asked(engine)
        assert engine.trace(answer).meta["lens"] == told
        named = {name: engine.trace(answer, lens=name) for name in ("logit", "tuned", "jacobian")}
        assert {name: trace.meta["lens"] for name, trace in named.items()} == {name: name for name in named}
        assert len({trace.emitted_prob[:, 1].tobytes() for trace in named.values()}) == 3
        assert len({trace.emitted_prob[:, -1].tobytes() for trace in named.values()}) == 1
        assert [t.meta["lens"] for t in engine.traces([answer, answer], lens="jacobian")] == ["jacobian"] * 2
        assert engine.dump(answer, "lens", lens="jacobian").meta["lens"] == "jacobian"


def test_words_are_followed_through_the_lens_of_the_trace(cached):
    engine = load(cached)
    answer = asked(engine)
    curves = {name: engine.findings(answer, engine.trace(answer, lens=name), watch=["a"]).watched for name in ("logit", "tuned")}
    assert curves["logit"] != curves["tuned"]


def test_a_lens_that_is_not_there_is_said_with_its_command(folder, tmp_path):
    engine = load(ModelConfig(id=str(folder), device="cpu", cache_dir=str(tmp_path)))
    answer = asked(engine)
    with pytest.raises(LensNotFoundError, match="no tuned lens yet") as tuned:
        engine.trace(answer, lens="tuned")
    assert tuned.value.hint.endswith("`forwardpass lens train`.")
    with pytest.raises(LensNotFoundError) as jacobian:
        load(ModelConfig(id=str(folder), device="cpu", cache_dir=str(tmp_path)), kind="jacobian")
    assert "`forwardpass lens train --kind jacobian`" in jacobian.value.hint
    assert engine.trace(answer).meta["lens"] == "logit"


def test_a_lens_of_another_kind_model_or_revision_is_refused_when_it_is_asked_for(cached, tmp_path):
    model = tiny.model()
    store.save(store.default_file(cached, "tuned"), jacobian_lens(model))
    engine = load(cached)  # its weights are packed: they cannot be looked at any more
    answer = asked(engine)
    with pytest.raises(LensFileError, match="is a jacobian lens, but a tuned lens is wanted"):
        engine.trace(answer, lens="tuned")
    store.save(store.default_file(cached, "jacobian"), jacobian_lens(tiny.model(seed=1)))
    with pytest.raises(LensOfAnotherModelError):
        engine.trace(answer, lens="jacobian")
    lens = jacobian_lens(model)
    theirs = replace(lens.card, model="tiny", revision="a")
    store.save(tmp_path / "a", replace(lens, card=theirs))
    assert store.load(tmp_path / "a", store.identity_of(model, "tiny", "a")).card == theirs
    with pytest.raises(LensOfAnotherModelError, match="revision a of `tiny`, but this is revision b"):
        store.load(tmp_path / "a", store.identity_of(model, "tiny", "b"))
