"""Model files that are broken, cut or of other types: a sentence each, by whichever of many exceptions a library says it."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from models.errors import ModelError, ModelNotFoundError
from models.loading import explaining
from models.loading.outlook import look
from models.running import engine
from models.types import ModelConfig
from tests.models import ggufs, tiny

DEEP = "[" * 100_000


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "model"
    tiny.save(folder)
    ggufs.write(folder.parent / "model.gguf")
    return folder


def opened(place: Path) -> None:
    """Load it and look at it: either goes well, or ends in a sentence."""
    for read in (lambda config: engine.load(config), look):
        try:
            read(ModelConfig(id=str(place), device="cpu"))
        except ModelError:
            continue


def refused(place: Path) -> str:
    with pytest.raises(ModelError) as caught:
        engine.load(ModelConfig(id=str(place), device="cpu"))
    return caught.value.for_host()


JUNK = (
    b"", b"{", b"[]", b"null", b"5", b'"x"', DEEP.encode(), b"\xff\xfe\x00", b"\x00" * 100, b'{"model_type": 5}',
    b'{"model_type": []}',
)  # fmt: skip
FILES = ("config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors", "generation_config.json")


@pytest.mark.parametrize("data", JUNK, ids=range(len(JUNK)))
@pytest.mark.parametrize("name", FILES)
def test_a_file_of_something_else(name: str, data: bytes, whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    (tmp_path / "model" / name).write_bytes(data)
    opened(tmp_path / "model")
    if name in {"config.json", "tokenizer.json", "model.safetensors"}:
        assert "cannot be" in refused(tmp_path / "model") or "does not know the architecture" in refused(tmp_path / "model")


VALUES: tuple[Any, ...] = (None, True, -1, 0, 10**40, 1.5, "x", [], {}, [[]], {"a": 1})


def test_any_value_of_a_config_may_be_any_other(whole: Path, tmp_path: Path) -> None:
    shutil.copytree(whole, tmp_path / "model")
    good, drawn = json.loads((whole / "config.json").read_text()), random.Random(4)
    for key in good:
        value = drawn.choice(VALUES)
        (tmp_path / "model" / "config.json").write_text(json.dumps(good | {key: value}))
        opened(tmp_path / "model")


@pytest.mark.parametrize("seed", range(24))
def test_a_gguf_with_other_bytes(seed: int, whole: Path, tmp_path: Path) -> None:
    data, drawn = bytearray((whole.parent / "model.gguf").read_bytes()), random.Random(seed)
    match seed % 4:
        case 0:
            del data[drawn.randrange(5, len(data)) :]
        case 1:
            data[drawn.randrange(4, 60)] ^= 1 << drawn.randrange(8)
        case 2:
            at = drawn.randrange(4, 3000)
            data[at : at + 8] = b"\xff" * 8
        case _:
            data[drawn.randrange(60, 3000)] ^= 1 << drawn.randrange(8)
    (tmp_path / "model.gguf").write_bytes(data)
    opened(tmp_path / "model.gguf")


@pytest.mark.parametrize("data", [b"GGUF", b"GGUF\x03\x00\x00\x00", b"GGUF" + b"\xff" * 100, b"GGUF" + bytes(200)], ids=range(4))
def test_a_gguf_without_its_inside(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(data)
    assert "cannot be loaded" in refused(tmp_path / "model.gguf")


def test_a_defect_of_ours_is_none_of_a_file(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Told by where it was raised: in a line of this package it stays what it is, and is logged with its traceback."""
    monkeypatch.setattr(explaining, "_ROOT", Path(__file__).parent)
    with pytest.raises(TypeError), explaining.explained(ModelConfig(id="x")):
        _ours()
    monkeypatch.setattr(explaining, "_ROOT", Path(__file__).parent / "elsewhere")
    with pytest.raises(ModelNotFoundError, match="TypeError"), explaining.explained(ModelConfig(id="x")):
        _ours()


def _ours() -> None:
    wrong: Callable[[], None] = None  # type: ignore[assignment]
    wrong()
