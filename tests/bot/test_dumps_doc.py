"""docs/DUMPS.md: its recipes run, and its options are those of the command."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer.main

from bot.cli import cli
from bot.render.export import FORMATS, write
from models.holding import LENS_ARRAYS
from tests.bot.render.test_export import DUMPS, WHEN

TEXT = (Path(__file__).parents[2] / "docs" / "DUMPS.md").read_text(encoding="utf-8")
RECIPES = re.findall(r"```python\n(.*?)```", TEXT, re.S)


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for what in ("lens", "hidden", "attention"):
        for form in FORMATS:
            if form != "html":
                write(DUMPS[what], form, tmp_path / f"{what}.{form}", created=WHEN)


@pytest.mark.parametrize("recipe", RECIPES, ids=range(len(RECIPES)))
@pytest.mark.usefixtures("files")
def test_a_recipe_reads_what_was_written(recipe: str) -> None:
    assert len([line for line in recipe.splitlines() if line and not line.startswith(("import", "from"))]) <= 3
    found: dict[str, Any] = {}
    exec(recipe, found)  # noqa: S102
    name = next(n for n in ("hidden", "attention", "prob") if n in found)
    expected = DUMPS["lens"].arrays["emitted_prob"] if name == "prob" else DUMPS[name].arrays[name]
    if hasattr(found[name], "columns"):
        assert list(found[name].index) == DUMPS["lens"].depths.tolist()
        assert list(found[name].columns) == DUMPS["lens"].positions.tolist()
        assert np.array_equal(found[name].to_numpy().astype(np.float32).T, expected)
    else:
        assert np.array_equal(found[name], expected)
    assert found["head"]["format"] == "forward-pass-dump"
    assert found["head"]["prompt_ids"] == DUMPS["lens"].prompt_ids.tolist()


@pytest.mark.usefixtures("files")
def test_pandas_takes_numbers_for_numbers() -> None:
    import pandas as pd

    for name in ("lens.csv", "lens.csv.gz", "hidden.csv", "attention.csv"):
        assert pd.read_csv(name).value.dtype == np.float64


def test_every_option_and_array_is_described() -> None:
    command = typer.main.get_command(cli).commands["dump"]  # type: ignore[attr-defined]
    for option in (o for p in command.params for o in p.opts if o.startswith("--")):
        assert option in TEXT or option in ("--config", "--help", "--output"), option
    for name in (*LENS_ARRAYS, *DUMPS["lens"].arrays):
        stem = re.sub(r"\.\d+\..*", ".", name)
        assert f"`{name}`" in TEXT or stem in TEXT or f"`.{name.rsplit('.', 1)[-1]}`" in TEXT or "findings.pull" in name, name
    for form in FORMATS:
        assert f"`{form}`" in TEXT
