"""``forwardpass lens`` on a tiny random model, and ``ask`` that reads through what it made."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bot.conftest import Run
from tests.models import tiny

WORDS = "How many eyes does my foot have? None that I know of, and the moon has fewer still.\n" * 12


@pytest.fixture
def model(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model that the settings name, and a text."""
    place = tmp_path / "tiny-model"
    tiny.save(place)
    for key, value in {"MODEL__ID": str(place), "MODEL__DEVICE": "cpu", "MODEL__CACHE_DIR": str(tmp_path / "cache")}.items():
        monkeypatch.setenv(f"FORWARDPASS_{key}", value)
    (tmp_path / "text.txt").write_text(WORDS, encoding="utf-8")
    (tmp_path / "short.txt").write_text("How many?", encoding="utf-8")
    return place


def test_trained_told_and_read_through(model: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("ask", "How many?", "--lens", "tuned", "--json", "--max-new-tokens", "4")
    assert code != 0
    assert "This model has no tuned lens yet" in err
    assert "forwardpass lens train" in err
    code, out, err = run("lens", "train", "--text", "text.txt", "--tokens", "800", "--steps", "3")
    assert code == 0, err
    assert "KL(final || depth)" in out
    assert "text.txt" in out
    (made,) = (tmp_path / "cache" / "lenses").iterdir()  # no checkpoint is left
    code, out, _ = run("lens", "info", str(made), "--json")
    card = json.loads(out)
    assert (code, card["layers"], card["steps"]) == (0, 4, 3)
    assert set(card["held_out_kl"]) == {"logit", "ridge", "tuned"}
    for name in ("tuned", "logit"):
        code, out, err = run("ask", "How many?", "--lens", name, "--json", "--max-new-tokens", "4")
        assert code == 0, err
        assert json.loads(out)["trace"]["meta"]["lens"] == name


def test_the_model_writes_when_no_text_is_given(model: Path, run: Run, tmp_path: Path) -> None:
    code, out, err = run("lens", "train", "--tokens", "300", "--steps", "0", "--output", "a.safetensors")
    assert code == 0, err
    assert "the model's own answers" in out
    assert (tmp_path / "a.safetensors").exists()


def test_the_jacobian_lens_is_shown_under_its_label_and_never_told(model: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("ask", "How many?", "--lens", "jacobian")
    assert code != 0
    assert "This model has no jacobian lens yet" in err
    assert "forwardpass lens train --kind jacobian" in " ".join(err.split())
    code, out, err = run("lens", "train", "--kind", "jacobian", "--text", "text.txt", "--tokens", "150")
    assert code == 0, err
    assert "standard error of J" in out
    assert "not a prediction" in " ".join(out.split())
    (made,) = (tmp_path / "cache" / "lenses").iterdir()
    assert made.name.endswith(".jacobian.safetensors")
    told = json.loads(run("ask", "How many?", "--json", "--max-new-tokens", "4")[1])
    code, out, err = run("ask", "How many?", "--lens", "jacobian", "--json", "--max-new-tokens", "4")
    assert code == 0, err
    found = json.loads(out)
    assert found["view"]["meta"]["lens"] == "jacobian"
    assert found["view"]["emitted_prob"] != told["trace"]["emitted_prob"]
    for row, own in zip(found["view"]["emitted_prob"], told["trace"]["emitted_prob"], strict=True):
        assert row[-1] == pytest.approx(own[-1], abs=1e-6)
    assert found["trace"]["meta"]["lens"] == "logit"
    assert found["monologue"] == told["monologue"]
    assert told["view"] is None
    code, out, err = run("ask", "How many?", "--lens", "jacobian", "--max-new-tokens", "4")
    assert code == 0, err
    assert "disposed to say. This is no prediction" in " ".join(out.split())
    assert "disposed" not in run("ask", "How many?", "--max-new-tokens", "4")[1]


def test_a_lens_is_measured_beside_the_logit_lens(model: Path, run: Run, tmp_path: Path) -> None:
    assert run("lens", "eval")[0] != 0  # there is none yet
    code, _, err = run("lens", "train", "--text", "text.txt", "--tokens", "800", "--steps", "3", "--output", "a.safetensors")
    assert code == 0, err
    code, out, err = run("lens", "eval", "a.safetensors", "--text", "text.txt", "--tokens", "300", "--plot", "kl.png")
    assert code == 0, err
    assert "Nearer to the output than the logit lens at" in out
    assert (tmp_path / "kl.png").read_bytes().startswith(b"\x89PNG")
    code, out, err = run("lens", "eval", "a.safetensors", "--tokens", "100", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["source"] == "the model's own answers"
    assert (found["seed"], found["card"]["kind"], len(found["logit"])) == (1, "tuned", 4)
    assert found["positions"] >= 100
    assert found["depths_nearer"] == sum(a < b for a, b in zip(found["learned"], found["logit"], strict=True))
    assert found["mean_logit"] == pytest.approx(sum(found["logit"]) / 4)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["eval", "none.safetensors"], "There is no lens"),
        (["eval", "--plot", "kl.doc"], "kl.doc"),
        (["train", "--kind", "jacobian", "--text", "short.txt"], "too short"),
        (["train", "--text", "none.txt"], "cannot be read"),
        (["train", "--resume"], "no training to continue"),
        (["info", "none.safetensors"], "There is no lens"),
        (["info", "text.txt"], "not a lens file, or it is damaged"),
    ],
)
def test_what_is_wrong_is_said_in_words(model: Path, run: Run, arguments: list[str], words: str) -> None:
    code, _, err = run("lens", *arguments)
    assert code != 0
    assert words in " ".join(err.split())
