"""``forwardpass bench``: options, errors in words, table and picture."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from bot.cli import bench, cli
from bot.config import Config
from bot.errors import ForwardPassError
from bot.render.bench_plot import draw
from bot.render.bench_table import number, percent, rate, seconds, size, spread, tables
from models.bench import suite
from models.bench.results import Askers, Figure, Machine, Report, SecondPass, Way

TINY = ["bench", "--shape", "gpt2", "--layers", "1", "--device", "cpu"]


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Sizes of a test, away from any config.yaml."""
    from models.bench import shapes

    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 512, "vocab_size": 400}
    monkeypatch.setitem(shapes.SHAPES, "gpt2", shapes.Shape("gpt2", "gpt2", sizes))
    monkeypatch.setattr(bench, "_settings", lambda wishes, real=bench._settings: _smaller(real(wishes)))
    monkeypatch.chdir(tmp_path)


def _smaller(settings: suite.Settings) -> suite.Settings:
    from dataclasses import replace

    return replace(settings, small=True, repeats=1, new_tokens=3, asker_tokens=2, answer_tokens=2)


def test_everything_as_tables_and_as_a_picture(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, [*TINY, "--quick", "--askers", "1,2", "--plot", "all.png"])
    assert result.exit_code == 0, result.output
    for words in ("gpt2, 1 layers, random weights", "Answer pass", "Second pass", "Askers at once", "Event loop", "slope"):
        assert words in result.stdout
    assert "…" not in result.stdout  # nothing is cut off at 80 columns
    assert max(map(len, result.stdout.splitlines())) <= 80
    assert "drawing random weights" in result.stderr
    assert (tmp_path / "all.png").read_bytes().startswith(b"\x89PNG")


def test_one_part_as_json(tmp_path: Path) -> None:
    result = CliRunner().invoke(cli, [*TINY, "--only", "second", "--json", "--plot", "second.svg"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["schema"] == 1
    assert found["second"]
    assert not found["answer"]
    assert "<svg" in (tmp_path / "second.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--shape", "llama-9b"], "no shape `llama-9b`"),
        (["--only", "answer,speed"], "no part `speed`"),
        (["--shape", "gpt2", "--model", "default"], "either --model or --shape"),
        (["--layers", "2"], "--layers cuts a --shape"),
        (["--askers", "1,many"], "`--askers 1,many` is no list"),
        (["--askers", "0"], "`--askers 0` is no list"),
        (["--dtype", "int3"], "`--dtype int3` is not among the choices"),
        (["--device", "tpu"], "`--device tpu` is not among the choices"),
        (["--plot", "figure.doc"], "`figure.doc` is no picture"),
        (["--plot", "nowhere/figure.png"], "no folder for"),
        (["--model", "./nowhere"], "no file or folder"),
    ],
)
def test_what_cannot_be_measured_is_said_in_words(options: list[str], words: str) -> None:
    result = CliRunner().invoke(cli, ["bench", *options])
    assert isinstance(result.exception, ForwardPassError)
    assert words in result.exception.message
    assert result.exception.hint


def test_options_change_what_the_config_says() -> None:
    config = Config.model_validate({"model": {"id": "some/model", "revision": "abc", "dtype": "float16"}})
    same = bench._model(config, bench.Wishes(dtype="bfloat16", device="cpu"))
    assert (same.id, same.revision, same.dtype, same.device) == ("some/model", "abc", "bfloat16", "cpu")
    other = bench._model(config, bench.Wishes(model="other/model"))
    assert (other.id, other.revision, other.dtype) == ("other/model", None, "float16")


def test_figures_are_written_with_three_digits() -> None:
    figure = Figure.of([0.5, 0.51, 0.52], "s")
    assert spread(figure) == "510 ms (505–515)"
    assert spread(Figure.of([1.5, 2.5], "s")) == "2.00 s (1.75–2.25)"
    assert spread(Figure.of([24.0], "tokens/s")) == "24.0 tokens/s (24.0–24.0)"
    assert spread(Figure.of([0.861], "×")) == "0.86× (0.86–0.86)"
    assert percent(Figure.of([0.45], "×")) == "45 % (45–45)"
    assert (number(1234.5), number(12.34), number(0.1234)) == ("1,234", "12.3", "0.12")
    assert (seconds(2.0), seconds(0.0021)) == ("2.00 s", "2.10 ms")
    assert (size(3 << 30), size(5 << 20), size(2048), size(12)) == ("3.00 GiB", "5.00 MiB", "2.00 KiB", "12 B")
    assert (rate(1.4e11, "FLOP/s"), rate(12, "B/s")) == ("140 GFLOP/s", "12.0 B/s")


@pytest.mark.parametrize("width", [60, 80])
def test_wide_figures_are_broken_in_narrow_terminals_and_not_cut(width: int) -> None:
    wide = Figure.of([1.0, 4.4444, 98.7654], "s")
    ratio = Figure.of([12345.6, 54321.0, 98765.4], "×")
    way = Way(wide, ratio, ratio, 0.1, ratio, 123_456_789, 5e-5, "captured")
    second = SecondPass(4000, 4000, 10, {"lean reference": way, "captured": way}, wide, ratio)
    speed = Figure.of([11111.0, 22222.0, 99999.0], "tokens/s")
    askers = tuple(Askers(n, 1000, speed, ratio, wide, wide, wide, wide) for n in (1, 1024))
    machine = Machine("cpu", "a processor", 2, 2, "float32", {"torch": "2"})
    output = io.StringIO()
    console = Console(width=width, file=output)
    for table in tables(Report(machine, None, second=(second,), askers=askers), width=width):
        console.print(table)
    told = output.getvalue()
    assert "…" not in told
    assert max(map(len, told.splitlines())) <= width
    for whole in (f"({number(ratio.q1)}–{number(ratio.q3)})", f"({number(speed.q1)}–{number(speed.q3)})", "118 MiB", "5e-05"):
        assert whole in told


def test_a_report_with_nothing_in_it_is_still_shown() -> None:
    empty = Report(Machine("cpu", "a processor", 2, 2, "float32", {"torch": "2"}), None)
    console = Console(width=80, record=True, quiet=True)
    for table in tables(empty):
        console.print(table)
    assert draw(empty).startswith(b"\x89PNG")
