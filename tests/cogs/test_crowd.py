"""Many people at once, with a real engine behind them: all are answered together, and each gets an inner voice."""

from __future__ import annotations

from pathlib import Path

from models.running import engine
from tests.cogs.conftest import config, populate, running
from tests.models import tiny

PEOPLE = 8


async def test_everyone_is_answered_at_the_same_time(tmp_path: Path) -> None:
    made = engine.from_model(tiny.model(), tiny.tokenizer())
    together: list[int] = []
    made.model.model.embed_tokens.register_forward_hook(lambda _m, args, _out: together.append(args[0].shape[0]))
    settings = config(tmp_path, model={"max_batch": 32}, sampling={"max_new_tokens": 40})
    async with running(settings, made) as (app, env):  # type: ignore[arg-type]
        world = populate(env, app, made)  # type: ignore[arg-type]
        people = [world.guild.add_member(env.create_user(f"guest{n}")) for n in range(PEOPLE)]
        world.detach()
        for n, guest in enumerate(people):
            await guest.send(world.channel, f"{world.mention} What is {n} and {n}, and why do you ask me?")
        await world.until(lambda: sum(request.json == {"archived": True} for request in env.http_requests) == PEOPLE, 60)
        answers = world.answers()
        threads = list(world.channel.threads)
    assert len(answers) == PEOPLE
    assert {thread.id for thread in threads} == {answer.id for answer in answers}
    assert all("tokens/s" in answer.content for answer in answers)
    assert len({answer.reference.message_id for answer in answers if answer.reference}) == PEOPLE
    assert max(together) > 1
