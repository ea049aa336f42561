"""Dumps of stored runs: the right numbers, whole or not there, the same from the command line and from Discord."""

from __future__ import annotations

import io
import json
import tempfile
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bot.errors import (
    DumpChoiceError,
    DumpTooLargeError,
    LensNotFoundError,
    NoInnerVoiceError,
    NoSuchDepthError,
    NoSuchTokenError,
    RunExpiredError,
    RunOfAnotherModelError,
)
from bot.render.export import FORMATS, load
from bot.services.dumps import places
from models.dump import lens_dump
from models.withheld import NOBODY
from tests.bot.services.rig import ANSWER, Engine, Rig, request, rigged


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    async with rigged(tmp_path) as made:
        made.app.dumps._now = lambda: datetime(2026, 11, 25, 12, tzinfo=UTC)
        yield made


@pytest.fixture
def nothing_stays(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary files lie."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def empty(folder: Path) -> bool:
    return not any(folder.iterdir())


def opened(data: bytes, folder: Path) -> Any:
    (folder / "got").write_bytes(data)
    return load(folder / "got")


@pytest.mark.parametrize("form", FORMATS)
async def test_a_dump_of_each_format(rig: Rig, form: Any, nothing_stays: Path, tmp_path: Path) -> None:
    answered = await rig.ask()
    file = await rig.app.dumps.of(answered.run.id, "lens", form)
    assert file.name == f"forward-pass-lens.{form}"
    assert file.written.note.startswith(f"lens (logit): 6 positions × 13 depths, {form}, ")
    assert empty(nothing_stays)
    if form != "html":
        _run, trace = await rig.app.voices.read(answered.run.id)
        dump = opened(file.data, tmp_path)
        assert np.array_equal(dump.trace.top_probs, trace.top_probs)
        assert dump.findings.pull is not None
        assert dump.findings.self_report == trace.findings.self_report


@pytest.mark.parametrize("what", ["hidden", "attention"])
async def test_states_are_read_again_from_the_stored_ids(rig: Rig, what: Any, tmp_path: Path) -> None:
    answered = await rig.ask()
    file = await rig.app.dumps.of(answered.run.id, what, "npz", positions=[0, 3], depths=[2, 5])
    expected = rig.engine.dump(answered.answer, what, positions=[0, 3], depths=[2, 5])
    dump = opened(file.data, tmp_path)
    assert np.array_equal(dump.arrays[what], expected.arrays[what])
    assert rig.engine.traces == 0


async def test_after_a_restart_and_of_another_model(rig: Rig, tmp_path: Path) -> None:
    answered = await rig.ask()
    first = await rig.app.dumps.of(answered.run.id, "hidden", "safetensors")
    lens = await rig.app.dumps.of(answered.run.id, "lens", "safetensors")
    never_read = await rig.ask("And a giraffe?")

    class Other(Engine):
        @property
        def info(self) -> Any:
            return replace(super().info, id="another")

    async with rigged(tmp_path) as again:
        again.app.dumps._now = rig.app.dumps._now
        assert (await again.app.dumps.of(answered.run.id, "hidden", "safetensors")).data == first.data
    async with rigged(tmp_path, Other()) as other:
        other.app.dumps._now = rig.app.dumps._now
        with pytest.raises(RunOfAnotherModelError):
            await other.app.dumps.of(answered.run.id, "hidden", "json")
        with pytest.raises(RunOfAnotherModelError):
            await other.app.dumps.of(never_read.run.id, "lens", "json")
        assert (await other.app.dumps.of(answered.run.id, "lens", "safetensors")).data == lens.data  # it was kept
        withheld = opened((await other.app.dumps.of(answered.run.id, "lens", "npz", whole=False)).data, tmp_path)
        assert withheld.prompt_ids[:-1].tolist() == [NOBODY] * (len(withheld.prompt_ids) - 1)  # whose they are nobody can tell


@pytest.mark.parametrize("form", ["json", "csv", "npz", "safetensors", "json.gz", "csv.gz"])
async def test_too_large_is_refused_with_a_choice(rig: Rig, form: Any, nothing_stays: Path) -> None:
    answered = await rig.ask()
    whole = len((await rig.app.dumps.of(answered.run.id, "hidden", form)).data)
    assert len((await rig.app.dumps.of(answered.run.id, "hidden", form, limit_bytes=whole)).data) == whole
    with pytest.raises(DumpTooLargeError) as refused:
        await rig.app.dumps.of(answered.run.id, "hidden", form, limit_bytes=whole - 1)
    assert (refused.value.size, refused.value.limit) == (whole, whole - 1)
    assert "KiB" in refused.value.message
    assert "of the 7 positions" in refused.value.hint
    assert ("compressed" in refused.value.hint) == (form in ("json", "csv", "safetensors"))
    assert empty(nothing_stays)


async def test_what_cannot_fit_is_not_computed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    answered = await rig.ask()
    monkeypatch.setattr(rig.engine, "dump", None)
    with pytest.raises(DumpTooLargeError) as refused:
        await rig.app.dumps.of(answered.run.id, "hidden", "safetensors", limit_bytes=1000)
    assert refused.value.estimated
    assert refused.value.size == 13 * 7 * 8 * 4
    assert "at least 2.8 KiB" in refused.value.message


async def test_what_goes_not_together(rig: Rig) -> None:
    run = (await rig.ask()).run.id
    dumps = rig.app.dumps
    for what, form, more, error in (
        ("hidden", "html", {}, DumpChoiceError),
        ("lens", "html", {"depths": [1]}, DumpChoiceError),
        ("lens", "json", {"positions": [0]}, NoSuchTokenError),
        ("hidden", "json", {"positions": [99]}, NoSuchTokenError),
        ("attention", "json", {"depths": [0]}, NoSuchDepthError),
        ("lens", "json", {"lens": "tuned"}, LensNotFoundError),
    ):
        with pytest.raises(error):
            await dumps.of(run, what, form, **more)  # type: ignore[arg-type]
    with pytest.raises(RunExpiredError):
        await dumps.of("nobody", "lens", "json")


async def test_another_lens(tmp_path: Path) -> None:
    async with rigged(tmp_path, Engine(lenses=("logit", "tuned"))) as rig:
        run = (await rig.ask()).run.id
        told, tuned = [opened((await rig.app.dumps.of(run, "lens", "npz", lens=lens)).data, tmp_path) for lens in (None, "tuned")]  # type: ignore[arg-type]
        assert (told.meta["lens"], tuned.meta["lens"]) == ("logit", "tuned")
        assert not np.allclose(told.arrays["entropy"][:, 3], tuned.arrays["entropy"][:, 3])
        assert np.array_equal(told.arrays["entropy"][:, -1], tuned.arrays["entropy"][:, -1])
        assert tuned.findings.pull.kl == told.findings.pull.kl
        assert (await rig.app.voices.read(run))[1].meta["lens"] == "logit"  # what is kept stays
        page = (await rig.app.dumps.of(run, "lens", "html")).data.decode()
        assert '"tuned"' in page


async def test_a_question_that_waits_has_none(rig: Rig) -> None:
    made = await rig.app.asks._journal(request())
    for what in ("lens", "hidden"):
        with pytest.raises(NoInnerVoiceError):
            await rig.app.dumps.of(made.id, what, "json")  # type: ignore[arg-type]


async def test_the_page_of_chosen_positions(rig: Rig) -> None:
    answered = await rig.ask()
    start = len(answered.answer.prompt_ids)
    page = (await rig.app.dumps.of(answered.run.id, "lens", "html", positions=[start + 1, start + 2])).data.decode()
    assert page.lower().startswith("<!doctype html>")
    _run, trace = await rig.app.voices.read(answered.run.id)
    assert lens_dump(trace, positions=[start + 1]).trace.tokens == (" answer",)  # type: ignore[union-attr]


async def test_no_words_in_the_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "bot")
    answered = await rig.ask("How many secrets?")
    await rig.app.dumps.of(answered.run.id, "lens", "json")
    assert "secret" not in caplog.text
    assert ANSWER not in caplog.text


async def test_times_and_runs_are_not_in_a_dump(rig: Rig) -> None:
    answered = await rig.ask()
    text = (await rig.app.dumps.of(answered.run.id, "lens", "json")).data.decode()
    assert "seconds" not in text
    assert answered.run.id not in text
    assert json.load(io.StringIO(text))["created"] == "2026-11-25T12:00:00Z"


@pytest.mark.parametrize(("text", "found"), [("3-7,9", (3, 4, 5, 6, 7, 9)), ("0", (0,)), (" 2 , 1-2 ", (1, 2)), ("5-5", (5,))])
def test_numbers_and_ranges(text: str, found: tuple[int, ...]) -> None:
    assert places(text) == found


@pytest.mark.parametrize("text", ["", "a", "3-", "-3", "7-3", "1,,2", "1-2-3", "0-99999999", "1e3", "²", "0-9999999"])
def test_what_is_no_choice(text: str) -> None:
    with pytest.raises(DumpChoiceError, match="cannot read"):
        places(text)
