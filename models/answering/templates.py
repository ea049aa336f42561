"""A chat template is tried before it is believed: marks are rendered once, and what came of them says how it can be used.

Templates in the wild drop the system prompt or the question, want contents as lists of parts, change letters, raise what they
like, or never end. What can be worked around is; what cannot is told, and the story style answers. Knows tokenizers and
templates; knows no weights.
"""

from __future__ import annotations

import logging
import secrets
import string
import sys
import time
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from types import FrameType
from typing import Any, TypeVar

from models.errors import ModelError
from models.sentences import Sentence
from models.tokens import added
from models.types import Turn

T = TypeVar("T")

SECONDS = 5.0
"""A template that takes longer is one that never ends."""

THINKING = (
    ("<think>", "</think>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<reasoning>", "</reasoning>"),
)
"""How models mark what they say to themselves: DeepSeek and Qwen, Seed-OSS, Magistral, Command A, and others."""

CHANNEL = ("<|channel|>", "<|message|>", "<|end|>")
"""Harmony's (gpt-oss): every message names its channel, and only the channel `final` is the answer."""

log = logging.getLogger(__name__)

_tried: weakref.WeakKeyDictionary[Any, tuple[str, Template]] = weakref.WeakKeyDictionary()


@dataclass(frozen=True, slots=True)
class Template:
    """How the chat template of one tokenizer can be used."""

    trouble: Sentence | None = None
    """Why it cannot be used at all; None when it can."""
    name: str | None = None
    """Of several templates, the one that works."""
    parts: bool = False
    """It wants contents as lists of parts."""
    system: bool = False
    """It knows a system role; else the system prompt opens the first question."""
    history: bool = True
    """It shows earlier turns."""
    ends: frozenset[int] = frozenset()
    """Ids with which it ends a finished answer."""
    opens: tuple[str, str] | None = None
    """The pair of `THINKING` whose first half it leaves open before the answer."""

    @property
    def notes(self) -> tuple[Sentence, ...]:
        """What a host should know of it."""
        found = []
        if self.trouble is not None:
            found.append(self.trouble)
        elif not self.history:
            found.append(Sentence("Its chat template leaves earlier messages out, so it remembers no conversation."))
        if self.opens is not None:
            found.append(Sentence("It reasons before it answers ({tag}); what is shown is what follows.", tag=self.opens[0]))
        return tuple(found)


def of(tokenizer: Any) -> Template | None:
    """How this tokenizer's chat template can be used; tried once. None where there is none."""
    if not tokenizer.chat_template:
        return None
    key = repr(tokenizer.chat_template)
    known = _tried.get(tokenizer)
    if known is None or known[0] != key:
        known = (key, _tried_out(tokenizer))
        _tried[tokenizer] = known
    return known[1]


def rendered(tokenizer: Any, turns: Sequence[Turn], system: str | None, *, answer_next: bool = True) -> str:
    """The turns in the tokenizer's chat template, as it can be used.

    Args:
        tokenizer: with a template that can be used.
        turns: alternating, a question last.
        system: goes before the first question where the template knows no system role.
        answer_next: with what goes before an answer.

    Raises:
        ModelError: it fails on these turns.
    """
    template = of(tokenizer) or Template()
    try:
        return _render(tokenizer, template, turns, system, answer_next)
    except Exception as error:
        if turns[0].role == "assistant" and len(turns) > 1:  # some insist that a user begins
            return rendered(tokenizer, turns[1:], system, answer_next=answer_next)
        raise ModelError(_failed(error), hint="Use the prompt style `story`.") from error


def _tried_out(tokenizer: Any) -> Template:
    several = isinstance(tokenizer.chat_template, dict)
    names = sorted(tokenizer.chat_template, key=lambda name: name != "default") if several else [None]
    troubles = []
    for name in names:
        for parts in (False, True):
            found = _trial(tokenizer, Template(name=name, parts=parts))
            if found.trouble is None:
                return found
            troubles.append(found)
    log.warning("the chat template cannot be used: %s", troubles[0].trouble)
    return troubles[0]


def _trial(tokenizer: Any, template: Template) -> Template:
    """Whether a question comes through, and then what else does."""
    system, question, reply, further = (_mark() for _ in range(4))
    try:
        text = _render(tokenizer, template, [Turn("user", question)], None, True)
    except Exception as error:  # noqa: BLE001  see `rendered`
        return replace(template, trouble=_failed(error))
    if question not in text:
        return replace(template, trouble=_missing(text, question))
    opens = next((pair for pair in THINKING if pair[0] in text and text.rfind(pair[0]) > text.rfind(pair[1])), None)
    knows = _holds(tokenizer, replace(template, system=True), [Turn("user", question)], system, (system, question))
    dialogue = [Turn("user", question), Turn("assistant", reply), Turn("user", further)]
    if not _holds(tokenizer, template, dialogue, None, (further,)):
        return replace(template, trouble=Sentence("Its chat template leaves the question out of a conversation."))
    history = _holds(tokenizer, template, dialogue, None, (question, reply, further))
    ends = _ends(tokenizer, template, dialogue[:2], reply)
    return replace(template, system=knows, history=history, opens=opens, ends=ends)


def _mark() -> str:
    """Something that nobody types, with letters, signs and scripts that a filter would change."""
    return f"{string.ascii_letters}{string.digits} <&> 'é' \\ \"脚\" {secrets.token_hex(8)}"


def _holds(tokenizer: Any, template: Template, turns: Sequence[Turn], system: str | None, marks: Sequence[str]) -> bool:
    try:
        text = _render(tokenizer, template, turns, system, True)
    except Exception:  # noqa: BLE001  see `rendered`
        return False
    return all(mark in text for mark in marks)


def _ends(tokenizer: Any, template: Template, turns: Sequence[Turn], reply: str) -> frozenset[int]:
    """The added token that comes first behind a finished answer. With harmony's channels it ends a message, not the answer."""
    if channels(tokenizer):
        return frozenset()
    try:
        text = _render(tokenizer, template, turns, None, False)
    except Exception:  # noqa: BLE001  see `rendered`
        return frozenset()
    behind = text.rpartition(reply)[2].lstrip()
    known = added(tokenizer)
    ids = {known.names[i]: i for i in known.control}
    name = max((name for name in ids if behind.startswith(name)), key=len, default=None)
    return frozenset() if name is None else frozenset({ids[name]})


def channels(tokenizer: Any) -> bool:
    """Whether answers come in harmony's channels."""
    return set(CHANNEL) <= set(added(tokenizer).names.values())


def _render(tokenizer: Any, template: Template, turns: Sequence[Turn], system: str | None, answer_next: bool) -> str:
    messages = [{"role": turn.role, "content": turn.text} for turn in turns]
    if system and template.system:
        messages.insert(0, {"role": "system", "content": system})
    elif system:
        first = next((m for m in messages if m["role"] == "user"), messages[0])
        first["content"] = f"{system}\n\n{first['content']}"
    contents: list[dict[str, Any]] = [{**message} for message in messages]
    if template.parts:
        contents = [{**message, "content": [{"type": "text", "text": message["content"]}]} for message in messages]
    options = {} if template.name is None else {"chat_template": tokenizer.chat_template[template.name]}
    # Reasoning models are asked to answer at once: the inner voice of this program is the second pass.
    return bounded(
        lambda: str(
            tokenizer.apply_chat_template(
                contents, tokenize=False, add_generation_prompt=answer_next, enable_thinking=False, **options
            )
        )
    )


def _missing(text: str, mark: str) -> Sentence:
    kept = "".join(filter(str.isalnum, mark[-16:].lower())) in "".join(filter(str.isalnum, text.lower()))
    if kept:
        return Sentence("Its chat template changes what people type.")
    return Sentence("Its chat template leaves the question out.")


def _failed(error: BaseException) -> Sentence:
    if isinstance(error, TimeoutError):
        return Sentence("Its chat template does not come to an end.")
    return Sentence("Its chat template cannot be filled in ({why}).", why=type(error).__name__)


def bounded(call: Callable[[], T], seconds: float | None = None) -> T:
    """What ``call`` gives; a template in it that runs for more than ``seconds`` (`SECONDS`) ends in a TimeoutError.

    Jinja compiles a template to Python, so its lines can be watched from the thread that runs them, where no other thread could
    stop it.
    """
    deadline = time.monotonic() + (SECONDS if seconds is None else seconds)

    def line(frame: FrameType, event: str, _arg: object) -> Any:
        if time.monotonic() > deadline:
            raise TimeoutError
        return line

    def frame_of(frame: FrameType, _event: str, _arg: object) -> Any:
        return line if frame.f_code.co_filename == "<template>" else None

    before = sys.gettrace()
    sys.settrace(frame_of)
    try:
        return call()
    finally:
        sys.settrace(before)
