"""The composition root: what it opens it closes, and a model that cannot be loaded is told, whatever the reason."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.app import Tasks, open_app
from bot.config import Config
from bot.errors import (
    ForwardPassError,
    ModelError,
    ModelNotFoundError,
    ModelNotPulledError,
    OutOfMemoryError,
    ShuttingDownError,
    StorageError,
)
from bot.housekeeping import give_back_memory, purge
from bot.model_host import ModelHost
from bot.storage import Database, NewRun, RunStore
from models.fakes.engine import FakeEngine
from models.types import Job
from tests.bot.services.rig import Heard, request, settings, until
from tests.bot.storage.conftest import write_lock

SECRET = "a secret about a foot"


@pytest.fixture(autouse=True)
async def nothing_left() -> AsyncIterator[None]:
    """No test of this file leaves a task or a thread."""
    tasks, threads = asyncio.all_tasks(), set(threading.enumerate())
    yield
    left: set[Any] = set()
    for _ in range(500):
        left = asyncio.all_tasks() - tasks - {asyncio.current_task()}
        left |= {t for t in threading.enumerate() if t not in threads and not t.name.startswith("asyncio_")}
        if not left:
            return
        await asyncio.sleep(0.01)
    raise AssertionError(f"left behind: {left}")


async def test_it_opens_answers_and_closes(tmp_path: Path) -> None:
    async with open_app(settings(tmp_path), engine_factory=FakeEngine) as app:
        assert app.model.info is None
        info = await app.model.start()
        assert app.model.info == info
        assert (await app.asks.ask(request(), Heard())).answer.text
    with pytest.raises(ShuttingDownError):
        await app.asks.ask(request(), Heard())


async def test_it_may_be_opened_again_at_once(tmp_path: Path) -> None:
    for _ in range(2):
        async with open_app(settings(tmp_path), engine_factory=FakeEngine) as app:
            await app.asks.ask(request(), Heard())


async def test_it_loads_once_however_often_it_is_asked(tmp_path: Path) -> None:
    made: list[FakeEngine] = []

    def factory() -> FakeEngine:
        made.append(FakeEngine())
        return made[-1]

    async with open_app(settings(tmp_path), engine_factory=factory) as app:
        await asyncio.gather(app.model.start(), app.model.ready(), app.model.ready())
        app.model.start()
    assert len(made) == 1


async def test_an_error_inside_closes_it_too(tmp_path: Path) -> None:
    async def broken() -> None:
        async with open_app(settings(tmp_path), engine_factory=FakeEngine) as app:
            await app.model.start()
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        await broken()


async def test_closing_stops_an_answer_between_two_tokens(tmp_path: Path) -> None:
    engine = FakeEngine(gate=threading.Event())
    async with open_app(settings(tmp_path), engine_factory=lambda: engine) as app:
        await app.model.start()
        app.tasks.spawn(_ask(app.asks), "a question")
        while not engine.jobs:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def _ask(asks: Any) -> None:
    await asks.ask(request(), Heard())


async def test_closing_does_not_wait_for_a_load(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow() -> FakeEngine:
        gate.wait(20)
        return FakeEngine()

    async with asyncio.timeout(10):
        async with open_app(settings(tmp_path), engine_factory=slow) as app:
            app.model.start()
            await asyncio.sleep(0)
    gate.set()


async def test_who_leaves_while_it_loads_does_not_stop_the_load(tmp_path: Path) -> None:
    gate = threading.Event()

    def slow() -> FakeEngine:
        gate.wait(20)
        return FakeEngine()

    async with open_app(settings(tmp_path), engine_factory=slow) as app:
        impatient = asyncio.create_task(app.model.ready())
        await asyncio.sleep(0)
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        gate.set()
        assert (await app.model.ready()).name == "Scripted"


def failing(error: BaseException) -> Callable[[], FakeEngine]:
    def factory() -> FakeEngine:
        raise error

    return factory


@pytest.mark.parametrize(
    "error",
    [
        ModelNotPulledError("The default model has not been downloaded."),
        ModelNotFoundError("There is no such model."),
        OutOfMemoryError("The device ran out of memory."),
    ],
)
async def test_a_load_that_fails_is_told_as_it_is(
    tmp_path: Path, error: ForwardPassError, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_app(settings(tmp_path), engine_factory=failing(error)) as app:
        with pytest.raises(type(error)):
            await app.model.ready()
        assert app.model.info is None
        assert app.model.failure is error
        for _ in range(2):
            with pytest.raises(type(error)) as caught:
                await app.asks.ask(request(), Heard())
            assert caught.value.hint
    assert error.message in caplog.text


@pytest.mark.parametrize("error", [ImportError("No module named 'gguf'"), ValueError("a defect"), MemoryError()])
async def test_a_load_with_a_defect_is_told_with_an_id_that_the_log_has(
    tmp_path: Path, error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    async with open_app(settings(tmp_path), engine_factory=failing(error)) as app:
        with pytest.raises(ModelError, match="cannot be loaded") as caught:
            await app.asks.ask(request(), Heard())
        assert "log says more" in caught.value.for_user()
    number = caught.value.message.rsplit("error ", 1)[1].strip(").")
    assert number in caplog.text


async def test_a_failed_load_that_nobody_asks_about_is_no_unseen_error(tmp_path: Path) -> None:
    unseen: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: unseen.append(context))
    async with open_app(settings(tmp_path), engine_factory=failing(ModelNotFoundError("None."))) as app:
        app.model.start()
        await asyncio.sleep(0.2)
    assert unseen == []


async def test_before_it_is_loaded_there_is_no_answer() -> None:
    host = ModelHost(FakeEngine)
    with pytest.raises(ModelError, match="not loaded"):
        await host.answer(Job("Hello?"))
    assert host.failure is None
    await host.aclose()


async def test_memory_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    trims: list[int] = []
    monkeypatch.setattr("bot.housekeeping.TRIM_SECONDS", 0.001)
    monkeypatch.setattr("bot.housekeeping._trimmer", lambda: lambda: trims.append(1))
    giving = asyncio.create_task(give_back_memory())
    await until(lambda: len(trims) > 2)
    giving.cancel()
    await asyncio.gather(giving, return_exceptions=True)


async def test_where_the_system_does_that_itself_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    await give_back_memory()


async def test_purging_goes_on_after_a_locked_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("bot.housekeeping.PURGE_HOURS", 0.0001)
    monkeypatch.setattr("bot.storage.database.BUSY_MILLISECONDS", 100)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    async with Database.open(settings(tmp_path).storage.resolved_url()) as database:
        old = await RunStore(database, now=lambda: now).create(NewRun("q", "dm"))
        async with write_lock(tmp_path / "runs.sqlite3"):
            purging = asyncio.create_task(purge(RunStore(database)))
            await until(lambda: "was not deleted" in caplog.text)
        with closing(sqlite3.connect(tmp_path / "runs.sqlite3")) as other:
            while other.execute("SELECT count(*) FROM runs WHERE id = ?", (old.id,)).fetchone()[0]:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert not purging.done()
        assert "another program holds its lock" in caplog.text
        purging.cancel()
        await asyncio.gather(purging, return_exceptions=True)


async def test_a_database_that_cannot_be_opened_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    config = Config.model_validate({"storage": {"url": f"sqlite+aiosqlite:///{tmp_path}/file/runs.sqlite3"}})
    with pytest.raises(StorageError):
        async with open_app(config, engine_factory=FakeEngine):
            raise AssertionError("it was opened")


async def test_a_defect_in_background_work_is_logged_without_its_words(caplog: pytest.LogCaptureFixture) -> None:
    async def broken() -> None:
        raise ValueError(SECRET)

    tasks = Tasks()
    await asyncio.gather(tasks.spawn(broken(), "broken"), return_exceptions=True)
    await asyncio.sleep(0)
    assert "ValueError" in caplog.text
    assert SECRET not in caplog.text
    await tasks.aclose()


async def test_work_that_runs_is_stopped_and_waited_for() -> None:
    tidied = asyncio.Event()

    async def long() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            await asyncio.sleep(0)
            tidied.set()

    tasks = Tasks()
    tasks.spawn(long(), "long")
    await asyncio.sleep(0)
    await tasks.aclose()
    assert tidied.is_set()
