"""The log: readable or JSON, and never the text of a message, whatever a library or an exception would like to say."""

import asyncio
import gc
import io
import json
import logging
import re

import pytest

from bot.errors import StorageError
from bot.log import error_id, log_unexpected, safe_traceback, setup
from bot.sections import LogConfig

SECRET = "how many eyes does my foot have"


def start(level: str = "INFO", *, json_lines: bool = False) -> io.StringIO:
    stream = io.StringIO()
    setup(LogConfig.model_validate({"level": level, "json_lines": json_lines}), stream=stream)
    return stream


def raised(error: BaseException) -> BaseException:
    try:
        raise error
    except type(error) as caught:
        return caught


def test_a_readable_line():
    out = start()
    logging.getLogger("bot.client").info("ready in %d s", 2)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO bot\.client: ready in 2 s\n", out.getvalue())


def test_a_json_line():
    out = start(json_lines=True)
    logging.getLogger("bot.client").warning("two\nlines 💭", extra={"run_id": "r1"})
    assert out.getvalue().count("\n") == 1
    line = json.loads(out.getvalue())
    assert line.pop("time").endswith("Z")
    assert line == {"level": "WARNING", "logger": "bot.client", "message": "two\nlines 💭", "run_id": "r1"}


def test_stderr_is_the_default(capsys):
    setup(LogConfig())
    logging.getLogger("bot").info("hello")
    captured = capsys.readouterr()
    assert captured.err.endswith("INFO bot: hello\n")
    assert captured.out == ""


def test_a_second_setup_replaces_the_first_and_leaves_others_alone():
    before = len(logging.getLogger().handlers)
    first, second = start(), start("WARNING")
    assert len(logging.getLogger().handlers) == before + 1
    logging.getLogger("bot").info("quiet")
    logging.getLogger("bot").warning("loud")
    assert first.getvalue() == ""
    assert second.getvalue().endswith("WARNING bot: loud\n")


@pytest.mark.parametrize("name", ["discord.gateway", "discord.http", "aiosqlite", "sqlalchemy.engine.Engine", "aiohttp.client"])
def test_a_library_whose_debug_records_quote_messages_is_held_back(name):
    out = start("DEBUG")
    logging.getLogger(name).setLevel(logging.DEBUG)  # as discord.utils.setup_logging would
    logging.getLogger(name).debug("For Shard ID %s: WebSocket Event: %s", 0, {"content": SECRET})
    logging.getLogger("bot").debug("ours")
    assert SECRET not in out.getvalue()
    assert "DEBUG bot: ours" in out.getvalue()
    logging.getLogger(name).setLevel(logging.NOTSET)


def test_a_quieter_level_holds_for_libraries_too():
    out = start("ERROR")
    logging.getLogger("discord.client").warning("x")
    assert out.getvalue() == ""


def test_error_ids_are_short_and_differ():
    ids = {error_id() for _ in range(500)}
    assert len(ids) == 500
    assert all(re.fullmatch(r"[2-9a-hjkmnp-z]{8}", name) for name in ids)


@pytest.mark.parametrize("json_lines", [False, True])
def test_a_defect_is_logged_with_its_traceback_and_an_id_but_without_its_words(json_lines, caplog):
    out = start(json_lines=json_lines)
    shown = log_unexpected(logging.getLogger("cogs.ask"), raised(ValueError(SECRET)), run_id="run-1")
    text = out.getvalue()
    assert SECRET not in text
    assert SECRET not in caplog.text, "nor through a handler that is not ours"
    for part in (shown, "run-1", "ValueError", "in raised", "its words are not logged"):
        assert part in text
    if json_lines:
        assert (json.loads(text)["error_id"], json.loads(text)["run_id"]) == (shown, "run-1")


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (StorageError("The database cannot be read."), True),
        (FileNotFoundError(2, "No such file", "weights.safetensors"), True),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (TypeError("unsupported operand"), True),
        (ValueError("text"), False),
        (KeyError("text"), False),
        (UnicodeDecodeError("utf-8", b"text", 0, 1, "text"), False),
        (Exception("text"), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_which_exceptions_may_speak(error, said):
    text = safe_traceback(raised(error))
    assert (str(error) in text) is said
    assert type(error).__name__ in text


def test_the_numbers_of_a_silent_error_are_told():
    class RefusedError(Exception):
        status = 403
        code = 50013
        text = SECRET

    assert safe_traceback(raised(RefusedError(SECRET))).endswith(
        "RefusedError: (status 403, code 50013, its words are not logged)"
    )


def test_causes_contexts_and_groups_are_told_without_words():
    def chain() -> None:
        try:
            try:
                raise KeyError(SECRET)
            except KeyError as error:
                raise ValueError(SECRET) from error
        except ValueError:
            raise ExceptionGroup(SECRET, [IndexError(SECRET), OSError("disk full")])  # noqa: B904

    with pytest.raises(ExceptionGroup) as caught:
        chain()
    caught.value.add_note(SECRET)
    text = safe_traceback(caught.value)
    assert SECRET not in text
    words = [
        "KeyError",
        "which led to:",
        "ValueError",
        "and while that was handled:",
        "ExceptionGroup",
        "IndexError",
        "OSError: disk full",
    ]
    places = [text.index(word) for word in words]
    assert places == sorted(places)


def test_an_exception_that_causes_itself_ends():
    error = raised(ValueError("x"))
    error.__context__ = raised(KeyError("y"))
    error.__context__.__context__ = error
    assert safe_traceback(error).count("Traceback") == 2


def test_a_librarys_own_exception_record_is_told_without_words():
    out = start()

    class Careless(logging.Handler):
        """Formats first, and leaves its text on the record as logging does."""

        def emit(self, record: logging.LogRecord) -> None:
            logging.Formatter().format(record)

    logging.getLogger().handlers.insert(0, careless := Careless())
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("discord.client").exception("Ignoring exception in %s", "on_message")
    finally:
        logging.getLogger().removeHandler(careless)
    assert "ERROR discord.client: Ignoring exception in on_message\nTraceback" in out.getvalue()
    assert SECRET not in out.getvalue()


async def test_a_lost_task_and_a_failed_callback_are_told_without_words():
    out = start()

    async def fails() -> None:
        raise ValueError(SECRET)

    def calls_back(text: str) -> None:
        raise ValueError(text)

    task = asyncio.create_task(fails())
    await asyncio.wait([task])
    del task
    gc.collect()
    asyncio.get_running_loop().call_soon(calls_back, SECRET)
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    text = out.getvalue()
    assert "Task exception was never retrieved" in text
    assert "Exception in callback" in text
    assert SECRET not in text
    assert text.count("ValueError: (its words are not logged)") == 2


def test_a_record_that_cannot_be_written_is_told_without_its_arguments(capsys):
    out = start()
    logging.getLogger().handlers[:] = logging.getLogger().handlers[-1:]  # pytest's own would raise
    logging.getLogger("bot").info("%d questions", SECRET)
    assert re.search(r"a log record of .*test_log\.py:\d+ could not be written", out.getvalue())
    assert SECRET not in out.getvalue() + capsys.readouterr().err
