"""What a layer dump in Discord shows of its prompt."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.fakes.engine import FakeEngine
from models.types import Answer, Job
from tests.cogs.conftest import config, populate, running, texts, told


def read(result: Any) -> str:
    found = told(result)
    assert found is not None
    return f"{found.content}\n{texts(found.message)}"


class Remembering(FakeEngine):
    """Its prompts hold the conversation, as a real one's do."""

    def answer(self, job: Job, **kwargs: Any) -> Answer:
        own = super().answer(job, **kwargs)
        before = tuple(self._prompt_id(word) for turn in job.history for word in turn.text.split())
        return replace(own, prompt_ids=(*before, *own.prompt_ids))


@pytest.mark.parametrize("whole", [False, True])
async def test_of_a_conversation_a_dump_gives_the_question_alone(tmp_path: Path, whole: bool) -> None:
    engine = Remembering()
    async with running(config(tmp_path, discord={"dump_prompt": whole}), engine) as (app, env):
        world = populate(env, app, engine)
        await world.ask("My name is Zyxwvut.")
        await world.bob.send(world.channel, f"{world.mention} And the eyes?", reply_to=world.answers()[0])
        name = engine._prompt_id("Zyxwvut.")
        for what in ("lens", "hidden", "attention"):
            data = (
                await told(await world.bob.slash(world.channel, "dump", what=what, format="json")).message.attachments[0].read()
            )  # type: ignore[union-attr]
            head = json.loads(data)
            assert (name in head["prompt_ids"]) is whole, what
            assert (str(name) in head["pieces"]) is whole
            assert head["prompt_ids"][-1] > 0  # the question itself is there
        page = await told(await world.bob.slash(world.channel, "dump", format="html")).message.attachments[0].read()  # type: ignore[union-attr]
        assert (str(name).encode() in page) is whole
        refused = read(await world.bob.slash(world.channel, "dump", what="hidden", format="json", positions="p1"))
        assert ("I give out only p" in refused) is not whole
        first = world.answers()[0].jump_url
        given = await world.bob.slash(world.channel, "dump", what="hidden", format="json", answer=first, positions="p1")
        assert "I give out only" not in read(given)  # a question that goes on from nothing
