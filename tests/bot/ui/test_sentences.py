"""Every sentence that a user may read has its Chinese, with the same slots; found in the source, not in a list."""

from __future__ import annotations

import ast
import copy
import inspect
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from string import Formatter
from typing import get_args

import pytest

import bot
from bot import errors
from bot.catalogue import sentences
from bot.client import PERMISSIONS
from bot.errors import ForwardPassError, MissingPermissionsError, QueueFullError, permission_names
from bot.services.dumps import Wish, _too_large
from bot.ui.wording import strings, told
from models.sentences import Sentence, either, listed
from models.types import LearnedLens

ROOT = Path(bot.__file__).parents[1]
CHINESE = re.compile(r"[\u4e00-\u9fff]")
HOST_ONLY = {
    *(getattr(errors, name) for name in ("ConfigError", "DumpFileError", "LensTrainingError", "AnswerCancelledError")),
    *(getattr(errors, name) for name in ("MissingTokenError", "BadTokenError", "MissingIntentError")),
    errors.AlreadyRunningError,
}
"""Told in the terminal, or to nobody."""
HOST_PARTS = (
    "bot/cli/",
    "bot/config",
    "bot/storage/faults.py",
    "bot/storage/checking.py",
    "bot/storage/lease.py",
    "models/bench/",
    "models/fitting/training.py",
    "models/fitting/texts.py",
)
REASONS = {"Unseen", "QuestionError"}
CLASSES = {name: value for name, value in vars(errors).items() if inspect.isclass(value) and issubclass(value, ForwardPassError)}


def sources() -> Iterator[tuple[str, ast.Module]]:
    for part in ("bot", "cogs", "models"):
        for path in sorted((ROOT / part).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if not name.startswith(HOST_PARTS):
                yield name, ast.parse(path.read_text(encoding="utf-8"))


def called(node: ast.Call) -> str:
    return getattr(node.func, "id", getattr(node.func, "attr", ""))


def texts(node: ast.expr) -> Iterator[ast.expr]:
    """The expression, or both sides of one that chooses."""
    if isinstance(node, ast.IfExp):
        yield from texts(node.body)
        yield from texts(node.orelse)
    elif isinstance(node, ast.BoolOp):
        for value in node.values:
            yield from texts(value)
    else:
        yield node


@cache
def found() -> dict[str, str]:
    """English templates, each with a place where it stands."""
    every: dict[str, str] = {}
    for name, tree in sources():
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            place, kind = f"{name}:{node.lineno}", called(node)
            told_here = [*node.args[:1]] if kind in {"Sentence", "Unseen"} else []
            if kind in CLASSES and CLASSES[kind] not in HOST_ONLY and kind != "MissingPermissionsError":
                told_here = [*node.args[:1], *(k.value for k in node.keywords if k.arg == "hint")]
            for text in (part for argument in told_here for part in texts(argument)):
                assert not isinstance(text, ast.JoinedStr), f"{place}: an f-string cannot be translated; make it a Sentence"
                assert not isinstance(text, ast.BinOp), f"{place}: a sum cannot be translated; make it a Sentence"
                if isinstance(text, ast.Constant) and isinstance(text.value, str):
                    every[text.value] = place
    for name, error in CLASSES.items():
        if error not in HOST_ONLY:
            every[error.hint] = every[error.for_askers] = name
    every |= {name.replace("_", " ").title(): "a permission" for name, granted in PERMISSIONS if granted}
    every |= dict.fromkeys((*get_args(LearnedLens), "hidden", "attention"), "a choice")
    return {text: place for text, place in every.items() if text}


def slots(text: str) -> list[tuple[str, str | None]]:
    return sorted((name, spec) for _, name, spec, _ in Formatter().parse(text) if name)


def test_every_sentence_has_its_chinese_with_the_same_slots() -> None:
    chinese = sentences("zh-CN")
    missing = {text: place for text, place in found().items() if text not in chinese}
    assert not missing
    assert len(found()) > 100
    for text, translated in chinese.items():
        assert slots(text) == slots(translated), text
        assert CHINESE.search(translated) or not re.search(r"[a-z]", re.sub(r"\{[^}]*\}", "", translated)), text


def test_no_chinese_is_left_over() -> None:
    assert set(sentences("zh-CN")) == set(found())


def test_no_sentence_uses_a_slot_that_its_place_does_not_fill() -> None:
    for name, tree in sources():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and called(node) == "Sentence" and isinstance(node.args[0], ast.Constant):
                given = {keyword.arg for keyword in node.keywords}
                if None not in given:  # else some come as a mapping
                    assert {slot for slot, _ in slots(str(node.args[0].value))} == given, f"{name}:{node.lineno}"


def test_a_sentence_is_its_english_and_survives_copies() -> None:
    text = Sentence("{count} people {how}", count=2, how=Sentence("wait {here}", here="{here}"))
    assert text == "2 people wait {here}"
    for again in (copy.copy(text), copy.deepcopy(text)):
        assert (again, again.template, again.slots) == (text, text.template, text.slots)
    assert Sentence("as it {stands}") == "as it {stands}"
    assert (listed(["a", "b", "c"]), listed([]), either(["a", "b"])) == ("a, b, c", "", "a, or b")


def test_errors_are_told_in_the_reader_s_language() -> None:
    error = QueueFullError(Sentence("{count} people are already waiting, and I cannot take more.", count=8))
    assert told(error, "en-GB") == error.for_user() == f"{error.message} Ask again in a minute."
    assert told(error, "zh-CN") == told(error, "zh-TW") == "已经有 8 个人在等了，我最多只能接这么多。请过一分钟再问。"
    assert told(ForwardPassError("Not {known}.", hint="Ask again in a minute."), "zh-CN") == "Not {known}. 请过一分钟再问。"
    assert told(ForwardPassError("Not known."), "zh-CN") == "Not known."


def test_slots_stay_as_they_are_unless_they_are_sentences() -> None:
    """What a person typed is never taken for one of our words."""
    part = Sentence("I cannot read “{part}”. Write depths like 0,10-12.", part="depth")
    assert told(part, "zh-CN") == "“depth”我读不懂。深度请写成 0,10-12。"
    lacking = MissingPermissionsError(["send_messages", "attach_files"], Sentence("in {channel}", channel="<#1>"))
    assert told(lacking, "zh-CN") == "我在 <#1> 缺少权限：发送消息、附加文件。请让服务器管理员给我这个权限。"
    assert told(permission_names(["send_messages_in_threads"]), "zh-CN") == "在子区内发送消息"


def test_choices_are_joined_in_the_reader_s_language() -> None:
    error = _too_large(Wish(form="json", limit_bytes=1000), 2000, 60, 31, estimated=True)
    assert told(error, "zh-CN") == (
        "这份导出用 json 格式有至少 2.0 KiB，而这里最多能发 1000 字节。"
        "可以选 60 个位置中的至多 28 个，或者 31 个深度中的至多 14 个，或者 json.gz 这种压缩格式。"
    )


@pytest.mark.parametrize("locale", ["en-US", "zh-CN"])
def test_no_sentence_comes_near_the_longest_message(locale: str) -> None:
    """Discord takes 2,000 characters; slots are clipped to a few dozen, and a path or id is shorter than 300."""
    every = [*strings(locale).values(), *(sentences(locale).values() or found())]
    assert max(len(text) + 300 * len(slots(text)) for text in every) < 2000
