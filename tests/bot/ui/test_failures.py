"""What askers read of an error that is the host's, and what the host reads of it."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from bot.errors import LensFileError, ModelNotFoundError, OutOfMemoryError, QueueFullError, StorageError
from bot.ui.failures import failure
from models.sentences import Sentence
from tests.bot.services.rig import rigged
from tests.bot.test_app import failing

PLACE = "there/model.gguf"


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
@pytest.mark.parametrize(
    "error",
    [
        StorageError("The database cannot be written (OperationalError)."),
        OutOfMemoryError("The device ran out of memory."),
        LensFileError(Sentence("{path} is no lens, or it is damaged.", path=PLACE)),
    ],
)
def test_askers_read_no_setting_and_no_path_and_the_host_reads_all(
    error: StorageError, locale: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    read = failure(error, locale)
    assert read.startswith("⚠️ ")
    assert not any(mark in read for mark in ("`", "/", "config"))
    assert error.message in error.for_host()
    assert error.hint in error.for_host()
    assert error.for_host() in caplog.text


def test_an_error_that_is_fit_for_askers_is_told_whole() -> None:
    error = QueueFullError("Too many questions are waiting for the model.")
    assert error.for_user() == error.for_host() == f"{error.message} {error.hint}"


async def test_a_model_that_cannot_be_loaded_tells_members_nothing_of_the_machine(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    error = ModelNotFoundError(Sentence("There is no file or folder `{id}`.", id=PLACE))
    async with rigged(tmp_path, load=False) as rig:
        rig.app.model._factory = failing(error)
        with pytest.raises(ModelNotFoundError) as caught:
            await rig.ask()
        read = failure(caught.value, "en-US")
        assert read == "⚠️ My model could not be loaded. My host's log says why."
        assert "载入" in failure(caught.value, "zh-CN")
        assert PLACE not in failure(caught.value, "zh-CN")
    assert f"the model cannot be loaded: {error.for_host()}" in caplog.text
    assert PLACE in error.for_host()
