"""``model pull ID`` against a hub on this machine: what is fetched, what goes on where it stopped, and what is refused."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from huggingface_hub import constants

from models.errors import ForwardPassError
from models.loading import hub as hub_module
from models.loading.sources import INDEX
from models.running import engine
from models.types import ModelConfig
from tests.models import tiny
from tests.models.loading.hub_server import COMMIT, ID, Hub, serving

ROOT = Path(__file__).parents[3]
ASK = f"""
from models.running import engine
from models.types import Job, ModelConfig, Sampling
loaded = engine.load(ModelConfig(id={ID!r}, device="cpu"))
print(len(loaded.answer(Job("Why?", sampling=Sampling(max_new_tokens=3))).answer_ids), loaded.info.revision)
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.save(tmp_path / "model")
    for name, text in {
        "pytorch_model.bin": "no",
        "modeling_own.py": "no",
        "README.md": "no",
        "x.gguf": "GGUF",
        "a/b.json": "{}",
    }.items():
        (tmp_path / "model" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "model" / name).write_text(text)
    return tmp_path / "model"


@pytest.fixture
def hub(folder: Path) -> Iterator[Hub]:
    with serving(folder) as found:
        yield found


def started(hub: Hub, tmp_path: Path, *command: str, **more: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "FORWARDPASS_"))}
    environ |= {"HF_ENDPOINT": hub.address, "HF_HOME": str(tmp_path / "hf"), "COLUMNS": "200", "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, *command], cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)


def pull(hub: Hub, tmp_path: Path, *options: str, **more: str) -> subprocess.CompletedProcess[str]:
    return started(hub, tmp_path, "-m", "bot", "model", "pull", *(options or (ID,)), **more)


def refused(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return " ".join(done.stderr.split())


def fetched(hub: Hub) -> dict[str, int]:
    """Bytes that were sent of each file."""
    return {name: sum(count for _, count in answers) for name, answers in hub.sent.items()}


def test_it_is_fetched_once_and_loads_without_the_hub(hub: Hub, tmp_path: Path) -> None:
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    place = tmp_path / "hf" / "hub" / "models--somebody--tiny" / "snapshots" / COMMIT
    assert f"{ID} lies in {place}" in done.stderr
    wanted = {name for name in hub.files if "/" not in name and name.endswith((".json", ".safetensors", ".jinja"))}
    assert fetched(hub) == {name: len(hub.files[name]) for name in wanted}
    assert {path.name for path in place.iterdir()} == wanted
    again = pull(hub, tmp_path)
    assert again.returncode == 0, again.stderr
    assert fetched(hub) == {name: len(hub.files[name]) for name in wanted}
    hub.files.clear()
    asked = started(hub, tmp_path, "-c", ASK, HF_HUB_OFFLINE="1", HF_ENDPOINT="http://127.0.0.1:9")
    assert asked.stdout.split() == ["3", COMMIT], asked.stderr


def test_a_download_that_broke_off_goes_on_where_it_stopped(hub: Hub, tmp_path: Path) -> None:
    whole = len(hub.files["model.safetensors"])
    hub.cut_after = whole // 9
    small = {name: data for name, data in hub.files.items() if len(data) <= hub.cut_after}
    assert set(hub.files) - set(small) - {"model.safetensors"} <= {"tokenizer.json"}
    said = refused(pull(hub, tmp_path))
    assert "broke off. What came is kept" in said
    before = {name: list(answers) for name, answers in hub.sent.items()}
    hub.cut_after = None
    done = pull(hub, tmp_path)
    assert done.returncode == 0, done.stderr
    assert fetched(hub) == {name: len(hub.files[name]) for name in fetched(hub)}  # no byte twice
    for answers in hub.sent.values():
        assert [first for first, _ in answers] == [sum(count for _, count in answers[:n]) for n in range(len(answers))]
    assert any(
        len(answers) > 1 and hub.sent[name][len(answers)][0] > 0 for name, answers in before.items() if len(hub.sent[name]) > 1
    )
    blobs = tmp_path / "hf" / "hub" / "models--somebody--tiny" / "blobs"
    assert (blobs / hub.etag("model.safetensors")).read_bytes() == hub.files["model.safetensors"]
    assert not list(blobs.glob("*.part"))


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """This process asks the hub that `at` names."""
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(hub_module, "_PAUSE", 0.0)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def at(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "ENDPOINT", hub.address)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", hub.address + "/{repo_id}/resolve/{revision}/{filename}")


def failed(model_id: str = ID, revision: str | None = None) -> str:
    with pytest.raises(ForwardPassError) as caught:
        hub_module.pull(ModelConfig(id=model_id, revision=revision))
    return caught.value.for_host()


def hub_pull() -> Path:
    return hub_module.pull(ModelConfig(id=ID))


def test_a_server_without_ranges_begins_again_and_one_with_trouble_is_asked_again(
    hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(hub, monkeypatch)
    hub.cut_after, hub.ranges = len(hub.files["model.safetensors"]) // 2, False
    assert "broke off" in failed()
    hub.cut_after, hub.failing = None, 2
    assert (hub_pull() / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    hub.failing = 99
    assert hub_pull()


def test_shards_are_those_of_the_index(folder: Path, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny.model().save_pretrained(folder, max_shard_size="20KB")
    (folder / "model.safetensors").unlink(missing_ok=True)
    (folder / "consolidated.safetensors").write_bytes(b"the same once more")
    with serving(folder) as hub:
        at(hub, monkeypatch)
        steps: list[hub_module.Step] = []
        place = hub_module.pull(ModelConfig(id=ID), steps.append)
        shards = {name for name in hub.files if name.startswith("model-")}
        assert len(shards) > 1
        assert {name for name in fetched(hub) if name.endswith(".safetensors")} == shards
    assert {path.name for path in place.iterdir()} == set(fetched(hub))
    assert [step.done for step in steps] == sorted(step.done for step in steps)
    assert (steps[-1].files, steps[-1].done) == (steps[-1].of_files, steps[-1].total)
    assert engine.load(ModelConfig(id=str(place), device="cpu")).info.layers == 4


def test_an_index_that_names_something_else_is_refused_before_it_is_fetched(
    hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(hub, monkeypatch)
    del hub.files["model.safetensors"]
    hub.files[INDEX] = json.dumps({"weight_map": {"a": "pytorch_model.bin"}}).encode()
    assert "names something else than safetensors" in failed()
    assert set(hub.sent) == {INDEX}
    hub.files[INDEX] = json.dumps({"weight_map": {"a": "model-1.safetensors"}}).encode()
    assert "lacks model-1.safetensors" in failed()


def test_what_is_not_there_or_not_open(hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(hub, monkeypatch)
    assert "The Hugging Face hub has no model `no/such`" in failed("no/such")
    assert f"`{ID}` has no revision `old`" in failed(revision="old")
    assert "lies on this machine already" in failed(str(here / "model"))
    hub.gated = "hf_right"
    said = failed()
    assert f"`{ID}` is gated." in said
    assert f"https://huggingface.co/{ID}" in said
    assert "HF_TOKEN" in said
    monkeypatch.setenv("HF_TOKEN", "hf_right")
    assert hub_pull()
    del hub.files["model.safetensors"]
    assert "has no safetensors weights" in failed()
    del hub.files["config.json"]
    assert "has no config.json" in failed()
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert "hub does not answer" in failed()


def test_a_disk_without_room_is_said_before_anything_is_fetched(hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(hub, monkeypatch)
    hub.sizes["model.safetensors"] = 10**17
    assert "The disk is too full" in failed()
    assert not hub.sent


def test_a_file_that_is_not_what_the_hub_says(hub: Hub, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    at(hub, monkeypatch)
    right = hub.about
    monkeypatch.setattr(hub, "about", lambda name: right(name) | ({"blobId": "0" * 40} if name == "config.json" else {}))
    assert "config.json of `somebody/tiny` is not what the hub says" in failed()
    assert not list((here / "hf").rglob("*.part"))
    monkeypatch.setattr(hub, "about", lambda name: right(name) | ({"blobId": "../../../x"} if name == "config.json" else {}))
    assert "has no config.json" in failed()
