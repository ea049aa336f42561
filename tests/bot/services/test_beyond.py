"""Roads not taken, second thoughts and causes of stored runs, with the scripted engine and with the real one."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from bot.errors import NoInnerVoiceError, RunExpiredError
from bot.services.beyond import first_difference
from bot.services.monologue import verify
from bot.ui.beyond import fork_text, thoughts_text, why_text
from models.errors import NoSuchTokenError
from models.findings import CausalCheck
from models.running.engine import TorchEngine
from models.types import Answer, Turn
from tests.bot.services.rig import ANSWER, FOOT, Engine, Heard, Rig, request, rigged


async def forked(rig: Rig, run_id: str, **more: Any) -> Any:
    choice = (await rig.app.beyond.crossing(run_id)).choices[0]
    return choice, await rig.app.beyond.fork(run_id, choice.id, request(FOOT, **more), Heard())


async def test_a_road_keeps_what_came_before_and_says_both_probabilities(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        choice, fork = await forked(rig, run.id)
        first, _ = await rig.runs.load_answer(run.id), run
        at = fork.crossing.t
        assert fork.answered.answer.answer_ids[:at] == first.answer_ids[:at]
        assert fork.answered.answer.answer_ids[at] == choice.id
        assert (fork.original, fork.final_prob) == (ANSWER, choice.final_prob)
        assert fork.sampled_prob == fork.answered.answer.sampled_prob[at] == 0.0  # greedy would never have drawn it
        text = fork_text(fork)
        assert text.count("-# its final probability") == 2
        assert "\n\n**Not taken" in text


async def test_a_road_stands_in_the_place_of_the_answer_that_it_left(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        first = (await rig.ask()).run
        await rig.app.asks.shown(first.id, [50])
        second = (await rig.ask("And mine?", reply_to_message_id=50)).run
        _, fork = await forked(rig, second.id)
        assert fork.answered.run.parent_run_id == first.id
        turns = await rig.runs.conversation(fork.answered.run.id, 6)
        assert [turn.text for turn in turns] == [FOOT, ANSWER, FOOT, fork.answered.answer.text]


async def test_what_comes_of_a_private_answer_is_private(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask(private=True)).run
        _, fork = await forked(rig, run.id)
        thoughts = await rig.app.beyond.reconsider(run.id, request(FOOT), Heard())
        assert fork.answered.run.private
        assert thoughts.answered.run.private
        with pytest.raises(NoInnerVoiceError):
            await rig.app.beyond.find((7,), user_id=2)


async def test_what_comes_of_a_deleted_question_is_forgotten_with_it(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask(question_message_id=5)).run
        _, fork = await forked(rig, run.id)
        thoughts = await rig.app.beyond.reconsider(run.id, request(FOOT), Heard())
        await rig.app.deleting.messages([5])
        for gone in (run, fork.answered.run, thoughts.answered.run):
            with pytest.raises(RunExpiredError):
                await rig.runs.get(gone.id)


async def test_a_token_that_was_not_considered_is_no_road(tmp_path: Path) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        with pytest.raises(NoSuchTokenError, match="did not consider"):
            await rig.app.beyond.fork(run.id, 999_999, request(), Heard())
        with pytest.raises(NoSuchTokenError, match="no token 100"):
            await rig.app.beyond.crossing(run.id, t=99)


@pytest.mark.parametrize(("locale", "beginning"), [("en-US", "This is what went on"), ("zh-CN", "你回答的时候，心里是这样的")])
async def test_second_thoughts_have_the_told_lines_before_them(tmp_path: Path, locale: str, beginning: str) -> None:
    async with rigged(tmp_path) as rig:
        run = (await rig.ask()).run
        lines = (await rig.app.voices.of(run.id, locale=locale)).lines
        thoughts = await rig.app.beyond.reconsider(run.id, request(FOOT, locale=locale), Heard())
        job = rig.engine.jobs[-1]
        assert job.question.startswith(beginning)
        assert all(line.text in job.question for line in lines)
        assert job.question.endswith(FOOT)
        assert job.history == (Turn("user", FOOT), Turn("assistant", ANSWER))
        assert thoughts.differs_at is None
        assert thoughts.answered.run.parent_run_id == run.id
        assert "\n\n" in thoughts_text(thoughts, locale)


def test_where_two_answers_part() -> None:
    assert first_difference((1, 2), (1, 2)) is None
    assert first_difference((1, 2), (1, 3)) == 1
    assert first_difference((1, 2), (1, 2, 3)) == 2


class Splintered(Engine):
    """Without some blocks, a byte of a character would have come."""

    def why(self, answer: Answer, t: int, **options: Any) -> CausalCheck:
        check = super().why(answer, t, **options)
        (removals,) = check.removals
        tops, calm = removals.top_ids.copy(), removals.control_top_ids.copy()
        tops[4], calm[:] = 90_000, check.top_id
        removals = dataclasses.replace(removals, top_ids=tops, control_top_ids=calm)
        return dataclasses.replace(check, removals=(removals,), pieces={**check.pieces, 90_000: "⟨E6⟩"})


@pytest.mark.parametrize(("locale", "name"), [("en-US", "a splinter of a character"), ("zh-CN", "半个字的碎片")])
async def test_a_byte_of_a_character_is_told_as_a_splinter(tmp_path: Path, locale: str, name: str) -> None:
    async with rigged(tmp_path, Splintered()) as rig:
        run = (await rig.ask()).run
        why = await rig.app.beyond.why(run.id, locale=locale)
        assert name in why_text(why, locale)
        assert "E6" not in why_text(why, locale)
        assert verify(why.lines, why.trace) == why.lines


@pytest.mark.real_model
async def test_a_road_and_second_thoughts_of_the_real_model(tmp_path: Path, smollm: TorchEngine) -> None:
    short: dict[str, dict[str, Any]] = {"sampling": {"max_new_tokens": 10}, "lens": {"evidence": False, "self_report": False}}
    async with rigged(tmp_path, smollm, **short) as rig:  # type: ignore[arg-type]
        run = (await rig.ask()).run
        choice, fork = await forked(rig, run.id)
        kept, at = await rig.runs.load_answer(run.id), fork.crossing.t
        assert fork.answered.answer.answer_ids[: at + 1] == (*kept.answer_ids[:at], choice.id)
        top = kept.final_top
        own = [prob for token, prob in zip(top.ids[at], top.logprobs[at], strict=True) if token == choice.id]
        assert not own or fork.final_prob == pytest.approx(2.718281828 ** own[0], abs=1e-4)
        _, trace = await rig.app.voices.read(fork.answered.run.id)
        assert trace.answer_ids.tolist() == list(fork.answered.answer.answer_ids)
        thoughts = await rig.app.beyond.reconsider(run.id, request(FOOT), Heard())
        assert thoughts.differs_at == first_difference(kept.answer_ids, thoughts.answered.answer.answer_ids)
        assert thoughts.before is not None
        assert thoughts.after is not None
        assert len(thoughts.answered.answer.prompt_ids) > len(kept.prompt_ids) + 20
