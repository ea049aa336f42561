"""Closed-form regression, files and their refusals, on tiny random models."""

import pytest
import torch

from models.errors import LensFileError, LensNotFoundError, LensOfAnotherModelError, LensTrainingError
from models.fitting import texts
from models.lenses import measure, ridge, states, store, tuned
from models.lenses.affine import AffineLens, Card
from models.network import adapters
from models.reading import lens
from tests.models import tiny

IDS = tiny.ids_of("How many eyes does my foot have? ")


def made_for(model):
    weight, bias = torch.zeros(4, 32, 32), torch.zeros(4, 32)
    return AffineLens(
        weight, bias, Card("tuned", "tiny", None, "x", 4, 32, "float32", store.fingerprint(model), 0, "model", {}, {})
    )


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_last_state_is_the_one_before_the_norm(kind):
    model = tiny.model(kind)
    parts = adapters.find(model)
    held = states.states_of(model, parts, states.Text(tuple(IDS), 5))
    assert held.shape == (len(IDS) - 5, 5, 32)
    own = model(torch.tensor([IDS])).logits[0, 4:-1].log_softmax(-1)
    assert torch.allclose(measure.logprobs(parts, held[:, -1]), own, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama", "gpt2"])
def test_the_measure_is_the_traces_own(kind):
    model = tiny.model(kind)
    held = states.states_of(model, adapters.find(model), states.Text(tuple(IDS), 5))
    trace = lens.trace(model, IDS[:5], IDS[5:], lens=made_for(model))
    assert trace.meta["lens"] == "tuned"
    found = measure.kl_by_depth(adapters.find(model), held, {"logit": None})["logit"]
    assert torch.allclose(found.float(), torch.from_numpy(trace.kl_to_final[:, :-1].mean(0)), atol=1e-4)


def test_regression_finds_an_affine_map():
    torch.manual_seed(0)
    x, a = torch.randn(600, 1, 6), torch.randn(6, 6)
    cells = torch.cat([x, torch.nn.functional.normalize(x @ a + 2.0, dim=-1)], dim=1)
    weight, bias = ridge.fit(cells[:500], cells[500:]).affine()
    guess = x[500:, 0] + x[500:, 0] @ weight[0].T + bias[0]
    off, spread = (guess - cells[500:, 1]).pow(2).mean(), cells[500:, 1].var()
    assert off < 0.5 * spread


def test_a_file_comes_back_and_another_model_is_refused(tmp_path, llama):
    path = tmp_path / "a.safetensors"
    store.save(path, made_for(llama))
    assert store.load(path, llama).card == made_for(llama).card
    with pytest.raises(LensOfAnotherModelError, match="made for `tiny`"):
        store.load(path, tiny.model("llama", seed=1))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(LensFileError):
        store.load(path)
    with pytest.raises(LensNotFoundError):
        store.load(tmp_path / "none")


@pytest.fixture(scope="module")
def splits():
    """Parts of a tiny model, and states of random texts: train, validation, held out."""
    model = tiny.model("llama")
    drawn = torch.Generator().manual_seed(5)
    pieces = [states.Text(tuple(torch.randint(256, (25,), generator=drawn).tolist()), 1) for _ in range(40)]
    parts = adapters.find(model)
    return model, parts, [states.collect(model, parts, part) for part in texts.split(pieces, 0, held_out=90)]


RECIPE = tuned.Recipe(steps=12, batch=16, save_every=5)


def test_a_trained_lens_is_nearer_to_the_model_than_the_logit_lens(splits):
    _model, parts, (train, validation, held_out) = splits
    made = tuned.train(parts, train, validation, tuned.Recipe(steps=60, batch=32, rate=3e-3))
    assert "tuned" in made.chosen
    kl = measure.kl_by_depth(parts, held_out, {"logit": None, "tuned": made.maps, "ridge": made.ridge})
    assert (kl["tuned"] < kl["logit"]).all()
    assert kl["tuned"].mean() < kl["ridge"].mean()


def test_a_run_that_was_broken_off_goes_on_to_the_same_lens(splits, tmp_path):
    _model, parts, (train, validation, _held_out) = splits
    whole = tuned.train(parts, train, validation, RECIPE)
    kept = tmp_path / "a.checkpoint"

    def stop(stage, done, _of):
        if stage == "steps" and done == 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tuned.train(parts, train, validation, RECIPE, checkpoint=kept, on_done=stop)
    steps = []
    again = tuned.train(
        parts, train, validation, RECIPE, checkpoint=kept, resume=True, on_done=lambda s, n, _of: steps.append((s, n))
    )
    assert [n for s, n in steps if s == "steps"] == list(range(6, 13))
    assert again.chosen == whole.chosen
    assert torch.allclose(again.maps.weight, whole.maps.weight, atol=1e-6)
    with pytest.raises(LensTrainingError, match="other settings"):
        tuned.train(parts, train, validation, tuned.Recipe(steps=13), checkpoint=kept, resume=True)
    kept.write_bytes(b"nothing")
    with pytest.raises(LensTrainingError, match="damaged"):
        tuned.train(parts, train, validation, RECIPE, checkpoint=kept, resume=True)
