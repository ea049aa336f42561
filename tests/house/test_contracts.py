"""The import contracts, as CI holds them and as Python sees them."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()


def test_the_import_contracts_hold() -> None:
    lint = shutil.which("lint-imports") or str(Path(sys.executable).parent / "lint-imports")
    result = subprocess.run([lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    "module", ["models.trace", "models.readings", "models.fake", "bot.services.voice", "bot.client", "cogs.ask"]
)
def test_no_torch_is_loaded(module: str) -> None:
    assert python(f"import sys, {module}; print('torch' in sys.modules)") == "False"


@pytest.mark.parametrize("module", ["models.fake", "bot.services.ask", "bot.services.voice", "bot.render.heatmap", "bot.storage"])
def test_no_discord_is_loaded(module: str) -> None:
    assert python(f"import sys, {module}; print('discord' in sys.modules)") == "False"


def test_the_command_line_starts_without_torch_and_discord() -> None:
    assert python("import sys, bot.cli; print({'torch', 'discord', 'transformers'} & set(sys.modules))") == "set()"
