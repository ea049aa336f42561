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
    return place


def test_trained_told_and_read_through(model: Path, run: Run, tmp_path: Path) -> None:
    code, _, err = run("ask", "How many?", "--lens", "tuned", "--json", "--max-new-tokens", "4")
    assert code != 0
    assert "There is no lens" in err
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


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["train", "--text", "none.txt"], "cannot be read"),
        (["train", "--resume"], "no training to go on with"),
        (["info", "none.safetensors"], "There is no lens"),
        (["info", "text.txt"], "no lens, or it is damaged"),
    ],
)
def test_what_is_wrong_is_said_in_words(model: Path, run: Run, arguments: list[str], words: str) -> None:
    code, _, err = run("lens", *arguments)
    assert code != 0
    assert words in " ".join(err.split())
