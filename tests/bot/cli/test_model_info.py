"""``forwardpass model info``: what it prints, and one sentence for whatever cannot be looked at."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from models.loading import embedded, wheel
from models.loading.placing import gigabytes
from tests.bot.conftest import Run
from tests.models import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "tiny-model"
    tiny.save(place)
    return place


@pytest.fixture(autouse=True)
def _on_a_cpu(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORWARDPASS_MODEL__DEVICE", "cpu")


def test_what_it_prints(folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(folder.parent)
    code, out, _ = run("model", "info", str(folder))
    assert code == 0
    lines = [" ".join(line.split()) for line in out.splitlines()]
    assert lines[0] == "tiny-model folder"
    assert "architecture LlamaForCausalLM (llama)" in lines
    assert "tokens 259 tokens in the vocabulary · 1,024 in the context" in lines
    assert "chat ✓ yes" in lines
    assert "inner voice ✓ yes" in lines
    assert "here ✓ all on cpu" in lines
    for word in ("float32", "bfloat16", "int8", "int4", "conversation", "second pass", "free: cpu"):
        assert word in out


def test_as_one_json_object(folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(folder.parent)
    monkeypatch.setenv("FORWARDPASS_MODEL__ID", str(folder))
    code, out, _ = run("model", "info", "--json")
    assert (code, out.count("\n")) == (0, 1)
    shown = json.loads(out)
    assert (shown["architecture"], shown["layers"], shown["inner_voice"], shown["chat"]) == ("LlamaForCausalLM", 4, None, None)
    assert shown["placement"]["fits"] is True
    assert shown["weights"].keys() == {"float32", "bfloat16", "int8", "int4"}


def test_the_revision_of_the_config_is_not_that_of_another_model(folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    from models.loading import outlook

    asked = []
    plain = outlook.look
    monkeypatch.setattr(outlook, "look", lambda config: (asked.append(config), plain(config))[1])
    monkeypatch.setenv("FORWARDPASS_MODEL__ID", "someone/else")
    monkeypatch.setenv("FORWARDPASS_MODEL__REVISION", "abc")
    assert run("model", "info", str(folder))[0] == 0
    assert run("model", "info", str(folder), "--revision", "v2")[0] == 0
    assert [config.revision for config in asked] == [None, "v2"]


def test_what_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.chdir(tmp_path)
    for how in ((), ("--json",)):
        code, out, err = run("model", "info", "./nothing", *how)
        assert (code, out) == (1, "")
        assert "no file or folder" in " ".join(err.split())


def test_the_default_model_is_fetched_small_and_lies_large(folder: Path, monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    monkeypatch.setattr(embedded, "locate", lambda _cache=None: folder)
    shown = json.loads(run("model", "info", "default", "--json")[1])
    assert (shown["download"], shown["on_disk"]) == (wheel.SIZE, (folder / "model.safetensors").stat().st_size)
    out = " ".join(run("model", "info", "default")[1].split())
    assert f"download 93 MB to fetch; {gigabytes(shown['on_disk'])} on disk once converted" in out
    assert "on disk once converted" not in run("model", "info", str(folder))[1]
