"""The import contracts, as CI holds them and as Python sees them."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_contracts_hold() -> None:
    lint = shutil.which("lint-imports") or str(Path(sys.executable).parent / "lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "module", ["models.trace", "models.readings", "models.fakes.engine", "bot.services.voice", "bot.client", "cogs.ask"]
)
def test_no_torch_is_loaded(module: str) -> None:
    assert python(f"import sys, {module}; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize(
    "module", ["models.fakes.engine", "bot.services.ask", "bot.services.voice", "bot.render.heatmap", "bot.storage"]
)
def test_no_discord_is_loaded(module: str) -> None:
    assert python(f"import sys, {module}; print('discord' in sys.modules)") == "False"


def test_the_command_line_starts_without_torch_and_discord() -> None:
    assert python("import sys, bot.cli; print({'torch', 'discord', 'transformers'} & set(sys.modules))") == "set()"


FLOOR = {path.stem for path in (ROOT / "models").glob("*.py")} - {"__init__"}
FRONT_DOORS = {"engine", "lens", "prompts"}


def contracts() -> list[dict[str, Any]]:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    return config["tool"]["importlinter"]["contracts"]  # type: ignore[no-any-return]


def test_all_of_the_ground_but_memory_is_held_free_of_torch() -> None:
    (contract,) = [each for each in contracts() if each["name"] == "The ground and the scripted engine load no torch"]
    held = {name.removeprefix("models.") for name in contract["source_modules"]}
    assert held & FLOOR == FLOOR - FRONT_DOORS - {"memory"}


def test_no_list_of_rooms_forgets_one() -> None:
    """Who may not touch the model's machinery may touch none of it: a new room belongs into these lists."""
    rooms = {f"models.{path.parent.name}" for path in (ROOT / "models").glob("*/__init__.py")}
    for contract in contracts():
        named = set(contract.get("forbidden_modules", []))
        if "models.running" in named:
            assert rooms - named <= {"models.fakes", "models.bench"}, contract["name"]


def test_the_tests_mirror_the_rooms() -> None:
    for path in (ROOT / "models").glob("*/__init__.py"):
        assert list((ROOT / "tests" / "models" / path.parent.name).glob("test_*.py")), path.parent.name


def linted(folder: Path) -> subprocess.CompletedProcess[str]:
    lint = shutil.which("lint-imports") or str(Path(sys.executable).parent / "lint-imports")
    return subprocess.run([lint, "--no-cache"], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("file", "line"),
    [
        pytest.param("models/answering/planted.py", "import models.reading.lens", id="up a layer"),
        pytest.param("models/lenses/planted.py", "import models.probes.look", id="sideways"),
        pytest.param("models/planted.py", "import models.errors", id="a file of no layer"),
        pytest.param("models/planted/__init__.py", "import models.errors", id="a room of no layer"),
        pytest.param("models/fakes/planted.py", "import torch", id="torch in the scripted engine"),
        pytest.param("bot/services/planted.py", "import discord", id="Discord in a service"),
    ],
)
def test_a_planted_import_breaks_a_contract(file: str, line: str, tmp_path: Path) -> None:
    for package in ("bot", "cogs", "models"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__", "*.js", "*.yaml"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f'"""Planted."""\n\n{line}\n', encoding="utf-8")
    result = linted(tmp_path)
    assert result.returncode != 0
    assert "BROKEN" in result.stdout or "planted" in result.stdout
