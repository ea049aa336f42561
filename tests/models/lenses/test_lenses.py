"""Closed-form regression, files and their refusals, on tiny random models."""

import contextlib
import json
import random
import zipfile

import pytest
import torch
from safetensors.torch import save_file

from models.errors import LensFileError, LensNotFoundError, LensOfAnotherModelError, LensTrainingError
from models.fitting import texts
from models.lenses import measure, ridge, states, store, tuned
from models.lenses.affine import AffineLens, Card
from models.lenses.checkpoints import read_checkpoint
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


def written(path, card, **tensors):
    held = {"weight": torch.zeros(4, 32, 32), "bias": torch.zeros(4, 32)} | tensors
    save_file(held, path, metadata={"forward_pass_lens": card if isinstance(card, str) else json.dumps(card)})
    return path


CARD = Card("tuned", "tiny", None, "x", 4, 32, "float32", (), 0, "model", {"train": 9}, {"logit": [1.0] * 4}).to_json()


@pytest.mark.parametrize(
    "change",
    [
        {"layers": 10**9}, {"layers": "4"}, {"layers": True}, {"layers": None}, {"layers": -4}, {"width": 1e9}, {"kind": "other"},
        {"kind": ["tuned"]}, {"tokens": []}, {"tokens": {"train": "many"}}, {"held_out_kl": {"logit": [1.0]}}, {"fingerprint": 5},
        {"held_out_kl": {"logit": ["a"] * 4}}, {"held_out_kl": 7}, {"chosen": ["other"] * 4}, {"seconds": "nan"}, {"model": 5},
        {"method": {"relative_error": ["x"]}}, {"method": []}, {"seed": 10**40}, {"fingerprint": [None]}, {"model": None},
    ],
    ids=str,
)  # fmt: skip
def test_a_card_that_lies_is_a_sentence(change, tmp_path):
    good = written(tmp_path / "good", CARD)
    assert store.read_card(good) == store.load(good).card
    bad = written(tmp_path / "bad", CARD | change)
    for read in (store.read_card, store.load):
        with pytest.raises(LensFileError, match=r"is not a lens file, or it is damaged|tensors do not match"):
            read(bad)


@pytest.mark.parametrize("card", ["[" * 100_000, "5", "null", "[]", "{", "{}", '{"kind":' * 500])
def test_a_card_of_another_form_is_a_sentence(card, tmp_path):
    with pytest.raises(LensFileError):
        store.read_card(written(tmp_path / "bad", card))


def test_tensors_are_held_against_the_card_before_they_are_read(tmp_path, monkeypatch):
    """A file of holes may be larger than the memory: neither the card nor a refusal may read them."""
    card = CARD | {"layers": 4, "width": 20_000}
    layout = {
        "__metadata__": {"forward_pass_lens": json.dumps(card)},
        "weight": {"dtype": "F32", "shape": [4, 20_000, 20_000], "data_offsets": [0, 6_400_000_000]},
        "bias": {"dtype": "F32", "shape": [4, 20_000], "data_offsets": [6_400_000_000, 6_400_320_000]},
    }
    header = json.dumps(layout).encode()
    with (tmp_path / "holes").open("wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + 6_400_320_000)
    assert store.read_card(tmp_path / "holes").width == 20_000
    with pytest.raises(LensOfAnotherModelError):
        store.load(tmp_path / "holes", store.Identity(4, 32, ()))
    for tensors in ({"weight": torch.zeros(4, 32, 31)}, {"bias": torch.zeros(4)}, {"bias": torch.zeros(4, 32).long()}):
        with pytest.raises(LensFileError, match="tensors do not match its description"):
            store.read_card(written(tmp_path / "bad", CARD, **tensors))


def test_lens_files_with_flipped_bytes_are_sentences(tmp_path):
    path, drawn = written(tmp_path / "a", CARD), random.Random(5)
    good = path.read_bytes()
    head = 8 + int.from_bytes(good[:8], "little")
    for _ in range(200):
        data, at = bytearray(good), drawn.randrange(head)
        data[at] ^= 1 << drawn.randrange(8)
        path.write_bytes(data if drawn.random() < 0.8 else data[:at])
        with contextlib.suppress(LensFileError):
            store.load(path)


def test_checkpoints_that_are_something_else_are_sentences(tmp_path):
    path = tmp_path / "checkpoint"
    for held in ([1], {"recipe": 5}, {"a": 1}, torch.zeros(3), "recipe", {"recipe": [1]}):
        torch.save(held, path)
        with pytest.raises(LensTrainingError, match="is damaged"):
            read_checkpoint(path)
    torch.save({"recipe": {}}, path, _use_new_zipfile_serialization=False)  # takes sizes at their word
    with pytest.raises(LensTrainingError, match="is damaged"):
        read_checkpoint(path)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bomb:
        bomb.writestr("a/data.pkl", bytes(64 << 20))
    with pytest.raises(LensTrainingError, match="is damaged"):
        read_checkpoint(path)
    torch.save({"recipe": {"steps": 3}}, path)
    assert read_checkpoint(path) == {"recipe": {"steps": 3}}
