"""From rows to what the repositories give, and back. Knows no session."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, select

from bot.errors import RunExpiredError
from bot.storage.packing import pack_final_top, pack_floats, pack_ids, unpack_final_top, unpack_floats, unpack_ids
from bot.storage.records import Run, RunFailure
from bot.storage.tables import RunRow
from models.types import Answer, Sampling

RUN = select(RunRow, RunRow.trace.is_not(None))
FOR_ANSWER = select(
    RunRow.prompt_ids,
    RunRow.answer_ids,
    RunRow.sampled_prob,
    RunRow.final_top,
    RunRow.answer_text,
    RunRow.style,
    RunRow.sampling,
    RunRow.seed,
    RunRow.finish,
    RunRow.dropped_turns,
    RunRow.seconds_to_first,
    RunRow.seconds,
    RunRow.thinking,
)

_SAME = ("seed", "finish", "dropped_turns", "thinking", "seconds_to_first", "seconds")
"""Columns of an answer that are its fields as they are."""


def gone(run_id: str) -> RunExpiredError:
    """A run that is missing, forgotten or past its time to live."""
    return RunExpiredError("I do not remember that answer any more.", request_id=run_id)


def run_of(row: Row[RunRow, bool]) -> Run:
    """What a row of `RUN` holds."""
    found, has_trace = row
    same = Run.__dataclass_fields__.keys() - {"sampling", "error", "has_trace"}
    return Run(
        **{name: getattr(found, name) for name in same},
        sampling=None if found.sampling is None else Sampling.model_validate(found.sampling),
        error=None if found.error_kind is None else RunFailure(found.error_kind, found.error_text or ""),
        has_trace=has_trace,
    )


def answer_values(answer: Answer) -> dict[str, object]:
    """The columns of an answer."""
    return {
        "prompt_ids": pack_ids(answer.prompt_ids),
        "answer_ids": pack_ids(answer.answer_ids),
        "sampled_prob": pack_floats(answer.sampled_prob),
        "final_top": pack_final_top(answer.final_top),
        "answer_text": answer.text,
        "style": answer.style,
        "sampling": answer.sampling.model_dump(mode="json"),
        **{
            name: getattr(answer, name) for name in ("seed", "finish", "dropped_turns", "seconds_to_first", "seconds", "thinking")
        },
    }


def answer_of(row: Row[Any]) -> Answer:
    """What a row of `FOR_ANSWER` holds."""
    return Answer(
        prompt_ids=unpack_ids(row.prompt_ids),
        answer_ids=unpack_ids(row.answer_ids),
        text=row.answer_text,
        style=row.style,
        sampling=Sampling.model_validate(row.sampling),
        seed=row.seed,
        finish=row.finish,
        sampled_prob=unpack_floats(row.sampled_prob),
        final_top=unpack_final_top(row.final_top),
        dropped_turns=row.dropped_turns,
        seconds_to_first=row.seconds_to_first,
        seconds=row.seconds,
        thinking=row.thinking or 0,
    )
