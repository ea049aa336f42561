"""Dump files: what goes in comes out, the same bytes each time, hostile tokens stay data, and foreign files are sentences."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from safetensors import safe_open
from safetensors.numpy import load_file

from bot.errors import DumpChoiceError, DumpFileError
from bot.render.export import FORMATS, load, write
from bot.render.export.table import harmless
from models.dump import LayerDump, lens_dump
from models.fakes.engine import FakeEngine
from models.trace import Trace
from models.types import Job
from tests.bot.strategies import TRICKY, make_trace, traces

ROOT = Path(__file__).parents[3]
SCHEMA = json.loads((ROOT / "docs" / "dump.schema.json").read_text(encoding="utf-8"))
WHEN = "2026-11-25T12:00:00Z"
LOADABLE = [form for form in FORMATS if form != "html"]


def told(engine: FakeEngine | None = None) -> tuple[FakeEngine, Any, Trace]:
    engine = engine or FakeEngine(layers=4)
    answer = engine.answer(Job("How many eyes does my foot have?"))
    trace = engine.trace(answer, k=3)
    trace = replace(trace, findings=engine.findings(answer, trace, question="How many eyes?", watch=["one", "=two"]))
    report = engine.self_report("How many eyes?", answer)
    return engine, answer, trace.with_findings(causal=engine.why(answer, 1, parts=("block", "mlp")), self_report=report)


def dumps() -> dict[str, LayerDump]:
    engine, answer, trace = told()
    return {
        "lens": lens_dump(trace),
        "rows": lens_dump(trace, positions=[len(trace.prompt_ids) + 1, len(trace.prompt_ids) + 2]),
        "cut": lens_dump(trace, positions=[len(trace.prompt_ids)], depths=[1, 4]),
        "hidden": engine.dump(answer, "hidden"),
        "attention": engine.dump(answer, "attention", positions=[0, 3], depths=[2]),
    }


DUMPS = dumps()


def same(one: Any, two: Any) -> None:
    """Equal in every field, arrays in dtype and bits."""
    if isinstance(one, np.ndarray):
        assert (one.dtype, one.shape) == (two.dtype, two.shape)
        assert np.array_equal(one, two, equal_nan=one.dtype.kind == "f")
    elif hasattr(one, "__dataclass_fields__"):
        for f in fields(one):
            if f.name != "seconds":
                same(getattr(one, f.name), getattr(two, f.name))
    elif isinstance(one, dict):
        assert list(one) == list(two) or set(one) == set(two)
        for key in one:
            same(one[key], two[key])
    elif isinstance(one, tuple):
        assert len(one) == len(two)
        for a, b in zip(one, two, strict=True):
            same(a, b)
    else:
        assert one == two


@pytest.mark.parametrize("name", DUMPS)
@pytest.mark.parametrize("form", LOADABLE)
def test_what_goes_in_comes_out(name: str, form: Any, tmp_path: Path) -> None:
    write(DUMPS[name], form, tmp_path / "dump", created=WHEN)
    same(DUMPS[name], load(tmp_path / "dump"))


@pytest.mark.parametrize("name", DUMPS)
@pytest.mark.parametrize("form", LOADABLE)
def test_the_same_dump_is_the_same_bytes(name: str, form: Any, tmp_path: Path) -> None:
    first, second, later = (tmp_path / n for n in ("a", "b", "c"))
    write(DUMPS[name], form, first, created=WHEN)
    write(dumps()[name], form, second, created=WHEN)
    assert first.read_bytes() == second.read_bytes()
    write(DUMPS[name], form, later, created="2026-11-25T12:00:01Z")
    if form in ("json", "csv", "safetensors"):
        assert first.read_bytes() == later.read_bytes().replace(b"12:00:01Z", b"12:00:00Z")


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trace=traces())
def test_any_trace(trace: Trace, tmp_path: Path) -> None:
    if trace.length:
        dump = lens_dump(trace)
        for form in LOADABLE:
            write(dump, form, tmp_path / "dump", created=WHEN)
            same(dump, load(tmp_path / "dump"))
        write(dump, "json", tmp_path / "dump", created=WHEN)
        jsonschema.validate(json.loads((tmp_path / "dump").read_bytes()), SCHEMA)


@pytest.mark.parametrize("name", DUMPS)
def test_the_json_is_as_the_schema_says(name: str, tmp_path: Path) -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    write(DUMPS[name], "json", tmp_path / "dump", created=WHEN)
    good = json.loads((tmp_path / "dump").read_bytes())
    check = jsonschema.Draft202012Validator(SCHEMA)
    check.validate(good)
    array = "top_ids" if good["what"] == "lens" else good["what"]
    wrong: list[dict[str, Any]] = [
        {**good, "schema": 2},
        {**good, "what": "logits"},
        {**good, "created": "yesterday"},
        {**good, "more": 1},
        {**good, "positions": [-1]},
        {**good, "arrays": {k: v for k, v in good["arrays"].items() if k != array}},
        {**good, "arrays": {**good["arrays"], array: {**good["arrays"][array], "dtype": "float64"}}},
        {**good, "arrays": {**good["arrays"], array: {**good["arrays"][array], "data": [["x"]]}}},
        {**good, "meta": {}},
        {key: value for key, value in good.items() if key != "prompt_ids"},
    ]
    for bad in wrong:
        assert not check.is_valid(bad)


def test_numbers_beyond_numbers(tmp_path: Path) -> None:
    dump = DUMPS["hidden"]
    odd = dump.arrays["hidden"].copy()
    odd[0, 0, :4] = [np.nan, np.inf, -np.inf, 1e-45]
    dump = replace(dump, arrays={"hidden": odd})
    for form in LOADABLE:
        write(dump, form, tmp_path / "dump", created=WHEN)
        same(dump, load(tmp_path / "dump"))
    write(dump, "json", tmp_path / "dump", created=WHEN)
    jsonschema.validate(json.loads((tmp_path / "dump").read_bytes(), parse_constant=pytest.fail), SCHEMA)


def hostile() -> LayerDump:
    pieces = dict(
        enumerate([*TRICKY, "=1+1", " =1+1", "+1", "-1", "@SUM(A1)", '"', ",", ";", "'", "</script>", "＝1", "\t=x", "\r=y"])
    )
    logits = np.random.default_rng(0).normal(size=(len(pieces), 3, len(pieces)))
    trace = make_trace(logits, list(pieces), pieces, k=len(pieces), meta={"model": "=cmd|' /C calc'!A0", "lens": "logit"})
    return lens_dump(trace)


def test_no_cell_is_a_formula(tmp_path: Path) -> None:
    dump = hostile()
    write(dump, "csv", tmp_path / "dump.csv", created=WHEN)
    text = (tmp_path / "dump.csv").read_text(encoding="utf-8")
    assert "\x1b" not in text
    assert "\u202e" not in text
    rows = list(csv.reader(io.StringIO(text)))
    value = rows[0].index("value")
    for row in rows[1:]:
        for column, cell in enumerate(row):
            assert cell.replace("\u200d", "").isprintable()  # but for what joins emoji
            if column == value and cell:
                float(cell)
            else:
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r", "\n", " ", "＝"))
    assert len(text.splitlines()) == len(rows)
    same(dump, load(tmp_path / "dump.csv"))


@pytest.mark.parametrize("form", LOADABLE)
def test_hostile_tokens_come_back_as_they_were(form: Any, tmp_path: Path) -> None:
    write(hostile(), form, tmp_path / "dump", created=WHEN)
    assert load(tmp_path / "dump").pieces == hostile().pieces


def test_a_harmless_cell_stays_as_it_is() -> None:
    assert [harmless(cell) for cell in ("eyes", " two", "=1", "-", "2", "脚", "")] == ["eyes", "␣two", "'=1", "'-", "2", "脚", ""]


def test_safetensors_as_its_own_package_reads_it(tmp_path: Path) -> None:
    dump = DUMPS["lens"]
    write(dump, "safetensors", tmp_path / "dump.safetensors", created=WHEN)
    same(dict(dump.arrays), load_file(tmp_path / "dump.safetensors"))
    with safe_open(tmp_path / "dump.safetensors", framework="numpy") as file:
        head = {key: json.loads(value) for key, value in file.metadata().items()}
    assert head["prompt_ids"] == dump.prompt_ids.tolist()
    assert head["answer_ids"] == dump.answer_ids.tolist()
    assert set(head["meta"]) >= {"model", "revision", "dtype", "sampler", "seed", "lens", "versions", "style", "schema", "layers"}
    assert (head["created"], head["schema"]) == (WHEN, 1)


def test_npz_holds_no_clock(tmp_path: Path) -> None:
    write(DUMPS["lens"], "npz", tmp_path / "dump.npz", created=WHEN)
    with zipfile.ZipFile(tmp_path / "dump.npz") as archive:
        assert archive.testzip() is None
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
    with np.load(tmp_path / "dump.npz") as file:
        assert json.loads(file["head.json"])["what"] == "lens"
        same(DUMPS["lens"].arrays["entropy"], file["entropy"])


def test_the_page_is_for_lenses_with_all_depths(tmp_path: Path) -> None:
    write(DUMPS["lens"], "html", tmp_path / "page.html", created=WHEN)
    assert WHEN in (tmp_path / "page.html").read_text(encoding="utf-8")
    for name in ("cut", "hidden", "attention"):
        with pytest.raises(DumpChoiceError):
            write(DUMPS[name], "html", tmp_path / "page.html", created=WHEN)
    with pytest.raises(DumpFileError, match="only for viewing"):
        load(tmp_path / "page.html")


FOREIGN = {
    "nothing": b"",
    "words": b"hello\n",
    "pixels": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "json": b'{"a": 1}',
    "list": b"[]",
    "deep": b'{"a":' + b"[" * 100_000,
    "csv": b"a,b\n1,2\n",
    "zip": b"PK\x03\x04" + bytes(50),
    "gzip": gzip.compress(b"hello"),
    "half gzip": gzip.compress(b"hello" * 99)[:20],
    "bytes": bytes(range(256)),
    "latin": "array,é\nmeta,é".encode("latin-1"),
}


@pytest.mark.parametrize("name", FOREIGN)
def test_a_foreign_file_is_a_sentence(name: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(FOREIGN[name])
    with pytest.raises(DumpFileError):
        load(tmp_path / "file")
    with pytest.raises(DumpFileError, match="cannot be read"):
        load(tmp_path / "none")
    with pytest.raises(DumpFileError, match="cannot be read"):
        load(tmp_path)


@pytest.mark.parametrize("form", LOADABLE)
def test_a_damaged_file_is_a_sentence(form: Any, tmp_path: Path) -> None:
    file = tmp_path / "dump"
    write(DUMPS["lens"], form, file, created=WHEN)
    data = file.read_bytes()
    for at in range(0, len(data) - 3, max(1, len(data) // 60)):  # cut anywhere
        file.write_bytes(data[:at])
        with pytest.raises(DumpFileError):
            load(file)
    changed = (
        data.replace(b'"schema":1', b'"schema":9')
        .replace(b'"schema":"1"', b'"schema":"9"')
        .replace(b'""schema"":1', b'""schema"":9')
    )
    if changed != data:
        file.write_bytes(changed)
        with pytest.raises(DumpFileError, match="schema 9"):
            load(file)


@pytest.mark.parametrize("name", ["lens", "hidden"])
@pytest.mark.parametrize("form", LOADABLE)
def test_a_changed_byte_is_a_sentence_or_a_number(name: str, form: Any, tmp_path: Path) -> None:
    """Whatever a disk or a hand does to a file, nothing but our own error leaves `load`."""
    file, random = tmp_path / "dump", np.random.default_rng(7)
    write(DUMPS[name], form, file, created=WHEN)
    data = file.read_bytes()
    for _ in range(80):
        changed = bytearray(data)
        for at in random.integers(0, min(len(data), 4000), size=random.integers(1, 4)):
            changed[at] = random.integers(0, 256)
        file.write_bytes(bytes(changed))
        try:
            load(file)
        except DumpFileError:
            continue


def test_a_table_in_another_order_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "dump.csv"
    write(DUMPS["hidden"], "csv", file, created=WHEN)
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    file.write_text("".join([*lines[:2], lines[3], lines[2], *lines[4:]]), encoding="utf-8")
    with pytest.raises(DumpFileError, match="order"):
        load(file)
    file.write_text("".join([*lines, lines[-1]]), encoding="utf-8")
    with pytest.raises(DumpFileError, match="more rows"):
        load(file)
